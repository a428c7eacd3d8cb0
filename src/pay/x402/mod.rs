//! The rail x402, scheme `exact` on chains of Ethereum's kind: a wallet signs an order to move a token (EIP-3009, or to
//! Permit2), and a facilitator carries it out. The gateway speaks to no chain itself.

mod amount;
mod eip712;
#[cfg(any(test, fuzzing))]
pub(crate) mod example;
pub(crate) mod facilitator;
mod number;
mod order;
pub(in crate::pay) mod strict;
mod terms;
#[cfg(test)]
mod tests;
mod transfer;
mod wire;

use std::borrow::Cow;

use jiff::Timestamp;

pub use self::terms::{Offer, Terms};
pub(crate) use self::{amount::Rate, number::Address, terms::Service, transfer::Method};
pub(in crate::pay) use self::{
    eip712::{Authorization, keccak},
    wire::read_signed,
};
use self::{
    number::{Word, hex},
    order::{Order, Requirements, Requirements1},
    transfer::Transfer,
    wire::{Malformed, Payment, Settlement},
};
use crate::{
    json,
    pay::{Presented, Rail, Window, Wrong},
};

/// The header of an offer.
pub(crate) const REQUIRED: &str = "payment-required";

/// The header of a payment.
pub(crate) const SIGNATURE: &str = "payment-signature";

/// The header of a payment in version 1, which is spoken only where the operator wants that.
pub(crate) const SIGNATURE_V1: &str = "x-payment";

/// The header of what became of a payment.
pub(crate) const RESPONSE: &str = "payment-response";

/// The same in version 1.
pub(crate) const RESPONSE_V1: &str = "x-payment-response";
/// What a payment may bring beside itself: a name that its payer gives it, which is good for one payment.
const EXTENSIONS: &[u8] = br#"{"payment-identifier":{"info":{"required":false},"schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"required":{"type":"boolean"},"id":{"type":"string","minLength":16,"maxLength":128}},"required":["required"]}}}"#;

/// What is said where nothing was paid.
const UNPAID: &str = "PAYMENT-SIGNATURE header is required";

/// The same in version 1.
const UNPAID_1: &str = "X-PAYMENT header is required";

/// What is asked of an order: how much of which token goes to whom.
#[derive(Clone, Copy, Debug)]
struct Rules {
    asset: Address,
    pay_to: Address,
    amount: Word,
}

impl Offer {
    /// Writes the value of `PAYMENT-REQUIRED` for what stands at a URL, which is given in parts.
    pub(crate) fn push_required(&self, reason: Option<&str>, url: &[&str], value: &mut Vec<u8>) {
        let mut text = Vec::with_capacity(256);
        text.extend_from_slice(b",\"error\":");
        json::push_string(reason.unwrap_or(UNPAID), &mut text);
        text.extend_from_slice(b",\"resource\":{\"url\":\"");
        for part in url {
            text.extend_from_slice(json::escaped(part).as_bytes());
        }
        text.extend_from_slice(b"\"}}");
        value.extend_from_slice(self.required.as_bytes());
        value.extend_from_slice(wire::encode(&text).as_bytes());
    }

    /// Writes how the value of `PAYMENT-REQUIRED` begins, whatever is asked for. It ends where a text in base64 may be
    /// followed by another one, so that only the other one is encoded for each answer.
    fn begin_required(document: &str) -> String {
        let mut text = Vec::with_capacity(1024);
        text.extend_from_slice(b"{\"x402Version\":2,\"accepts\":[");
        text.extend_from_slice(document.as_bytes());
        text.extend_from_slice(b"],\"extensions\":");
        text.extend_from_slice(EXTENSIONS);
        text.resize(text.len().next_multiple_of(3), b' ');
        wire::encode(&text)
    }

