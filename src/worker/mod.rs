//! What the requests of one worker share: its journal, its connections, its log. Nothing here leaves
//! the worker's thread.

pub mod append;
pub mod books;
mod ids;
mod pace;
pub mod watch;

use std::{cell::RefCell, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use http::HeaderValue;
use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch as signal},
    time::{Instant, timeout_at},
};
use uuid::Uuid;

pub use self::ids::IdMaker;
use self::{books::Books, watch::Watch};
use crate::{
    answer::headers::field_value,
    gateway::Gateway,
    journal::Writer,
    memory::Pressure,
    requests::Collector,
    server::tls::Secured,
    snapshot::Held,
    telemetry::{
        Sinks,
        access_log::Lines,
        batch::Buffer,
        metrics::{self, Recorder, upstreams::Directory},
        traces::{Record, context::SpanId},
    },
    upstream::pool::Pool,
};

/// How long settlements and log lines wait for company before they are written.
const TICK: Duration = Duration::from_millis(10);

/// How often unused upstream connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// How far a stop has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// None is asked for.
    No,
    /// What is in flight may end.
    Drain,
    /// The time is over.
    Now,
}

/// What the client connections of a worker are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signals {
    /// How far a stop has come.
    pub stop: Stop,
    /// How short memory is.
    pub pressure: Pressure,
}

impl Default for Signals {
    fn default() -> Self {
        Self { stop: Stop::No, pressure: Pressure::None }
    }
}

/// What the requests of one worker share. It never leaves its thread.
#[derive(Debug)]
pub struct Worker {
    gateway: Arc<Gateway>,
    snapshot: RefCell<Held>,
    books: Rc<Books>,
    log: Lines,
    requests: Collector,
    traces: Buffer<Record>,
    pool: Pool,
    stop: signal::Receiver<Stop>,
    /// Its own, so that connections of different workers do not meet in one count of who listens.
    signals: signal::Sender<Signals>,
    ids: IdMaker,
    wake: Rc<Notify>,
    recorder: Recorder,
    figures: Arc<metrics::Worker>,
}

/// What the requests of one client connection share, or what a stream of one has.
#[derive(Debug)]
pub struct Connection {
    /// The client's address.
    pub peer: SocketAddr,
    /// The same as a field's value, made once.
    pub peer_value: HeaderValue,
    /// The connection's clocks.
    pub watch: Rc<Watch>,
    /// What is known of it by its handshake; `None` where it is in clear.
    pub secured: Option<Rc<Secured>>,
}

impl Connection {
    /// Makes the state of a new connection.
    pub fn new(peer: SocketAddr, watch: Rc<Watch>, secured: Option<Secured>) -> Self {
        let peer_value = field_value(&peer.ip().to_canonical().to_string());
        Self { peer, peer_value, watch, secured: secured.map(Rc::new) }
    }

    /// Makes the state of a stream on it, which has clocks of its own.
    pub fn stream(&self, watch: Rc<Watch>) -> Self {
        let Self { peer, peer_value, watch: _, secured } = self;
        Self { peer: *peer, peer_value: peer_value.clone(), watch, secured: secured.clone() }
    }
}

impl Worker {
    /// Makes a worker. It must be called on the worker's own thread.
    pub fn new(
        gateway: Arc<Gateway>,
        writer: Writer,
        sinks: Sinks,
        stop: signal::Receiver<Stop>,
        ids: IdMaker,
    ) -> Self {
        let wake = Rc::new(Notify::new());
        let metrics = gateway.metrics();
        let audience = Arc::clone(metrics.audience());
        let figures = Arc::new(metrics::Worker::new(writer.figures(), audience));
        metrics.add_worker(Arc::clone(&figures));
        let books = Arc::clone(&figures.books);
        Self {
            books: Rc::new(Books::new(writer, gateway.shared_clock(), Rc::clone(&wake), books)),
            log: Lines::new(sinks.lines, Rc::clone(&wake)),
            requests: Collector::new(sinks.requests, Rc::clone(&wake)),
            traces: Buffer::new(sinks.records, Rc::clone(&wake)),
            pool: Pool::new(Directory::new(Arc::clone(metrics.endpoints()))),
            recorder: Recorder::new(Arc::clone(&figures.requests)),
            figures,
            snapshot: RefCell::new(Held::new(gateway.snapshot())),
            signals: signal::Sender::new(Signals::default()),
            gateway,
            stop,
            ids,
            wake,
        }
    }

