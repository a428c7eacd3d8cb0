//! The ledger at rest: entered once, carried when it is old, and always the sum of what stands there.

use super::*;
use crate::{
    model::{Currency, Nanos},
    store::{Consumed, ConsumedRow, CreditRow},
};

fn usd() -> Currency {
    "USD".parse().unwrap()
}

/// A commit that charges units of one account in a minute, and money of a grant if one is named.
fn charge(
    sequence: u64,
    minute: i64,
    units: u64,
    grant: Option<(&'static str, i64)>,
) -> Commit<'static> {
    let row = |of, amount| ConsumedRow { of, minute: at(minute), route: "r", requests: 1, amount };
    let mut consumed = vec![row(Consumed::Usage(0), units)];
    let (customer, currency) = ("acme", usd());
    let credits: Vec<_> = grant
        .into_iter()
        .map(|(grant, nanos)| CreditRow { customer, currency, grant, nanos: Nanos(nanos) })
        .collect();
    consumed.extend(
        credits.iter().map(|credit| row(Consumed::Credit(0), credit.nanos.0.try_into().unwrap())),
    );
    let usage = vec![super::row("day", 0, Some(86_400), units)];
    Commit { usage, credits, consumed, ..empty(sequence) }
}

fn grant(id: &str, amount: i64) -> GrantRecord {
    GrantRecord {
        id: id.to_owned(),
        number: 0,
        customer: "acme".to_owned(),
        currency: usd(),
        amount: Nanos(amount),
        left: Nanos(amount),
        priority: 100,
        source: GrantSource::Paid,
        effective: at(0),
        expires: None,
        note: None,
        actor: "test".to_owned(),
        created_at: at(0),
    }
}

fn enter(place: &mut Place, now: i64, before: i64) {
    while !place.write(|records| records.enter_gathered(at(now), at(before), 2)).unwrap() {}
}

fn differences(place: &Place) -> Vec<Difference> {
    let mut found = Vec::new();
    let verified = place.store.reads().verify(&mut |difference| found.push(difference)).unwrap();
    assert_eq!(verified.differences, found.len() as u64);
    found
}

/// Every entry, page by page, and whether a number of it is out of order.
fn entries(place: &Place) -> Vec<EntryRecord> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, is_more) = place.store.reads().ledger("acme", after, 2).unwrap();
        after = page.last().map(|last| LedgerPlace { entered: last.entered, number: last.number });
        found.extend(page);
        if !is_more {
            return found;
        }
    }
}

fn brief(entries: &[EntryRecord]) -> Vec<(EntryKind, i64, i64)> {
    entries.iter().map(|entry| (entry.kind, entry.amount, entry.balance)).collect()
}

const CONSUMED: EntryKind = EntryKind::Consumed;

#[test]
fn a_minute_is_entered_once_it_is_over_and_what_is_late_after_it() {
    let mut place = Place::new();
    place.write(|records| records.put_grant(&grant("g", 100), Nanos::ZERO)).unwrap();
    place.store.put(&charge(1, 60, 3, Some(("g", 10)))).unwrap();
    place.store.put(&charge(2, 60, 4, Some(("g", 20)))).unwrap();
    place.store.put(&charge(3, 120, 5, None)).unwrap();
    let all =
        [(EntryKind::Granted, 100, 100), (CONSUMED, 7, 7), (CONSUMED, -30, 70), (CONSUMED, 5, 12)];
    assert_eq!(brief(&entries(&place)), all);
    assert!(entries(&place)[1..].iter().all(|entry| entry.number == 0), "not entered yet");
    enter(&mut place, 130, 120);
    let told = entries(&place);
    assert_eq!(brief(&told), all);
    assert_eq!(told.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 2, 3, 0]);
    assert_eq!(told[1].requests, Some(2));
    assert_eq!(told[1].minute, Some(at(60)));
    // What was reserved in that minute and ends only now is an entry more.
    place.store.put(&charge(4, 60, 1, None)).unwrap();
    enter(&mut place, 200, 180);
    let late = [(CONSUMED, 1, 8), (CONSUMED, 5, 13)];
    assert_eq!(brief(&entries(&place))[3..], late);
    assert_eq!(differences(&place), []);
    assert!(place.write(|records| records.enter_gathered(at(999), at(999), 9)).unwrap());
}

