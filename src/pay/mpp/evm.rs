//! The method `evm` with the intent `charge`: the payer signs an order of EIP-3009 whose nonce is made of the challenge, so
//! that it answers this one and no other. It is carried out by whoever carries out those of x402.

use serde_json::{Map, Value, json};

use super::credential::Malformed;
use crate::pay::x402::{self, Authorization, keccak};

/// The one kind of order that is asked for.
const AUTHORIZATION: &str = "authorization";

/// Gives what is asked for a price, in the form in which it is signed.
pub(super) fn request(offer: &x402::Offer) -> Value {
    let terms = offer.terms();
    json!({
        "amount": offer.amount_text(),
        "currency": terms.asset.to_string(),
        "methodDetails": {
            "chainId": terms.chain,
            "credentialTypes": [AUTHORIZATION],
            "decimals": terms.decimals,
        },
        "recipient": terms.pay_to.to_string(),
    })
}

/// Reads what pays: the order, and its signature.
pub(super) fn read(payload: &Map<String, Value>) -> Result<(Authorization, String), Malformed> {
    if payload.get("type").and_then(Value::as_str) != Some(AUTHORIZATION) {
        return Err(Malformed("The payment is no `authorization`."));
    }
    x402::read_signed(payload).map_err(Malformed)
}

/// Gives the nonces that answer a challenge: that of the draft, which `mppx` signs, and the one that `pympp` 0.16 signs. Both are
/// of this challenge alone, and each is an order of its own, which is paid for itself.
pub(super) fn nonces(id: &str, realm: &str) -> [[u8; 32]; 2] {
    let list = json!([id, realm]).to_string();
    [keccak(&[id.as_bytes(), realm.as_bytes()]), keccak(&[list.as_bytes()])]
}

/// Tells whether a source is the payer of an order.
pub(super) fn is_source(source: &str, chain: u64, payer: &str) -> bool {
    source.eq_ignore_ascii_case(&format!("did:pkh:eip155:{chain}:{payer}"))
}
