//! Connections that cannot be opened while others are open, and those whose other side is gone.

use std::time::Duration;

use tokio::time::Instant;

use super::{COST, Server, start};
use crate::support::{
    Client, Gateway, KEY,
    client::{bearer, head},
};

/// Sends a request that takes a while.
fn begin(client: &mut Client) {
    client.send(head("GET", "/paid/wait", &[&bearer(KEY)]));
}

/// That no connection can be opened concerns only those who need one.
#[test]
fn who_can_share_a_connection_is_served_where_none_can_be_opened() {
    for lines in ["", "connections = 10"] {
        // One request fills a connection.
        let server = Server::start_with(1);
        let gateway = start(&server, lines);
        assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
        server.listen_no_more();
        let (mut one, mut served) = (gateway.client(), 1);
        for _ in 0..3 {
            begin(&mut one);
            for _ in 0..4 {
                assert_eq!(gateway.get("/paid/x", KEY).verdict(), "502 upstream_error");
            }
            assert_eq!(one.response().status(), 200);
            for _ in 0..5 {
                assert_eq!(gateway.get("/paid/x", KEY).status(), 200, "{lines}");
            }
            served += 6;
        }
        assert_eq!(server.connections(), 1);
        gateway.wait_recorded("acme", &[("completed", served, served * COST), ("unsent", 12, 0)]);
    }
}

/// A connection whose other side is gone without closing it: what is under way ends by its phase, nothing is sent
/// there any more as soon as it is doubted, and a new one takes what comes. Beside it, who is only slow to answer
/// is waited for.
#[test]
fn connection_whose_other_side_is_gone_is_given_up() {
    let (server, slow) = (Server::start(), Server::start());
    let (gateway, before_slow) = (start(&server, "keepalive_timeout = \"60s\""), start(&slow, ""));
    let began = Instant::now();
    let begin = |gateway: &Gateway, path: &str| {
        let mut client = gateway.client();
        client.send(head("GET", path, &[&bearer(KEY)]));
        client
    };
    let mut late = begin(&before_slow, "/paid/late");
    let mut half = begin(&gateway, "/paid/half");
    let begun = half.head();
    assert_eq!(begun.status, 200);
    let (mut silent, mut frozen) =
        (begin(&gateway, "/paid/silent"), begin(&gateway, "/paid/freeze"));
    std::thread::sleep(Duration::from_secs(12));
    // It is asked by now.
    assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
    assert_eq!(server.connections(), 2);
    late.send("");
    assert_eq!(late.response().text(), "ok\n");
    std::thread::sleep(Duration::from_secs(24).saturating_sub(began.elapsed()));
    for client in [&mut half, &mut silent, &mut frozen] {
        // Its time to be answered begins anew.
        client.send("");
    }
    assert_eq!(silent.response().verdict(), "502 upstream_error");
    assert_eq!(frozen.response().verdict(), "502 upstream_error");
    let took = began.elapsed();
    assert!((29..35).contains(&took.as_secs()), "{took:?}");
    assert!(!half.body_of(begun).whole);
    gateway
        .wait_recorded("acme", &[("completed", 1, COST), ("failed", 2, 0), ("truncated", 1, COST)]);
    gateway.wait_used("acme", 2 * COST);
    assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
    assert_eq!(server.connections(), 2);
    assert_eq!(slow.connections(), 1);
    before_slow.wait_recorded("acme", &[("completed", 1, COST)]);
}
