//! The end of a customer.

use super::*;

fn usage(customer: &'static str, used: u64) -> UsageRow<'static> {
    UsageRow { customer, ..row("day", 0, Some(10), used) }
}

fn minute(customer: &'static str, key_id: &'static str) -> MinuteRow<'static> {
    MinuteRow {
        customer,
        key_id,
        route: "r",
        minute: at(60),
        ending: "completed",
        requests: 1,
        currency: None,
        nanos: crate::model::Nanos::ZERO,
        units: 5,
    }
}

fn used(place: &Place, customer: &str) -> (u64, u64) {
    let (mut units, mut requests) = (0, 0);
    place.store.usage_of(customer, &mut |row| units += row.used).unwrap();
    let ever = Window { start: at(0), end: None };
    place.store.minutes_of(customer, ever, &mut |row| requests += row.requests).unwrap();
    (units, requests)
}

fn charge(place: &mut Place, customer: &'static str, sequence: u64) {
    let usage = vec![usage(customer, 5)];
    let minutes = vec![minute(customer, "k")];
    place.store.put(&Commit { usage, minutes, ..empty(sequence) }).unwrap();
}

fn populated() -> Place {
    let mut place = Place::new();
    place
        .write(|records| {
            for id in ["acme", "other"] {
                records.put_customer(&customer(id))?;
                records.put_subscription(id, &SubscriptionTerms::new("p".into()))?;
                records.put_application(&ApplicationRecord {
                    customer: id.into(),
                    name: "app".into(),
                    limits: OwnLimits::default(),
                    created_at: at(1),
                })?;
            }
            records.put_key(&key("k", "acme"))?;
            records.put_key(&key("k2", "other"))
        })
        .unwrap();
    charge(&mut place, "acme", 1);
    place
}

#[test]
fn a_removed_customer_leaves_what_it_used_under_the_pseudonym() {
    let mut place = populated();
    place.write(|records| records.delete_customer("acme", "acme", "gone-1")).unwrap();
    let reads = place.store.reads();
    assert_eq!(reads.customer("acme").unwrap(), None);
    assert_eq!(reads.subscription("acme").unwrap(), None);
    assert_eq!(reads.applications("acme").unwrap(), []);
    assert_eq!(reads.key("k").unwrap(), None);
    assert_eq!(reads.last_used("acme", "k").unwrap(), None);
    assert!(reads.customer("other").unwrap().is_some());
    assert!(reads.subscription("other").unwrap().is_some());
    assert_eq!(reads.applications("other").unwrap().len(), 1);
    assert!(reads.key("k2").unwrap().is_some());
    drop(reads);
    assert_eq!(used(&place, "acme"), (0, 0));
    assert_eq!(used(&place, "gone-1"), (5, 1));
}

#[test]
fn what_was_in_flight_is_counted_under_the_pseudonym_later() {
    let mut place = populated();
    let open = |sequence| OpenReservation {
        id: ReservationId { worker: 1, sequence },
        request_id: Uuid::nil(),
        customer: "acme".into(),
        definition: Vec::new(),
        cost: 1,
        nanos: crate::model::Nanos::ZERO,
        opened_at: at(7),
    };
    place.store.put(&Commit { opened: vec![open(2)], ..empty(2) }).unwrap();
    place.write(|records| records.delete_customer("acme", "acme", "gone-1")).unwrap();
    place.store.put(&Commit { opened: vec![open(3)], ..empty(3) }).unwrap();
    let owners = place.store.open_reservations(node()).unwrap();
    assert!(owners.iter().all(|open| open.customer == "gone-1"), "{owners:?}");
    charge(&mut place, "acme", 4);
    assert_eq!(used(&place, "acme"), (0, 0));
    assert_eq!(used(&place, "gone-1"), (10, 2));
    assert_eq!(place.store.reads().last_used("acme", "k").unwrap(), None);
    // Others are not touched by it.
    charge(&mut place, "other", 5);
    assert_eq!(used(&place, "other"), (5, 1));
}

#[test]
fn a_new_customer_of_that_id_has_its_own_usage_again() {
    let mut place = populated();
    place.write(|records| records.delete_customer("acme", "acme", "gone-1")).unwrap();
    place.write(|records| records.put_customer(&customer("acme"))).unwrap();
    charge(&mut place, "acme#2", 10);
    // What the one before had in flight comes late.
    charge(&mut place, "acme", 11);
    assert_eq!((used(&place, "acme"), used(&place, "gone-1")), ((5, 1), (10, 2)));
    place.write(|records| records.delete_customer("acme", "acme#2", "gone-2")).unwrap();
    charge(&mut place, "acme#2", 12);
    charge(&mut place, "acme#3", 13);
    charge(&mut place, "acme", 14);
    assert_eq!(used(&place, "acme"), (5, 1));
    assert_eq!((used(&place, "gone-1"), used(&place, "gone-2")), ((15, 3), (10, 2)));
}

#[test]
fn once_everything_of_all_is_folded_the_id_is_free() {
    let mut place = populated();
    place.write(|records| records.delete_customer("acme", "acme", "gone-1")).unwrap();
    charge(&mut place, "acme", 3);
    assert_eq!(used(&place, "acme"), (0, 0));
    place.store.caught_up().unwrap();
    charge(&mut place, "acme", 5);
    assert_eq!(used(&place, "acme"), if Place::IS_SHARED { (0, 0) } else { (5, 1) });
    let mut names = Vec::new();
    place.store.reads().load_removals(&mut |name| names.push(name.to_owned())).unwrap();
    assert_eq!(names, if Place::IS_SHARED { vec!["acme"] } else { Vec::new() });
}

#[test]
fn a_removal_that_is_undone_maps_nothing() {
    let mut place = populated();
    let refused: Result<(), _> = place.write(|records| {
        records.delete_customer("acme", "acme", "gone-1")?;
        Err(StoreError::new("write to", "no"))
    });
    refused.unwrap_err();
    charge(&mut place, "acme", 3);
    assert_eq!(used(&place, "acme"), (10, 2));
    place.write(|records| records.delete_customer("acme", "acme", "acme")).unwrap_err();
    assert!(place.store.reads().customer("acme").unwrap().is_some());
}
