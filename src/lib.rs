//! Faregate: a reverse proxy that makes an HTTP API payable.
//!
//! `ARCHITECTURE.md` tells the life of a request; `chain` is where to start reading.

pub mod admin;
pub mod answer;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cors;
pub mod explain;
#[cfg(debug_assertions)]
pub mod failpoint;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gateway;
pub mod guesses;
mod http1;
pub mod journal;
mod json;
pub mod keeper;
pub mod leases;
pub mod ledger;
pub mod live;
pub mod memory;
pub mod model;
pub mod nodes;
pub mod notifications;
pub mod outgoing;
pub mod pay;
pub mod process;
pub mod progress;
mod protobuf;
pub mod provisioning;
pub mod requests;
pub mod roster;
pub mod server;
#[cfg(test)]
mod simulation;
pub mod snapshot;
mod stamp;
pub mod store;
pub mod telemetry;
pub mod tls;
mod upkeep;
pub mod upstream;
pub mod usage;
pub mod webhooks;
pub mod websocket;
pub mod worker;
