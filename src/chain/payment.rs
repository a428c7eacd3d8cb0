//! A payment that comes with a request: how it is read, and what is done for it.
//!
//! Order: it is read when the caller may be served but for the price, and claimed when neither the allowance nor the
//! money covers the call. By default it is settled then, and only when that is written is anything forwarded. With
//! `after-headers` it is settled when the head of an answer is there that is charged, and only when that is written does
//! anything of the answer go to the caller.

use std::{rc::Rc, sync::Arc, time::Duration};

use http::request::Parts;

use crate::{
    answer::{Denial, Ending, Fault, Refusal},
    chain::{
        Refused as Unserved, ahead, exchange::Exchange, forward::Forwarded, kept::Kept,
        payer::Payer, route::Routed, settle::Charge,
    },
    model::{Access, Money, Route},
    pay::{
        Answered, Copied, For, Grant, Offer, Outcome, PaidBefore, Pledge, Presented, Print,
        Receipts, Refused, Unread, Wrong, x402,
    },
    progress::{Clocks, Progress},
    server::body::ClientBody,
    upstream::http1::Head,
    websocket,
};

/// A payment that a request brings, as it was read.
#[derive(Debug)]
pub struct Brought {
    offer: Arc<Offer>,
    presented: Presented,
    /// The Idempotency-Key of its request.
    key: Option<String>,
    /// What its request is known by, where answers are kept.
    print: Option<Print>,
}

/// What a payment opens.
#[derive(Debug)]
pub enum Opened {
    /// The answer that it paid for before.
    Kept(Box<Kept>),
    /// A request.
    Paid(Paid),
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

/// A payment that is spent on a request, or held for it. It is settled once: by `settle`, or by its drop, which goes by
/// how far the request got.
#[must_use = "a payment that is not settled is settled by its drop"]
#[derive(Debug)]
pub struct Paid {
    /// `None` only after it was settled.
    payment: Option<Payment>,
    /// What the request is known by, where answers are kept.
    print: Option<Print>,
    price: Money,
    progress: Rc<Progress>,
}

/// How far the payment of a request has come.
#[derive(Debug)]
enum Payment {
    /// It moved.
    Granted(Grant),
    /// It is good, and moves once the request is answered.
    Pledged(Pledge, Receipts),
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
    let target = routed.target().path_and_query().as_str();
    let keeps = !exchange.snapshot().retention.answers.is_zero();
    let print = keeps.then(|| Print::of(head, exchange.resource(), target));
    let key = idempotency_key(head)?;
    Ok(Some(Brought { offer: Arc::clone(offer), presented, key, print }))
}

/// The longest Idempotency-Key.
const KEY_MAX: usize = 255;

/// Reads the Idempotency-Key of a request that may change something; others may be repeated anyhow.
fn idempotency_key(head: &Parts) -> Result<Option<String>, Denial> {
    if head.method.is_safe() {
        return Ok(None);
    }
    let mut values = head.headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=KEY_MAX).contains(&text.len()));
    match (text, values.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => Err(Denial::InvalidRequest(
            "There is one Idempotency-Key, of 1 to 255 ASCII characters.",
        )),
    }
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

/// Has a payment settled, and spends it on the request; or has it held, where it is settled behind the head of the
/// answer.
pub(super) async fn pay(
    brought: Brought,
    routed: &Routed,
    payer: &Payer,
    exchange: &mut Exchange,
) -> Result<Opened, Refusal> {
    let Brought { offer, presented, key, print } = brought;
    let Some(till) = exchange.worker().gateway().till() else {
        return Err(Fault::PaymentUnavailable.into());
    };
    let good = presented.fit.clone().and(x402::check_window(presented.window, exchange.now()));
    let of = For {
        request_id: exchange.request_id().to_string(),
        route: routed.route().name.to_string(),
        customer: payer.caller().map(|caller| caller.customer.id.to_string()),
        settle: routed.route().settle,
        key,
    };
    let doubted = (!presented.is_signed).then(|| exchange.peer());
    if let Some(wait) = doubted.and_then(|address| till.wait(address, exchange.now())) {
        return Err(Denial::TooManyPayments { wait }.into());
    }
    let terms = offer.x402().terms();
    let receipts = Receipts::of(&presented, terms.chain);
    let outcome = unhurried(exchange, till.pay(presented, of, good, terms)).await;
    if let Some(address) = doubted
        && matches!(outcome, Outcome::Refused(Refused::Wrong(Wrong::Invalid(_))))
    {
        till.note_bad(address, exchange.now());
    }
    let outcome = match outcome {
        Outcome::Answered(before) => {
            let PaidBefore { answer, is_by_key } = *before;
            let otherwise = match is_by_key {
                true => Denial::IdempotencyKeyReused,
                false => Denial::PaymentAlreadyUsed,
            };
            return Ok(Opened::Kept(Box::new(Kept { answer, print, otherwise })));
        }
        other => other,
    };
    let payment = Some(take(outcome, receipts, exchange)?);
    let progress = Rc::clone(exchange.progress());
    Ok(Opened::Paid(Paid { payment, print, price: offer.price, progress }))
}

