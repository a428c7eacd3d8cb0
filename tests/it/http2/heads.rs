//! Heads that HTTP/2 can write and HTTP/1.1 cannot, or would read otherwise: none of them goes up.

use super::{
    caller::Caller,
    raw::{self, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, RST_STREAM, Raw, block, frame},
    start,
};
use crate::support::{Gateway, KEY, Upstream};

/// Sends a head in the place of a request's, with a key; gives the reason that its stream was reset for, or its
/// connection ended, or `None` where it was answered.
fn ask(gateway: &Gateway, fields: &[(&str, &str)]) -> Option<u32> {
    let mut raw = Raw::open(gateway.running().address());
    let fields = [fields, &[("x-api-key", KEY)]].concat();
    raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields)));
    let answer = raw.answer(1).expect("an answer, or a reason");
    (answer.kind != HEADERS).then(|| answer.reason())
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/paid/x");
const HOST: (&str, &str) = (":authority", "a.test");

#[test]
fn malformed_heads_are_reset_and_charge_nothing() {
    let upstream = Upstream::ok();
    let gateway = start("", &upstream);
    let good = [METHOD, SCHEME, PATH, HOST];
    for more in [
        ("connection", "close"),
        ("connection", "x-api-key"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, deflate"),
        ("X-Upper", "a"),
        ("x y", "a"),
        ("x:y", "a"),
        ("", "a"),
        ("x\r\nhost", "a"),
        ("x", "a\r\nhost: b"),
        ("x", "a\rb"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("content-length", "1"),
        ("content-length", "+0"),
        ("content-length", "0, 0"),
        ("content-length", "99999999999999999999"),
        (":path", "/free/x"),
        (":method", "POST"),
        (":authority", "b.test"),
        (":unknown", "a"),
        (":status", "200"),
        (":protocol", "websocket"),
    ] {
        let reason = ask(&gateway, &[&good[..], &[more]].concat());
        assert_eq!(reason, Some(PROTOCOL_ERROR), "{more:?}");
    }
    for fields in [
        &[SCHEME, PATH, HOST][..],
        &[METHOD, PATH, HOST],
        &[METHOD, SCHEME, HOST],
        &[METHOD, SCHEME, (":path", ""), HOST],
        &[METHOD, SCHEME, (":path", "/paid/x y"), HOST],
        &[METHOD, SCHEME, (":path", "/paid/x\r\nhost: b"), HOST],
        &[("x", "a"), METHOD, SCHEME, PATH, HOST],
        &[METHOD, SCHEME, ("x", "a"), PATH, HOST],
        &[(":method", "GET /free HTTP/1.1\r\n"), SCHEME, PATH, HOST],
        &[(":method", "G T"), SCHEME, PATH, HOST],
        &[(":method", ""), SCHEME, PATH, HOST],
        &[METHOD, (":scheme", "ht tp"), PATH, HOST],
        &[METHOD, SCHEME, PATH, (":authority", "a.test\r\nx: y")],
        &[METHOD, SCHEME, PATH, (":authority", "a test")],
    ] {
        assert_eq!(ask(&gateway, fields), Some(PROTOCOL_ERROR), "{fields:?}");
    }
    // Two lengths that differ.
    let lengths = [&good[..], &[("content-length", "0"), ("content-length", "1")]].concat();
    assert_eq!(ask(&gateway, &lengths), Some(PROTOCOL_ERROR));
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
    assert_eq!(ask(&gateway, &good), None);
    gateway.wait_used("acme", super::COST);
}

#[test]
fn heads_that_are_refused_are_told_why_and_charge_nothing() {
    let upstream = Upstream::ok();
    let gateway = start("", &upstream);
    for fields in [
        // Two names of the host, or none.
        &[METHOD, SCHEME, PATH, HOST, ("host", "b.test")][..],
        &[METHOD, SCHEME, PATH, HOST, ("host", "a.test:8080")],
        &[METHOD, SCHEME, PATH, HOST, ("host", "")],
        &[METHOD, SCHEME, PATH, HOST, ("host", "a.test"), ("host", "a.test")],
        &[METHOD, SCHEME, PATH],
        &[METHOD, SCHEME, PATH, (":authority", "user@a.test")],
        &[METHOD, (":scheme", "ftp"), PATH, HOST],
        &[METHOD, SCHEME, PATH, HOST, ("x", " a")],
        &[METHOD, SCHEME, PATH, HOST, ("x", "a ")],
        &[METHOD, SCHEME, PATH, HOST, ("x", "\ta")],
        &[METHOD, SCHEME, (":path", "*"), HOST],
        &[METHOD, SCHEME, (":path", "/paid/%2e%2e/x"), HOST],
    ] {
        assert_eq!(ask(&gateway, fields), None, "{fields:?}");
    }
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
    for fields in [
        &[METHOD, SCHEME, PATH, ("host", "a.test")][..],
        &[METHOD, SCHEME, PATH, HOST, ("host", "A.test.")],
        &[METHOD, (":scheme", "https"), PATH, HOST],
    ] {
        assert_eq!(ask(&gateway, fields), None, "{fields:?}");
        assert_eq!(upstream.last().field("x-forwarded-host"), Some("a.test"), "{fields:?}");
    }
    gateway.wait_used("acme", 3 * super::COST);
    let caller = Caller::open(&gateway);
    for (fields, detail) in [
        (vec![("host", "b.test")], "The request names two hosts."),
        (vec![("x", " a")], "A field's value begins or ends with a space."),
    ] {
        let refused = caller.request("GET", "/paid/x", &fields, b"");
        assert_eq!(refused.verdict(), "400 invalid_request");
        assert_eq!(refused.json()["detail"], detail);
    }
    gateway.wait_used("acme", 3 * super::COST);
}

/// A tunnel is not to be had, nor the WebSocket that HTTP/2 would open by one.
#[test]
fn connect_is_refused() {
    let upstream = Upstream::ok();
    let gateway = start("", &upstream);
    let mut raw = Raw::open(gateway.running().address());
    let connect = [(":method", "CONNECT"), (":authority", "a.test:443"), ("x-api-key", KEY)];
    raw.send(frame(HEADERS, END_HEADERS, 1, &block(&connect)));
    assert_eq!(raw.answer(1).unwrap().kind, HEADERS);
    // It belongs to CONNECT alone (RFC 8441 section 4).
    let extended = [&[(":method", "GET"), (":protocol", "websocket")][..], &[SCHEME, PATH, HOST]];
    raw.send(frame(HEADERS, END_HEADERS, 3, &block(&extended.concat())));
    let answer = raw.answer(3).unwrap();
    assert_eq!((answer.kind, answer.reason()), (RST_STREAM, PROTOCOL_ERROR));
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
    raw.send(raw::get(5, "/paid/x"));
    assert_eq!(raw.answer(5).unwrap().kind, HEADERS);
}
