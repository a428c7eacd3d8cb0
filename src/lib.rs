//! Faregate: a reverse proxy that makes an HTTP API payable.
//!
//! `ARCHITECTURE.md` tells the life of a request; `chain` is where to start reading.

pub mod answer;
pub mod config;
pub mod journal;
pub mod ledger;
pub mod model;
pub mod store;
