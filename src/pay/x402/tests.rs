//! The recorded headers and signature of the stock packages, and payments that differ from them.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use secp256k1::SecretKey;
use serde_json::{Value, json};

use super::{
    eip712::{self, Authorization, Domain},
    example::{URL, offer},
    number::{Address, Word, hex},
    *,
};

fn vectors() -> Value {
    let text = include_str!("testdata/vectors.json");
    serde_json::from_str::<Value>(text).unwrap()["x402"].clone()
}

fn header(payment: &Value) -> String {
    STANDARD.encode(payment.to_string())
}

fn recorded() -> Value {
    vectors()["paymentPayload"]["json"].clone()
}

fn read(payment: &Value) -> Result<Presented, Wrong> {
    offer().read(header(payment).as_bytes(), URL)
}

#[test]
fn recorded_signature_has_the_recorded_digest_and_signer() {
    let recorded = &vectors()["eip712"];
    let domain = &recorded["domain"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let message = |name: &str| text(&recorded["message"][name]);
    let contract = Address::parse(&text(&domain["verifyingContract"])).unwrap();
    let (name, version) = (text(&domain["name"]), text(&domain["version"]));
    let domain = Domain::new(&name, &version, domain["chainId"].as_u64().unwrap(), contract);
    let order = Authorization {
        from: Address::parse(&message("from")).unwrap(),
        to: Address::parse(&message("to")).unwrap(),
        value: Word::from_decimal(&message("value")).unwrap(),
        valid_after: Word::from_decimal(&message("validAfter")).unwrap(),
        valid_before: Word::from_decimal(&message("validBefore")).unwrap(),
        nonce: hex(&message("nonce")).unwrap(),
    };
    let digest = order.digest(&domain);
    assert_eq!(Some(digest), hex(&text(&recorded["digest"])));
    let signature: [u8; 65] = hex(&text(&recorded["signature"])).unwrap();
    let signer = Address::parse(&text(&recorded["recovered"])).unwrap();
    assert_eq!(eip712::signer(digest, &signature), Some(signer));
    for parity in [0, 2, 26, 29, 255] {
        let mut other = signature;
        other[64] = parity;
        assert_ne!(eip712::signer(digest, &other), Some(signer), "{parity}");
    }
    let mut same = signature;
    same[64] -= 27;
    assert_eq!(eip712::signer(digest, &same), Some(signer));
    assert_eq!(eip712::signer(digest, &[0; 65]), None);
}

#[test]
fn recorded_headers_are_written_and_read() {
    let vectors = vectors();
    for part in ["paymentRequired", "paymentPayload", "settlement"] {
        let header = vectors[part]["header"].as_str().unwrap();
        let decoded: Value = serde_json::from_slice(&STANDARD.decode(header).unwrap()).unwrap();
        assert_eq!(decoded, vectors[part]["json"], "{part}");
    }
    let settlement = &vectors["settlement"];
    let text = |name: &str| settlement["json"][name].as_str().unwrap();
    let written = receipt(text("network"), text("payer"), text("transaction"));
    assert_eq!(written, settlement["header"]);
    let payment = vectors["paymentPayload"]["header"].as_str().unwrap();
    let presented = offer().read(payment.as_bytes(), URL).unwrap();
    assert_eq!(
        presented.proof,
        "eip3009:eip155:84532:0x5fbdb2315678afecb367f032d93f642f64180aa3:\
         0x70997970c51812dc3a010c7d01b50e0d17dc79c8:\
         0xaef9ee33b4eddff489d5b5716269cb8b0a4cb18b3b7b89ccdea7f414998f704d"
    );
    assert_eq!(presented.window, Window { from: 0, until: 1_795_174_262 - 6 });
    // What the facilitator is sent says what was signed, and asks for what was offered.
    let order: Value = serde_json::from_str(&presented.order).unwrap();
    let mut expected = vectors["paymentPayload"]["json"]["payload"].clone();
    for name in ["from", "to"] {
        let address = expected["authorization"][name].as_str().unwrap().to_lowercase();
        expected["authorization"][name] = address.into();
    }
    assert_eq!(order["paymentPayload"]["payload"], expected);
    assert_eq!(order["x402Version"], 2);
    assert_eq!(order["paymentRequirements"]["amount"], "10000");
    assert_eq!(order["paymentRequirements"], order["paymentPayload"]["accepted"]);
}

fn required(offer: &Offer, reason: Option<&str>, url: &[&str]) -> Vec<u8> {
    let mut value = Vec::new();
    offer.push_required(reason, url, &mut value);
    value
}

/// An offer says what the recorded one says, but for what is left free.
#[test]
fn offers_are_those_of_the_stock_server() {
    let parts = ["http://", "127.0.0.1:14020", "/b"];
    let written = STANDARD.decode(required(&offer(), None, &parts)).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    let mut expected = vectors()["paymentRequired"]["json"].clone();
    expected["resource"] = json!({"url": URL});
    let pay_to = expected["accepts"][0]["payTo"].as_str().unwrap().to_lowercase();
    expected["accepts"][0]["payTo"] = pay_to.into();
    let extension = &written["extensions"]["payment-identifier"];
    assert_eq!(extension["info"], json!({"required": false}));
    expected["extensions"] = json!({"payment-identifier": extension});
    assert_eq!(written, expected);
    let reason = STANDARD.decode(required(&offer(), Some("a \"b\""), &["/\"x"])).unwrap();
    let reason: Value = serde_json::from_slice(&reason).unwrap();
    assert_eq!((&reason["error"], &reason["resource"]["url"]), (&json!("a \"b\""), &json!("/\"x")));
}

#[test]
fn payment_for_anything_else_is_none() {
    assert!(read(&recorded()).is_ok());
    let fit = |payment: &Value| read(payment).and_then(|presented| presented.fit);
    assert_eq!(fit(&recorded()), Ok(()));
    for (pointer, value) in [
        ("/accepted/scheme", json!("upto")),
        ("/accepted/network", json!("eip155:8453")),
        ("/accepted/amount", json!("1")),
        ("/accepted/amount", json!(10000)),
        ("/accepted/asset", json!("0x0000000000000000000000000000000000000001")),
        ("/accepted/payTo", json!("0x0000000000000000000000000000000000000001")),
        ("/accepted/maxTimeoutSeconds", json!(600)),
        ("/accepted/extra/name", json!("USDC")),
        ("/accepted/extra/version", json!("1")),
        ("/accepted/extra", Value::Null),
        ("/resource/url", json!("http://127.0.0.1:14020/c")),
    ] {
        let mut other = recorded();
        *other.pointer_mut(pointer).unwrap() = value;
        let expected = Wrong::Invalid(Cow::Borrowed("No matching payment requirements"));
        assert_eq!(fit(&other).unwrap_err(), expected, "{pointer}");
    }
    for (name, value, reason) in [
        ("to", json!("0x0000000000000000000000000000000000000001"), "recipient_mismatch"),
        ("value", json!("9999"), "authorization_value_mismatch"),
    ] {
        let mut other = recorded();
        other["payload"]["authorization"][name] = value;
        let expected = Wrong::Invalid(Cow::Owned(format!("invalid_exact_evm_payload_{reason}")));
        assert_eq!(fit(&other).unwrap_err(), expected, "{name}");
    }
}

/// Of an order that its payer has not signed with a key only the chain can tell whether it is good.
#[test]
fn signature_by_the_payer_is_seen() {
    assert!(read(&recorded()).unwrap().is_signed);
    for (name, value) in [
        ("from", json!("0x0000000000000000000000000000000000000001")),
        ("validAfter", json!("1")),
        ("validBefore", json!("1795174263")),
        ("nonce", json!(format!("0x{}", "00".repeat(32)))),
    ] {
        let mut other = recorded();
        other["payload"]["authorization"][name] = value;
        let presented = read(&other).unwrap();
        assert!(!presented.is_signed, "{name}");
        assert_eq!(presented.fit, Ok(()), "{name}");
    }
}

fn by_permit2() -> (Offer, Value) {
    let offer = example::offer_of(Terms { method: Method::Permit2, ..example::terms() });
    (offer, serde_json::from_str(include_str!("testdata/permit2.json")).unwrap())
}

/// What the stock client signs to Permit2 is read, and told to whoever settles it as it was signed.
#[test]
fn recorded_permit_is_read() {
    let (offer, payment) = by_permit2();
    let written = STANDARD.decode(required(&offer, None, &[URL])).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written["accepts"], json!([payment["accepted"]]));
    let presented = offer.read(header(&payment).as_bytes(), URL).unwrap();
    assert_eq!(
        presented.proof,
        "permit2:eip155:84532:0x70997970c51812dc3a010c7d01b50e0d17dc79c8:\
         106656084235142810677852930142231694098594558420642923282228512753193137148942"
    );
    assert_eq!((presented.is_signed, &presented.fit), (true, &Ok(())));
    assert_eq!(presented.window, Window { from: 0, until: 1_795_976_627 - 6 });
    let order: Value = serde_json::from_str(&presented.order).unwrap();
    let told = order["paymentPayload"]["payload"].to_string().to_lowercase();
    let mut signed: Value = payment["payload"].to_string().to_lowercase().parse().unwrap();
    signed["permit2authorization"]["witness"]["validafter"] = json!("0");
    assert_eq!(told.parse::<Value>().unwrap(), signed);
    assert_eq!(order["paymentRequirements"], payment["accepted"]);
}

