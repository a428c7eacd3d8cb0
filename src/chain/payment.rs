//! A payment that comes with a request: how it is read, and what is done for it.
//!
//! Order: it is read when the caller may be served but for the price, and settled when neither the allowance nor the
//! money covers the call; only when that is written is anything forwarded.

use std::{rc::Rc, sync::Arc, time::Duration};

use http::request::Parts;

use crate::{
    answer::{Denial, Ending, Fault, Refusal},
    chain::{ahead, exchange::Exchange, payer::Payer, route::Routed},
    model::{Access, Money, Route},
    pay::{
        Answered, For, Grant, Offer, Outcome, Presented, Receipts, Refused, Unread, Wrong, x402,
    },
    progress::{Clocks, Progress},
    server::body::ClientBody,
    websocket,
};

/// A payment that a request brings, as it was read.
#[derive(Debug)]
pub struct Brought {
    offer: Arc<Offer>,
    presented: Presented,
}

impl Brought {
    /// Gives the refusal of one that pays something else. It stands beside a key that would do; where none would, it may have
    /// been settled before, and what became of it may not be known.
    pub(super) fn unfit(&self) -> Option<Denial> {
        self.presented.fit.clone().err().map(denied)
    }
}

/// How long a payment may take until its outcome is told: longer than whoever settles it may.
const PAYING: Duration = Duration::from_secs(90);

/// A payment that is spent on a request. It is settled once: by `settle`, or by its drop, which goes by how far
/// the request got.
#[must_use = "a payment that is not settled is settled by its drop"]
#[derive(Debug)]
pub struct Paid {
    /// `None` only after it was settled.
    grant: Option<Grant>,
    price: Money,
    progress: Rc<Progress>,
}

/// Gives what a request can be paid by as it is made. A WebSocket cannot: it costs more than its opening.
pub(super) fn offer<'r>(route: &'r Route, head: &Parts) -> Option<&'r Arc<Offer>> {
    route.offer.as_ref().filter(|_| !matches!(websocket::asks_for(head), Ok(true)))
}

/// Reads the payment that a request brings, if it is for one that may be paid for. Where refusals are not enforced
/// nothing is taken, so none is read.
pub(super) fn read(
    head: &Parts,
    routed: &Routed,
    payer: &Payer,
    exchange: &mut Exchange,
) -> Result<Option<Brought>, Denial> {
    let is_asked = matches!(payer, Payer::Caller(_) | Payer::Stranger) && routed.is_enforced();
    let Some(offer) = offer(routed.route(), head).filter(|_| is_asked) else { return Ok(None) };
    let read = match offer.read(&head.headers, exchange.place()) {
        Ok(None) => return Ok(None),
        Ok(Some(presented)) => Ok(presented),
        Err(Unread { rail, wrong }) => Err((rail, wrong)),
    };
    let rail = read.as_ref().map_or_else(|(rail, _)| *rail, |presented| Some(presented.rail));
    exchange.note_rail(rail);
    let presented = read.map_err(|(_, wrong)| denied(wrong))?;
    Ok(Some(Brought { offer: Arc::clone(offer), presented }))
}

/// Compares the body of a request with the one that its payment is for. Only what is for one is looked at.
///
/// Order: before anything is claimed; and before it is decided who pays, so that a payment for another body is told beside a
/// good key too.
pub(super) async fn compare(
    brought: Option<&Brought>,
    body: &mut Option<ClientBody>,
    exchange: &mut Exchange,
) -> Result<(), Denial> {
    let answered = brought.and_then(|brought| brought.presented.answered.as_ref());
    let Some(Answered { digest: Some(wanted), .. }) = answered else { return Ok(()) };
    let found = ahead::digest(body, exchange).await?;
    let is_it = found.as_ref() == Some(wanted);
    exchange.note_digest(found);
    if is_it { Ok(()) } else { Err(Denial::PaymentInvalid { reason: "another body".into() }) }
}

