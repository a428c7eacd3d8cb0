//! The recorded vectors of other implementations and of the stock client, and credentials that differ from what is asked.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    credential::Malformed,
    example::{SECRET, place},
    params::Listed,
    *,
};
use crate::pay::x402::strict;

fn aperture() -> Value {
    serde_json::from_str(include_str!("testdata/aperture.json")).unwrap()
}

fn own() -> Value {
    let text = include_str!("testdata/vectors.json");
    serde_json::from_str::<Value>(text).unwrap()["paymentAuth"].clone()
}

fn group(name: &str) -> Vec<Value> {
    let group = aperture()[name].as_array().unwrap().clone();
    assert!(!group.is_empty());
    group
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// Gives the challenge that stands in a vector.
fn challenge(params: &Value) -> Challenge<'_> {
    let optional = |name: &str| params[name].as_str();
    Challenge {
        realm: text(params, "realm"),
        method: text(params, "method"),
        intent: text(params, "intent"),
        request: text(params, "request"),
        expires: optional("expires"),
        digest: optional("digest"),
        description: optional("description"),
        opaque: optional("opaque"),
        header: optional("header"),
    }
}

#[test]
fn canonical_form_is_that_of_others() {
    for vector in group("canonicalization") {
        let read = strict::parse(text(&vector, "input").as_bytes());
        let written = read.as_ref().map(canonical::write);
        assert_eq!(written.as_deref(), vector["canonical"].as_str(), "{}", vector["name"]);
        assert_eq!(written.is_none(), vector["error"] == true);
    }
}

#[test]
fn base64_is_that_of_others() {
    for vector in group("base64url") {
        let encoded = text(&vector, "encoded");
        let decoded = base64url::decode(encoded.as_bytes());
        let expected = (vector["error"] != true)
            .then(|| bytes(vector["decodedHex"].as_str().unwrap_or_default()));
        assert_eq!(decoded, expected, "{}", vector["name"]);
        if vector["canonical"] == true {
            assert_eq!(base64url::encode(decoded.unwrap()), encoded);
        }
    }
}

fn written(id: &str, challenge: &Challenge<'_>) -> String {
    let mut text = Vec::new();
    challenge.push(id, &mut text);
    String::from_utf8(text).unwrap()
}

/// The parameters of one that has all that it must have.
fn complete(listed: &Listed<'_>) -> Option<Map<String, Value>> {
    const REQUIRED: [&str; 5] = ["id", "realm", "method", "intent", "request"];
    const OPTIONAL: [&str; 5] = ["expires", "digest", "description", "opaque", "header"];
    let is_ours = listed.scheme.eq_ignore_ascii_case(SCHEME);
    if !is_ours || REQUIRED.iter().any(|name| listed.param(name).is_none()) {
        return None;
    }
    let found = REQUIRED.into_iter().chain(OPTIONAL);
    let found = found.filter_map(|name| Some((name.to_owned(), listed.param(name)?.into())));
    Some(found.collect())
}

fn complete_all(header: &str) -> Vec<Value> {
    let listed = params::list(header).unwrap();
    listed.iter().filter_map(complete).map(Value::Object).collect()
}

#[test]
fn challenges_are_written_and_read_as_by_others() {
    for vector in group("challengeHeaders") {
        let params = &vector["params"];
        let header = text(&vector, "header");
        assert_eq!(written(text(params, "id"), &challenge(params)), header, "{}", vector["name"]);
        assert_eq!(complete_all(header), std::slice::from_ref(params), "{}", vector["name"]);
    }
    for vector in group("challengeLists") {
        let expected = vector["challenges"].as_array().cloned().unwrap_or_default();
        let found = complete_all(text(&vector, "header"));
        assert_eq!(found, expected, "{}", vector["name"]);
        assert_eq!(found.is_empty(), vector["error"] == true, "{}", vector["name"]);
    }
}

