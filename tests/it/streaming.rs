//! Bodies that pass piece by piece, uploads that are refused early, and clients that are slow.

use std::{
    io::Write,
    sync::{Mutex, mpsc},
    time::Duration,
};

use crate::support::{
    DEADLINE, Exchange, Gateway, KEY, SMALL, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
};

fn with_limits(limits: &str) -> String {
    format!("[server.limits]\n{limits}\n{SMALL}")
}

/// Each event is in the caller's hands before the upstream makes the next.
#[test]
fn events_arrive_as_they_are_made() {
    const EVENTS: usize = 20;
    let (seen, next) = mpsc::channel::<()>();
    let next = Mutex::new(next);
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        let type_of_answer = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked";
        exchange.send(format!("HTTP/1.1 200 OK\r\n{type_of_answer}\r\n\r\n"))?;
        for count in 0..EVENTS {
            let event = format!("data: {count}\n\n");
            exchange.send(format!("{:x}\r\n{event}\r\n", event.len()))?;
            next.lock().unwrap().recv_timeout(DEADLINE).expect("the event was not seen");
        }
        exchange.send("0\r\n\r\n")?;
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start(SMALL, &upstream);
    let mut client = gateway.client();
    client.send(head("GET", "/x", &[&bearer(KEY)]));
    let answer = client.head();
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    for count in 0..EVENTS {
        let event = client.chunk().unwrap();
        assert_eq!(String::from_utf8(event).unwrap(), format!("data: {count}\n\n"));
        assert_eq!(gateway.used("acme"), (0, 1), "open, so not settled");
        seen.send(()).unwrap();
    }
    assert_eq!(client.chunk().unwrap(), b"");
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
}

/// The same upwards: each piece of an upload is with the upstream before the client sends the next.
#[test]
fn pieces_of_an_upload_pass_as_they_come() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let mut client = gateway.client();
    client.send(head("POST", "/x", &[&bearer(KEY), "Transfer-Encoding: chunked"]));
    for count in 1..=10 {
        client.send("5\r\nhello\r\n");
        let received = || upstream.requests().first().map_or(0, |request| request.body_bytes);
        crate::support::wait_until_equal(received, &(count * 5));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
}

const LARGE: u64 = 96 << 20;

#[test]
fn large_answer_passes_whole() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"))?;
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..LARGE >> 20 {
            exchange.send(&piece)?;
        }
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start(SMALL, &upstream);
    let mut client = gateway.client();
    client.send(head("GET", "/x", &[&bearer(KEY)]));
    assert_eq!(client.head().field("content-length"), Some(LARGE.to_string().as_str()));
    assert_eq!(client.skip(LARGE), LARGE);
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
}

#[test]
fn large_upload_passes_whole() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&with_limits("body_bytes = \"1GiB\""), &upstream);
    let mut client = gateway.client();
    let piece = vec![b'x'; 1 << 20];
    for framing in [format!("Content-Length: {LARGE}"), "Transfer-Encoding: chunked".to_owned()] {
        client.send(head("POST", "/x", &[&bearer(KEY), &framing]));
        let chunked = framing.ends_with("chunked");
        for _ in 0..LARGE >> 20 {
            if chunked {
                client.send("100000\r\n");
            }
            client.send(&piece);
            if chunked {
                client.send("\r\n");
            }
        }
        if chunked {
            client.send("0\r\n\r\n");
        }
        assert_eq!(client.response().status(), 200, "{framing}");
        assert_eq!(upstream.last().body_bytes, LARGE, "{framing}");
    }
}

/// A client that reads nothing before it has sent everything is served by an upstream that answers at
/// once and at length: the upload goes on while nobody takes the answer.
#[test]
fn upload_goes_on_while_its_answer_waits() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        let mut sender = exchange.sender()?;
        let answering = std::thread::spawn(move || {
            sender.write_all(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes(),
            )?;
            let piece = vec![b'x'; 1 << 20];
            (0..LARGE >> 20).try_for_each(|_| sender.write_all(&piece))
        });
        exchange.read_body()?;
        answering.join().unwrap()?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&with_limits("body_bytes = \"1GiB\""), &upstream);
    let mut client = gateway.client();
    client.send(head("POST", "/x", &[&bearer(KEY), &format!("Content-Length: {LARGE}")]));
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..LARGE >> 20 {
        client.send(&piece);
    }
    assert_eq!(client.head().status, 200);
    assert_eq!(client.skip(LARGE), LARGE);
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
}

/// A client that reads nothing before it has sent everything gets its refusal, or the answer of an
/// upstream that took only a part of the upload.
#[test]
fn answer_survives_an_upload_that_nobody_takes() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        assert!(exchange.read_body().is_err());
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&with_limits("body_bytes = \"1GiB\""), &upstream);
    let piece = vec![b'x'; 1 << 20];
    for (field, verdict) in [("X-None: 1".to_owned(), 401), (bearer(KEY), 200)] {
        let mut client = gateway.client();
        client.send(head("POST", "/x", &[&field, &format!("Content-Length: {LARGE}")]));
        for _ in 0..LARGE >> 20 {
            client.send(&piece);
        }
        assert_eq!(client.response().status(), verdict);
        client.expect_closed();
    }
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
}

