//! Upstreams that speak HTTP/2: what they are told, what comes back, and what is charged when it goes wrong.

mod grpc;
mod health;
mod reach;
mod server;

use std::time::Duration;

use h2::Reason;

use self::server::{Seen, Server};
use crate::support::{
    Client, Gateway, KEY, Upstream,
    certificates::Authority,
    client::{bearer, head},
    wait_for, wait_until_equal,
};

/// One call's cost.
const COST: u64 = 3;

/// Starts a gateway before a server, with further lines for the upstream.
fn start(server: &Server, lines: &str) -> Gateway {
    Gateway::start_with(&tables(server.address, lines), None)
}

fn tables(address: std::net::SocketAddr, lines: &str) -> String {
    format!(
        "[upstreams.api]\nurl = \"http://{address}\"\nhttp_version = \"2\"\n{lines}\n\
         [[routes]]\nname = \"paid\"\npath = \"/paid/{{*rest}}\"\nupstream = \"api\"\ncost = {COST}\n\
         [plans.starter]\nquotas = [{{ limit = 10000, window = \"month\" }}]\n\
         [customers.acme]\nplan = \"starter\"\nkeys = [{{ id = \"acme-1\", digest = \"key:{KEY}\" }}]\n"
    )
}

fn post(path: &str, fields: &[&str], body: &str) -> String {
    let (bearer, length) = (bearer(KEY), format!("Content-Length: {}", body.len()));
    let all: Vec<&str> = [&*bearer, &length].into_iter().chain(fields.iter().copied()).collect();
    head("POST", path, &all) + body
}

fn only(server: &Server) -> Seen {
    let mut seen = server.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.remove(0)
}

#[test]
fn request_and_answer_pass() {
    let server = Server::start();
    let gateway = start(&server, "");
    let mut client = gateway.client();
    client.send(post(
        "/paid/echo?a=b",
        &["X-Mine: 1", "x-mine: 2", "Connection: x-hop", "X-Hop: 1"],
        "text",
    ));
    let response = client.response();
    assert_eq!((response.status(), response.text(), response.whole), (200, "text", true));
    assert_eq!(response.field("x-own"), Some("1"));
    assert_eq!(response.field("faregate-cost"), Some("3"));
    let seen = only(&server);
    assert_eq!((&*seen.method, &*seen.body), ("POST", &b"text"[..]));
    assert_eq!(seen.uri, format!("http://{}/paid/echo?a=b", server.address));
    let mine: Vec<_> = seen.fields.get_all("x-mine").iter().collect();
    assert_eq!(mine, ["1", "2"]);
    assert_eq!(seen.fields["faregate-customer"], "acme");
    assert_eq!(seen.fields["content-length"], "4");
    for name in ["host", "connection", "x-hop", "authorization", "transfer-encoding"] {
        assert!(!seen.fields.contains_key(name), "{name}: {seen:?}");
    }
    gateway.wait_recorded("acme", &[("completed", 1, COST)]);
}

#[test]
fn requests_share_a_connection() {
    let server = Server::start();
    let gateway = start(&server, "");
    let clients: Vec<Client> = (0..30)
        .map(|_| {
            let mut client = gateway.client();
            client.send(head("GET", "/paid/wait", &[&bearer(KEY)]));
            client
        })
        .collect();
    for mut client in clients {
        assert_eq!(client.response().text(), "ok\n");
    }
    // There is one worker.
    assert_eq!(server.connections(), 1);
    gateway.wait_recorded("acme", &[("completed", 30, 30 * COST)]);
}

#[test]
fn where_a_connection_is_full_another_is_opened() {
    let server = Server::start_with(1);
    let gateway = start(&server, "");
    // Its limit is known when its settings have come.
    assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
    let mut clients: Vec<Client> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(head("GET", "/paid/wait", &[&bearer(KEY)]));
    }
    for mut client in clients {
        assert_eq!(client.response().text(), "ok\n");
    }
    assert!((2..=3).contains(&server.connections()), "{}", server.connections());
    gateway.wait_recorded("acme", &[("completed", 4, 4 * COST)]);
}

#[test]
fn limit_is_to_the_requests() {
    let server = Server::start();
    let gateway = start(&server, "connections = 2\nqueue = { length = 1, timeout = \"5s\" }");
    let mut clients: Vec<Client> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(head("GET", "/paid/wait", &[&bearer(KEY)]));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(gateway.get("/paid/x", KEY).verdict(), "503 overloaded");
    for mut client in clients {
        assert_eq!(client.response().text(), "ok\n");
    }
    assert_eq!(server.connections(), 1);
    gateway.wait_recorded("acme", &[("completed", 3, 3 * COST), ("unsent", 1, 0)]);
}

