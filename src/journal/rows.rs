//! What the charges of a batch come to: the rows that the store is to add, in the order of its tables,
//! so that it goes through each of them once.

use std::{cmp::Ordering, iter};

use jiff::Timestamp;

use crate::{
    answer::Ending,
    journal::definition::Definition,
    ledger::{AccountId, Window},
    model::{Currency, Nanos},
    store::{self, Consumed, ConsumedRow, CreditRow, MinuteRow, UsageRow},
};

/// What requests came to that were made on one definition, in one minute, and ended alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charged<'a> {
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
    /// The money among that.
    pub nanos: Nanos,
}

/// What the store is to add.
#[derive(Debug, Default)]
pub(super) struct Rows<'a> {
    /// Units by account, in the order of customer, scope, quota and window.
    pub usage: Vec<UsageRow<'a>>,
    /// Money by grant, in the order of customer, currency and grant.
    pub credits: Vec<CreditRow<'a>>,
    /// Both by minute and route, in the same order.
    pub consumed: Vec<ConsumedRow<'a>>,
    /// Requests by minute, in the order of minute, customer, key, route and ending.
    pub minutes: Vec<MinuteRow<'a>>,
}

/// Where several definitions say the same they are added up.
pub(super) fn rows<'a>(charges: impl Iterator<Item = Charged<'a>>) -> Rows<'a> {
    let mut charges = by_customer(charges);
    // As many as there can be; what is not used of it costs nothing.
    let mut rows = Rows {
        usage: Vec::with_capacity(charges.len()),
        credits: Vec::new(),
        consumed: Vec::with_capacity(charges.len()),
        minutes: Vec::with_capacity(charges.len()),
    };
    let (mut units, mut money) = (Vec::new(), Vec::new());
    for charges in charges.chunk_by(|(_, one), (_, other)| one.customer() == other.customer()) {
        let charges = charges.iter().map(|(_, charge)| charge);
        units.extend(charges.clone().filter(|charge| charge.units > 0).flat_map(Charged::usage));
        units.sort_unstable_by_key(|part: &Part<'_, _>| (account_key(&part.row), part.when));
        units.drain(..).for_each(|part| rows.add_units(part));
        money.extend(charges.flat_map(Charged::money));
        money.sort_unstable_by_key(|part: &Part<'_, _>| (grant_key(&part.row), part.when));
        money.drain(..).for_each(|part| rows.add_money(part));
    }
    // Keeps the order within each minute, and there is hardly more than one.
    charges.sort_by_key(|(_, charge)| charge.minute_ms);
    for (_, charge) in &charges {
        rows.add_minute(charge.minute());
    }
    rows
}

/// What one definition says of one account or grant, in one minute over one route.
struct Part<'a, R> {
    row: R,
    when: (Timestamp, &'a str),
    requests: u64,
}

impl<'a> Rows<'a> {
    fn add_units(&mut self, Part { row, when, requests }: Part<'a, UsageRow<'a>>) {
        let amount = row.used;
        match self.usage.last_mut() {
            Some(last) if is_same_account(last, &row) => add_usage(last, &row),
            _ => self.usage.push(row),
        }
        let of = Consumed::Usage(self.usage.len().saturating_sub(1));
        self.add_consumed(of, when, requests, amount);
    }

    fn add_money(&mut self, Part { row, when, requests }: Part<'a, CreditRow<'a>>) {
        let amount = u64::try_from(row.nanos.0).unwrap_or(0);
        match self.credits.last_mut() {
            Some(last) if last.customer == row.customer && grant_key(last) == grant_key(&row) => {
                last.nanos = last.nanos.saturating_add(row.nanos);
            }
            _ => self.credits.push(row),
        }
        let of = Consumed::Credit(self.credits.len().saturating_sub(1));
        self.add_consumed(of, when, requests, amount);
    }

    fn add_consumed(
        &mut self,
        of: Consumed,
        (minute, route): (Timestamp, &'a str),
        requests: u64,
        amount: u64,
    ) {
        match self.consumed.last_mut() {
            Some(last) if (last.of, last.minute, last.route) == (of, minute, route) => {
                last.requests = last.requests.saturating_add(requests);
                last.amount = last.amount.saturating_add(amount);
            }
            _ => self.consumed.push(ConsumedRow { of, minute, route, requests, amount }),
        }
    }

    fn add_minute(&mut self, row: MinuteRow<'a>) {
        match self.minutes.last_mut() {
            Some(last) if minute_key(last) == minute_key(&row) => {
                last.requests = last.requests.saturating_add(row.requests);
                last.units = last.units.saturating_add(row.units);
                last.nanos = last.nanos.saturating_add(row.nanos);
            }
            _ => self.minutes.push(row),
        }
    }
}

/// Sorts by customer, minute, key, route and ending, most of the time without a look at the texts,
/// which lie all over the memory: ids that begin alike are told apart by the bytes behind that.
fn by_customer<'a>(charges: impl Iterator<Item = Charged<'a>>) -> Vec<(u64, Charged<'a>)> {
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
    charges
}

impl<'a> Charged<'a> {
    fn customer(&self) -> &'a str {
        &self.definition.set.customer
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |charge: &Self| {
            let Definition { set, key_id, route, .. } = charge.definition;
            let currency = charge.definition.draw.as_ref().map(|draw| draw.currency);
            (&*set.customer, charge.minute_ms, &**key_id, &**route, charge.ending.name(), currency)
        };
        key(self).cmp(&key(other))
    }

    fn when(&self) -> (Timestamp, &'a str) {
        (store::instant(self.minute_ms), &self.definition.route)
    }

    fn usage(&self) -> impl Iterator<Item = Part<'a, UsageRow<'a>>> {
        let (customer, used) = (self.customer(), self.units);
        let (when, requests) = (self.when(), self.requests);
        self.definition.set.accounts.iter().map(move |AccountId { scope, quota, window }| {
            let row = UsageRow { customer, scope, quota, window: in_ms(*window), used };
            Part { row, when, requests }
        })
    }

    fn money(&self) -> impl Iterator<Item = Part<'a, CreditRow<'a>>> {
        let (customer, requests, when) = (self.customer(), self.requests, self.when());
        let draw = self.definition.draw.as_deref();
        let shares = draw.into_iter().flat_map(move |draw| {
            draw.of(requests, self.nanos).map(move |(grant, nanos)| (draw.currency, grant, nanos))
        });
        let drawn = shares.filter(|(_, _, nanos)| *nanos > Nanos::ZERO);
        drawn.map(move |(currency, grant, nanos)| {
            let row = CreditRow { customer, currency, grant, nanos };
            Part { row, when, requests }
        })
    }

    fn minute(&self) -> MinuteRow<'a> {
        let Self { definition, minute_ms, ending, requests, units, nanos } = *self;
        let Definition { key_id, route, draw, .. } = definition;
        let (customer, minute) = (self.customer(), store::instant(minute_ms));
        let currency = draw.as_ref().map(|draw| draw.currency);
        // What money paid took nothing of the allowance.
        let units = if currency.is_some() { 0 } else { units };
        let ending = ending.name();
        MinuteRow { customer, key_id, route, minute, ending, currency, requests, units, nanos }
    }
}

