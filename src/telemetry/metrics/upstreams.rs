//! What one worker counts of the endpoints that it sends requests to.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::family::{Family, Labels, Series, labels};
use crate::{
    model,
    telemetry::figures::{Count, Distribution, LONG, Level, Times},
    upstream::{standing::Standing, tls::Handshake},
};

pub use crate::upstream::standing::State;

/// One endpoint of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    /// The upstream's id.
    pub upstream: Arc<str>,
    /// Its own name: host and port, or the path of a socket.
    pub name: Arc<str>,
    results: [Count; RESULTS.len()],
    /// Connections opened.
    pub opened: Count,
    handshakes: [Count; Handshake::NAMES.len()],
    /// Connections that serve a request.
    pub busy: Level,
    /// Connections that wait for one.
    pub idle: Level,
    /// Requests that were sent to it or another once more.
    pub retried: Count,
    /// From the wait for a connection to the answer's head.
    pub head: Times,
    /// One for all workers.
    pub standing: Arc<Standing>,
}

/// What can come of a request to an endpoint, as it is shown.
pub const RESULTS: [&str; 5] = ["answered", "failed", "rejected", "timed_out", "unreachable"];

/// The endpoints of all workers, as others read them.
#[derive(Debug, Default)]
pub struct Endpoints {
    inner: Mutex<Inner>,
    /// Somebody waits for a connection that another worker does not use.
    wanted: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Each worker's.
    figures: Vec<Arc<Endpoint>>,
    /// What all workers share.
    standings: Vec<Known>,
}

/// An endpoint that was used or checked since the start.
#[derive(Debug)]
struct Known {
    upstream: Arc<str>,
    name: Arc<str>,
    standing: Arc<Standing>,
    is_checked: bool,
}

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
        self.standing.set_state(State::Up);
    }

    /// Counts a request that was sent and broke before the answer's head.
    pub fn failed(&self) {
        self.count(1);
        self.standing.set_state(State::Down);
    }

    /// Counts a request that was not tried: no connection was free, or none can be opened.
    pub fn rejected(&self) {
        self.count(2);
    }

    /// Counts a request that ran out of time. That may be this request's alone, so the state stays.
    pub fn timed_out(&self) {
        self.count(3);
    }

    /// Counts a request for which no connection could be opened.
    pub fn unreachable(&self) {
        self.count(4);
        self.standing.set_state(State::Down);
    }

    /// Counts a TLS handshake.
    pub fn count_handshake(&self, ended: Handshake) {
        if let Some(count) = self.handshakes.get(ended as usize) {
            count.add(1);
        }
    }

    /// Gives what came of TLS handshakes.
    fn handshakes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Handshake::NAMES.into_iter().zip(self.handshakes.iter().map(Count::get))
    }

    /// Gives what came of requests.
    pub fn results(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS.into_iter().zip(self.results.iter().map(Count::get))
    }

    /// Gives how many requests were sent to it, whatever came of them.
    pub fn sent(&self) -> u64 {
        let [answered, failed, _, timed_out, _] = &self.results;
        answered.get().wrapping_add(failed.get()).wrapping_add(timed_out.get())
    }

    fn count(&self, result: usize) {
        if let Some(count) = self.results.get(result) {
            count.add(1);
        }
    }
}

impl Directory {
    /// Makes one that shares its endpoints.
    pub fn new(shared: Arc<Endpoints>) -> Self {
        Self { known: RefCell::default(), shared }
    }

    /// Gives the figures of an endpoint.
    pub fn find(&self, upstream: &Arc<str>, endpoint: &model::Endpoint) -> Arc<Endpoint> {
        let mut known = self.known.borrow_mut();
        let is_it = |of: &&Arc<Endpoint>| of.name == endpoint.name && of.upstream == *upstream;
        if let Some(endpoint) = known.iter().find(is_it) {
            return Arc::clone(endpoint);
        }
        let mut shared = self.shared.lock();
        let endpoint = Arc::new(Endpoint {
            upstream: Arc::clone(upstream),
            name: Arc::clone(&endpoint.name),
            results: Default::default(),
            opened: Count::default(),
            handshakes: Default::default(),
            busy: Level::default(),
            idle: Level::default(),
            retried: Count::default(),
            head: Times::new(LONG),
            standing: Arc::clone(&shared.known(upstream, &endpoint.name).standing),
        });
        known.push(Arc::clone(&endpoint));
        shared.figures.push(Arc::clone(&endpoint));
        endpoint
    }

    /// Asks all workers to close connections that somebody waits for.
    pub fn want(&self) {
        self.shared.wanted.send_replace(());
    }

    /// Gives the signal that somebody does.
    pub fn wanted(&self) -> watch::Receiver<()> {
        self.shared.wanted.subscribe()
    }
}

impl Endpoints {
    /// Shows each.
    pub fn read(&self, mut show: impl FnMut(&Endpoint)) {
        self.lock().figures.iter().for_each(|endpoint| show(endpoint));
    }

    /// Gives how an endpoint does, whose checks begin.
    pub(crate) fn begin_checks(&self, upstream: &Arc<str>, name: &Arc<str>) -> Arc<Standing> {
        let mut inner = self.lock();
        let known = inner.known(upstream, name);
        known.is_checked = true;
        Arc::clone(&known.standing)
    }

