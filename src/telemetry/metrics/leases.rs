//! What is counted of the letters by which nodes share accounts.

use crate::{
    ledger::Post,
    telemetry::{
        figures::{Count, DISK, Distribution, Times},
        metrics::family::{Family, Series, labels},
    },
};

/// What the threads count that carry leases. Each number has one of them.
#[derive(Debug)]
pub struct Leases {
    /// How long trips to the server took that came back.
    pub trips: Times,
    /// Letters in them.
    pub letters: Count,
    /// Trips that failed.
    pub failures: Count,
    /// How often others lacked what this node had left.
    pub recalls: Count,
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            trips: Times::new(DISK),
            letters: Count::default(),
            failures: Count::default(),
            recalls: Count::default(),
        }
    }
}

/// Gives the families. Where the books are in a file nothing of this ever happens.
pub(super) fn families(leases: &Leases, post: Option<&Post>) -> Vec<Family> {
    let mut trips = Distribution::default();
    leases.trips.add_to(&mut trips);
    let is_up = post.is_none_or(|post| !post.is_away());
    vec![
        Family {
            name: "faregate_lease_trip_duration_seconds",
            help: "Time of a trip to the server with what is said of shared quotas.",
            series: Series::Histograms(vec![(labels([]), trips)]),
        },
        Family::count(
            "faregate_lease_letters",
            "What was said of shared quotas, each of one account.",
            leases.letters.get(),
        ),
        Family::count(
            "faregate_lease_trip_failures",
            "Trips with what is said of shared quotas that failed; the same is said again.",
            leases.failures.get(),
        ),
        Family::count(
            "faregate_lease_recalls",
            "Times that another node lacked units of a quota and this one was asked for what it has left.",
            leases.recalls.get(),
        ),
        Family::gauge(
            "faregate_lease_up",
            "1 when the last trip with what is said of shared quotas came back: at 0 callers are answered \
             503 once what is held is spent.",
            f64::from(u8::from(is_up)),
        ),
    ]
}