/// The draft -01 has an eighth place for `header`, which these know nothing of; those of our own have it.
#[test]
fn ids_are_those_of_others() {
    let secret = Secret::of_key(&bytes(text(&aperture(), "hmacSecretHex")));
    for vector in group("challengeIds") {
        let params = &vector["params"];
        let id = text(params, "id");
        assert_eq!(challenge(params).id(&secret), id, "{}", vector["name"]);
        assert!(challenge(params).is_bound_by(id, &secret));
    }
    for vector in own()["challengeIds"].as_array().unwrap() {
        let (key, id) = (text(vector, "secret"), text(vector, "id"));
        let challenge = challenge(&vector["params"]);
        assert_eq!(challenge.id(&Secret::new(key)), id, "{}", vector["name"]);
        assert!(challenge.is_bound_by(id, &Secret::new(key)));
        assert!(!challenge.is_bound_by(id, &secret));
        for other in [format!("{id}="), id[1..].to_owned(), String::new(), id.to_lowercase()] {
            assert!(!challenge.is_bound_by(&other, &Secret::new(key)), "{other}");
        }
        if let Some(body) = vector["body"].as_str() {
            let mut digest = BodyDigest::default();
            body.as_bytes().chunks(3).for_each(|piece| digest.add(piece));
            assert_eq!(Some(&*digest.text()), challenge.digest);
        }
    }
}

/// That padding is taken, and that nothing is said of two names in one object, is how others read.
#[test]
fn credentials_are_read_as_by_others() {
    for vector in group("credentials") {
        let read = credential::decode(text(&vector, "header").as_bytes());
        assert_eq!(read.is_err(), vector["error"] == true, "{}: {read:?}", vector["name"]);
        let Ok(read) = read else { continue };
        let expected: Value = serde_json::from_str(text(&vector, "credentialJson")).unwrap();
        assert_eq!(Value::Object(read.payload), expected["payload"]);
        assert_eq!(read.source.as_deref(), expected["source"].as_str());
        assert_eq!(read.echo.id, expected["challenge"]["id"]);
        let params = Challenge { description: None, ..challenge(&expected["challenge"]) };
        assert_eq!(read.echo.challenge(), params, "{}", vector["name"]);
    }
}

/// The envelope is the same; ours are in the canonical form, and of another method.
#[test]
fn receipts_are_wrapped_as_by_others() {
    for vector in group("receipts") {
        let (json, header) = (text(&vector, "receiptJson"), text(&vector, "header"));
        assert_eq!(base64url::encode(json), header, "{}", vector["name"]);
        assert_eq!(base64url::decode(header.as_bytes()).unwrap(), json.as_bytes());
    }
    let now = "2026-11-20T11:30:00.25Z".parse().unwrap();
    let told = base64url::decode(receipt("c1", 84532, "0x12", now).as_bytes()).unwrap();
    let expected = r#"{"chainId":84532,"challengeId":"c1","method":"evm","reference":"0x12","status":"success","timestamp":"2026-11-20T11:30:00Z"}"#;
    assert_eq!(str::from_utf8(&told).unwrap(), expected);
}

fn read_by(
    offer: &(x402::Offer, Offer),
    value: &str,
    place: Place<'_>,
) -> Result<Presented, Wrong> {
    let brought = Brought { value: value.as_bytes(), is_in_own_field: false };
    offer.1.read(&offer.0, brought, place)
}

fn field(credential: &Value) -> String {
    format!("Payment {}", base64url::encode(credential.to_string()))
}

