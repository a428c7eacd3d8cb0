//! What is counted for the operator's monitoring, and the page that shows it.
//!
//! Workers count in numbers of their own (`figures.rs`), which cost a request some nanoseconds; they
//! are added up when somebody asks.

pub mod busy;
mod certificates;
pub mod exposition;
mod family;
pub mod handshakes;
pub mod leases;
pub mod page;
pub mod payments;
pub mod process;
pub mod requests;
pub mod upstreams;
pub mod worker;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

pub use self::{busy::Audience, requests::Recorder, upstreams::Endpoints, worker::Worker};

/// What all threads count. It belongs to the gateway and outlives every reload.
#[derive(Debug, Default)]
pub struct Metrics {
    workers: Mutex<Vec<Arc<Worker>>>,
    endpoints: Arc<Endpoints>,
    audience: Arc<Audience>,
    leases: leases::Leases,
    payments: payments::Payments,
    /// Configurations put in force since the start.
    pub reloads: AtomicU64,
    /// Configurations that were refused.
    pub reloads_refused: AtomicU64,
    /// Whether the last attempt at one failed. None counts as success: the start took the file.
    last_reload_refused: AtomicBool,
    /// Client connections that were closed at once, because their address had too many.
    refused_connections: AtomicU64,
    /// Access-log lines that were dropped; the log's own count.
    lines_dropped: OnceLock<Arc<AtomicU64>>,
    /// Records of recent requests that were dropped; their writer's own count.
    records_dropped: OnceLock<Arc<AtomicU64>>,
    /// Events kept for delivery, by their kind.
    events: Mutex<BTreeMap<String, u64>>,
    /// Attempts to deliver one, by what came of it.
    deliveries: Mutex<BTreeMap<&'static str, u64>>,
}

/// What can come of an attempt to deliver an event, as it is shown.
const DELIVERIES: [&str; 3] = ["delivered", "failed", "given_up"];

impl Metrics {
    /// Takes note of a worker that begins.
    pub fn add_worker(&self, worker: Arc<Worker>) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }

    /// Gives the workers.
    pub fn workers(&self) -> Vec<Arc<Worker>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a client connection that was closed at once.
    pub fn count_refused_connection(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives the number of client connections that were closed at once.
    pub fn refused_connections(&self) -> u64 {
        self.refused_connections.load(Ordering::Relaxed)
    }

    /// Gives the number of client connections that are open.
    pub fn open_connections(&self) -> usize {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let open = workers.iter().map(|worker| worker.connections.open()).sum::<i64>();
        usize::try_from(open).unwrap_or(0)
    }

    /// Tells whether a worker's journal is not written at present.
    pub fn is_journal_failing(&self) -> bool {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().any(|worker| worker.books.journal.is_failing())
    }

    /// Takes note of where the access log counts the lines that it drops.
    pub fn watch_lines_dropped(&self, count: &Arc<AtomicU64>) {
        // One log, so one count; a second call would change nothing.
        let _ = self.lines_dropped.set(Arc::clone(count));
    }

    /// Gives the number of access-log lines that were dropped.
    pub fn lines_dropped(&self) -> u64 {
        self.lines_dropped.get().map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Takes note of where the writer of recent requests counts the records that are dropped.
    pub fn watch_records_dropped(&self, count: &Arc<AtomicU64>) {
        let _ = self.records_dropped.set(Arc::clone(count));
    }

    /// Gives the number of records of recent requests that were dropped.
    pub fn records_dropped(&self) -> u64 {
        self.records_dropped.get().map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Gives what is counted of leases.
    pub fn leases(&self) -> &leases::Leases {
        &self.leases
    }

    /// Gives what is counted of payments.
    pub fn payments(&self) -> &payments::Payments {
        &self.payments
    }

    /// Gives the endpoints of all workers.
    pub fn endpoints(&self) -> &Arc<Endpoints> {
        &self.endpoints
    }

    /// Gives who watches.
    pub fn audience(&self) -> &Arc<Audience> {
        &self.audience
    }

    /// Counts what came of a reload.
    pub fn count_reload(&self, is_in_force: bool) {
        let count = if is_in_force { &self.reloads } else { &self.reloads_refused };
        count.fetch_add(1, Ordering::Relaxed);
        self.last_reload_refused.store(!is_in_force, Ordering::Relaxed);
    }

    /// Tells whether the last reload, if there was one, put its configuration in force.
    pub fn is_last_reload_in_force(&self) -> bool {
        !self.last_reload_refused.load(Ordering::Relaxed)
    }

    /// Counts an event that was put into the outbox. The kinds are ours, so they are few.
    pub fn count_event(&self, kind: &str) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        match events.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(events.insert(kind.to_owned(), 1)),
        }
    }

    /// Counts an attempt to deliver an event.
    pub fn count_delivery(&self, result: &'static str) {
        let mut deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        *deliveries.entry(result).or_default() += 1;
    }

    fn events(&self) -> BTreeMap<String, u64> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the attempts by what came of them, those that never did too: an alarm sees the first
    /// only if there was a zero before it.
    fn deliveries(&self) -> BTreeMap<&'static str, u64> {
        let mut deliveries: BTreeMap<_, _> = DELIVERIES.map(|result| (result, 0)).into();
        deliveries.extend(&*self.deliveries.lock().unwrap_or_else(PoisonError::into_inner));
        deliveries
    }
}
