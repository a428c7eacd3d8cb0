//! Numbers that tell keys, routes and snapshots apart without comparing names.

use std::sync::atomic::{AtomicU64, Ordering};

/// Gives a number that nothing else in this process has, before or after a reload.
pub(crate) fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
