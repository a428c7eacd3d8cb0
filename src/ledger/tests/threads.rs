//! Many threads on one customer.

use std::{sync::Barrier, thread};

use super::{quota, quotas, ts};
use crate::ledger::{Ledger, WindowKind};

#[test]
fn of_a_thousand_threads_one_takes_the_last_unit() {
    let now = ts("2026-03-03T03:03:03Z");
    let limits = quotas([quota("calls", 1, WindowKind::Day)]);
    let accounts = Ledger::new(now).customer("acme");
    let start = Barrier::new(1000);
    let taken: usize = thread::scope(|scope| {
        let ask = || {
            start.wait();
            accounts.reserve(&limits, 1, now).map_or(0, |hold| {
                hold.settle(1);
                1
            })
        };
        let threads: Vec<_> = (0..1000).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 1);
    accounts.check_invariants();
    assert_eq!(accounts.standing(&limits, now).quotas[0].used, 1);
}

#[test]
fn eight_threads_take_exactly_the_limit() {
    const LIMIT: u64 = 20_000;
    let now = ts("2026-03-03T03:03:03Z");
    let limits = quotas([
        quota("day", LIMIT, WindowKind::Day),
        quota("month", 3 * LIMIT, WindowKind::Month),
    ]);
    let accounts = Ledger::new(now).customer("acme");
    let start = Barrier::new(8);
    let charged: u64 = thread::scope(|scope| {
        let (accounts, limits, start) = (&accounts, &limits, &start);
        let hammer = move |thread: u64| {
            start.wait();
            let mut charged = 0;
            for turn in 0_u64.. {
                // Until all is charged: what others have reserved may come back.
                match accounts.reserve(limits, 1, now) {
                    Ok(hold) => {
                        let charge = u64::from(!(turn + thread).is_multiple_of(5));
                        hold.settle(charge);
                        charged += charge;
                    }
                    Err(short) if short.standing.quotas[0].reserved > 0 => {}
                    Err(_) => break,
                }
            }
            charged
        };
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || hammer(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(charged, LIMIT);
    accounts.check_invariants();
    let standing = accounts.standing(&limits, now);
    assert_eq!((standing.quotas[0].used, standing.quotas[0].reserved), (LIMIT, 0));
    assert_eq!((standing.quotas[1].used, standing.in_flight), (LIMIT, 0));
}

#[test]
fn threads_get_the_same_accounts() {
    let ledger = Ledger::new(ts("2026-03-03T03:03:03Z"));
    let all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| ledger.customer("acme"))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(all.iter().all(|accounts| std::sync::Arc::ptr_eq(accounts, &all[0])));
    assert_eq!(ledger.len(), 1);
}
