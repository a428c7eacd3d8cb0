//! Payments that open nothing: each has its status and its code, and nothing moves.

use super::*;

fn assert_refused(stage: &Stage, response: &Response, verdict: &str, has_offer: bool, case: &str) {
    assert_eq!(response.verdict(), verdict, "{case}: {}", response.text());
    assert_eq!(response.field("payment-required").is_some(), has_offer, "{case}");
    assert_eq!(response.json().get("offers").is_some(), has_offer, "{case}");
    assert_eq!(response.field("cache-control"), Some("no-store"), "{case}");
    assert_eq!(response.field("content-type"), Some("application/problem+json"), "{case}");
    assert_eq!(stage.upstream.count(), 0, "{case}");
}

#[test]
fn payments_for_anything_else_open_nothing() {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let offer = stage.offer("/weather/x");
    let good = || Order::of(&offer, 1);
    let other = "0x0000000000000000000000000000000000000001";
    let changed = |name: &str, value: Value| {
        let mut order = good();
        order.accepted[name] = value;
        wallet.field(&order)
    };
    for (case, payment, reason) in [
        ("of another price", changed("amount", json!("1")), "No matching payment requirements"),
        (
            "on another network",
            changed("network", json!("eip155:8453")),
            "No matching payment requirements",
        ),
        ("of another token", changed("asset", json!(other)), "No matching payment requirements"),
        ("to another", changed("payTo", json!(other)), "No matching payment requirements"),
        ("of another scheme", changed("scheme", json!("upto")), "No matching payment requirements"),
        (
            "of another place",
            wallet.field(&Order {
                resource: json!({"url": "https://api.example.com/dear"}),
                ..good()
            }),
            "No matching payment requirements",
        ),
        (
            "signed to another",
            wallet.field(&Order { to: other.to_owned(), ..good() }),
            "invalid_exact_evm_payload_recipient_mismatch",
        ),
        (
            "signed for less",
            wallet.field(&Order { value: "9999".to_owned(), ..good() }),
            "invalid_exact_evm_payload_authorization_value_mismatch",
        ),
        (
            "of a time to come",
            wallet.field(&Order { valid_after: wallet::now() + 100, ..good() }),
            "invalid_exact_evm_payload_authorization_valid_after",
        ),
    ] {
        let response = stage.ask("/weather/x", &[&payment]);
        assert_refused(&stage, &response, "402 payment_invalid", true, case);
        assert_eq!(super::offer(&response)["error"], reason, "{case}");
    }
    // Of a dearer route, and of one as dear.
    let payment = wallet.field(&good());
    for path in ["/dear", "/maps", "/weather/y"] {
        assert_refused(&stage, &stage.ask(path, &[&payment]), "402 payment_invalid", true, path);
    }
    let late = wallet.field(&Order { valid_before: wallet::now() + 3, ..good() });
    let response = stage.ask("/weather/x", &[&late]);
    assert_refused(&stage, &response, "402 payment_expired", true, "late");
    assert_eq!(stage.facilitator.asked("verify"), 0);
    stage.assert_nothing_moved();
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
}

#[test]
fn what_is_no_payment_is_told_so() {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    let other = stage.payment(&wallet, "/weather/x", 2);
    let twice = wallet.payment(&Order::of(&stage.offer("/weather/x"), 1)).to_string();
    let twice = twice.replacen("\"amount\"", "\"amount\":\"1\",\"amount\"", 1);
    let twice = {
        use base64::Engine as _;
        format!("PAYMENT-SIGNATURE: {}", base64::engine::general_purpose::STANDARD.encode(twice))
    };
    let long = format!("PAYMENT-SIGNATURE: {}", "A".repeat(17 * 1024));
    for (case, fields) in [
        ("empty", vec!["PAYMENT-SIGNATURE: "]),
        ("no base64", vec!["PAYMENT-SIGNATURE: {}"]),
        ("no object", vec!["PAYMENT-SIGNATURE: W10="]),
        ("empty object", vec!["PAYMENT-SIGNATURE: e30="]),
        ("a name twice", vec![&*twice]),
        ("long", vec![&*long]),
        ("doubled", vec![&*payment, &*payment]),
        ("two", vec![&*payment, &*other]),
        ("of two versions", vec![&*payment, "X-PAYMENT: e30="]),
    ] {
        let response = stage.ask("/weather/x", &fields);
        assert_refused(&stage, &response, "400 payment_malformed", true, case);
        // Beside a good key that would do, too.
        let key = bearer("acme");
        let fields: Vec<&str> = [&*key].into_iter().chain(fields).collect();
        let response = stage.ask("/weather/x", &fields);
        assert_refused(&stage, &response, "400 payment_malformed", true, case);
    }
    let key = bearer("nobody");
    let response = stage.ask("/weather/x", &[&key, &payment]);
    assert_refused(&stage, &response, "401 invalid_api_key", false, "a bad key");
    // The first version is not spoken.
    let response = stage.ask("/weather/x", &["X-PAYMENT: e30="]);
    assert_refused(&stage, &response, "402 payment_required", true, "version 1");
    stage.assert_nothing_moved();
    assert_eq!(stage.gateway.used("acme"), (0, 0));
}

