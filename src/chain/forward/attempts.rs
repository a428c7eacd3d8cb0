//! Attempts to have one request answered: on another connection or by another endpoint, as long as that
//! makes no call twice.
//!
//! What was not sent may go anywhere. What was sent may have been done, even if only a byte of it was:
//! it is sent again only if the operator allows that (`retries`), the method is safe (RFC 9110 section
//! 9.2.1), it has no body, the connection broke, and no byte of an answer came. One that ran out of time
//! is not: the upstream may be at it, and the caller has waited long enough. Nor is an answer
//! that says 502, 503 or 504: it is an answer.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use http::Method;
use tokio::time::Instant;

use super::Call;
use crate::{
    answer::{Denial, Ending, Fault, Refusal},
    chain::{Refused, exchange::Exchange},
    model::{HostHeader, Limit},
    progress::{Cut, Progress, Upload},
    upstream::{
        balance::Choice,
        http1::{ExchangeError, Head, Outgoing},
        lane::Lane,
        pool::{Admission, Unopened},
    },
};

/// Attempts to have one request answered.
pub(super) struct Attempts<'a> {
    exchange: &'a Exchange,
    choice: Choice<'a>,
    /// Each endpoint is told its own authority.
    tells_authority: bool,
    began: Instant,
    /// Until when connections are opened, to all endpoints together.
    connect_by: Instant,
    /// How many times it may still be sent once more.
    retries: u32,
    /// It was: on a connection of its own, lest others of the pool are broken too.
    is_again: bool,
}

/// Why one attempt brought no head.
enum Failed {
    /// The exchange broke.
    Broken {
        error: ExchangeError,
        /// After a byte of the answer.
        is_heard: bool,
    },
    /// A clock ran out.
    Cut,
    /// Nothing was tried: no connection is free, or none can be opened.
    Rejected(Fault),
    /// No connection could be opened.
    Unreachable(Fault),
}

impl<'a> Attempts<'a> {
    /// Begins with an endpoint.
    pub(super) fn new(
        call: &Call<'a>,
        choice: Choice<'a>,
        exchange: &'a Exchange,
        began: Instant,
    ) -> Self {
        let upstream = choice.upstream();
        let tells_authority =
            upstream.host_header == HostHeader::Upstream || call.routed.target().host().is_none();
        let connect_by = began + upstream.connect_timeout;
        Self { exchange, choice, tells_authority, began, connect_by, retries: 0, is_again: false }
    }

    /// Lets a request be sent once more, where the upstream's settings do and it can be.
    pub(super) fn allow_retries(&mut self, method: &Method, request: &mut Outgoing) {
        let retries = self.choice.upstream().retries;
        let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if retries > 0 && is_safe && request.keep() {
            self.retries = retries;
        }
    }

    /// Sends a request until a head comes or nothing more may be tried.
    pub(super) async fn send(&mut self, request: &mut Outgoing) -> Result<(Head, Lane), Refused> {
        loop {
            match self.attempt(request).await {
                Ok(answered) => return Ok(answered),
                Err(failed) => self.go_on(&failed, request)?,
            }
        }
    }

    /// Counts an answer of the endpoint.
    pub(super) fn count_answer(&self, connection: &Lane, took: Duration) {
        self.choice.note_success();
        connection.figures().answered(took);
    }

    /// Gives the number of the endpoint that was asked last.
    pub(super) fn endpoint(&self) -> usize {
        self.choice.index()
    }

    async fn attempt(&mut self, request: &mut Outgoing) -> Result<(Head, Lane), Failed> {
        let (exchange, progress) = (self.exchange, self.exchange.progress());
        loop {
            let unused = match self.is_again {
                true => None,
                false => {
                    let (upstream, endpoint) = (self.choice.upstream(), self.choice.endpoint());
                    exchange.pool().take(upstream, endpoint, self.began)
                }
            };
            let mut connection = match unused {
                Some(unused) => unused,
                // Seldom, and large.
                None => Box::pin(self.open()).await?,
            };
            let answer = unless_cut(pin!(connection.exchange(request)), progress).await;
            match answer {
                None => return Err(Failed::Cut),
                Some(Ok(head)) => {
                    connection.hold(self.choice.take_in_flight());
                    return Ok((head, connection));
                }
                // A connection that was closed while unused did not take the request: nothing of it was
                // sent, so another one may. A new one that closes at once is asked only once.
                Some(Err(_)) if connection.is_reused() && !request.is_begun() => {}
                Some(Err(error)) => {
                    return Err(Failed::Broken { error, is_heard: connection.is_heard() });
                }
            }
        }
    }

