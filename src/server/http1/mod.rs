//! HTTP/1.1 as the gateway speaks it to clients: one request after the other.

mod answer;
mod body;
pub(crate) mod request;

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use http::request::Parts;
use jiff::Timestamp;

pub use self::body::Inbound;
pub(super) use self::request::Unparsable;
use self::{answer::Terms, body::Inbox};
use crate::{
    chain::reply::Reply,
    config::ServerLimits,
    http1::{SendError, Sending, Socket},
    server::{body::ClientBody, http2::Preface},
    worker::watch::Watch,
};

/// What is read of a head beyond the limit, so that most heads that are too large are refused like
/// anything else (`chain/head.rs`).
const HEAD_SLACK: usize = 64 * 1024;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    socket: Rc<Socket>,
    inbox: Rc<Inbox>,
    watch: Rc<Watch>,
    limits: &'a ServerLimits,
    /// How much of a head was looked at that is not whole.
    looked: Cell<usize>,
    /// No request is to follow the one that is under way.
    is_closing: &'a Cell<bool>,
    /// What comes may still turn out to be HTTP/2.
    may_be_http2: Cell<bool>,
}

/// Who answers requests.
pub(super) trait Service {
    /// Answers a request.
    async fn answer(&self, head: &mut Parts, body: ClientBody) -> Reply;

    /// Answers what is no request.
    fn refuse(&self, reason: Unparsable) -> Reply;

    /// Gives the time.
    fn now(&self) -> Timestamp;
}

impl<'a> Connection<'a> {
    /// Begins with what was read of the socket already.
    pub(super) fn new(
        socket: Rc<Socket>,
        watch: Rc<Watch>,
        received: BytesMut,
        limits: &'a ServerLimits,
        is_closing: &'a Cell<bool>,
    ) -> Self {
        let inbox = Rc::new(Inbox::new(Rc::clone(&socket), Rc::clone(&watch), received));
        let (looked, may_be_http2) = (Cell::new(0), Cell::new(false));
        Self { socket, inbox, watch, limits, looked, is_closing, may_be_http2 }
    }

    /// Lets the client speak HTTP/2 from the beginning instead (RFC 9113 section 3.3).
    pub(super) fn or_http2(self) -> Self {
        self.may_be_http2.set(true);
        self
    }

