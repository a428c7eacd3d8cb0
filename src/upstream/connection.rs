//! A connection to an upstream, moved by the request that uses it.
//!
//! It has no task of its own, which would cost every request several wake-ups. Nobody moves a
//! connection that is not used: that its other side closed it is seen when it is taken or swept.

use std::{
    cell::Cell,
    future::poll_fn,
    io, mem,
    net::Shutdown,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Frame;
use tokio::{
    net::{TcpStream, UnixStream},
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use crate::{
    chain::tunnel::Meter,
    http1::{Framing, Socket, Step, Stream},
    model::{Address, Upstream},
    telemetry::metrics::upstreams::Endpoint as Figures,
    upstream::{
        gate::Permit,
        http1::{ExchangeError, Head, Outgoing, parse},
        standing::InFlight,
        tls::{Handshake, Identity},
    },
};

/// How much memory for what it reads an unused connection keeps at most.
const BUFFER_BYTES_KEPT: usize = 16 * 1024;

/// An open connection to an upstream, used by one request at a time.
#[derive(Debug)]
pub struct Connection {
    socket: Rc<Socket>,
    /// What was read and not taken yet.
    buffer: BytesMut,
    /// What is left of the answer's body.
    framing: Framing,
    upload: Upload,
    /// It can serve another request, as far as is known.
    keeps_alive: bool,
    keepalive: Duration,
    address: Address,
    /// What it was made by; `None` is in clear.
    tls: Option<Identity>,
    reused: bool,
    /// A byte of the answer came.
    is_heard: bool,
    figures: Arc<Figures>,
    is_idle: Cell<bool>,
    /// The count of the request that uses it, where endpoints are chosen by that.
    in_flight: Option<InFlight>,
    /// Where there is a limit to them.
    permit: Option<Permit>,
    /// How many requests in succession were given it while others waited.
    handed: u32,
}

/// What became of the request that is sent.
#[derive(Debug)]
enum Upload {
    /// All of it was sent.
    Done,
    /// It was not, and nobody sends more.
    Broken,
    /// Who waits for the answer's head sends it.
    Waiter,
    /// A task of its own sends it.
    Task(AbortHandle, Rc<Cell<TaskEnd>>),
}

/// How a task ended that sends the rest of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TaskEnd {
    Not,
    Sent,
    /// The connection broke in this direction.
    Broken,
    /// The body did not come whole, so that the connection was ended.
    Ended,
}

impl Connection {
    /// Opens a connection within a time, its handshake included. It must be called on the worker's own
    /// runtime.
    pub async fn open(
        upstream: &Upstream,
        address: &Address,
        figures: Arc<Figures>,
        timeout: Duration,
    ) -> io::Result<Self> {
        let stream = reach(upstream, address, &figures, timeout).await?;
        figures.opened.add(1);
        figures.busy.raise();
        Ok(Self {
            socket: Rc::new(Socket::new(stream)),
            buffer: BytesMut::new(),
            framing: Framing::NONE,
            upload: Upload::Done,
            keeps_alive: true,
            keepalive: upstream.keepalive_timeout,
            address: address.clone(),
            tls: upstream.tls_identity(),
            reused: false,
            is_heard: false,
            figures,
            is_idle: Cell::new(false),
            in_flight: None,
            permit: None,
            handed: 0,
        })
    }

    /// Makes it one of those that are counted, until it is closed.
    pub fn set_permit(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }

    /// Keeps the count of the request that uses it, until that is over.
    pub fn hold(&mut self, in_flight: Option<InFlight>) {
        self.in_flight = in_flight;
    }

    /// Sends a request and waits for the head of its answer. A request of which nothing was sent may
    /// be given to another connection after an error.
    pub async fn exchange(&mut self, request: &mut Outgoing) -> Result<Head, ExchangeError> {
        self.upload = Upload::Waiter;
        self.is_heard = false;
        // Nothing may be left to the next request by one that is given up from here on.
        let keeps_alive = mem::replace(&mut self.keeps_alive, false);
        let head = poll_fn(|context| self.poll_exchange(request, context)).await?;
        self.framing = head.framing;
        self.keeps_alive = keeps_alive && head.keeps_alive;
        Ok(head)
    }

    fn poll_exchange(
        &mut self,
        request: &mut Outgoing,
        context: &mut Context<'_>,
    ) -> Poll<Result<Head, ExchangeError>> {
        if let Upload::Waiter = self.upload {
            match request.poll_send(&self.socket, context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.upload = Upload::Done,
                // An upstream may answer and close before it has taken everything.
                Poll::Ready(Err(ExchangeError::Io(error))) if request.is_begun() => {
                    tracing::debug!(%error, "upstream takes no more of a request");
                    self.upload = Upload::Broken;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        loop {
            while !self.buffer.is_empty()
                && let Some(head) = parse(&mut self.buffer, request.is_head())?
            {
                let status = head.status;
                if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                    request.pass_interim(&head);
                    continue;
                }
                return Poll::Ready(Ok(head));
            }
            if ready!(self.poll_read(context, self.framing.wanted(0)))? == 0 {
                return Poll::Ready(Err(ExchangeError::Early));
            }
            self.is_heard = true;
        }
    }

    /// Takes the next frame of the answer's body.
    pub fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        let mut last = 0;
        loop {
            match self.framing.step(&mut self.buffer)? {
                Step::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Step::Trailers(fields) => return Poll::Ready(Some(Ok(Frame::trailers(fields)))),
                Step::End => return Poll::Ready(None),
                Step::More => {}
            }
            last = ready!(self.poll_read(context, self.framing.wanted(last)))?;
            if last == 0 {
                return Poll::Ready(self.closed().err().map(Err));
            }
        }
    }

    /// Ends the body with the connection, if that is its end.
    fn closed(&mut self) -> Result<(), ExchangeError> {
        let is_ended = |end: &Rc<Cell<TaskEnd>>| end.get() == TaskEnd::Ended;
        match &self.upload {
            Upload::Task(_, end) if is_ended(end) => Err(ExchangeError::Early),
            _ if self.framing == Framing::UntilClose => {
                self.framing = Framing::NONE;
                Ok(())
            }
            _ => Err(ExchangeError::Early),
        }
    }

    /// Tells whether the answer's body was taken to its end.
    pub fn is_body_over(&self) -> bool {
        self.framing.is_over()
    }

    /// Gives how long the rest of the answer's body is, where that is known.
    pub fn body_left(&self) -> Option<u64> {
        self.framing.left()
    }

    /// Passes on what both sides say from here on, after an answer that switches to another protocol.
    pub fn switch(&mut self, request: Outgoing, meter: Meter) {
        (self.framing, self.keeps_alive) = (Framing::UntilClose, false);
        self.upload = Upload::Waiter;
        self.detach(request.switched(meter));
    }

    /// Gives what is left of a request a task of its own: it is to go on even while the client takes
    /// nothing of the answer, when nobody asks for the answer's body.
    pub fn detach(&mut self, mut request: Outgoing) {
        let Upload::Waiter = self.upload else { return };
        let socket = Rc::clone(&self.socket);
        let end = Rc::new(Cell::new(TaskEnd::Not));
        let told = Rc::clone(&end);
        let sending = tokio::task::spawn_local(async move {
            let sent = poll_fn(|context| request.poll_send(&socket, context)).await;
            told.set(match sent {
                Ok(()) => TaskEnd::Sent,
                Err(ExchangeError::Io(_)) => TaskEnd::Broken,
                Err(error) => {
                    tracing::debug!(%error, "upstream connection ended");
                    TaskEnd::Ended
                }
            });
            match told.get() {
                TaskEnd::Ended => socket.shut_down(Shutdown::Both),
                TaskEnd::Sent if request.ends_with_connection() => {
                    socket.shut_down(Shutdown::Write)
                }
                _ => {}
            }
        });
        self.upload = Upload::Task(sending.abort_handle(), end);
    }

    /// Makes it ready for another request; false when it cannot serve one.
    pub(super) fn rest(&mut self) -> bool {
        (self.reused, self.in_flight) = (true, None);
        let is_sent = match &self.upload {
            Upload::Done => true,
            Upload::Broken | Upload::Waiter => false,
            Upload::Task(_, end) => end.get() == TaskEnd::Sent,
        };
        // What is left over is the beginning of an answer to nothing.
        self.keeps_alive &= is_sent && self.is_body_over() && self.buffer.is_empty();
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = BytesMut::new();
        }
        self.keeps_alive
    }

    /// Looks whether its other side has closed it, or said something unasked; then it is of no use.
    pub(super) fn look(&mut self) {
        let mut quiet = Context::from_waker(Waker::noop());
        if self.poll_read(&mut quiet, 1).is_ready() {
            self.keeps_alive = false;
        }
    }

    /// Tells whether it can serve no request more, as far as was looked.
    pub(super) fn is_closed(&self) -> bool {
        !self.keeps_alive
    }

    /// Gives where it leads.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Gives what it was made by; `None` is in clear.
    pub(super) fn tls(&self) -> Option<Identity> {
        self.tls
    }

    /// Gives its leave to be open, where one is needed.
    pub(super) fn permit(&self) -> Option<&Permit> {
        self.permit.as_ref()
    }

    /// Counts that it goes to somebody who waited; gives how often it did by now.
    pub(super) fn hand_on(&mut self) -> u32 {
        self.handed = self.handed.saturating_add(1);
        self.handed
    }

    /// Gives how long it may be unused.
    pub(super) fn keepalive(&self) -> Duration {
        self.keepalive
    }

    /// Gives what is counted of its endpoint.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Tells whether a byte of the last request's answer came.
    pub fn is_heard(&self) -> bool {
        self.is_heard
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
        if let Some(permit) = &self.permit {
            permit.set_idle(is_idle);
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        self.socket.poll_read(context, &mut self.buffer, wanted)
    }
}

impl Drop for Connection {
    /// Closes it at once: the rest of an upload must not go on to flow for a request that was settled.
    fn drop(&mut self) {
        if let Upload::Task(task, _) = &self.upload {
            task.abort();
        }
        if self.tls.is_some() && self.is_idle.get() {
            // Nothing is cut off, and some servers log a connection that ends without a word as an error.
            self.socket.shut_down(Shutdown::Write);
        }
        self.set_idle(false);
        self.figures.busy.lower();
    }
}

/// Opens a socket to an upstream and makes the handshake on it, both within a time.
pub(super) async fn reach(
    upstream: &Upstream,
    address: &Address,
    figures: &Figures,
    timeout: Duration,
) -> io::Result<Stream> {
    let by = Instant::now() + timeout;
    let opening = timeout_at(by, dial(address));
    let stream = opening.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let Some(tls) = &upstream.tls else { return Ok(stream) };
    let shaking = timeout_at(by, tls.connect(stream, address)).await;
    let made = shaking.unwrap_or_else(|_| Err(late_handshake()));
    figures.count_handshake(made.as_ref().map_or(Handshake::Failed, |(_, made)| *made));
    Ok(made?.0)
}

fn late_handshake() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "its TLS handshake did not end in time")
}

/// Opens a socket.
pub(super) async fn dial(address: &Address) -> io::Result<Stream> {
    match address {
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((&**host, *port)).await?;
            stream.set_nodelay(true)?;
            Ok(stream.into())
        }
        Address::Unix(path) => Ok(UnixStream::connect(path).await?.into()),
    }
}
