//! The naive model: a number for everything, added up by hand.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::customers::CUSTOMERS;
use crate::{
    ledger::{Charge, Level, Limits, Quota, Taken},
    model::Nanos,
};

/// What has a number.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Key {
    /// Units used: customer, scope, quota's account, start of the window.
    Used(String, String, String, Timestamp),
    /// What is left of a grant.
    Left(String),
    /// What a customer owes.
    Owed(String),
    /// What a customer's usage by minute comes to, in units.
    MinuteUnits(String),
    /// The same in money.
    MinuteNanos(String),
}

/// Changes of numbers.
pub(super) type Delta = Vec<(Key, i64)>;

/// A grant as it was made; what is left of it is a number.
#[derive(Clone, Debug)]
pub(super) struct GrantTerms {
    pub(super) id: String,
    pub(super) customer: &'static str,
    pub(super) number: u64,
    pub(super) priority: u8,
    pub(super) effective: Timestamp,
    pub(super) expires: Option<Timestamp>,
}

/// A call in flight.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) customer: &'static str,
    pub(super) cost: Charge,
    accounts: Vec<Key>,
    draws: Vec<(String, i64)>,
    is_paid: bool,
}

impl Flight {
    /// Notes what a hold says that it took.
    pub(super) fn new(customer: &'static str, taken: Taken<'_>) -> Self {
        let key = |id: &crate::ledger::AccountId| {
            let (scope, quota) = (id.scope.to_string(), id.quota.to_string());
            Key::Used(customer.to_owned(), scope, quota, id.window.start)
        };
        let draws = taken.draw.into_iter().flat_map(|draw| draw.of(1, taken.cost.nanos));
        Self {
            customer,
            cost: taken.cost,
            accounts: taken.set.accounts.iter().map(key).collect(),
            draws: draws.map(|(grant, nanos)| (grant.to_string(), nanos.0)).collect(),
            is_paid: taken.draw.is_some(),
        }
    }

    /// Gives what it changes to be charged so much.
    pub(super) fn charged(&self, charge: Charge) -> Delta {
        let units = i64::try_from(charge.units).expect("few units");
        let mut delta: Delta = self.accounts.iter().map(|key| (key.clone(), units)).collect();
        let customer = || self.customer.to_owned();
        if !self.is_paid {
            delta.push((Key::MinuteUnits(customer()), units));
            return delta;
        }
        let mut left = charge.nanos.0;
        for (grant, nanos) in &self.draws {
            let part = left.min(*nanos);
            delta.push((Key::Left(grant.clone()), -part));
            left -= part;
        }
        delta.push((Key::Owed(customer()), left));
        delta.push((Key::MinuteNanos(customer()), charge.nanos.0));
        delta
    }
}

/// All numbers, and what is in flight.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) numbers: BTreeMap<Key, i64>,
    pub(super) grants: Vec<GrantTerms>,
    pub(super) flights: BTreeMap<u64, Flight>,
    /// The latest time that each customer was seen at.
    latest: BTreeMap<&'static str, Timestamp>,
}

impl Model {
    pub(super) fn add(&mut self, delta: &[(Key, i64)]) {
        for (key, amount) in delta {
            *self.numbers.entry(key.clone()).or_default() += amount;
        }
    }

    pub(super) fn of(&self, key: &Key) -> i64 {
        self.numbers.get(key).copied().unwrap_or(0)
    }

    /// Forgets times: nothing is decided for one before the floor.
    pub(super) fn restart(&mut self, floor: Timestamp) {
        self.flights.clear();
        self.latest = CUSTOMERS.iter().map(|customer| (*customer, floor)).collect();
    }

    /// Notes that a customer was seen at a time; gives the one that its windows are chosen for.
    pub(super) fn see(&mut self, customer: &'static str, now: Timestamp) -> Timestamp {
        let latest = self.latest.entry(customer).or_insert(Timestamp::MIN);
        *latest = now.max(*latest);
        *latest
    }