/// Entries are found by hours, which a fold notes once: here each customer calls twice in one hour and once
/// in the next; the first fold meets all rows of usage, the others a few that are near or far apart.
#[test]
fn entries_of_each_hour_are_found_whichever_folds_made_them() {
    let mut place = Place::new();
    let names: Vec<String> = (0..40).map(|n| format!("c{n:02}")).collect();
    let near = [3, 4, 6, 7];
    let far = [0, 20, 39];
    let folds: [(i64, Vec<usize>); 6] = [
        (60, (0..40).collect()),
        (120, near.to_vec()),
        (180, far.to_vec()),
        (3_660, near.to_vec()),
        (3_720, far.to_vec()),
        (3_780, (0..40).collect()),
    ];
    for (sequence, (minute, who)) in (1..).zip(&folds) {
        let usage = |n: &usize| UsageRow { customer: &names[*n], ..row("day", 0, Some(86_400), 2) };
        let consumed = |place| {
            let of = Consumed::Usage(place);
            ConsumedRow { of, minute: at(*minute), route: "r", requests: 1, amount: 2 }
        };
        let (usage, consumed) =
            (who.iter().map(usage).collect(), (0..who.len()).map(consumed).collect());
        let now = at(minute + 60);
        place.store.put(&Commit { usage, consumed, now, ..empty(sequence) }).unwrap();
    }
    for (n, name) in names.iter().enumerate() {
        let (found, _) = place.store.reads().ledger(name, None, 9).unwrap();
        let minutes = folds.iter().filter(|(_, who)| who.contains(&n)).map(|(minute, _)| *minute);
        let expected: Vec<_> = (1..).zip(minutes).map(|(n, minute)| (at(minute), 2 * n)).collect();
        let told = found.iter().map(|entry| (entry.minute.unwrap(), entry.balance));
        assert_eq!(told.collect::<Vec<_>>(), expected, "{name}");
    }
    assert_eq!(differences(&place), []);
}

/// What a fold finds of minutes that are over goes where it stays, at once.
#[test]
fn a_minute_that_was_over_when_it_was_folded_is_not_gathered() {
    let mut place = Place::new();
    place.write(|records| records.put_grant(&grant("g", 100), Nanos::ZERO)).unwrap();
    let (now, at_noon) = (at(120), charge(1, 120, 2, Some(("g", 10))));
    place.store.put(&Commit { now, ..at_noon }).unwrap();
    // Two minutes, of which one is not over, and two routes in the other.
    let mut both = charge(2, 60, 7, Some(("g", 30)));
    let [units, money] = [both.consumed[0], both.consumed[1]];
    let other = |row: ConsumedRow<'static>| ConsumedRow { route: "s", amount: 2, ..row };
    let (part, rest) = (ConsumedRow { amount: 5, ..units }, ConsumedRow { amount: 28, ..money });
    both.consumed = vec![part, other(units), rest, other(money)];
    place.store.put(&Commit { now: at(120), ..both }).unwrap();
    // Of what is gathered already more is gathered, also when it is over.
    let late = charge(3, 120, 1, None);
    place.store.put(&Commit { now: at(180), ..late }).unwrap();
    let expected = [
        (EntryKind::Granted, 100, 100),
        (CONSUMED, 5, 5),
        (CONSUMED, 2, 7),
        (CONSUMED, -28, 72),
        (CONSUMED, -2, 70),
        (CONSUMED, 3, 10),
        (CONSUMED, -10, 60),
    ];
    let told = entries(&place);
    assert_eq!(brief(&told), expected);
    assert_eq!(told.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 0, 0]);
    assert_eq!(told[2].route.as_deref(), Some("s"));
    assert_eq!((told[5].requests, told[5].minute), (Some(2), Some(at(120))));
    assert_eq!(differences(&place), []);
    enter(&mut place, 300, 300);
    assert_eq!(brief(&entries(&place)), expected);
    assert_eq!(differences(&place), []);
}

