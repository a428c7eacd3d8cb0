//! What a writer's calls leave behind: where it begins, what settles a reservation, and what waits for the
//! next append.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{answer::Ending, ledger::Charge};

/// Where a writer begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// A segment number above everything ever used.
    pub(super) segment: u64,
    /// A record number above everything ever used.
    pub(super) sequence: u64,
}

impl Start {
    /// For a worker that never wrote.
    pub(super) const FIRST: Self = Self { segment: 1, sequence: 1 };
}

/// What is needed to settle a reservation.
#[derive(Clone, Copy, Debug)]
#[must_use = "a reservation that is not settled is charged at the next start"]
pub struct Ticket {
    pub(super) sequence: u64,
    pub(super) cost: Charge,
    pub(super) opened_at: Timestamp,
    pub(super) request_id: Uuid,
}

impl Ticket {
    /// Gives what was reserved.
    pub fn cost(&self) -> Charge {
        self.cost
    }

    /// Gives the number of its record.
    #[cfg(test)]
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// An ordinary settle that is not yet written.
pub(super) struct Waiting {
    pub(super) reservation: u64,
    pub(super) ending: Ending,
    pub(super) charge: u64,
    pub(super) time_ms: i64,
    pub(super) request_id: Uuid,
}
