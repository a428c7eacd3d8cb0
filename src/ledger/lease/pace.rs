//! How fast an account is spent from, in whole numbers.

use std::time::Duration;

const SLOT: Duration = Duration::from_secs(1);

/// Units per second, as the last few seconds had them.
#[derive(Debug, Default)]
pub(super) struct Pace {
    slot: Duration,
    /// In the slot that runs.
    units: u64,
    /// Before it.
    before: u64,
}

impl Pace {
    /// Notes that units were taken.
    pub(super) fn note(&mut self, units: u64, now: Duration) {
        let age = now.saturating_sub(self.slot);
        if age >= SLOT {
            let is_next = age < SLOT.saturating_mul(2);
            self.before = if is_next { self.before.midpoint(self.units) } else { 0 };
            (self.slot, self.units) = (now, 0);
        }
        self.units = self.units.saturating_add(units);
    }

    /// Gives what is spent in a second. A second that has begun counts for what it has had, so that it rises
    /// at once.
    pub(super) fn per_second(&self, now: Duration) -> u64 {
        let age = now.saturating_sub(self.slot);
        if age >= SLOT.saturating_mul(3) { 0 } else { self.before.max(self.units) }
    }
}
