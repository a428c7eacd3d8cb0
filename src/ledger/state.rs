//! What stands under a customer's lock: integers, and how a request changes them.
//!
//! Invariants: no two accounts have the same identity; what is reserved in an account belongs to holds
//! on it; an account with holds is never dropped, however old; time never goes back for windows.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;

use super::{AccountId, AccountSet, Limits, Quota, QuotaStanding, Standing, Window, rate::Bucket};

/// The next [`AccountSet::id`]. Relaxed, as only uniqueness matters; 2^64 is never reached.
static SET_ID_NEXT: AtomicU64 = AtomicU64::new(1);

/// The state of one customer.
#[derive(Debug)]
pub(super) struct State {
    /// The latest time seen, at first the ledger's floor. A clock that is set back must not open a
    /// closed window again.
    latest: Timestamp,
    /// Every account in use, and those of quotas that the limits do not name now while their window
    /// lasts: a reload may bring the name back. A handful, so searching beats hashing.
    accounts: Vec<Account>,
    /// What the request before this one was measured against; the next is so almost always.
    view: Option<View>,
    /// Stays when the limits have no rate for a while, so that no reload fills it.
    bucket: Option<Bucket>,
    /// Holds that are not settled. Saturating, but bounded by memory long before.
    in_flight: u32,
}

/// Units of one quota in one window.
#[derive(Debug)]
struct Account {
    /// The window's end is the latest under which the account was known, as a quota's window may be
    /// made shorter by a reload and longer by the next.
    id: AccountId,
    /// Units charged; saturating, which refuses for ever rather than giving units away.
    used: u64,
    /// Units held by requests in flight.
    reserved: u64,
    /// Requests in flight, also those that cost nothing.
    holds: u32,
}

/// Limits with the accounts they mean at present.
#[derive(Debug)]
struct View {
    limits: Arc<Limits>,
    /// One account per quota, in the same order.
    set: Arc<AccountSet>,
}

impl State {
    pub(super) fn new(floor: Timestamp) -> Self {
        Self { latest: floor, accounts: Vec::new(), view: None, bucket: None, in_flight: 0 }
    }

    /// Brings windows and rate to the time and the limits; gives the accounts that these mean.
    pub(super) fn advance(
        &mut self,
        customer: &Arc<str>,
        limits: &Arc<Limits>,
        now: Timestamp,
    ) -> Arc<AccountSet> {
        self.latest = self.latest.max(now);
        if let Some(rate) = limits.rate {
            match &mut self.bucket {
                Some(bucket) => bucket.advance(rate, now),
                None => self.bucket = Some(Bucket::new(rate, now)),
            }
        }
        match &self.view {
            Some(view) if view.holds_for(limits, self.latest) => Arc::clone(&view.set),
            _ => self.renew(customer, limits),
        }
    }

