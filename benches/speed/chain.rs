//! A request from its head to its end, all but the upstream and the sockets, with 100,000 keys in the
//! file.

use std::{hint::black_box, path::Path};

use criterion::Criterion;
use faregate::clock::Clock;

use crate::{
    journal::timed,
    support::{
        gateway::{Call, SmallGateway},
        tables::{SPENT, customer, key, tables},
    },
};

const CUSTOMERS: usize = 10_000;
const KEYS_EACH: usize = 10;

pub(crate) fn measure(criterion: &mut Criterion) {
    let (gateway, directory) = SmallGateway::new(&tables(CUSTOMERS, KEYS_EACH), Clock::system());
    let (good, spent, unknown) = (key(&customer(7), 3), key(SPENT, 0), key("nobody", 0));
    let path = "/v1/forecast/berlin?days=3";
    // Each by another customer, so that little of it is in the processor's caches.
    let many = (0..CUSTOMERS).map(|n| Call::get(path, &key(&customer(n * 7919 % CUSTOMERS), 3)));
    for (name, status, calls) in [
        ("served", 200, vec![Call::get(path, &good)]),
        ("served, 10,000 callers in turn", 200, many.collect()),
        ("402", 402, vec![Call::get(path, &spent)]),
        ("401", 401, vec![Call::get(path, &unknown)]),
        ("404", 404, vec![Call::get("/v2/forecast/berlin", &good)]),
    ] {
        assert!(calls.iter().all(|call| gateway.pass(call) == status), "{name}");
        run(criterion, name, &gateway, directory.path(), &calls);
    }
}

fn run(
    criterion: &mut Criterion,
    name: &str,
    gateway: &SmallGateway,
    directory: &Path,
    calls: &[Call],
) {
    let mut calls = calls.iter().cycle();
    let mut round = || {
        black_box(gateway.pass(black_box(calls.next().unwrap())));
    };
    criterion.benchmark_group("chain").bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| timed(rounds, directory, &mut round));
    });
}
