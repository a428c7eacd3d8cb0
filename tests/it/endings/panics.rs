//! A panic of the gateway's own: one request's alone. Failpoints go by the route's name, so each test
//! has a route of its own.
#![cfg(debug_assertions)]

use faregate::failpoint::{Point, arm};

use super::{COST, tables};
use crate::support::{Exchange, Gateway, KEY, Then, Upstream, upstream::OK};

fn gateway(route: &str, upstream: &Upstream) -> Gateway {
    let name = format!("name = \"{route}\"");
    Gateway::start(&tables("", "", "").replace("name = \"paid\"", &name), upstream)
}

#[test]
fn panic_before_the_head_charges_nothing() {
    let upstream = Upstream::ok();
    let gateway = gateway("panics-before", &upstream);
    arm(Point::BeforeHead, "panics-before");
    let mut client = gateway.client();
    let response = client.get("/paid/x", KEY);
    assert_eq!(response.verdict(), "500 internal_error");
    assert_eq!(response.field("cache-control"), Some("no-store"));
    assert!(!response.text().contains("failpoint"), "{}", response.text());
    client.expect_closed();
    gateway.wait_recorded("acme", &[("faulted", 1, 0)]);
    // The next request is served as ever.
    assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
    gateway.wait_recorded("acme", &[("faulted", 1, 0), ("completed", 1, COST)]);
    gateway.wait_used("acme", COST);
}

#[test]
fn panic_after_the_head_charges_in_full() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        if exchange.request().target() == "/paid/whole" {
            exchange.send(OK)?;
            return Ok(Then::KeepAlive);
        }
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")?;
        Ok(Then::Silence)
    });
    let gateway = gateway("panics-after", &upstream);
    let mut other = gateway.client();
    assert_eq!(other.get("/paid/whole", KEY).status(), 200);
    arm(Point::AfterHead, "panics-after");
    let mut client = gateway.client();
    client.send(crate::support::client::head(
        "GET",
        "/paid/x",
        &[&crate::support::client::bearer(KEY)],
    ));
    client.drain();
    gateway.wait_recorded("acme", &[("faulted", 1, COST), ("completed", 1, COST)]);
    // Connections beside it live on.
    assert_eq!(other.get("/paid/whole", KEY).status(), 200);
    gateway.wait_used("acme", 3 * COST);
}

/// What every refusal has, also this one.
#[test]
fn panic_has_a_request_id() {
    let upstream = Upstream::ok();
    let gateway = gateway("panics-with-id", &upstream);
    arm(Point::BeforeHead, "panics-with-id");
    let response = gateway.get("/paid/x", KEY);
    let id = response.field("x-request-id").expect("the field X-Request-Id");
    assert_eq!(response.json()["request_id"], id);
    assert_eq!(response.json()["error"]["type"], "api_error");
}
