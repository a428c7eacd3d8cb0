//! Tests of the whole gateway, one module per concern.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod access_log;
mod admin;
mod admin_streams;
mod cli;
mod cli_admin;
mod customers;
mod demo;
mod endings;
mod exact;
mod guesses;
mod kill;
mod live;
mod memory;
mod metrics;
mod notifications;
mod pages;
mod process;
mod quota;
mod refusals;
mod routing;
mod served;
mod shadow;
mod streaming;
mod support;
mod webhooks;
