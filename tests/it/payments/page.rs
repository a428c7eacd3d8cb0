//! The page that a browser is shown where a call is to be paid for.

use super::*;

const BROWSER: &str =
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

#[test]
fn browser_is_shown_a_page_and_a_program_a_document() {
    let stage = Stage::new();
    let shown = stage.ask("/weather/x", &[BROWSER]);
    let told = stage.ask("/weather/x", &["Accept: */*"]);
    assert_eq!((shown.status(), told.verdict()), (402, "402 payment_required".to_owned()));
    assert_eq!(shown.field("content-type"), Some("text/html; charset=utf-8"));
    // What a program is told beside the body is there as well.
    for name in ["payment-required", "www-authenticate", "cache-control", "link"] {
        assert_eq!(shown.field(name), told.field(name), "{name}");
    }
    let policy = shown.field("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert_eq!(shown.field("x-content-type-options"), Some("nosniff"));
    let text = shown.text();
    for part in [
        "<title>Payment required</title>",
        "0.01 USD",
        "eip155:84532",
        "10000",
        "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "Authorization: Bearer",
        "href=\"https://example.com/billing\"",
        "href=\"https://api.example.com/_faregate/plans\"",
        "href=\"https://api.example.com/_faregate/problems/payment_required\"",
        shown.field("x-request-id").unwrap(),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("WWW-Authenticate"), "the scheme is not spoken here: {text}");
    assert!(!text.contains("<script") && !text.contains("src="), "{text}");
    // Where money does not help, and where all is well, nothing changes.
    for (path, verdict) in [("/bare", "401 missing_api_key"), ("/none", "404 route_not_found")] {
        assert_eq!(stage.ask(path, &[BROWSER]).verdict(), verdict);
    }
    assert_eq!(stage.ask("/open", &[BROWSER]).text(), "ok\n");
    stage.upstream.forget();
    stage.assert_nothing_moved();
}

/// A quota that is used up is one that money helps with, too; and what a payer must know of a payment that failed is
/// there.
#[test]
fn page_has_what_happened() {
    let stage = Stage::new();
    let key = bearer("acme");
    assert_eq!(stage.ask("/weather/x", &[&key]).status(), 200);
    let spent = stage.ask("/weather/x", &[&key, BROWSER]);
    assert!(spent.text().contains("<code>quota_exceeded</code>"), "{}", spent.text());
    let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
    stage.facilitator.set(Mood::RefusesToSettle("insufficient_funds"));
    let failed = stage.ask("/weather/x", &[&payment, BROWSER]);
    assert_eq!(failed.status(), 402);
    assert_eq!(decoded(failed.field("payment-response").unwrap())["success"], false);
    assert!(failed.text().contains("<code>payment_failed</code>"), "{}", failed.text());
}

/// What a caller writes is shown as text.
#[test]
fn host_of_the_request_is_escaped() {
    let upstream = Upstream::ok();
    let tables = TABLES.replace("public_url = \"https://api.example.com\"\n", "");
    let gateway = Gateway::start(&tables.replace("@FACILITATOR@", "http://127.0.0.1:9"), &upstream);
    for host in ["a'onx='b", "a&b", "\"a", "<b>"] {
        let head = format!("GET /maps HTTP/1.1\r\nHost: {host}\r\n{BROWSER}\r\n\r\n");
        let mut client = gateway.client();
        client.send(head);
        let response = client.response();
        let text = response.text();
        assert!(!text.contains(&format!("//{host}")), "{text}");
    }
}
