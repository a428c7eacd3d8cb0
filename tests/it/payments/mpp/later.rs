//! The scheme `Payment` where it is settled behind the head of an answer, and where answers are kept.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::support::upstream::OK;

#[test]
fn credential_is_settled_behind_the_head_and_fetches_its_answer_again() {
    let secret = secret();
    let tables = tables(&secret)
        .replace("answers = \"0s\"", "answers = \"1m\"")
        .replace("\n[upstreams.api]", "settle = \"after-headers\"\n\n[upstreams.api]");
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |exchange| {
        exchange.read_body()?;
        exchange.send(match count.fetch_add(1, Ordering::SeqCst) {
            0 => "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n",
            _ => OK,
        })?;
        Ok(Then::KeepAlive)
    });
    let stage = Stage::with(&tables, upstream);
    let wallet = Wallet::new(7);
    let challenge = asked(&stage.ask("/weather/x", &[]));
    let payment = field(&credential(&wallet, &challenge));
    let failed = stage.ask("/weather/x", &[&payment]);
    assert_eq!((failed.status(), failed.field("payment-receipt")), (503, None));
    assert_eq!((stage.facilitator.asked("settle"), stage.facilitator.transfers()), (0, 0));
    let served = wait_for("the payment to be let go", || {
        let response = stage.ask("/weather/x", &[&payment]);
        (response.verdict() != "409 payment_pending").then_some(response)
    });
    assert_eq!((served.status(), served.text()), (200, "ok\n"));
    let receipt = decoded(served.field("payment-receipt").unwrap());
    assert_eq!(receipt["challengeId"], challenge["id"]);
    let again = stage.ask("/weather/x", &[&payment]);
    assert_eq!((again.status(), again.text()), (200, "ok\n"));
    assert_eq!(again.field("payment-receipt"), served.field("payment-receipt"));
    assert_eq!(
        (again.field("faregate-price"), again.field("cache-control")),
        (None, Some("private"))
    );
    assert_eq!(stage.ask("/weather/x?other", &[&payment]).verdict(), "403 payment_already_used");
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (2, 1));
    assert_eq!((stage.facilitator.asked("verify"), stage.facilitator.asked("settle")), (2, 1));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// Whoever signs anew by either rail gets the answer that was paid for under one Idempotency-Key.
#[test]
fn idempotency_key_is_good_over_both_rails() {
    let secret = secret();
    let tables = tables(&secret).replace("answers = \"0s\"", "answers = \"1m\"");
    let stage = Stage::with(&tables, Upstream::ok());
    let wallet = Wallet::new(7);
    let key = "Idempotency-Key: \"a\"";
    let ask = |fields: &[&str]| stage.gateway.request("DELETE", "/weather/x", fields);
    let first = field(&credential(&wallet, &asked(&ask(&[key]))));
    assert_eq!(ask(&[key, &first]).text(), "ok\n");
    let second = field(&credential(&wallet, &asked(&ask(&[key]))));
    assert_ne!(first, second);
    assert_eq!(ask(&[key, &second]).text(), "ok\n");
    let third = wallet.field(&Order::of(&offer(&ask(&[key])), 9));
    assert_eq!(ask(&[key, &third]).text(), "ok\n");
    assert_eq!(ask(&[key, &second, "X-A: 1"]).verdict(), "422 idempotency_key_reused");
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    stage.assert_adds_up();
}
