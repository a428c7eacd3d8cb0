//! The rate limit of a customer or a part of it: an exact token bucket in integers.
//!
//! Amounts are in nanoseconds times requests, so that nothing is ever rounded: a request costs the
//! window, a nanosecond gives back the limit, and the bucket holds the burst times the window.
//!
//! Invariant: `debt <= capacity`. Hence at most `burst + floor(t * limit / window)` requests are let
//! through in any stretch of time `t`.

use std::time::Duration;

use jiff::Timestamp;

use super::{Rate, RateStanding};

/// Time that goes back by more than this is a step of the clock that the clock has believed. By less,
/// it is threads that read the time in one order and took the lock in the other.
const STEP_NS: i128 = 60_000_000_000;

/// What was taken of a rate and not been given back yet.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    /// What is missing to full. Kept instead of the level because full is then zero for every rate.
    debt: u128,
    /// Time up to which requests were given back.
    at: Timestamp,
}

impl Bucket {
    /// Starts full.
    pub(super) fn new(rate: Rate, at: Timestamp) -> Self {
        Self { rate, debt: 0, at }
    }

    /// Brings the bucket to the time and the rate.
    ///
    /// A rate that changed keeps the part of the bucket that is in debt: empty stays empty, half
    /// stays half. So a lower burst locks nobody out for the requests of before, and requests that
    /// alternate between two rates, as they do for an instant in a reload, gain nothing from it.
    pub(super) fn advance(&mut self, rate: Rate, now: Timestamp) {
        self.give_back(now);
        if self.rate != rate {
            self.debt = rescale(self.debt, capacity(&self.rate), capacity(&rate));
            self.rate = rate;
        }
    }

    /// Takes one request; at least one must be there.
    pub(super) fn take(&mut self) {
        self.debt = self.debt.saturating_add(price(&self.rate));
        self.check_invariants();
    }

    /// Tells how many requests are there, and how long until there is one more.
    pub(super) fn standing(&self, now: Timestamp) -> RateStanding {
        let price = price(&self.rate);
        let level = capacity(&self.rate).saturating_sub(self.debt);
        let remaining = level.checked_div(price).unwrap_or(0);
        RateStanding {
            remaining: u64::try_from(remaining).unwrap_or(u64::MAX),
            next: if self.debt == 0 { Duration::ZERO } else { self.next(price, level, now) },
        }
    }

    /// Tells whether everything is given back by now.
    pub(super) fn is_full(&self, now: Timestamp) -> bool {
        let elapsed = now.as_nanosecond().saturating_sub(self.at.as_nanosecond());
        let given = u128::try_from(elapsed).unwrap_or(0);
        given.saturating_mul(u128::from(self.rate.limit.max(1))) >= self.debt
    }

    /// Asserts what must hold between any two calls.
    pub(super) fn check_invariants(&self) {
        debug_assert!(self.debt <= capacity(&self.rate), "more was taken than the bucket holds");
    }

    fn give_back(&mut self, now: Timestamp) {
        let elapsed = now.as_nanosecond().saturating_sub(self.at.as_nanosecond());
        if let Ok(elapsed) = u128::try_from(elapsed) {
            // Saturating at the top gives back everything, which such a time does anyway.
            let given = elapsed.saturating_mul(u128::from(self.rate.limit.max(1)));
            self.debt = self.debt.saturating_sub(given);
            self.at = now;
        } else if elapsed < STEP_NS.saturating_neg() {
            // The step itself gives nothing. Waiting until the old time is reached again would lock
            // the customer out for as long as the step, for a limit that only protects.
            self.at = now;
        }
    }

    fn next(&self, price: u128, level: u128, now: Timestamp) -> Duration {
        let missing = price.saturating_sub(level.checked_rem(price).unwrap_or(0));
        let wait = missing.div_ceil(u128::from(self.rate.limit.max(1)));
        // Time that went back must first come up to where giving back goes on.
        let behind = self.at.as_nanosecond().saturating_sub(now.as_nanosecond());
        let wait = wait.saturating_add(u128::try_from(behind).unwrap_or(0));
        Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }
}

/// The price of one request. A zero in a rate, which the configuration refuses, is read as the least
/// that is allowed.
fn price(rate: &Rate) -> u128 {
    rate.window.as_nanos().max(1)
}

/// Exact for any burst with a window of up to a day (64 and 47 bits); beyond, saturating.
fn capacity(rate: &Rate) -> u128 {
    price(rate).saturating_mul(u128::from(rate.burst.max(1)))
}

/// Gives `debt / from * to`, rounded towards more debt.
fn rescale(debt: u128, from: u128, to: u128) -> u128 {
    let bits = |n: u128| u128::BITS.saturating_sub(n.leading_zeros());
    // The product must fit: for huge buckets the lowest bits are given up.
    let excess = bits(debt).saturating_add(bits(to)).saturating_sub(u128::BITS);
    let unit = 1_u128.checked_shl(excess).unwrap_or(u128::MAX);
    let from = from.checked_div(unit).unwrap_or(0).max(1);
    debt.div_ceil(unit).saturating_mul(to).div_ceil(from).min(to)
}