/// Makes the refusal of a request that comes without a key and without a payment.
pub(super) fn required(route: &Route) -> Denial {
    Denial::PaymentRequired { price: route.price, takes_keys: route.access == Access::Key }
}

/// Tells whether a request that is refused so could be paid for.
pub(super) fn may_pay(denial: &Denial) -> bool {
    matches!(denial, Denial::CreditExceeded(_) | Denial::PaymentRequired { .. })
}

/// Has a payment settled, and spends it on the request.
pub(super) async fn pay(
    brought: Brought,
    routed: &Routed,
    payer: &Payer,
    exchange: &mut Exchange,
) -> Result<Paid, Refusal> {
    let Brought { offer, presented } = brought;
    let Some(till) = exchange.worker().gateway().till() else {
        return Err(Fault::PaymentUnavailable.into());
    };
    let good = presented.fit.clone().and(x402::check_window(presented.window, exchange.now()));
    let of = For {
        request_id: exchange.request_id().to_string(),
        route: routed.route().name.to_string(),
        customer: payer.caller().map(|caller| caller.customer.id.to_string()),
    };
    let doubted = (!presented.is_signed).then(|| exchange.peer());
    if let Some(wait) = doubted.and_then(|address| till.wait(address, exchange.now())) {
        return Err(Denial::TooManyPayments { wait }.into());
    }
    let terms = offer.x402().terms();
    let receipts = Receipts::of(&presented, terms.chain);
    // Neither the caller nor the upstream is waited for meanwhile.
    let clocks = exchange.progress().clocks();
    let idle = clocks.idle.max(PAYING);
    exchange.progress().set_clocks(Clocks {
        idle,
        response: clocks.response.max(PAYING),
        ..clocks
    });
    let outcome = till.pay(presented, of, good, terms).await;
    exchange.progress().set_clocks(clocks);
    exchange.moved();
    match outcome {
        Outcome::Granted(grant) => {
            let transaction = grant.payment().and_then(|payment| payment.settlement.as_deref());
            let receipt = receipts.settled(transaction.unwrap_or_default(), exchange.clock().now());
            exchange.note_receipt(receipt);
            let progress = Rc::clone(exchange.progress());
            Ok(Paid { grant: Some(grant), price: offer.price, progress })
        }
        Outcome::Refused(refused) => {
            let is_bad = matches!(refused, Refused::Wrong(Wrong::Invalid(_)));
            if let Some(address) = doubted.filter(|_| is_bad) {
                till.note_bad(address, exchange.now());
            }
            if let Refused::Failed { reason } = &refused
                && let Some(receipt) = receipts.failed(reason)
            {
                exchange.note_receipt(receipt);
            }
            Err(refusal(refused))
        }
    }
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::AlreadyUsed => Denial::PaymentAlreadyUsed.into(),
        Refused::Failed { reason } => Denial::PaymentFailed { reason }.into(),
        Refused::Pending => Denial::PaymentPending.into(),
        Refused::Unavailable => Fault::PaymentUnavailable.into(),
        Refused::Wrong(wrong) => denied(wrong).into(),
    }
}

fn denied(wrong: Wrong) -> Denial {
    match wrong {
        Wrong::Expired => Denial::PaymentExpired,
        Wrong::Invalid(reason) => Denial::PaymentInvalid { reason },
        Wrong::Malformed(detail) => Denial::PaymentMalformed(detail),
    }
}

impl Paid {
    /// Settles it: where the ending is not charged it is there for another request.
    pub(super) fn settle(mut self, ending: Ending) {
        self.hand_over(ending);
    }

    /// Gives what it pays.
    pub(super) fn price(&self) -> Money {
        self.price
    }

    fn hand_over(&mut self, ending: Ending) {
        if let Some(grant) = self.grant.take() {
            grant.end(ending);
        }
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        let ending = self.progress.ending();
        self.hand_over(ending);
    }
}
