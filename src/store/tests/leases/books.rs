//! Pools and the books that folds, corrections and removals write.

use super::*;
use crate::ledger::lease::{LASTS, Rest};

struct Shared {
    place: Place,
    leases: Leases,
}

fn shared() -> Shared {
    let place = Place::new();
    let leases = Leases::new(server(place.name())).unwrap();
    Shared { place, leases }
}

fn sums(place: &Place, number: usize) -> Option<Sums> {
    pools(place).get(&*account(number).quota).copied()
}

fn peek(leases: &Leases, number: usize) -> Rest {
    let account = account(number);
    leases.peek(&[Asked { customer: CUSTOMER, account: &account, limit: 10 }]).unwrap()[0]
}

fn count(place: &Place, table: &str) -> i64 {
    place.store.count(table).unwrap()
}

#[test]
fn leases_begin_with_what_is_used_already() {
    let Shared { mut place, leases } = shared();
    fold(&mut place, 5, 0, 7, 1);
    assert_eq!(peek(&leases, 0), Rest { free: 3, used: 7, ..Rest::default() });
    let node = (0, begin(&place, 0));
    let reply = send(&leases, node, 0, asks(1, 100));
    assert_eq!((reply.granted, reply.lasts), (1, LASTS));
    assert_eq!(reply.rest, Rest { free: 2, used: 7, ..Rest::default() });
    assert_eq!(peek(&leases, 0), Rest { free: 2, left: 1, used: 7, ..Rest::default() });
    assert_eq!(peek(&leases, 1), Rest { free: 10, ..Rest::default() });
    assert_eq!(verify(&place), []);
}

#[test]
fn leases_of_a_process_that_was_replaced_are_not_listened_to() {
    let Shared { place, leases } = shared();
    let old = (0, begin(&place, 0));
    send(&leases, old, 0, asks(1, 2));
    let new = (0, begin(&place, 0));
    let letters = [addressed(0, says(2, 2, 0, 2)), addressed(1, asks(1, 2))];
    let replies = leases.exchange(node_id(0), old.1, &letters, None).unwrap();
    assert_eq!(replies, None);
    assert_eq!((sums(&place, 0), sums(&place, 1)), (Some((0, 0, 2, 0)), None));
    // The new one must not forget what the old one had.
    let error = leases.exchange(node_id(0), new.1, &letters, None).unwrap_err();
    assert!(told(&error).contains("not recovered"), "{}", told(&error));
    assert_eq!((sums(&place, 0), sums(&place, 1)), (Some((0, 0, 2, 0)), None));
    assert_eq!(leases.recover(node_id(0)).unwrap(), Recovery::default());
    send(&leases, new, 0, asks(1, 1));
    assert_eq!(sums(&place, 0), Some((0, 0, 1, 0)));
}

#[test]
fn leases_of_a_node_that_is_gone_are_booked_as_its_journal_has_them() {
    let Shared { mut place, leases } = shared();
    let node = (0, begin(&place, 0));
    let numbers = [0, 1, 2];
    for number in numbers {
        assert_eq!(send(&leases, node, number, asks(1, 4)).granted, 2);
        let reply = send(&leases, node, number, Letter { ask: asks(1, 1).ask, ..says(2, 2, 0, 2) });
        assert_eq!(reply.granted, 1);
    }
    // The first account is silent for too long; of the second more is charged than was said, of the third less.
    let letters = [addressed(1, says(3, 2, 1, 3)), addressed(2, says(3, 2, 1, 3))];
    let later = jiff::Timestamp::from_second(4_000_000_000).unwrap();
    leases.exchange(node_id(0), node.1, &letters, Some(later)).unwrap().unwrap();
    let lost = leases.expire(10, Some(later)).unwrap();
    let booked =
        |number, units| Booked { customer: CUSTOMER.into(), account: account(number), units };
    assert_eq!(lost, [Lost { node: node_id(0).to_string(), booked: booked(0, 1) }]);
    assert_eq!(sums(&place, 0), Some((2, 0, 0, 1)));
    fold(&mut place, 0, 0, 2, 1);
    fold(&mut place, 0, 1, 3, 2);
    fold(&mut place, 0, 2, 1, 3);
    begin(&place, 0);
    assert_eq!(verify(&place), []);
    let recovery = leases.recover(node_id(0)).unwrap();
    assert_eq!(recovery.recovered, [booked(0, 1)]);
    assert_eq!(recovery.missing, [booked(2, 1)]);
    let used = numbers.map(|number| sums(&place, number).unwrap());
    assert_eq!(used, [(2, 0, 0, 0), (3, 0, 0, 0), (1, 0, 0, 0)]);
    assert_eq!(verify(&place), []);
    assert_eq!((count(&place, "leases"), count(&place, "node_usage")), (0, 0));
    // What is done twice does nothing more.
    assert_eq!(leases.recover(node_id(0)).unwrap(), Recovery::default());
}

#[test]
fn leases_by_the_thousand_are_recovered_and_forgotten_in_parts() {
    let Shared { mut place, leases } = shared();
    let nodes = [0, 1].map(|node| (node, begin(&place, node)));
    let letters: Vec<_> = (0..2_500).map(|number| addressed(number, says(1, 1, 0, 2))).collect();
    for (node, run) in nodes {
        let replies = leases.exchange(node_id(node), run, &letters, None).unwrap().unwrap();
        assert!(replies.iter().all(Option::is_some));
        fold(&mut place, node, 2_499, 2, node as u64 + 1);
    }
    let missing = leases.recover(node_id(0)).unwrap().missing;
    assert_eq!((missing.len(), sum(&missing)), (2_499, 2_499));
    assert_eq!(leases.forget(node_id(1)).unwrap(), Err(crate::ledger::lease::NotEnded));
    let late = jiff::Timestamp::from_second(4_000_000_000).unwrap();
    let lost: usize = (0..3).map(|_| leases.expire(1_000, Some(late)).unwrap().len()).sum();
    assert_eq!(lost, 2_500);
    assert_eq!(sum(&leases.forget(node_id(1)).unwrap().unwrap()), 2_500);
    assert_eq!(leases.exchange(node_id(1), nodes[1].1, &letters, None).unwrap(), None);
    assert_eq!((sums(&place, 0), sums(&place, 2_499)), (Some((2, 0, 0, 0)), Some((4, 0, 0, 0))));
    assert_eq!((count(&place, "leases"), count(&place, "node_usage")), (0, 0));
    assert_eq!(verify(&place), []);
}

