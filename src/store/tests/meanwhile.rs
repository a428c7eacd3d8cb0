//! What a process tells while others do, none of which sees what the other one has not committed yet.

use std::sync::mpsc;

use super::{
    postgres::{Place, server},
    *,
};

fn event(id: &str) -> EventRecord {
    EventRecord {
        id: id.into(),
        endpoint: String::new(),
        customer: "acme".into(),
        kind: "quota.threshold_reached".into(),
        body: "{}".into(),
        at: at(10),
        mark: None,
    }
}

/// Gives what is due, and whether nothing is before it.
fn due(place: &Place) -> Vec<(String, bool)> {
    let due = place.store.reads().due_deliveries(Receivers::All, at(10), 9).unwrap();
    due.into_iter().map(|due| (due.delivery.event.id, due.is_first)).collect()
}

/// A fold tells something behind an event whose end it does not see.
#[test]
fn an_event_that_is_put_while_the_one_before_it_ends_is_due() {
    let mut place = Place::new();
    place.write(|records| records.put_event(&event("1"))).unwrap();
    let mut other = Postgres::open(server(place.name())).unwrap();
    let mut tell = |records: &mut dyn Records| {
        records.put_event(&event("2"))?;
        let delivered = DeliveryState::Delivered;
        place.write(|records| records.put_delivery(1, delivered, 1, None, Some(200), None))
    };
    other.commit(&empty(1), &mut tell).unwrap();
    assert_eq!(due(&place), [("2".to_owned(), true)]);
}

#[test]
fn whoever_sends_is_woken_for_what_another_one_puts() {
    let mut place = Place::new();
    let mut other = Postgres::open(server(place.name())).unwrap();
    let peer = other.join(node(), "1").unwrap().shared.unwrap().peer;
    peer.head().unwrap();
    let soon = Duration::from_millis(100);
    let mut is_woken = |state: Option<DeliveryState>| {
        place
            .write(|records| match state {
                Some(state) => records.put_delivery(1, state, 1, Some(at(10)), None, None),
                None => records.put_event(&event("1")).map(drop),
            })
            .unwrap();
        peer.wait(soon)
    };
    assert!(is_woken(None));
    assert!(!is_woken(Some(DeliveryState::Pending)), "it is tried again by who sends");
    assert!(!is_woken(Some(DeliveryState::Failed)));
    assert!(is_woken(Some(DeliveryState::Pending)), "somebody wants it to be sent again");
    place
        .write(|records| {
            records.announce(Announcement::Enforcement);
            Ok(())
        })
        .unwrap();
    assert!(!peer.wait(soon), "a change is no event");
}

/// Two folds tell something about one customer.
#[test]
fn events_that_are_put_at_the_same_time_are_sent_one_after_the_other() {
    let mut place = Place::new();
    let mut other = Postgres::open(server(place.name())).unwrap();
    let mut tell = |records: &mut dyn Records| {
        records.put_event(&event("1"))?;
        place.write(|records| records.put_event(&event("2")).map(drop))
    };
    other.commit(&empty(1), &mut tell).unwrap();
    assert_eq!(due(&place), [("1".to_owned(), true), ("2".to_owned(), false)]);
    place.write(|records| records.put_in_order(at(10), 9)).unwrap();
    assert_eq!(due(&place), [("1".to_owned(), true)]);
    let delivered = DeliveryState::Delivered;
    place.write(|records| records.put_delivery(1, delivered, 1, None, Some(200), None)).unwrap();
    assert_eq!(due(&place), [("2".to_owned(), true)]);
}

/// A fold and a change measure one account, and neither knows of the other.
#[test]
fn a_threshold_that_two_notice_is_told_by_one() {
    let place = Place::new();
    let account = AccountKey {
        customer: "acme",
        scope: "",
        quota: "monthly",
        window: Window { start: at(0), end: None },
    };
    let told = ThresholdRecord { told: 80, limit: 100 };
    for known in [None, Some(ThresholdRecord { told: 50, limit: 100 })] {
        let mut first = Postgres::open(server(place.name())).unwrap();
        let mut second = Postgres::open(server(place.name())).unwrap();
        let (noticing, noticed) = mpsc::channel();
        let told_by_second = thread::scope(|scope| {
            let other = scope.spawn(move || {
                noticed.recv().unwrap();
                let mut is_told = false;
                let mut tell = |records: &mut dyn Records| {
                    is_told = records.put_threshold(&account, known.as_ref(), &told)?;
                    assert_eq!(records.threshold(&account)?, Some(told));
                    Ok(())
                };
                second.commit(&empty_of(2, 1), &mut tell).unwrap();
                is_told
            });
            let mut tell = |records: &mut dyn Records| {
                assert!(records.put_threshold(&account, known.as_ref(), &told)?);
                noticing.send(()).unwrap();
                // The other one waits for the end of this.
                thread::sleep(Duration::from_millis(100));
                Ok(())
            };
            first.commit(&empty_of(1, 1), &mut tell).unwrap();
            other.join().unwrap()
        });
        assert!(!told_by_second);
        place.by_hand("UPDATE thresholds SET told = 50; DELETE FROM positions").unwrap();
    }
}

/// A commit of a node that brings nothing.
fn empty_of(node: u128, sequence: u64) -> Commit<'static> {
    Commit { node: NodeId(Uuid::from_u128(node)), ..empty(sequence) }
}
