//! One customer's accounts under one lock, which makes all-or-none trivial.
//!
//! Invariant: a refused request has changed nothing that a later decision depends on.

use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use super::{
    AccountId, Charge, CreditStanding, Draw, Grant, Hold, Lacking, Limits, Partition, Place, Post,
    Shortage, Standing, Violation,
    credit::{Gap, Short},
    lease::Lack,
    state::{State, moment},
    sync::{Mutex, MutexGuard},
    view::View,
};
use crate::model::{Currency, Money, Nanos};

/// What one customer has used and holds.
#[derive(Debug)]
pub struct Accounts {
    id: Arc<str>,
    /// A plain mutex: it is held for tens of nanoseconds, never across an await, and several atomic
    /// counters could not be taken together.
    state: Mutex<State>,
    /// Where other nodes count as well.
    post: Option<Arc<Post>>,
    partition: Arc<Partition>,
}

/// When a request is decided.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// When it came: its windows are of this time.
    pub arrived: Timestamp,
    /// Now: later, where it had to wait for units that other nodes share.
    pub now: Timestamp,
}

/// It came just now.
impl From<Timestamp> for When {
    fn from(now: Timestamp) -> Self {
        Self { arrived: now, now }
    }
}

/// Why the customer's money does not pay for a request; nothing was taken.
#[derive(Debug)]
pub enum Unpaid {
    /// A limit stands in the way, whoever pays.
    Limits(Box<Shortage>),
    /// There is too little money.
    Credit {
        /// What there is; `None` if there never was a grant in the currency.
        standing: Option<CreditStanding>,
        /// It would be enough if no call in flight held any.
        is_in_flight: bool,
        /// Where the customer stands against the limits, which the request fits.
        limits: Box<Standing>,
    },
}

fn unpaid(state: &State, standing: Standing, short: Short, price: Money, now: Timestamp) -> Unpaid {
    Unpaid::Credit {
        standing: state.credit_standing(price.currency, now),
        is_in_flight: short == Short::InFlight,
        limits: Box::new(standing),
    }
}

/// A request that fits all limits, with the lock, so that nothing changes until it takes what it costs.
struct Admitted<'a> {
    accounts: &'a Arc<Accounts>,
    state: MutexGuard<'a, State>,
    view: Arc<View>,
    standing: Standing,
    place: Place,
    when: When,
}

impl Admitted<'_> {
    /// Takes what it costs; with what was drawn for it.
    #[inline]
    fn take(self, cost: Charge, drawn: Option<(Arc<Draw>, CreditStanding)>) -> Hold {
        let Self { accounts, mut state, view, mut standing, place, when } = self;
        state.take(&view, cost.units, place, &mut standing, when.now);
        let is_to_be_listed = state.is_to_be_listed(&view, moment(when.now));
        if cfg!(debug_assertions) {
            state.check_invariants();
        }
        drop(state);
        accounts.list(is_to_be_listed);
        Hold::new(Arc::clone(accounts), view, standing, cost, place, drawn)
    }

    /// Takes nothing.
    fn refuse(mut self, violations: Vec<Violation>, lack: Option<Lacking>) -> Box<Shortage> {
        let is_to_be_listed =
            lack.is_some() && self.state.is_to_be_listed(&self.view, moment(self.when.now));
        drop(self.state);
        if lack.is_some() {
            self.accounts.hurry(is_to_be_listed);
        }
        Box::new(Shortage { standing: self.standing, violations, lack })
    }
}

impl Accounts {
    /// Begins without usage. Windows are never chosen for a time before the floor. With a post, other nodes
    /// count as well.
    pub(super) fn new(
        id: Arc<str>,
        floor: Timestamp,
        post: Option<Arc<Post>>,
        partition: Arc<Partition>,
    ) -> Self {
        let state = Mutex::new(State::new(floor, post.is_some()));
        Self { id, state, post, partition }
    }

    /// Checks all limits and takes from all of them, or from none.
    ///
    /// Every request takes 1 from the rate and counts as in flight, also one that costs nothing.
    pub fn reserve(
        self: &Arc<Self>,
        limits: &Arc<Limits>,
        cost: u64,
        when: impl Into<When>,
    ) -> Result<Hold, Box<Shortage>> {
        self.reserve_at(Place::Own, limits, cost, when)
    }

    /// Does as [`Accounts::reserve`], for what has this place among the requests in flight.
    pub fn reserve_at(
        self: &Arc<Self>,
        place: Place,
        limits: &Arc<Limits>,
        cost: u64,
        when: impl Into<When>,
    ) -> Result<Hold, Box<Shortage>> {
        let admitted = self.admit(place, limits, cost, when.into())?;
        Ok(admitted.take(Charge::units(cost), None))
    }

