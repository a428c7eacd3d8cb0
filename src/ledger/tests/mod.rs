//! Tests of the ledger: its tables and edge cases, and random runs against naive models.

// A test that overflows panics, which is what it should do.
#![allow(clippy::arithmetic_side_effects)]

mod accounts;
mod credit;
mod model;
mod overage;
mod partition;
mod period;
mod places;
mod rate;
mod scopes;
mod shared;
mod shared_money;
mod threads;
mod window;
mod zone;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Limits, Quota, Rate, WindowKind, WindowSpec};

/// Reads an instant.
fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Moves an instant by nanoseconds.
fn after(at: Timestamp, nanoseconds: i128) -> Timestamp {
    Timestamp::from_nanosecond(at.as_nanosecond() + nanoseconds).unwrap()
}

fn calendar(kind: WindowKind) -> WindowSpec {
    WindowSpec::new(kind)
}

fn anchored(kind: WindowKind, anchor: &str) -> WindowSpec {
    WindowSpec { anchor: Some(ts(anchor)), ..WindowSpec::new(kind) }
}

fn quota(name: &str, limit: u64, kind: WindowKind) -> Quota {
    let name: Arc<str> = Arc::from(name);
    let scope = Arc::default();
    let account = Arc::clone(&name);
    Quota { scope, account, name, limit, overage: None, window: calendar(kind) }
}

fn quotas<const N: usize>(quotas: [Quota; N]) -> Arc<Limits> {
    Arc::new(Limits { quotas: quotas.into(), ..Limits::default() })
}

fn rate(limit: u64, window_ns: u64, burst: u64) -> Rate {
    Rate { limit, window: Duration::from_nanos(window_ns), burst }
}