fn is_same_account(one: &UsageRow<'_>, other: &UsageRow<'_>) -> bool {
    one.customer == other.customer && account_key(one) == account_key(other)
}

/// The later end is kept: a quota whose window was lengthened within it must be found until that ends.
fn add_usage(kept: &mut UsageRow<'_>, row: &UsageRow<'_>) {
    let ends = kept.window.end.zip(row.window.end);
    kept.window.end = ends.map(|(known, end)| known.max(end));
    kept.used = kept.used.saturating_add(row.used);
}

fn account_key<'a>(row: &UsageRow<'a>) -> (&'a str, &'a str, Timestamp) {
    (row.scope, row.quota, row.window.start)
}

fn grant_key<'a>(row: &CreditRow<'a>) -> (Currency, &'a str) {
    (row.currency, row.grant)
}

fn minute_key<'a>(row: &MinuteRow<'a>) -> impl Ord + use<'a> + std::fmt::Debug {
    (row.minute, row.customer, row.key_id, row.route, row.ending, row.currency)
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
            draw: None,
            application: None,
            key_id: key_id.into(),
            plan: None,
            route: "r".into(),
        }
    }

    fn charge(definition: &Definition, minute_ms: i64, units: u64) -> Charged<'_> {
        let (ending, nanos) = (Ending::Completed, Nanos::ZERO);
        Charged { definition, minute_ms, ending, requests: 1, units, nanos }
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
            let Rows { usage, credits, consumed, minutes } = rows(charges);
            prop_assert!(credits.is_empty());
            let accounts: Vec<_> = usage.iter().map(|row| (row.customer, row.quota)).collect();
            prop_assert!(accounts.is_sorted_by(|one, other| one < other), "{accounts:?}");
            let keys: Vec<_> = minutes.iter().map(minute_key).collect();
            prop_assert!(keys.is_sorted_by(|one, other| one < other), "{keys:?}");
            let units: u64 = made.iter().map(|(_, _, units)| **units).sum();
            prop_assert_eq!(usage.iter().map(|row| row.used).sum::<u64>(), 2 * units);
            for (place, row) in usage.iter().enumerate() {
                let parts = consumed.iter().filter(|part| part.of == Consumed::Usage(place));
                prop_assert_eq!(parts.map(|part| part.amount).sum::<u64>(), row.used);
            }
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
        let usage = rows([charge(&one, 0, 1)].into_iter()).usage;
        assert_eq!(usage[0].window.start.as_nanosecond(), 1_000_000);
        let decoded = Definition::decode(&one.encode()).unwrap();
        assert_eq!(rows([charge(&decoded, 0, 1)].into_iter()).usage, usage);
    }
}
