//! Connections on both sides are used again.

use super::{NOW, tables};
use crate::support::{
    Exchange, Gateway, KEY, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
};

#[test]
fn sequential_requests_share_one_upstream_connection() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    for count in 0..100 {
        // Every other one from a client of its own: the upstream's connection belongs to none.
        let response =
            if count % 2 == 0 { client.get("/v1/x", KEY) } else { gateway.get("/v1/x", KEY) };
        assert_eq!(response.status(), 200);
    }
    assert_eq!((upstream.count(), upstream.connections()), (100, 1));
    gateway.wait_recorded("acme", &[("completed", 100, 100)]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(|exchange| {
        let target = exchange.request().target().to_owned();
        exchange.read_body()?;
        let length = target.len();
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}"))?;
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    let paths = ["/v1/a", "/none", "/v1/b", "/v1/c%2fd", "/v1/e"];
    let all: String = paths.iter().map(|path| head("GET", path, &[&bearer(KEY)])).collect();
    client.send(all);
    for (path, verdict) in
        paths.iter().zip(["200", "404 route_not_found", "200", "400 invalid_path", "200"])
    {
        let response = client.response();
        assert_eq!(response.verdict(), verdict, "{path}");
        if verdict == "200" {
            assert_eq!(response.text(), *path);
        }
    }
    gateway.wait_recorded("acme", &[("completed", 3, 3)]);
}

#[test]
fn client_that_asks_for_a_close_gets_it() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    let response = client.request("GET", "/v1/x", &[&bearer(KEY), "Connection: close"]);
    assert_eq!((response.status(), response.field("connection")), (200, Some("close")));
    client.expect_closed();
    assert_eq!(gateway.get("/v1/x", KEY).status(), 200);
    assert_eq!(upstream.connections(), 1, "the upstream's connection is another matter");
}

/// An unused upstream connection is closed after its time, before the upstream would.
#[test]
fn unused_upstream_connection_is_closed() {
    let upstream = Upstream::answering(OK, Then::KeepAlive);
    let lines = "keepalive_timeout = \"100ms\"";
    let gateway = Gateway::start_at(NOW, &tables(lines, ""), &upstream);
    assert_eq!(gateway.get("/v1/x", KEY).status(), 200);
    upstream.wait_closed(1);
    assert_eq!(gateway.get("/v1/x", KEY).status(), 200);
    assert_eq!(upstream.connections(), 2);
}

/// An answer that comes whole before the upload ends what the upstream gets: the request is settled,
/// and the rest of the upload must not flow on for it, however long the client goes on sending.
#[test]
fn upload_stops_with_an_early_answer() {
    // Without a look at the body, which `answering` would read first.
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send(OK)?;
        Ok(Then::Silence)
    });
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    let fields = [bearer(KEY), "Content-Length: 5000000".to_owned()];
    client.send(head("POST", "/v1/x", &[&fields[0], &fields[1]]));
    assert_eq!(client.response().status(), 200);
    // The client keeps its connection and owes the body; the upstream's is closed all the same.
    upstream.wait_closed(1);
    gateway.wait_used("acme", 1);
}