/// What the stock client signs is whole and of whoever signed it, whatever is asked here.
#[test]
fn credential_of_the_stock_client_is_read() {
    let vectors = own();
    let hash = &vectors["evmChallengeHash"];
    let [nonce, _] = evm::nonces(text(hash, "id"), text(hash, "realm"));
    let written = written_nonce(nonce);
    assert_eq!(written, hash["keccak256"]);
    let recorded = &vectors["credential"]["json"];
    let offer = example::offer(SECRET, "r1");
    let presented = read_by(&offer, &field(recorded), place()).unwrap();
    assert_eq!(
        presented.proof,
        format!(
            "eip3009:eip155:84532:0x5fbdb2315678afecb367f032d93f642f64180aa3:\
             0x70997970c51812dc3a010c7d01b50e0d17dc79c8:{written}"
        )
    );
    let order: Value = serde_json::from_str(&presented.order).unwrap();
    assert_eq!(order["paymentPayload"]["payload"]["signature"], recorded["payload"]["signature"]);
    assert_eq!((presented.rail, presented.is_signed), (Rail::Mpp, true));
    assert_eq!(presented.answered.unwrap().challenge, recorded["challenge"]["id"]);
    // It is for no route of ours, and says so before anything else.
    assert_eq!(presented.fit, Err(invalid(INVALID_CHALLENGE)));
    let mut forged = recorded.clone();
    forged["payload"]["from"] = "0x0000000000000000000000000000000000000001".into();
    assert!(!read_by(&offer, &field(&forged), place()).unwrap().is_signed);
}