#[test]
fn permit_for_anything_else_is_none() {
    let (offer, payment) = by_permit2();
    let fit = |payment: &Value| offer.read(header(payment).as_bytes(), URL).unwrap().fit;
    let other = json!("0x0000000000000000000000000000000000000001");
    for (pointer, value, reason) in [
        (
            "/accepted/extra/assetTransferMethod",
            json!("eip3009"),
            "No matching payment requirements",
        ),
        ("/spender", other.clone(), "invalid_permit2_spender"),
        ("/witness/to", other.clone(), "invalid_permit2_recipient_mismatch"),
        ("/permitted/amount", json!("9999"), "permit2_amount_mismatch"),
        ("/permitted/token", other, "permit2_token_mismatch"),
    ] {
        let mut changed = payment.clone();
        let place = match pointer.starts_with("/accepted") {
            true => pointer.to_owned(),
            false => format!("/payload/permit2Authorization{pointer}"),
        };
        *changed.pointer_mut(&place).unwrap() = value;
        assert_eq!(fit(&changed), Err(Wrong::Invalid(reason.into())), "{pointer}");
    }
    // An order of the other kind says that it meets what is offered, and does not.
    let mut mixed = payment.clone();
    mixed["payload"] = recorded()["payload"].clone();
    assert!(fit(&mixed).is_err());
    mixed["payload"]["permit2Authorization"] = payment["payload"]["permit2Authorization"].clone();
    let two = offer.read(header(&mixed).as_bytes(), URL);
    assert_eq!(two, Err(Wrong::Malformed("The payment has two orders.")));
    for name in ["permitted", "witness", "nonce", "deadline", "spender", "from"] {
        let mut broken = payment.clone();
        broken["payload"]["permit2Authorization"].as_object_mut().unwrap().remove(name);
        let read = offer.read(header(&broken).as_bytes(), URL);
        assert!(matches!(read, Err(Wrong::Malformed(_))), "{name}");
    }
}

