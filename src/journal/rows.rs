//! What the charges of a batch come to: the rows that the store is to add, in the order of its tables,
//! so that it goes through each of them once.

use std::{cmp::Ordering, iter};

use jiff::Timestamp;

use crate::{
    answer::Ending,
    journal::definition::Definition,
    ledger::{AccountId, Window},
    store::{self, MinuteRow, UsageRow},
};

/// What requests came to that were made on one definition, in one minute, and ended alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge<'a> {
    /// Where they came from.
    pub definition: &'a Definition,
    /// The minute's first millisecond.
    pub minute_ms: i64,
    /// How they ended.
    pub ending: Ending,
    /// How many.
    pub requests: u64,
    /// What they were charged.
    pub units: u64,
}

/// Gives the units by account, in the order of customer, scope, quota and window, and the requests by
/// minute, in the order of minute, customer, key, route and ending. Where several definitions say the
/// same they are added up.
pub(super) fn rows<'a>(
    charges: impl Iterator<Item = Charge<'a>>,
) -> (Vec<UsageRow<'a>>, Vec<MinuteRow<'a>>) {
    let mut charges = by_customer(charges);
    let mut usage = Vec::new();
    let mut of_one = Vec::new();
    for charges in charges.chunk_by(|one, other| one.customer() == other.customer()) {
        of_one.extend(charges.iter().filter(|charge| charge.units > 0).flat_map(Charge::usage));
        of_one.sort_unstable_by_key(account_key);
        of_one.dedup_by(is_added_to_usage);
        usage.append(&mut of_one);
    }
    // Keeps the order within each minute, and there is hardly more than one.
    charges.sort_by_key(|charge| charge.minute_ms);
    let mut minutes = Vec::<MinuteRow<'a>>::new();
    for charge in &charges {
        let row = charge.minute();
        match minutes.last_mut() {
            Some(last) if minute_key(last) == minute_key(&row) => {
                last.requests = last.requests.saturating_add(row.requests);
                last.units = last.units.saturating_add(row.units);
            }
            _ => minutes.push(row),
        }
    }
    (usage, minutes)
}

/// Sorts by customer, minute, key, route and ending, most of the time without a look at the texts,
/// which lie all over the memory: ids that begin alike are told apart by the bytes behind that.
fn by_customer<'a>(charges: impl Iterator<Item = Charge<'a>>) -> Vec<Charge<'a>> {
    let mut charges: Vec<_> = charges.map(|charge| (0, charge)).collect();
    let mut ids = charges.iter().map(|(_, charge)| charge.customer().as_bytes());
    let first = ids.next().unwrap_or_default();
    let alike = ids.fold(first.len(), |alike, id| {
        iter::zip(first, id).take(alike).take_while(|(one, other)| one == other).count()
    });
    for (head, charge) in &mut charges {
        let mut bytes = [0; 8];
        let rest = charge.customer().as_bytes().iter().skip(alike);
        iter::zip(&mut bytes, rest).for_each(|(to, byte)| *to = *byte);
        *head = u64::from_be_bytes(bytes);
    }
    charges.sort_unstable_by(|(head, charge), (other_head, other)| {
        head.cmp(other_head).then_with(|| charge.order(other))
    });
    charges.into_iter().map(|(_, charge)| charge).collect()
}

impl<'a> Charge<'a> {
    fn customer(&self) -> &'a str {
        &self.definition.set.customer
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |charge: &Self| {
            let Definition { set, key_id, route, .. } = charge.definition;
            (&*set.customer, charge.minute_ms, &**key_id, &**route, charge.ending.name())
        };
        key(self).cmp(&key(other))
    }

    fn usage(&self) -> impl Iterator<Item = UsageRow<'a>> {
        let (customer, used) = (self.customer(), self.units);
        self.definition.set.accounts.iter().map(move |AccountId { scope, quota, window }| {
            UsageRow { customer, scope, quota, window: in_ms(*window), used }
        })
    }

    fn minute(&self) -> MinuteRow<'a> {
        let Self { definition, minute_ms, ending, requests, units } = *self;
        let Definition { key_id, route, .. } = definition;
        let (customer, minute) = (self.customer(), store::instant(minute_ms));
        MinuteRow { customer, key_id, route, minute, ending: ending.name(), requests, units }
    }
}

