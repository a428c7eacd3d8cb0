//! Credentials that open nothing: each has its status, its code and the scheme's type, and nothing moves.

use super::*;

const PROBLEMS: &str = "https://paymentauth.org/problems/";

/// Looks at a refusal that asks for payment anew.
fn assert_asked_again(stage: &Both, response: &Response, verdict: &str, problem: &str, case: &str) {
    assert_eq!(response.verdict(), verdict, "{case}: {}", response.text());
    assert_eq!(response.json()["type"], format!("{PROBLEMS}{problem}"), "{case}");
    assert_eq!(challenges(response).len(), 1, "{case}");
    assert!(response.field("payment-required").is_some(), "{case}");
    assert_eq!(response.field("payment-receipt"), None, "{case}");
    assert_eq!(response.field("cache-control"), Some("no-store"), "{case}");
    assert_eq!(stage.upstream.count(), 0, "{case}");
}

#[test]
fn challenges_for_anything_else_open_nothing() {
    let stage = Both::new();
    let wallet = Wallet::new(7);
    let good = credential(&wallet, &stage.challenge("/weather/x"));
    let changed = |object: &str, name: &str, value: Value| {
        let mut other = good.clone();
        other[object][name] = value;
        field(&other)
    };
    let other = "0x0000000000000000000000000000000000000001";
    let dear = stage.challenge("/dear")["request"].clone();
    let maps = stage.challenge("/maps")["opaque"].clone();
    let mut repriced = stage.challenge("/dear");
    repriced["request"] = good["challenge"]["request"].clone();
    let signed_for = |name: &str, value: Value| {
        let mut challenge = good["challenge"].clone();
        let mut request = decoded(challenge["request"].as_str().unwrap());
        request[name] = value;
        challenge["request"] = encoded(&request).into();
        let mut credential = credential(&wallet, &challenge);
        credential["challenge"] = good["challenge"].clone();
        field(&credential)
    };
    for (case, payment, problem) in [
        ("another id", changed("challenge", "id", json!("AAAA")), "invalid-challenge"),
        ("another realm", changed("challenge", "realm", json!("a")), "invalid-challenge"),
        ("another request", changed("challenge", "request", dear), "invalid-challenge"),
        (
            "another end",
            changed("challenge", "expires", json!("2099-01-01T00:00:00Z")),
            "invalid-challenge",
        ),
        ("another route", changed("challenge", "opaque", maps), "invalid-challenge"),
        ("another method", changed("challenge", "method", json!("tempo")), "invalid-challenge"),
        (
            "another digest",
            changed("challenge", "digest", json!("sha-256=:AA==:")),
            "invalid-challenge",
        ),
        (
            "a cheap request in a dear challenge",
            field(&credential(&wallet, &repriced)),
            "invalid-challenge",
        ),
        ("signed to another", signed_for("recipient", json!(other)), "verification-failed"),
        ("signed for less", signed_for("amount", json!("9999")), "verification-failed"),
        (
            "another payer",
            changed("payload", "from", json!(Wallet::new(8).address())),
            "verification-failed",
        ),
        (
            "another source",
            {
                let mut other = good.clone();
                other["source"] =
                    format!("did:pkh:eip155:84532:{}", Wallet::new(8).address()).into();
                field(&other)
            },
            "verification-failed",
        ),
    ] {
        let response = stage.ask("/weather/x", &[&payment]);
        assert_asked_again(&stage, &response, "402 payment_invalid", problem, case);
    }
    // Of a dearer route, of one as dear, and of a cheaper one.
    let payment = field(&good);
    for path in ["/dear", "/maps"] {
        let response = stage.ask(path, &[&payment]);
        assert_asked_again(&stage, &response, "402 payment_invalid", "invalid-challenge", path);
    }
    let dear = stage.credential(&wallet, "/dear");
    let response = stage.ask("/weather/x", &[&dear]);
    assert_asked_again(&stage, &response, "402 payment_invalid", "invalid-challenge", "dear");
    assert_eq!(stage.facilitator.asked("verify"), 0);
    stage.assert_nothing_moved();
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
}

fn encoded(document: &Value) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    URL_SAFE_NO_PAD.encode(document.to_string())
}

