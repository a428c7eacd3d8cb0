//! What is paid for is the body that was refused, as far as that was read.

use super::*;
use crate::support::client::head;

fn post(stage: &Both, fields: &[&str], body: &str) -> Response {
    let length = format!("Content-Length: {}", body.len());
    let fields: Vec<&str> = fields.iter().copied().chain([&*length]).collect();
    let mut client = stage.gateway.client();
    client.send(head("POST", "/weather/x", &fields) + body);
    client.response()
}

/// The digest of `{"q":"hello"}`, as the draft writes it.
const DIGEST: &str = "sha-256=:CFdtBA5fXO1HaQ8sdv75T9kcnF5ed8M5LhPNrKzrx/I=:";
const BODY: &str = "{\"q\":\"hello\"}";

#[test]
fn credential_is_for_the_body_that_was_refused() {
    let stage = Both::new();
    let wallet = Wallet::new(7);
    let refused = post(&stage, &[], BODY);
    assert_eq!(refused.verdict(), "402 payment_required");
    let challenge = asked(&refused);
    assert_eq!(challenge["digest"], DIGEST);
    let payment = field(&credential(&wallet, &challenge));
    for body in ["{\"q\":\"other\"}", "", &"x".repeat(65 * 1024)] {
        let response = post(&stage, &[&payment], body);
        assert_eq!(response.verdict(), "402 payment_invalid", "{} bytes", body.len());
        assert_eq!(response.json()["type"], "https://paymentauth.org/problems/verification-failed");
        // What is asked now is for the body that came.
        assert_ne!(asked(&response)["digest"], DIGEST);
    }
    // Beside a good key that would do, too.
    let response = post(&stage, &[&bearer("acme"), &payment], "other");
    assert_eq!(response.verdict(), "402 payment_invalid");
    assert_eq!(stage.facilitator.asked("verify"), 0);
    stage.assert_nothing_moved();
    let served = post(&stage, &[&payment], BODY);
    assert_eq!(served.status(), 200, "{}", served.text());
    assert_eq!(stage.upstream.last().body, BODY.as_bytes());
    assert_eq!(stage.upstream.last().field("content-length"), Some("13"));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// However it is cut: what was read goes up as it came, with what stands behind it.
#[test]
fn body_in_pieces_goes_up_whole() {
    let stage = Both::new();
    let payment = field(&credential(&Wallet::new(7), &asked(&post(&stage, &[], BODY))));
    let mut client = stage.gateway.client();
    client.send(head("POST", "/weather/x", &[&payment, "Transfer-Encoding: chunked"]));
    client.send("5\r\n{\"q\":\r\n");
    client.send("8\r\n\"hello\"}\r\n0\r\nX-Behind: 1\r\n\r\n");
    let served = client.response();
    assert_eq!(served.status(), 200, "{}", served.text());
    assert!(served.field("payment-receipt").is_some());
    assert_eq!(stage.upstream.last().body, BODY.as_bytes());
    assert_eq!(stage.upstream.last().trailers, [("x-behind".to_owned(), "1".to_owned())]);
    // The connection is as good as before.
    assert_eq!(client.request("GET", "/open", &[]).status(), 200);
}

/// A body of exactly what is read has a digest; a larger one, and one of no stated length, has none and is paid for all the same.
#[test]
fn body_that_is_not_read_has_no_digest() {
    let stage = Both::new();
    let wallet = Wallet::new(7);
    let most = "x".repeat(64 * 1024);
    let challenge = asked(&post(&stage, &[], &most));
    assert!(challenge["digest"].as_str().unwrap().starts_with("sha-256=:"));
    let served = post(&stage, &[&field(&credential(&wallet, &challenge))], &most);
    assert_eq!(served.status(), 200, "{}", served.text());
    assert_eq!(stage.upstream.last().body_bytes, 64 * 1024);
    let larger = format!("{most}x");
    let challenge = asked(&post(&stage, &[], &larger));
    assert_eq!(challenge.get("digest"), None);
    let served = post(&stage, &[&field(&credential(&wallet, &challenge))], &larger);
    assert_eq!(served.status(), 200, "{}", served.text());
    assert_eq!(stage.upstream.last().body_bytes, 64 * 1024 + 1);
    let mut client = stage.gateway.client();
    client
        .send(head("POST", "/weather/x", &["Transfer-Encoding: chunked"]) + "1\r\nx\r\n0\r\n\r\n");
    assert_eq!(asked(&client.response()).get("digest"), None);
    stage.assert_adds_up();
}

/// Who begins a body and does not end it has paid for nothing.
#[test]
fn body_that_stays_away_claims_nothing() {
    let stage = Both::with("\n[server.limits]\nidle_timeout = \"300ms\"\n", Upstream::ok());
    let payment = field(&credential(&Wallet::new(7), &asked(&post(&stage, &[], BODY))));
    let mut client = stage.gateway.client();
    client.send(head("POST", "/weather/x", &[&payment, "Content-Length: 13"]) + "{\"q\"");
    assert_eq!(client.response().verdict(), "408 request_timeout");
    assert_eq!(stage.facilitator.asked("verify"), 0);
    stage.assert_nothing_moved();
    assert_eq!(post(&stage, &[&payment], BODY).status(), 200);
}
