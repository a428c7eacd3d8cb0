//! Taking units and settling them, without the journal.

use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use criterion::Criterion;
use faregate::ledger::{Ledger, Limits, WindowKind};
use tokio::time::Instant;

use crate::support::limits::{every_kind, noon, quota, take};

const CUSTOMERS: usize = 100_000;

pub(crate) fn measure(criterion: &mut Criterion) {
    let one_quota =
        Arc::new(Limits { quotas: vec![quota(WindowKind::Month)], ..Limits::default() });
    let ledger = Ledger::new(noon());
    let mut group = criterion.benchmark_group("ledger");
    let mut one = |name: &str, customer: &str, limits: &Arc<Limits>| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| take(&ledger, black_box(customer), limits).settle(2));
        });
    };
    one("one quota", "small", &one_quota);
    one("three quotas, rate, concurrency", "large", &every_kind());
    group.bench_function("one each by two threads, one customer", |bencher| {
        let limits = every_kind();
        bencher.iter_custom(|rounds| contended(&ledger, &limits, rounds));
    });
    // No two that follow one another are neighbours in memory: they come in another order first.
    let names: Vec<String> =
        (0..CUSTOMERS).map(|n| format!("customer{}", n * 7919 % CUSTOMERS)).collect();
    let limits = every_kind();
    (0..CUSTOMERS).for_each(|n| take(&ledger, &format!("customer{n}"), &limits).settle(2));
    let mut turns = names.iter().cycle();
    group.bench_function("100,000 customers in turn", |bencher| {
        bencher.iter(|| take(&ledger, turns.next().unwrap(), &limits).settle(2));
    });
    group.finish();
}

/// Lets two threads take and settle so many times each; gives how long it took.
fn contended(ledger: &Ledger, limits: &Arc<Limits>, rounds: u64) -> Duration {
    let start = Barrier::new(3);
    let begun = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..rounds {
                    take(ledger, black_box("hot"), limits).settle(2);
                }
            });
        }
        start.wait();
        Instant::now()
    });
    begun.elapsed()
}
