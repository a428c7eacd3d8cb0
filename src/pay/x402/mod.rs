//! The rail x402, version 2, scheme `exact` on chains of Ethereum's kind: a wallet signs an order to move a token
//! (EIP-3009), and a facilitator carries it out. The gateway speaks to no chain itself.

mod amount;
mod eip712;
#[cfg(any(test, fuzzing))]
pub(crate) mod example;
pub(crate) mod facilitator;
mod number;
pub(in crate::pay) mod strict;
mod terms;
#[cfg(test)]
mod tests;
mod wire;

use std::borrow::Cow;

use jiff::Timestamp;

pub use self::terms::{Offer, Terms};
pub(crate) use self::{amount::Rate, number::Address};
pub(in crate::pay) use self::{
    eip712::{Authorization, keccak},
    wire::read_signed,
};
use self::{
    number::hex,
    wire::{Malformed, Order, Payment, Settlement},
};
use crate::{
    json,
    pay::{Presented, Rail, Window, Wrong},
};

/// The header of an offer.
pub(crate) const REQUIRED: &str = "payment-required";

/// The header of a payment.
pub(crate) const SIGNATURE: &str = "payment-signature";

/// The header of a payment in version 1, which is not spoken.
pub(crate) const SIGNATURE_V1: &str = "x-payment";

/// The header of what became of a payment.
pub(crate) const RESPONSE: &str = "payment-response";

/// What a payment may bring beside itself: a name that its payer gives it, which is good for one payment.
const EXTENSIONS: &[u8] = br#"{"payment-identifier":{"info":{"required":false},"schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"required":{"type":"boolean"},"id":{"type":"string","minLength":16,"maxLength":128}},"required":["required"]}}}"#;

/// What is said where nothing was paid.
const UNPAID: &str = "PAYMENT-SIGNATURE header is required";

/// How long before its end an order is too late to be carried out: facilitators ask for that.
const MARGIN_SECONDS: u64 = 6;

impl Offer {
    /// Writes the value of `PAYMENT-REQUIRED` for what stands at a URL, which is given in parts.
    pub(crate) fn header(&self, reason: Option<&str>, url: &[&str]) -> String {
        let mut text = Vec::with_capacity(1024);
        text.extend_from_slice(b"{\"x402Version\":2,\"error\":");
        json::push_string(reason.unwrap_or(UNPAID), &mut text);
        text.extend_from_slice(b",\"resource\":{\"url\":\"");
        for part in url {
            text.extend_from_slice(json::escaped(part).as_bytes());
        }
        text.extend_from_slice(b"\"},\"accepts\":[");
        text.extend_from_slice(self.document.as_bytes());
        text.extend_from_slice(b"],\"extensions\":");
        text.extend_from_slice(EXTENSIONS);
        text.extend_from_slice(b"}");
        wire::encode(&text)
    }

    /// Reads a payment and compares it with the offer and with what it is for. Nobody is asked. What does not fit is no
    /// reason yet to refuse it: one that was settled stays good whatever is offered since.
    pub(crate) fn read(&self, header: &[u8], url: &str) -> Result<Presented, Wrong> {
        let payment = wire::decode(header).map_err(|Malformed(detail)| Wrong::Malformed(detail))?;
        let fit = self.fits(&payment, url);
        let presented =
            self.present(Rail::X402, &payment.authorization, &payment.signature, url, fit)?;
        Ok(Presented { identifier: payment.identifier, ..presented })
    }

    /// Makes of a signed order what is presented by a rail; whether it pays what is asked is the rail's to tell.
    pub(in crate::pay) fn present(
        &self,
        rail: Rail,
        order: &Authorization,
        signature: &str,
        url: &str,
        fit: Result<(), Wrong>,
    ) -> Result<Presented, Wrong> {
        // Of the signatures of contracts only the chain can tell whose they are; they have other lengths.
        if let Some(signature) = hex(signature)
            && eip712::signer(order.digest(&self.domain), &signature) != Some(order.from)
        {
            // What is for something else may be signed for that.
            return Err(fit
                .err()
                .unwrap_or_else(|| invalid("invalid_exact_evm_payload_signature")));
        }
        let (network, asset) = (&self.requirements.network, self.terms.asset);
        let nonce = wire::nonce_text(&order.nonce);
        let told = Order::new(order, signature, &self.requirements, url);
        Ok(Presented {
            rail,
            answered: None,
            proof: format!("eip3009:{network}:{asset}:{}:{nonce}", order.from),
            payer: order.from.to_string(),
            price: self.price,
            identifier: None,
            fit,
            network: network.clone(),
            amount: self.requirements.amount.clone(),
            order: serde_json::to_string(&told)
                .map_err(|_| Wrong::Malformed("It cannot be written."))?,
            window: Window {
                from: order.valid_after.seconds(),
                until: order.valid_before.seconds().saturating_sub(MARGIN_SECONDS),
            },
        })
    }

    /// Tells whether a payment pays what is asked here.
    fn fits(&self, payment: &Payment, url: &str) -> Result<(), Wrong> {
        let is_here = payment.resource.as_deref().is_none_or(|given| given == url);
        if !payment.accepted.is(&self.requirements) || !is_here {
            return Err(invalid("No matching payment requirements"));
        }
        self.fits_order(&payment.authorization)
    }

    /// Tells whether an order moves what is asked.
    pub(in crate::pay) fn fits_order(&self, order: &Authorization) -> Result<(), Wrong> {
        if order.to != self.terms.pay_to {
            return Err(invalid("invalid_exact_evm_payload_recipient_mismatch"));
        }
        // Of the scheme `exact` more is wrong as well.
        if order.value != self.amount {
            return Err(invalid("invalid_exact_evm_payload_authorization_value_mismatch"));
        }
        Ok(())
    }
}

fn invalid(reason: &'static str) -> Wrong {
    Wrong::Invalid(Cow::Borrowed(reason))
}

/// Writes what a payer is told of a payment that is settled.
pub(crate) fn receipt(network: &str, payer: &str, transaction: &str) -> String {
    Settlement { success: true, error_reason: None, transaction, network, payer }.header()
}

/// Writes what a payer is told of a payment that has failed.
pub(crate) fn failure(network: &str, payer: &str, reason: &str) -> String {
    let (success, error_reason) = (false, Some(reason));
    Settlement { success, error_reason, transaction: "", network, payer }.header()
}

/// Tells whether an order may still be carried out; the reason why not is the field's.
pub(crate) fn check_window(window: Window, now: Timestamp) -> Result<(), Wrong> {
    let now = u64::try_from(now.as_second()).unwrap_or(0);
    if window.from > now {
        return Err(invalid("invalid_exact_evm_payload_authorization_valid_after"));
    }
    if window.until < now { Err(Wrong::Expired) } else { Ok(()) }
}