#[test]
fn much_at_once_is_entered_at_once() {
    let mut place = Place::new();
    place.store.put(&charge(1, 60, 3, None)).unwrap();
    let mut much = charge(2, 60, 8, None);
    let one = ConsumedRow { amount: 1, ..much.consumed[0] };
    // The first belongs to what is gathered.
    much.consumed =
        ["r", "a", "b", "c", "d", "e", "f", "g"].map(|route| ConsumedRow { route, ..one }).into();
    place.store.put(&much).unwrap();
    let told = entries(&place);
    let amounts: Vec<_> = brief(&told).into_iter().map(|(_, amount, _)| amount).collect();
    assert_eq!(amounts, [1, 1, 1, 1, 1, 1, 1, 4]);
    assert_eq!(told.iter().filter(|entry| entry.number == 0).count(), 1);
    assert_eq!(told.last().map(|entry| entry.balance), Some(11));
    assert_eq!(differences(&place), []);
}

#[test]
fn what_is_old_is_carried_and_nothing_else_goes() {
    let mut place = Place::new();
    place.write(|records| records.put_grant(&grant("g", 100), Nanos::ZERO)).unwrap();
    for (sequence, minute) in [(1, 60), (2, 120), (3, 7200)] {
        place.store.put(&charge(sequence, minute, 3, Some(("g", 10)))).unwrap();
        enter(&mut place, minute + 60, minute + 60);
    }
    while !place.write(|records| records.carry_entries(at(3600), 2)).unwrap() {}
    let expected = [
        (EntryKind::Carried, 6, 6),
        (EntryKind::Carried, 80, 80),
        (CONSUMED, 3, 9),
        (CONSUMED, -10, 70),
    ];
    assert_eq!(brief(&entries(&place)), expected);
    assert_eq!(differences(&place), []);
    let refused = place.by_hand("DELETE FROM entries").unwrap_err();
    assert!(refused.contains("only appended to"), "{refused}");
    // More of the same is added to it.
    while !place.write(|records| records.carry_entries(at(9999), 2)).unwrap() {}
    assert_eq!(brief(&entries(&place)), [(EntryKind::Carried, 9, 9), (EntryKind::Carried, 70, 70)]);
    assert_eq!(differences(&place), []);
}

#[test]
fn every_balance_is_compared() {
    let broken = [
        "UPDATE usage SET used = used + 1",
        r#"UPDATE grants SET "left" = "left" - 1"#,
        "UPDATE purses SET owed = owed + 1",
        "DELETE FROM usage",
        "UPDATE consumption SET amount = amount + 1",
        "UPDATE carried SET amount = amount + 1",
        "DROP TRIGGER entries_are_not_changed; UPDATE entries SET balance = balance + 1",
        "DROP TRIGGER entries_are_not_changed; UPDATE entries SET amount = amount + 1",
        "DROP TRIGGER entries_are_not_removed; DELETE FROM entries",
    ];
    for sql in broken {
        let mut place = Place::new();
        place.write(|records| records.put_grant(&grant("g", 100), Nanos::ZERO)).unwrap();
        for (sequence, minute) in [(1, 60), (2, 7200), (3, 7260)] {
            place.store.put(&charge(sequence, minute, 3, Some(("g", 10)))).unwrap();
            enter(&mut place, minute + 60, minute.min(7200));
        }
        enter(&mut place, 7260, 7260);
        place.write(|records| records.carry_entries(at(3600), 9)).unwrap();
        assert_eq!(differences(&place), []);
        place.by_hand(sql).unwrap();
        assert_ne!(differences(&place), [], "{sql}");
    }
}

#[test]
fn a_removed_customers_ledger_goes_on_under_its_pseudonym() {
    let mut place = Place::new();
    place.write(|records| records.put_customer(&customer("acme"))).unwrap();
    place.write(|records| records.put_grant(&grant("g", 100), Nanos::ZERO)).unwrap();
    place.store.put(&charge(1, 60, 3, Some(("g", 10)))).unwrap();
    enter(&mut place, 120, 120);
    place.write(|records| records.delete_customer("acme", "acme", "gone")).unwrap();
    // It was in flight.
    place.store.put(&charge(2, 60, 2, Some(("g", 5)))).unwrap();
    enter(&mut place, 180, 180);
    assert_eq!(entries(&place), []);
    let (told, _) = place.store.reads().ledger("gone", None, 99).unwrap();
    let balances: Vec<_> = told.iter().map(|entry| entry.balance).collect();
    assert_eq!(balances, [100, 3, 90, 5, 85]);
    assert!(told.iter().any(|entry| matches!(&entry.account,
        EntryAccount::Credit { grant: Some(grant), .. } if grant == "g")));
    assert_eq!(differences(&place), []);
}
