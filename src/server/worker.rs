//! A worker: a thread with a runtime of its own, serving the connections it is handed.

use std::{
    cell::Cell,
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::LocalSet,
};
use uuid::Uuid;

use crate::{
    gateway::Gateway,
    journal::Writer,
    server::{books::Books, connection},
    telemetry::access_log::{Buffer, Sink},
    upstream::pool::Pool,
};

/// How long settlements and log lines wait for company before they are written.
const TICK: Duration = Duration::from_millis(10);

/// How often unused upstream connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Sockets that may wait for a worker to take them.
const HANDOVER_WAITING: usize = 1024;

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

/// What the requests of one worker share. It never leaves its thread.
#[derive(Debug)]
pub struct Worker {
    gateway: Arc<Gateway>,
    books: Rc<Books>,
    log: Buffer,
    pool: Pool,
    stop: watch::Receiver<Stop>,
    ids: IdMaker,
}

/// The acceptor's side of a worker.
#[derive(Debug)]
pub struct Handle {
    sockets: mpsc::Sender<(TcpStream, SocketAddr)>,
    connections: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Gives what all workers share.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Gives the journal and the queue of settlements.
    pub fn books(&self) -> &Rc<Books> {
        &self.books
    }

    /// Gives the log lines collected.
    pub fn log(&self) -> &Buffer {
        &self.log
    }

    /// Gives the unused upstream connections.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Gives the signal to stop.
    pub fn stop(&self) -> watch::Receiver<Stop> {
        self.stop.clone()
    }

    /// Makes the id of a request that has just come.
    pub fn request_id(&self) -> Uuid {
        self.ids.make(self.gateway.clock().now())
    }

    async fn tick(self: Rc<Self>, wake: Rc<Notify>) {
        loop {
            wake.notified().await;
            tokio::time::sleep(TICK).await;
            self.books.flush();
            self.log.flush();
        }
    }

    async fn sweep(self: Rc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.pool.sweep();
        }
    }
}

/// Starts a worker.
pub fn start(
    index: usize,
    gateway: Arc<Gateway>,
    writer: Writer,
    sink: Sink,
    stop: watch::Receiver<Stop>,
) -> std::io::Result<Handle> {
    let (sockets, handed) = mpsc::channel(HANDOVER_WAITING);
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let ids = IdMaker::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        let wake = Rc::new(Notify::new());
        let worker = Rc::new(Worker {
            books: Rc::new(Books::new(writer, gateway.shared_clock(), Rc::clone(&wake))),
            log: Buffer::new(sink, Rc::clone(&wake)),
            gateway,
            pool: Pool::default(),
            stop,
            ids,
        });
        let tasks = LocalSet::new();
        tasks.spawn_local(Rc::clone(&worker).tick(wake));
        tasks.spawn_local(Rc::clone(&worker).sweep());
        let serving = tasks.run_until(serve(Rc::clone(&worker), handed, counter));
        runtime.block_on(serving);
        // Connections that are cut now settle in their drops.
        drop(tasks);
        worker.books.flush();
        worker.log.flush();
    };
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?;
    Ok(Handle { sockets, connections, thread })
}

/// Takes sockets until the acceptor is gone, then waits until the last of them is closed.
async fn serve(
    worker: Rc<Worker>,
    mut handed: mpsc::Receiver<(TcpStream, SocketAddr)>,
    counter: Arc<AtomicUsize>,
) {
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    while let Some((socket, peer)) = handed.recv().await {
        let guard = (Counted(Arc::clone(&counter)), alive.clone());
        let Ok(stream) = tokio::net::TcpStream::from_std(socket) else { continue };
        let worker = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            connection::serve(worker, stream, peer).await;
            drop(guard);
        });
    }
    drop(alive);
    // Each connection sees the signal to stop by itself, and the end of the time too.
    all_gone.recv().await;
}

/// Takes one off the count when a connection ends, however it ends.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handle {
    /// Gives the number of open connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Hands over a socket. It is counted at once, so that the next one goes elsewhere.
    pub async fn hand_over(&self, socket: TcpStream, peer: SocketAddr) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        if self.sockets.send((socket, peer)).await.is_err() {
            self.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Waits for the worker's end, after everything else that could hand it sockets is gone.
    pub fn join(self) {
        drop(self.sockets);
        if self.thread.join().is_err() {
            tracing::error!("a worker ended by a panic");
        }
    }
}

/// Makes request ids: UUIDs of version 7, which sort by time. The random part is a counter from a
/// random start, so that no request pays for the system's random numbers.
#[derive(Debug)]
struct IdMaker {
    next: Cell<u128>,
}

impl IdMaker {
    fn new() -> std::io::Result<Self> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        Ok(Self { next: Cell::new(u128::from_le_bytes(seed)) })
    }

    fn make(&self, now: Timestamp) -> Uuid {
        // An odd stride visits every value before it repeats one.
        const STRIDE: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
        let random = self.next.get().wrapping_add(STRIDE);
        self.next.set(random);
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let bytes = random.to_be_bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(bytes.get(..10).unwrap_or(&[0; 10]));
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &tail).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ_and_sort_by_time() {
        let ids = IdMaker::new().unwrap();
        let early: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let late: Timestamp = "2026-11-20T00:00:01Z".parse().unwrap();
        let made: std::collections::HashSet<Uuid> = (0..100_000).map(|_| ids.make(early)).collect();
        assert_eq!(made.len(), 100_000);
        assert!(made.iter().all(|id| *id < ids.make(late) && id.get_version_num() == 7));
    }
}
