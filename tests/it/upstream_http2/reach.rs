//! Connections that cannot be opened while others are open, and those whose other side is gone.

use super::{COST, Server, start};
use crate::support::{
    Client, KEY,
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