fn written_nonce(nonce: [u8; 32]) -> String {
    nonce.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Answers a challenge as a contract does, whose signature only the chain can judge.
fn answered(offer: &(x402::Offer, Offer), place: Place<'_>) -> Value {
    let written = offer.1.challenges(place, None, None).remove(0);
    let listed = complete_all(str::from_utf8(&written).unwrap()).remove(0);
    let [nonce, _] = evm::nonces(text(&listed, "id"), place.realm);
    let nonce = written_nonce(nonce);
    let request = base64url::decode(text(&listed, "request").as_bytes()).unwrap();
    let request: Value = serde_json::from_slice(&request).unwrap();
    json!({"challenge": listed, "payload": {"type": "authorization",
        "from": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "to": request["recipient"],
        "value": request["amount"], "validAfter": "0", "validBefore": "1795174444",
        "nonce": nonce, "signature": "0x1234"},
        "source": "did:pkh:eip155:84532:0x70997970C51812dc3A010C7d01b50e0d17dc79C8"})
}

#[test]
fn challenge_asks_what_the_stock_server_asks() {
    let offer = example::offer(SECRET, "r1");
    let recorded = own()["challengeIds"][0]["params"]["request"].clone();
    let recorded = base64url::decode(recorded.as_str().unwrap().as_bytes()).unwrap();
    let recorded = String::from_utf8(recorded).unwrap();
    // Addresses are written in lower case here.
    let recipient = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
    let expected = recorded.replace(recipient, &recipient.to_lowercase());
    assert_eq!(offer.1.document(), expected);
    let challenge = answered(&offer, place())["challenge"].clone();
    assert_eq!(challenge["expires"], "2026-11-20T11:35:00Z");
    assert_eq!(challenge["description"], "0.01 USD");
    assert_eq!(challenge.get("header"), None);
}

#[test]
fn only_what_answers_a_challenge_of_ours_fits() {
    let offer = example::offer(SECRET, "r1");
    let good = answered(&offer, place());
    let fit = |credential: &Value, place: Place<'_>| {
        read_by(&offer, &field(credential), place).unwrap().fit
    };
    assert_eq!(fit(&good, place()), Ok(()));
    let challenged = Err(invalid(INVALID_CHALLENGE));
    for (pointer, value, expected) in [
        ("/challenge/id", json!("x"), challenged.clone()),
        ("/challenge/realm", json!("example.com"), challenged.clone()),
        ("/challenge/request", json!("e30"), challenged.clone()),
        ("/challenge/opaque", json!("e30"), challenged.clone()),
        ("/challenge/expires", json!("2027-11-20T11:35:00Z"), challenged.clone()),
        ("/challenge/expires", Value::Null, challenged.clone()),
        ("/challenge/digest", json!("sha-256=:AAAA:"), challenged.clone()),
        (
            "/source",
            json!("did:pkh:eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
            Err(invalid("another source")),
        ),
        ("/source", Value::Null, Ok(())),
        ("/challenge/description", json!("for nothing"), Ok(())),
        ("/payload/nonce", json!(format!("0x{}", "00".repeat(32))), Err(invalid("another nonce"))),
        (
            "/payload/to",
            json!("0x0000000000000000000000000000000000000001"),
            Err(invalid("invalid_exact_evm_payload_recipient_mismatch")),
        ),
        (
            "/payload/value",
            json!("9999"),
            Err(invalid("invalid_exact_evm_payload_authorization_value_mismatch")),
        ),
    ] {
        let mut other = good.clone();
        let (object, name) = pointer.rsplit_once('/').unwrap();
        other.pointer_mut(object).unwrap()[name] = value;
        assert_eq!(fit(&other, place()), expected, "{pointer}");
    }
    // As the stock client for Python signs it.
    let mut other = good.clone();
    let [_, listed] = evm::nonces(text(&good["challenge"], "id"), place().realm);
    other["payload"]["nonce"] = written_nonce(listed).into();
    assert_eq!(fit(&other, place()), Ok(()));
    let at = |seconds: i64| Place {
        now: place().now.checked_add(SignedDuration::from_secs(seconds)).unwrap(),
        ..place()
    };
    assert_eq!((fit(&good, at(300)), fit(&good, at(301))), (Ok(()), Err(Wrong::Expired)));
    // Made for another route, another host, or by whoever has another secret.
    for other in [
        answered(&example::offer(SECRET, "r2"), place()),
        answered(&offer, Place { realm: "other", ..place() }),
        answered(&example::offer("another secret, of as many bytes.", "r1"), place()),
    ] {
        assert_eq!(fit(&other, place()), challenged, "{other}");
    }
    // Of another intent nothing else is looked at.
    let mut other = good;
    other["challenge"]["intent"] = "session".into();
    assert_eq!(read_by(&offer, &field(&other), place()), Err(invalid(INVALID_CHALLENGE)));
}

#[test]
fn what_is_no_credential_is_malformed() {
    let offer = example::offer(SECRET, "r1");
    let good = answered(&offer, place());
    let is_malformed =
        |value: &str| matches!(read_by(&offer, value, place()), Err(Wrong::Malformed(_)));
    assert!(!is_malformed(&field(&good)));
    for (pointer, value) in [
        ("/challenge", json!([])),
        ("/challenge/id", json!("")),
        ("/challenge/id", json!(7)),
        ("/challenge/realm", Value::Null),
        ("/challenge/opaque", json!({"route": "r1"})),
        ("/challenge/header", json!("Payment-Authorization")),
        ("/payload", Value::Null),
        ("/payload/type", json!("hash")),
        ("/payload/from", json!("0x12")),
        ("/payload/value", json!(10000)),
        ("/payload/value", json!("1e4")),
        ("/payload/nonce", json!("0x00")),
        ("/payload/signature", json!("1234")),
        ("/source", json!(["did"])),
    ] {
        let mut other = good.clone();
        *other.pointer_mut(pointer).unwrap_or(&mut Value::Null) = value.clone();
        let (object, name) = pointer.rsplit_once('/').unwrap();
        other.pointer_mut(object).unwrap()[name] = value;
        assert!(is_malformed(&field(&other)), "{pointer}");
    }
    let whole = field(&good);
    let twice = good.to_string().replacen("\"value\"", "\"value\":\"1\",\"value\"", 1);
    for value in [
        "Payment",
        "Payment ",
        "Payment e30",
        "Payment W10",
        "Payment ?",
        "Bearer e30",
        &whole.replacen(' ', "", 1),
        &format!("{whole}, {whole}"),
        &format!("{whole}="),
        &whole[..whole.len() - 1],
        &format!("Payment {}", base64url::encode(twice)),
        &format!("Payment {}", "A".repeat(16 * 1024)),
    ] {
        assert!(is_malformed(value), "{value}");
    }
    // In the field that it does not belong into.
    let brought = Brought { value: whole.as_bytes(), is_in_own_field: true };
    let read = offer.1.read(&offer.0, brought, place());
    assert!(matches!(read, Err(Wrong::Malformed(_))));
    assert_eq!(
        credential::decode(b"Payment e30").unwrap_err(),
        Malformed("The payment lacks `challenge` or `payload`.")
    );
}

/// Beside keys a credential has a field of its own, and is good there alone.
#[test]
fn credential_stands_where_its_challenge_says() {
    let x402 = x402::example::offer();
    let terms = Terms { secret: Secret::new(SECRET), realm: None, is_beside_keys: true };
    let offer = Offer::new(&Arc::new(terms), &x402, "r1");
    let both = (x402, offer);
    let credential = answered(&both, place());
    assert_eq!(credential["challenge"]["header"], "Payment-Authorization");
    let value = field(&credential);
    let read = |is_in_own_field| {
        let brought = Brought { value: value.as_bytes(), is_in_own_field };
        both.1.read(&both.0, brought, place()).map(|presented| presented.fit)
    };
    assert_eq!(read(true), Ok(Ok(())));
    assert!(matches!(read(false), Err(Wrong::Malformed(_))));
}

#[test]
fn short_secret_is_stretched_and_does_not_print() {
    let (short, long) = (Secret::new("short"), Secret::new(SECRET));
    assert!(Secret::is_short("short") && !Secret::is_short(SECRET));
    assert_ne!(short.sign(&[b"x"]), Secret::of_key(b"short").sign(&[b"x"]));
    assert_eq!(short.sign(&[b"x"]), Secret::new("short").sign(&[b"x"]));
    assert_eq!(long.sign(&[b"x"]), Secret::of_key(SECRET.as_bytes()).sign(&[b"x"]));
    assert_eq!(format!("{long:?}"), "Secret(hidden)");
}

proptest! {
    /// What is written is read back, whatever stands in it; and taken out whole, whatever stands beside it.
    #[test]
    fn challenge_is_read_back(values in proptest::collection::vec("[ -~é]{1,12}", 7)) {
        let [id, realm, method, intent, request, opaque, description] = values.as_slice() else {
            unreachable!()
        };
        let (opaque, description) = (Some(&**opaque), Some(&**description));
        let (expires, digest, header) = (None, None, None);
        let challenge =
            Challenge { realm, method, intent, request, expires, digest, description, opaque, header };
        let written = written(id, &challenge);
        let list = format!("Basic realm=\"x\", {written} ,Digest a=b");
        let listed = params::list(&list).unwrap();
        prop_assert_eq!(listed.len(), 3);
        prop_assert_eq!(listed[1].text, &*written);
        for (name, value) in [("id", id), ("realm", realm), ("request", request)] {
            prop_assert_eq!(listed[1].param(name), Some(&**value));
        }
        let left = without_ours(list.as_bytes()).unwrap();
        prop_assert_eq!(&*left, &b"Basic realm=\"x\", Digest a=b"[..]);
    }

    /// Whatever it is, it is read or not, and nothing of the scheme is left of it.
    #[test]
    fn nothing_of_ours_is_left(value in "(Payment|Basic|[a-z]{1,3}| |=|,|\"|\\\\|é){0,24}") {
        if let Some(left) = without_ours(value.as_bytes()) {
            let left = str::from_utf8(&left).unwrap();
            for listed in params::list(left).into_iter().flatten() {
                prop_assert!(!listed.scheme.eq_ignore_ascii_case(SCHEME), "{}", left);
            }
        }
    }
}