    /// Gives the account of a quota at a time.
    pub(super) fn account(customer: &str, quota: &Quota, at: Timestamp) -> Key {
        let (scope, account) = (quota.scope.to_string(), quota.account.to_string());
        Key::Used(customer.to_owned(), scope, account, quota.window.window_at(at).start)
    }

    /// Gives units used and held of an account.
    pub(super) fn standing(&self, account: &Key) -> (i64, i64) {
        let holds = |flight: &Flight| {
            let times = flight.accounts.iter().filter(|held| *held == account).count();
            i64::try_from(flight.cost.units).expect("few") * i64::try_from(times).expect("few")
        };
        (self.of(account), self.flights.values().map(holds).sum())
    }

    /// Lists the quotas that a call does not fit.
    pub(super) fn short(
        &self,
        customer: &str,
        limits: &Limits,
        cost: u64,
        at: Timestamp,
    ) -> Vec<bool> {
        let is_short = |quota: &Quota| {
            let (used, held) = self.standing(&Self::account(customer, quota, at));
            let beyond = quota.overage.as_ref().map_or(0, |overage| overage.units_max());
            let room = i128::from(quota.limit) + i128::from(beyond);
            i128::from(used.max(0)) + i128::from(held) + i128::from(cost) > room && cost > 0
        };
        limits.quotas.iter().map(is_short).collect()
    }

    /// Tells whether nothing but the customer's own allowances is short.
    pub(super) fn is_for_money(limits: &Limits, short: &[bool]) -> bool {
        let binding = limits.quotas.iter().zip(short).filter(|(_, short)| **short);
        binding.map(|(quota, _)| quota.level()).all(|level| level == Level::Customer)
    }

    fn held(&self, grant: &str) -> i64 {
        let draws = self.flights.values().flat_map(|flight| &flight.draws);
        draws.filter(|(held, _)| held == grant).map(|(_, nanos)| nanos).sum()
    }

    fn usable(&self, customer: &str, now: Timestamp) -> Vec<&GrantTerms> {
        let is_usable = |grant: &&GrantTerms| {
            grant.customer == customer
                && grant.effective <= now
                && grant.expires.is_none_or(|end| now < end)
        };
        let mut usable: Vec<_> = self.grants.iter().filter(is_usable).collect();
        let end = |grant: &GrantTerms| grant.expires.unwrap_or(Timestamp::MAX);
        usable.sort_by_key(|grant| (grant.priority, end(grant), grant.number));
        usable
    }

    /// Gives a customer's balance and what is held of it.
    pub(super) fn money(&self, customer: &str, now: Timestamp) -> (Nanos, Nanos) {
        let usable = self.usable(customer, now);
        let left: i64 = usable.iter().map(|grant| self.of(&Key::Left(grant.id.clone()))).sum();
        let held = usable.iter().map(|grant| self.held(&grant.id)).sum();
        let owed = self.of(&Key::Owed(customer.to_owned())).max(0);
        (Nanos(left - owed), Nanos(held))
    }

    /// Gives what a price is to be drawn from; `None` when there is too little.
    pub(super) fn draws(
        &self,
        customer: &str,
        price: i64,
        now: Timestamp,
    ) -> Option<Vec<(String, i64)>> {
        let (balance, held) = self.money(customer, now);
        if price > balance.0 - held.0 {
            return None;
        }
        let (mut left, mut draws) = (price, Vec::new());
        for grant in self.usable(customer, now) {
            let free = self.of(&Key::Left(grant.id.clone())) - self.held(&grant.id);
            let part = left.min(free);
            if part > 0 {
                draws.push((grant.id.clone(), part));
                left -= part;
            }
        }
        Some(draws)
    }

    /// Gives what a flight draws on.
    pub(super) fn drawn(&self, number: u64) -> &[(String, i64)] {
        &self.flights[&number].draws
    }

    /// Tells whether calls hold any of a grant.
    pub(super) fn is_held(&self, grant: &str) -> bool {
        self.held(grant) > 0
    }
}
