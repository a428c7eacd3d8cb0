//! How fast the parts of the request path are, by the clock. Figures of a machine that does something
//! else besides are not to be compared; `instructions` counts what can be.
#![allow(clippy::unwrap_used)]

mod answer;
mod chain;
mod checks;
mod configuration;
mod journal;
mod ledger;
mod records;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    ledger::measure(&mut criterion);
    journal::measure(&mut criterion);
    chain::measure(&mut criterion);
    checks::measure(&mut criterion);
    answer::measure(&mut criterion);
    configuration::measure(&mut criterion);
    criterion.final_summary();
    records::measure();
}
