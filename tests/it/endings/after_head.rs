//! Endings after a head that is charged: completed, truncated, aborted, expired.

use std::time::Duration;

use super::{COST, assert_ended, tables};
use crate::support::{
    Exchange, Gateway, KEY, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn answers_that_end_whole_are_completed() {
    let until_close = "HTTP/1.1 200 OK\r\n\r\nok\n";
    let chunks = format!("{CHUNKED}3\r\nok\n\r\n0\r\n\r\n");
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (name, answer, then, body) in [
        ("length", OK, Then::KeepAlive, "ok\n"),
        ("chunks", chunks.as_str(), Then::KeepAlive, "ok\n"),
        ("until close", until_close, Then::Close, "ok\n"),
        ("old version", "HTTP/1.0 200 OK\r\n\r\nok\n", Then::Close, "ok\n"),
        ("empty", empty, Then::KeepAlive, ""),
        ("204", "HTTP/1.1 204 No Content\r\n\r\n", Then::KeepAlive, ""),
        ("304", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n", Then::KeepAlive, ""),
        ("a 103 before", &format!("HTTP/1.1 103 Early Hints\r\n\r\n{OK}"), Then::KeepAlive, "ok\n"),
    ] {
        let upstream = Upstream::answering(answer, then);
        let gateway = Gateway::start(&tables("", "", ""), &upstream);
        let response = gateway.get("/paid/x", KEY);
        assert!(response.whole, "{name}: {response:?}");
        assert_eq!(response.text(), body, "{name}");
        assert_ended(&gateway, "completed", COST);
    }
}

#[test]
fn answer_to_head_is_completed() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n", Then::KeepAlive);
    let gateway = Gateway::start(&tables("", "", ""), &upstream);
    let mut client = gateway.client();
    let response = client.request("HEAD", "/paid/x", &[&bearer(KEY)]);
    assert_eq!(response.field("content-length"), Some("3000"));
    assert_ended(&gateway, "completed", COST);
    assert_eq!(client.request("HEAD", "/paid/x", &[&bearer(KEY)]).status(), 200);
    assert_eq!(upstream.connections(), 1);
}

/// The answer counts although the upload is still on its way; what is left of the upload is taken for
/// no second request, and the next one is clean.
#[test]
fn answer_before_the_upload_is_whole_is_completed() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send(OK)?;
        exchange.read_body()?;
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start(&tables("", "", ""), &upstream);
    let mut client = gateway.client();
    let rest = head("GET", "/paid/hidden", &[&bearer(KEY)]);
    let length = format!("Content-Length: {}", 4 + rest.len());
    client.send(head("POST", "/paid/x", &[&bearer(KEY), &length]) + "half");
    assert_eq!(client.response().text(), "ok\n");
    assert_ended(&gateway, "completed", COST);
    // The connection may close instead, then what is sent into it is lost.
    let _ = client.try_send(rest + &head("GET", "/paid/second", &[&bearer(KEY)]));
    let answers = String::from_utf8(client.drain_for(Duration::from_millis(300))).unwrap();
    assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{answers}");
    let targets: Vec<String> =
        upstream.requests().iter().map(|request| request.target().to_owned()).collect();
    assert!(!targets.contains(&"/paid/hidden".to_owned()), "{targets:?}");
}

#[test]
fn answers_that_the_upstream_cuts_are_truncated() {
    let by_length = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";
    let chunks = format!("{CHUNKED}a\r\n0123456789\r\n");
    let within = format!("{CHUNKED}a\r\n01234");
    let bad = format!("{CHUNKED}a\r\n0123456789\r\nzz\r\n");
    for (name, answer, then) in [
        ("length, closed", by_length, Then::Close),
        ("length, reset", by_length, Then::Reset),
        ("length, silent", by_length, Then::Silence),
        ("chunks, closed", &chunks, Then::Close),
        ("chunks, reset", &chunks, Then::Reset),
        ("chunks, silent", &chunks, Then::Silence),
        ("within a chunk", &within, Then::Close),
        ("bad chunk", &bad, Then::Silence),
    ] {
        let upstream = Upstream::answering(answer, then);
        let gateway = Gateway::start(&tables("", "idle_timeout = \"200ms\"", ""), &upstream);
        let mut client = gateway.client();
        client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
        let response = client.response();
        assert_eq!(response.status(), 200, "{name}");
        assert!(!response.whole, "{name}: a cut answer must not look whole: {response:?}");
        // No second answer is put behind the cut one.
        client.expect_closed();
        assert_ended(&gateway, "truncated", COST);
    }
}

/// Sends the first bytes of a long body, then nothing.
fn half_an_answer() -> Upstream {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";
    Upstream::answering(answer, Then::Silence)
}

#[test]
fn caller_that_leaves_amid_the_answer_has_aborted() {
    for (name, leave) in
        [("close", drop as fn(crate::support::Client)), ("reset", crate::support::Client::reset)]
    {
        let upstream = half_an_answer();
        let gateway = Gateway::start(&tables("", "", ""), &upstream);
        let mut client = gateway.client();
        client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
        client.head();
        assert_eq!(client.exactly(10), b"0123456789", "{name}");
        leave(client);
        assert_ended(&gateway, "aborted", COST);
        upstream.wait_closed(1);
    }
}

