//! Last step: the answer goes down, and however it ends, the request is settled once.
//!
//! Order: the settlement comes before the last byte is handed to the client's connection, so that a
//! caller who has read the answer finds it in the usage.

use std::{
    borrow::Cow,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::{
    answer::{
        Ending,
        grpc::{self, Outcome},
        headers::push_rate_limit,
    },
    chain::{
        exchange::Exchange,
        forward::Forwarded,
        payment::Paid,
        receipts,
        reply::Reply,
        reservation::Reservation,
        subscription::Notice,
        tunnel::{self, Tunnel},
    },
    http1::Fields,
    ledger::{Standing, Stay},
    model::{Route, WebSocket},
    progress::{Cut, Progress, Upload, Waiting},
    upstream::{headers, http1::ExchangeError, lane::Lane},
};

static COST: HeaderName = HeaderName::from_static("faregate-cost");
static PRICE: HeaderName = HeaderName::from_static("faregate-price");
static SHADOW: HeaderName = HeaderName::from_static("faregate-shadow");
static SUBSCRIPTION_ENDS: HeaderName = HeaderName::from_static("faregate-subscription-ends");
static GRACE_ENDS: HeaderName = HeaderName::from_static("faregate-grace-ends");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The body of an answer: one of ours, whole; or the upstream's, passing through.
#[derive(Debug)]
pub enum AnswerBody {
    /// Written by the gateway.
    Own(Option<Bytes>),
    /// The upstream's.
    Passing(Box<PassingBody>),
}

/// An upstream's body that settles its request when it ends.
#[derive(Debug)]
pub struct PassingBody {
    exchange: Box<Exchange>,
    reservation: Option<Reservation>,
    paid: Option<Paid>,
    /// Brings the body, and goes back to the pool after a clean end.
    connection: Option<Lane>,
    /// What comes is WebSocket.
    tunnel: Option<Tunnel>,
    /// The place of one whose opening is not charged.
    stay: Option<Stay>,
    /// The ending was told.
    over: bool,
    status: StatusCode,
    route: Arc<Route>,
    /// Whether it is charged is said behind the body.
    awaits_status: bool,
    /// It is a call that ended by a status that is not charged.
    is_free: bool,
}

/// Turns the upstream's answer into the caller's.
pub fn settle(forwarded: Forwarded, mut exchange: Box<Exchange>) -> Reply {
    let Forwarded {
        mut head,
        connection,
        route,
        shadow,
        notice,
        mut reservation,
        mut paid,
        tunnel,
    } = forwarded;
    let (status, fields) = (head.status, &mut head.fields);
    // Where messages are paid for, the opening shows only that the first one could be.
    let is_free = tunnel.is_some() && route.websocket == WebSocket::Message;
    let outcome = match exchange.grpc() {
        Some(form) => {
            let (is_whole, is_late) = (connection.is_body_over(), exchange.is_past_deadline());
            grpc::outcome(form, fields, is_whole, is_late)
        }
        None => Outcome::Known { is_charged: true },
    };
    let is_free_call = outcome == Outcome::Known { is_charged: false };
    let charged = route.charge_on.contains(status) && !is_free && !is_free_call;
    let awaits_status = charged && outcome == Outcome::Open;
    if let Some(standing) = reservation.as_ref().and_then(Reservation::standing) {
        let cost = if charged { route.cost } else { 0 };
        let price = reservation.as_ref().and_then(Reservation::price);
        tell(fields, standing, cost, route.cost, notice);
        // What money paid took nothing of the allowance.
        let cost = if price.is_some() { 0 } else { cost };
        // What is not known yet is not told.
        if !awaits_status {
            fields.push_text(&COST, itoa::Buffer::new().format(cost));
        }
        if let Some(price) = price.filter(|_| charged && !awaits_status) {
            fields.push_text(&PRICE, &price.to_string());
        }
    }
    if exchange.snapshot().x402.is_some() {
        receipts::drop_said(fields);
    }
    if let (Some(receipt), Some(paid)) = (exchange.receipt(), &paid) {
        receipts::tell(receipt, status, fields);
        fields.push_text(&COST, "0");
        if charged && !awaits_status {
            fields.push_text(&PRICE, &paid.price().to_string());
        }
    }
    if let Some(code) = shadow {
        fields.push_text(&SHADOW, code.name());
        fields.push_text(&COST, "0");
    }
    exchange.note_head(status);
    fields.push(&REQUEST_ID, &exchange.outward_id());
    let mut stay = None;
    if !charged && let Some(mut reservation) = reservation.take() {
        if tunnel.is_some() {
            stay = reservation.stay();
        }
        reservation.settle(Ending::Uncharged);
        exchange.note_reserved(0, None);
    }
    if !charged && let Some(paid) = paid.take() {
        paid.settle(Ending::Uncharged);
        exchange.note_reserved(0, None);
    }
    exchange.progress().set_head();
    exchange.progress().set_waiting(Waiting::Client);
    let is_over = connection.is_body_over();
    let connection = Some(connection);
    let mut body = PassingBody {
        exchange,
        reservation,
        paid,
        connection,
        tunnel,
        stay,
        over: false,
        status,
        route,
        awaits_status,
        is_free: is_free_call,
    };
    if is_over {
        body.end(Ending::Completed);
    }
    Reply::passing(head, AnswerBody::Passing(Box::new(body)))
}

/// Tells a served caller what is left.
fn tell(
    fields: &mut Fields,
    standing: &Standing,
    cost: u64,
    reserved: u64,
    notice: Option<Notice>,
) {
    let given_back = reserved.saturating_sub(cost);
    let mut standing = Cow::Borrowed(standing);
    if given_back > 0 {
        for quota in &mut standing.to_mut().quotas {
            quota.reserved = quota.reserved.saturating_sub(given_back);
        }
    }
    push_rate_limit(&standing, fields);
    match notice {
        None => {}
        Some(Notice::Ends(at)) => fields.push_text(&SUBSCRIPTION_ENDS, &at.to_string()),
        Some(Notice::GraceEnds(at)) => fields.push_text(&GRACE_ENDS, &at.to_string()),
    }
}

impl PassingBody {
    fn progress(&self) -> &Rc<Progress> {
        self.exchange.progress()
    }

    fn poll_upstream(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        match &mut self.connection {
            Some(connection) => connection.poll_body(context),
            // It has ended, and what was the connection's serves another request.
            None => Poll::Ready(None),
        }
    }

    /// Gives the frame by which the gateway ends a WebSocket.
    fn last_word(&self) -> Option<Bytes> {
        self.connection.as_ref()?;
        self.tunnel.as_ref()?.last_word()
    }

    /// Looks at the caller again; false where the answer must be broken off. One that is settled and waits
    /// for the client to take its end may go.
    fn may_go_on(&mut self) -> bool {
        if self.over {
            return true;
        }
        let Err(denial) = self.exchange.may_go_on() else { return true };
        if let Some(tunnel) = &self.tunnel {
            tunnel.refuse(&denial);
            return true;
        }
        self.exchange.note_code(denial.code());
        self.progress().set_cut(Cut::Right);
        false
    }

    /// Settles a request whose answer came whole, with what follows it.
    fn complete(&mut self, trailers: Option<&HeaderMap>) {
        let is_late = self.exchange.is_past_deadline();
        if self.awaits_status && !self.over && !grpc::are_charged(trailers, is_late) {
            self.is_free = true;
            self.exchange.note_reserved(0, None);
        }
        self.end(Ending::Completed);
    }

    /// Settles the request with an ending, once.
    fn end(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(self.told(ending));
        }
        if let Some(paid) = self.paid.take() {
            paid.settle(self.told(ending));
        }
        // A connection that may still owe something, in either direction, is not used again.
        let uploaded = self.progress().upload() == Upload::Done;
        if !uploaded {
            self.exchange.connection().watch.leave_unread();
        }
        let clean = ending == Ending::Completed && uploaded;
        let now = Instant::now();
        let is_closing = self.tunnel.as_ref().is_some_and(Tunnel::is_closing);
        match self.connection.take() {
            Some(connection) if is_closing => tunnel::let_go(connection),
            Some(connection) if clean => self.exchange.pool().put(connection, now),
            _ => {}
        }
        self.finish(ending, now);
    }

    fn finish(&mut self, ending: Ending, now: Instant) {
        if let Some(tunnel) = self.tunnel.take() {
            tunnel.tell(&mut self.exchange);
        }
        self.stay = None;
        self.exchange.finish_at(self.told(ending), now);
    }

    /// What is not charged was settled with its head; how its body ends changes nothing.
    fn told(&self, ending: Ending) -> Ending {
        let is_switch = self.status == StatusCode::SWITCHING_PROTOCOLS;
        let is_by_unit = match self.route.websocket {
            WebSocket::Message | WebSocket::Time(_) => is_switch,
            WebSocket::Connection | WebSocket::Off => false,
        };
        let is_charged = is_by_unit || self.route.charge_on.contains(self.status);
        if is_charged && !self.is_free { ending } else { Ending::Uncharged }
    }
}

