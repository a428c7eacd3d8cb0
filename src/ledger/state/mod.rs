//! What stands under a customer's lock: integers, and how a request changes them.
//!
//! Invariants: no two accounts have the same identity; what is reserved in an account belongs to holds
//! on it; an account with holds is never dropped, however old; time never goes back for windows.

mod leased;
mod standing;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;

use self::leased::Leased;
pub(super) use self::leased::moment;
use super::{
    AccountId, AccountSet, CreditStanding, Few, Limits, Place, Portion, Standing, When,
    credit::{Credit, Gap, Short},
    draw::Draw,
    part::Part,
    slots::Slots,
    tally::{self, Tally},
    view::{View, Views},
};
use crate::model::{Currency, Money};

/// The next [`AccountSet::id`]. Relaxed, as only uniqueness matters; 2^64 is never reached.
static SET_ID_NEXT: AtomicU64 = AtomicU64::new(1);

/// The place of the customer as a whole, which is none in the list of parts.
const WHOLE: usize = usize::MAX;

/// The state of one customer.
#[derive(Debug)]
pub(super) struct State {
    /// The latest time seen, at first the ledger's floor. A clock that is set back must not open a
    /// closed window again.
    latest: Timestamp,
    /// Every account in use, and those of quotas that no limits name now while their window lasts: a
    /// reload may bring the name back.
    accounts: Slots<Tally>,
    /// The customer as a whole. Every request is one of its.
    whole: Part,
    /// Holds within a place that is another's.
    sharing: u32,
    /// Its applications and keys, as far as limits name them.
    parts: Slots<Part>,
    /// What requests are measured against, by their limits.
    views: Views,
    /// Most customers have no money here.
    credit: Option<Box<Credit>>,
    /// This node's part of rates and of limits on requests in flight, as of when the lock was taken.
    pub(super) portion: Portion,
    /// Where other nodes count as well.
    leased: Option<Box<Leased>>,
}

impl State {
    pub(super) fn new(floor: Timestamp, is_shared: bool) -> Self {
        Self {
            latest: floor,
            accounts: Slots::new(),
            whole: Part::new(Arc::default()),
            sharing: 0,
            parts: Slots::new(),
            views: Views::new(),
            credit: None,
            portion: Portion::default(),
            leased: is_shared.then(Box::default),
        }
    }

    /// Brings windows and rates to the time and the limits; gives what the limits mean.
    pub(super) fn advance(
        &mut self,
        customer: &Arc<str>,
        limits: &Arc<Limits>,
        now: Timestamp,
    ) -> Arc<View> {
        self.latest = self.latest.max(now);
        let view = match self.views.find(limits, self.latest) {
            Some(view) => view,
            None => self.renew(customer, limits, now),
        };
        let portion = self.portion;
        for (rate, part) in limits.rates.iter().zip(&view.rates) {
            if let Some(part) = self.part_mut(*part) {
                part.advance(portion.of_rate(rate.limit), now);
            }
        }
        view
    }

    /// Takes the cost from every account of the view, and brings the standing up to it.
    ///
    /// The standing must be this state's own and must not show a violation.
    pub(super) fn take(
        &mut self,
        view: &View,
        cost: u64,
        place: Place,
        standing: &mut Standing,
        now: Timestamp,
    ) {
        for (place, quota) in view.accounts.iter().zip(&mut standing.quotas) {
            let Some(account) = self.accounts.get_mut(*place) else { continue };
            account.take(cost, now);
            quota.reserved = account.reserved();
        }
        for (place, rate) in view.rates.iter().zip(standing.rates.iter_mut()) {
            if let Some(left) = self.part_mut(*place).and_then(|part| part.take(now)) {
                *rate = left;
            }
        }
        match place {
            Place::Own => self.enter(view),
            Place::Shared => self.share(),
        }
        for (place, in_flight) in view.concurrency.iter().zip(standing.concurrency.iter_mut()) {
            *in_flight = self.in_flight_of(*place);
        }
        standing.in_flight = self.in_flight();
    }

