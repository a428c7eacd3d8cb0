//! What is asked for a call, and what a facilitator is sent of a payment for it, in both versions of x402.

use serde::Serialize;

use super::{
    eip712::{Authorization, Permit},
    transfer::Transfer,
    wire::{VERSION, VERSION_1, nonce_text},
};

/// What is asked for one call.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Requirements {
    pub(super) scheme: &'static str,
    pub(super) network: String,
    pub(super) amount: String,
    pub(super) asset: String,
    pub(super) pay_to: String,
    pub(super) max_timeout_seconds: u64,
    pub(super) extra: Extra,
}

/// What the wallet must know of the token to sign.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Extra {
    pub(super) name: String,
    pub(super) version: String,
    /// How the token is moved, where not as usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) asset_transfer_method: Option<&'static str>,
}

/// The same in version 1, for what stands at a URL.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Requirements1<'a> {
    scheme: &'static str,
    network: &'static str,
    max_amount_required: &'a str,
    resource: &'a str,
    description: &'static str,
    mime_type: &'static str,
    pay_to: &'a str,
    max_timeout_seconds: u64,
    asset: &'a str,
    extra: &'a Extra,
}

impl<'a> Requirements1<'a> {
    pub(super) fn new(
        requirements: &'a Requirements,
        network: &'static str,
        resource: &'a str,
    ) -> Self {
        let Requirements { scheme, network: _, amount, asset, pay_to, max_timeout_seconds, extra } =
            requirements;
        Self {
            scheme,
            network,
            max_amount_required: amount,
            resource,
            description: "",
            mime_type: "",
            pay_to,
            max_timeout_seconds: *max_timeout_seconds,
            asset,
            extra,
        }
    }
}

/// What a facilitator is asked to verify or to settle. It has what was checked and nothing else of what the
/// client sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order<P, R> {
    x402_version: u64,
    payment_payload: P,
    payment_requirements: R,
}

/// A payment, as a facilitator is told it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload<'a> {
    x402_version: u64,
    resource: Resource<'a>,
    accepted: &'a Requirements,
    payload: Signed<'a>,
}

/// The same in version 1.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload1<'a> {
    x402_version: u64,
    scheme: &'static str,
    network: &'static str,
    payload: Signed<'a>,
}

#[derive(Debug, Serialize)]
struct Resource<'a> {
    url: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Signed<'a> {
    signature: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permit2_authorization: Option<WrittenPermit>,
}

/// An authorization as it is written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    from: String,
    to: String,
    value: String,
    valid_after: String,
    valid_before: String,
    nonce: String,
}

/// A permit as it is written.
#[derive(Debug, Serialize)]
struct WrittenPermit {
    permitted: Permitted,
    from: String,
    spender: String,
    nonce: String,
    deadline: String,
    witness: Witness,
}

#[derive(Debug, Serialize)]
struct Permitted {
    token: String,
    amount: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Witness {
    to: String,
    valid_after: String,
}

impl<'a> Order<Payload<'a>, &'a Requirements> {
    /// Makes it of a signed order.
    pub(super) fn new(
        transfer: &Transfer,
        signature: &'a str,
        offered: &'a Requirements,
        url: &'a str,
    ) -> Self {
        let payment_payload = Payload {
            x402_version: VERSION,
            resource: Resource { url },
            accepted: offered,
            payload: Signed::new(transfer, signature),
        };
        Self { x402_version: VERSION, payment_payload, payment_requirements: offered }
    }
}

impl<'a> Order<Payload1<'a>, Requirements1<'a>> {
    /// Makes it of a signed order, in version 1.
    pub(super) fn new_1(
        transfer: &Transfer,
        signature: &'a str,
        offered: Requirements1<'a>,
    ) -> Self {
        let payment_payload = Payload1 {
            x402_version: VERSION_1,
            scheme: offered.scheme,
            network: offered.network,
            payload: Signed::new(transfer, signature),
        };
        Self { x402_version: VERSION_1, payment_payload, payment_requirements: offered }
    }
}

impl<'a> Signed<'a> {
    fn new(transfer: &Transfer, signature: &'a str) -> Self {
        let (authorization, permit2_authorization) = match transfer {
            Transfer::Authorization(order) => (Some(written(order)), None),
            Transfer::Permit(order) => (None, Some(written_permit(order))),
        };
        Self { signature, authorization, permit2_authorization }
    }
}

fn written(order: &Authorization) -> Written {
    let Authorization { from, to, value, valid_after, valid_before, nonce } = order;
    Written {
        from: from.to_string(),
        to: to.to_string(),
        value: value.to_string(),
        valid_after: valid_after.to_string(),
        valid_before: valid_before.to_string(),
        nonce: nonce_text(nonce),
    }
}

fn written_permit(order: &Permit) -> WrittenPermit {
    let Permit { from, token, amount, spender, nonce, deadline, to, valid_after } = order;
    WrittenPermit {
        permitted: Permitted { token: token.to_string(), amount: amount.to_string() },
        from: from.to_string(),
        spender: spender.to_string(),
        nonce: nonce.to_string(),
        deadline: deadline.to_string(),
        witness: Witness { to: to.to_string(), valid_after: valid_after.to_string() },
    }
}