#[test]
fn what_follows_bodies_passes_both_ways() {
    let server = Server::start();
    let gateway = start(&server, "");
    let mut client = gateway.client();
    let fields = [&*bearer(KEY), "TE: trailers", "Transfer-Encoding: chunked", "Trailer: X-Sum"];
    client.send(head("POST", "/paid/trailers", &fields) + "4\r\ntext\r\n0\r\nX-Sum: 5\r\n\r\n");
    let response = client.response();
    assert_eq!(response.text(), "ok\n");
    assert_eq!(response.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    let seen = only(&server);
    assert_eq!(seen.body, b"text");
    assert_eq!(seen.trailers["x-sum"], "5");
    assert_eq!(seen.fields["te"], "trailers");
    gateway.wait_recorded("acme", &[("completed", 1, COST)]);
}

#[test]
fn large_bodies_pass_both_ways() {
    let server = Server::start();
    let gateway = start(&server, "");
    for path in ["/paid/echo", "/paid/slow"] {
        let body: String = (0..400_000).map(|number| format!("{number:08}")).collect();
        let mut client = gateway.client();
        client.send(post(path, &[], &body));
        let response = client.response();
        assert!(response.whole && response.text() == body, "{path}");
    }
    gateway.wait_recorded("acme", &[("completed", 2, 2 * COST)]);
}

#[test]
fn answers_without_a_body_have_none() {
    let server = Server::start();
    let gateway = start(&server, "");
    let mut client = gateway.client();
    for status in [204, 304] {
        let response = client.get(&format!("/paid/status/{status}"), KEY);
        assert_eq!((response.status(), response.text()), (status, ""));
    }
    let response = client.request("HEAD", "/paid/x", &[&bearer(KEY)]);
    assert_eq!(response.status(), 200);
    assert_eq!(client.get("/paid/x", KEY).status(), 200, "the connection goes on");
    gateway.wait_recorded("acme", &[("completed", 4, 4 * COST)]);
}

#[test]
fn answers_ahead_of_the_last_one_pass() {
    let server = Server::start();
    let gateway = start(&server, "");
    let mut client = gateway.client();
    client.send(head("GET", "/paid/hints", &[&bearer(KEY)]));
    let hints = client.head();
    assert_eq!((hints.status, hints.field("link")), (103, Some("</a.css>")));
    assert_eq!(client.response().text(), "ok\n");
    gateway.wait_recorded("acme", &[("completed", 1, COST)]);
}

#[test]
fn what_was_refused_unseen_is_sent_once_more() {
    let server = Server::start();
    let gateway = start(&server, "");
    assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
    assert_eq!(gateway.get("/paid/refuse-once", KEY).status(), 200);
    assert_eq!(gateway.get("/paid/refuse", KEY).verdict(), "502 upstream_error");
    gateway.wait_recorded("acme", &[("completed", 2, 2 * COST), ("failed", 1, 0)]);
    assert_eq!(server.connections(), 1);
}

#[test]
fn resets_before_the_head_cost_nothing() {
    let server = Server::start();
    let gateway = start(&server, "");
    assert_eq!(gateway.get("/paid/reset", KEY).verdict(), "502 upstream_error");
    assert_eq!(gateway.get("/paid/status/402", KEY).verdict(), "502 upstream_payment_required");
    assert_eq!(gateway.get("/paid/status/500", KEY).status(), 500);
    gateway.wait_recorded("acme", &[("failed", 1, 0), ("uncharged", 2, 0)]);
    // The others on the connection are not concerned.
    assert_eq!(server.connections(), 1);
}

#[test]
fn answers_that_are_cut_are_truncated() {
    for path in ["/paid/cut", "/paid/short"] {
        let server = Server::start();
        let gateway = start(&server, "");
        let mut client = gateway.client();
        client.send(head("GET", path, &[&bearer(KEY)]));
        let response = client.response();
        assert_eq!((response.status(), response.whole), (200, false), "{path}");
        client.expect_closed();
        gateway.wait_recorded("acme", &[("truncated", 1, COST)]);
        assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
        assert_eq!(server.connections(), 1, "{path}");
    }
}

#[test]
fn upstream_learns_that_nobody_waits() {
    let server = Server::start();
    let gateway = start(&server, "");
    let mut client = gateway.client();
    client.send(head("GET", "/paid/silent", &[&bearer(KEY)]));
    std::thread::sleep(Duration::from_millis(100));
    drop(client);
    let reset = || server.seen().first().map(|seen| seen.reset);
    wait_until_equal(reset, &Some(Some(Reason::CANCEL)));
    gateway.wait_recorded("acme", &[("abandoned", 1, COST)]);
    let mut client = gateway.client();
    client.send(head("GET", "/paid/half", &[&bearer(KEY)]));
    client.head();
    drop(client);
    let reset = || server.seen().iter().find(|seen| seen.uri == "half").map(|seen| seen.reset);
    wait_until_equal(reset, &Some(Some(Reason::CANCEL)));
    gateway.wait_recorded("acme", &[("abandoned", 1, COST), ("aborted", 1, COST)]);
    assert_eq!(server.connections(), 1);
}

#[test]
fn answer_before_the_upload_is_whole_is_completed() {
    let server = Server::start();
    let gateway = start(&server, "");
    let mut client = gateway.client();
    let length = "Content-Length: 100000";
    client.send(head("POST", "/paid/early", &[&bearer(KEY), length]) + "half");
    let response = client.response();
    assert_eq!((response.text(), response.whole), ("ok\n", true));
    gateway.wait_recorded("acme", &[("completed", 1, COST)]);
    assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
    assert_eq!(server.connections(), 1);
}

#[test]
fn upload_that_breaks_is_taken_back() {
    let server = Server::start();
    let gateway = start(&server, "");
    let mut client = gateway.client();
    client.send(head("POST", "/paid/x", &[&bearer(KEY), "Content-Length: 100"]) + "half");
    wait_for("the connection", || (server.connections() == 1).then_some(()));
    std::thread::sleep(Duration::from_millis(100));
    drop(client);
    wait_until_equal(|| server.seen().len(), &1);
    assert_eq!(only(&server).body, b"half");
    gateway.wait_recorded("acme", &[("abandoned", 1, COST)]);
}

#[test]
fn connection_that_goes_away_is_replaced() {
    let server = Server::start();
    let gateway = start(&server, "");
    for _ in 0..3 {
        // What it takes still is answered.
        assert_eq!(gateway.get("/paid/goaway", KEY).status(), 200);
        assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
    }
    gateway.wait_recorded("acme", &[("completed", 6, 6 * COST)]);
    assert!(server.connections() >= 3, "{}", server.connections());
}

#[test]
fn who_speaks_another_version_is_no_such_upstream() {
    let upstream =
        Upstream::answering(crate::support::upstream::OK, crate::support::Then::KeepAlive);
    let gateway = Gateway::start_with(&tables(upstream.address(), ""), None);
    assert_eq!(gateway.get("/paid/x", KEY).verdict(), "502 upstream_error");
    gateway.wait_recorded("acme", &[("failed", 1, 0)]);
}

/// Starts a gateway before a server within TLS that offers these protocols.
fn start_secured(protocols: &[&[u8]]) -> (Gateway, Server) {
    start_secured_with(protocols, "")
}

/// And with further lines for the upstream.
fn start_secured_with(protocols: &[&[u8]], lines: &str) -> (Gateway, Server) {
    let ours = Authority::new("ours");
    let server = Server::start_secured(ours.leaf(&["127.0.0.1"]).server(), protocols);
    let tables = tables(server.address, &format!("tls = {{ ca = \"ca.crt\" }}\n{lines}"));
    let tables = tables.replace("http://", "https://");
    let gateway = Gateway::start_with_files(
        "2026-11-20T12:00:00Z",
        &tables,
        &Upstream::ok(),
        &[("ca.crt", &ours.pem())],
    );
    (gateway, server)
}

#[test]
fn it_is_spoken_within_tls_too() {
    let (gateway, server) = start_secured(&[b"http/1.1", b"h2"]);
    for _ in 0..3 {
        assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
    }
    assert_eq!(server.seen()[0].uri, format!("https://{}/paid/x", server.address));
    assert_eq!(server.connections(), 1);
    gateway.wait_recorded("acme", &[("completed", 3, 3 * COST)]);
}

#[test]
fn who_does_not_offer_it_is_sent_nothing() {
    let (gateway, server) = start_secured(&[]);
    assert_eq!(gateway.get("/paid/x", KEY).verdict(), "502 upstream_error");
    gateway.wait_recorded("acme", &[("unsent", 1, 0)]);
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn no_websocket_is_opened_there() {
    let server = Server::start();
    let gateway = start(&server, "");
    let fields = [
        &*bearer(KEY),
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let response = gateway.request("GET", "/paid/x", &fields);
    assert_eq!(response.verdict(), "400 invalid_request");
    assert_eq!(server.connections(), 0);
    gateway.wait_used("acme", 0);
}
