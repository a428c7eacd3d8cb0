//! What a payer is told of a payment by the scheme `Payment` that is settled (`Payment-Receipt`).

use jiff::Timestamp;
use serde_json::json;

use super::{METHOD, base64url, canonical};

/// Writes the value of the field.
pub(crate) fn receipt(challenge: &str, chain: u64, transaction: &str, now: Timestamp) -> String {
    let mut time = Vec::with_capacity(24);
    crate::json::push_second(now, &mut time);
    time.push(b'Z');
    base64url::encode(canonical::write(&json!({
        "status": "success",
        "method": METHOD,
        "timestamp": String::from_utf8_lossy(&time),
        "reference": transaction,
        "challengeId": challenge,
        "chainId": chain,
    })))
}