    /// Takes the cost from every account of the set, and brings the standing up to it.
    ///
    /// The standing must be this state's own and must not show a violation.
    pub(super) fn take(
        &mut self,
        set: &AccountSet,
        cost: u64,
        standing: &mut Standing,
        now: Timestamp,
    ) {
        for (id, quota) in set.accounts.iter().zip(&mut standing.quotas) {
            let account = self.account_mut(id);
            // The check has shown that the sum is at most the limit, or that the cost is zero.
            account.reserved = account.reserved.saturating_add(cost);
            account.holds = account.holds.saturating_add(1);
            quota.reserved = account.reserved;
        }
        if let (Some(bucket), Some(rate)) = (&mut self.bucket, &mut standing.rate) {
            bucket.take();
            *rate = bucket.standing(now);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        standing.in_flight = self.in_flight;
    }

    /// Gives back what a hold reserved and books what it is charged, in its windows at admission.
    pub(super) fn settle(&mut self, set: &Arc<AccountSet>, cost: u64, charge: u64) {
        for id in &set.accounts {
            let account = self.account_mut(id);
            debug_assert!(account.reserved >= cost, "more is given back than was reserved");
            debug_assert!(account.holds > 0, "a hold is settled twice");
            account.reserved = account.reserved.saturating_sub(cost);
            account.holds = account.holds.saturating_sub(1);
            account.used = account.used.saturating_add(charge);
        }
        debug_assert!(self.in_flight > 0, "a hold is settled twice");
        self.in_flight = self.in_flight.saturating_sub(1);
        // It may have been the last that kept a window of before.
        if !self.view.as_ref().is_some_and(|view| Arc::ptr_eq(&view.set, set)) {
            self.drop_ended();
        }
    }

    /// Adds usage. Of a window that is over it is left out, as nothing will ask for it.
    pub(super) fn load(&mut self, id: &AccountId, used: u64) {
        if id.window.end.is_some_and(|end| end <= self.latest) {
            return;
        }
        let account = self.account_mut(id);
        account.used = account.used.saturating_add(used);
        self.keep_current();
    }

    /// Tells where the customer stands; the set must be what [`State::advance`] just gave.
    pub(super) fn standing(
        &self,
        limits: &Arc<Limits>,
        set: &AccountSet,
        now: Timestamp,
    ) -> Standing {
        let quota = |id: &AccountId| {
            let account = self.accounts.iter().find(|account| account.is(id));
            let (used, reserved) = account.map_or((0, 0), |known| (known.used, known.reserved));
            QuotaStanding { used, reserved, window: id.window }
        };
        Standing {
            limits: Arc::clone(limits),
            quotas: set.accounts.iter().map(quota).collect(),
            rate: limits.rate.and(self.bucket.as_ref()).map(|bucket| bucket.standing(now)),
            in_flight: self.in_flight,
            at: self.latest,
        }
    }

    pub(super) fn check_invariants(&self) {
        let Self { latest, accounts, view, bucket, in_flight } = self;
        for (index, account) in accounts.iter().enumerate() {
            let same = accounts.iter().skip(index.saturating_add(1)).find(|a| a.is(&account.id));
            assert!(same.is_none(), "two accounts for {:?}", account.id);
            assert!(account.holds <= *in_flight, "more holds than requests in flight");
            assert!(account.holds > 0 || account.reserved == 0, "units reserved by no hold");
        }
        if let Some(View { limits, set }) = view {
            assert_eq!(limits.quotas.len(), set.accounts.len(), "an account for every quota");
            for (quota, id) in limits.quotas.iter().zip(&set.accounts) {
                assert_eq!(quota.name, id.quota, "accounts in the order of the quotas");
                assert!(id.window.end.is_none_or(|end| *latest < end), "a window that is over");
            }
        }
        if let Some(bucket) = bucket {
            bucket.check_invariants();
        }
    }

    /// Finds the accounts for the limits anew; the same set as before if they are the same.
    fn renew(&mut self, customer: &Arc<str>, limits: &Arc<Limits>) -> Arc<AccountSet> {
        let accounts: Vec<_> = limits
            .quotas
            .iter()
            .enumerate()
            .map(|(index, quota)| AccountId {
                scope: Arc::default(),
                quota: Arc::clone(&quota.name),
                window: self.window(index, quota),
            })
            .collect();
        let set = match &self.view {
            Some(view) if view.set.accounts == accounts => Arc::clone(&view.set),
            _ => {
                let id = SET_ID_NEXT.fetch_add(1, Ordering::Relaxed);
                Arc::new(AccountSet { id, customer: Arc::clone(customer), accounts })
            }
        };
        self.drop_ended();
        self.view = Some(View { limits: Arc::clone(limits), set: Arc::clone(&set) });
        self.keep_current();
        set
    }

    /// Gives the quota's window at the latest time; the one in the view if that still holds.
    fn window(&self, index: usize, quota: &Quota) -> Window {
        let known = self.view.as_ref().and_then(|view| {
            let spec = view.limits.quotas.get(index)?.window;
            let window = view.set.accounts.get(index)?.window;
            (spec == quota.window && window.contains(self.latest)).then_some(window)
        });
        known.unwrap_or_else(|| quota.window.window_at(self.latest))
    }

    /// Gives the account, a new one if there is none yet.
    fn account_mut(&mut self, id: &AccountId) -> &mut Account {
        let index = self.accounts.iter().position(|account| account.is(id));
        let index = index.unwrap_or_else(|| {
            self.accounts.push(Account { id: id.clone(), used: 0, reserved: 0, holds: 0 });
            self.accounts.len().saturating_sub(1)
        });
        self.accounts.get_mut(index).expect("it was found or pushed just now")
    }

    /// Sees to it that the accounts in view last as long as their windows do now: they may have come
    /// with another end, from before a reload or from the store.
    fn keep_current(&mut self) {
        let current = self.view.iter().flat_map(|view| &view.set.accounts);
        for id in current {
            if let Some(account) = self.accounts.iter_mut().find(|account| account.is(id)) {
                let known = &mut account.id.window.end;
                *known = known.zip(id.window.end).map(|(known, end)| known.max(end));
            }
        }
    }

    /// Forgets accounts whose window is over, but for those with requests in flight: what these
    /// settle is booked where it was reserved.
    fn drop_ended(&mut self) {
        let latest = self.latest;
        self.accounts.retain(|account| {
            account.holds > 0 || account.id.window.end.is_none_or(|end| latest < end)
        });
    }
}

impl Account {
    /// Compares by identity; the window's end is not part of it.
    fn is(&self, id: &AccountId) -> bool {
        self.id.window.start == id.window.start
            && self.id.quota == id.quota
            && self.id.scope == id.scope
    }
}

impl View {
    /// Tells whether it is a view of these limits in which every window contains the time.
    fn holds_for(&self, limits: &Arc<Limits>, at: Timestamp) -> bool {
        Arc::ptr_eq(&self.limits, limits)
            && self.set.accounts.iter().all(|id| id.window.contains(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{WindowKind, WindowSpec};

    fn day(text: &str) -> Timestamp {
        format!("{text}T12:00:00Z").parse().unwrap()
    }

    fn daily(name: &str) -> Arc<Limits> {
        let window = WindowSpec { kind: WindowKind::Day, anchor: None };
        let quotas = vec![Quota { name: Arc::from(name), limit: 10, window }];
        Arc::new(Limits { quotas, ..Limits::default() })
    }

    fn take(state: &mut State, limits: &Arc<Limits>, now: Timestamp) -> Arc<AccountSet> {
        let set = state.advance(&Arc::from("acme"), limits, now);
        let mut standing = state.standing(limits, &set, now);
        state.take(&set, 1, &mut standing, now);
        state.check_invariants();
        set
    }

    #[test]
    fn ended_accounts_are_dropped_once_nothing_is_in_flight() {
        let mut state = State::new(Timestamp::UNIX_EPOCH);
        let (limits, other) = (daily("calls"), daily("other"));
        let settled = take(&mut state, &limits, day("2026-03-01"));
        state.settle(&settled, 1, 1);
        let unnamed = take(&mut state, &other, day("2026-03-01"));
        state.settle(&unnamed, 1, 1);
        assert_eq!(state.accounts.len(), 2);

        let open = take(&mut state, &limits, day("2026-03-01"));
        let current = take(&mut state, &limits, day("2026-03-02"));
        assert_eq!(state.accounts.len(), 2, "the day before has a hold");
        state.settle(&open, 1, 1);
        assert_eq!(state.accounts.len(), 1);
        state.settle(&current, 1, 1);
        assert_eq!(state.accounts.len(), 1);
        state.check_invariants();
    }

    #[test]
    fn what_is_loaded_for_a_window_that_is_over_is_left_out() {
        let limits = daily("calls");
        let window = limits.quotas[0].window.window_at(day("2026-03-01"));
        let id = AccountId { scope: Arc::default(), quota: Arc::from("calls"), window };
        let mut state = State::new(window.end.unwrap());
        state.load(&id, 5);
        assert!(state.accounts.is_empty());
        let mut state = State::new(window.start);
        state.load(&id, 5);
        assert_eq!(state.accounts.len(), 1);
    }
}
