//! What is counted of a customer as a whole, of one of its applications and of one of its keys alike:
//! the rate and the requests in flight.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Rate, RateStanding, rate::Bucket};

/// The throttles of one scope.
#[derive(Debug)]
pub(super) struct Part {
    /// As in [`super::Scoped::scope`].
    pub(super) scope: Arc<str>,
    /// Stays when the limits have no rate for a while, so that no reload fills it.
    bucket: Option<Bucket>,
    /// Holds that are not settled. Saturating, but bounded by memory long before.
    in_flight: u32,
}

impl Part {
    pub(super) fn new(scope: Arc<str>) -> Self {
        Self { scope, bucket: None, in_flight: 0 }
    }

    /// Brings the bucket to the time and the rate.
    pub(super) fn advance(&mut self, rate: Rate, now: Timestamp) {
        match &mut self.bucket {
            Some(bucket) => bucket.advance(rate, now),
            None => self.bucket = Some(Bucket::new(rate, now)),
        }
    }

    /// Takes one request from the rate, and tells what is left of it.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<RateStanding> {
        let bucket = self.bucket.as_mut()?;
        bucket.take();
        Some(bucket.standing(now))
    }

    /// Counts a request that begins.
    pub(super) fn enter(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// Counts a request that ends.
    pub(super) fn leave(&mut self) {
        debug_assert!(self.in_flight > 0, "a hold is settled twice");
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Tells what is left of the rate it was advanced to.
    pub(super) fn rate(&self, now: Timestamp) -> Option<RateStanding> {
        self.bucket.as_ref().map(|bucket| bucket.standing(now))
    }

    /// Tells what is left of a rate, which it need not have been advanced to.
    pub(super) fn look(&mut self, rate: Rate, now: Timestamp) -> RateStanding {
        match &mut self.bucket {
            Some(bucket) => {
                bucket.advance(rate, now);
                bucket.standing(now)
            }
            None => Bucket::new(rate, now).standing(now),
        }
    }

    /// Counts the requests in flight.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Tells whether a new one would be the same.
    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        self.in_flight == 0 && self.bucket.as_ref().is_none_or(|bucket| bucket.is_full(now))
    }

    pub(super) fn check_invariants(&self) {
        if let Some(bucket) = &self.bucket {
            bucket.check_invariants();
        }
    }
}