    /// Gives back what a hold reserved and books what it is charged, in its windows at admission.
    pub(super) fn settle(&mut self, view: &View, cost: u64, charge: u64, place: Place) {
        let mut is_last_of_ended = false;
        for place in &view.accounts {
            let Some(account) = self.accounts.get_mut(*place) else { continue };
            account.settle(cost, charge);
            is_last_of_ended |= account.is_over(self.latest);
        }
        match place {
            Place::Own => self.leave(view),
            Place::Shared => self.sharing = self.sharing.saturating_sub(1),
        }
        if is_last_of_ended {
            self.drop_ended();
        }
    }

    /// Counts a request that begins.
    fn enter(&mut self, view: &View) {
        self.whole.enter();
        for place in &view.parts {
            if let Some(part) = self.parts.get_mut(*place) {
                part.enter();
            }
        }
    }

    /// Counts a request that ends.
    pub(super) fn leave(&mut self, view: &View) {
        self.whole.leave();
        for place in &view.parts {
            if let Some(part) = self.parts.get_mut(*place) {
                part.leave();
            }
        }
    }

    /// Counts a hold within a place that is another's.
    pub(super) fn share(&mut self) {
        self.sharing = self.sharing.saturating_add(1);
    }

    /// Adds usage. Of a window that is over it is left out, as nothing will ask for it.
    pub(super) fn load(&mut self, id: &AccountId, used: u64) {
        if let Some(account) = self.account_mut(id) {
            account.used = account.used.saturating_add(used);
        }
    }

    /// Gives units back, or charges them if they are negative; gives what is used then.
    pub(super) fn adjust(&mut self, id: &AccountId, units: i64) -> u64 {
        let changed = |used: u64| match units {
            ..0 => used.saturating_add(units.unsigned_abs()),
            0.. => used.saturating_sub(units.unsigned_abs()),
        };
        match self.account_mut(id) {
            Some(account) => account.adjust(changed),
            None => changed(0),
        }
    }

    /// Gives the customer's money, if there is or was any.
    pub(super) fn credit(&self) -> Option<&Credit> {
        self.credit.as_deref()
    }

    /// Gives the customer's money to be changed.
    pub(super) fn credit_mut(&mut self) -> &mut Credit {
        self.credit.get_or_insert_default()
    }

    /// Takes a price from the customer's money. Where other nodes take of it as well, `is_away` tells that these
    /// cannot be asked.
    pub(super) fn draw(
        &mut self,
        price: Money,
        when: When,
        is_away: bool,
    ) -> Result<(Arc<Draw>, CreditStanding), Gap> {
        let credit = self.credit.as_mut().ok_or(Gap::Short(Short::Missing))?;
        match self.leased {
            Some(_) => credit.draw_shared(price, when, is_away),
            None => credit.draw(price, when.arrived).map_err(Gap::Short),
        }
    }

    /// Tells whether a price could be taken from the customer's money, and gives what there is.
    pub(super) fn would_draw(&self, price: Money, now: Timestamp) -> Result<CreditStanding, Short> {
        self.credit().map_or(Err(Short::Missing), |credit| credit.would_draw(price, now))
    }

    /// Tells what there is of a currency; `None` if there never was any.
    pub(super) fn credit_standing(
        &self,
        currency: Currency,
        now: Timestamp,
    ) -> Option<CreditStanding> {
        self.credit()?.standing(currency, now)
    }

    /// Counts the requests in flight of the customer as a whole.
    pub(super) fn in_flight(&self) -> u32 {
        self.whole.in_flight()
    }

    pub(super) fn check_invariants(&self) {
        let Self { latest, accounts, whole, sharing, parts, views, credit, portion: _, leased: _ } =
            self;
        whole.check_invariants();
        if let Some(credit) = credit {
            credit.check_invariants();
        }
        let whole = whole.in_flight();
        for (index, account) in accounts.iter().enumerate() {
            let same = accounts.iter().skip(index.saturating_add(1)).find(|a| a.id.is(&account.id));
            assert!(same.is_none(), "two accounts for {:?}", account.id);
            let most = whole.saturating_add(*sharing);
            assert!(account.holds <= most, "more holds than requests in flight");
            assert!(account.holds > 0 || account.reserved == 0, "units reserved by no hold");
        }
        for (limits, view) in views.iter() {
            assert_eq!(limits.quotas.len(), view.set.accounts.len(), "an account for every quota");
            if view.holds_at(*latest) {
                self.check_view(limits, view);
            }
        }
        for part in parts.iter() {
            assert!(part.in_flight() <= whole, "a part is in flight and the whole is not");
            part.check_invariants();
        }
    }