    /// Takes note that the checks of an endpoint are over.
    pub(crate) fn end_checks(&self, upstream: &Arc<str>, name: &Arc<str>) {
        self.lock().known(upstream, name).is_checked = false;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn known(&mut self, upstream: &Arc<str>, name: &Arc<str>) -> &mut Known {
        let is_it = |known: &Known| known.name == *name && known.upstream == *upstream;
        if !self.standings.iter().any(is_it) {
            self.standings.push(Known {
                upstream: Arc::clone(upstream),
                name: Arc::clone(name),
                standing: Arc::new(Standing::new(Instant::now())),
                is_checked: false,
            });
        }
        let mut all = self.standings.iter_mut();
        all.find(|known| is_it(known)).expect("it stands there by now")
    }
}

#[derive(Default)]
struct Sums {
    results: BTreeMap<&'static str, u64>,
    handshakes: BTreeMap<&'static str, u64>,
    opened: u64,
    retried: u64,
    busy: i64,
    idle: i64,
    state: State,
    head: Distribution,
}

/// Adds up each worker's figures, by upstream and address.
fn sums(all: &Endpoints) -> BTreeMap<(String, String), Sums> {
    let mut endpoints: BTreeMap<(String, String), Sums> = BTreeMap::new();
    all.read(|of| {
        let key = (of.upstream.to_string(), of.name.to_string());
        let sums = endpoints.entry(key).or_default();
        of.results().for_each(|(result, n)| *sums.results.entry(result).or_default() += n);
        of.handshakes().for_each(|(end, n)| *sums.handshakes.entry(end).or_default() += n);
        sums.opened += of.opened.get();
        sums.retried += of.retried.get();
        sums.busy += of.busy.get();
        sums.idle += of.idle.get();
        sums.state = of.standing.state();
        of.head.add_to(&mut sums.head);
    });
    endpoints
}

/// Gives what is shown of the endpoints.
pub(super) fn families(all: &Endpoints) -> Vec<Family> {
    let mut results = Vec::new();
    let mut opened = Vec::new();
    let mut handshakes = Vec::new();
    let mut retried = Vec::new();
    let mut connections = Vec::new();
    let mut up = Vec::new();
    let mut times = Vec::new();
    for ((upstream, endpoint), sums) in sums(all) {
        let which = labels([("upstream", &upstream), ("endpoint", &endpoint)]);
        let Sums { results: counts, handshakes: shaken, retried: again, head, .. } = sums;
        let Sums { opened: count, busy, idle, state, .. } = sums;
        // An endpoint in clear has none.
        if shaken.values().any(|n| *n > 0) {
            handshakes.extend(shaken.into_iter().map(|(end, n)| (with(&which, "result", end), n)));
        }
        results.extend(counts.into_iter().map(|(result, n)| (with(&which, "result", result), n)));
        connections.push((with(&which, "state", "busy"), busy as f64));
        connections.push((with(&which, "state", "idle"), idle as f64));
        opened.push((which.clone(), count));
        retried.push((which.clone(), again));
        if state != State::Unknown {
            up.push((which.clone(), f64::from(u8::from(state == State::Up))));
        }
        times.push((which, head));
    }
    let mut families = vec![
        Family {
            name: "faregate_upstream_requests",
            help: "Requests to an endpoint: answered, the head of an answer came; failed, sent and \
                   broken before it; rejected, not tried, because no connection was free in time or \
                   none can be opened; timed_out; unreachable, no connection could be opened.",
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
            name: "faregate_upstream_tls_handshakes",
            help: "TLS handshakes with an endpoint: full, it has shown its certificate; resumed, it had \
                   before; failed, there is no connection.",
            series: Series::Counters(handshakes),
        },
        Family {
            name: "faregate_upstream_endpoint_up",
            help: "1 when an endpoint answered last, 0 when it could not be reached or broke off.",
            series: Series::Gauges(up),
        },
        Family {
            name: "faregate_upstream_retries",
            help: "Requests that were sent once more because an endpoint broke off.",
            series: Series::Counters(retried),
        },
    ];
    families.extend(shared(all));
    families
}

/// Gives what is shown of what all workers share.
fn shared(all: &Endpoints) -> [Family; 4] {
    let mut checks = Vec::new();
    let mut healthy = Vec::new();
    let mut out = Vec::new();
    let mut waiting = Vec::new();
    let now = Instant::now();
    for Known { upstream, name, standing, is_checked } in &all.lock().standings {
        let which = labels([("upstream", upstream), ("endpoint", name)]);
        if *is_checked {
            let counts = &standing.checks;
            for (result, count) in [("failed", &counts.failed), ("passed", &counts.passed)] {
                checks.push((with(&which, "result", result), count.load(Ordering::Relaxed)));
            }
            healthy.push((which.clone(), f64::from(u8::from(!standing.is_ill()))));
        }
        waiting.push((which.clone(), standing.gate().waiting() as f64));
        out.push((which, f64::from(u8::from(standing.is_out(now)))));
    }
    [
        Family {
            name: "faregate_upstream_health_checks",
            help: "Checks of an endpoint by the gateway's own requests.",
            series: Series::Counters(checks),
        },
        Family {
            name: "faregate_upstream_endpoint_healthy",
            help: "1 unless the checks of an endpoint fail.",
            series: Series::Gauges(healthy),
        },
        Family {
            name: "faregate_upstream_endpoint_out",
            help: "1 while an endpoint is left out where there is another, because requests to it or its \
                   checks failed.",
            series: Series::Gauges(out),
        },
        Family {
            name: "faregate_upstream_waiting_requests",
            help: "Requests that wait for a connection to an endpoint.",
            series: Series::Gauges(waiting),
        },
    ]
}

fn with(which: &Labels, name: &'static str, value: &str) -> Labels {
    let mut labels = which.clone();
    labels.push((name, value.to_owned()));
    labels
}
