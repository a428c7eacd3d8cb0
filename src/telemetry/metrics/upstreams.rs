//! What one worker counts of the endpoints that it sends requests to.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::family::{Family, Series, labels};
use crate::{
    telemetry::figures::{Count, Distribution, LONG, Level, Times},
    upstream::standing::Standing,
};

/// One endpoint of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    /// The upstream's id.
    pub upstream: Arc<str>,
    /// Host and port.
    pub address: Box<str>,
    results: [Count; RESULTS.len()],
    /// Connections opened.
    pub opened: Count,
    /// Connections that serve a request.
    pub busy: Level,
    /// Connections that wait for one.
    pub idle: Level,
    /// From the wait for a connection to the answer's head.
    pub head: Times,
    /// One for all workers: who looked last is right.
    state: Arc<AtomicU8>,
    /// One for all workers too.
    pub standing: Arc<Standing>,
}

/// What can come of a request to an endpoint, as it is shown.
pub const RESULTS: [&str; 4] = ["answered", "failed", "timed_out", "unreachable"];

/// How an endpoint did last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum State {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answered.
    Up,
    /// It could not be reached, or did not answer.
    Down,
}

/// The endpoints of all workers, as others read them.
#[derive(Debug, Default)]
pub struct Endpoints(Mutex<Vec<Arc<Endpoint>>>);

/// The worker's own way to them. It lists those in use by the configurations so far, which are few.
#[derive(Debug)]
pub struct Directory {
    known: RefCell<Vec<Arc<Endpoint>>>,
    shared: Arc<Endpoints>,
}

impl Endpoint {
    /// Counts a request whose answer's head came after so long.
    pub fn answered(&self, took: Duration) {
        self.head.take(took);
        self.count(0);
        self.set(State::Up);
    }

    /// Counts a request that was sent and broke before the answer's head.
    pub fn failed(&self) {
        self.count(1);
        self.set(State::Down);
    }

    /// Counts a request that ran out of time. That may be this request's alone, so the state stays.
    pub fn timed_out(&self) {
        self.count(2);
    }

    /// Counts a request for which no connection could be opened.
    pub fn unreachable(&self) {
        self.count(3);
        self.set(State::Down);
    }

    /// Gives what came of requests.
    pub fn results(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS.into_iter().zip(self.results.iter().map(Count::get))
    }

    fn count(&self, result: usize) {
        if let Some(count) = self.results.get(result) {
            count.add(1);
        }
    }

    /// Notes how it did. Written only where it changes, so that workers do not take the line of
    /// memory from each other for each request.
    fn set(&self, state: State) {
        if self.state() != state {
            self.state.store(state as u8, Ordering::Relaxed);
        }
    }

    /// Tells how it did last.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            1 => State::Up,
            2 => State::Down,
            _ => State::Unknown,
        }
    }
}

impl Directory {
    /// Makes one that shares its endpoints.
    pub fn new(shared: Arc<Endpoints>) -> Self {
        Self { known: RefCell::default(), shared }
    }

    /// Gives the figures of an endpoint.
    pub fn find(&self, upstream: &Arc<str>, host: &str, port: u16) -> Arc<Endpoint> {
        let mut known = self.known.borrow_mut();
        let address =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let is_it = |endpoint: &&Arc<Endpoint>| {
            *endpoint.address == *address && endpoint.upstream == *upstream
        };
        if let Some(endpoint) = known.iter().find(is_it) {
            return Arc::clone(endpoint);
        }
        let mut shared = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = shared.iter().find(is_it);
        let same = same.map(|of| (Arc::clone(&of.state), Arc::clone(&of.standing)));
        let (state, standing) =
            same.unwrap_or_else(|| (Arc::default(), Arc::new(Standing::new(Instant::now()))));
        let endpoint = Arc::new(Endpoint {
            upstream: Arc::clone(upstream),
            address: address.into(),
            results: Default::default(),
            opened: Count::default(),
            busy: Level::default(),
            idle: Level::default(),
            head: Times::new(LONG),
            state,
            standing,
        });
        known.push(Arc::clone(&endpoint));
        shared.push(Arc::clone(&endpoint));
        endpoint
    }
}

impl Endpoints {
    /// Shows each.
    pub fn read(&self, mut show: impl FnMut(&Endpoint)) {
        let endpoints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.iter().for_each(|endpoint| show(endpoint));
    }
}

#[derive(Default)]
struct Sums {
    results: BTreeMap<&'static str, u64>,
    opened: u64,
    busy: i64,
    idle: i64,
    state: State,
    head: Distribution,
}

/// Adds up each worker's figures, by upstream and address.
fn sums(all: &Endpoints) -> BTreeMap<(String, String), Sums> {
    let mut endpoints: BTreeMap<(String, String), Sums> = BTreeMap::new();
    all.read(|of| {
        let key = (of.upstream.to_string(), of.address.to_string());
        let sums = endpoints.entry(key).or_default();
        of.results().for_each(|(result, n)| *sums.results.entry(result).or_default() += n);
        sums.opened += of.opened.get();
        sums.busy += of.busy.get();
        sums.idle += of.idle.get();
        sums.state = of.state();
        of.head.add_to(&mut sums.head);
    });
    endpoints
}

/// Gives what is shown of the endpoints.
pub(super) fn families(all: &Endpoints) -> Vec<Family> {
    let mut results = Vec::new();
    let mut opened = Vec::new();
    let mut connections = Vec::new();
    let mut up = Vec::new();
    let mut times = Vec::new();
    for ((upstream, address), sums) in sums(all) {
        let which = labels([("upstream", &upstream), ("endpoint", &address)]);
        let with = |name, value: &str| {
            let mut labels = which.clone();
            labels.push((name, value.to_owned()));
            labels
        };
        let Sums { results: counts, opened: count, busy, idle, state, head } = sums;
        results.extend(counts.into_iter().map(|(result, n)| (with("result", result), n)));
        connections.push((with("state", "busy"), busy as f64));
        connections.push((with("state", "idle"), idle as f64));
        opened.push((which.clone(), count));
        if state != State::Unknown {
            up.push((which.clone(), f64::from(u8::from(state == State::Up))));
        }
        times.push((which, head));
    }
    vec![
        Family {
            name: "faregate_upstream_requests",
            help: "Requests to an endpoint: answered, the head of an answer came; failed, sent and \
                   broken before it; timed_out; unreachable, no connection could be opened.",
            series: Series::Counters(results),
        },
        Family {
            name: "faregate_upstream_duration_seconds",
            help: "Time at an endpoint: from the wait for a connection to the head of the answer.",
            series: Series::Histograms(times),
        },
        Family {
            name: "faregate_upstream_connections",
            help: "Open connections to an endpoint.",
            series: Series::Gauges(connections),
        },
        Family {
            name: "faregate_upstream_connections_opened",
            help: "Connections opened to an endpoint.",
            series: Series::Counters(opened),
        },
        Family {
            name: "faregate_upstream_endpoint_up",
            help: "1 when an endpoint answered last, 0 when it could not be reached or broke off.",
            series: Series::Gauges(up),
        },
    ]
}
