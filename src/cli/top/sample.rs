//! From two documents to what happened between them.

use serde::Serialize;

use super::quantile::Quantiles;
use crate::live::{self, Books, Connections, Document, EndpointState, Outcome, Process, Quota};

/// What happened between two documents, and how it stands at the second.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) version: String,
    pub(super) time: jiff::Timestamp,
    pub(super) uptime_seconds: f64,
    /// How much time lies between the two.
    pub(super) seconds: f64,
    /// Whether the gateway was started in between: then they tell what happened since.
    pub(super) restarted: bool,
    pub(super) enforcing: bool,
    /// All requests.
    pub(super) rates: Rates,
    pub(super) outcomes: Vec<OutcomeRate>,
    /// Estimates from buckets, like all quantiles here.
    pub(super) gateway: Option<Quantiles>,
    pub(super) whole: Option<Quantiles>,
    pub(super) routes: Vec<RouteRates>,
    pub(super) connections: Connections,
    pub(super) reservations_open: i64,
    pub(super) books: Books,
    pub(super) upstreams: Vec<UpstreamRates>,
    /// Processors in use.
    pub(super) cpu: Option<f64>,
    pub(super) process: Process,
    /// How much time the customers' rates are of; none at first.
    pub(super) customer_seconds: f64,
    pub(super) customers: Vec<CustomerRates>,
    /// Customers that are not listed, and requests of which no customer is known.
    pub(super) others: Rates,
    pub(super) unknown: Rates,
    pub(super) quotas: Vec<Quota>,
}

/// How much there was in each second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    pub(super) requests: f64,
    /// Requests that a step before the upstream refused.
    pub(super) refused: f64,
    /// Requests that ended with a 5xx status, or without any answer.
    pub(super) failed: f64,
    pub(super) units: f64,
}

