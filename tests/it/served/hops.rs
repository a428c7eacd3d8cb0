//! What a message meets on its way through a hop: answers ahead of the answer, fields behind the body,
//! and what hops tell of themselves.

use super::{NOW, tables};
use crate::support::{
    Gateway, KEY, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
};

/// Starts a gateway in front of an upstream that gives one answer.
fn gateway(answer: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::answering(answer, Then::KeepAlive);
    (Gateway::start_at(NOW, &tables("", ""), &upstream), upstream)
}

const EARLY: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\nFaregate-Cost: 9\r\n\r\n";

/// RFC 8297; RFC 9110 section 15.2.
#[test]
fn early_hints_come_through_and_are_not_the_answer() {
    let (gateway, _upstream) = gateway(&[EARLY, EARLY, OK].concat());
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send(head("GET", "/v1/x", &[&bearer(KEY)]));
        for _ in 0..2 {
            let early = client.head();
            assert_eq!(early.status, 103);
            assert_eq!(early.fields, [("link".to_owned(), "</a.css>; rel=preload".to_owned())]);
        }
        let response = client.response();
        assert_eq!((response.status(), response.text()), (200, "ok\n"));
    }
    gateway.wait_recorded("acme", &[("completed", 2, 2)]);
}

/// They arrive before the answer is there.
#[test]
fn early_hints_are_early() {
    let upstream = Upstream::start(|exchange| {
        exchange.send(EARLY)?;
        // The client says when it has them.
        exchange.read_body()?;
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    client.send(head("POST", "/v1/x", &[&bearer(KEY), "Content-Length: 2"]));
    assert_eq!(client.head().status, 103);
    client.send("go");
    assert_eq!(client.response().status(), 200);
}

/// RFC 9110 section 15.2: HTTP/1.0 knows none.
#[test]
fn old_clients_get_the_answer_alone() {
    let (gateway, _upstream) = gateway(&[EARLY, OK].concat());
    let mut client = gateway.client();
    client.send(format!("GET /v1/x HTTP/1.0\r\n{}\r\n\r\n", bearer(KEY)));
    assert_eq!(client.response().status(), 200);
    client.expect_closed();
}

#[test]
fn hints_without_end_are_left_out() {
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(8000));
    let (gateway, _upstream) = gateway(&[hint.repeat(100), OK.to_owned()].concat());
    let mut client = gateway.client();
    client.send(head("GET", "/v1/x", &[&bearer(KEY)]));
    let mut hints = 0;
    let answer = loop {
        match client.head() {
            head if head.status == 103 => hints += 1,
            head => break head,
        }
    };
    assert_eq!(client.body_of(answer).text(), "ok\n");
    assert!((1..100).contains(&hints), "{hints} of 100: no more wait than there is room for");
}

/// The gateway asks for the body itself, so the upstream's own 100 ends there.
#[test]
fn body_is_asked_for_once() {
    let (gateway, upstream) = gateway(&["HTTP/1.1 100 Continue\r\n\r\n", OK].concat());
    let mut client = gateway.client();
    let fields = [&*bearer(KEY), "Content-Length: 2", "Expect: 100-continue"];
    client.send(head("POST", "/v1/x", &fields));
    assert_eq!(client.head().status, 100);
    client.send("ab");
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.last().body, b"ab");
}

/// RFC 9110 section 6.5: trailers go up too, but for those that only a head may have.
#[test]
fn trailers_of_requests_go_up() {
    let (gateway, upstream) = gateway(OK);
    let fields = [&*bearer(KEY), "Transfer-Encoding: chunked", "Trailer: X-Sum", "TE: trailers"];
    let mut client = gateway.client();
    client.send(head("POST", "/v1/x", &fields));
    client.send(
        "2\r\nab\r\n0\r\nX-Sum: 42\r\nAuthorization: Bearer x\r\nFaregate-Customer: other\r\n\
         Faregate_Plan: x\r\nContent-Length: 9\r\nHost: other\r\nX-Forwarded-For: ::1\r\n\r\n",
    );
    assert_eq!(client.response().status(), 200);
    let seen = upstream.last();
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    assert_eq!(seen.field("trailer"), Some("X-Sum"));
    assert_eq!((seen.field("te"), seen.field("connection")), (Some("trailers"), Some("te")));
    assert_eq!(client.get("/v1/x", KEY).status(), 200, "the connection goes on");
    assert_eq!(upstream.last().field("te"), None);
}

