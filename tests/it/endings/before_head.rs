//! Endings before a head of the answer came: unsent, failed, abandoned.

use std::{net::TcpListener, time::Duration};

use super::{COST, assert_ended, tables};
use crate::support::{
    Client, Exchange, Gateway, KEY, Then, Upstream,
    client::{bearer, head},
    upstream::{Full, OK},
};

#[test]
fn nothing_listening_is_unsent() {
    let tables = tables("", "", "").replace("@UPSTREAM@", &Upstream::nowhere().to_string());
    let gateway = Gateway::start_with(&tables, None);
    let response = gateway.get("/paid/x", KEY);
    assert_eq!(response.verdict(), "502 upstream_error");
    assert_ended(&gateway, "unsent", 0);
}

#[test]
fn connect_timeout_is_unsent() {
    let full = Full::new();
    let tables = tables("", "connect_timeout = \"150ms\"", "")
        .replace("@UPSTREAM@", &full.address().to_string());
    let gateway = Gateway::start_with(&tables, None);
    let response = gateway.get("/paid/x", KEY);
    assert_eq!(response.verdict(), "504 upstream_timeout");
    assert_ended(&gateway, "unsent", 0);
}

#[test]
fn caller_that_leaves_while_the_upstream_is_dialled_is_unsent() {
    let full = Full::new();
    let tables = tables("", "connect_timeout = \"30s\"", "")
        .replace("@UPSTREAM@", &full.address().to_string());
    let gateway = Gateway::start_with(&tables, None);
    let mut client = gateway.client();
    client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
    crate::support::wait_until_equal(|| gateway.used("acme"), &(0, COST));
    drop(client);
    assert_ended(&gateway, "unsent", 0);
}

/// What the upstream does after it has read the request, and what the caller then gets.
type Failure = (&'static str, &'static str, Then, &'static str);

#[test]
fn upstream_that_gives_no_head_has_failed() {
    let cases: &[Failure] = &[
        ("reset", "", Then::Reset, "502 upstream_error"),
        ("close", "", Then::Close, "502 upstream_error"),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-", Then::Close, "502 upstream_error"),
        ("no HTTP", "SSH-2.0-OpenSSH\r\n\r\n", Then::Silence, "502 upstream_error"),
        ("two lengths", BAD_LENGTHS, Then::Silence, "502 upstream_error"),
        ("length and chunks", TWO_FRAMINGS, Then::Silence, "502 upstream_error"),
        ("a coding that is not known", GZIPPED, Then::Silence, "502 upstream_error"),
        ("101", SWITCHING, Then::Silence, "502 upstream_error"),
        ("only a 100", "HTTP/1.1 100 Continue\r\n\r\n", Then::Close, "502 upstream_error"),
    ];
    for (name, answer, then, expected) in cases {
        let upstream = Upstream::answering(*answer, *then);
        let gateway = Gateway::start(&tables("", "", ""), &upstream);
        let mut client = gateway.client();
        let response = client.get("/paid/x", KEY);
        assert_eq!(response.verdict(), *expected, "{name}");
        // A switch of protocols is a head, of a status that nobody is charged for.
        let ending = if *name == "101" { "uncharged" } else { "failed" };
        assert_ended(&gateway, ending, 0);
        assert_eq!(upstream.count(), 1, "{name}: sent once");
        // The caller's connection is as good as before.
        assert_eq!(client.get("/paid/x", KEY).verdict(), *expected, "{name}");
    }
}

const BAD_LENGTHS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok\n";
const TWO_FRAMINGS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\
     Transfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n";
const GZIPPED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

#[test]
fn upstream_that_is_too_slow_has_failed() {
    for (name, limits, upstream_lines, route) in [
        ("response", "", "response_timeout = \"150ms\"", ""),
        ("idle", "idle_timeout = \"150ms\"", "", ""),
        ("total", "request_timeout = \"150ms\"", "", ""),
        ("total of the route", "", "", "request_timeout = \"150ms\""),
    ] {
        let upstream = Upstream::answering("", Then::Silence);
        let gateway = Gateway::start(&tables(limits, upstream_lines, route), &upstream);
        let response = gateway.get("/paid/x", KEY);
        assert_eq!(response.verdict(), "504 upstream_timeout", "{name}");
        assert_ended(&gateway, "failed", 0);
        // The request is called off at the upstream too.
        upstream.wait_closed(1);
    }
}

/// The total time is not renewed by the bytes of an upload that keeps coming.
#[test]
fn total_time_ends_an_upload_that_drips() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&tables("", "", "request_timeout = \"300ms\""), &upstream);
    let mut client = gateway.client();
    client.send(head("POST", "/paid/x", &[&bearer(KEY), "Content-Length: 100000"]));
    // The gateway answers, and the socket says so, before all of it is sent.
    for _ in 0..1000 {
        std::thread::sleep(Duration::from_millis(10));
        if client.try_send("x").is_err() || client.has_answer() {
            break;
        }
    }
    assert_eq!(client.response().verdict(), "504 upstream_timeout");
    assert_ended(&gateway, "failed", 0);
}

#[test]
fn upload_that_stalls_has_failed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&tables("idle_timeout = \"150ms\"", "", ""), &upstream);
    let mut client = gateway.client();
    client.send(head("POST", "/paid/x", &[&bearer(KEY), "Content-Length: 10"]) + "12345");
    assert_eq!(client.response().verdict(), "408 request_timeout");
    client.expect_closed();
    assert_ended(&gateway, "failed", 0);
}