/// Has the payment settled that was held for a request, now that the head of its answer is there. What is not charged
/// is not settled. Where it does not come to that, nothing of the answer reaches the caller.
pub(super) async fn collect(
    mut forwarded: Forwarded,
    exchange: &mut Exchange,
) -> Result<Forwarded, Unserved> {
    let Some(paid) = &mut forwarded.paid else { return Ok(forwarded) };
    let (pledge, receipts) = match paid.payment.take() {
        Some(Payment::Pledged(pledge, receipts)) => (pledge, receipts),
        other => {
            paid.payment = other;
            return Ok(forwarded);
        }
    };
    if !Charge::of(&forwarded, exchange).is_charged {
        // Its drop lets it go.
        return Ok(forwarded);
    }
    let outcome = unhurried(exchange, pledge.collect()).await;
    // The drop of the rest closes the connection to the upstream.
    let unserved = |refusal| Unserved { refusal, ending: Ending::Uncharged };
    let payment = take(outcome, receipts, exchange).map_err(unserved)?;
    if let Some(paid) = &mut forwarded.paid {
        paid.payment = Some(payment);
    }
    Ok(forwarded)
}

/// Waits for whoever settles; neither the caller nor the upstream is waited for meanwhile.
async fn unhurried(exchange: &Exchange, outcome: impl Future<Output = Outcome>) -> Outcome {
    let progress = exchange.progress();
    let clocks = progress.clocks();
    let idle = clocks.idle.max(PAYING);
    progress.set_clocks(Clocks { idle, response: clocks.response.max(PAYING), ..clocks });
    // The time begins now, not with what moved last.
    exchange.moved();
    let outcome = outcome.await;
    progress.set_clocks(clocks);
    exchange.moved();
    outcome
}

/// Takes what came of a payment, and notes what its payer is told.
fn take(outcome: Outcome, receipts: Receipts, exchange: &mut Exchange) -> Result<Payment, Refusal> {
    match outcome {
        Outcome::Granted(grant) => {
            let transaction = grant.payment().and_then(|payment| payment.settlement.as_deref());
            let receipt = receipts.settled(transaction.unwrap_or_default(), exchange.clock().now());
            exchange.note_receipt(receipt);
            Ok(Payment::Granted(grant))
        }
        // It opened one before it was asked for this one, which cannot be while it is held.
        Outcome::Answered(_) => Err(Denial::PaymentAlreadyUsed.into()),
        Outcome::Pledged(pledge) => Ok(Payment::Pledged(pledge, receipts)),
        Outcome::Refused(refused) => {
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
        Refused::Crowded => Denial::PayerCrowded.into(),
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

    /// Gives what it pays: what was asked when it moved.
    pub(super) fn price(&self) -> Money {
        match &self.payment {
            Some(Payment::Granted(grant)) => grant.payment().map(|payment| payment.price),
            _ => None,
        }
        .unwrap_or(self.price)
    }

    /// Gives what its request is known by.
    pub(super) fn print(&self) -> Option<&Print> {
        self.print.as_ref()
    }

    /// Begins a copy of the answer that it pays for.
    pub(super) fn copy(&mut self, head: &Head) -> Option<Box<Copied>> {
        let Some(Payment::Granted(grant)) = &mut self.payment else { return None };
        let print = self.print.clone()?;
        grant.shelf()?.copy(print, head.status.as_u16(), &head.fields).map(Box::new)
    }

    /// Tells whether it is held and not settled yet.
    pub(super) fn is_pledged(&self) -> bool {
        matches!(self.payment, Some(Payment::Pledged(..)))
    }

    fn hand_over(&mut self, ending: Ending) {
        match self.payment.take() {
            Some(Payment::Granted(grant)) => grant.end(ending),
            // It was never settled: it is let go.
            Some(Payment::Pledged(..)) | None => {}
        }
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        let ending = self.progress.ending();
        self.hand_over(ending);
    }
}
static IDEMPOTENCY_KEY: http::HeaderName = http::HeaderName::from_static("idempotency-key");
