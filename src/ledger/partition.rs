//! How rates and limits on requests in flight are shared out among the nodes that share a store.
//!
//! They protect what stands behind the gateway, and change by the second: so nodes ask nobody for them, but each lets
//! its part of every such limit through, by how many nodes there are. Invariant: all parts together are the limit,
//! and where that is less than there are nodes, one for each of these. A rate has its window stretched instead of its
//! number divided, so nothing is lost of it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Rate;

/// Which part is this node's. It changes as others come and go.
#[derive(Debug)]
pub struct Partition(AtomicU64);

/// A part of what several nodes share. The default is all of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Portion {
    /// How many nodes come before this one.
    pub rank: u32,
    /// How many there are.
    pub count: u32,
}

impl Default for Portion {
    fn default() -> Self {
        Self { rank: 0, count: 1 }
    }
}

impl Default for Partition {
    fn default() -> Self {
        Self(packed(Portion::default()).into())
    }
}

impl Partition {
    /// Changes it, for every request from here on.
    pub fn set(&self, portion: Portion) {
        // Nothing else is published by it, so relaxed order will do.
        self.0.store(packed(portion), Ordering::Relaxed);
    }

    /// Gives it.
    pub fn portion(&self) -> Portion {
        let packed = self.0.load(Ordering::Relaxed);
        let part = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Portion { rank: part(packed.rotate_right(32)), count: part(packed) }
    }
}

/// Both numbers in one, so that they are of one moment.
fn packed(portion: Portion) -> u64 {
    u64::from(portion.rank).rotate_left(32) | u64::from(portion.count)
}

impl Portion {
    /// Gives this node's part of a number: at least 1, unless the number is nothing.
    pub fn of(self, whole: u64) -> u64 {
        let (rank, count) = (u64::from(self.rank), u64::from(self.count));
        let (Some(each), Some(rest)) = (whole.checked_div(count), whole.checked_rem(count)) else {
            return whole;
        };
        each.saturating_add(u64::from(rank < rest)).max(1).min(whole)
    }

    /// Gives this node's part of a limit on requests in flight.
    pub fn of_flights(self, whole: u32) -> u32 {
        u32::try_from(self.of(whole.into())).unwrap_or(whole)
    }

    /// Gives this node's part of a rate.
    pub fn of_rate(self, whole: Rate) -> Rate {
        if self.count <= 1 {
            return whole;
        }
        let Rate { limit, window, burst } = whole;
        Rate { limit, window: window.saturating_mul(self.count), burst: self.of(burst.max(1)) }
    }
}