/// Adds a row to the one before it, if they are of one account. The later end is kept: a quota whose
/// window was lengthened within it must be found until that ends.
fn is_added_to_usage(row: &mut UsageRow<'_>, kept: &mut UsageRow<'_>) -> bool {
    let is_same = account_key(row) == account_key(kept);
    if is_same {
        let ends = kept.window.end.zip(row.window.end);
        kept.window.end = ends.map(|(known, end)| known.max(end));
        kept.used = kept.used.saturating_add(row.used);
    }
    is_same
}

fn account_key<'a>(row: &UsageRow<'a>) -> (&'a str, &'a str, Timestamp) {
    (row.scope, row.quota, row.window.start)
}

fn minute_key<'a>(row: &MinuteRow<'a>) -> (Timestamp, &'a str, &'a str, &'a str, &'a str) {
    (row.minute, row.customer, row.key_id, row.route, row.ending)
}

/// A definition that was not decoded has windows to the nanosecond, and the store has milliseconds.
fn in_ms(Window { start, end }: Window) -> Window {
    let whole = |at: Timestamp| store::instant(at.as_millisecond());
    Window { start: whole(start), end: end.map(whole) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::ledger::AccountSet;

    fn definition(customer: &str, key_id: &str, quotas: &[&str]) -> Definition {
        let window = Window { start: Timestamp::UNIX_EPOCH, end: None };
        let account = |quota: &&str| AccountId { scope: "".into(), quota: (*quota).into(), window };
        let accounts = quotas.iter().map(account).collect();
        Definition {
            set: Arc::new(AccountSet { id: 0, customer: customer.into(), accounts }),
            application: None,
            key_id: key_id.into(),
            plan: None,
            route: "r".into(),
        }
    }

    fn charge(definition: &Definition, minute_ms: i64, units: u64) -> Charge<'_> {
        Charge { definition, minute_ms, ending: Ending::Completed, requests: 1, units }
    }

    proptest! {
        /// Ids that begin alike, end early, or differ far behind.
        #[test]
        fn rows_are_in_order_each_once_and_nothing_is_lost(
            made in prop::collection::vec(("x[ab\0]{0,11}", "[jk]", 0..3_i64, 0..9_u64), 0..40),
        ) {
            let made: Vec<_> = made
                .iter()
                .map(|(id, key, minute, units)| (definition(id, key, &["q", "p"]), minute, units))
                .collect();
            let charges = made.iter().map(|(one, minute, units)| charge(one, **minute, **units));
            let (usage, minutes) = rows(charges);
            let accounts: Vec<_> = usage.iter().map(|row| (row.customer, row.quota)).collect();
            prop_assert!(accounts.is_sorted_by(|one, other| one < other), "{accounts:?}");
            let keys: Vec<_> = minutes.iter().map(minute_key).collect();
            prop_assert!(keys.is_sorted_by(|one, other| one < other), "{keys:?}");
            let units: u64 = made.iter().map(|(_, _, units)| **units).sum();
            prop_assert_eq!(usage.iter().map(|row| row.used).sum::<u64>(), 2 * units);
            prop_assert_eq!(minutes.iter().map(|row| row.units).sum::<u64>(), units);
            let requests: u64 = minutes.iter().map(|row| row.requests).sum();
            prop_assert_eq!(requests, made.len() as u64);
        }
    }

    #[test]
    fn windows_are_told_as_the_store_has_them() {
        let mut one = definition("acme", "k", &["q"]);
        let start = Timestamp::from_nanosecond(1_000_001).unwrap();
        let window = Window { start, end: Some(Timestamp::MAX) };
        let account = AccountId { scope: "".into(), quota: "q".into(), window };
        let set = AccountSet { id: 0, customer: "acme".into(), accounts: vec![account] };
        one.set = set.into();
        let (usage, _) = rows([charge(&one, 0, 1)].into_iter());
        assert_eq!(usage[0].window.start.as_nanosecond(), 1_000_000);
        let decoded = Definition::decode(&one.encode()).unwrap();
        assert_eq!(rows([charge(&decoded, 0, 1)].into_iter()).0, usage);
    }
}
