//! The document: numbers counted since the start, and levels at present.
//!
//! Who has two of them knows what went on in between. Times of requests are counted in buckets, so
//! that these too can be subtracted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::telemetry::figures::Distribution;

/// A running gateway at one moment.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Live)]
pub struct Document {
    /// The gateway's time.
    pub time: Timestamp,
    /// When it started; another one means that everything is counted anew.
    pub started_at: Timestamp,
    /// For how long it has run, by a clock that never steps: what rates are divided by.
    pub uptime_seconds: f64,
    /// The version of its program.
    pub version: String,
    /// Whether who may not be served is refused.
    pub enforcing: bool,
    /// Requests that have ended, of all routes.
    pub requests: Vec<Outcome>,
    /// Units charged.
    pub units: u64,
    /// The time of requests until the head of the answer, less that at the upstream.
    pub gateway_duration: Histogram,
    /// The time of requests until the last byte is handed over.
    pub request_duration: Histogram,
    /// The same by route.
    pub routes: Vec<Route>,
    /// Client connections.
    pub connections: Connections,
    /// Reservations of requests in flight, or of such as could not be settled yet.
    pub reservations_open: i64,
    /// The journal and the store.
    pub books: Books,
    /// Endpoints that were asked since the start.
    pub upstreams: Vec<Endpoint>,
    /// The process, as far as the system tells.
    pub process: Process,
    /// Who sent most lately.
    pub busiest: Busiest,
    /// Which quotas are near their end.
    pub quotas: Quotas,
}

/// Requests that ended alike.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Outcome {
    /// The answer's status; 0 when none was given.
    pub status: u16,
    /// The refusal's or fault's code; null when there is none.
    pub code: Option<String>,
    /// How the request ended; null for the gateway's own pages.
    pub ending: Option<String>,
    /// How many.
    pub requests: u64,
}

/// How long something took, each time.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Histogram {
    /// The upper bounds of the buckets, in microseconds.
    pub bounds_us: Vec<u64>,
    /// How many fell into each; one more than there are bounds, for what is beyond the last.
    pub counts: Vec<u64>,
    /// All together, in microseconds.
    pub sum_us: u64,
}

/// What was counted of a route.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct Route {
    /// Its name; null for requests that no route takes.
    pub route: Option<String>,
    /// Its requests that have ended.
    pub requests: Vec<Outcome>,
    /// Units charged.
    pub units: u64,
    /// The time of its requests until the head of the answer, less that at the upstream.
    pub gateway_duration: Histogram,
    /// The time of its requests until the last byte is handed over.
    pub request_duration: Histogram,
}

/// Client connections.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub struct Connections {
    /// Taken since the start.
    pub accepted: u64,
    /// Those that wait for a request's head, or read it.
    pub head: i64,
    /// Those between two requests.
    pub idle: i64,
    /// Those that serve a request.
    pub request: i64,
    /// How many there may be.
    pub limit: u64,
}

/// The journal and the store.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub struct Books {
    /// Bytes of the journal that are not yet in the store.
    pub unfolded_bytes: u64,
    /// Seconds since the store last had everything that was in the journal.
    pub fold_lag_seconds: f64,
    /// Whether the last attempt to write to the store succeeded.
    pub store_up: bool,
}

/// An endpoint of an upstream.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Endpoint {
    /// The upstream.
    pub upstream: String,
    /// Host and port, or the path of a socket.
    pub endpoint: String,
    /// How it did last.
    pub state: EndpointState,
    /// Requests of which the head of an answer came.
    pub answered: u64,
    /// Those that were sent and broke before that.
    pub failed: u64,
    /// Those that ran out of time.
    pub timed_out: u64,
    /// Those for which no connection could be opened.
    pub unreachable: u64,
    /// Those that were not tried, because no connection was free or none can be opened.
    #[serde(default)]
    pub rejected: u64,
    /// Connections that serve a request.
    pub busy: i64,
    /// Connections that wait for one.
    pub idle: i64,
    /// From the wait for a connection to the head of the answer.
    pub duration: Histogram,
}

/// How an endpoint did last.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// It could not be reached, or broke off.
    Down,
    /// It was not asked yet.
    Unknown,
    /// It answered.
    Up,
}

/// The process.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct Process {
    /// Processor time, user and system.
    pub cpu_seconds: Option<f64>,
    /// Resident memory.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// How many may be open.
    pub max_fds: Option<u64>,
}

/// Who sent most lately. It is counted only while somebody asks, and for ten seconds after that.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Busiest {
    /// How much time it was counted for: at most ten seconds, and none in the first document.
    pub seconds: f64,
    /// Those with the most requests, the most refusals and the most units.
    pub customers: Vec<Customer>,
    /// All other customers together.
    pub others: Counts,
    /// Requests of which no customer is known.
    pub unknown: Counts,
}

/// What a customer sent.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Customer {
    /// The customer.
    pub customer: String,
    /// Requests that ended.
    pub requests: u64,
    /// Those of them that were refused.
    pub refusals: u64,
    /// Units charged.
    pub units: u64,
}

/// What others sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct Counts {
    /// Requests that ended.
    pub requests: u64,
    /// Those of them that were refused.
    pub refusals: u64,
    /// Units charged.
    pub units: u64,
}

/// Which quotas are near their end: those of the busiest customers that are fullest, and beside them those
/// of which at most a fifth is left. All customers that called since the start are looked at for
/// that, a hundred thousand every few seconds.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Quotas {
    /// First those of which something is left, the least first; then those that are used up.
    pub items: Vec<Quota>,
}

/// A quota and what is taken of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Quota {
    /// The customer.
    pub customer: String,
    /// The quota's name.
    pub quota: String,
    /// Whose it is: null for the customer as a whole, else `application/NAME` or `key/ID`.
    pub scope: Option<String>,
    /// Units in each window.
    pub limit: u64,
    /// Units charged.
    pub used: u64,
    /// Units held by requests in flight.
    pub reserved: u64,
    /// Units that are left.
    pub remaining: u64,
    /// When it renews; null for never.
    pub renews_at: Option<Timestamp>,
}

impl From<&Distribution> for Histogram {
    fn from(distribution: &Distribution) -> Self {
        let Distribution { buckets, sum_ns } = distribution;
        Self {
            bounds_us: buckets.iter().filter_map(|(bound, _)| *bound).collect(),
            counts: buckets.iter().map(|(_, count)| *count).collect(),
            sum_us: sum_ns / 1000,
        }
    }
}
