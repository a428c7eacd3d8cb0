//! Threads on one customer, in every order in which they can take its lock.

use std::sync::Arc;

use faregate_loom::{
    ledger::{Accounts, Grant, Ledger, Limits, Quota, WindowKind, WindowSpec},
    model::{Money, Nanos},
};
use loom::thread;

fn now() -> jiff::Timestamp {
    "2026-03-03T03:03:03Z".parse().unwrap()
}

fn accounts() -> Arc<Accounts> {
    Ledger::new(now()).customer("acme")
}

fn calls(limit: u64) -> Arc<Limits> {
    let (scope, name): (Arc<str>, Arc<str>) = (Arc::default(), Arc::from("calls"));
    let (account, window) = (Arc::clone(&name), WindowSpec::new(WindowKind::Lifetime));
    let quotas = vec![Quota { scope, name, account, limit, overage: None, window }];
    Arc::new(Limits { quotas, ..Limits::default() })
}

/// Runs threads to their ends, in every order; gives what each found to `check`.
fn explore<T: Send + 'static>(
    threads: &'static [fn(&Arc<Accounts>, &Arc<Limits>) -> T],
    limit: u64,
    check: fn(&[T], &Accounts, &Arc<Limits>),
) {
    loom::model(move || {
        let (accounts, limits) = (accounts(), calls(limit));
        let price = grant();
        accounts.grant(&price, Nanos(10));
        let spawn = |work: &'static fn(&Arc<Accounts>, &Arc<Limits>) -> T| {
            let (accounts, limits) = (Arc::clone(&accounts), Arc::clone(&limits));
            thread::spawn(move || work(&accounts, &limits))
        };
        let running: Vec<_> = threads.iter().map(spawn).collect();
        let found: Vec<T> = running.into_iter().map(|thread| thread.join().unwrap()).collect();
        accounts.check_invariants();
        let standing = accounts.standing(&limits, now());
        assert_eq!((standing.quotas[0].reserved, standing.in_flight), (0, 0), "nothing is held");
        check(&found, &accounts, &limits);
    });
}

fn grant() -> Grant {
    let (effective, currency) = (now(), "USD".parse().unwrap());
    Grant { id: "g".into(), number: 1, currency, priority: 1, effective, expires: None }
}

fn used(accounts: &Accounts, limits: &Arc<Limits>) -> u64 {
    accounts.standing(limits, now()).quotas[0].used
}

fn settle(accounts: &Arc<Accounts>, limits: &Arc<Limits>) -> u64 {
    accounts.reserve(limits, 1, now()).map_or(0, |hold| {
        hold.settle(1);
        1
    })
}

/// A lost settlement charges in full.
fn lose(accounts: &Arc<Accounts>, limits: &Arc<Limits>) -> u64 {
    accounts.reserve(limits, 1, now()).map_or(0, |hold| {
        drop(hold);
        1
    })
}

fn give_back(accounts: &Arc<Accounts>, limits: &Arc<Limits>) -> u64 {
    accounts.reserve(limits, 1, now()).map_or(0, |hold| {
        hold.settle(0);
        0
    })
}

/// Never more is taken than the limit, however often one looks.
fn look(accounts: &Arc<Accounts>, limits: &Arc<Limits>) -> u64 {
    let first = accounts.standing(limits, now()).quotas[0];
    let second = accounts.standing(limits, now()).quotas[0];
    assert!(first.used <= second.used, "what is used is never less");
    for quota in [first, second] {
        assert!(quota.used + quota.reserved <= limits.quotas[0].limit);
    }
    0
}

fn pay(accounts: &Arc<Accounts>, limits: &Arc<Limits>) -> u64 {
    let price = Money { nanos: Nanos(6), currency: "USD".parse().unwrap() };
    let unlimited = Arc::new(Limits { quotas: Vec::new(), ..Limits::clone(limits) });
    accounts.reserve_paid(&unlimited, 1, price, now()).map_or(0, |hold| {
        drop(hold);
        6
    })
}

#[test]
fn of_two_threads_one_takes_the_last_unit() {
    explore(&[settle, lose], 1, |found, accounts, limits| {
        assert_eq!(found.iter().sum::<u64>(), 1);
        assert_eq!(used(accounts, limits), 1);
    });
}

#[test]
fn what_is_given_back_may_be_taken_and_nothing_is_lost() {
    explore(&[give_back, settle, look], 1, |found, accounts, limits| {
        assert_eq!(used(accounts, limits), found.iter().sum::<u64>());
    });
}

#[test]
fn three_threads_take_exactly_the_limit() {
    explore(&[settle, lose, settle], 2, |found, accounts, limits| {
        // Whoever is refused was so because two others had it.
        assert_eq!(found.iter().sum::<u64>(), 2);
        assert_eq!(used(accounts, limits), 2);
    });
}

#[test]
fn money_is_drawn_once() {
    explore(&[pay, pay, settle], 1, |found, accounts, _| {
        assert_eq!(found.iter().sum::<u64>(), 6 + 1);
        assert_eq!(accounts.credit(now())[0].balance, Nanos(4));
    });
}