/// Also those that no `Trailer` announced.
#[test]
fn trailers_of_answers_come_down_to_who_takes_them() {
    let (gateway, _upstream) = gateway(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\
         X-Sum: 42\r\nFaregate-Cost: 0\r\nSet-Cookie: a\r\nContent-Length: 3\r\nX_Request-ID: 1\r\n\r\n",
    );
    let takes = gateway.request("GET", "/v1/x", &[&bearer(KEY), "TE: trailers;q=1, gzip"]);
    assert_eq!(takes.trailers, [], "a weight is no member of that list");
    let takes = gateway.request("GET", "/v1/x", &[&bearer(KEY), "TE: gzip, Trailers"]);
    assert_eq!(takes.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    let takes_none = gateway.get("/v1/x", KEY);
    assert_eq!((takes_none.text(), takes_none.trailers.len()), ("ok\n", 0));
}

/// RFC 9110 section 7.6.3.
#[test]
fn hop_tells_of_itself() {
    let (gateway, upstream) = gateway(OK);
    gateway.get("/v1/x", KEY);
    assert_eq!(upstream.last().all("via"), ["1.1 faregate"]);
    gateway.request("GET", "/v1/x", &[&bearer(KEY), "Via: 1.0 fred, 1.1 p.example"]);
    assert_eq!(upstream.last().all("via"), ["1.0 fred, 1.1 p.example", "1.1 faregate"]);
    let mut client = gateway.client();
    client.send(format!("GET /v1/x HTTP/1.0\r\n{}\r\n\r\n", bearer(KEY)));
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.last().all("via"), ["1.0 faregate"]);
}

/// RFC 9110 sections 7.6.2 and 9.3.7.
#[test]
fn options_end_here_where_they_concern_the_gateway() {
    let (gateway, upstream) = gateway(OK);
    let of_all = gateway.request("OPTIONS", "*", &[]);
    assert_eq!((of_all.status(), of_all.body.len()), (204, 0));
    assert!(of_all.field("x-request-id").is_some());
    let no_hop = gateway.request("OPTIONS", "/v1/x", &["Max-Forwards: 0"]);
    assert_eq!(no_hop.status(), 204);
    let mut client = gateway.client();
    client.send("OPTIONS * HTTP/1.1\r\n\r\n");
    assert_eq!(client.response().verdict(), "400 invalid_request", "without a host");
    let elsewhere = gateway.request("GET", "*", &[&bearer(KEY)]);
    assert_eq!(elsewhere.verdict(), "400 invalid_request");
    assert_eq!(upstream.count(), 0);
    assert_eq!(gateway.used("acme"), (0, 0));

    for (given, told) in [("3", "2"), ("1", "0"), ("x", "x"), ("+1", "+1")] {
        let fields = [&*bearer(KEY), &format!("Max-Forwards: {given}")];
        assert_eq!(gateway.request("OPTIONS", "/v1/x", &fields).status(), 200);
        assert_eq!(upstream.last().all("max-forwards"), [told]);
    }
    gateway.request("GET", "/v1/x", &[&bearer(KEY), "Max-Forwards: 0"]);
    assert_eq!(upstream.last().all("max-forwards"), ["0"], "it counts for OPTIONS alone");
}

/// RFC 9110 section 15.5.22: an answer that asks for another protocol says which.
#[test]
fn protocol_that_is_required_is_told() {
    let (gateway, _upstream) = gateway(
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nno\n",
    );
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/v1/x", KEY);
        assert_eq!((answer.status(), answer.field("upgrade")), (426, Some("websocket")));
        assert_eq!(answer.field("connection"), Some("upgrade"));
    }
    let fields = [&*bearer(KEY), "Connection: close"];
    let answer = gateway.request("GET", "/v1/x", &fields);
    assert_eq!(answer.head.all("connection"), ["upgrade", "close"]);
}
