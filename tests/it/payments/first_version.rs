//! Version 1 of x402, where the operator wants it spoken beside version 2.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;

fn stage() -> Stage {
    let (upstream, facilitator) = (Upstream::ok(), Facilitator::start());
    let tables = TABLES.replace("@FACILITATOR@", &facilitator.url());
    let tables = tables.replace("decimals = 6", "decimals = 6\nv1 = true");
    let tables = tables.replace("@UPSTREAM@", &upstream.address().to_string());
    let gateway = Gateway::start(&tables, &upstream);
    Stage { gateway, upstream, facilitator, tables }
}

/// Writes a payment as a client of version 1 does.
fn first(payment: &Value) -> String {
    let payment = json!({"x402Version": 1, "scheme": "exact", "network": "base-sepolia",
        "payload": payment["payload"]});
    format!("X-PAYMENT: {}", STANDARD.encode(payment.to_string()))
}

#[test]
fn client_of_version_1_reads_the_body_and_pays() {
    let stage = stage();
    let refused = stage.ask("/weather/x", &[]);
    assert_eq!((refused.status(), refused.field("content-type")), (402, Some("application/json")));
    let body = refused.json();
    let required = json!({"scheme": "exact", "network": "base-sepolia",
        "maxAmountRequired": "10000", "resource": "https://api.example.com/weather/x",
        "description": "", "mimeType": "", "payTo": "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "maxTimeoutSeconds": 60, "asset": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
        "extra": {"name": "USD Coin", "version": "2"}});
    assert_eq!((&body["x402Version"], &body["accepts"]), (&json!(1), &json!([required])));
    assert_eq!(
        (&body["error"], &body["code"]),
        (&json!("X-PAYMENT header is required"), &json!("payment_required"))
    );

    let wallet = Wallet::new(7);
    let payment = wallet.payment(&Order::of(&offer(&refused), 1));
    let served = stage.ask("/weather/x", &[&first(&payment)]);
    assert_eq!(served.status(), 200, "{}", served.text());
    assert_eq!(served.field("payment-response"), None);
    let receipt = decoded(served.field("x-payment-response").unwrap());
    assert_eq!((&receipt["success"], &receipt["network"]), (&json!(true), &json!("base-sepolia")));
    assert_eq!(receipt["payer"], wallet.address().as_str());
    let order = stage.facilitator.last_order();
    assert_eq!((&order["x402Version"], &order["paymentRequirements"]), (&json!(1), &required));
    assert!(stage.upstream.last().all("x-payment").is_empty());
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());

    // It is one payment, in whichever version it comes again; and version 2 is spoken as before.
    let again = stage.ask("/weather/x", &[&field(&payment)]);
    assert_eq!(again.verdict(), "409 payment_already_used");
    let other = stage.ask("/weather/x", &[&wallet.field(&Order::of(&offer(&refused), 2))]);
    assert_eq!((other.status(), other.field("x-payment-response")), (200, None));
    assert!(other.field("payment-response").is_some());
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (2, 2));
    stage.assert_adds_up();
}

#[test]
fn payments_of_version_1_that_open_nothing() {
    let stage = stage();
    let wallet = Wallet::new(7);
    let offered = offer(&stage.ask("/weather/x", &[]));
    let order = Order::of(&offered, 1);
    let (good, second) = (first(&wallet.payment(&order)), wallet.field(&order));
    let less = first(&wallet.payment(&Order { value: "9999".to_owned(), ..order }));
    for (fields, verdict, reason) in [
        (vec![&*good, &*second], "400 payment_malformed", "invalid_payload"),
        (vec![&*good, &*good], "400 payment_malformed", "invalid_payload"),
        (vec!["X-PAYMENT: e30="], "400 payment_malformed", "invalid_payload"),
        (
            vec![&*less],
            "402 payment_invalid",
            "invalid_exact_evm_payload_authorization_value_mismatch",
        ),
    ] {
        let response = stage.ask("/weather/x", &fields);
        let body = response.json();
        let told = format!("{} {}", response.status(), body["code"].as_str().unwrap());
        assert_eq!((&*told, &body["error"]), (verdict, &json!(reason)));
        assert_eq!(body["accepts"][0]["maxAmountRequired"], "10000");
        assert_eq!(response.field("cache-control"), Some("no-store"));
    }
    // Dear to whoever pays more elsewhere: it is for what stands here.
    assert_eq!(stage.ask("/dear", &[&good]).json()["code"], "payment_invalid");
    assert_eq!(stage.facilitator.asked("verify"), 0);
    stage.facilitator.set(Mood::RefusesToSettle("insufficient_funds"));
    let failed = stage.ask("/weather/x", &[&good]);
    let told = decoded(failed.field("x-payment-response").unwrap());
    assert_eq!(
        (&told["success"], &told["errorReason"]),
        (&json!(false), &json!("insufficient_funds"))
    );
    stage.assert_nothing_moved();
}
