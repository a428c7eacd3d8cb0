//! What is counted of payments that come with requests: what whoever settles them was asked, and what came of it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::telemetry::{
    figures::{Distribution, LONG, Times},
    metrics::family::{Family, Series, labels},
};

/// What the task counts that settles payments.
#[derive(Debug, Default)]
pub struct Payments {
    /// Whether a payment is good.
    pub verify: Calls,
    /// To settle one whose request waits for it.
    pub settle: Calls,
    /// To settle one again whose outcome is not known.
    pub settle_again: Calls,
}

/// What one thing was asked, and what came of it. It has one writer.
#[derive(Debug)]
pub struct Calls {
    times: Times,
    results: Mutex<BTreeMap<&'static str, u64>>,
}

impl Default for Calls {
    fn default() -> Self {
        Self { times: Times::new(LONG), results: Mutex::default() }
    }
}

impl Calls {
    /// Counts one that took so long.
    pub fn count(&self, result: &'static str, time: Duration) {
        self.times.take(time);
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let count = results.entry(result).or_default();
        *count = count.saturating_add(1);
    }
}

/// Gives the families; what was never asked has no series.
pub(super) fn families(payments: &Payments) -> Vec<Family> {
    let Payments { verify, settle, settle_again } = payments;
    let (mut results, mut times) = (Vec::new(), Vec::new());
    for (call, calls) in [("settle", settle), ("settle_again", settle_again), ("verify", verify)] {
        let counted = calls.results.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if counted.is_empty() {
            continue;
        }
        let with = |(result, count)| (labels([("call", call), ("result", result)]), count);
        results.extend(counted.into_iter().map(with));
        let mut distribution = Distribution::default();
        calls.times.add_to(&mut distribution);
        times.push((labels([("call", call)]), distribution));
    }
    vec![
        Family {
            name: "faregate_payment_calls",
            help: "What facilitators were asked about payments that come with requests, and what came of it: \
                   in_doubt is asked again by settle_again.",
            series: Series::Counters(results),
        },
        Family {
            name: "faregate_payment_call_duration_seconds",
            help: "Time of a call of a facilitator.",
            series: Series::Histograms(times),
        },
    ]
}