impl Body for PassingBody {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        self.progress().set_waiting(Waiting::Upstream);
        if let Some(last) = self.last_word() {
            // What was idle ends as if it could not have been told.
            self.exchange.connection().watch.leave_unread();
            let ending = match self.progress().last_word() {
                Some(Cut::ClientIdle) => Ending::Aborted,
                Some(Cut::UpstreamIdle) => Ending::Truncated,
                _ => Ending::Completed,
            };
            self.end(ending);
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        if self.tunnel.as_ref().is_some_and(Tunnel::is_halted) {
            return Poll::Pending;
        }
        let frame = ready!(self.poll_upstream(context));
        #[cfg(debug_assertions)]
        crate::failpoint::hit(crate::failpoint::Point::AfterHead, &self.route.name);
        self.progress().set_waiting(Waiting::Client);
        self.exchange.moved();
        match frame {
            None => {
                self.complete(None);
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "upstream cut its answer");
                self.end(Ending::Truncated);
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::trailers_of_answer(trailers);
                }
                self.exchange.note_sent(frame.data_ref().map_or(0, Bytes::len));
                if let (Some(tunnel), Some(data)) = (&mut self.tunnel, frame.data_ref()) {
                    tunnel.follow(data);
                }
                // The poll after the last frame may never come; nothing follows trailers.
                if frame.is_trailers() || self.is_end_stream() {
                    self.complete(frame.trailers_ref());
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.connection.as_ref().is_none_or(Lane::is_body_over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.connection {
            Some(connection) => {
                connection.body_left().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for PassingBody {
    fn drop(&mut self) {
        // The reservation's own drop settles it without writing here; only the line is made now.
        let ending = self.progress().ending();
        drop(self.reservation.take());
        drop(self.paid.take());
        if !self.over {
            self.finish(ending, Instant::now());
        }
    }
}

impl AnswerBody {
    /// Wraps a whole body of ours.
    pub fn own(bytes: Bytes) -> Self {
        Self::Own(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// Looks at the caller of an answer that lasts; false where it must be broken off.
    pub fn may_go_on(&mut self) -> bool {
        match self {
            Self::Own(_) => true,
            Self::Passing(body) => body.may_go_on(),
        }
    }

    /// Sees to what may end a WebSocket, also while the client takes nothing of it.
    pub fn attend(&self, context: &Context<'_>) {
        if let Self::Passing(body) = self
            && let Some(tunnel) = &body.tunnel
        {
            tunnel.attend(&body.exchange, context);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        match &mut *self {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passing(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Passing(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(
                bytes.as_ref().map_or(0, |b| u64::try_from(b.len()).unwrap_or(0)),
            ),
            Self::Passing(body) => body.size_hint(),
        }
    }
}
