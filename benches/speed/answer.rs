//! Writing the answer of a refusal.

use std::hint::black_box;

use criterion::Criterion;
use faregate::{answer::problem, clock::Clock};

use crate::support::{
    gateway::{Call, SmallGateway, steps},
    tables::{SPENT, key, tables},
};

pub(crate) fn measure(criterion: &mut Criterion) {
    let (gateway, _directory) = SmallGateway::new(&tables(1, 1), Clock::system());
    let mut group = criterion.benchmark_group("answer");
    for (name, key) in [("402", key(SPENT, 0)), ("401", key("nobody", 0))] {
        let call = Call::get("/v1/forecast/berlin", &key);
        let mut exchange = gateway.begin(&call);
        let refusal = steps(&mut exchange, &call).unwrap_err();
        group.bench_function(name, |bencher| {
            bencher.iter(|| problem::answer(black_box(&refusal), &exchange.context()));
        });
    }
    group.finish();
}
