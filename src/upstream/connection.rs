//! A connection to an upstream, driven by the request that uses it.
//!
//! hyper wants each connection polled by somebody. A task of its own would cost every request several
//! wake-ups; here the request that waits for an answer, or for more of its body, moves the connection
//! itself. Nobody moves a connection that is not used: that its other side closed it is seen when it
//! is taken or swept.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    io, mem,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::{AbortHandle, coop::unconstrained},
};

use crate::{
    io::{Observed, Observer},
    model::Upstream,
    progress::Progress,
    telemetry::metrics::upstreams::Endpoint as Figures,
    upstream::body::UploadBody,
};

/// Where a connection leads.
pub(super) type Endpoint = (Arc<str>, u16);

/// The request whose bytes a connection writes now.
type Current = Rc<RefCell<Option<Rc<Progress>>>>;

type Answered = Result<Response<Incoming>, TrySendError<Request<UploadBody>>>;

/// An open connection to an upstream, used by one request at a time.
#[derive(Debug)]
pub struct Connection {
    driver: Driver,
    sender: SendRequest<UploadBody>,
    current: Current,
    keepalive: Duration,
    endpoint: Endpoint,
    reused: bool,
    figures: Arc<Figures>,
    is_idle: Cell<bool>,
}

/// Who moves the bytes of a connection.
enum Driver {
    /// Nobody any more: it is closed.
    Closed,
    /// Whoever uses it.
    User(Pin<Box<http1::Connection<TokioIo<Observed<Written>>, UploadBody>>>),
    /// A task of its own.
    Task(AbortHandle),
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
        figures.opened.add(1);
        figures.busy.raise();
        Ok(Self {
            driver: Driver::User(Box::pin(driver)),
            sender,
            current,
            keepalive: upstream.keepalive_timeout,
            endpoint: (Arc::clone(&upstream.host), upstream.port),
            reused: false,
            figures,
            is_idle: Cell::new(false),
        })
    }

    /// Sends a request, and tells its progress what is written. The request comes back with the
    /// error when it was not taken.
    pub fn send(
        &mut self,
        request: Request<UploadBody>,
        progress: &Rc<Progress>,
    ) -> impl Future<Output = Answered> {
        *self.current.borrow_mut() = Some(Rc::clone(progress));
        let answer = unconstrained(self.sender.try_send_request(request));
        async move {
            let mut answer = pin!(answer);
            let mut is_begun = false;
            poll_fn(|context| {
                let mut look = |quiet: &mut Context<'_>| answer.as_mut().poll(quiet);
                if mem::replace(&mut is_begun, true) {
                    return self.poll(context, look);
                }
                // Nothing can have come of it yet, but that the connection is closed.
                self.drive(context);
                look(&mut Context::from_waker(Waker::noop()))
            })
            .await
        }
    }

    /// Takes the next frame of an answer's body.
    pub fn poll_body(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if let Driver::Task(_) = self.driver {
            return Pin::new(body).poll_frame(context);
        }
        let mut look = |quiet: &mut Context<'_>| Pin::new(&mut *body).poll_frame(quiet);
        // This first one tells hyper that more is wanted, so that the driver reads it.
        match look(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.poll(context, look),
            frame => frame,
        }
    }

    /// Gives it a task of its own, and no further request: for an upload that is to go on even while
    /// the client takes nothing of the answer, when nobody asks for the answer's body.
    pub fn detach(&mut self) {
        let Driver::User(driver) = mem::replace(&mut self.driver, Driver::Closed) else {
            return;
        };
        let driving = tokio::task::spawn_local(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        self.driver = Driver::Task(driving.abort_handle());
    }

    /// Makes it ready for another request; false when it cannot serve one.
    pub(super) fn rest(&mut self) -> bool {
        *self.current.borrow_mut() = None;
        self.reused = true;
        if !self.sender.is_ready() {
            self.look();
        }
        self.sender.is_ready() && matches!(self.driver, Driver::User(_))
    }

    /// Looks whether its other side has closed it, or said something unasked; then it closes.
    pub(super) fn look(&mut self) {
        self.drive(&mut Context::from_waker(Waker::noop()));
    }

    /// Tells whether it is closed, as far as was looked.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Gives where it leads.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Gives how long it may be unused.
    pub(super) fn keepalive(&self) -> Duration {
        self.keepalive
    }

    /// Gives what is counted of its endpoint.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Tells whether it has served an exchange before.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    pub(super) fn set_idle(&self, is_idle: bool) {
        if self.is_idle.replace(is_idle) == is_idle {
            return;
        }
        let Figures { busy, idle, .. } = &*self.figures;
        let (left, entered) = if is_idle { (busy, idle) } else { (idle, busy) };
        left.lower();
        entered.raise();
    }

    /// Drives the connection until what is looked for is there. That changes by the driver alone, so who
    /// looks need never be woken; and the driver itself need not wake anybody where what has come
    /// already is enough, as it is almost always. It would otherwise have the request polled once more
    /// for nothing, and the one that used the connection before.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut look: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut quiet = Context::from_waker(Waker::noop());
        self.drive(&mut quiet);
        let found = look(&mut quiet);
        if found.is_ready() {
            return found;
        }
        self.drive(context);
        look(&mut quiet)
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        let Driver::User(driver) = &mut self.driver else { return };
        let Poll::Ready(ended) = driver.as_mut().poll(context) else { return };
        if let Err(error) = ended {
            tracing::debug!(%error, "upstream connection ended");
        }
        self.driver = Driver::Closed;
    }
}

impl Drop for Connection {
    /// Closes it at once. hyper would end it with its sender, but only after what is in flight: the
    /// rest of an upload would go on to flow for a request that was settled.
    fn drop(&mut self) {
        if let Driver::Task(task) = &self.driver {
            task.abort();
        }
        let level = if self.is_idle.get() { &self.figures.idle } else { &self.figures.busy };
        level.lower();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "Closed",
            Self::User(_) => "User",
            Self::Task(_) => "Task",
        })
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
