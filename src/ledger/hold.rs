//! Units set aside for one request in flight, and its place among those that are.

use std::sync::Arc;

use super::{AccountSet, Accounts, CreditStanding, Draw, Standing, Violation, view::View};
use crate::model::{Money, Nanos};

/// What one request has taken; settled exactly once.
///
/// Not `Clone`: two of them would give back, or charge, twice.
#[derive(Debug)]
#[must_use = "dropping a hold charges its full cost"]
pub struct Hold {
    accounts: Arc<Accounts>,
    view: Arc<View>,
    standing: Standing,
    cost: Charge,
    place: Place,
    /// Whose money it holds.
    draw: Option<Arc<Draw>>,
    /// What money there was before.
    credit: Option<CreditStanding>,
    /// Stays at the cost until settled, so that a lost settle never makes a call free.
    charge: Charge,
}

/// The place that a take has among the requests in flight, which limits on concurrency count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// One of its own.
    Own,
    /// That of a connection that is in flight by itself.
    Shared,
}

impl Place {
    /// Leaves the limits that bind what has this place. Who has a place asks for none.
    pub(super) fn bound_by(self, mut violations: Vec<Violation>) -> Vec<Violation> {
        if self == Self::Shared {
            violations.retain(|violation| !matches!(violation, Violation::Concurrency(_)));
        }
        violations
    }
}

/// A place among the requests in flight, kept after what was set aside is settled.
#[derive(Debug)]
#[must_use = "dropping it gives up the place"]
pub struct Stay {
    accounts: Arc<Accounts>,
    view: Arc<View>,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.accounts.leave(&self.view);
    }
}

/// What a request takes: units of the accounts, and money of the grants that it draws on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Charge {
    /// Units of every account.
    pub units: u64,
    /// Money of all grants together.
    pub nanos: Nanos,
}

/// Units alone.
impl From<u64> for Charge {
    fn from(units: u64) -> Self {
        Self::units(units)
    }
}

/// What a request has taken, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// The accounts, in their windows at admission. The same `Arc` as for the request before while
    /// windows and quota names are the same.
    pub set: &'a Arc<AccountSet>,
    /// The set's number, which is read without a look at the set.
    pub set_id: u64,
    /// The grants, if money was drawn. The same `Arc` for all that one grant pays alone.
    pub draw: Option<&'a Arc<Draw>>,
    /// How much.
    pub cost: Charge,
}

impl<'a> Taken<'a> {
    /// Stands for units alone.
    pub fn units(set: &'a Arc<AccountSet>, units: u64) -> Self {
        Self { set, set_id: set.id, draw: None, cost: Charge::units(units) }
    }
}

impl Charge {
    /// Nothing at all.
    pub const NOTHING: Self = Self { units: 0, nanos: Nanos::ZERO };

    /// Makes it of units alone.
    pub fn units(units: u64) -> Self {
        Self { units, ..Self::NOTHING }
    }
}

impl Hold {
    /// Stands for what was just reserved in every account of the view, and drawn.
    pub(super) fn new(
        accounts: Arc<Accounts>,
        view: Arc<View>,
        standing: Standing,
        cost: Charge,
        place: Place,
        drawn: Option<(Arc<Draw>, CreditStanding)>,
    ) -> Self {
        let (draw, credit) = drawn.unzip();
        Self { accounts, view, standing, cost, place, draw, credit, charge: cost }
    }

    /// Ends the hold and books the charge, which may be less than the cost, or more: a debt.
    pub fn settle(mut self, charge: impl Into<Charge>) {
        self.charge = charge.into();
    }

    /// Keeps its place for as long as what is given lives, whenever the hold itself ends. A place that is
    /// another's stays that one's.
    pub fn stay(&mut self) -> Option<Stay> {
        let place = std::mem::replace(&mut self.place, Place::Shared);
        (place == Place::Own).then(|| {
            self.accounts.share();
            Stay { accounts: Arc::clone(&self.accounts), view: Arc::clone(&self.view) }
        })
    }

    /// Gives what is set aside.
    pub fn cost(&self) -> Charge {
        self.cost
    }

    /// Gives what it has taken, and from where.
    pub fn taken(&self) -> Taken<'_> {
        let View { set, set_id, .. } = &*self.view;
        Taken { set, set_id: *set_id, draw: self.draw.as_ref(), cost: self.cost }
    }

    /// Gives the money that is set aside; `None` where the allowance pays.
    pub fn price(&self) -> Option<Money> {
        let Charge { nanos, .. } = self.cost;
        self.draw.as_ref().map(|draw| Money { nanos, currency: draw.currency })
    }

    /// Gives where the customer stood right after the take.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Gives what money there was before the take; `None` where the allowance pays.
    pub fn credit(&self) -> Option<CreditStanding> {
        self.credit
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
        let draw = self.draw.as_deref();
        self.accounts.settle(&self.view, draw, self.cost, self.charge, self.place);
    }
}