/// What is asked by now is what is paid.
#[test]
fn challenge_of_before_a_change_opens_nothing() {
    let stage = Both::new();
    let wallet = Wallet::new(7);
    let payment = stage.credential(&wallet, "/weather/x");
    let secret = "fedcba9876543210fedcba9876543210";
    for (case, from, to) in [
        ("another price", "price = \"0.01 USD\"", "price = \"0.001 USD\""),
        (
            "another receiver",
            "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
            "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        ),
        ("another chain", "eip155:84532", "eip155:8453"),
        ("another realm", "[payments.mpp]\n", "[payments.mpp]\nrealm = \"other.example.com\"\n"),
        ("another secret", "", ""),
    ] {
        if case == "another secret" {
            std::fs::write(stage.secret.path(), secret).unwrap();
        }
        stage.gateway.write(&stage.tables.replace(from, to));
        stage.gateway.running().reload().unwrap();
        let response = stage.ask("/weather/x", &[&payment]);
        assert_eq!(response.verdict(), "402 payment_invalid", "{case}: {}", response.text());
        assert_eq!(challenges(&response).len(), 1, "{case}");
        if case == "another realm" {
            assert_eq!(asked(&response)["realm"], "other.example.com");
        }
    }
    stage.assert_nothing_moved();
}

#[test]
fn challenge_that_is_over_opens_nothing() {
    let (upstream, secret) = (Upstream::ok(), secret());
    let facilitator = Facilitator::start();
    let tables = tables(&secret).replace("@FACILITATOR@", &facilitator.url());
    let mut gateway = Gateway::start_at("2026-11-20T11:30:00Z", &tables, &upstream);
    let challenge = asked(&gateway.request("GET", "/maps", &[]));
    assert_eq!(challenge["expires"], "2026-11-20T11:35:00Z");
    let payment = field(&credential(&Wallet::new(7), &challenge));
    gateway.set_time("2026-11-20T11:35:01Z");
    let response = gateway.request("GET", "/maps", &[&payment]);
    assert_eq!(response.verdict(), "402 payment_expired");
    assert_eq!(response.json()["type"], format!("{PROBLEMS}payment-expired"));
    assert_eq!(asked(&response)["expires"], "2026-11-20T11:40:01Z");
    assert_eq!((upstream.count(), facilitator.asked("verify")), (0, 0));
    // In time it is good.
    gateway.set_time("2026-11-20T11:34:54Z");
    assert_eq!(gateway.request("GET", "/maps", &[&payment]).status(), 200);
}

#[test]
fn what_is_no_credential_is_told_so() {
    let stage = Both::new();
    let wallet = Wallet::new(7);
    let good = credential(&wallet, &stage.challenge("/weather/x"));
    let payment = field(&good);
    let in_authorization = payment.replace("Payment-Authorization:", "Authorization:");
    let twice = good.to_string().replacen("\"value\"", "\"value\":\"1\",\"value\"", 1);
    let twice = {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        format!("Payment-Authorization: Payment {}", URL_SAFE_NO_PAD.encode(twice))
    };
    let long = format!("Payment-Authorization: Payment {}", "A".repeat(17 * 1024));
    for (case, field) in [
        ("empty", "Payment-Authorization: "),
        ("nothing", "Payment-Authorization: Payment"),
        ("no base64", "Payment-Authorization: Payment {}"),
        ("no object", "Payment-Authorization: Payment W10"),
        ("empty object", "Payment-Authorization: Payment e30"),
        ("another scheme", "Payment-Authorization: Bearer e30"),
        ("a name twice", &twice),
        ("long", &long),
        ("in another field", &in_authorization),
    ] {
        let response = stage.ask("/weather/x", &[field]);
        assert_asked_again(
            &stage,
            &response,
            "402 payment_malformed",
            "malformed-credential",
            case,
        );
        // Beside a good key that would do, too.
        if !field.starts_with("Authorization") {
            let response = stage.ask("/weather/x", &[&bearer("acme"), field]);
            assert_asked_again(
                &stage,
                &response,
                "402 payment_malformed",
                "malformed-credential",
                case,
            );
        }
    }
    stage.assert_nothing_moved();
    assert_eq!(stage.gateway.used("acme"), (0, 0));
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
}

/// Nobody knows which of two was meant.
#[test]
fn two_payments_open_nothing() {
    let stage = Both::new();
    let wallet = Wallet::new(7);
    let (one, other) =
        (stage.credential(&wallet, "/weather/x"), stage.credential(&wallet, "/weather/x"));
    let x402 = stage.payment(&wallet, "/weather/x", 1);
    let in_authorization = one.replace("Payment-Authorization:", "Authorization:");
    for (case, fields) in [
        ("doubled", [&*one, &*one]),
        ("two", [&*one, &*other]),
        ("in two fields", [&*one, &*in_authorization]),
        ("by two rails", [&*one, &*x402]),
        ("by an old version of the other", [&*one, "X-PAYMENT: e30="]),
    ] {
        let response = stage.ask("/weather/x", &fields);
        assert_eq!(response.verdict(), "400 payment_malformed", "{case}");
        assert_eq!(response.json()["detail"], "The request brings two payments.", "{case}");
        assert_eq!(challenges(&response).len(), 1, "{case}");
    }
    let (key, two) = (bearer("acme"), stage.credential(&wallet, "/weather/x"));
    let response = stage.ask("/weather/x", &[&key, &two, &x402]);
    assert_eq!(response.verdict(), "400 payment_malformed");
    assert_eq!(
        stage.ask("/weather/x", &[&bearer("nobody"), &two]).verdict(),
        "401 invalid_api_key"
    );
    stage.assert_nothing_moved();
}

/// Nothing is asked anew while it is not known what became of it.
#[test]
fn doubt_is_no_failure_by_this_rail_either() {
    let stage = Both::new();
    let payment = stage.credential(&Wallet::new(7), "/weather/x");
    stage.facilitator.set(Mood::FailsAfter);
    for _ in 0..2 {
        let response = stage.ask("/weather/x", &[&payment]);
        assert_eq!(response.verdict(), "409 payment_pending");
        assert_eq!(response.field("retry-after"), Some("5"));
        assert_eq!((challenges(&response).len(), response.field("payment-required")), (0, None));
    }
    // Not even when the challenge is none any more.
    std::fs::write(stage.secret.path(), "another secret that is long enough").unwrap();
    stage.gateway.running().reload().unwrap();
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "409 payment_pending");
    stage.facilitator.set(Mood::Good);
    wait_for("the outcome", || {
        (stage.ask("/weather/x", &[&payment]).status() == 200).then_some(())
    });
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "403 payment_already_used");
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    stage.assert_adds_up();
}

