//! Connections of one address.

use super::metric;
use crate::support::{
    Client, Gateway, KEY, SMALL, Upstream,
    client::{bearer, head},
    wait_until_equal,
};

const LIMITED: &str = "[server.limits]\nconnections_per_address = 2\n";

fn connect(gateway: &Gateway, host: u8) -> Client {
    Client::connect_from([127, 0, 0, host], gateway.running().address())
}

fn refused(gateway: &Gateway) -> f64 {
    metric(gateway, "faregate_connections_refused_total")
}

/// Asserts that a connection is closed without an answer, whatever is sent on it.
fn assert_closed(mut client: Client) {
    let _ = client.try_send(head("GET", "/x", &[&bearer(KEY)]));
    client.expect_closed();
}

/// Opens connections until one is served: one that has just ended is counted for a moment longer.
fn connect_again(gateway: &Gateway, host: u8) -> Client {
    crate::support::wait_for("a connection that is served", || {
        let mut client = connect(gateway, host);
        client.try_send(head("GET", "/x", &[&bearer(KEY)])).ok()?;
        client.some(65_536).starts_with(b"HTTP/1.1 200").then_some(client)
    })
}

#[test]
fn address_with_too_many_connections_is_closed_at_once() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&format!("{LIMITED}{SMALL}"), &upstream);
    let mut first = connect(&gateway, 2);
    let mut second = connect(&gateway, 2);
    assert_eq!(first.get("/x", KEY).status(), 200);
    assert_eq!(second.get("/x", KEY).status(), 200);
    assert_closed(connect(&gateway, 2));
    assert_closed(connect(&gateway, 2));
    assert_eq!(refused(&gateway), 2.0);
    assert_eq!(connect(&gateway, 3).get("/x", KEY).status(), 200, "another address");
    // Those that are open go on.
    assert_eq!(first.get("/x", KEY).status(), 200);
    assert_eq!(upstream.count(), 4);
    gateway.wait_recorded("acme", &[("completed", 4, 4)]);
    drop(first);
    let mut third = connect_again(&gateway, 2);
    assert_eq!(third.get("/x", KEY).status(), 200);
    assert_closed(connect(&gateway, 2));
}

/// A limit that is set under an attack counts what is open by then.
#[test]
fn reload_counts_connections_that_are_open() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let mut open: Vec<_> = (0..4).map(|_| connect(&gateway, 2)).collect();
    for client in &mut open {
        assert_eq!(client.get("/x", KEY).status(), 200);
    }
    let tables = SMALL.replace("@UPSTREAM@", &upstream.address().to_string());
    gateway.write(&format!("{LIMITED}{tables}"));
    gateway.running().reload().unwrap();
    assert_closed(connect(&gateway, 2));
    open.truncate(2);
    wait_until_equal(|| metric(&gateway, "faregate_connections{state=\"idle\"}"), &2.0);
    assert_closed(connect(&gateway, 2));
    open.clear();
    connect_again(&gateway, 2);
}

/// The connections of a proxy are those of many clients.
#[test]
fn trusted_proxies_have_as_many_as_they_need() {
    let upstream = Upstream::ok();
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n\
                  trusted_proxies = [\"127.0.0.9\"]\n";
    let gateway = Gateway::start(&format!("{server}{LIMITED}{SMALL}"), &upstream);
    let mut open: Vec<_> = (0..5).map(|_| connect(&gateway, 9)).collect();
    for client in &mut open {
        assert_eq!(client.get("/x", KEY).status(), 200);
    }
    let _open: Vec<_> = (0..2).map(|_| connect(&gateway, 8)).collect();
    assert_closed(connect(&gateway, 8));
}

/// With the PROXY protocol it is the address that the proxy tells.
#[test]
fn client_that_a_proxy_announces_is_counted() {
    let upstream = Upstream::ok();
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n\
                  trusted_proxies = [\"127.0.0.9\"]\nproxy_protocol = true\n";
    let gateway = Gateway::start(&format!("{server}{LIMITED}{SMALL}"), &upstream);
    let announce = |client: &str| {
        let mut connection = connect(&gateway, 9);
        connection.send(format!("PROXY TCP4 {client} 192.0.2.1 4000 80\r\n"));
        connection
    };
    let mut open = [announce("198.51.100.7"), announce("198.51.100.7")];
    for client in &mut open {
        assert_eq!(client.get("/x", KEY).status(), 200);
    }
    assert_closed(announce("198.51.100.7"));
    assert_eq!(announce("198.51.100.8").get("/x", KEY).status(), 200);
    assert_eq!(refused(&gateway), 1.0);
    // What the proxy asks for itself is nobody's.
    for _ in 0..3 {
        let mut own = connect(&gateway, 9);
        own.send("PROXY UNKNOWN\r\n");
        assert_eq!(own.get("/x", KEY).status(), 200);
    }
    assert_eq!(upstream.count(), 6);
}