/// Requests that ended alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct OutcomeRate {
    pub(super) status: u16,
    pub(super) code: Option<String>,
    pub(super) ending: Option<String>,
    pub(super) requests: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct RouteRates {
    pub(super) route: Option<String>,
    #[serde(flatten)]
    pub(super) rates: Rates,
    pub(super) gateway: Option<Quantiles>,
    pub(super) whole: Option<Quantiles>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct UpstreamRates {
    pub(super) upstream: String,
    pub(super) endpoint: String,
    pub(super) state: EndpointState,
    pub(super) requests: f64,
    /// Those without the head of an answer.
    pub(super) failed: f64,
    pub(super) busy: i64,
    pub(super) idle: i64,
    pub(super) time: Option<Quantiles>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct CustomerRates {
    pub(super) customer: String,
    #[serde(flatten)]
    pub(super) rates: Rates,
}

impl Figures {
    /// Compares two documents, the earlier one first.
    pub(super) fn between(before: &Document, after: &Document) -> Self {
        let restarted =
            before.started_at != after.started_at || after.uptime_seconds < before.uptime_seconds;
        let before = (!restarted).then_some(before);
        let since = before.map_or(0.0, |before| before.uptime_seconds);
        let span = Span { seconds: after.uptime_seconds - since };
        let requests = span.outcomes(before.map(|b| &*b.requests), &after.requests);
        let units = span.rate(before.map(|b| b.units), after.units);
        let cpu_before = before.map_or(Some(0.0), |before| before.process.cpu_seconds);
        let cpu = after.process.cpu_seconds.zip(cpu_before);
        let busiest = &after.busiest;
        let counted = Span { seconds: busiest.seconds };
        Self {
            version: after.version.clone(),
            time: after.time,
            uptime_seconds: after.uptime_seconds,
            seconds: span.seconds,
            restarted,
            enforcing: after.enforcing,
            rates: Rates::of(&requests, units),
            outcomes: requests,
            gateway: Quantiles::between(
                before.map(|b| &b.gateway_duration),
                &after.gateway_duration,
            ),
            whole: Quantiles::between(before.map(|b| &b.request_duration), &after.request_duration),
            routes: span.routes(before, after),
            connections: after.connections,
            reservations_open: after.reservations_open,
            books: after.books,
            upstreams: span.upstreams(before, after),
            cpu: cpu.map(|(now, then)| span.each_second((now - then).max(0.0))),
            process: after.process,
            customer_seconds: busiest.seconds,
            customers: busiest.customers.iter().map(|one| counted.customer(one)).collect(),
            others: counted.counts(busiest.others),
            unknown: counted.counts(busiest.unknown),
            quotas: after.quotas.items.clone(),
        }
    }
}

impl Rates {
    fn of(outcomes: &[OutcomeRate], units: f64) -> Self {
        let sum = |is_meant: &dyn Fn(&OutcomeRate) -> bool| -> f64 {
            outcomes.iter().filter(|one| is_meant(one)).map(|one| one.requests).sum()
        };
        Self {
            // The sum of nothing is -0.
            requests: sum(&|_| true) + 0.0,
            refused: sum(&|one| one.ending.as_deref() == Some("refused")) + 0.0,
            failed: sum(&|one| one.status >= 500 || one.status == 0) + 0.0,
            units,
        }
    }
}

/// A stretch of time.
#[derive(Clone, Copy)]
struct Span {
    seconds: f64,
}

impl Span {
    fn each_second(self, amount: f64) -> f64 {
        if self.seconds > 0.0 { amount / self.seconds } else { 0.0 }
    }

    /// What falls without a restart is not ours to explain; it counts as standing still.
    fn rate(self, before: Option<u64>, after: u64) -> f64 {
        self.each_second(after.saturating_sub(before.unwrap_or(0)) as f64)
    }

    /// Gives what happened, the most frequent first.
    fn outcomes(self, before: Option<&[Outcome]>, after: &[Outcome]) -> Vec<OutcomeRate> {
        let before = before.unwrap_or_default();
        let one = |outcome: &Outcome| {
            let Outcome { status, code, ending, requests } = outcome;
            let is_it = |other: &&Outcome| {
                (other.status, &other.code, &other.ending) == (*status, code, ending)
            };
            let then = before.iter().find(is_it).map(|known| known.requests);
            let requests = self.rate(then, *requests);
            OutcomeRate { status: *status, code: code.clone(), ending: ending.clone(), requests }
        };
        let mut rates: Vec<_> = after.iter().map(one).filter(|one| one.requests > 0.0).collect();
        rates.sort_by(|a, b| b.requests.total_cmp(&a.requests));
        rates
    }

    fn routes(self, before: Option<&Document>, after: &Document) -> Vec<RouteRates> {
        let one = |route: &live::Route| {
            let known = |before: &'_ Document| {
                before.routes.iter().position(|known| known.route == route.route)
            };
            let then = before.and_then(|before| before.routes.get(known(before)?));
            let outcomes = self.outcomes(then.map(|then| &*then.requests), &route.requests);
            let units = self.rate(then.map(|then| then.units), route.units);
            RouteRates {
                route: route.route.clone(),
                rates: Rates::of(&outcomes, units),
                gateway: Quantiles::between(
                    then.map(|then| &then.gateway_duration),
                    &route.gateway_duration,
                ),
                whole: Quantiles::between(
                    then.map(|then| &then.request_duration),
                    &route.request_duration,
                ),
            }
        };
        after.routes.iter().map(one).collect()
    }

    fn upstreams(self, before: Option<&Document>, after: &Document) -> Vec<UpstreamRates> {
        let one = |endpoint: &live::Endpoint| {
            let is_it = |known: &&live::Endpoint| {
                (&known.upstream, &known.endpoint) == (&endpoint.upstream, &endpoint.endpoint)
            };
            let then = before.and_then(|before| before.upstreams.iter().find(is_it));
            let failures = |of: &live::Endpoint| {
                [of.failed, of.timed_out, of.unreachable, of.rejected].into_iter().sum()
            };
            let failed = self.rate(then.map(failures), failures(endpoint));
            let answered = self.rate(then.map(|then| then.answered), endpoint.answered);
            UpstreamRates {
                upstream: endpoint.upstream.clone(),
                endpoint: endpoint.endpoint.clone(),
                state: endpoint.state,
                requests: answered + failed,
                failed,
                busy: endpoint.busy,
                idle: endpoint.idle,
                time: Quantiles::between(then.map(|then| &then.duration), &endpoint.duration),
            }
        };
        after.upstreams.iter().map(one).collect()
    }

    fn customer(self, customer: &live::Customer) -> CustomerRates {
        let live::Customer { customer, requests, refusals, units } = customer;
        let counts = live::Counts { requests: *requests, refusals: *refusals, units: *units };
        CustomerRates { customer: customer.clone(), rates: self.counts(counts) }
    }

    fn counts(self, counts: live::Counts) -> Rates {
        let live::Counts { requests, refusals, units } = counts;
        Rates {
            requests: self.rate(None, requests),
            refused: self.rate(None, refusals),
            failed: 0.0,
            units: self.rate(None, units),
        }
    }
}

#[cfg(test)]
mod tests;