/// Whether a wallet that is a contract has signed only the chain can tell, so whoever settles is asked; but an address
/// that has asked in vain too often is not heard, and who signs with a key is.
#[test]
fn signatures_of_nobody_are_asked_about_for_a_while() {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let offer = stage.offer("/weather/x");
    let forged = |nonce: u8| {
        let mut payment = wallet.payment(&Order::of(&offer, nonce));
        payment["payload"]["authorization"]["from"] = Wallet::new(8).address().into();
        field(&payment)
    };
    stage.facilitator.set(Mood::RefusesToVerify("invalid_exact_evm_signature"));
    for nonce in 0..60 {
        let response = stage.ask("/weather/x", &[&forged(nonce)]);
        assert_refused(&stage, &response, "402 payment_invalid", true, "forged");
        assert_eq!(super::offer(&response)["error"], "invalid_exact_evm_signature");
    }
    let response = stage.ask("/weather/x", &[&forged(60)]);
    assert_refused(&stage, &response, "429 rate_limited", false, "too many");
    assert_eq!(response.field("retry-after"), Some("1"));
    assert_eq!(stage.facilitator.asked("verify"), 60);
    stage.assert_nothing_moved();
    stage.facilitator.set(Mood::Good);
    assert_eq!(stage.ask("/weather/x", &[&wallet.field(&Order::of(&offer, 1))]).status(), 200);
}

/// A wallet that is a contract pays like any other.
#[test]
fn signature_of_a_contract_is_for_the_chain_to_judge() {
    let stage = Stage::new();
    let mut payment = Wallet::new(7).payment(&Order::of(&stage.offer("/weather/x"), 1));
    payment["payload"]["signature"] = format!("0x{}", "5a".repeat(65)).into();
    assert_eq!(stage.ask("/weather/x", &[&field(&payment)]).status(), 200);
    let told = &stage.facilitator.last_order()["paymentPayload"]["payload"];
    assert_eq!(told["signature"], payment["payload"]["signature"]);
    let again = stage.ask("/weather/x", &[&field(&payment)]);
    assert_eq!(again.verdict(), "409 payment_already_used");
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
}

/// Open to who pays, without a word of keys.
#[test]
fn route_of_payments_asks_for_no_key() {
    let stage = Stage::new();
    let response = stage.ask("/maps", &[]);
    assert_refused(&stage, &response, "402 payment_required", true, "maps");
    assert_eq!(response.field("www-authenticate"), None);
}

#[test]
fn what_the_facilitator_refuses_moves_nothing_and_may_come_again() {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    stage.facilitator.set(Mood::RefusesToVerify("insufficient_funds"));
    let response = stage.ask("/weather/x", &[&payment]);
    assert_refused(&stage, &response, "402 payment_invalid", true, "poor");
    assert_eq!(offer(&response)["error"], "insufficient_funds");
    stage.facilitator.set(Mood::Redirects("verify"));
    let response = stage.ask("/weather/x", &[&payment]);
    assert_refused(&stage, &response, "503 payment_unavailable", false, "redirected");
    assert_eq!(response.field("retry-after"), Some("5"));
    assert_eq!(stage.facilitator.asked("settle"), 0);
    stage.assert_nothing_moved();
    let missing = stage.gateway.admin("GET", &format!("/v1/customers/{}/ledger", wallet.address()));
    assert_eq!(missing.status(), 404, "nothing is kept of it");
    stage.facilitator.set(Mood::Good);
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
}

#[test]
fn settlement_that_failed_for_sure_is_told_and_a_new_one_asked_for() {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    stage.facilitator.set(Mood::RefusesToSettle("invalid_exact_evm_insufficient_balance"));
    for _ in 0..2 {
        let response = stage.ask("/weather/x", &[&payment]);
        assert_refused(&stage, &response, "402 payment_failed", true, "failed");
        let told = decoded(response.field("payment-response").unwrap());
        assert_eq!(told["success"], false);
        assert_eq!(told["errorReason"], "invalid_exact_evm_insufficient_balance");
        stage.facilitator.set(Mood::Good);
    }
    assert_eq!(stage.facilitator.asked("settle"), 1, "what failed is not asked for again");
    stage.assert_nothing_moved();
    let other = stage.payment(&wallet, "/weather/x", 2);
    assert_eq!(stage.ask("/weather/x", &[&other]).status(), 200);
    stage.assert_adds_up();
}

/// Where nobody listens nothing is sent, so nothing can have moved.
#[test]
fn facilitator_that_is_not_there_costs_nobody_a_payment() {
    let upstream = Upstream::ok();
    let nowhere = format!("http://{}/x402", Upstream::nowhere());
    let gateway = Gateway::start(&TABLES.replace("@FACILITATOR@", &nowhere), &upstream);
    let offered = offer(&gateway.request("GET", "/maps", &[]));
    let payment = Wallet::new(7).field(&Order::of(&offered, 1));
    for _ in 0..2 {
        let response = gateway.request("GET", "/maps", &[&payment]);
        assert_eq!(response.verdict(), "503 payment_unavailable");
        assert_eq!(response.field("payment-required"), None);
    }
    assert_eq!(upstream.count(), 0);
}
