//! What is remembered between folds: sums are right whatever is remembered, forgotten or false.

use std::collections::BTreeSet;

use super::*;
use crate::store::sqlite::ids::AccountId;

fn minute(customer: &'static str, minute: i64) -> MinuteRow<'static> {
    let minute = at(minute * 60);
    MinuteRow {
        customer,
        key_id: "k",
        route: "r",
        minute,
        ending: "completed",
        requests: 1,
        currency: None,
        nanos: crate::model::Nanos::ZERO,
        units: 2,
    }
}

#[test]
fn a_false_number_brings_no_units_to_another_account() {
    let mut place = Place::new();
    let two = vec![row("a", 0, None, 1), row("b", 0, None, 1)];
    place.store.put(&Commit { usage: two, ..empty(1) }).unwrap();
    let accounts = &mut place.store.ids.accounts;
    let fingerprint = accounts.fingerprint(&("acme", "", "b", 0_i64, None::<Timestamp>));
    assert_eq!(accounts.find(&fingerprint), Some(AccountId(2)));
    for false_one in [1, 77] {
        place.store.ids.accounts.put(fingerprint, AccountId(false_one));
        let usage = vec![row("b", 0, None, 5)];
        place.store.put(&Commit { usage, ..empty(1 + u64::from(false_one)) }).unwrap();
        assert_eq!(place.store.ids.accounts.find(&fingerprint), Some(AccountId(2)));
    }
    let found: Vec<_> = loaded(&place.store, 0).into_values().collect();
    assert_eq!(found, [(None, 1), (None, 11)]);
}

#[test]
fn what_a_commit_that_failed_made_is_not_remembered() {
    let mut place = Place::new();
    place.store.put(&Commit { minutes: vec![minute("a", 0)], ..empty(1) }).unwrap();
    // A position that is not ahead is refused; here the next one's rows come first.
    place
        .by_hand("CREATE TRIGGER t BEFORE INSERT ON key_hours BEGIN SELECT RAISE(ABORT, ''); END")
        .unwrap();
    let failed = Commit { minutes: vec![minute("b", 1)], ..empty(2) };
    place.store.put(&failed).unwrap_err();
    place.by_hand("DROP TRIGGER t").unwrap();
    // Takes the number that the failed one had.
    place.store.put(&Commit { minutes: vec![minute("c", 1)], ..empty(3) }).unwrap();
    place.store.put(&Commit { minutes: vec![minute("b", 1)], ..empty(4) }).unwrap();
    for (customer, at) in [("a", 0), ("b", 1), ("c", 1)] {
        let key = (at, "k".to_owned(), "completed".to_owned());
        assert_eq!(minutes(&place.store, customer), [(key, (1, 2))], "{customer}");
    }
}

/// Seen by what somebody else took away meanwhile.
#[test]
fn hours_and_uses_are_written_when_they_grow() {
    let mut place = Place::new();
    let count = |place: &Place, table: &str| -> i64 {
        let connection = Connection::open(place.path()).unwrap();
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let mut counts = Vec::new();
    for (number, at) in (1..).zip([5, 5, 4, 6, 60, 6, 60]) {
        place.by_hand("DELETE FROM usage_hours; DELETE FROM key_hours").unwrap();
        place.store.put(&Commit { minutes: vec![minute("a", at)], ..empty(number) }).unwrap();
        counts.push((count(&place, "usage_hours"), count(&place, "key_hours")));
    }
    // The first; known; late; a later minute of that hour; another hour; late, in another hour; known.
    assert_eq!(counts, [(1, 1), (0, 0), (0, 0), (0, 0), (1, 1), (1, 0), (0, 0)]);
}

#[test]
fn what_is_asked_for_is_kept_longest() {
    let mut memory = crate::store::sqlite::ids::Remembered::default();
    let keys: Vec<_> = (0..12).map(|number| memory.fingerprint(&number)).collect();
    for (number, key) in keys.iter().enumerate() {
        memory.put(*key, number);
        assert_eq!(memory.find(&keys[0]), Some(0));
    }
    let left: BTreeSet<_> = keys.iter().filter_map(|key| memory.find(key)).collect();
    assert!(left.contains(&0) && left.contains(&11) && !left.contains(&1), "{left:?}");
    assert!(left.len() <= 8);
}

#[test]
fn what_nobody_asks_for_goes_with_the_second_hour() {
    let mut place = Place::new();
    let usage = || vec![row("a", 0, None, 1)];
    place.store.put(&Commit { usage: usage(), ..empty(7200) }).unwrap();
    let fingerprint =
        place.store.ids.accounts.fingerprint(&("acme", "", "a", 0_i64, None::<Timestamp>));
    place.store.put(&empty(7300)).unwrap();
    place.store.put(&empty(10_800)).unwrap();
    assert_eq!(place.store.ids.accounts.find(&fingerprint), Some(AccountId(1)));
    place.store.put(&empty(14_400)).unwrap();
    place.store.put(&empty(18_000)).unwrap();
    assert_eq!(place.store.ids.accounts.find(&fingerprint), None);
}

/// By minute, key and ending.
type MinuteKey = (i64, String, String);

fn minutes(store: &Sqlite, customer: &str) -> Vec<(MinuteKey, (u64, u64))> {
    let mut found = Vec::new();
    let ever = Window { start: Timestamp::MIN, end: None };
    let mut each = |row: MinuteRow<'_>| {
        let key = (row.minute.as_second() / 60, row.key_id.to_owned(), row.ending.to_owned());
        found.push((key, (row.requests, row.units)));
    };
    store.minutes_of(customer, ever, &mut each).unwrap();
    found
}