    /// Takes what follows from a failure: another attempt, or the end.
    fn go_on(&mut self, failed: &Failed, request: &mut Outgoing) -> Result<(), Refused> {
        let refused = self.refusal(failed);
        self.count(failed, &refused);
        let is_fault = matches!(refused.refusal, Refusal::Fault(_));
        if !is_fault || self.exchange.progress().cut().is_some() {
            return Err(refused);
        }
        let goes_on =
            if request.is_begun() { self.repeats(failed, request) } else { self.moves_on(request) };
        if goes_on { Ok(()) } else { Err(refused) }
    }

    /// Chooses another endpoint for what was not sent; false where none may be asked.
    fn moves_on(&mut self, request: &mut Outgoing) -> bool {
        let now = Instant::now();
        if now >= self.connect_by || !self.choice.move_on(now) {
            return false;
        }
        self.tell_authority(request);
        true
    }

    /// Makes a request ready that was sent in vain; false where it may not be sent once more. Another
    /// endpoint is asked if there is one.
    fn repeats(&mut self, failed: &Failed, request: &mut Outgoing) -> bool {
        let Failed::Broken { error, is_heard: false } = failed else { return false };
        let is_lost = matches!(error, ExchangeError::Early | ExchangeError::Io(_));
        let (upstream, pool) = (self.choice.upstream(), self.exchange.pool());
        if !is_lost || self.retries == 0 || !pool.may_retry(upstream) {
            return false;
        }
        pool.figures(upstream, self.choice.endpoint()).retried.add(1);
        let now = Instant::now();
        (self.retries, self.is_again) = (self.retries - 1, true);
        self.connect_by = now + upstream.connect_timeout;
        // The time to the head begins anew.
        self.exchange.moved();
        request.rewind();
        if self.choice.move_on(now) {
            self.tell_authority(request);
        }
        true
    }

    fn tell_authority(&self, request: &mut Outgoing) {
        if self.tells_authority {
            request.set_host(&self.choice.endpoint().authority);
        }
    }

    /// Opens a connection, or is given one where there is a limit to them.
    async fn open(&mut self) -> Result<Lane, Failed> {
        let (upstream, endpoint) = (self.choice.upstream(), self.choice.endpoint());
        let (pool, progress) = (self.exchange.pool(), self.exchange.progress());
        let mut permit = None;
        if let Some(limit) = &upstream.limit {
            match self.enter(limit).await? {
                Admission::Connection(connection) => return Ok(Lane::Http1(*connection)),
                Admission::Permit(given) => permit = Some(given),
                Admission::Refused => return Err(Failed::Rejected(Fault::Overloaded)),
            }
        }
        let time = self.time_to_connect();
        let opening = pool.open(upstream, endpoint, time);
        match unless_cut(pin!(opening), progress).await {
            None => Err(Failed::Cut),
            Some(Ok(mut connection)) => {
                let standing = &connection.figures().standing;
                if !connection.is_reused() && standing.note_reachable() {
                    let (upstream, endpoint) = (&upstream.id, &endpoint.name);
                    tracing::info!(%upstream, %endpoint, "upstream can be reached again");
                }
                connection.set_permit(permit);
                Ok(connection)
            }
            Some(Err(Unopened::Failed(error))) => Err(self.unreachable(&error)),
            Some(Err(Unopened::NotTried)) => Err(Failed::Rejected(Fault::UpstreamError)),
        }
    }

    /// Waits for one of the connections that the endpoint may have. That is no part of the time to open one.
    async fn enter(&mut self, limit: &Limit) -> Result<Admission, Failed> {
        let (exchange, began) = (self.exchange, Instant::now());
        let (pool, upstream) = (exchange.pool(), self.choice.upstream());
        let figures = pool.figures(upstream, self.choice.endpoint());
        let entering = pool.enter(figures.standing.gate(), limit, upstream.tls_identity());
        let entering = pin!(entering);
        let entered = unless_cut(entering, exchange.progress()).await.ok_or(Failed::Cut);
        self.connect_by += began.elapsed();
        exchange.moved();
        entered
    }

    /// Gives how long a connection may take. The time is for all endpoints together: half of what is left
    /// of it stays for the others, or one that does not answer would take it all.
    fn time_to_connect(&self) -> Duration {
        let left = self.connect_by.saturating_duration_since(Instant::now());
        if self.choice.is_last() { left } else { left / 2 }
    }