/// Sends without end.
fn flood() -> Upstream {
    Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")?;
        let piece = vec![b'x'; 64 * 1024];
        loop {
            exchange.send(&piece)?;
        }
    })
}

#[test]
fn caller_that_stops_reading_has_aborted() {
    let upstream = flood();
    let gateway = Gateway::start(&tables("idle_timeout = \"300ms\"", "", ""), &upstream);
    let mut client = crate::support::Client::connect_with_small_window(gateway.running().address());
    client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
    client.head();
    assert_ended(&gateway, "aborted", COST);
    upstream.wait_closed(1);
}

#[test]
fn caller_that_resets_a_flood_has_aborted() {
    let upstream = flood();
    let gateway = Gateway::start(&tables("", "", ""), &upstream);
    let mut client = gateway.client();
    client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
    client.head();
    client.reset();
    assert_ended(&gateway, "aborted", COST);
}

/// Both directions move, so only the time that is never renewed ends it.
#[test]
fn total_time_after_the_head_has_expired() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send(CHUNKED)?;
        loop {
            exchange.send("1\r\nx\r\n")?;
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let route = "request_timeout = \"300ms\"";
    let gateway = Gateway::start(&tables("", "", route), &upstream);
    let mut client = gateway.client();
    client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
    let response = client.response();
    assert_eq!((response.status(), response.whole), (200, false));
    client.expect_closed();
    assert_ended(&gateway, "expired", COST);
    upstream.wait_closed(1);
}

/// A route without a total time outlives the server's own.
#[test]
fn total_time_of_the_route_goes_before_the_servers() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send(CHUNKED)?;
        for _ in 0..30 {
            exchange.send("1\r\nx\r\n")?;
            std::thread::sleep(Duration::from_millis(10));
        }
        exchange.send("0\r\n\r\n")?;
        Ok(Then::KeepAlive)
    });
    let limits = "request_timeout = \"100ms\"";
    let gateway = Gateway::start(&tables(limits, "", "request_timeout = \"none\""), &upstream);
    let response = gateway.get("/paid/x", KEY);
    assert_eq!((response.whole, response.body.len()), (true, 30));
    assert_ended(&gateway, "completed", COST);
}

/// Both directions move for longer than either silence is allowed to last.
#[test]
fn idle_times_are_renewed_by_progress() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send(CHUNKED)?;
        for _ in 0..30 {
            exchange.send("1\r\nx\r\n")?;
            std::thread::sleep(Duration::from_millis(20));
        }
        exchange.send("0\r\n\r\n")?;
        Ok(Then::KeepAlive)
    });
    let tables = tables("idle_timeout = \"400ms\"", "idle_timeout = \"400ms\"", "");
    let gateway = Gateway::start(&tables, &upstream);
    let response = gateway.get("/paid/x", KEY);
    assert_eq!((response.whole, response.body.len()), (true, 30));
    assert_ended(&gateway, "completed", COST);
}

fn with_short_drain(tables: &str) -> String {
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\ndrain_timeout = \"200ms\"\n";
    format!("{server}{tables}")
}

#[test]
fn drain_time_after_the_head_has_expired() {
    let upstream = half_an_answer();
    let mut gateway = Gateway::start(&with_short_drain(&tables("", "", "")), &upstream);
    let mut client = gateway.client();
    client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
    client.head();
    assert_eq!(client.exactly(10), b"0123456789");
    gateway.restart();
    assert!(client.exactly(90).is_empty());
    assert_ended(&gateway, "expired", COST);
}

#[test]
fn drain_time_before_the_head_has_failed() {
    let upstream = Upstream::answering("", Then::Silence);
    let mut gateway = Gateway::start(&with_short_drain(&tables("", "", "")), &upstream);
    let mut client = gateway.client();
    client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
    upstream.wait_for(1);
    gateway.restart();
    let response = client.response();
    assert_eq!(response.verdict(), "503 overloaded");
    assert_eq!(response.field("retry-after"), Some("1"));
    client.expect_closed();
    assert_ended(&gateway, "failed", 0);
}

/// What is in flight when a stop is asked for ends whole within the drain time, and its connection
/// then closes.
#[test]
fn request_in_flight_ends_whole_before_a_stop() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        let _ = wait.lock().unwrap().recv();
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let mut gateway = Gateway::start(&tables("", "", ""), &upstream);
    let address = gateway.running().address();
    let mut client = gateway.client();
    client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
    upstream.wait_for(1);
    let stopping = std::thread::spawn(move || {
        gateway.restart();
        gateway
    });
    crate::support::wait_for("the listener to close", || {
        std::net::TcpStream::connect(address).is_err().then_some(())
    });
    go.send(()).unwrap();
    assert_eq!(client.response().text(), "ok\n");
    client.expect_closed();
    assert_ended(&stopping.join().unwrap(), "completed", COST);
}
