//! `connections` and `queue`: no more at an endpoint than it may have, whichever worker they are of.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{metric, start, tables};
use crate::support::{
    Client, Exchange, Gateway, KEY, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
    wait_for,
};

/// An upstream that holds each request to `/held` until it is let go.
fn holding() -> (Upstream, Arc<Barrier>) {
    let barrier = Arc::new(Barrier::new(2));
    let held = Arc::clone(&barrier);
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        if exchange.request().target() == "/held" {
            held.wait();
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    (upstream, barrier)
}

fn start_with_workers(upstream: &Upstream, workers: usize, lines: &str) -> Gateway {
    let server = format!("[server]\nlisten = \"127.0.0.1:0\"\nworkers = {workers}\n");
    Gateway::start_with(&(server + &tables(&[upstream.address()], lines)), None)
}

fn waiting(gateway: &Gateway) -> f64 {
    metric(gateway, "waiting_requests", &[]).unwrap_or_default()
}

#[test]
fn who_finds_the_queue_full_is_refused_and_pays_nothing() {
    let (upstream, held) = holding();
    let lines = "connections = 1\nqueue = { length = 1, timeout = \"30s\" }";
    let gateway = start(&[upstream.address()], lines);
    let ask = head("GET", "/held", &[&bearer(KEY)]);
    let mut first = gateway.client();
    first.send(&ask);
    upstream.wait_for(1);
    let mut second = gateway.client();
    second.send(&ask);
    wait_for("a request in the queue", || (waiting(&gateway) == 1.0).then_some(()));

    let refused = gateway.get("/x", KEY);
    assert_eq!(refused.verdict(), "503 overloaded");
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(gateway.used("acme"), (0, 2), "the refused one holds nothing");
    assert_eq!(upstream.count(), 1, "and nothing of it was sent");

    held.wait();
    assert_eq!(first.response().status(), 200);
    held.wait();
    assert_eq!(second.response().status(), 200);
    assert_eq!(upstream.connections(), 1, "who waited was given the one there is");
    assert_eq!(waiting(&gateway), 0.0);
    gateway.wait_recorded("acme", &[("completed", 2, 2), ("unsent", 1, 0)]);
    let name = upstream.address().to_string();
    assert_eq!(metric(&gateway, "requests_total", &[&name, "rejected"]), Some(1.0));
}

#[test]
fn who_waits_too_long_is_refused_and_pays_nothing() {
    let (upstream, held) = holding();
    let lines = "connections = 1\nqueue = { timeout = \"200ms\" }";
    let gateway = start(&[upstream.address()], lines);
    let mut first = gateway.client();
    first.send(head("GET", "/held", &[&bearer(KEY)]));
    upstream.wait_for(1);
    let began = Instant::now();
    assert_eq!(gateway.get("/x", KEY).verdict(), "503 overloaded");
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
    held.wait();
    assert_eq!(first.response().status(), 200);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    gateway.wait_recorded("acme", &[("completed", 2, 2), ("unsent", 1, 0)]);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn caller_that_leaves_the_queue_leaves_its_place_to_the_next() {
    let (upstream, held) = holding();
    let lines = "connections = 1\nqueue = { length = 1, timeout = \"30s\" }";
    let gateway = start(&[upstream.address()], lines);
    let mut first = gateway.client();
    first.send(head("GET", "/held", &[&bearer(KEY)]));
    upstream.wait_for(1);
    for _ in 0..3 {
        let mut leaves = gateway.client();
        leaves.send(head("GET", "/x", &[&bearer(KEY)]));
        wait_for("a request in the queue", || (waiting(&gateway) == 1.0).then_some(()));
        drop(leaves);
        wait_for("an empty queue", || (waiting(&gateway) == 0.0).then_some(()));
    }
    held.wait();
    assert_eq!(first.response().status(), 200);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    gateway.wait_recorded("acme", &[("completed", 2, 2), ("unsent", 3, 0)]);
}

/// Many callers of several workers share few connections: all are served, never more at once than there
/// may be, and the connections are used again.
#[test]
fn all_workers_together_keep_to_the_limit() {
    const MOST: usize = 3;
    let (now, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (at_once, highest) = (Arc::clone(&now), Arc::clone(&peak));
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        highest.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1));
        at_once.fetch_sub(1, Ordering::SeqCst);
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let lines = format!("connections = {MOST}\nqueue = {{ timeout = \"30s\" }}");
    let gateway = start_with_workers(&upstream, 2, &lines);
    let address = gateway.running().address();
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..50 {
                    assert_eq!(client.get("/x", KEY).status(), 200);
                }
            });
        }
    });
    gateway.wait_recorded("acme", &[("completed", 600, 600)]);
    let (peak, opened) = (peak.load(Ordering::SeqCst), upstream.connections());
    println!("{peak} at once, {opened} connections for 600 requests");
    assert!(peak <= MOST, "{peak} at once");
    assert!(opened <= 300, "{opened} connections for 600 requests");
    assert!(upstream.connections() - upstream.closed() <= MOST);
}

/// A connection that one worker has and does not use is given up for another's request.
#[test]
fn no_worker_keeps_to_itself_what_another_waits_for() {
    let upstream = Upstream::ok();
    let lines = "connections = 1\nkeepalive_timeout = \"60s\"\nqueue = { timeout = \"30s\" }";
    let gateway = start_with_workers(&upstream, 2, lines);
    // The acceptor gives each worker one.
    let mut clients = [gateway.client(), gateway.client()];
    let began = Instant::now();
    for _ in 0..20 {
        for client in &mut clients {
            assert_eq!(client.get("/x", KEY).status(), 200);
        }
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(upstream.connections(), 40, "the two share none");
    gateway.wait_used("acme", 40);
}

#[test]
fn websocket_holds_its_connection_as_long_as_it_lasts() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        if exchange.request().field("upgrade").is_none() {
            exchange.send(OK)?;
            return Ok(Then::KeepAlive);
        }
        exchange.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        )?;
        Ok(Then::Silence)
    });
    let lines = "connections = 1\nqueue = { length = 0 }";
    let gateway = start(&[upstream.address()], lines);
    let mut socket = gateway.client();
    let key = bearer(KEY);
    let fields = [
        &*key,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    socket.send(head("GET", "/x", &fields));
    assert_eq!(socket.head().status, 101);
    assert_eq!(gateway.get("/x", KEY).verdict(), "503 overloaded");
    drop(socket);
    wait_for("the connection to be free", || {
        (gateway.get("/x", KEY).status() == 200).then_some(())
    });
}

#[test]
fn another_endpoint_takes_what_one_has_no_room_for() {
    let ((one, held), other) = (holding(), Upstream::ok());
    let lines = "connections = 1\nqueue = { length = 0 }";
    let gateway = start(&[one.address(), other.address()], lines);
    let mut first = gateway.client();
    first.send(head("GET", "/held", &[&bearer(KEY)]));
    one.wait_for(1);
    for _ in 0..4 {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
    }
    held.wait();
    assert_eq!(first.response().status(), 200);
    gateway.wait_recorded("acme", &[("completed", 5, 5)]);
}
