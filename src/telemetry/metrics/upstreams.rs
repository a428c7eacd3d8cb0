//! What one worker counts of the endpoints that it sends requests to.

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use crate::telemetry::figures::{Count, LONG, Level, Times};

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
        let state = shared.iter().find(is_it).map(|endpoint| Arc::clone(&endpoint.state));
        let endpoint = Arc::new(Endpoint {
            upstream: Arc::clone(upstream),
            address: address.into(),
            results: Default::default(),
            opened: Count::default(),
            busy: Level::default(),
            idle: Level::default(),
            head: Times::new(LONG),
            state: state.unwrap_or_default(),
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