    /// Serves requests until no other is to follow. Gives what came where that is HTTP/2.
    pub(super) async fn serve(&self, service: &impl Service) -> Option<BytesMut> {
        loop {
            match self.exchange(service).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::debug!(%error, "client connection ended");
                    break;
                }
            }
        }
        if self.preface() == Preface::Whole {
            return Some(self.inbox.with(std::mem::take));
        }
        if !self.inbox.is_empty() {
            self.watch.leave_unread();
        }
        None
    }

    /// Serves one request; tells whether another may follow.
    async fn exchange(&self, service: &impl Service) -> io::Result<bool> {
        // In memory of its own, which an idle connection does not hold and the next request finds in
        // the processor's caches.
        let begin = |context: &mut Context<'_>| {
            let head = ready!(self.poll_head(context))?;
            let answering = head.map(|head| Box::pin(self.answer(head, service)));
            Poll::Ready(io::Result::Ok(answering))
        };
        match poll_fn(begin).await? {
            None => Ok(false),
            Some(answering) => answering.await,
        }
    }

    /// Answers a request, or what is none; tells whether another may follow.
    async fn answer(
        &self,
        head: Result<request::Head, Unparsable>,
        service: &impl Service,
    ) -> io::Result<bool> {
        let head = match head {
            Ok(head) => head,
            Err(reason) => return self.refuse(reason, service).await,
        };
        let request::Head { mut parts, framing, keeps_alive, waits, takes_trailers } = head;
        let takes_interim = parts.version == http::Version::HTTP_11;
        let body = ClientBody::Http1(self.inbox.begin(framing, waits, takes_interim));
        // By itself, because the way down needs it no more, and may take long.
        let answering = Box::pin(service.answer(&mut parts, body));
        let Some(reply) = self.unless_gone(answering).await else { return Ok(false) };
        let keeps_alive = keeps_alive && !self.is_closing.get();
        let Parts { method, version, .. } = parts;
        let mut terms = Terms { method, version, keeps_alive, takes_trailers };
        self.send(reply, &mut terms, service).await?;
        let is_body_over = self.inbox.end();
        if !is_body_over {
            self.watch.leave_unread();
        }
        Ok(terms.keeps_alive && is_body_over)
    }

    /// Tells how much of the preface of HTTP/2 came, where that may still be spoken.
    fn preface(&self) -> Preface {
        if !self.may_be_http2.get() {
            return Preface::None;
        }
        let preface = self.inbox.with(|buffer| Preface::find(buffer));
        self.may_be_http2.set(preface != Preface::None);
        preface
    }

    /// Waits for a head; `None` when there will be none.
    fn poll_head(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Result<request::Head, Unparsable>>>> {
        let bytes_max = self.limits.header_bytes + HEAD_SLACK;
        loop {
            let preface = self.preface();
            if preface == Preface::Whole {
                return Poll::Ready(Ok(None));
            }
            if !self.inbox.is_empty() {
                if preface == Preface::None
                    && let Some(head) = self.inbox.with(|buffer| self.parse(buffer, bytes_max))
                {
                    self.looked.set(0);
                    return Poll::Ready(Ok(Some(head)));
                }
            } else if self.is_closing.get() && !self.watch.is_fresh() {
                return Poll::Ready(Ok(None));
            }
            // What a flood sends lies with the system, or is not sent at all.
            if self.watch.must_wait() {
                return Poll::Pending;
            }
            match self.inbox.poll_fill(context)? {
                Poll::Ready(0) => return Poll::Ready(Ok(None)),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    self.inbox.shrink();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Takes a head out of the buffer; `None` while it is not whole.
    fn parse(
        &self,
        buffer: &mut BytesMut,
        bytes_max: usize,
    ) -> Option<Result<request::Head, Unparsable>> {
        let looked = self.looked.get();
        // What dripped in is looked at again only when it may be whole, or is too long.
        let may_be_whole = looked == 0 || has_end(buffer, looked);
        let head = (may_be_whole || buffer.len() > bytes_max)
            .then(|| request::parse(buffer, self.limits.headers, bytes_max));
        self.looked.set(buffer.len());
        head.and_then(Result::transpose)
    }

    /// Refuses what is no request; tells that none follows.
    pub(super) async fn refuse(
        &self,
        reason: Unparsable,
        service: &impl Service,
    ) -> io::Result<bool> {
        self.watch.could_not_parse();
        self.watch.leave_unread();
        let reply = service.refuse(reason);
        // Of what cannot be read this is known: its sender expects no body.
        let is_head = self.inbox.with(|buffer| buffer.starts_with(b"HEAD "));
        let mut terms = Terms {
            method: if is_head { http::Method::HEAD } else { http::Method::GET },
            version: http::Version::HTTP_11,
            keeps_alive: false,
            takes_trailers: false,
        };
        self.send(reply, &mut terms, service).await?;
        Ok(false)
    }

    async fn send(
        &self,
        reply: Reply,
        terms: &mut Terms,
        service: &impl Service,
    ) -> io::Result<()> {
        let (mut head, end) = answer::write(&reply, terms, || service.now());
        let interim = self.inbox.take_interim();
        if !interim.is_empty() {
            head.splice(..0, interim);
        }
        let mut sending = Sending::new(head, end, reply.body);
        let sent = poll_fn(|context| {
            let before = sending.sent();
            let body = sending.body_mut();
            // Whoever takes nothing of it is looked at as well.
            if self.watch.takes_look() && !body.may_go_on() {
                return Poll::Ready(Err(SendError::Io(io::ErrorKind::ConnectionAborted.into())));
            }
            body.attend(context);
            let polled = sending.poll_send(&self.socket, context);
            if let Some(bytes @ 1..) = sending.sent().checked_sub(before) {
                self.watch.moved_by(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
            if polled.is_pending() {
                self.watch.lasts();
            }
            self.watch.wait_for_taking(polled.is_pending() && sending.is_pending());
            polled
        });
        self.watch.begin_answer(reply.status == http::StatusCode::SWITCHING_PROTOCOLS);
        let sent = self.unless_gone(sent).await;
        self.watch.end_answer();
        match sent {
            None => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Ok(())) => Ok(()),
            Some(Err(SendError::Io(error))) => Err(error),
            Some(Err(SendError::Body(error))) => Err(io::Error::other(error)),
            Some(Err(SendError::IllSized)) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Runs a future to its end; `None` when the client has gone before. That is noticed while nothing is
    /// to be read but that.
    async fn unless_gone<T>(&self, mut future: impl Future<Output = T> + Unpin) -> Option<T> {
        poll_fn(|context| {
            if let Poll::Ready(done) = Pin::new(&mut future).poll(context) {
                return Poll::Ready(Some(done));
            }
            if let Poll::Ready(Err(_)) = self.inbox.poll_interim(context) {
                return Poll::Ready(None);
            }
            if self.inbox.is_body_over()
                && self.inbox.is_empty()
                && let Poll::Ready(Ok(0) | Err(_)) = self.inbox.poll_fill(context)
            {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }
}

/// Tells whether there may be the end of a head behind what was looked at.
fn has_end(buffer: &[u8], looked: usize) -> bool {
    let new = buffer.get(looked.saturating_sub(3)..).unwrap_or_default();
    memchr::memchr_iter(b'\n', new).any(|at| {
        let rest = new.get(at + 1..).unwrap_or_default();
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}