#[test]
fn leases_see_corrections_at_once() {
    let Shared { mut place, leases } = shared();
    place.write(|records| correct(records, 0, 8)).unwrap();
    let node = (0, begin(&place, 0));
    assert_eq!(
        send(&leases, node, 0, asks(1, 9)).rest,
        Rest { free: 1, used: 8, ..Rest::default() }
    );
    place.write(|records| correct(records, 0, -5)).unwrap();
    assert_eq!(sums(&place, 0), Some((3, 0, 1, 0)));
    // Who gives back more than is known to be charged makes no more of it than the limit.
    place.write(|records| correct(records, 0, -50)).unwrap();
    let reply = send(&leases, node, 0, says(2, 1, 0, 1));
    assert_eq!((reply.rest.free, reply.rest.used), (10, 0));
    assert_eq!(verify(&place).len(), 0);
}

#[test]
fn leases_of_a_removed_customer_are_gone() {
    let Shared { mut place, leases } = shared();
    let node = (0, begin(&place, 0));
    send(&leases, node, 0, asks(1, 2));
    fold(&mut place, 0, 0, 1, 1);
    place.write(|records| records.delete_customer(CUSTOMER, CUSTOMER, "gone-1")).unwrap();
    assert_eq!(["pools", "leases", "node_usage"].map(|table| count(&place, table)), [0; 3]);
    // What is folded later is the pseudonym's, which nobody shares.
    fold(&mut place, 0, 0, 1, 2);
    assert_eq!(verify(&place), []);
    begin(&place, 0);
    assert_eq!(leases.recover(node_id(0)).unwrap(), Recovery::default());
    assert_eq!(count(&place, "node_usage"), 0);
}

#[test]
fn leases_of_windows_that_are_over_are_forgotten_once_nothing_is_out() {
    let Shared { mut place, leases } = shared();
    let node = (0, begin(&place, 0));
    // Account 0 has no end, the others end at second 100.
    for number in 0..3 {
        send(&leases, node, number, says(1, 1, 0, if number == 2 { 2 } else { 1 }));
        fold(&mut place, 0, number, 1, number as u64 + 1);
    }
    let forget = |place: &mut Place, second| {
        place.write(|records| records.forget_shared_windows(at(second), 10)).unwrap()
    };
    assert!(forget(&mut place, 100));
    assert_eq!(count(&place, "pools"), 3);
    // One of the windows turns out to last longer.
    let AccountId { scope, quota, window } = &account(1);
    let window = Window { end: Some(at(200)), ..*window };
    let usage = vec![UsageRow { customer: CUSTOMER, scope, quota, window, used: 0 }];
    place.store.put(&Commit { node: node_id(0), usage, ..empty(9) }).unwrap();
    assert!(forget(&mut place, 101));
    assert_eq!(count(&place, "pools"), 3);
    assert!(forget(&mut place, 201));
    assert_eq!((sums(&place, 1), count(&place, "node_usage")), (None, 2));
    send(&leases, node, 2, says(2, 1, 0, 1));
    assert!(forget(&mut place, 201));
    assert_eq!((sums(&place, 0), count(&place, "pools")), (Some((1, 0, 0, 0)), 1));
    assert_eq!((count(&place, "leases"), count(&place, "node_usage")), (1, 1));
    assert_eq!(verify(&place), []);
}

#[test]
fn leases_that_do_not_add_up_are_told() {
    let Shared { mut place, leases } = shared();
    let node = (0, begin(&place, 0));
    send(&leases, node, 0, asks(1, 2));
    fold(&mut place, 0, 0, 1, 1);
    assert_eq!(verify(&place), []);
    place.by_hand("UPDATE pools SET used = used + 3, \"left\" = 0").unwrap();
    let told = verify(&place).into_iter().map(|found| (found.subject, found.expected, found.found));
    let of = |what| format!("units {what} of quota-0 from 1970-01-01T00:00:00Z, as nodes share it");
    assert_eq!(told.collect::<Vec<_>>(), [(of("used"), 0, 3), (of("left"), 2, 0)]);
}

#[test]
fn leases_are_on_the_disk_where_something_was_granted_and_need_not_be_elsewhere() {
    let Shared { place, leases } = shared();
    let node = (0, begin(&place, 0));
    // A statement that returns nothing but what the transaction was left with.
    let trigger = "CREATE TABLE seen (how TEXT NOT NULL);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $see$
        BEGIN
            INSERT INTO seen VALUES (current_setting('synchronous_commit'));
            RETURN NULL;
        END $see$;
        CREATE CONSTRAINT TRIGGER see AFTER INSERT OR UPDATE ON leases
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION see();";
    place.by_hand(trigger).unwrap();
    send(&leases, node, 0, asks(1, 2));
    send(&leases, node, 0, says(2, 1, 0, 2));
    send(&leases, node, 0, Letter { ceiling: 2, ..asks(3, 2) });
    let seen = place.store.texts("SELECT how FROM seen ORDER BY ctid").unwrap();
    assert_eq!(seen, ["on", "off", "on"]);
}