    fn check_view(&self, limits: &Limits, view: &View) {
        let windows = view.set.accounts.iter().map(|id| &id.window);
        assert!(view.windows.iter().eq(windows), "the windows of the accounts");
        for ((quota, id), place) in limits.quotas.iter().zip(&view.set.accounts).zip(&view.accounts)
        {
            assert_eq!(quota.account, id.quota, "accounts in the order of the quotas");
            assert!(id.window.contains(self.latest), "a window that is over");
            let account = self.accounts.get(*place).expect("a view's accounts are kept");
            assert!(account.id.is(id), "{:?} in the place of {id:?}", account.id);
            assert!(!account.is_over(self.latest), "an account that ends before its window");
        }
        let rates = limits.rates.iter().map(|rate| &rate.scope).zip(&view.rates);
        let concurrency = limits.concurrency.iter().map(|limit| &limit.scope);
        for (scope, place) in rates.chain(concurrency.zip(&view.concurrency)) {
            let part = self.part(*place).expect("a view's parts are kept");
            assert_eq!(part.scope, *scope, "parts in the order of the limits");
        }
    }

    /// Finds what the limits mean anew; the same set as before if the accounts are the same. Kept out
    /// of the way of the requests in between, which are almost all.
    #[cold]
    #[inline(never)]
    fn renew(&mut self, customer: &Arc<str>, limits: &Arc<Limits>, now: Timestamp) -> Arc<View> {
        let ids: Vec<AccountId> = tally::ids(limits, self.latest).collect();
        self.drop_ended();
        let accounts = ids.iter().map(|id| self.account_place(id)).collect();
        let windows = ids.iter().map(|id| id.window).collect();
        let set = self.views.set_of(&ids).unwrap_or_else(|| {
            let id = SET_ID_NEXT.fetch_add(1, Ordering::Relaxed);
            Arc::new(AccountSet { id, customer: Arc::clone(customer), accounts: ids })
        });
        let rates: Few<usize> =
            limits.rates.iter().map(|rate| self.part_place(&rate.scope)).collect();
        let concurrency: Few<usize> =
            limits.concurrency.iter().map(|limit| self.part_place(&limit.scope)).collect();
        let of_quotas = limits.quotas.iter().map(|quota| self.part_place(&quota.scope));
        let mut parts: Vec<usize> = of_quotas.collect();
        parts.extend(rates.iter().chain(&concurrency));
        parts.retain(|place| *place != WHOLE);
        parts.sort_unstable();
        parts.dedup();
        let until = limits.quotas.iter().filter_map(|quota| quota.window.until(self.latest)).min();
        let parts = parts.into_iter().collect();
        let set_id = set.id;
        let view = View { set, set_id, accounts, windows, parts, rates, concurrency, until };
        let view = Arc::new(view);
        self.views.keep(limits, &view);
        self.drop_idle_parts(now);
        view
    }

    fn in_flight_of(&self, part: usize) -> u32 {
        self.part(part).map_or(0, Part::in_flight)
    }

    fn part(&self, place: usize) -> Option<&Part> {
        if place == WHOLE { Some(&self.whole) } else { self.parts.get(place) }
    }

    fn part_mut(&mut self, place: usize) -> Option<&mut Part> {
        if place == WHOLE { Some(&mut self.whole) } else { self.parts.get_mut(place) }
    }

    /// Gives the place of the part, of a new one if there is none yet.
    fn part_place(&mut self, scope: &Arc<str>) -> usize {
        if scope.is_empty() {
            return WHOLE;
        }
        let known = self.parts.position(|part| part.scope == *scope);
        known.unwrap_or_else(|| self.parts.insert(Part::new(Arc::clone(scope))))
    }