/// Beside a key that does not cover the call no more than without one.
#[test]
fn doubt_beside_a_key_is_no_failure_when_the_price_has_changed() {
    let stage = Both::new();
    let (key, wallet) = (bearer("acme"), Wallet::new(7));
    let x402 = stage.payment(&wallet, "/weather/x", 1);
    let mpp = stage.credential(&wallet, "/weather/x");
    assert_eq!(stage.ask("/weather/x", &[&key]).status(), 200);
    stage.facilitator.set(Mood::FailsAfter);
    for payment in [&x402, &mpp] {
        let response = stage.ask("/weather/x", &[&key, payment]);
        assert_eq!(response.verdict(), "409 payment_pending");
    }
    let dearer = stage.tables.replacen("price = \"0.01 USD\"", "price = \"0.03 USD\"", 1);
    stage.gateway.write(&dearer);
    stage.gateway.running().reload().unwrap();
    for payment in [&x402, &mpp] {
        let response = stage.ask("/weather/x", &[&key, payment]);
        assert_eq!(response.verdict(), "409 payment_pending");
    }
}

/// Beside a key that covers the call a payment for another is an error all the same, and nothing is taken.
#[test]
fn payment_for_another_call_is_told_beside_a_good_key() {
    let stage = Both::new();
    let (key, wallet) = (bearer("acme"), Wallet::new(7));
    for payment in [stage.credential(&wallet, "/maps"), stage.payment(&wallet, "/maps", 1)] {
        let response = stage.ask("/weather/x", &[&key, &payment]);
        assert_eq!(response.verdict(), "402 payment_invalid");
    }
    stage.assert_nothing_moved();
    assert_eq!(stage.gateway.used("acme"), (0, 0));
    assert_eq!(stage.ask("/weather/x", &[&key]).status(), 200);
}

#[test]
fn what_the_facilitator_says_is_told_in_the_words_of_the_scheme() {
    let stage = Both::new();
    let payment = stage.credential(&Wallet::new(7), "/weather/x");
    stage.facilitator.set(Mood::RefusesToVerify("insufficient_funds"));
    let response = stage.ask("/weather/x", &[&payment]);
    assert_asked_again(&stage, &response, "402 payment_invalid", "verification-failed", "poor");
    stage.facilitator.set(Mood::Redirects("verify"));
    let response = stage.ask("/weather/x", &[&payment]);
    assert_eq!(response.verdict(), "503 payment_unavailable");
    assert_eq!((challenges(&response).len(), response.field("retry-after")), (0, Some("5")));
    stage.facilitator.set(Mood::RefusesToSettle("invalid_exact_evm_insufficient_balance"));
    for _ in 0..2 {
        let response = stage.ask("/weather/x", &[&payment]);
        assert_asked_again(
            &stage,
            &response,
            "402 payment_failed",
            "verification-failed",
            "failed",
        );
        assert_eq!(response.field("payment-response"), None);
    }
    assert_eq!(stage.facilitator.asked("settle"), 1);
    stage.assert_nothing_moved();
}