    fn unreachable(&self, error: &io::Error) -> Failed {
        let (upstream, endpoint) = (self.choice.upstream(), self.choice.endpoint());
        let standing = &self.exchange.pool().figures(upstream, endpoint).standing;
        let (id, name) = (&upstream.id, &endpoint.name);
        if standing.is_unreachable() {
            // That is told by now, and thousands may have tried at once.
            tracing::debug!(upstream = %id, endpoint = %name, %error, "upstream still cannot be reached");
        } else {
            tracing::warn!(upstream = %id, endpoint = %name, %error, "upstream cannot be reached");
        }
        if standing.note_unreachable(Instant::now()) {
            tracing::warn!(
                upstream = %id, endpoint = %name,
                "callers do not wait for it until it can be reached again"
            );
        }
        Failed::Unreachable(match error.kind() {
            io::ErrorKind::TimedOut => Fault::UpstreamTimeout,
            _ => Fault::UpstreamError,
        })
    }

    /// Gives what the caller is told if nothing more is tried.
    fn refusal(&self, failed: &Failed) -> Refused {
        let progress = self.exchange.progress();
        match failed {
            Failed::Broken { error, .. } => broken(error, progress),
            // Who set the time has left by then, or does at this very moment.
            Failed::Cut if self.exchange.is_past_deadline() && progress.sent() => {
                Refused { refusal: Fault::UpstreamTimeout.into(), ending: Ending::Abandoned }
            }
            Failed::Cut => timed_out(progress),
            Failed::Rejected(fault) | Failed::Unreachable(fault) => {
                Refused { refusal: (*fault).into(), ending: unanswered(progress) }
            }
        }
    }

    /// Counts how the endpoint did. What the caller broke off says nothing about it.
    fn count(&self, failed: &Failed, refused: &Refused) {
        let Refused { refusal: Refusal::Fault(fault), ending } = refused else { return };
        let endpoint = self.exchange.pool().figures(self.choice.upstream(), self.choice.endpoint());
        match (failed, fault, ending) {
            (Failed::Rejected(_), ..) => return endpoint.rejected(),
            (Failed::Unreachable(_), ..) => endpoint.unreachable(),
            (_, Fault::UpstreamError | Fault::UpstreamTimeout, Ending::Unsent) => {
                endpoint.unreachable()
            }
            (_, Fault::UpstreamTimeout, _) => endpoint.timed_out(),
            (_, Fault::UpstreamError, _) => endpoint.failed(),
            _ => return,
        }
        self.choice.note_failure(Instant::now());
    }
}

/// Runs a future until it is ready or a clock cuts the request. The connection's task polls again
/// after a cut, so the look at the flag comes first.
pub(in crate::chain) async fn unless_cut<T>(
    mut future: Pin<&mut impl Future<Output = T>>,
    progress: &Progress,
) -> Option<T> {
    poll_fn(|context| match progress.cut() {
        Some(_) => Poll::Ready(None),
        None => future.as_mut().poll(context).map(Some),
    })
    .await
}

fn timed_out(progress: &Progress) -> Refused {
    let refusal = match (progress.cut(), progress.upload()) {
        (Some(Cut::ClientIdle | Cut::ClientSlow), Upload::Open) => Denial::BodyTooSlow.into(),
        (Some(Cut::Drain), _) => Fault::Overloaded.into(),
        _ => Fault::UpstreamTimeout.into(),
    };
    Refused { refusal, ending: unanswered(progress) }
}

/// Tells whose doing a failed exchange is: a body that broke is the caller's, all else the upstream's.
fn broken(error: &ExchangeError, progress: &Progress) -> Refused {
    let (refusal, ending) = match progress.upload() {
        Upload::TooLarge { max } => (Denial::BodyTooLarge { max }.into(), Ending::Abandoned),
        Upload::Broken => {
            (Denial::InvalidRequest("The request's body ended early.").into(), Ending::Abandoned)
        }
        Upload::Open | Upload::Done => {
            tracing::warn!(%error, "upstream failed before its head");
            (Fault::UpstreamError.into(), Ending::Failed)
        }
    };
    Refused { refusal, ending: if progress.sent() { ending } else { Ending::Unsent } }
}

/// Gives the ending of what no head came for: whether any attempt sent a byte of it.
fn unanswered(progress: &Progress) -> Ending {
    if progress.sent() { Ending::Failed } else { Ending::Unsent }
}