    /// Finds out whether a request fits all limits, and keeps the lock until it is taken.
    #[inline]
    fn admit<'a>(
        self: &'a Arc<Self>,
        place: Place,
        limits: &Arc<Limits>,
        cost: u64,
        when: When,
    ) -> Result<Admitted<'a>, Box<Shortage>> {
        let mut state = self.lock();
        let view = state.advance(&self.id, limits, when.arrived);
        let standing = state.standing(limits, &view, when.arrived);
        let fits = self.check(&mut state, (limits, &view), &standing, (place, cost), when);
        let admitted = Admitted { accounts: self, state, view, standing, place, when };
        match fits {
            Ok(()) => Ok(admitted),
            Err((violations, lack)) => Err(admitted.refuse(violations, lack)),
        }
    }

    /// Checks all limits. Of units that other nodes share it may not be known whether there are enough: then
    /// nothing else stands in the way.
    #[inline]
    fn check(
        &self,
        state: &mut State,
        (limits, view): (&Limits, &View),
        standing: &Standing,
        (place, cost): (Place, u64),
        when: When,
    ) -> Result<(), (Vec<Violation>, Option<Lacking>)> {
        let Some(post) = &self.post else {
            let violations = place.bound_by(standing.violations(cost));
            return if violations.is_empty() { Ok(()) } else { Err((violations, None)) };
        };
        let mut violations = place.bound_by(standing.throttles());
        let (short, lack) = state.lacks(limits, view, cost, when);
        violations.extend(short);
        match lack {
            _ if !violations.is_empty() => Err((violations, None)),
            None | Some(Lack::UsedUp) => Ok(()),
            Some(lack) => {
                // Asked for also where nobody waits, so that it is there for the next one.
                state.wait(view, cost, when.now);
                Err((violations, Some(state.lacking(lack, post.is_away()))))
            }
        }
    }

    /// Checks all limits and draws the price on the customer's money, or takes nothing.
    ///
    /// `limits` are those that bind whoever pays; the allowances that the money stands in for are not
    /// among them.
    pub fn reserve_paid(
        self: &Arc<Self>,
        limits: &Arc<Limits>,
        cost: u64,
        price: Money,
        when: impl Into<When>,
    ) -> Result<Hold, Unpaid> {
        self.reserve_paid_at(Place::Own, limits, cost, price, when)
    }

    /// Does as [`Accounts::reserve_paid`], for what has this place among the requests in flight.
    pub fn reserve_paid_at(
        self: &Arc<Self>,
        place: Place,
        limits: &Arc<Limits>,
        cost: u64,
        price: Money,
        when: impl Into<When>,
    ) -> Result<Hold, Unpaid> {
        let mut admitted = self.admit(place, limits, cost, when.into()).map_err(Unpaid::Limits)?;
        let is_away = self.post.as_ref().is_some_and(|post| post.is_away());
        let Admitted { state, when, .. } = &mut admitted;
        match state.draw(price, *when, is_away) {
            Ok(drawn) => {
                let cost = Charge { units: cost, nanos: price.nanos };
                Ok(admitted.take(cost, Some(drawn)))
            }
            Err(Gap::Lack(lack)) => {
                let lacking = state.lacking(lack, is_away);
                Err(Unpaid::Limits(admitted.refuse(Vec::new(), Some(lacking))))
            }
            Err(Gap::Short(short)) => {
                let Admitted { state, standing, when, .. } = admitted;
                Err(unpaid(&state, standing, short, price, when.now))
            }
        }
    }

    /// Adds a grant, of which so much is left.
    pub fn grant(&self, grant: &Grant, left: Nanos) {
        let mut state = self.lock();
        let is_known = state.credit().is_some_and(|credit| credit.knows(grant));
        // Where nodes share it all of them are told, also who knows it from the store.
        if self.post.is_none() || !is_known {
            state.credit_mut().add(grant, left);
        }
    }

    /// Adds to what the customer owes; takes off if it is negative.
    pub fn owe(&self, currency: Currency, nanos: Nanos) {
        self.lock().credit_mut().owe(currency, nanos);
    }

    /// Promises to repay of what the customer owes so much at most; gives how much that is. It is owed until
    /// [`Accounts::repay`], but nobody else promises it until then or [`Accounts::withdraw`].
    pub fn promise(&self, currency: Currency, most: Nanos) -> Nanos {
        let mut state = self.lock();
        if state.credit().is_none() {
            return Nanos::ZERO;
        }
        state.credit_mut().promise(currency, most)
    }

    /// Takes off what the customer owes what was promised.
    pub fn repay(&self, currency: Currency, nanos: Nanos) {
        let mut state = self.lock();
        let credit = state.credit_mut();
        credit.end_promise(currency, nanos);
        credit.owe(currency, Nanos(nanos.0.saturating_neg()));
    }

    /// Takes back a promise.
    pub fn withdraw(&self, currency: Currency, nanos: Nanos) {
        self.lock().credit_mut().end_promise(currency, nanos);
    }

    /// Takes from a grant that has expired.
    pub fn take_from_grant(&self, currency: Currency, grant: &str, nanos: Nanos) {
        self.lock().credit_mut().take_from(currency, grant, nanos);
    }

    /// Adds usage known from the store at start.
    pub fn load(&self, account: &AccountId, used: u64) {
        self.lock().load(account, used);
    }

    /// Gives units back to the customer, at most what is used; charges them if they are negative. Gives
    /// what is used then. Of a window that is over nothing is kept.
    pub fn adjust(&self, account: &AccountId, units: i64) -> u64 {
        self.lock().adjust(account, units)
    }

    /// Books the end of a hold.
    pub(super) fn settle(
        self: &Arc<Self>,
        view: &View,
        draw: Option<&Draw>,
        cost: Charge,
        charge: Charge,
        place: Place,
    ) {
        let mut state = self.lock();
        state.settle(view, cost.units, charge.units, place);
        if let Some(draw) = draw {
            state.credit_mut().settle(draw, cost.nanos, charge.nanos);
        }
        let is_to_be_listed = state.is_to_be_listed_now(view);
        drop(state);
        self.list(is_to_be_listed);
    }

    /// Counts a hold whose place is from here on that of a [`super::Stay`].
    pub(super) fn share(&self) {
        self.lock().share();
    }

    /// Ends what was in flight and held nothing any more.
    pub(super) fn leave(&self, view: &View) {
        self.lock().leave(view);
    }

    /// Gives the customer's id.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Tells what is used and left now, taking nothing.
    pub fn standing(&self, limits: &Arc<Limits>, now: Timestamp) -> Standing {
        self.lock().look(limits, now)
    }

    /// Tells what [`Accounts::reserve`] would find now, taking nothing.
    pub fn would_reserve(
        &self,
        limits: &Arc<Limits>,
        cost: u64,
        now: Timestamp,
    ) -> Result<Standing, Box<Shortage>> {
        let standing = self.standing(limits, now);
        let violations = standing.violations(cost);
        if violations.is_empty() {
            Ok(standing)
        } else {
            Err(Box::new(Shortage { standing, violations, lack: None }))
        }
    }

    /// Tells what [`Accounts::reserve_paid`] would find now, taking nothing.
    pub fn would_reserve_paid(
        &self,
        limits: &Arc<Limits>,
        cost: u64,
        price: Money,
        now: Timestamp,
    ) -> Result<(Standing, CreditStanding), Unpaid> {
        let standing = self.would_reserve(limits, cost, now).map_err(Unpaid::Limits)?;
        let state = self.lock();
        match state.would_draw(price, now) {
            Ok(credit) => Ok((standing, credit)),
            Err(short) => Err(unpaid(&state, standing, short, price, now)),
        }
    }

    /// Tells what money there is, by currency.
    pub fn credit(&self, now: Timestamp) -> Vec<CreditStanding> {
        self.lock().credit().map_or_else(Vec::new, |credit| credit.standings(now))
    }

    /// Gives what is owed in a currency.
    pub fn debt(&self, currency: Currency) -> Nanos {
        self.lock().credit().map_or(Nanos::ZERO, |credit| credit.debt(currency))
    }

    /// Gives what is left of a grant once no call holds any of it; `None` while one does, and if there
    /// is no such grant any more.
    pub fn left_unheld(&self, grant: &str) -> Option<Nanos> {
        self.lock().credit().and_then(|credit| credit.left_unheld(grant))
    }

    /// Lists the grants of which something is left, with that.
    pub fn grants(&self) -> Vec<(Grant, Nanos)> {
        let state = self.lock();
        let grants = state.credit().into_iter().flat_map(|credit| credit.grants());
        grants.map(|(grant, left)| (grant.clone(), left)).collect()
    }

    /// Gives how much is taken of the quota of which most is, in millionths, as far as requests have come
    /// with its limits since the start. It finds out nothing anew and changes nothing, so that all
    /// customers may be asked.
    pub fn fullest_millionths(&self, now: Timestamp) -> Option<u64> {
        self.lock().fullest_millionths(now)
    }

    /// Asserts what must hold between any two calls.
    pub fn check_invariants(&self) {
        self.lock().check_invariants();
    }

    pub(super) fn post(&self) -> Option<&Arc<Post>> {
        self.post.as_ref()
    }

    /// A poisoned lock is taken all the same. Nothing under it is left half done by a panic: no code
    /// of others runs there, the arithmetic saturates, and running out of memory aborts. Refusing the
    /// customer for ever would be worse than going on.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.portion = self.partition.portion();
        state
    }
}
