//! What is decided about a request, and nothing else: route, key, subscription and quota, for 100,000
//! callers in turn. Neither journal nor log nor metrics nor an answer's fields are in it.

use std::hint::black_box;

use criterion::Criterion;
use faregate::clock::Clock;

use crate::support::{
    gateway::{Call, SmallGateway},
    tables::{customer, key, tables},
};

const CUSTOMERS: usize = 100_000;

pub(crate) fn measure(criterion: &mut Criterion) {
    let (gateway, _directory) = SmallGateway::new(&tables(CUSTOMERS, 1), Clock::system());
    // No two that follow one another are neighbours in memory.
    let call = |n| Call::get("/v1/forecast/berlin", &key(&customer(n * 7919 % CUSTOMERS), 0));
    let calls: Vec<Call> = (0..CUSTOMERS).map(call).collect();
    let exchange = gateway.begin(&call(0));
    for call in &calls {
        gateway.check(&exchange, call);
    }
    let mut turns = calls.iter().cycle();
    criterion.benchmark_group("checks").bench_function("100,000 callers in turn", |bencher| {
        bencher.iter(|| gateway.check(&exchange, black_box(turns.next().unwrap())));
    });
}
