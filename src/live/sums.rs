//! What all workers have counted of their requests and of endpoints, added up.

use std::{collections::BTreeMap, sync::Arc};

use super::{Endpoint, EndpointState, Histogram, Outcome, Route};
use crate::telemetry::{
    figures::Distribution,
    metrics::{
        Endpoints, Worker,
        requests::{RouteTimes, Series},
        upstreams::State,
    },
};

/// The requests of all workers.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) requests: Vec<Outcome>,
    pub(super) units: u64,
    pub(super) gateway: Histogram,
    pub(super) whole: Histogram,
    pub(super) routes: Vec<Route>,
}

/// Requests by status, code and ending.
type Outcomes = BTreeMap<(u16, &'static str, &'static str), u64>;

#[derive(Default)]
struct OfRoute {
    outcomes: Outcomes,
    units: u64,
    gateway: Distribution,
    whole: Distribution,
}

impl Sums {
    /// Adds up what the workers counted.
    pub(super) fn of(workers: &[Arc<Worker>]) -> Self {
        let (mut all, mut routes) = (OfRoute::default(), BTreeMap::<String, OfRoute>::new());
        for worker in workers {
            let add_series = |series: &Series| {
                let of = series.labels();
                let (requests, units) = (series.requests.get(), series.units.get());
                let route = routes.entry(of.route.to_owned()).or_default();
                for sums in [&mut all, route] {
                    let outcome = sums.outcomes.entry((of.status, of.code, of.ending));
                    *outcome.or_default() += requests;
                    sums.units = sums.units.saturating_add(units);
                }
            };
            // One after the other: both would have hold of the routes.
            worker.requests.read(add_series, |_| ());
            let add_times = |times: &RouteTimes| {
                let route = routes.entry(times.route.to_string()).or_default();
                for sums in [&mut all, route] {
                    times.gateway.add_to(&mut sums.gateway);
                    times.whole.add_to(&mut sums.whole);
                }
            };
            worker.requests.read(|_| (), add_times);
        }
        let OfRoute { outcomes, units, gateway, whole } = all;
        Self {
            requests: listed(outcomes),
            units,
            gateway: (&gateway).into(),
            whole: (&whole).into(),
            routes: routes.into_iter().map(|(name, sums)| sums.told(name)).collect(),
        }
    }
}

impl OfRoute {
    fn told(self, name: String) -> Route {
        let Self { outcomes, units, gateway, whole } = self;
        Route {
            route: Some(name).filter(|name| !name.is_empty()),
            requests: listed(outcomes),
            units,
            gateway_duration: (&gateway).into(),
            request_duration: (&whole).into(),
        }
    }
}

fn listed(outcomes: Outcomes) -> Vec<Outcome> {
    let some = |text: &'static str| (!text.is_empty()).then(|| text.to_owned());
    let one = |((status, code, ending), requests)| Outcome {
        status,
        code: some(code),
        ending: some(ending),
        requests,
    };
    outcomes.into_iter().map(one).collect()
}

#[derive(Default)]
struct OfEndpoint {
    results: BTreeMap<&'static str, u64>,
    busy: i64,
    idle: i64,
    state: State,
    times: Distribution,
}

/// Adds up what the workers counted of endpoints.
pub(super) fn endpoints(endpoints: &Endpoints) -> Vec<Endpoint> {
    let mut sums: BTreeMap<(String, String), OfEndpoint> = BTreeMap::new();
    endpoints.read(|of| {
        let sum = sums.entry((of.upstream.to_string(), of.name.to_string())).or_default();
        of.results().for_each(|(result, n)| *sum.results.entry(result).or_default() += n);
        sum.busy += of.busy.get();
        sum.idle += of.idle.get();
        sum.state = of.standing.state();
        of.head.add_to(&mut sum.times);
    });
    let told = sums.into_iter().map(|((upstream, endpoint), sum)| {
        let OfEndpoint { results, busy, idle, state, times } = sum;
        let count = |result| results.get(result).copied().unwrap_or(0);
        Endpoint {
            upstream,
            endpoint,
            state: match state {
                State::Down => EndpointState::Down,
                State::Unknown => EndpointState::Unknown,
                State::Up => EndpointState::Up,
            },
            answered: count("answered"),
            failed: count("failed"),
            timed_out: count("timed_out"),
            unreachable: count("unreachable"),
            rejected: count("rejected"),
            busy,
            idle,
            duration: (&times).into(),
        }
    });
    told.collect()
}
