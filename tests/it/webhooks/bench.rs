//! A sender that runs, with a clock that is moved by hand and names that a test gives addresses.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use faregate::{
    clock::Clock,
    webhooks::{
        Bounds, Client, Endpoint, EndpointId, MessageId, Resolved, Resolver, Roots, Sender,
        SigningSecret, Target, Timing, Trust,
    },
};
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};

use super::{MemoryOutbox, SECRET};

/// Names and their addresses; other names make it panic.
#[derive(Default)]
pub(super) struct Names {
    addresses: Mutex<HashMap<String, SocketAddr>>,
    asked: AtomicUsize,
}

impl Names {
    pub(super) fn of(name: &str, address: SocketAddr) -> Arc<Self> {
        let names = Self::default();
        names.set(name, address);
        Arc::new(names)
    }

    pub(super) fn set(&self, name: &str, address: SocketAddr) {
        self.addresses.lock().unwrap().insert(name.to_owned(), address);
    }

    /// Gives how often a name was looked up.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, name: &'a str, _: u16) -> Resolved<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let found = self.addresses.lock().unwrap().get(name).copied();
        let address = found.expect("a panic as the test wants it");
        Box::pin(async move { Ok(vec![address]) })
    }
}

/// The time at which every sender starts.
pub(super) fn start() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

/// Makes a client that gives an attempt the time.
pub(super) fn client(names: &Arc<Names>, roots: Roots, whole: Duration) -> Client {
    let timing = Timing { whole, ..Timing::default() };
    Client::new(Arc::<Names>::clone(names), roots, timing).unwrap()
}

pub(super) fn endpoint(id: &str, url: &str, trust: Trust) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        id: EndpointId(id.into()),
        target: Target::parse(url, trust).unwrap(),
        secrets: SigningSecret::parse(SECRET).unwrap().into(),
    })
}

pub(super) struct Bench {
    pub(super) outbox: Arc<MemoryOutbox>,
    clock: Arc<Clock>,
    wake: Arc<Notify>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    /// Starts a sender with names that are looked up here, and plenty of time for each attempt.
    pub(super) fn start(names: &Arc<Names>) -> Self {
        Self::start_again(names, Arc::default())
    }

    /// Starts one for what an earlier one left, or for a backlog.
    pub(super) fn start_again(names: &Arc<Names>, outbox: Arc<MemoryOutbox>) -> Self {
        let client = client(names, Roots::Only(Vec::new()), Duration::from_secs(60));
        Self::start_with(client, outbox)
    }

    /// Starts a sender for what is in an outbox.
    pub(super) fn start_with(client: Client, outbox: Arc<MemoryOutbox>) -> Self {
        let clock = Arc::new(Clock::manual(start()));
        let wake = Arc::new(Notify::new());
        let (stop, stopped) = oneshot::channel();
        let sender = Sender::new(
            Arc::<MemoryOutbox>::clone(&outbox),
            Arc::new(client),
            Arc::clone(&clock),
            Arc::clone(&wake),
            Bounds::default(),
        );
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(sender.run(async {
                let _ = stopped.await;
            }));
        });
        Self { outbox, clock, wake, stop: Some(stop), thread: Some(thread) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds an event that is due now, and wakes the sender.
    pub(super) fn add(&self, endpoint: &Arc<Endpoint>, customer: &str) -> MessageId {
        let message = self.outbox.add(endpoint, customer, self.now());
        self.wake.notify_one();
        message
    }

    /// Moves the clock, and wakes the sender.
    pub(super) fn advance(&self, time: Duration) {
        self.set(self.now() + time);
    }

    /// Moves the clock to a time, and wakes the sender.
    pub(super) fn set(&self, at: Timestamp) {
        self.clock.set(at);
        self.wake.notify_one();
    }

    /// Stops the sender and waits until it has ended.
    pub(super) fn stop(mut self) -> Arc<MemoryOutbox> {
        self.end();
        Arc::clone(&self.outbox)
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the sender panicked");
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.end();
    }
}
