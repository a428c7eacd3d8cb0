//! Answers that outlive their caller's right: looked at each second, and cut.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{COST, assert_explained, tables};
use crate::{
    access_log,
    support::{
        Client, Exchange, Gateway, KEY, Then, Upstream,
        client::{bearer, head},
        wait_for,
    },
};

const NOW: &str = "2026-11-20T12:00:00Z";

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                      Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";

/// Starts a gateway before an upstream that sends an event and then nothing, or one now and then.
fn gateway(pause: Option<Duration>) -> (Gateway, Upstream) {
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.send(EVENTS)?;
        let Some(pause) = pause else { return Ok(Then::Silence) };
        loop {
            std::thread::sleep(pause);
            exchange.send("4\r\nmore\r\n")?;
        }
    });
    (Gateway::start_at(NOW, &text(), &upstream), upstream)
}

fn text() -> String {
    tables("", "", "request_timeout = \"none\"")
        .replace("plan = \"starter\"", "plan = \"starter\"\ncancel_at = \"2026-12-01T00:00:00Z\"")
}

fn open(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(head("GET", "/paid/events", &[&bearer(KEY)]));
    let answer = client.head();
    assert_eq!(answer.status, 200);
    assert_eq!(client.chunk().unwrap(), b"first");
    client
}

/// Asserts that the answer is broken off soon, without its last chunk.
fn assert_cut(client: &mut Client) {
    let begun = Instant::now();
    while let Some(chunk) = client.chunk() {
        assert_eq!(chunk, b"more", "no last chunk");
    }
    client.expect_closed();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// Gives the code in the line of the only request, which was charged, as is explained.
fn code(gateway: &Gateway) -> Value {
    assert_explained(gateway, "expired", COST);
    let lines = wait_for("the line", || Some(access_log::lines(gateway, 1)));
    assert_eq!(lines[0]["charged"], json!(COST));
    lines[0]["code"].clone()
}

fn reload(gateway: &Gateway, upstream: &Upstream, from: &str, to: &str) {
    let text = text().replace(from, to);
    gateway.write(&text.replace("@UPSTREAM@", &upstream.address().to_string()));
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
}

#[test]
fn answer_that_outlives_its_key_is_cut() {
    for pause in [None, Some(Duration::from_millis(50))] {
        let (gateway, upstream) = gateway(pause);
        let mut client = open(&gateway);
        let key = "digest = \"key:key-of-acme\"";
        reload(&gateway, &upstream, key, &format!("{key}, status = \"revoked\""));
        assert_cut(&mut client);
        upstream.wait_closed(1);
        gateway.wait_recorded("acme", &[("expired", 1, COST)]);
        assert_eq!(code(&gateway), "api_key_revoked");
    }
}

#[test]
fn answer_to_a_suspended_customer_is_cut() {
    let (gateway, upstream) = gateway(None);
    let mut client = open(&gateway);
    reload(&gateway, &upstream, "plan = \"starter\"", "plan = \"starter\"\nsuspended = true");
    assert_cut(&mut client);
    upstream.wait_closed(1);
    gateway.wait_recorded("acme", &[("expired", 1, COST)]);
    assert_eq!(code(&gateway), "account_suspended");
}

/// Also when it ends after some looks that found nothing.
#[test]
fn answer_that_outlives_its_subscription_is_cut() {
    let (mut gateway, upstream) = gateway(None);
    let mut client = open(&gateway);
    client.expect_silence(Duration::from_millis(2500));
    gateway.set_time("2026-12-01T00:00:00Z");
    assert_cut(&mut client);
    upstream.wait_closed(1);
    gateway.wait_recorded("acme", &[("expired", 1, COST)]);
    assert_eq!(code(&gateway), "subscription_ended");
}

/// A client that takes nothing is looked at as well.
#[test]
fn answer_that_nobody_takes_is_cut() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")?;
        loop {
            exchange.send(vec![b'x'; 1 << 20])?;
        }
    });
    let mut gateway = Gateway::start_at(NOW, &text(), &upstream);
    let mut client = Client::connect_with_small_window(gateway.running().address());
    client.send(head("GET", "/paid/large", &[&bearer(KEY)]));
    wait_for("a client that is held up", || client.has_answer().then_some(()));
    gateway.set_time("2026-12-01T00:00:00Z");
    upstream.wait_closed(1);
    gateway.wait_recorded("acme", &[("expired", 1, COST)]);
    let response = client.response();
    assert_eq!((response.status(), response.whole), (200, false));
}

/// Where refusals are not enforced nobody is cut off, and nobody on a public route.
#[test]
fn answer_goes_on_where_nothing_is_enforced() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send(EVENTS)?;
        std::thread::sleep(Duration::from_millis(2500));
        exchange.send("0\r\n\r\n")?;
        Ok(Then::KeepAlive)
    });
    for (from, to, path) in [
        ("cost = 3", "cost = 3\nenforce = false", "/paid/x"),
        ("[plans.starter]", "[plans.starter]\nenforce = false", "/paid/x"),
        ("", "", "/free/x"),
    ] {
        let mut gateway = Gateway::start_at(NOW, &text().replace(from, to), &upstream);
        let mut client = gateway.client();
        client.send(head("GET", path, &[&bearer(KEY)]));
        let answer = client.head();
        gateway.set_time("2026-12-01T00:00:00Z");
        let response = client.body_of(answer);
        assert!(response.whole, "{path} {to}");
    }
}
