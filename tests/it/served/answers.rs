//! Answers as the caller sees them.

use super::{NOW, tables};
use crate::support::{
    Gateway, KEY, Then, Upstream,
    client::{bearer, head},
};

#[test]
fn served_answer_tells_cost_and_what_is_left() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables("", "cost = 2"), &upstream);
    let response = gateway.get("/v1/x", "wide");
    assert_eq!(response.field("faregate-cost"), Some("2"));
    let policy = "\"monthly\";q=1000;w=2592000, \"ever\";q=10, \"rate\";q=50;w=1, \
                  \"concurrency\";q=20;qu=\"concurrent-requests\"";
    assert_eq!(response.field("ratelimit-policy"), Some(policy));
    let left = "\"monthly\";r=998;t=907200, \"ever\";r=8, \"rate\";r=50;t=1, \"concurrency\";r=19";
    assert_eq!(response.field("ratelimit"), Some(left));
    let id = response.field("x-request-id").unwrap();
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'7'), "a UUID of version 7: {id}");
    assert_eq!(response.field("retry-after"), None);
    assert_ne!(gateway.get("/v1/x", "wide").field("x-request-id"), Some(id));
}

#[test]
fn end_of_a_subscription_is_announced() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    for (key, ends, grace) in [
        (KEY, None, None),
        ("leaving", Some("2026-12-24T00:00:00Z"), None),
        ("late", None, Some("2026-11-22T00:00:00Z")),
        ("trying", None, None),
    ] {
        let response = gateway.get("/v1/x", key);
        assert_eq!(response.status(), 200, "{key}");
        assert_eq!(response.field("faregate-subscription-ends"), ends, "{key}");
        assert_eq!(response.field("faregate-grace-ends"), grace, "{key}");
    }
}

/// What only the gateway may say is taken off the upstream's answer, on every kind of route.
#[test]
fn upstream_cannot_speak_for_the_gateway() {
    let forged = [
        "RateLimit: \"monthly\";r=1",
        "RateLimit-Policy: \"monthly\";q=1",
        "X-Request-Id: forged",
        "Faregate-Cost: forged",
        "Faregate-Customer: forged",
        "Faregate_Cost: forged",
        "Faregate-Grace-Ends: forged",
        "Keep-Alive: timeout=forged",
        "Proxy-Authenticate: forged",
        "Proxy-Connection: forged",
        "Connection: X-Hop, keep-alive",
        "X-Hop: forged",
        "Upgrade: forged",
    ];
    let answer = format!(
        "HTTP/1.1 200 OK\r\nX-Own: 1\r\nX-Own: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\
         Retry-After: 7\r\nContent-Length: 3\r\n{}\r\n\r\nok\n",
        forged.join("\r\n")
    );
    let upstream = Upstream::answering(answer, Then::KeepAlive);
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    for path in ["/v1/x", "/free/x"] {
        let response = gateway.get(path, KEY);
        let text = format!("{:?}", response.head);
        assert!(!text.contains("forged"), "{path}: {text}");
        assert_eq!(response.head.all("x-own"), ["1", "2"]);
        assert_eq!(response.head.all("set-cookie"), ["a=b", "c=d"]);
        assert_eq!(response.field("retry-after"), Some("7"));
        let cost = (path == "/v1/x").then_some("1");
        assert_eq!(response.field("faregate-cost"), cost);
    }
}

#[test]
fn empty_answers_stay_empty() {
    for (method, answer, length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Some("5")),
        ("HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", Some("9")),
        ("GET", "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", None),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some("0")),
    ] {
        let upstream = Upstream::answering(answer, Then::KeepAlive);
        let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
        let mut client = gateway.client();
        for _ in 0..3 {
            let response = client.request(method, "/v1/x", &[&bearer(KEY)]);
            assert_eq!(response.field("content-length"), length, "{answer}");
            assert_eq!(response.field("transfer-encoding"), None, "{answer}");
            assert!(response.body.is_empty());
        }
        assert_eq!(upstream.connections(), 1, "{answer}");
    }
}

/// HEAD reaches the upstream as HEAD and costs as GET.
#[test]
fn head_costs_as_get_does() {
    let upstream = Upstream::ok_to_head();
    let gateway = Gateway::start_at(NOW, &tables("", "methods = [\"GET\"]"), &upstream);
    let response = gateway.request("HEAD", "/v1/x", &[&bearer(KEY)]);
    assert_eq!(response.field("faregate-cost"), Some("1"));
    assert_eq!(upstream.last().line, "HEAD /v1/x HTTP/1.1");
    gateway.wait_used("acme", 1);
}

/// The version is ours, whatever the upstream speaks (RFC 9110, section 2.5).
#[test]
fn answer_of_an_old_upstream_is_of_our_version() {
    for answer in
        ["HTTP/1.0 200 OK\r\n\r\nok\n", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n"]
    {
        let upstream = Upstream::answering(answer, Then::Close);
        let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
        let mut client = gateway.client();
        for _ in 0..2 {
            let response = client.get("/v1/x", KEY);
            assert_eq!(response.head.version, "HTTP/1.1", "{answer}");
            assert_eq!((response.text(), response.whole), ("ok\n", true));
        }
    }
}

#[test]
fn old_clients_are_served() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n";
    let upstream = Upstream::answering(chunked, Then::KeepAlive);
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let key = bearer(KEY);
    // Without a Host, and without a keep-alive: the end of the answer is the end of the connection.
    let mut client = gateway.client();
    client.send(format!("GET /v1/x HTTP/1.0\r\n{key}\r\n\r\n"));
    let response = client.response();
    assert_eq!(response.status(), 200);
    assert_eq!(response.field("transfer-encoding"), None, "an old client knows no chunks");
    assert_eq!(response.text(), "ok\n");
    client.expect_closed();
    assert_eq!(upstream.last().line, "GET /v1/x HTTP/1.1");
}

/// Fields behind a chunked answer come through, where the client has said that it takes them; not what
/// only the gateway may say.
#[test]
fn trailers_come_through() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                  3\r\nok\n\r\n0\r\nX-Sum: 42\r\nFaregate-Cost: 0\r\n\r\n"
        .replace("X-Sum\r", "X-Sum, Faregate-Cost\r");
    let upstream = Upstream::answering(answer, Then::KeepAlive);
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    client.send(head("GET", "/v1/x", &[&bearer(KEY), "TE: trailers", "Connection: TE"]));
    let response = client.response();
    assert_eq!(response.text(), "ok\n");
    assert_eq!(response.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
}
