//! What both stores promise, on the `Place` of whichever includes this.

mod events;
mod ledger;
mod odd_texts;
mod payments;
mod records;
mod removal;
mod report;
mod sums;
mod transactions;

use super::*;

#[test]
fn usage_adds_up_and_survives() {
    let mut place = Place::new();
    let first = vec![row("day", 0, Some(10), 3), row("ever", 0, None, 5)];
    place.store.put(&Commit { usage: first, ..empty(1) }).unwrap();
    let second = vec![row("day", 0, Some(10), 4), row("day", 10, Some(20), 1)];
    place.store.put(&Commit { usage: second, ..empty(2) }).unwrap();
    place.reopen();

    let key = |quota: &str, start| (quota.to_owned(), at(start));
    let all = BTreeMap::from([
        (key("day", 0), (Some(at(10)), 7)),
        (key("day", 10), (Some(at(20)), 1)),
        (key("ever", 0), (None, 5)),
    ]);
    assert_eq!(loaded(&place.store, 9), all);
    // A window is over at its end.
    assert_eq!(loaded(&place.store, 10).len(), 2);
    assert_eq!(loaded(&place.store, 20).into_keys().collect::<Vec<_>>(), [key("ever", 0)]);
    assert_eq!(place.store.latest_time().unwrap(), Some(at(2)));
    let mut of_customer = 0;
    place.store.usage_of("acme", &mut |_| of_customer += 1).unwrap();
    place.store.usage_of("other", &mut |_| of_customer += 100).unwrap();
    assert_eq!(of_customer, 3);
}

#[test]
fn a_window_keeps_its_latest_end_and_usage_stays_in_range() {
    let mut place = Place::new();
    for (sequence, end, used) in
        [(1, Some(30), u64::MAX), (2, Some(10), 1), (3, Some(40), u64::MAX)]
    {
        let usage = vec![row("q", 0, end, used)];
        place.store.put(&Commit { usage, ..empty(sequence) }).unwrap();
    }
    let most = i64::MAX.try_into().unwrap();
    assert_eq!(loaded(&place.store, 0).into_values().collect::<Vec<_>>(), [(Some(at(40)), most)]);
    for (sequence, end) in [(4, None), (5, Some(10))] {
        place.store.put(&Commit { usage: vec![row("q", 0, end, 0)], ..empty(sequence) }).unwrap();
        assert_eq!(loaded(&place.store, 0).into_values().collect::<Vec<_>>(), [(None, most)]);
    }
}

#[test]
fn open_reservations_come_and_go() {
    let mut place = Place::new();
    let open = |sequence| OpenReservation {
        id: ReservationId { worker: 1, sequence },
        request_id: Uuid::from_u128(sequence.into()),
        customer: "acme".into(),
        definition: vec![0, 1, 255],
        cost: 3,
        nanos: crate::model::Nanos::ZERO,
        opened_at: at(7),
    };
    place.store.put(&Commit { opened: vec![open(1), open(2)], ..empty(2) }).unwrap();
    assert_eq!(place.store.open_reservations(node()).unwrap(), [open(1), open(2)]);
    assert_eq!(place.store.open_reservations(NodeId(Uuid::nil())).unwrap(), []);
    let closed = vec![open(1).id];
    place.store.put(&Commit { closed, opened: vec![open(4)], ..empty(4) }).unwrap();
    assert_eq!(place.store.open_reservations(node()).unwrap(), [open(2), open(4)]);
}

#[test]
fn the_same_part_of_a_journal_is_not_taken_twice() {
    let mut place = Place::new();
    let commit = Commit { usage: vec![row("q", 0, None, 3)], ..empty(7) };
    place.store.put(&commit).unwrap();
    place.store.put(&commit).unwrap_err();
    assert_eq!(loaded(&place.store, 0).into_values().collect::<Vec<_>>(), [(None, 3)]);
    assert_eq!(place.store.positions(node()).unwrap(), commit.positions);
    assert_eq!(place.store.positions(NodeId(Uuid::nil())).unwrap(), []);
}

#[test]
fn a_commit_that_fails_changes_nothing() {
    let mut place = Place::new();
    let twice = OpenReservation {
        id: ReservationId { worker: 1, sequence: 1 },
        request_id: Uuid::nil(),
        customer: "acme".into(),
        definition: Vec::new(),
        cost: 1,
        nanos: crate::model::Nanos::ZERO,
        opened_at: at(1),
    };
    let opened = vec![twice.clone(), twice];
    place.store.put(&Commit { usage: vec![row("q", 0, None, 3)], opened, ..empty(1) }).unwrap_err();
    assert!(loaded(&place.store, 0).is_empty());
    assert_eq!(place.store.positions(node()).unwrap(), []);
    assert_eq!(place.store.latest_time().unwrap(), None);
}

#[test]
fn minutes_add_up_and_come_in_order() {
    let mut place = Place::new();
    let minute = |start, ending| MinuteRow {
        customer: "acme",
        key_id: "k",
        route: "r",
        minute: at(start),
        ending,
        requests: 1,
        currency: None,
        nanos: crate::model::Nanos::ZERO,
        units: 5,
    };
    let minutes = vec![minute(60, "completed"), minute(0, "failed"), minute(120, "completed")];
    for sequence in 1..=2 {
        place.store.put(&Commit { minutes: minutes.clone(), ..empty(sequence) }).unwrap();
    }
    let mut found = Vec::new();
    let window = Window { start: at(0), end: Some(at(120)) };
    let mut each = |row: MinuteRow<'_>| {
        found.push((row.minute, row.ending.to_owned(), row.requests, row.units));
    };
    place.store.minutes_of("acme", window, &mut each).unwrap();
    let expected = [(at(0), "failed".to_owned(), 2, 10), (at(60), "completed".to_owned(), 2, 10)];
    assert_eq!(found, expected);
}
