//! What a request that finds too little waits for, and for how long.

use std::time::Duration;

use super::{Holder, Need, Rest};

/// How long a request waits for others to give back before it is told that they do not.
const RECALL: Duration = Duration::from_millis(800);

/// For so long behind a request that waited in vain others are told so at once, unless something is heard.
const IN_VAIN: Duration = Duration::from_secs(2);

/// How long a request waits for an answer at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// For so long it is believed that an account is used up of which nothing is out. What changes that is told.
const USED_UP: Duration = Duration::from_secs(1);

/// And for so long where requests in flight hold something, which may come back with each of them: who is refused
/// asks all the time.
const HELD: Duration = Duration::from_millis(100);

/// Why a request gets nothing now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lack {
    /// Whether there is something is not known: somebody who has some, or the pool, is silent.
    Unavailable,
    /// All is used, or held by requests in flight.
    UsedUp,
    /// There is more to say with the next reply, or after a pause.
    Wait,
}

impl Holder {
    /// Tells why a request that came at `arrived` does not fit.
    pub fn lack(&mut self, cost: u64, arrived: Duration, now: Duration) -> Lack {
        // What is left here, and is not enough, goes back when more is asked for.
        let missing = cost.saturating_sub(self.room());
        let lack = self.reason(missing, arrived, now);
        match (lack, self.in_vain) {
            (Lack::Wait, Some((until, units))) if now < until && missing >= units => {
                return Lack::Unavailable;
            }
            (Lack::Unavailable, _) => {
                // Where nothing at all is answered, also what is free does not come.
                let units = if self.rest.free < missing { missing } else { 0 };
                self.in_vain = Some((now.saturating_add(IN_VAIN), units));
            }
            _ => {}
        }
        lack
    }

    fn reason(&self, missing: u64, arrived: Duration, now: Duration) -> Lack {
        if self.is_stopped {
            return Lack::Unavailable;
        }
        if let Some(heard_at) = self.heard_at
            && self.rest.free < missing
        {
            if self.is_known(arrived, now) && !self.rest.is_enough(missing) {
                return Lack::UsedUp;
            }
            if heard_at >= arrived.saturating_add(RECALL) {
                return Lack::Unavailable;
            }
        }
        if now >= arrived.saturating_add(PATIENCE) { Lack::Unavailable } else { Lack::Wait }
    }

    /// Gives what a request that came at `arrived` finds at most, here and elsewhere; `None` where that is not known.
    /// That nothing was left elsewhere is believed for `patience` at least.
    pub fn most(&self, arrived: Duration, now: Duration, patience: Duration) -> Option<u64> {
        let Rest { free, left, .. } = self.rest;
        let elsewhere = free.saturating_add(left);
        let is_drained = elsewhere == 0
            && self.heard_at.is_some_and(|heard_at| now < heard_at.saturating_add(patience));
        let is_known = is_drained || self.is_known(arrived, now);
        is_known.then(|| self.room().saturating_add(elsewhere))
    }

    /// Notes that a request waits. It asks again when a reply has come, and after some milliseconds.
    pub fn wait(&mut self, cost: u64) {
        let Need { least, all } = self.need;
        let least = if least == 0 { cost } else { least.min(cost) };
        self.need = Need { least, all: all.saturating_add(cost) };
    }

    /// Tells whether what there is besides was heard behind `arrived`, or is believed still.
    fn is_known(&self, arrived: Duration, now: Duration) -> bool {
        let is_known = |at: Duration| at >= arrived || now < at.saturating_add(self.believes());
        self.heard_at.is_some_and(is_known)
    }

    /// For how long it is believed that there is nothing, once that was heard.
    fn believes(&self) -> Duration {
        match (self.rest.left, self.rest.held.saturating_add(self.held)) {
            (0, 0) => USED_UP,
            (0, _) => HELD,
            _ => Duration::ZERO,
        }
    }
}