    /// Gives the place of the account, of a new one if there is none yet. From here on it lasts as
    /// long as this window.
    fn account_place(&mut self, id: &AccountId) -> usize {
        let Some(place) = self.accounts.position(|account| account.id.is(id)) else {
            return self.accounts.insert(Tally::new(id.clone()));
        };
        if let Some(account) = self.accounts.get_mut(place) {
            account.last_until(id.window.end);
        }
        place
    }

    /// Gives the account, a new one if there is none yet; `None` if there is none and its window is
    /// over.
    fn account_mut(&mut self, id: &AccountId) -> Option<&mut Tally> {
        self.drop_ended();
        let is_over = id.window.end.is_some_and(|end| end <= self.latest);
        if is_over && self.accounts.position(|account| account.id.is(id)).is_none() {
            return None;
        }
        let place = self.account_place(id);
        self.accounts.get_mut(place)
    }

    /// Forgets accounts whose window is over, but for those with requests in flight: what these
    /// settle is booked where it was reserved.
    fn drop_ended(&mut self) {
        let latest = self.latest;
        self.accounts.retain(|_, account| !account.is_over(latest));
    }

    /// Forgets the applications and keys that no limits name now and that have nothing to remember.
    fn drop_idle_parts(&mut self, now: Timestamp) {
        let mut named: Vec<usize> =
            self.views.iter().flat_map(|(_, view)| view.parts.iter().copied()).collect();
        named.sort_unstable();
        self.parts.retain(|place, part| named.binary_search(&place).is_ok() || !part.is_idle(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Quota, WindowKind, WindowSpec};

    fn day(text: &str) -> Timestamp {
        format!("{text}T12:00:00Z").parse().unwrap()
    }

    fn daily(name: &str) -> Arc<Limits> {
        let name: Arc<str> = Arc::from(name);
        let window = WindowSpec::new(WindowKind::Day);
        let scope = Arc::default();
        let account = Arc::clone(&name);
        let quotas = vec![Quota { scope, account, name, limit: 10, overage: None, window }];
        Arc::new(Limits { quotas, ..Limits::default() })
    }

    fn take(state: &mut State, limits: &Arc<Limits>, now: Timestamp) -> Arc<View> {
        let view = state.advance(&Arc::from("acme"), limits, now);
        let mut standing = state.standing(limits, &view, now);
        state.take(&view, 1, Place::Own, &mut standing, now);
        state.check_invariants();
        view
    }

    #[test]
    fn ended_accounts_are_dropped_once_nothing_is_in_flight() {
        let mut state = State::new(Timestamp::UNIX_EPOCH, false);
        let (limits, other) = (daily("calls"), daily("other"));
        let settled = take(&mut state, &limits, day("2026-03-01"));
        state.settle(&settled, 1, 1, Place::Own);
        let unnamed = take(&mut state, &other, day("2026-03-01"));
        state.settle(&unnamed, 1, 1, Place::Own);
        assert_eq!(state.accounts.iter().count(), 2);

        let open = take(&mut state, &limits, day("2026-03-01"));
        let current = take(&mut state, &limits, day("2026-03-02"));
        assert_eq!(state.accounts.iter().count(), 2, "the day before has a hold");
        state.settle(&open, 1, 1, Place::Own);
        assert_eq!(state.accounts.iter().count(), 1);
        state.settle(&current, 1, 1, Place::Own);
        assert_eq!(state.accounts.iter().count(), 1);
        state.check_invariants();
    }

    #[test]
    fn what_is_loaded_for_a_window_that_is_over_is_left_out() {
        let limits = daily("calls");
        let window = limits.quotas[0].window.window_at(day("2026-03-01"));
        let id = AccountId { scope: Arc::default(), quota: Arc::from("calls"), window };
        let mut state = State::new(window.end.unwrap(), false);
        state.load(&id, 5);
        assert_eq!(state.accounts.iter().count(), 0);
        let mut state = State::new(window.start, false);
        state.load(&id, 5);
        assert_eq!(state.accounts.iter().count(), 1);
    }
}
