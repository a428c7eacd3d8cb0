//! Where a caller stands against its limits, and what a request falls short of.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Few, Limits, Portion, Quota, Window};

/// What is used and left of every limit at one instant.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The limits it was measured against.
    pub limits: Arc<Limits>,
    /// In the order of `limits.quotas`.
    pub quotas: Few<QuotaStanding>,
    /// In the order of `limits.rates`.
    pub rates: Few<RateStanding>,
    /// Requests in flight of each limited scope, in the order of `limits.concurrency`.
    pub concurrency: Few<u32>,
    /// Requests in flight of the customer as a whole.
    pub in_flight: u32,
    /// This node's part of rates and of limits on requests in flight.
    pub portion: Portion,
    /// The time the windows were chosen for: now, or the latest time seen if now went back.
    pub at: Timestamp,
}

/// What is used of one quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QuotaStanding {
    /// Units charged; above the limit with overage, after a debt or after a lowered limit.
    pub used: u64,
    /// Units held by requests in flight.
    pub reserved: u64,
    /// Units, part of those used, that a silent node holds.
    pub forfeited: u64,
    /// The window that all are counted in.
    pub window: Window,
}

/// What is left of a rate. The default is nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RateStanding {
    /// Requests that may come at once.
    pub remaining: u64,
    /// How long until one more may come; zero when full.
    pub next: Duration,
}

/// Why a request was refused; nothing was taken.
#[derive(Clone, Debug)]
pub struct Shortage {
    /// Where the customer stands.
    pub standing: Standing,
    /// Every limit that the request does not fit, in the order rates, concurrency, quotas.
    pub violations: Vec<Violation>,
    /// There is none, as far as is known here, but units that other nodes share are not here, or not yet.
    pub lack: Option<Lacking>,
}

/// Units that other nodes share are not here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lacking {
    /// Whether there are enough is not known: a node that has some, or the store, is silent.
    Unavailable,
    /// They are asked for.
    Wait {
        /// How often something was heard of the accounts before.
        heard: u64,
    },
}

/// One limit that a request does not fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Violation {
    /// As many requests are in flight as the limit with this index lets.
    Concurrency(usize),
    /// Too few units are left in the quota with this index; more come with the next window.
    Quota(usize),
    /// The request costs more than the whole quota with this index and what the spend cap lets go
    /// beyond it; waiting does not help.
    QuotaTooSmall(usize),
    /// Requests come too fast for the rate with this index.
    Rate(usize),
    /// The quota with this index would go on if it were not for the customer's spend cap; more may be
    /// spent with the next window.
    SpendCap(usize),
}

impl Standing {
    /// Lists the limits that a request of this cost does not fit.
    pub fn violations(&self, cost: u64) -> Vec<Violation> {
        let mut violations = self.throttles();
        for (index, (quota, standing)) in self.limits.quotas.iter().zip(&self.quotas).enumerate() {
            if !standing.fits(quota.limit, cost) {
                violations.extend(standing.violation(index, quota, cost));
            }
        }
        violations
    }

    /// Lists the rates and the limits on concurrency that no further request fits.
    pub(super) fn throttles(&self) -> Vec<Violation> {
        // On the way of every request that passes; an empty vector does not allocate.
        let mut violations = Vec::new();
        for (index, rate) in self.rates.iter().enumerate() {
            if rate.remaining == 0 {
                violations.push(Violation::Rate(index));
            }
        }
        let concurrency = self.limits.concurrency.iter().zip(self.concurrency.iter());
        for (index, (limit, in_flight)) in concurrency.enumerate() {
            if *in_flight >= self.portion.of_flights(limit.limit) {
                violations.push(Violation::Concurrency(index));
            }
        }
        violations
    }
}

impl QuotaStanding {
    /// Stands for nothing used.
    pub fn new(window: Window) -> Self {
        Self { used: 0, reserved: 0, forfeited: 0, window }
    }

    /// Gives the units left under this limit; zero when over it.
    pub fn remaining(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.used).saturating_sub(self.reserved)
    }

    /// Gives the units charged beyond this limit.
    pub fn beyond(&self, limit: u64) -> u64 {
        self.used.saturating_sub(limit)
    }

    /// Gives the units charged or held beyond this limit.
    pub fn taken_beyond(&self, limit: u64) -> u64 {
        self.used.saturating_add(self.reserved).saturating_sub(limit)
    }

    /// Gives how much of the limit is taken, in millionths; `None` where the limit is nothing.
    pub fn taken_millionths(&self, limit: u64) -> Option<u64> {
        let taken = u128::from(self.used.saturating_add(self.reserved));
        let share = taken.saturating_mul(1_000_000).checked_div(limit.into())?;
        Some(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// Tells whether `used + reserved + cost <= limit`. What costs nothing fits an exhausted quota.
    fn fits(&self, limit: u64, cost: u64) -> bool {
        cost <= self.remaining(limit)
    }

    /// Tells how the cost violates a quota whose limit it does not fit; `None` where overage covers it.
    fn violation(&self, index: usize, quota: &Quota, cost: u64) -> Option<Violation> {
        let most = quota.units_max();
        if most < cost {
            return Some(Violation::QuotaTooSmall(index));
        }
        let Some(overage) = &quota.overage else { return Some(Violation::Quota(index)) };
        // What cannot be counted any more is refused, also where nothing else is a limit.
        let taken = self.used.checked_add(self.reserved).and_then(|sum| sum.checked_add(cost));
        match (taken, overage.cap()) {
            (Some(taken), _) if taken <= most => None,
            (_, Some(_)) => Some(Violation::SpendCap(index)),
            (_, None) => Some(Violation::Quota(index)),
        }
    }
}