/// The same order is the same payment in either version.
#[test]
fn payment_of_version_1_is_the_same_payment() {
    let offer = example::offer_of(Terms { v1: Some("base-sepolia"), ..example::terms() });
    let second = offer.read(header(&recorded()).as_bytes(), URL).unwrap();
    let payment = json!({"x402Version": 1, "scheme": "exact", "network": "base-sepolia",
        "payload": recorded()["payload"]});
    let read = |payment: &Value| offer.read_v1(header(payment).as_bytes(), URL);
    let first = read(&payment).unwrap();
    assert!(is_v1(&first.order) && !is_v1(&second.order));
    let order: Value = serde_json::from_str(&first.order).unwrap();
    assert_eq!(Presented { order: second.order.clone(), ..first }, second);
    let required = json!({"scheme": "exact", "network": "base-sepolia",
        "maxAmountRequired": "10000", "resource": URL, "description": "", "mimeType": "",
        "payTo": "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc", "maxTimeoutSeconds": 60,
        "asset": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
        "extra": {"name": "USD Coin", "version": "2"}});
    assert_eq!(order["paymentRequirements"], required);
    assert_eq!(
        (&order["x402Version"], &order["paymentPayload"]["x402Version"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(order["paymentPayload"]["network"], "base-sepolia");
    let mut text = b"{".to_vec();
    offer.push_v1(None, &[URL], &mut text);
    text.push(b'}');
    let body: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        body,
        json!({"x402Version": 1, "error": "X-PAYMENT header is required", "accepts": [required]})
    );
    for (name, value) in [("scheme", "upto"), ("network", "base"), ("network", "eip155:84532")] {
        let mut other = payment.clone();
        other[name] = value.into();
        let expected = Err(Wrong::Invalid("No matching payment requirements".into()));
        assert_eq!(read(&other).unwrap().fit, expected, "{name}");
    }
    assert!(matches!(read(&recorded()), Err(Wrong::Malformed(_))));
    let header = header(&payment);
    assert!(matches!(example::offer().read_v1(header.as_bytes(), URL), Err(Wrong::Malformed(_))));
}

#[test]
fn what_is_no_payment_is_malformed() {
    let is_malformed =
        |result: Result<Presented, Wrong>| matches!(result, Err(Wrong::Malformed(_)));
    for (pointer, value) in [
        ("/x402Version", json!(1)),
        ("/x402Version", json!("2")),
        ("/accepted", json!([])),
        ("/payload", Value::Null),
        ("/payload/signature", json!("0x")),
        ("/payload/signature", json!("0xabc")),
        ("/payload/signature", json!("d1f2")),
        ("/payload/signature", json!(format!("0x{}", "ab".repeat(5000)))),
        ("/payload/authorization", json!("x")),
        ("/payload/authorization/from", json!("0x12")),
        ("/payload/authorization/value", json!(10000)),
        ("/payload/authorization/value", json!("1e4")),
        ("/payload/authorization/value", json!("010000")),
        ("/payload/authorization/value", json!("-1")),
        ("/payload/authorization/validBefore", json!("9".repeat(79))),
        ("/payload/authorization/nonce", json!("0x00")),
        ("/resource", json!("x")),
        ("/resource/url", json!(1)),
    ] {
        let mut other = recorded();
        *other.pointer_mut(pointer).unwrap() = value;
        assert!(is_malformed(read(&other)), "{pointer}");
    }
    let good = header(&recorded());
    let raw = |text: &str| STANDARD.encode(text);
    let twice = recorded().to_string().replacen("\"value\"", "\"value\":\"1\",\"value\"", 1);
    let url_safe = good.replace('+', "-").replace('/', "_");
    for text in [
        "",
        "e30",
        "e30=\n",
        " e30=",
        "e30==",
        "%%%",
        &raw("{}"),
        &raw("[]"),
        &raw("x"),
        &raw(&twice),
        &good[1..],
        &good[..good.len() - 3],
        &format!("{good}{good}"),
        &"A".repeat(16 * 1024 + 4),
        &format!("{url_safe}-"),
    ] {
        assert!(is_malformed(offer().read(text.as_bytes(), URL)), "{text}");
    }
}

/// Two ways to write one payment have one proof.
#[test]
fn proof_is_of_what_moves() {
    let proof = |payment: &Value| read(payment).unwrap().proof;
    let one = proof(&recorded());
    let mut other = recorded();
    let from = other["payload"]["authorization"]["from"].as_str().unwrap();
    let upper = from.to_uppercase().replace("0X", "0x");
    other["payload"]["authorization"]["from"] = upper.into();
    let signature = other["payload"]["signature"].as_str().unwrap().to_owned();
    other["payload"]["signature"] = format!("{}01", &signature[..130]).into();
    other["extensions"] = json!({"x": {"y": 1}});
    other.as_object_mut().unwrap().remove("resource");
    assert_eq!(proof(&other), one);
    // Signatures of contracts are the chain's to judge.
    other["payload"]["signature"] = json!("0x1234");
    assert_eq!(proof(&other), one);
}

#[test]
fn what_is_signed_by_anybody_for_the_offer_is_good() {
    let secret = SecretKey::from_secret_bytes([7; 32]).unwrap();
    let mut payment = recorded();
    let order = Authorization {
        from: eip712::address(&secret).unwrap(),
        to: offer().terms.pay_to,
        value: offer().amount,
        valid_after: Word::default(),
        valid_before: Word::from(2_000_000_000),
        nonce: [9; 32],
    };
    let signature = eip712::sign(order.digest(&offer().domain), &secret);
    payment["payload"] = json!({"signature": signature, "authorization": {
        "from": order.from.to_string(), "to": order.to.to_string(), "value": "10000",
        "validAfter": "0", "validBefore": "2000000000", "nonce": format!("0x{}", "09".repeat(32))}});
    let presented = read(&payment).unwrap();
    assert_eq!((presented.payer, presented.is_signed), (order.from.to_string(), true));
}

/// What is signed is what is compared, whatever stands beside it.
#[test]
fn order_to_another_or_of_another_amount_does_not_fit() {
    let mut payment = recorded();
    payment["payload"]["signature"] = json!("0x1234");
    for (name, value, reason) in [
        ("to", json!("0x0000000000000000000000000000000000000001"), "recipient_mismatch"),
        ("value", json!("9999"), "authorization_value_mismatch"),
        ("value", json!("10001"), "authorization_value_mismatch"),
    ] {
        let mut other = payment.clone();
        other["payload"]["authorization"][name] = value;
        let expected = Wrong::Invalid(Cow::Owned(format!("invalid_exact_evm_payload_{reason}")));
        assert_eq!(read(&other).unwrap().fit, Err(expected), "{name}");
    }
}

#[test]
fn order_is_good_within_its_time() {
    let window = Window { from: 100, until: 154 };
    let at = |second| check_window(window, Timestamp::from_second(second).unwrap());
    assert!(matches!(at(99), Err(Wrong::Invalid(_))));
    assert_eq!((at(100), at(154)), (Ok(()), Ok(())));
    assert_eq!(at(155), Err(Wrong::Expired));
}
