//! Last step: the answer goes down, and however it ends, the request is settled once.
//!
//! Order: the settlement comes before the last byte is handed to the client's connection, so that a
//! caller who has read the answer finds it in the usage.

mod body;

use std::borrow::Cow;

use http::HeaderName;

use self::body::Taken;
pub use self::body::{AnswerBody, PassingBody};
use crate::{
    answer::{
        grpc::{self, Outcome},
        headers::push_rate_limit,
    },
    chain::{
        exchange::Exchange, forward::Forwarded, receipts, reply::Reply, reservation::Reservation,
        subscription::Notice,
    },
    http1::Fields,
    ledger::Standing,
    model::WebSocket,
    pay::Copied,
};

static COST: HeaderName = HeaderName::from_static("faregate-cost");
static PRICE: HeaderName = HeaderName::from_static("faregate-price");
static SHADOW: HeaderName = HeaderName::from_static("faregate-shadow");
static SUBSCRIPTION_ENDS: HeaderName = HeaderName::from_static("faregate-subscription-ends");
static GRACE_ENDS: HeaderName = HeaderName::from_static("faregate-grace-ends");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What of a request is charged, as the head of its answer tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// It is charged, as far as is known.
    pub(super) is_charged: bool,
    /// What is said behind the body may still make it free.
    awaits_status: bool,
    /// It is a call that ended by a status that is not charged.
    is_free_call: bool,
}

impl Charge {
    /// Finds it.
    pub(super) fn of(forwarded: &Forwarded, exchange: &Exchange) -> Self {
        let Forwarded { head, connection, route, tunnel, .. } = forwarded;
        // Where messages are paid for, the opening shows only that the first one could be.
        let is_free = tunnel.is_some() && route.websocket == WebSocket::Message;
        let outcome = match exchange.grpc() {
            Some(form) => {
                let (is_whole, is_late) = (connection.is_body_over(), exchange.is_past_deadline());
                grpc::outcome(form, &head.fields, is_whole, is_late)
            }
            None => Outcome::Known { is_charged: true },
        };
        let is_free_call = outcome == Outcome::Known { is_charged: false };
        let is_charged = route.charge_on.contains(head.status) && !is_free && !is_free_call;
        let awaits_status = is_charged && outcome == Outcome::Open;
        Self { is_charged, awaits_status, is_free_call }
    }
}

/// Turns the upstream's answer into the caller's.
pub fn settle(mut forwarded: Forwarded, mut exchange: Box<Exchange>) -> Reply {
    let charge = Charge::of(&forwarded, &exchange);
    let copied = tell_charge(&mut forwarded, charge, &exchange);
    let Forwarded { head, connection, route, shadow: _, notice: _, reservation, paid, tunnel } =
        forwarded;
    exchange.note_head(head.status);
    let taken = Taken { reservation, paid, copied, tunnel };
    let body = PassingBody::begin(exchange, connection, taken, (head.status, route), charge);
    Reply::passing(head, AnswerBody::Passing(Box::new(body)))
}

/// Tells the caller what the answer costs and what is left. Gives the beginning of a copy of one that a payment with the
/// request pays for, without what is told of this request alone.
fn tell_charge(
    forwarded: &mut Forwarded,
    charge: Charge,
    exchange: &Exchange,
) -> Option<Box<Copied>> {
    let Forwarded { head, route, shadow, notice, reservation, paid, .. } = forwarded;
    let mut copied = None;
    let fields = &mut head.fields;
    // What is not known yet is not told.
    let is_told = !charge.awaits_status;
    if let Some(standing) = reservation.as_ref().and_then(Reservation::standing) {
        let cost = if charge.is_charged { route.cost } else { 0 };
        let price = reservation.as_ref().and_then(Reservation::price);
        tell(fields, standing, cost, route.cost, *notice);
        // What money paid took nothing of the allowance.
        let cost = if price.is_some() { 0 } else { cost };
        if is_told {
            fields.push_text(&COST, itoa::Buffer::new().format(cost));
        }
        if let Some(price) = price.filter(|_| charge.is_charged && is_told) {
            fields.push_text(&PRICE, &price.to_string());
        }
    }
    if exchange.snapshot().x402.is_some() {
        receipts::drop_said(fields);
    }
    if let Some(paid) = paid {
        if let Some(receipt) = exchange.receipt() {
            receipts::tell(receipt, head.status, fields);
        }
        if charge.is_charged {
            copied = paid.copy(head);
        }
        let fields = &mut head.fields;
        fields.push_text(&COST, "0");
        if charge.is_charged && is_told {
            fields.push_text(&PRICE, &paid.price().to_string());
        }
    }
    let fields = &mut head.fields;
    if let Some(code) = shadow {
        fields.push_text(&SHADOW, code.name());
        fields.push_text(&COST, "0");
    }
    fields.push(&REQUEST_ID, &exchange.outward_id());
    copied
}

/// Tells the caller of an answer that costs nothing.
pub(super) fn tell_free(fields: &mut Fields, exchange: &Exchange) {
    fields.push_text(&COST, "0");
    fields.push(&REQUEST_ID, &exchange.outward_id());
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
