//! Units set aside for one request in flight.

use std::sync::Arc;

use super::{AccountSet, Accounts, Standing, view::View};

/// What one request has taken; settled exactly once.
///
/// Not `Clone`: two of them would give back, or charge, twice.
#[derive(Debug)]
#[must_use = "dropping a hold charges its full cost"]
pub struct Hold {
    accounts: Arc<Accounts>,
    view: Arc<View>,
    standing: Standing,
    cost: u64,
    /// Stays at the cost until settled, so that a lost settle never makes a call free.
    charge: u64,
}

impl Hold {
    /// Stands for `cost` units that were just reserved in every account of the view.
    pub(super) fn new(
        accounts: Arc<Accounts>,
        view: Arc<View>,
        standing: Standing,
        cost: u64,
    ) -> Self {
        Self { accounts, view, standing, cost, charge: cost }
    }

    /// Ends the hold and books the charge, which may be less than the cost, or more: a debt.
    pub fn settle(mut self, charge: u64) {
        self.charge = charge;
    }

    /// Gives the units set aside.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// Gives the accounts it was taken from, in their windows at admission. The same `Arc` as for the
    /// request before while windows and quota names are the same.
    pub fn set(&self) -> &Arc<AccountSet> {
        &self.view.set
    }

    /// Gives where the customer stood right after the take.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Gives the customer's accounts.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }
}

impl Drop for Hold {
    /// The one place that books, for settled and lost holds alike. Takes the customer's lock, which
    /// is never held for longer than some integer arithmetic.
    fn drop(&mut self) {
        self.accounts.settle(&self.view, self.cost, self.charge);
    }
}