    /// Gives what all workers share.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Gives the snapshot in force.
    pub fn snapshot(&self) -> Held {
        let mut held = self.snapshot.borrow_mut();
        if !self.gateway.look(|snapshot| held.is(snapshot)) {
            *held = Held::new(self.gateway.snapshot());
        }
        held.clone()
    }

    /// Gives the journal and the queue of settlements.
    pub fn books(&self) -> &Rc<Books> {
        &self.books
    }

    /// Gives the log lines collected.
    pub fn log(&self) -> &Lines {
        &self.log
    }

    /// Gives the recent requests collected.
    pub fn requests(&self) -> &Collector {
        &self.requests
    }

    /// Gives the sampled requests collected.
    pub fn traces(&self) -> &Buffer<Record> {
        &self.traces
    }

    /// Gives what counts its requests.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Gives what counts its busiest customers.
    pub fn busy(&self) -> &metrics::busy::Counter {
        &self.figures.busy
    }

    /// Gives what it counts of its client connections.
    pub fn connections(&self) -> &Arc<metrics::worker::Connections> {
        &self.figures.connections
    }

    /// Gives the unused upstream connections.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Gives the signal to stop.
    pub fn stop(&self) -> signal::Receiver<Stop> {
        self.stop.clone()
    }

    /// Gives what its connections are told.
    pub fn signals(&self) -> signal::Receiver<Signals> {
        self.signals.subscribe()
    }

    /// Makes the id of a request that has just come.
    pub fn request_id(&self, now: Timestamp) -> Uuid {
        self.ids.make(now)
    }

    /// Makes the mask of a WebSocket's frame.
    pub fn mask(&self) -> [u8; 4] {
        self.ids.mask()
    }

    /// Makes the nonce of a WebSocket's key.
    pub fn nonce(&self) -> u128 {
        self.ids.nonce()
    }

    /// Makes the id of a span.
    pub fn span_id(&self) -> SpanId {
        self.ids.span()
    }

    /// Writes what waits, a tick after the first of it came. It never ends by itself.
    pub async fn tick(self: Rc<Self>) {
        loop {
            self.wake.notified().await;
            tokio::time::sleep(TICK).await;
            self.flush();
        }
    }

    /// Tells its connections what all workers are told. It never ends by itself.
    pub async fn pass_signals(self: Rc<Self>) {
        let (mut stop, mut pressure) = (self.stop(), self.gateway.memory().pressure());
        loop {
            let signals = Signals {
                stop: *stop.borrow_and_update(),
                pressure: *pressure.borrow_and_update(),
            };
            self.signals.send_replace(signals);
            // Who could ask for a stop may be gone, and with it the process is about to be.
            tokio::select! {
                Ok(()) = stop.changed() => {}
                Ok(()) = pressure.changed() => {}
                else => std::future::pending().await,
            }
        }
    }

    /// Writes the appends that requests wait for. It never ends by itself.
    pub async fn append(self: Rc<Self>) {
        loop {
            self.books.is_put().await;
            self.books.write();
        }
    }

    /// Follows the disk for those who wait for it.
    pub async fn follow_disk(self: Rc<Self>) {
        self.books.follow_disk().await;
    }

    /// Writes everything that waits.
    pub fn flush(&self) {
        self.books.flush();
        self.log.flush();
        self.requests.flush();
        self.traces.flush();
    }

    /// Closes upstream connections that were not used for too long or that others wait for, ends counting
    /// that nobody looks at, and tries a journal again that failed. It never ends by itself.
    pub async fn sweep(self: Rc<Self>) {
        let mut wanted = self.pool.wanted();
        let mut next = Instant::now() + SWEEP;
        loop {
            if let Ok(Ok(())) = timeout_at(next, wanted.changed()).await {
                self.pool.make_room();
                continue;
            }
            // Of the snapshot in force, also where no request has asked for it.
            self.pool.sweep(&self.snapshot().snapshot().upstreams);
            self.figures.busy.rest();
            self.books.try_again();
            next = Instant::now() + SWEEP;
        }
    }
}
