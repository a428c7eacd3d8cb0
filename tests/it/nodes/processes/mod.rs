//! Several nodes count against one limit, to the unit, and tell what happens once: in quiet, when one of them is killed
//! or stands still, and when the database does.
//!
//! The nodes are processes, and what they forwarded is counted by the upstream behind them all.

mod away;
mod callers;
mod edge;
mod exact;
mod lost;
mod rig;
mod server;
mod spoiled;
mod times;
mod told;

use std::time::Duration;

use tokio::time::Instant;

use self::{
    callers::{Callers, Ends, Got},
    rig::{KEY, Plan, Rig},
};
use super::{Mode, Relay};
use crate::support::wait_for;

/// On each node.
const CONNECTIONS: usize = 16;

/// More units than any test here uses.
const ENDLESS: u64 = 100_000_000;

/// Gives a number that an environment variable may change for longer runs.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}
