//! One customer's money: what was granted, what is left of it, and what calls in flight hold.
//!
//! Invariants: of each grant `0 <= held <= left`; what is held belongs to holds that name the grant; a
//! grant with holds is never dropped, however long it has expired.

mod pot;
mod shared;

use std::sync::Arc;

use jiff::Timestamp;

use self::pot::Pot;
pub(super) use self::shared::Gap;
use super::{
    AccountId, Window,
    draw::{Draw, Share},
};
use crate::model::{Currency, Money, Nanos};

/// The scope of the accounts that grants are, where several nodes draw on them: no quota has it.
pub const GRANT_SCOPE: &str = "grant";

/// Money that a customer was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// Its identifier.
    pub id: Arc<str>,
    /// Rises with each grant that is made.
    pub number: u64,
    /// What the money is.
    pub currency: Currency,
    /// How much it was.
    pub amount: Nanos,
    /// Lower ones are drawn on first.
    pub priority: u8,
    /// The first instant at which it may be drawn on.
    pub effective: Timestamp,
    /// The first instant at which it may no longer be; `None` for never.
    pub expires: Option<Timestamp>,
}

impl Grant {
    /// Gives the account that it is where several nodes draw on it: its limit is the amount.
    fn account(&self) -> AccountId {
        let window = Window { start: self.effective, end: self.expires };
        AccountId { scope: GRANT_SCOPE.into(), quota: Arc::clone(&self.id), window }
    }
}

/// What a customer has of one currency.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CreditStanding {
    /// The currency.
    pub currency: Currency,
    /// What is left of grants in force, less what is owed; below zero for a debt.
    pub balance: Nanos,
    /// What calls in flight hold of it.
    pub reserved: Nanos,
}

/// All the money of one customer, by currency. Most customers have none.
#[derive(Debug, Default)]
pub(super) struct Credit(Vec<Purse>);

/// The money of one currency.
#[derive(Debug)]
struct Purse {
    currency: Currency,
    /// In the order in which they are drawn on.
    grants: Vec<Pot>,
    /// What is owed. Below zero while a repayment is known and what it repays is not.
    debt: Nanos,
    /// What of it is being repaid by a change that is not committed.
    promised: Nanos,
    /// The numbers of grants that are spent, where several nodes draw on them: what this node had of one would be
    /// unsaid if it came again.
    spent: Vec<u64>,
}

/// Why a price cannot be drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Short {
    /// Calls in flight hold what is missing.
    InFlight,
    /// It is not there.
    Missing,
}

impl Credit {
    /// Adds a grant, of which so much is left.
    pub(super) fn add(&mut self, grant: &Grant, left: Nanos) {
        let purse = self.purse_mut(grant.currency);
        match purse.grants.iter_mut().find(|pot| pot.grant.id == grant.id) {
            Some(pot) => pot.add(left),
            None => purse.put(Pot::new(grant.clone(), left)),
        }
    }

    /// Tells whether a grant is known.
    pub(super) fn knows(&self, grant: &Grant) -> bool {
        self.grants().any(|(known, _)| known.id == grant.id)
    }

    /// Adds to what is owed; takes off if it is negative.
    pub(super) fn owe(&mut self, currency: Currency, nanos: Nanos) {
        let debt = &mut self.purse_mut(currency).debt;
        *debt = debt.saturating_add(nanos);
    }

    /// Promises to repay of what is owed so much at most; gives how much that is.
    pub(super) fn promise(&mut self, currency: Currency, most: Nanos) -> Nanos {
        let Some(purse) = self.0.iter_mut().find(|purse| purse.currency == currency) else {
            return Nanos::ZERO;
        };
        let owed = purse.debt.saturating_sub(purse.promised).max(Nanos::ZERO);
        let nanos = owed.min(most).max(Nanos::ZERO);
        purse.promised = purse.promised.saturating_add(nanos);
        nanos
    }

    /// Takes back a promise: what it was for is repaid, or will not be.
    pub(super) fn end_promise(&mut self, currency: Currency, nanos: Nanos) {
        let promised = &mut self.purse_mut(currency).promised;
        debug_assert!(*promised >= nanos, "a promise is ended twice");
        *promised = promised.saturating_sub(nanos);
    }

    /// Takes from a grant what calls do not hold: it has expired.
    pub(super) fn take_from(&mut self, currency: Currency, grant: &str, nanos: Nanos) {
        let purse = self.purse_mut(currency);
        if let Some(pot) = purse.grants.iter_mut().find(|pot| *pot.grant.id == *grant) {
            pot.take_away(nanos);
        }
        purse.drop_spent();
    }

    /// Takes the price from grants in force, all of it or nothing. Gives what there was before, too.
    pub(super) fn draw(
        &mut self,
        price: Money,
        now: Timestamp,
    ) -> Result<(Arc<Draw>, CreditStanding), Short> {
        let purse = self.0.iter_mut().find(|purse| purse.currency == price.currency);
        purse.map_or(Err(Short::Missing), |purse| purse.draw(price.nanos, now))
    }

    /// Tells whether the price could be taken, and gives what there is.
    pub(super) fn would_draw(&self, price: Money, now: Timestamp) -> Result<CreditStanding, Short> {
        let purse = self.0.iter().find(|purse| purse.currency == price.currency);
        purse.map_or(Err(Short::Missing), |purse| purse.would_draw(price.nanos, now))
    }

