//! One customer's accounts under one lock, which makes all-or-none trivial.
//!
//! Invariant: a refused request has changed nothing that a later decision depends on.

use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use super::{
    AccountId, Hold, Limits, Shortage, Standing,
    state::State,
    sync::{Mutex, MutexGuard},
    view::View,
};

/// What one customer has used and holds.
#[derive(Debug)]
pub struct Accounts {
    id: Arc<str>,
    /// A plain mutex: it is held for tens of nanoseconds, never across an await, and several atomic
    /// counters could not be taken together.
    state: Mutex<State>,
}

impl Accounts {
    /// Begins without usage. Windows are never chosen for a time before the floor.
    pub(super) fn new(id: Arc<str>, floor: Timestamp) -> Self {
        Self { id, state: Mutex::new(State::new(floor)) }
    }

    /// Checks all limits and takes from all of them, or from none.
    ///
    /// Every request takes 1 from the rate and counts as in flight, also one that costs nothing.
    pub fn reserve(
        self: &Arc<Self>,
        limits: &Arc<Limits>,
        cost: u64,
        now: Timestamp,
    ) -> Result<Hold, Box<Shortage>> {
        let mut state = self.lock();
        let view = state.advance(&self.id, limits, now);
        let mut standing = state.standing(limits, &view, now);
        let violations = standing.violations(cost);
        if !violations.is_empty() {
            return Err(Box::new(Shortage { standing, violations }));
        }
        state.take(&view, cost, &mut standing, now);
        if cfg!(debug_assertions) {
            state.check_invariants();
        }
        drop(state);
        Ok(Hold::new(Arc::clone(self), view, standing, cost))
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
    pub(super) fn settle(&self, view: &View, cost: u64, charge: u64) {
        self.lock().settle(view, cost, charge);
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
            Err(Box::new(Shortage { standing, violations }))
        }
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

    /// A poisoned lock is taken all the same. Nothing under it is left half done by a panic: no code
    /// of others runs there, the arithmetic saturates, and running out of memory aborts. Refusing the
    /// customer for ever would be worse than going on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
