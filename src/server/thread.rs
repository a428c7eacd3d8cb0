//! A worker's thread: a runtime of its own, serving the connections it is handed.

use std::{
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use tokio::{
    runtime::{self, LocalOptions},
    sync::{mpsc, watch},
};

use crate::{
    gateway::Gateway,
    journal::Writer,
    server::{addresses::Place, connection},
    telemetry::Sinks,
    worker::{IdMaker, Stop, Worker},
};

/// Sockets that may wait for a worker to take them.
const HANDOVER_WAITING: usize = 1024;

/// A connection as it is handed over.
#[derive(Debug)]
pub struct Accepted {
    /// Its socket.
    pub socket: TcpStream,
    /// Who opened it.
    pub peer: SocketAddr,
    /// Which of the gateway's addresses it came to.
    pub listener: usize,
    /// Its place among those of its address, where that is counted already.
    pub place: Option<Place>,
}

/// The acceptor's side of a worker.
#[derive(Debug)]
pub struct Handle {
    sockets: mpsc::Sender<Accepted>,
    connections: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// Starts a worker.
pub fn start(
    index: usize,
    gateway: Arc<Gateway>,
    writer: Writer,
    sinks: Sinks,
    stop: watch::Receiver<Stop>,
) -> std::io::Result<Handle> {
    let (sockets, handed) = mpsc::channel(HANDOVER_WAITING);
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let ids = IdMaker::new()?;
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let run = move || {
        // Its tasks stay on one thread, so it must be built there.
        let mut builder = runtime::Builder::new_current_thread();
        let runtime = match builder.enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        drop(tell.send(Ok(())));
        let worker = Rc::new(Worker::new(gateway, writer, sinks, stop, ids));
        runtime.spawn_local(Rc::clone(&worker).append());
        runtime.spawn_local(Rc::clone(&worker).follow_disk());
        runtime.spawn_local(Rc::clone(&worker).pass_signals());
        runtime.spawn_local(Rc::clone(&worker).tick());
        runtime.spawn_local(Rc::clone(&worker).sweep());
        runtime.block_on(serve(Rc::clone(&worker), handed, counter));
        // Connections that are cut now settle in their drops.
        drop(runtime);
        worker.flush();
    };
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?;
    told.recv().map_err(std::io::Error::other)??;
    Ok(Handle { sockets, connections, thread })
}

/// Takes sockets until the acceptor is gone, then waits until the last of them is closed.
async fn serve(
    worker: Rc<Worker>,
    mut handed: mpsc::Receiver<Accepted>,
    counter: Arc<AtomicUsize>,
) {
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    while let Some(Accepted { socket, peer, listener, place }) = handed.recv().await {
        let guard = (Counted(Arc::clone(&counter)), place, alive.clone());
        let Ok(stream) = tokio::net::TcpStream::from_std(socket) else { continue };
        let worker = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            connection::serve(worker, stream, peer, listener).await;
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
    pub async fn hand_over(&self, accepted: Accepted) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        if self.sockets.send(accepted).await.is_err() {
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
