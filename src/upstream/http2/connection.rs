//! A connection to an upstream that many requests share.

use std::{
    cell::Cell,
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping,
    client::{Builder, Connection, SendRequest},
};
use http::uri::Scheme;
use tokio::time::Instant;

use super::{
    pulse::{Heard, Pulse},
    stream::Stream,
};
use crate::{
    model::{Address, Upstream},
    telemetry::metrics::upstreams::Endpoint as Figures,
    upstream::{connection::reach, tls::Identity},
};

/// How many bytes of an answer the upstream may send ahead of the client that takes it.
const STREAM_WINDOW: u32 = 64 * 1024;

/// And of all answers of a connection together: so much that answers nobody takes do not hold up the others,
/// for as many requests as most upstreams take at once.
const CONNECTION_WINDOW: u32 = 128 * STREAM_WINDOW;

/// How long the head of an answer may be, as HTTP/2 counts it (RFC 9113 section 6.5.2).
const HEAD_BYTES_MAX: u32 = 64 * 1024;

/// A connection to an upstream that many requests share.
#[derive(Debug)]
pub(in crate::upstream) struct Shared {
    sender: SendRequest<Bytes>,
    /// The connection is over.
    is_over: Rc<Cell<bool>>,
    /// Requests that are under way on it, and whether somebody is there who answers them.
    pulse: Rc<Pulse>,
    keepalive: Duration,
    address: Address,
    /// What its TLS was made by; `None` in clear.
    tls: Option<Identity>,
    figures: Arc<Figures>,
}

impl Shared {
    /// Opens a connection. It must be called on the worker's own runtime.
    pub(in crate::upstream) async fn open(
        upstream: &Upstream,
        address: &Address,
        figures: Arc<Figures>,
        timeout: Duration,
    ) -> io::Result<Rc<Self>> {
        let stream = reach(upstream, address, &figures, timeout).await?;
        let pulse = Rc::new(Pulse::new());
        // That writes the preface, and waits for nothing.
        let handshake = builder().handshake(Heard { stream, pulse: Rc::clone(&pulse) }).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        figures.opened.add(1);
        figures.idle.raise();
        let is_over = Rc::new(Cell::new(false));
        let told = Rc::clone(&is_over);
        let (id, endpoint) = (Arc::clone(&figures.upstream), address.clone());
        let watched = Rc::clone(&pulse);
        tokio::task::spawn_local(async move {
            match run(connection, &watched).await {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::debug!(upstream = %id, %error, "upstream connection ended");
                }
                None => tracing::warn!(
                    upstream = %id, %endpoint,
                    "upstream connection is given up: nothing comes, not even the answer to a PING"
                ),
            }
            told.set(true);
        });
        Ok(Rc::new(Self {
            sender,
            is_over,
            pulse,
            keepalive: upstream.keepalive_timeout,
            address: address.clone(),
            tls: upstream.tls_identity(),
            figures,
        }))
    }

    /// Begins a request on it, if it takes one more.
    pub(in crate::upstream) fn begin(self: &Rc<Self>, is_reused: bool) -> Option<Stream> {
        let mut sender = self.sender.clone();
        let has_room = self.pulse.streams() < sender.current_max_send_streams();
        if self.is_over() || !has_room || self.pulse.is_doubted() {
            return None;
        }
        // After a GOAWAY it takes none, while those that are under way go on (RFC 9113 section 6.8).
        let mut quiet = Context::from_waker(Waker::noop());
        if let Poll::Ready(Err(_)) = sender.poll_ready(&mut quiet) {
            return None;
        }
        Some(Stream::new(Rc::clone(self), sender, is_reused))
    }

    /// Tells whether it is over.
    pub(in crate::upstream) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Tells whether it was not used for too long.
    pub(in crate::upstream) fn is_stale(&self, now: Instant) -> bool {
        self.pulse.unused_since().is_some_and(|since| now >= since + self.keepalive)
    }

    /// Tells whether it leads to an address of an upstream as that is now.
    pub(in crate::upstream) fn leads(&self, upstream: &Upstream, address: &Address) -> bool {
        self.figures.upstream == upstream.id
            && self.address == *address
            && self.tls == upstream.tls_identity()
    }

    /// Gives what is counted of its endpoint.
    pub(super) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Gives how its scheme is called.
    pub(super) fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// Notes that a request was answered, at least in part.
    pub(super) fn note_answer(&self) {
        self.pulse.note_answer();
    }

    /// Counts one more request on it.
    pub(super) fn enter(&self) {
        if self.pulse.enter() {
            self.figures.idle.lower();
            self.figures.busy.raise();
        }
    }

    /// Counts one less.
    pub(super) fn leave(&self) {
        if self.pulse.leave() {
            self.figures.busy.lower();
            self.figures.idle.raise();
        }
    }
}

impl Drop for Shared {
    /// With the last sender the connection ends by itself.
    fn drop(&mut self) {
        self.figures.idle.lower();
    }
}

/// Moves a connection to its end; `None` when the other side is gone without one.
async fn run(
    mut connection: Connection<Heard, Bytes>,
    pulse: &Pulse,
) -> Option<Result<(), h2::Error>> {
    let Some(mut pings) = connection.ping_pong() else { return Some(connection.await) };
    let ask = async || {
        // Where it ended the connection tells.
        if pings.ping(Ping::opaque()).await.is_err() {
            std::future::pending().await
        }
    };
    tokio::select! {
        biased;
        ended = connection => Some(ended),
        () = pulse.watch(ask) => None,
    }
}

/// Gives how the gateway speaks HTTP/2 to upstreams.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_BYTES_MAX);
    builder
}
