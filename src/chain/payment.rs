//! A payment that comes with a request: how it is read, and what is done for it.
//!
//! Order: it is read when the caller may be served but for the price, and settled when neither the allowance nor the
//! money covers the call; only when that is written is anything forwarded.

use std::{rc::Rc, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, request::Parts};

use crate::{
    answer::{Denial, Ending, Fault, Refusal, headers::field_value},
    chain::{exchange::Exchange, payer::Payer, route::Routed},
    http1::Fields,
    model::{Access, Money, Route},
    pay::{
        For, Grant, Outcome, Presented, Refused, Wrong,
        x402::{self, Offer},
    },
    progress::{Clocks, Progress},
    websocket,
};

/// A payment that a request brings, as it was read.
#[derive(Debug)]
pub struct Brought {
    offer: Arc<Offer>,
    presented: Presented,
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
    exchange: &Exchange,
) -> Result<Option<Brought>, Denial> {
    let is_asked = matches!(payer, Payer::Caller(_) | Payer::Stranger) && routed.is_enforced();
    let Some(offer) = offer(routed.route(), head).filter(|_| is_asked) else { return Ok(None) };
    let values = |name| head.headers.get_all(name).iter().collect::<Vec<_>>();
    let url = || exchange.resource().concat();
    let read = match (&values(x402::SIGNATURE)[..], &values(x402::SIGNATURE_V1)[..]) {
        ([], []) => return Ok(None),
        ([], _) if offer.v1().is_none() => return Ok(None),
        ([value], []) => offer.read(value.as_bytes(), &url()),
        ([], [value]) => offer.read_v1(value.as_bytes(), &url()),
        _ => return Err(Denial::PaymentMalformed("The request brings two payments.")),
    };
    let presented = read.map_err(denied)?;
    // Beside a key that would do it is an error as well; from a stranger it may have been settled before.
    if let (Payer::Caller(_), Err(wrong)) = (payer, &presented.fit) {
        return Err(denied(wrong.clone()));
    }
    Ok(Some(Brought { offer: Arc::clone(offer), presented }))
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
    let is_v1 = x402::is_v1(&presented.order);
    let network = offer.network(is_v1);
    let wallet = presented.payer.clone();
    // Neither the caller nor the upstream is waited for meanwhile.
    let clocks = exchange.progress().clocks();
    let idle = clocks.idle.max(PAYING);
    exchange.progress().set_clocks(Clocks {
        idle,
        response: clocks.response.max(PAYING),
        ..clocks
    });
    let outcome = till.pay(presented, of, good, offer.terms()).await;
    exchange.progress().set_clocks(clocks);
    exchange.moved();
    match outcome {
        Outcome::Granted(grant) => {
            let transaction = grant.payment().and_then(|payment| payment.settlement.as_deref());
            let receipt = x402::receipt(&network, &wallet, transaction.unwrap_or_default());
            exchange.note_receipt((response(is_v1), field_value(&receipt)));
            let progress = Rc::clone(exchange.progress());
            Ok(Paid { grant: Some(grant), price: offer.price, progress })
        }
        Outcome::Refused(refused) => {
            let is_bad = matches!(refused, Refused::Wrong(Wrong::Invalid(_)));
            if let Some(address) = doubted.filter(|_| is_bad) {
                till.note_bad(address, exchange.now());
            }
            if let Refused::Failed { reason } = &refused {
                let failure = x402::failure(&network, &wallet, reason);
                exchange.note_receipt((response(is_v1), field_value(&failure)));
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

/// The fields that only the gateway says where payments are taken: an upstream that said them would speak for who
/// settles.
const SAID: [&[u8]; 5] = [
    b"payment-required:",
    b"payment-response:",
    b"x-payment-response:",
    b"settlement-overrides:",
    b"extension-responses:",
];

/// Takes out of an answer what an upstream says of payments.
pub(super) fn drop_said(fields: &mut Fields) {
    SAID.iter().for_each(|name| fields.remove_beginning(name));
}

/// Tells of a payment beside the answer that it opened, and keeps that from caches that serve others.
pub(super) fn tell((name, receipt): (&HeaderName, &HeaderValue), fields: &mut Fields) {
    fields.push(name, receipt);
    let said = fields.find_all("cache-control");
    let directives = said.iter().flat_map(|value| value.split(|byte| *byte == b','));
    let mut kept = vec![b"private".to_vec()];
    for directive in directives.map(<[u8]>::trim_ascii) {
        let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
        let is_shared = [&b"public"[..], b"private", b"s-maxage", b"proxy-revalidate"]
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other));
        if !directive.is_empty() && !is_shared {
            kept.push(directive.to_vec());
        }
    }
    fields.remove_beginning(b"cache-control:");
    fields.push_written(&http::header::CACHE_CONTROL, |value| {
        value.extend_from_slice(&kept.join(&b", "[..]));
    });
}

/// Gives the name of the field that tells of a payment, in the version that it came in.
fn response(is_v1: bool) -> HeaderName {
    HeaderName::from_static(if is_v1 { x402::RESPONSE_V1 } else { x402::RESPONSE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_that_was_paid_for_is_kept_from_shared_caches() {
        for (said, expected) in [
            ("", "private"),
            ("cache-control: public, max-age=60\r\n", "private, max-age=60"),
            (
                "Cache-Control: s-maxage=9,max-age=1\r\nCACHE-CONTROL: No-Store\r\n",
                "private, max-age=1, No-Store",
            ),
            ("cache-control: private=\"x\"\r\n", "private"),
        ] {
            let mut fields = Fields { lines: said.as_bytes().to_vec(), ..Fields::default() };
            tell((&response(false), &HeaderValue::from_static("e30=")), &mut fields);
            let expected = format!("payment-response: e30=\r\ncache-control: {expected}\r\n");
            assert_eq!(str::from_utf8(&fields.lines).unwrap(), expected, "{said}");
        }
    }

    #[test]
    fn upstream_says_nothing_of_payments() {
        let said = "x-a: 1\r\nPayment-Response: x\r\npayment-required: y\r\nX-PAYMENT-RESPONSE: z\r\n\
                    payment-responses: 2\r\nSettlement-Overrides: {}\r\nEXTENSION-RESPONSES: {}\r\n";
        let mut fields = Fields { lines: said.as_bytes().to_vec(), ..Fields::default() };
        drop_said(&mut fields);
        assert_eq!(str::from_utf8(&fields.lines).unwrap(), "x-a: 1\r\npayment-responses: 2\r\n");
    }
}