    /// Gives the network's name in version 1, where that is spoken.
    pub(crate) fn v1(&self) -> Option<&'static str> {
        self.terms.v1
    }

    /// Writes what version 1 says in the body of an answer: its members, for an object that has others as well.
    pub(crate) fn push_v1(&self, reason: Option<&str>, url: &[&str], text: &mut Vec<u8>) {
        let Some(network) = self.terms.v1 else { return };
        let url = url.concat();
        let required = Requirements1::new(&self.requirements, network, &url);
        text.extend_from_slice(b"\"x402Version\":1,\"error\":");
        json::push_string(reason.unwrap_or(UNPAID_1), text);
        text.extend_from_slice(b",\"accepts\":[");
        // A struct of texts is always written.
        text.extend_from_slice(&serde_json::to_vec(&required).unwrap_or_default());
        text.push(b']');
    }

    /// Reads a payment and compares it with the offer and with what it is for. Nobody is asked. What does not fit is no
    /// reason yet to refuse it: one that was settled stays good whatever is offered since.
    pub(crate) fn read(&self, header: &[u8], url: &str) -> Result<Presented, Wrong> {
        let Payment { accepted, transfer, signature, resource, identifier } =
            wire::decode(header).map_err(|Malformed(detail)| Wrong::Malformed(detail))?;
        let is_here = resource.as_deref().is_none_or(|given| given == url);
        let fit = self.fits(&transfer, is_here && accepted.is(&self.requirements));
        let told = Order::new(&transfer, &signature, &self.requirements, url);
        let told = serde_json::to_string(&told);
        let presented = self.made(Rail::X402, &transfer, &signature, told, fit)?;
        Ok(Presented { identifier, ..presented })
    }

    /// Reads one of version 1, which does not say what it is for.
    pub(crate) fn read_v1(&self, header: &[u8], url: &str) -> Result<Presented, Wrong> {
        let Payment { accepted, transfer, signature, .. } =
            wire::decode_1(header).map_err(|Malformed(detail)| Wrong::Malformed(detail))?;
        let network = self.terms.v1.ok_or(Wrong::Malformed("x402 version 1 is not spoken."))?;
        let fit = self.fits(&transfer, accepted.is_1(&self.requirements, network));
        let required = Requirements1::new(&self.requirements, network, url);
        let told = Order::new_1(&transfer, &signature, required);
        self.made(Rail::X402, &transfer, &signature, serde_json::to_string(&told), fit)
    }

    /// Makes of a signed order what is presented by another rail; whether it pays what is asked is the rail's to tell.
    pub(in crate::pay) fn present(
        &self,
        rail: Rail,
        order: &Authorization,
        signature: &str,
        url: &str,
        fit: Result<(), Wrong>,
    ) -> Result<Presented, Wrong> {
        let transfer = Transfer::Authorization(*order);
        let told = Order::new(&transfer, signature, &self.requirements, url);
        self.made(rail, &transfer, signature, serde_json::to_string(&told), fit)
    }

    fn made(
        &self,
        rail: Rail,
        transfer: &Transfer,
        signature: &str,
        order: serde_json::Result<String>,
        fit: Result<(), Wrong>,
    ) -> Result<Presented, Wrong> {
        let Requirements { network, amount, .. } = &self.requirements;
        Ok(Presented {
            rail,
            answered: None,
            proof: transfer.proof(network, self.terms.asset),
            payer: transfer.payer().to_string(),
            price: self.price,
            identifier: None,
            fit,
            network: network.clone(),
            amount: amount.clone(),
            order: order.map_err(|_| Wrong::Malformed("It cannot be written."))?,
            window: transfer.window(),
            is_signed: transfer.is_signed(hex(signature).as_ref(), &self.domain),
        })
    }

    /// Tells whether a payment pays what is asked here.
    fn fits(&self, transfer: &Transfer, is_met: bool) -> Result<(), Wrong> {
        if !is_met || transfer.method() != self.terms.method {
            return Err(invalid("No matching payment requirements"));
        }
        self.moves(transfer)
    }

    /// Tells whether an order to the token moves what is asked.
    pub(in crate::pay) fn fits_order(&self, order: &Authorization) -> Result<(), Wrong> {
        self.moves(&Transfer::Authorization(*order))
    }

    fn moves(&self, transfer: &Transfer) -> Result<(), Wrong> {
        let (asset, pay_to, amount) = (self.terms.asset, self.terms.pay_to, self.amount);
        transfer.fits(Rules { asset, pay_to, amount })
    }
}

fn invalid(reason: &'static str) -> Wrong {
    Wrong::Invalid(Cow::Borrowed(reason))
}

/// Tells whether what is sent to who settles it is of version 1.
pub(crate) fn is_v1(order: &str) -> bool {
    order.starts_with("{\"x402Version\":1,")
}

/// Tells whether two orders that are sent to who settles have one signature of the same.
pub(in crate::pay) fn is_signed_alike(one: &str, other: &str) -> bool {
    let signed = |order: &str| {
        let order: serde_json::Value = serde_json::from_str(order).ok()?;
        order.pointer("/paymentPayload/payload").cloned()
    };
    signed(one).is_some_and(|one| signed(other) == Some(one))
}

/// Gives the name that version 1 has for a network, if it has one.
pub(crate) fn v1_name(chain: u64) -> Option<&'static str> {
    V1_NAMES.iter().find(|(number, _)| *number == chain).map(|(_, name)| *name)
}

/// The names that the stock clients of version 1 know.
const V1_NAMES: [(u64, &str); 15] = [
    (137, "polygon"),
    (1328, "sei-testnet"),
    (1329, "sei"),
    (1514, "story"),
    (2741, "abstract"),
    (3338, "peaq"),
    (4689, "iotex"),
    (8453, "base"),
    (11124, "abstract-testnet"),
    (41923, "educhain"),
    (43113, "avalanche-fuji"),
    (43114, "avalanche"),
    (80002, "polygon-amoy"),
    (84532, "base-sepolia"),
    (324_705_682, "skale-base-sepolia"),
];

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
