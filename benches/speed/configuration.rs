//! From a file's text to what requests are decided by.

use std::{hint::black_box, path::Path};

use criterion::Criterion;
use faregate::snapshot::Snapshot;

use crate::support::{gateway::config, tables::tables};

const CUSTOMERS: usize = 10_000;

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("configuration");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/faregate.toml");
    let example = std::fs::read_to_string(example).unwrap();
    group.bench_function("config/faregate.toml", |bencher| {
        bencher.iter(|| config(black_box(&example)));
    });
    let large = tables(CUSTOMERS, 1);
    group.sample_size(10);
    group.bench_function("10,000 customers", |bencher| {
        bencher.iter(|| config(black_box(&large)));
    });
    let checked = config(&large);
    group.bench_function("snapshot of 10,000 customers", |bencher| {
        bencher.iter(|| Snapshot::new(black_box(&checked)));
    });
    group.finish();
}