    /// Gives back what was drawn, and takes for good what is charged of it.
    pub(super) fn settle(&mut self, draw: &Draw, drawn: Nanos, charge: Nanos) {
        let purse = self.purse_mut(draw.currency);
        for (grant, nanos) in draw.of(1, drawn) {
            let Some(pot) = purse.grants.iter_mut().find(|pot| pot.grant.id == *grant) else {
                continue;
            };
            pot.give_back(nanos);
        }
        for (grant, nanos) in draw.charged(drawn, charge).of(1, charge) {
            match purse.grants.iter_mut().find(|pot| pot.grant.id == *grant) {
                Some(pot) => pot.charge(nanos),
                None => purse.debt = purse.debt.saturating_add(nanos),
            }
        }
        purse.drop_spent();
    }

    /// Tells what there is of a currency; `None` if there never was a grant of it.
    pub(super) fn standing(&self, currency: Currency, now: Timestamp) -> Option<CreditStanding> {
        let purse = self.0.iter().find(|purse| purse.currency == currency)?;
        Some(purse.standing(now))
    }

    /// Tells what there is, by currency.
    pub(super) fn standings(&self, now: Timestamp) -> Vec<CreditStanding> {
        self.0.iter().map(|purse| purse.standing(now)).collect()
    }

    /// Gives what is owed in a currency.
    pub(super) fn debt(&self, currency: Currency) -> Nanos {
        self.0.iter().find(|purse| purse.currency == currency).map_or(Nanos::ZERO, |p| p.debt)
    }

    /// Gives what is left of a grant once no call holds any of it; `None` while one does, and if there is
    /// no such grant any more.
    pub(super) fn left_unheld(&self, grant: &str) -> Option<Nanos> {
        let mut pots = self.0.iter().flat_map(|purse| &purse.grants);
        let pot = pots.find(|pot| *pot.grant.id == *grant)?;
        (pot.held() == Nanos::ZERO).then_some(pot.left())
    }

    /// Lists what is left of each grant.
    pub(super) fn grants(&self) -> impl Iterator<Item = (&Grant, Nanos)> {
        self.0.iter().flat_map(|purse| &purse.grants).map(|pot| (&pot.grant, pot.left()))
    }

    pub(super) fn check_invariants(&self) {
        for purse in &self.0 {
            purse.grants.iter().for_each(Pot::check_invariants);
            let ordered = purse.grants.is_sorted_by_key(|pot| order(&pot.grant));
            assert!(ordered, "grants in the order in which they are drawn on");
        }
    }

    fn purse_mut(&mut self, currency: Currency) -> &mut Purse {
        let index = self.0.iter().position(|purse| purse.currency == currency);
        let index = index.unwrap_or_else(|| {
            self.0.push(Purse {
                currency,
                grants: Vec::new(),
                debt: Nanos::ZERO,
                promised: Nanos::ZERO,
                spent: Vec::new(),
            });
            self.0.len().saturating_sub(1)
        });
        #[expect(clippy::indexing_slicing, reason = "found, or just pushed")]
        &mut self.0[index]
    }
}

impl Purse {
    fn put(&mut self, pot: Pot) {
        if self.spent.contains(&pot.grant.number) {
            return;
        }
        self.grants.push(pot);
        self.grants.sort_by_key(|pot| order(&pot.grant));
    }

    fn would_draw(&self, price: Nanos, now: Timestamp) -> Result<CreditStanding, Short> {
        let standing = self.standing(now);
        let CreditStanding { balance, reserved, .. } = standing;
        if price > balance.saturating_sub(reserved) {
            return Err(if price <= balance { Short::InFlight } else { Short::Missing });
        }
        Ok(standing)
    }

    fn draw(&mut self, price: Nanos, now: Timestamp) -> Result<(Arc<Draw>, CreditStanding), Short> {
        let standing = self.would_draw(price, now)?;
        let mut usable = self.grants.iter_mut().filter(|pot| pot.is_usable(now)).peekable();
        while usable.next_if(|pot| pot.free() == Nanos::ZERO).is_some() {}
        if let Some(pot) = usable.next_if(|pot| pot.free() >= price) {
            pot.hold(price);
            return Ok((pot.whole(), standing));
        }
        let mut left = price;
        let mut shares = Vec::new();
        for pot in usable {
            let part = left.min(pot.free());
            if part > Nanos::ZERO {
                pot.hold(part);
                left = left.saturating_sub(part);
                let grant = Arc::clone(&pot.grant.id);
                shares.push(Share { grant, nanos: Some(part) });
            }
        }
        debug_assert_eq!(left, Nanos::ZERO, "the balance is what the grants have");
        Ok((Draw::new(self.currency, shares.into_iter().collect()), standing))
    }

    fn standing(&self, now: Timestamp) -> CreditStanding {
        let usable = || self.grants.iter().filter(|pot| pot.is_usable(now));
        let left: Nanos = usable().map(Pot::left).sum();
        CreditStanding {
            currency: self.currency,
            // A repayment that is known before what it repays is nobody's to spend.
            balance: left.saturating_sub(self.debt.max(Nanos::ZERO)),
            reserved: usable().map(Pot::held).sum(),
        }
    }

    /// Forgets grants of which nothing is left.
    fn drop_spent(&mut self) {
        let Self { grants, spent, .. } = self;
        grants.retain(|pot| {
            let is_spent = pot.is_spent();
            spent.extend((is_spent && pot.is_shared()).then_some(pot.grant.number));
            !is_spent
        });
    }
}

/// By priority, then what expires first, then what was granted first.
fn order(grant: &Grant) -> (u8, Timestamp, u64) {
    (grant.priority, grant.expires.unwrap_or(Timestamp::MAX), grant.number)
}
