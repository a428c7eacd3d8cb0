//! What is compared after each step.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    model::{Model, Place, Total},
    plan::{ACCOUNTS, CUSTOMERS, id, money, scope},
    world::World,
};
use crate::{
    ledger::{CreditStanding, Window},
    model::Nanos,
    store::{
        Sqlite, UsageRow,
        records::{EntryAccount, Reads},
    },
};

impl World {
    /// Compares memory with the model, for all customers.
    pub(super) fn compare_memory(&mut self) {
        for customer in 0..CUSTOMERS {
            self.compare_customer(customer);
        }
    }

    fn compare_customer(&mut self, customer: usize) {
        let now = self.now;
        let name = id(customer);
        let gateway = &self.process().gateway;
        let limits = gateway.lookup(&gateway.snapshot(), now).all_limits(&name).unwrap();
        let accounts = gateway.ledger().customer(&name);
        accounts.check_invariants();
        let standing = accounts.standing(&limits, now);
        let (credit, debt) = (accounts.credit(now), accounts.debt(money(0).currency));
        let mut grants: Vec<_> =
            accounts.grants().into_iter().map(|(grant, left)| (grant.number, left.0)).collect();
        let known = &mut self.model.customers[customer];
        known.latest = known.latest.max(now);
        let known = &self.model.customers[customer];
        assert_eq!(standing.in_flight, known.in_flight, "{name}: in flight");
        let quotas = known.plan.quotas.iter().enumerate();
        let quotas = quotas.flat_map(|(scope, of_it)| of_it.iter().map(move |one| (scope, one)));
        for ((scope, quota), found) in quotas.zip(&*standing.quotas) {
            let place = self.model.place(customer, scope, quota.account);
            let units = self.model.units(place);
            let expected = (units.memory, units.reserved, place.3);
            let found = (signed(found.used), signed(found.reserved), found.window.start);
            assert_eq!(found, expected, "{name}: {} of scope {scope}", quota.name());
        }
        assert_eq!(debt.0, known.debt.1, "{name}: owed");
        let mut expected: Vec<_> = known
            .grants
            .iter()
            .filter(|grant| grant.memory > 0)
            .map(|grant| (grant.number, grant.memory))
            .collect();
        expected.sort_unstable();
        // One that went to a debt whole has nothing left.
        grants.retain(|(_, left)| *left != 0);
        grants.sort_unstable();
        assert_eq!(grants, expected, "{name}: left of grants");
        let (balance, reserved) = known.credit(now);
        for CreditStanding { balance: found, reserved: held, .. } in credit {
            assert_eq!((found.0, held.0), (balance, reserved), "{name}: balance, and what is held");
        }
    }

    /// Compares the books at rest with one another; with the model too where all that is settled is folded.
    pub(super) fn check(&mut self) {
        let is_settled = self.is_settled();
        let expected = is_settled.then(|| self.model.with_settled());
        let store = &self.process().store;
        let mut differences = Vec::new();
        store.reads().verify(&mut |difference| differences.push(difference)).unwrap();
        assert!(differences.is_empty(), "the ledger does not add up: {differences:?}");
        if let Some(expected) = expected {
            (0..CUSTOMERS).for_each(|customer| compare_store(store, &expected, customer));
            self.figures.comparisons += 1;
        }
    }
}

fn compare_store(store: &Sqlite, expected: &Model, customer: usize) {
    let name = id(customer);
    let known = &expected.customers[customer];
    let mut used = BTreeMap::new();
    store
        .usage_of(&name, &mut |row| _ = used.insert(place(customer, &row), signed(row.used)))
        .unwrap();
    used.retain(|_, units| *units != 0);
    let units =
        expected.units.iter().filter(|(place, units)| place.0 == customer && units.base > 0);
    let units: BTreeMap<Place, i64> = units.map(|(place, units)| (*place, units.base)).collect();
    assert_eq!(used, units, "{name}: units at rest");
    let reads = store.reads();
    let grants = reads.grants(&name, None, usize::MAX).unwrap();
    let grants: Vec<_> = grants.into_iter().map(|grant| (grant.number, grant.left.0)).collect();
    let left: Vec<_> = known.grants.iter().map(|grant| (grant.number, grant.base)).collect();
    assert_eq!(grants, left, "{name}: left of grants at rest");
    let owed: Nanos = reads.owed(&name).unwrap().iter().map(|owed| owed.nanos).sum();
    assert_eq!(owed.0, known.debt.0, "{name}: owed at rest");
    let mut total = Total::default();
    let ever = Window { start: Timestamp::MIN, end: None };
    let mut add = |row: crate::store::MinuteRow<'_>| {
        total.requests += signed(row.requests);
        total.units += signed(row.units);
        total.nanos += row.nanos.0;
    };
    store.minutes_of(&name, ever, &mut add).unwrap();
    assert_eq!(total, known.before, "{name}: the minutes of its requests");
}

/// Adds up the movements of a customer's accounts, as they are told, and compares them with what these have.
pub(super) fn compare_movements(store: &Sqlite, customer: usize) {
    let name = id(customer);
    let reads = store.reads();
    let (mut units, mut nanos) = (BTreeMap::new(), 0);
    let mut add = |account: &EntryAccount, amount: i64| match account {
        EntryAccount::Credit { .. } => nanos += amount,
        EntryAccount::Payment { proof, .. } => panic!("nobody pays as it calls here: {proof}"),
        EntryAccount::Quota { scope, quota, window } => {
            *units.entry((scope.clone(), quota.clone(), window.start)).or_insert(0) += amount;
        }
    };
    let (entries, _) = reads.ledger(&name, None, 1 << 20).unwrap();
    entries.iter().for_each(|entry| add(&entry.account, entry.amount));
    let mut used = BTreeMap::new();
    let mut note = |row: UsageRow<'_>| {
        used.insert(
            (row.scope.to_owned(), row.quota.to_owned(), row.window.start),
            signed(row.used),
        );
    };
    store.usage_of(&name, &mut note).unwrap();
    // What a correction gave back and a power cut took is told as nothing.
    units.retain(|_, amount| *amount > 0);
    used.retain(|_, amount| *amount > 0);
    assert_eq!(units, used, "{name}: the movements of its units");
    let left: Nanos =
        reads.grants(&name, None, usize::MAX).unwrap().iter().map(|grant| grant.left).sum();
    let owed: Nanos = reads.owed(&name).unwrap().iter().map(|owed| owed.nanos).sum();
    assert_eq!(nanos, left.0 - owed.0, "{name}: the movements of its money");
}

fn place(customer: usize, row: &UsageRow<'_>) -> Place {
    let scope = (0..2).find(|one| scope(*one) == row.scope).unwrap();
    let account = ACCOUNTS.iter().position(|(account, ..)| *account == row.quota).unwrap();
    (customer, scope, account, row.window.start)
}

fn signed(units: u64) -> i64 {
    units.cast_signed()
}
