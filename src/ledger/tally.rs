//! What is counted in one account: the units of one quota in one window.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;

use super::{AccountId, Limits, QuotaStanding, Window, lease::Holder, state::moment};

/// The first turn of the next lease. Relaxed, as nothing else is published by it.
static TURN_NEXT: AtomicU64 = AtomicU64::new(0);

/// By so much it is ahead at least of the one of the lease before, whatever the clock does. With a million accounts
/// an hour the numbers last for a hundred years: those of a letter end at 2^60.
const TURNS: u64 = 1 << 20;

/// Gives the first turn of a lease. It is higher than all that pools may have heard of an account of the same name,
/// since no lease has a letter in each microsecond: a customer that is removed and made again has such.
pub(super) fn first_turn(now: Duration) -> u64 {
    let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
    let before = TURN_NEXT.fetch_max(now, Ordering::Relaxed).max(now);
    TURN_NEXT.fetch_add(TURNS, Ordering::Relaxed).max(before)
}

/// Units of one quota in one window.
#[derive(Debug)]
pub(super) struct Tally {
    /// The window's end is the latest under which the account was known, as a quota's window may be
    /// made shorter by a reload and longer by the next.
    pub(super) id: AccountId,
    /// Units charged; saturating, which refuses for ever rather than giving units away.
    pub(super) used: u64,
    /// Units held by requests in flight.
    pub(super) reserved: u64,
    /// Requests in flight, also those that cost nothing.
    pub(super) holds: u32,
    /// Units of the window, as the last request had them; only where there is a lease.
    pub(super) limit: u64,
    /// What this node has of an account that others count as well. It knows what is charged then.
    pub(super) lease: Option<Box<Holder>>,
}

impl Tally {
    pub(super) fn new(id: AccountId) -> Self {
        Self { id, used: 0, reserved: 0, holds: 0, limit: 0, lease: None }
    }

    /// Tells whether nothing will ask for it any more.
    pub(super) fn is_over(&self, latest: Timestamp) -> bool {
        self.holds == 0
            && self.id.window.end.is_some_and(|end| end <= latest)
            && self.lease.as_ref().is_none_or(|lease| lease.is_over())
    }

    /// Gives the lease, a new one where there is none.
    pub(super) fn holder(&mut self, now: Duration) -> &mut Holder {
        let used = self.used;
        self.lease.get_or_insert_with(|| Box::new(Holder::new(used, first_turn(now))))
    }

    /// Takes units for a request.
    pub(super) fn take(&mut self, cost: u64, now: Timestamp) {
        // The check has shown that the quota lets the sum through, or that the cost is zero.
        self.reserved = self.reserved.saturating_add(cost);
        self.holds = self.holds.saturating_add(1);
        if let Some(lease) = &mut self.lease {
            lease.take(cost, moment(now));
        }
    }

    /// Gives back what a request took, and books what it is charged.
    pub(super) fn settle(&mut self, cost: u64, charge: u64) {
        debug_assert!(self.reserved >= cost, "more is given back than was reserved");
        debug_assert!(self.holds > 0, "a hold is settled twice");
        self.reserved = self.reserved.saturating_sub(cost);
        self.holds = self.holds.saturating_sub(1);
        match &mut self.lease {
            Some(lease) => lease.settle(cost, charge),
            None => self.used = self.used.saturating_add(charge),
        }
    }

    /// Gives the units charged, on any node.
    pub(super) fn used(&self) -> u64 {
        match &self.lease {
            Some(lease) => lease.spent().saturating_add(lease.rest().used),
            None => self.used,
        }
    }

    /// Gives the units held by requests in flight, on any node.
    pub(super) fn reserved(&self) -> u64 {
        let elsewhere = self.lease.as_ref().map_or(0, |lease| lease.rest().held);
        self.reserved.saturating_add(elsewhere)
    }

    /// Tells what is used of it, in a window that is the account's.
    pub(super) fn standing(&self, window: Window) -> QuotaStanding {
        let forfeited = self.lease.as_ref().map_or(0, |lease| lease.rest().forfeited);
        QuotaStanding { used: self.used(), reserved: self.reserved(), forfeited, window }
    }

    /// Corrects what is used.
    pub(super) fn adjust(&mut self, changed: impl Fn(u64) -> u64) -> u64 {
        match &mut self.lease {
            Some(lease) => lease.correct(changed),
            None => self.used = changed(self.used),
        }
        self.used()
    }

    /// Makes it last at least until a window's end.
    pub(super) fn last_until(&mut self, end: Option<Timestamp>) {
        let known = &mut self.id.window.end;
        *known = known.zip(end).map(|(known, end)| known.max(end));
    }
}

/// Lists the accounts that the limits mean at a time, in the order of the quotas.
pub(super) fn ids(limits: &Limits, at: Timestamp) -> impl Iterator<Item = AccountId> {
    limits.quotas.iter().map(move |quota| AccountId {
        scope: Arc::clone(&quota.scope),
        quota: Arc::clone(&quota.account),
        window: quota.window.window_at(at),
    })
}
