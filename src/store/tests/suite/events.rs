//! The outbox: once, in order, and nothing before its time.

use super::*;
use DeliveryState::{Delivered, Failed, Pending};

fn event(id: &str, endpoint: &str, customer: &str, second: i64) -> EventRecord {
    EventRecord {
        id: id.into(),
        endpoint: endpoint.into(),
        customer: customer.into(),
        kind: "quota.threshold_reached".into(),
        body: "{}".into(),
        at: at(second),
        mark: None,
    }
}

fn due(place: &Place, now: i64) -> Vec<String> {
    let due = place.store.reads().due_deliveries(Receivers::All, at(now), 99).unwrap();
    due.into_iter().filter(|due| due.is_first).map(|due| due.delivery.event.id).collect()
}

fn put(place: &mut Place, sequence: u64, state: DeliveryState, next: Option<i64>) {
    place
        .write(|records| {
            records.put_delivery(sequence, state, 1, next.map(at), Some(500), Some("why"))
        })
        .unwrap();
}

#[test]
fn the_oldest_of_each_endpoint_and_customer_comes_first_and_holds_up_the_others() {
    let mut place = Place::new();
    place
        .write(|records| {
            for (id, endpoint, customer) in
                [("1", "", "a"), ("2", "", "a"), ("3", "", "b"), ("4", "a", "a"), ("5", "", "a")]
            {
                assert!(records.put_event(&event(id, endpoint, customer, 10))?);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(due(&place, 9), [""; 0]);
    assert_eq!(due(&place, 10), ["1", "3", "4"]);
    place.write(|records| records.put_in_order(at(10), 99)).unwrap();
    assert_eq!(due(&place, 10), ["1", "3", "4"]);
    let own = place.store.reads().due_deliveries(Receivers::Customers, at(10), 99).unwrap();
    assert_eq!(own.into_iter().map(|due| due.delivery.event.id).collect::<Vec<_>>(), ["4"]);
    assert_eq!(place.store.reads().pending_deliveries().unwrap(), 5);
    // A delay of the first is a delay of those behind it, and of nobody else.
    put(&mut place, 1, Pending, Some(50));
    assert_eq!(due(&place, 20), ["3", "4"]);
    put(&mut place, 3, Delivered, None);
    put(&mut place, 4, Delivered, None);
    assert_eq!(place.store.reads().next_delivery(Receivers::All, at(0)).unwrap(), Some(at(50)));
    assert_eq!(due(&place, 50), ["1"]);
    // Given up is over as well.
    put(&mut place, 1, Failed, None);
    assert_eq!(due(&place, 20), ["2"]);
    put(&mut place, 2, Delivered, None);
    assert_eq!(due(&place, 20), ["5"]);
    put(&mut place, 5, Delivered, None);
    assert_eq!(place.store.reads().next_delivery(Receivers::All, at(0)).unwrap(), None);
}

#[test]
fn what_is_sent_again_by_hand_goes_before_what_is_younger() {
    let mut place = Place::new();
    place
        .write(|records| {
            ["1", "2", "3"]
                .iter()
                .try_for_each(|id| records.put_event(&event(id, "", "a", 10)).map(drop))
        })
        .unwrap();
    put(&mut place, 1, Failed, None);
    put(&mut place, 2, Pending, Some(40));
    put(&mut place, 1, Pending, Some(30));
    assert_eq!(due(&place, 99), ["1"]);
    assert_eq!(place.store.reads().next_delivery(Receivers::All, at(0)).unwrap(), Some(at(30)));
    // One that waits behind another cannot be hurried.
    put(&mut place, 3, Pending, Some(5));
    assert_eq!(due(&place, 99), ["1"]);
    put(&mut place, 1, Delivered, None);
    assert_eq!(due(&place, 99), ["2"]);
}

#[test]
fn of_two_events_with_one_mark_the_first_is_kept() {
    let mut place = Place::new();
    let marked = |id: &str, endpoint: &str| EventRecord {
        mark: Some("m".into()),
        ..event(id, endpoint, "a", 1)
    };
    let new = place.write(|records| {
        Ok([
            records.put_event(&marked("1", ""))?,
            records.put_event(&marked("2", ""))?,
            records.put_event(&marked("3", "a"))?,
            records.put_event(&event("4", "", "b", 1))?,
            records.put_event(&event("4", "", "b", 1))?,
        ])
    });
    assert_eq!(new.unwrap(), [true, false, true, true, true]);
    put(&mut place, 1, Delivered, None);
    let again = place.write(|records| records.put_event(&marked("5", ""))).unwrap();
    assert!(!again, "a mark outlives the delivery");
}

#[test]
fn what_waits_for_an_endpoint_is_given_up_piece_by_piece_and_in_order() {
    let mut place = Place::new();
    place
        .write(|records| {
            for (id, endpoint, customer) in
                [("1", "", "b"), ("2", "", "a"), ("3", "", "a"), ("4", "x", "a"), ("5", "", "b")]
            {
                records.put_event(&event(id, endpoint, customer, 10))?;
            }
            Ok(())
        })
        .unwrap();
    let fail = |place: &mut Place, max| {
        place.write(|records| records.fail_deliveries("", "nobody is there", max)).unwrap()
    };
    assert_eq!(fail(&mut place, 3), 3);
    assert_eq!(due(&place, 10), ["4", "5"]);
    assert_eq!(fail(&mut place, 3), 1);
    assert_eq!(fail(&mut place, 3), 0);
    assert_eq!(due(&place, 10), ["4"]);
    let reads = place.store.reads();
    assert_eq!(reads.next_delivery(Receivers::All, at(10)).unwrap(), None);
    assert_eq!(reads.next_delivery(Receivers::Customers, at(9)).unwrap(), Some(at(10)));
    let failed = reads.delivery("5").unwrap().unwrap();
    assert_eq!((failed.state, failed.last_error.as_deref()), (Failed, Some("nobody is there")));
    assert_eq!(reads.delivery("6").unwrap(), None);
}

#[test]
fn deliveries_are_listed_and_forgotten_when_they_ended_long_ago() {
    let mut place = Place::new();
    place
        .write(|records| {
            for (id, second) in [("1", 10), ("2", 20), ("3", 30), ("4", 5)] {
                records.put_event(&event(id, "", id, second))?;
            }
            Ok(())
        })
        .unwrap();
    put(&mut place, 1, Delivered, None);
    put(&mut place, 2, Pending, Some(40));
    put(&mut place, 2, Failed, None);
    put(&mut place, 3, Delivered, None);
    let list = |state, before, max| {
        let list = place.store.reads().deliveries(state, before, max).unwrap();
        list.into_iter().map(|delivery| delivery.sequence).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, 9), [4, 3, 2, 1]);
    assert_eq!(list(None, Some(4), 2), [3, 2]);
    assert_eq!(list(Some(Delivered), None, 9), [3, 1]);
    assert_eq!(list(Some(Delivered), Some(3), 9), [1]);
    let failed = place.store.reads().deliveries(Some(Failed), None, 9).unwrap();
    let expected = DeliveryRecord {
        sequence: 2,
        event: event("2", "", "2", 20),
        state: Failed,
        attempts: 1,
        next_attempt: None,
        last_status: Some(500),
        last_error: Some("why".into()),
    };
    assert_eq!(failed, [expected]);
    // Number 4 is pending since before; number 2 ended with the attempt that was due at 40.
    place.write(|records| records.forget_deliveries(at(40))).unwrap();
    let left = |place: &Place| place.store.reads().deliveries(None, None, 9).unwrap().len();
    assert_eq!(left(&place), 2);
    place.write(|records| records.forget_deliveries(at(41))).unwrap();
    assert_eq!(left(&place), 1);
    let unknown = place.write(|records| records.put_delivery(99, Delivered, 1, None, None, None));
    assert!(told(&unknown.unwrap_err()).contains("no delivery 99"));
}
