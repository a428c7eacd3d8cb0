//! Clients that send or take too slowly to be honest; and those who are waited for with good reason.

use std::{io, time::Duration};

use tokio::time::Instant;

use crate::support::{
    Client, Exchange, Gateway, KEY, SMALL, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
};

/// What is allowed for beforehand, as the documents say.
const GRACE: Duration = Duration::from_secs(5);

/// Longer than that.
const LONG: Duration = Duration::from_millis(6500);

fn with_rate(rate: &str) -> String {
    format!("[server.limits]\nminimum_rate = \"{rate}\"\n{SMALL}")
}

/// Sends a byte now and then until an answer is there; gives how long that took.
fn drip(client: &mut Client) -> Duration {
    let began = Instant::now();
    while !client.has_answer() && client.try_send("x").is_ok() {
        assert!(began.elapsed() < GRACE * 2, "it goes on and on");
        std::thread::sleep(Duration::from_millis(50));
    }
    began.elapsed()
}

#[test]
fn upload_that_drips_is_refused() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let mut client = gateway.client();
    client.send(head("POST", "/x", &[&bearer(KEY), "Content-Length: 100000"]));
    let took = drip(&mut client);
    assert!(took >= GRACE, "{took:?}");
    let answer = client.response();
    assert_eq!(answer.verdict(), "408 request_timeout");
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("faregate-cost"), None);
    let said = &answer.json()["error"];
    assert_eq!(said["message"], "The request's body did not arrive in time.");
    client.expect_closed();
    gateway.wait_recorded("acme", &[("failed", 1, 0)]);
    gateway.wait_used("acme", 0);
    upstream.wait_closed(1);
}

/// The same as chunks, none of which is whole by itself for long.
#[test]
fn chunks_that_drip_are_refused() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let mut client = gateway.client();
    client.send(head("POST", "/x", &[&bearer(KEY), "Transfer-Encoding: chunked"]) + "10000\r\n");
    let took = drip(&mut client);
    assert!(took >= GRACE, "{took:?}");
    assert_eq!(client.response().verdict(), "408 request_timeout");
    gateway.wait_recorded("acme", &[("failed", 1, 0)]);
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

/// What the system holds on both sides counts as taken, so the rate is large here and the wait bounded.
#[test]
fn answer_that_is_taken_drop_by_drop_is_cut() {
    let upstream = flood();
    let gateway = Gateway::start(&with_rate("256KiB"), &upstream);
    let mut client = Client::connect_with_small_window(gateway.running().address());
    client.send(head("GET", "/x", &[&bearer(KEY)]));
    let began = Instant::now();
    while !client.some(64).is_empty() {
        assert!(began.elapsed() < GRACE * 4, "it goes on and on");
        std::thread::sleep(Duration::from_millis(20));
        if gateway.used("acme") == (1, 0) {
            break;
        }
    }
    let took = began.elapsed();
    assert!(took >= GRACE, "{took:?}");
    println!("cut after {took:?}");
    gateway.wait_recorded("acme", &[("aborted", 1, 1)]);
    upstream.wait_closed(1);
}

/// Sends a body at some bytes per second for a while; gives the status.
fn upload_at(mut client: Client, bytes: usize) -> u16 {
    let pieces = usize::try_from(LONG.as_millis()).unwrap() / 100;
    let length = format!("Content-Length: {}", pieces * (bytes / 10));
    client.send(head("POST", "/x", &[&bearer(KEY), &length]));
    for _ in 0..pieces {
        std::thread::sleep(Duration::from_millis(100));
        client.send("x".repeat(bytes / 10));
    }
    client.response().status()
}

/// Asks for what takes long at the upstream.
fn slow_answer(mut client: Client) -> u16 {
    client.send(head("POST", "/late", &[&bearer(KEY), "Content-Length: 5"]) + "hello");
    client.response().status()
}

/// Reads events that come seldom.
fn events(mut client: Client) -> u16 {
    client.send(head("GET", "/events", &[&bearer(KEY)]));
    let answer = client.response();
    assert!(answer.whole);
    answer.status()
}

/// Thinks between two requests, and before a body that it is asked for.
fn thinks(mut client: Client) -> u16 {
    assert_eq!(client.get("/x", KEY).status(), 200);
    std::thread::sleep(LONG);
    let fields = [&bearer(KEY), "Expect: 100-continue", "Content-Length: 5"];
    client.send(head("POST", "/x", &fields));
    assert_eq!(client.head().status, 100);
    std::thread::sleep(Duration::from_secs(2));
    client.send("hello");
    client.response().status()
}

/// Holds up an upload that is quick, by an upstream that takes it slowly.
fn held_up(mut client: Client) -> u16 {
    let body = "x".repeat(8 << 20);
    client.send(head("POST", "/held", &[&bearer(KEY), &format!("Content-Length: {}", body.len())]));
    client.send(&body);
    client.response().status()
}

fn slow_upstream(exchange: &mut Exchange<'_>) -> io::Result<Then> {
    let path = exchange.request().target().to_owned();
    match path.as_str() {
        "/events" => {
            exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for _ in 0..3 {
                std::thread::sleep(LONG / 3);
                exchange.send("1\r\nx\r\n")?;
            }
            exchange.send("0\r\n\r\n")?;
        }
        "/held" => {
            std::thread::sleep(LONG);
            exchange.read_body()?;
            exchange.send(OK)?;
        }
        _ => {
            exchange.read_body()?;
            if path == "/late" {
                std::thread::sleep(LONG);
            }
            exchange.send(OK)?;
        }
    }
    Ok(Then::KeepAlive)
}

#[test]
fn nobody_is_too_slow_who_is_not_waited_for() {
    let upstream = Upstream::start(slow_upstream);
    let gateway = Gateway::start(SMALL, &upstream);
    let kinds: [fn(Client) -> u16; 5] =
        [slow_answer, events, thinks, held_up, |client| upload_at(client, 400)];
    let clients = kinds.map(|kind| {
        let client = gateway.client();
        std::thread::spawn(move || kind(client))
    });
    for (at, client) in clients.into_iter().enumerate() {
        assert_eq!(client.join().unwrap(), 200, "{at}");
    }
    gateway.wait_recorded("acme", &[("completed", 6, 6)]);
}

#[test]
fn without_a_rate_everybody_has_all_the_time() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&with_rate("none"), &upstream);
    assert_eq!(upload_at(gateway.client(), 10), 200);
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
}

/// A WebSocket has no rate in either direction.
#[test]
fn websocket_may_be_silent() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )?;
        let said = exchange.read_some()?;
        exchange.send(said)?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&with_rate("1MiB"), &upstream);
    let mut client = gateway.client();
    let fields = [
        &bearer(KEY),
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    client.send(head("GET", "/x", &fields));
    assert_eq!(client.head().status, 101);
    client.expect_silence(LONG);
    // A ping without a mask's effect: it passes as it is.
    let frame = [0x89, 0x80, 0, 0, 0, 0];
    client.send(frame);
    assert_eq!(client.exactly(frame.len()), frame);
}
