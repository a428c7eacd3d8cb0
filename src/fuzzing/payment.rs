//! Payments that come with requests.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;

use crate::pay::{
    mpp::{self, Brought},
    x402::example::{URL, offer},
};

/// What is taken for a payment has one form: brought again in that form it moves the same. Whatever it was wrapped
/// in, what is sent to whoever settles it is what was offered.
pub(super) fn header(data: &[u8]) {
    let offer = offer();
    let _ = offer.read(data, URL);
    let Ok(presented) = offer.read(STANDARD.encode(data).as_bytes(), URL) else { return };
    let kinds = ["eip3009:eip155:84532:0x", "permit2:eip155:84532:0x"];
    assert!(kinds.iter().any(|kind| presented.proof.starts_with(kind)));
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

/// What is taken for a credential has the proof that it would have by x402. What is sent to whoever settles it is what was
/// asked, and what fits was made by whoever has the secret.
pub(super) fn credential(data: &[u8]) {
    let (x402, offer) = mpp::example::offer(mpp::example::SECRET, "r1");
    let read = |value: &[u8], is_in_own_field| {
        offer.read(&x402, Brought { value, is_in_own_field }, mpp::example::place())
    };
    for is_in_own_field in [true, false] {
        let _ = read(data, is_in_own_field);
    }
    let value = format!("Payment {}", URL_SAFE_NO_PAD.encode(data));
    let Ok(presented) = read(value.as_bytes(), false) else { return };
    assert!(presented.proof.starts_with("eip3009:eip155:84532:0x"));
    let order: Value = serde_json::from_str(&presented.order).expect("it is JSON");
    let order = order.get("paymentPayload").expect("it is there").to_string();
    let url = mpp::example::place().resource.concat();
    let again = x402.read(STANDARD.encode(order).as_bytes(), &url).expect("it is as good");
    assert_eq!(again.proof, presented.proof);
    assert_eq!(read(value.as_bytes(), true).ok(), None, "it is good in one field");
}

/// Of an upstream's challenges nothing is left that would be read as one of the gateway's; what is left is left again.
pub(super) fn challenges(data: &[u8]) {
    let Some(left) = mpp::without_ours(data) else { return };
    let again = mpp::without_ours(&left).expect("it can be read");
    assert_eq!(again, left);
}
