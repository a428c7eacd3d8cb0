//! Connections to upstreams, one pool per worker: nothing here crosses a thread.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::AbortHandle, time::Instant};

use crate::{
    io::{Observed, Observer},
    model::Upstream,
    progress::Progress,
    telemetry::metrics::upstreams::{Directory, Endpoint as Figures},
    upstream::body::UploadBody,
};

/// Where a connection leads.
type Endpoint = (Arc<str>, u16);

/// The request whose bytes a connection writes now.
type Current = Rc<RefCell<Option<Rc<Progress>>>>;

/// The unused connections of one worker.
#[derive(Debug)]
pub struct Pool {
    idle: RefCell<HashMap<Endpoint, Vec<Idle>>>,
    figures: Directory,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: Instant,
}

/// An open connection to an upstream, used by one request at a time.
#[derive(Debug)]
pub struct Connection {
    driver: AbortHandle,
    sender: SendRequest<UploadBody>,
    current: Current,
    keepalive: Duration,
    endpoint: Endpoint,
    reused: bool,
    figures: Arc<Figures>,
    is_idle: Cell<bool>,
}

impl Pool {
    /// Makes an empty one.
    pub fn new(figures: Directory) -> Self {
        Self { idle: RefCell::default(), figures }
    }

    /// Gives what is counted of an upstream's endpoint.
    pub fn figures(&self, upstream: &Upstream) -> Arc<Figures> {
        self.figures.find(&upstream.id, &upstream.host, upstream.port)
    }

    /// Takes the connection that was used last and is not known to be closed.
    pub fn take(&self, upstream: &Upstream) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let unused = idle.get_mut(&(Arc::clone(&upstream.host), upstream.port))?;
        let now = Instant::now();
        while let Some(Idle { connection, until }) = unused.pop() {
            if now < until && !connection.sender.is_closed() {
                connection.set_idle(false);
                return Some(connection);
            }
        }
        None
    }

    /// Puts a connection back after an exchange that ended cleanly.
    pub fn put(&self, mut connection: Connection) {
        *connection.current.borrow_mut() = None;
        if connection.sender.is_closed() {
            return;
        }
        connection.reused = true;
        connection.set_idle(true);
        let until = Instant::now() + connection.keepalive;
        let mut idle = self.idle.borrow_mut();
        idle.entry(connection.endpoint.clone()).or_default().push(Idle { connection, until });
    }

    /// Closes what was not used for too long; called now and then.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|_, unused| {
            unused.retain(|idle| now < idle.until && !idle.connection.sender.is_closed());
            !unused.is_empty()
        });
    }
}

impl Connection {
    /// Opens a connection. It must be called on the worker's own runtime.
    pub async fn open(upstream: &Upstream, figures: Arc<Figures>) -> io::Result<Self> {
        let address = (&*upstream.host, upstream.port);
        let opening = tokio::time::timeout(upstream.connect_timeout, TcpStream::connect(address));
        let stream = opening.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        let current = Current::default();
        let io = Observed::new(stream, Written(Rc::clone(&current)));
        let (sender, driver) =
            http1::handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
        let driver = tokio::task::spawn_local(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        figures.opened.add(1);
        figures.busy.raise();
        Ok(Self {
            driver: driver.abort_handle(),
            sender,
            current,
            keepalive: upstream.keepalive_timeout,
            endpoint: (Arc::clone(&upstream.host), upstream.port),
            reused: false,
            figures,
            is_idle: Cell::new(false),
        })
    }

    /// Waits until the exchange before is wholly over. An error means that it cannot be used.
    pub async fn ready(&mut self) -> hyper::Result<()> {
        self.sender.ready().await
    }

    /// Gives what is counted of its endpoint.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    fn set_idle(&self, is_idle: bool) {
        if self.is_idle.replace(is_idle) == is_idle {
            return;
        }
        let Figures { busy, idle, .. } = &*self.figures;
        let (left, entered) = if is_idle { (busy, idle) } else { (idle, busy) };
        left.lower();
        entered.raise();
    }

    /// Tells whether it has served an exchange before.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends a request, and tells its progress what is written. The request comes back with the
    /// error when it was not taken.
    pub fn send(
        &mut self,
        request: Request<UploadBody>,
        progress: &Rc<Progress>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<UploadBody>>>> + use<>
    {
        *self.current.borrow_mut() = Some(Rc::clone(progress));
        self.sender.try_send_request(request)
    }
}

impl Drop for Connection {
    /// Closes it at once. hyper would end it with its sender, but only after what is in flight: the
    /// rest of an upload would go on to flow for a request that was settled.
    fn drop(&mut self) {
        self.driver.abort();
        let level = if self.is_idle.get() { &self.figures.idle } else { &self.figures.busy };
        level.lower();
    }
}

/// What was written to an upstream is known here and nowhere else: hyper may take a request and see
/// its end in one poll, and then none of it was written.
struct Written(Current);

impl Observer for Written {
    fn written(&self) {
        if let Some(progress) = &*self.0.borrow() {
            progress.set_sent();
        }
    }
}
