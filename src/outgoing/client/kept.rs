//! Connections that are kept for the next request to the same place.
//!
//! Race: the other side may close one while it lies here, and the request that takes it may be written to nobody. What
//! may be sent twice is sent again over a new connection. What may not is sent again only where hyper gives it back,
//! which it does with what it has not begun to write; and it takes none that has lain longer than a moment.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::Request;
use http_body_util::Full;
use hyper::{
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{ANSWER_BYTES_MAX, Answer, Stream, collect};
use crate::outgoing::target::{Host, Target};

/// Connections that nobody uses.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<Idle>>);

/// Whether a request may be sent a second time where the first may have come through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Repeat {
    /// It asks, and changes nothing.
    Freely,
    /// It changes something.
    Never,
}

/// A connection, and the task that drives it.
pub(super) struct Open {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

/// A connection that nobody uses.
struct Idle {
    place: Place,
    since: Instant,
    open: Open,
}

/// Where a connection leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    is_https: bool,
    host: Host,
    port: u16,
}

/// What came of a request.
pub(super) enum Sent {
    /// An answer, and the connection where it may be used again.
    Answered(Answer, Option<Open>),
    /// None in time.
    Late,
    /// None; nothing of the request was written, and here it is.
    Unsent(Request<Full<Bytes>>, hyper::Error),
    /// None, and how far it came is not known.
    Broken(hyper::Error),
}

/// How many are kept.
const KEPT_MAX: usize = 64;

/// How long one is kept for what may be sent twice.
const KEPT: Duration = Duration::from_secs(20);

/// How long one may have lain for what may not: less than any server waits for a next request.
const FRESH: Duration = Duration::from_secs(1);

impl Repeat {
    fn idle_max(self) -> Duration {
        match self {
            Self::Freely => KEPT,
            Self::Never => FRESH,
        }
    }
}

impl Place {
    pub(super) fn of(target: &Target) -> Self {
        Self { is_https: target.is_https, host: target.host.clone(), port: target.port }
    }
}

impl Kept {
    /// Takes the one that was used last.
    pub(super) fn take(&self, place: &Place, repeat: Repeat) -> Option<Open> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The time is asked once for all of them.
        let now = Instant::now();
        kept.retain(|idle| idle.is_good(now));
        let is_fit = |idle: &Idle| idle.place == *place && idle.lain(now) < repeat.idle_max();
        let at = kept.iter().rposition(is_fit)?;
        Some(kept.remove(at).open)
    }

    /// Keeps one; the oldest makes room.
    pub(super) fn put(&self, place: Place, open: Open) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|idle| idle.is_good(now));
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push(Idle { place, since: now, open });
    }
}

impl Idle {
    fn is_good(&self, now: Instant) -> bool {
        !self.open.sender.is_closed() && self.lain(now) < KEPT
    }

    /// Gives how long it has lain.
    fn lain(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl Open {
    /// Begins to speak over a stream.
    pub(super) async fn begin(stream: Box<dyn Stream>) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(ANSWER_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        // What goes wrong with it is told to who sends.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, task })
    }

    /// Sends a request and reads the answer.
    pub(super) async fn send(mut self, request: Request<Full<Bytes>>, deadline: Instant) -> Sent {
        match timeout_at(deadline, self.sender.ready()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Sent::Unsent(request, error),
            Err(_) => return Sent::Late,
        }
        let answer = match timeout_at(deadline, self.sender.try_send_request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(mut error)) => {
                return match error.take_message() {
                    Some(request) => Sent::Unsent(request, error.into_error()),
                    None => Sent::Broken(error.into_error()),
                };
            }
            Err(_) => return Sent::Late,
        };
        let (head, body) = answer.into_parts();
        // The head is the other side's word, whatever becomes of the body.
        let body = timeout_at(deadline, collect(body)).await.ok().flatten();
        let open = body.is_some().then_some(self);
        let body = body.unwrap_or_default();
        Sent::Answered(Answer { status: head.status, headers: head.headers, body }, open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // So that what is broken off does not go on behind the back of who sent it.
        self.task.abort();
    }
}