/// An upload that waits to be asked for is refused without being asked for, and charges nothing.
#[test]
fn upload_that_waits_is_refused_without_a_100() {
    let upstream = Upstream::ok();
    let tables = with_limits("body_bytes = \"1KiB\"").replace("limit = 1000", "limit = 1");
    let gateway = Gateway::start(&tables, &upstream);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    let expect = "Expect: 100-continue";
    for (key, length, verdict) in [
        (None, 10, "401 missing_api_key"),
        (Some(KEY), 10, "402 quota_exceeded"),
        (Some(KEY), 2000, "413 body_too_large"),
    ] {
        let length = format!("Content-Length: {length}");
        let key = key.map_or("X-None: 1".to_owned(), bearer);
        let mut client = gateway.client();
        client.send(head("POST", "/x", &[&key, expect, &length]));
        let response = client.response();
        assert_eq!(response.verdict(), verdict);
        // The client may send its body all the same; it is taken for no request.
        assert_eq!(response.field("connection"), Some("close"), "{verdict}");
        let _ = client.try_send(head("GET", "/hidden", &[&bearer(KEY)]));
        client.finish_if_open();
        client.expect_closed();
    }
    assert_eq!(upstream.count(), 1);
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
    gateway.wait_used("acme", 1);
}

#[test]
fn upload_that_waits_is_asked_for_once_it_may_pass() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let mut client = gateway.client();
    for _ in 0..2 {
        let fields = [&bearer(KEY), "Expect: 100-continue", "Content-Length: 5"];
        client.send(head("POST", "/x", &fields));
        assert_eq!(client.head().status, 100);
        client.send("hello");
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.last().body, b"hello");
        assert_eq!(upstream.last().field("expect"), None);
    }
    assert_eq!(upstream.connections(), 1);
    gateway.wait_recorded("acme", &[("completed", 2, 2)]);
}

#[test]
fn declared_body_beyond_the_limit_charges_nothing() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&with_limits("body_bytes = \"1KiB\""), &upstream);
    let mut client = gateway.client();
    client.send(head("POST", "/x", &[&bearer(KEY), "Content-Length: 100000000000"]));
    assert_eq!(client.response().verdict(), "413 body_too_large");
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
    assert_eq!(upstream.count(), 1);
}

/// A body that looks like a request, behind a request that is refused: one answer, then a close or
/// what was sent behind the body in truth.
#[test]
fn body_of_a_refused_request_is_no_request() {
    let hidden = head("GET", "/hidden", &[&bearer(KEY)]);
    let behind = head("GET", "/behind", &[&bearer(KEY)]);
    let short = format!("Content-Length: {}", hidden.len());
    let long = format!("Content-Length: {}", 200_000);
    let chunk = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let padded = format!("{}{}", hidden.repeat(10), "x".repeat(200_000 - 10 * hidden.len()));
    for (name, fields, body) in [
        ("short", vec![short.as_str()], hidden.clone()),
        ("short, waiting", vec![&short, "Expect: 100-continue"], hidden.clone()),
        ("long", vec![&long], padded),
        ("chunked", vec!["Transfer-Encoding: chunked"], chunk),
    ] {
        let upstream = Upstream::ok();
        let gateway = Gateway::start(SMALL, &upstream);
        let mut client = gateway.client();
        let _ = client.try_send(head("POST", "/x", &fields) + &body + &behind);
        assert_eq!(client.response().verdict(), "401 missing_api_key", "{name}");
        let rest = String::from_utf8(client.drain_for(Duration::from_millis(300))).unwrap();
        let targets: Vec<String> =
            upstream.requests().iter().map(|request| request.target().to_owned()).collect();
        let answers = rest.matches("HTTP/1.1 ").count();
        assert_eq!(answers, targets.len(), "{name}: {rest}");
        assert!(targets.is_empty() || targets == ["/behind"], "{name}: {targets:?}");
    }
}

#[test]
fn slow_head_is_cut() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&with_limits("header_timeout = \"300ms\""), &upstream);
    let request = head("GET", "/x", &[&bearer(KEY)]);
    // The first head of a connection, and one after an answer; each drips faster than the limit.
    for served_before in [0, 1] {
        let mut client = gateway.client();
        for _ in 0..served_before {
            assert_eq!(client.get("/x", KEY).status(), 200);
        }
        let mut closed = false;
        for byte in request.as_bytes() {
            closed = closed || client.try_send([*byte]).is_err();
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(closed || client.drain().is_empty(), "served after {served_before}");
        assert_eq!(upstream.count(), served_before);
        upstream.forget();
    }
    // A connection that says nothing at all.
    gateway.client().expect_closed();
}

#[test]
fn unused_connection_is_closed() {
    let upstream = Upstream::answering(OK, Then::KeepAlive);
    let limits = "idle_timeout = \"300ms\"\nheader_timeout = \"100ms\"";
    let gateway = Gateway::start(&with_limits(limits), &upstream);
    let mut client = gateway.client();
    assert_eq!(client.get("/x", KEY).status(), 200);
    // Between two requests the idle time counts, not that of a head.
    client.expect_silence(Duration::from_millis(200));
    assert_eq!(client.get("/x", KEY).status(), 200);
    client.expect_closed();
}