fn reads_and_never_answers() -> Upstream {
    Upstream::answering("", Then::Silence)
}

#[test]
fn caller_that_leaves_before_the_head_has_abandoned() {
    for (name, leave) in [
        ("close", drop as fn(Client)),
        ("reset", Client::reset),
        ("half close", |mut client| client.finish()),
    ] {
        let upstream = reads_and_never_answers();
        let gateway = Gateway::start(&tables("", "", ""), &upstream);
        let mut client = gateway.client();
        client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
        upstream.wait_for(1);
        assert_eq!(gateway.used("acme"), (0, COST), "{name}: it is reserved meanwhile");
        leave(client);
        assert_ended(&gateway, "abandoned", COST);
        upstream.wait_closed(1);
    }
}

#[test]
fn upload_that_is_broken_off_is_abandoned() {
    for (name, framing, bytes) in [
        ("length", "Content-Length: 10", "12345"),
        ("chunks", "Transfer-Encoding: chunked", "5\r\n12345\r\n"),
        ("within a chunk", "Transfer-Encoding: chunked", "5\r\n123"),
    ] {
        let upstream = Upstream::ok();
        let gateway = Gateway::start(&tables("", "", ""), &upstream);
        let mut client = gateway.client();
        client.send(head("POST", "/paid/x", &[&bearer(KEY), framing]) + bytes);
        upstream.wait_for(1);
        drop(client);
        assert_ended(&gateway, "abandoned", COST);
        assert!(upstream.last().body_bytes < 10, "{name}");
        upstream.wait_closed(1);
    }
}

#[test]
fn upload_with_broken_framing_is_abandoned() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&tables("", "", ""), &upstream);
    let mut client = gateway.client();
    let chunked = "Transfer-Encoding: chunked";
    client.send(head("POST", "/paid/x", &[&bearer(KEY), chunked]) + "5\r\n12345\r\n");
    upstream.wait_for(1);
    client.send("zz\r\n12345\r\n");
    // The HTTP library may give up the connection without an answer of ours.
    let answer = String::from_utf8(client.drain()).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_ended(&gateway, "abandoned", COST);
}

#[test]
fn chunked_upload_beyond_the_limit_is_abandoned() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&tables("body_bytes = \"1KiB\"", "", ""), &upstream);
    let mut client = gateway.client();
    let chunked = "Transfer-Encoding: chunked";
    client.send(head("POST", "/paid/x", &[&bearer(KEY), chunked]));
    client.send(format!("3e8\r\n{}\r\n", "x".repeat(1000)));
    upstream.wait_for(1);
    client.send(format!("3e8\r\n{}\r\n", "x".repeat(1000)));
    assert_eq!(client.response().verdict(), "413 body_too_large");
    client.expect_closed();
    assert_ended(&gateway, "abandoned", COST);
    upstream.wait_closed(1);
    assert!(upstream.last().body_bytes <= 1024);
}

/// The largest body that is allowed passes, chunk by chunk as well as by length.
#[test]
fn upload_of_exactly_the_limit_passes() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&tables("body_bytes = \"1KiB\"", "", ""), &upstream);
    let mut client = gateway.client();
    let body = "x".repeat(1024);
    client.send(head("POST", "/paid/x", &[&bearer(KEY), "Content-Length: 1024"]) + &body);
    assert_eq!(client.response().status(), 200);
    client.send(head("POST", "/paid/x", &[&bearer(KEY), "Transfer-Encoding: chunked"]));
    client.send(format!("400\r\n{body}\r\n0\r\n\r\n"));
    assert_eq!(client.response().status(), 200);
    gateway.wait_recorded("acme", &[("completed", 2, 2 * COST)]);
    assert!(upstream.requests().iter().all(|request| request.body_bytes == 1024));
}

/// A connection that the upstream closed while nobody used it took no request, so another one may:
/// the caller sees one request, and is charged once.
#[test]
fn request_on_a_connection_closed_while_unused_is_sent_again() {
    let upstream = Upstream::answering(OK, Then::Close);
    let gateway = Gateway::start(&tables("", "", ""), &upstream);
    let mut client = gateway.client();
    for count in 1..=5 {
        assert_eq!(client.get("/paid/x", KEY).status(), 200);
        upstream.wait_closed(count);
    }
    assert_eq!(upstream.count(), 5);
    gateway.wait_recorded("acme", &[("completed", 5, 5 * COST)]);
}

/// The same when the close comes while the next request is being sent: no answer is made up and
/// nothing is sent twice.
#[test]
fn request_that_was_sent_is_never_sent_again() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        if exchange.request().target() == "/paid/first" {
            exchange.send(OK)?;
            return Ok(Then::KeepAlive);
        }
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&tables("", "", ""), &upstream);
    let mut client = gateway.client();
    assert_eq!(client.get("/paid/first", KEY).status(), 200);
    assert_eq!(client.get("/paid/second", KEY).verdict(), "502 upstream_error");
    assert_eq!(upstream.count(), 2);
    assert_eq!(upstream.connections(), 1);
    gateway.wait_recorded("acme", &[("completed", 1, COST), ("failed", 1, 0)]);
}

/// An upstream whose port is taken by a listener that resets each connection at once.
#[test]
fn connection_that_is_reset_at_once_is_told_as_upstream_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    });
    let tables = tables("", "", "").replace("@UPSTREAM@", &address.to_string());
    let gateway = Gateway::start_with(&tables, None);
    assert_eq!(gateway.get("/paid/x", KEY).verdict(), "502 upstream_error");
    gateway.wait_used("acme", 0);
}
