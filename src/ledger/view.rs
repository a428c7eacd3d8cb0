//! What limits mean at present: their accounts, and where these stand in a customer's state.
//!
//! Invariant: while a view holds, its places are those of its accounts and parts. Accounts whose window
//! has not ended, accounts with holds, and parts that a kept view or a request in flight refers to
//! are never taken out.

use std::sync::Arc;

use jiff::Timestamp;

use super::{AccountId, AccountSet, Few, Limits, Window};

/// The most views that one customer keeps. Keys with limits of their own have one each; beyond this
/// number the journal describes a key's accounts again each time its turn comes. Tests, which check
/// every view after every call, make do with fewer.
pub(super) const VIEWS_MAX: usize = if cfg!(test) { 32 } else { 1024 };

/// Limits with the accounts they mean until a window of theirs ends.
#[derive(Debug)]
pub(super) struct View {
    /// One account per quota, in the same order.
    pub(super) set: Arc<AccountSet>,
    /// The set's number. It and the windows are the set's: a request that need not look there finds more of
    /// what it needs at one place.
    pub(super) set_id: u64,
    /// The places of these accounts.
    pub(super) accounts: Few<usize>,
    /// Their windows.
    pub(super) windows: Few<Window>,
    /// The places of the applications and keys that a request is in flight of.
    pub(super) parts: Few<usize>,
    /// The part that each rate limits.
    pub(super) rates: Few<usize>,
    /// The part that each limit on concurrency limits.
    pub(super) concurrency: Few<usize>,
    /// The first instant at which the limits mean other accounts.
    pub(super) until: Option<Timestamp>,
}

impl View {
    /// Tells whether it is true at the time, which never goes back.
    pub(super) fn holds_at(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at < until)
    }
}

/// The views of one customer, the one used last in front: the next request needs that almost always,
/// and requests by several keys find theirs among the first.
#[derive(Debug)]
pub(super) struct Views(Vec<Known>);

/// The limits stand beside their view, so that a search reads one stretch of memory.
#[derive(Debug)]
struct Known {
    limits: Arc<Limits>,
    view: Arc<View>,
}

impl Views {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Finds the view of these very limits, if it holds.
    pub(super) fn find(&mut self, limits: &Arc<Limits>, at: Timestamp) -> Option<Arc<View>> {
        let index = self.0.iter().position(|known| Arc::ptr_eq(&known.limits, limits))?;
        if index > 0 {
            self.0.get_mut(..=index)?.rotate_right(1);
        }
        let view = &self.0.first()?.view;
        view.holds_at(at).then(|| Arc::clone(view))
    }

    /// Finds the set of exactly these accounts.
    pub(super) fn set_of(&self, accounts: &[AccountId]) -> Option<Arc<AccountSet>> {
        let known = self.0.iter().find(|known| known.view.set.accounts == accounts)?;
        Some(Arc::clone(&known.view.set))
    }

    /// Keeps a view in front. What nobody else holds is forgotten: those limits were replaced by a
    /// reload. So is what was not used for longest, if there are too many.
    pub(super) fn keep(&mut self, limits: &Arc<Limits>, view: &Arc<View>) {
        self.0.retain(|known| {
            !Arc::ptr_eq(&known.limits, limits) && Arc::strong_count(&known.limits) > 1
        });
        self.0.truncate(VIEWS_MAX.saturating_sub(1));
        // Most customers have one, and there may be a million of them.
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        self.0.insert(0, Known { limits: Arc::clone(limits), view: Arc::clone(view) });
    }

    /// Lists the views, also those that no longer hold.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<Limits>, &Arc<View>)> {
        self.0.iter().map(|Known { limits, view }| (limits, view))
    }
}
