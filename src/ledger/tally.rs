//! What is counted in one account: the units of one quota in one window.

use std::sync::Arc;

use jiff::Timestamp;

use super::{AccountId, Limits};

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
}

impl Tally {
    pub(super) fn new(id: AccountId) -> Self {
        Self { id, used: 0, reserved: 0, holds: 0 }
    }

    /// Tells whether nothing will ask for it any more.
    pub(super) fn is_over(&self, latest: Timestamp) -> bool {
        self.holds == 0 && self.id.window.end.is_some_and(|end| end <= latest)
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
