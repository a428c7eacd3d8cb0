//! Grants are accounts like any other; what is owed is known to all who share it.

use super::*;
use crate::{
    ledger::lease::{NotEnded, Rest},
    model::Currency,
    store::{CreditRow, records::NodeHolds},
};

struct Shared {
    place: Place,
    leases: Leases,
}

/// A place with a grant of ten, that of the account [`GRANT`].
fn shared() -> Shared {
    shared_with(&grant("grant_1", 10), 0)
}

fn shared_with(grant: &GrantRecord, repays: i64) -> Shared {
    let mut place = Place::new();
    put(&mut place, grant, repays);
    let leases = Leases::new(server(place.name())).unwrap();
    Shared { place, leases }
}

fn usd() -> Currency {
    "USD".parse().unwrap()
}

pub(super) fn grant(id: &str, amount: i64) -> GrantRecord {
    GrantRecord {
        id: id.to_owned(),
        number: 0,
        customer: CUSTOMER.to_owned(),
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

pub(super) fn put(place: &mut Place, grant: &GrantRecord, repays: i64) {
    place.write(|records| records.put_grant(grant, Nanos(repays)).map(drop)).unwrap();
}

/// Folds what a node charged of a grant; of none if its name is empty.
pub(super) fn charge(store: &mut Postgres, node: usize, grant: &str, nanos: u64, sequence: u64) {
    let nanos = nanos.cast_signed();
    let row = CreditRow { customer: CUSTOMER, currency: usd(), grant, nanos: Nanos(nanos) };
    let consumed = vec![consumed(Consumed::Credit(0), nanos.unsigned_abs())];
    let commit = Commit { node: node_id(node), credits: vec![row], consumed, ..empty(sequence) };
    store.put(&commit).unwrap();
}

/// What the books have of the first grant.
fn stored(place: &Place) -> GrantRecord {
    place.store.reads().grants(CUSTOMER, None, 1).unwrap().remove(0)
}

fn books_left(place: &Place) -> i64 {
    stored(place).left.0
}

fn owed(place: &Place) -> i64 {
    place.store.reads().owed(CUSTOMER).unwrap().iter().map(|owed| owed.nanos.0).sum()
}

fn sums(place: &Place) -> Option<Sums> {
    pools(place).get("grant_1").copied()
}

fn left(records: &mut dyn Records, grant: &GrantRecord) -> Result<SharedLeft, StoreError> {
    records.shared_left(grant).map(Option::unwrap)
}

/// Takes from the first grant what is left of it, as its end does; gives how much that was.
fn expire(place: &mut Place) -> SharedLeft {
    let grant = stored(place);
    let found = place.write(|records| {
        let found = left(records, &grant)?;
        if let SharedLeft::Left(nanos) = found {
            records.expire_grant(at(1), &grant, nanos, Nanos::ZERO)?;
        }
        Ok(found)
    });
    found.unwrap()
}

fn is_left(nanos: i64) -> SharedLeft {
    SharedLeft::Left(Nanos(nanos))
}

fn count(place: &Place, table: &str) -> i64 {
    place.store.count(table).unwrap()
}

#[test]
fn leases_of_grants_begin_with_what_the_books_have() {
    let Shared { mut place, leases } = shared();
    charge(&mut place.store, 5, "grant_1", 2, 1);
    let account = account(GRANT);
    let peek = || leases.peek(&[Asked { customer: CUSTOMER, account: &account, limit: 10 }]);
    assert_eq!(peek().unwrap(), [Rest { free: 8, used: 2, ..Rest::default() }]);
    assert_eq!(sums(&place), None);
    let node = (0, begin(&place, 0));
    let reply = send(&leases, node, GRANT, asks(1, 100));
    assert_eq!((reply.granted, reply.rest.free, reply.rest.used), (2, 6, 2));
    assert_eq!(peek().unwrap(), [Rest { free: 6, left: 2, used: 2, ..Rest::default() }]);
    charge(&mut place.store, 0, "grant_1", 1, 2);
    assert_eq!((books_left(&place), verify(&place)), (7, vec![]));
}

#[test]
fn leases_of_grants_see_what_is_repaid_and_what_expires() {
    let Shared { mut place, leases } = shared_with(&grant("grant_1", 10), 3);
    assert_eq!((sums(&place), books_left(&place), owed(&place)), (Some((3, 0, 0, 0)), 7, -3));
    let node = (0, begin(&place, 0));
    assert_eq!(send(&leases, node, GRANT, asks(1, 1)).rest.free, 6);
    place.write(|records| correct(records, GRANT, 4)).unwrap();
    assert_eq!((sums(&place), books_left(&place), owed(&place)), (Some((7, 0, 1, 0)), 3, -5));
    assert_eq!(send(&leases, node, GRANT, says(2, 1, 0, 1)).rest.free, 2);
    assert_eq!(verify(&place), []);
    // Of another one nobody has anything yet, and nothing is repaid.
    put(&mut place, &grant("grant_2", 5), 0);
    assert_eq!(count(&place, "pools"), 1);
}

/// As one of a customer that was removed, until the node knows.
#[test]
fn leases_of_a_grant_that_is_not_there_are_not_given_and_what_was_charged_is_owed() {
    let Shared { mut place, leases } = shared();
    let account = AccountId { quota: "grant_9".into(), ..account(GRANT) };
    let letter = Letter { limit: u64::MAX, spent: 4, ceiling: 4, ..asks(1, 1) };
    let letter = Addressed { customer: CUSTOMER.into(), account, letter };
    let run = begin(&place, 0);
    let replies = leases.exchange(node_id(0), run, &[letter], None).unwrap().unwrap();
    assert_eq!(replies[0].unwrap().granted, 0);
    assert_eq!(verify(&place), []);
    charge(&mut place.store, 0, "grant_9", 4, 1);
    assert_eq!((owed(&place), count(&place, "node_usage")), (4, 0));
    begin(&place, 0);
    assert_eq!(sum(&leases.recover(node_id(0)).unwrap().missing), 4);
    assert_eq!(verify(&place), []);
}

#[test]
fn leases_of_an_ended_grant_are_waited_for_and_what_is_left_is_taken_once() {
    let Shared { mut place, leases } = shared();
    let [first, second] = [0, 1].map(|node| (node, begin(&place, node)));
    send(&leases, first, GRANT, says(1, 3, 1, 4));
    assert_eq!(expire(&mut place), SharedLeft::Out);
    send(&leases, first, GRANT, says(2, 3, 0, 4));
    assert_eq!(expire(&mut place), SharedLeft::Out);
    send(&leases, first, GRANT, says(3, 4, 0, 4));
    send(&leases, second, GRANT, says(1, 1, 0, 1));
    // No journal says so yet.
    assert_eq!(expire(&mut place), is_left(5));
    assert_eq!((sums(&place), books_left(&place)), (Some((10, 0, 0, 0)), 5));
    assert_eq!(expire(&mut place), is_left(0));
    charge(&mut place.store, 0, "grant_1", 4, 1);
    assert_eq!(expire(&mut place), is_left(0));
    charge(&mut place.store, 1, "grant_1", 1, 2);
    assert_eq!((books_left(&place), verify(&place)), (0, vec![]));
    assert_eq!(expire(&mut place), is_left(0));
}

#[test]
fn leases_that_nobody_had_are_what_the_books_say() {
    let Shared { mut place, leases: _ } = shared();
    charge(&mut place.store, 0, "grant_1", 4, 1);
    assert_eq!(expire(&mut place), is_left(6));
    assert_eq!((sums(&place), books_left(&place)), (Some((10, 0, 0, 0)), 0));
    assert_eq!(expire(&mut place), is_left(0));
    assert_eq!(verify(&place), []);
}

/// What was out there counts as used, but by the books it was not: nobody will charge it any more.
#[test]
fn leases_of_a_forgotten_node_are_left_at_the_end_of_the_grant() {
    let Shared { mut place, leases } = shared();
    let node = (0, begin(&place, 0));
    send(&leases, node, GRANT, says(1, 1, 0, 4));
    charge(&mut place.store, 0, "grant_1", 1, 1);
    assert_eq!(leases.forget(node_id(0)).unwrap(), Err(NotEnded));
    let nodes = place.store.reads().nodes().unwrap();
    assert_eq!(nodes[0].holds, NodeHolds { accounts: 1, units: 0, forfeited: 0 });
    place.by_hand("UPDATE nodes SET is_stopped = true").unwrap();
    place.write(|records| records.forget_node(&node_id(0).to_string()).map(drop)).unwrap();
    assert_eq!(count(&place, "nodes"), 1);
    let late = jiff::Timestamp::from_second(4_000_000_000).unwrap();
    assert_eq!(leases.expire(10, Some(late)).unwrap()[0].booked.units, 3);
    assert_eq!(expire(&mut place), SharedLeft::Out);
    assert_eq!(sum(&leases.forget(node_id(0)).unwrap().unwrap()), 3);
    assert_eq!((sums(&place), verify(&place)), (Some((4, 0, 0, 0)), vec![]));
    assert_eq!(expire(&mut place), is_left(9));
    assert_eq!((books_left(&place), verify(&place)), (0, vec![]));
    assert_eq!(expire(&mut place), is_left(0));
}

/// Makes one change in a store.
fn change<T>(
    store: &mut Postgres,
    work: impl FnOnce(&mut dyn Records) -> Result<T, StoreError>,
) -> T {
    let (mut work, mut done) = (Some(work), None);
    let mut next = |records: &mut dyn Records| {
        let Some(work) = work.take() else { return Verdict::Done };
        done = Some(work(records).unwrap());
        Verdict::Keep
    };
    store.transact(&mut next).unwrap();
    done.unwrap()
}

/// Does the same from several processes at once.
fn at_once<T: Send>(place: &Place, work: impl Fn(&mut Postgres) -> T + Sync) -> Vec<T> {
    let name = place.name();
    thread::scope(|scope| {
        let doing = || scope.spawn(|| work(&mut Postgres::open(server(name)).unwrap()));
        let all: Vec<_> = (0..3).map(|_| doing()).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn leases_of_an_ended_grant_are_expired_by_one_of_those_who_come_at_once() {
    let Shared { mut place, leases: _ } = shared();
    let grant = stored(&place);
    let taken = at_once(&place, |store| {
        change(store, |records| {
            let SharedLeft::Left(nanos) = left(records, &grant)? else { return Ok(0) };
            records.expire_grant(at(1), &grant, nanos, Nanos::ZERO)?;
            Ok(nanos.0)
        })
    });
    assert_eq!(taken.iter().sum::<i64>(), 10, "{taken:?}");
    assert_eq!((sums(&place), books_left(&place)), (Some((10, 0, 0, 0)), 0));
    assert_eq!(verify(&place), []);
    // Nor does anybody see it who does not wait for the others' changes.
    let mut other = Postgres::open(server(place.name())).unwrap();
    place
        .write(|records| {
            assert_eq!(left(records, &grant)?, is_left(0));
            let mut seen = None;
            other.commit(&empty(1), &mut |records| {
                seen = Some(left(records, &grant)?);
                Ok(())
            })?;
            assert_eq!(seen, Some(SharedLeft::Out));
            Ok(())
        })
        .unwrap();
}

#[test]
fn leases_of_money_leave_a_debt_to_be_repaid_by_one_of_those_who_come_at_once() {
    let mut place = Place::new();
    place.write(|records| records.owe(at(1), CUSTOMER, usd(), Nanos(7), "adj_1")).unwrap();
    let repaid = at_once(&place, |store| {
        let number = Uuid::now_v7();
        change(store, |records| {
            let owed = records.owed_shared(CUSTOMER, usd())?.unwrap();
            let repays = owed.min(Nanos(5));
            records.put_grant(&grant(&number.to_string(), 5), repays)?;
            Ok(repays.0)
        })
    });
    assert_eq!((repaid.iter().sum::<i64>(), owed(&place)), (7, 0), "{repaid:?}");
    let name = place.name().to_owned();
    place
        .write(|records| {
            assert_eq!(records.owed_shared("nobody", usd())?, Some(Nanos::ZERO));
            assert_eq!(records.owed_shared(CUSTOMER, usd())?, Some(Nanos::ZERO));
            // It stays so until the end.
            let other = Postgres::open(server(&name)).unwrap();
            let free = other.texts("SELECT currency FROM purses FOR UPDATE SKIP LOCKED")?;
            assert_eq!(free, Vec::<String>::new());
            Ok(())
        })
        .unwrap();
    assert_eq!(verify(&place), []);
}

#[test]
fn leases_of_money_let_the_other_nodes_know_what_is_owed() {
    let mut place = Place::new();
    let start = |store: &mut Postgres, node| {
        let Joined { run, shared } = store.join(node_id(node), "0.0.0").unwrap();
        (run, shared.unwrap().peer)
    };
    let mut other = Postgres::open(server(place.name())).unwrap();
    let (_, peer) = start(&mut other, 1);
    let told = || -> Vec<_> {
        let told = peer.changes_after(0).unwrap();
        told.into_iter().map(|told| (told.run, told.what.unwrap())).collect()
    };
    let indebted = |nanos| {
        let (customer, currency) = (CUSTOMER.to_owned(), usd());
        Announcement::Indebted { customer, currency, nanos }
    };
    // At a start what an earlier process left is folded before there is a run.
    charge(&mut place.store, 0, "", 3, 1);
    let (run, _) = start(&mut place.store, 0);
    assert_eq!(told(), [(0, indebted(3))]);
    charge(&mut place.store, 0, "grant_9", 4, 2);
    put(&mut place, &grant("grant_1", 10), 0);
    charge(&mut place.store, 0, "grant_1", 5, 3);
    charge(&mut place.store, 0, "", 0, 4);
    assert_eq!(told(), [(0, indebted(3)), (run, indebted(4))]);
    assert_eq!(peer.head().unwrap().number, 2);
    // Of somebody who is gone nobody keeps anything.
    place.write(|records| records.delete_customer(CUSTOMER, CUSTOMER, "gone-1")).unwrap();
    charge(&mut place.store, 0, "", 6, 5);
    assert_eq!(told().len(), 2);
    assert_eq!(place.store.reads().owed("gone-1").unwrap()[0].nanos, Nanos(13));
}

#[test]
fn leases_of_a_removed_customers_money_are_gone() {
    let Shared { mut place, leases } = shared();
    let node = (0, begin(&place, 0));
    send(&leases, node, GRANT, says(1, 1, 1, 3));
    charge(&mut place.store, 0, "grant_1", 1, 1);
    place.write(|records| records.delete_customer(CUSTOMER, CUSTOMER, "gone-1")).unwrap();
    assert_eq!(["pools", "leases", "node_usage"].map(|table| count(&place, table)), [0; 3]);
    // It was in flight, and is the pseudonym's, whose money ends as the books have it.
    charge(&mut place.store, 0, "grant_1", 1, 2);
    let grant = place.store.reads().grants("gone-1", None, 1).unwrap().remove(0);
    assert_eq!(grant.left, Nanos(8));
    place
        .write(|records| {
            assert_eq!(left(records, &grant)?, is_left(8));
            records.expire_grant(at(1), &grant, Nanos(8), Nanos::ZERO)
        })
        .unwrap();
    assert_eq!(verify(&place), []);
    begin(&place, 0);
    assert_eq!(leases.recover(node_id(0)).unwrap(), Recovery::default());
    assert_eq!((count(&place, "node_usage"), verify(&place)), (0, vec![]));
}

#[test]
fn leases_of_grants_that_ended_are_forgotten_once_nothing_is_left() {
    let ends = GrantRecord { expires: Some(at(100)), ..grant("grant_1", 10) };
    let Shared { mut place, leases } = shared_with(&ends, 0);
    let account =
        AccountId { window: Window { start: at(0), end: Some(at(100)) }, ..account(GRANT) };
    let letter = Addressed { customer: CUSTOMER.into(), account, letter: says(1, 2, 0, 2) };
    let run = begin(&place, 0);
    leases.exchange(node_id(0), run, &[letter], None).unwrap().unwrap();
    charge(&mut place.store, 0, "grant_1", 2, 1);
    let forget = |place: &mut Place| {
        assert!(place.write(|records| records.forget_shared_windows(at(101), 9)).unwrap());
        ["pools", "leases", "node_usage"].map(|table| count(place, table))
    };
    assert_eq!(forget(&mut place), [1; 3]);
    assert_eq!(expire(&mut place), is_left(8));
    assert_eq!(forget(&mut place), [0; 3]);
    assert_eq!(verify(&place), []);
}

#[test]
fn leases_of_grants_without_an_end_are_forgotten_once_all_is_spent_and_nobody_speaks_of_them() {
    let Shared { mut place, leases } = shared();
    put(&mut place, &grant("grant_2", 10), 0);
    let node = (0, begin(&place, 0));
    let forget = |place: &mut Place, second| {
        assert!(place.write(|records| records.forget_shared_windows(at(second), 9)).unwrap());
        ["pools", "leases", "node_usage"].map(|table| count(place, table))
    };
    let late = 4_000_000_000;
    let spends = |letter| addressed(GRANT, letter);
    let at_its_time = |letter, second| {
        let replies = leases.exchange(node_id(0), node.1, &[spends(letter)], Some(at(second)));
        replies.unwrap().unwrap()[0].unwrap()
    };
    at_its_time(says(1, 9, 0, 10), 1000);
    charge(&mut place.store, 0, "grant_1", 9, 1);
    assert_eq!(forget(&mut place, late), [1; 3], "there is some left");
    at_its_time(says(2, 10, 0, 10), 1000);
    assert_eq!(forget(&mut place, late), [1; 3], "it is not folded");
    charge(&mut place.store, 0, "grant_1", 1, 2);
    // A lease lasts for a minute.
    assert_eq!(forget(&mut place, 1060), [1; 3], "its node spoke just now");
    assert_eq!(forget(&mut place, 1061), [0; 3]);
    // Who has a holder of it still finds nothing, and no start brings anything back.
    assert_eq!(at_its_time(Letter { spent: 10, ceiling: 10, ..asks(3, 1) }, 2000).granted, 0);
    assert_eq!(verify(&place), []);
    begin(&place, 0);
    leases.recover(node_id(0)).unwrap();
    assert_eq!((sums(&place), verify(&place)), (Some((10, 0, 0, 0)), vec![]));
    assert_eq!(forget(&mut place, late), [0; 3]);
}

#[test]
fn leases_of_grants_that_do_not_add_up_are_told() {
    let Shared { mut place, leases } = shared();
    let node = (0, begin(&place, 0));
    send(&leases, node, GRANT, asks(1, 2));
    charge(&mut place.store, 0, "grant_1", 1, 1);
    assert_eq!(verify(&place), []);
    place.by_hand("UPDATE pools SET used = used + 3, \"left\" = 0").unwrap();
    let told = verify(&place).into_iter().map(|found| (found.subject, found.expected, found.found));
    let of = |what| format!("nano-units {what} of grant_1, as nodes share it");
    assert_eq!(told.collect::<Vec<_>>(), [(of("used"), 0, 3), (of("left"), 2, 0)]);
}

/// Folds, letters, ends of grants and starts of three nodes, all at once, about the same grants.
#[test]
fn leases_of_grants_add_up_whatever_comes_at_once() {
    const ROUNDS: u64 = 20;
    let mut place = Place::new();
    let names: Vec<_> = (0..6).map(|number| format!("grant_{number}")).collect();
    names.iter().for_each(|name| put(&mut place, &grant(name, 1_000_000), 0));
    let grants = place.store.reads().grants(CUSTOMER, None, 9).unwrap();
    let schema = place.name();
    let work = |node: usize| {
        let mut store = Postgres::open(server(schema)).unwrap();
        let leases = Leases::new(server(schema)).unwrap();
        let mut run = store.next_run(node_id(node)).unwrap();
        let (mut spent, mut charged) = (0, 0);
        for round in 1..=ROUNDS {
            if round == ROUNDS / 2 {
                run = store.next_run(node_id(node)).unwrap();
                leases.recover(node_id(node)).unwrap();
                spent = 0;
            }
            spent += 3;
            let letter = Letter { limit: 1_000_000, ceiling: spent, ..says(round, spent, 0, 0) };
            let mut letters: Vec<_> = grants
                .iter()
                .map(|grant| {
                    let account = AccountId { quota: (*grant.id).into(), ..account(GRANT) };
                    Addressed { customer: CUSTOMER.into(), account, letter }
                })
                .collect();
            letters.rotate_left(node);
            leases.exchange(node_id(node), run, &letters, None).unwrap().unwrap();
            let credit = |grant: &str| CreditRow {
                customer: CUSTOMER,
                currency: usd(),
                // The name lives as long as the place.
                grant: names.iter().find(|name| *name == grant).unwrap(),
                nanos: Nanos(3),
            };
            let mut credits: Vec<_> = names.iter().map(|name| credit(name)).collect();
            credits.rotate_left(2 * node);
            let amounts = (0..credits.len()).map(|at| consumed(Consumed::Credit(at), 3)).collect();
            let commit = Commit { node: node_id(node), credits, consumed: amounts, ..empty(round) };
            store.put(&commit).unwrap();
            charged += 3;
            let grant = &grants[(round as usize + node) % grants.len()];
            change(&mut store, |records| records.expire_grant(at(1), grant, Nanos(1), Nanos::ZERO));
        }
        charged
    };
    let charged: i64 = thread::scope(|scope| {
        let nodes = [0, 1, 2].map(|node| {
            let work = &work;
            scope.spawn(move || work(node))
        });
        nodes.into_iter().map(|node| node.join().unwrap()).sum()
    });
    let left = place.store.reads().grants(CUSTOMER, None, 9).unwrap();
    let left: i64 = left.iter().map(|grant| grant.left.0).sum();
    assert_eq!(left, 6_000_000 - 6 * charged - 3 * ROUNDS.cast_signed());
    assert_eq!(verify(&place), []);
}
