//! Payments that come with requests.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::pay::x402::example::{URL, offer};

/// What is taken for a payment has one form: brought again in that form it moves the same. Whatever it was wrapped
/// in, what is sent to whoever settles it is what was offered.
pub(super) fn header(data: &[u8]) {
    let offer = offer();
    let _ = offer.read(data, URL);
    let Ok(presented) = offer.read(STANDARD.encode(data).as_bytes(), URL) else { return };
    assert!(presented.proof.starts_with("eip3009:eip155:84532:0x"));
    assert!(
        presented.proof.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
    );
    let order: Value = serde_json::from_str(&presented.order).expect("it is JSON");
    let required: Value = serde_json::from_str(offer.document()).expect("it is JSON");
    assert_eq!(order.get("paymentRequirements"), Some(&required));
    if presented.fit.is_err() {
        return;
    }
    let again = order.get("paymentPayload").expect("it is there").to_string();
    let again = offer.read(STANDARD.encode(again).as_bytes(), URL).expect("it is as good");
    assert_eq!(again, presented);
}
