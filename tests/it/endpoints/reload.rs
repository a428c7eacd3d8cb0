//! Reloads that take endpoints away: what is in flight ends as it would have, and nobody notices.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{start, tables};
use crate::support::{
    Client, Exchange, KEY, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
    wait_for,
};

#[test]
fn callers_notice_nothing_of_endpoints_that_come_and_go() {
    let upstreams = [Upstream::ok(), Upstream::ok(), Upstream::ok()];
    let all = upstreams.each_ref().map(Upstream::address);
    let gateway = start(&all, "");
    let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = gateway.running().address();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) && served.load(Ordering::Relaxed) < 900 {
                    assert_eq!(client.get("/x", KEY).status(), 200);
                    served.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }
        for round in 0..8 {
            let others: Vec<_> = all.iter().skip(1).copied().collect();
            let now = if round % 2 == 0 { &others[..] } else { &all[..] };
            gateway.write(&tables(now, ""));
            gateway.running().reload().unwrap();
            let (_, before) = (std::thread::sleep(Duration::from_millis(20)), upstreams[1].count());
            wait_for("further requests", || (upstreams[1].count() > before).then_some(()));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let served = served.load(Ordering::Relaxed);
    println!("{served} requests through 8 reloads");
    gateway.wait_recorded("acme", &[("completed", served, served)]);
    assert_eq!(upstreams.iter().map(Upstream::count).sum::<usize>() as u64, served);
}

#[test]
fn unused_connections_of_who_is_gone_close_at_once() {
    let (goes, stays) = (Upstream::ok(), Upstream::ok());
    let lines = "keepalive_timeout = \"60s\"";
    let gateway = start(&[goes.address(), stays.address()], lines);
    let mut client = gateway.client();
    for _ in 0..4 {
        assert_eq!(client.get("/x", KEY).status(), 200);
    }
    assert_eq!((goes.connections(), goes.closed()), (1, 0));
    gateway.write(&tables(&[stays.address()], lines));
    gateway.running().reload().unwrap();
    // Nobody asks anything meanwhile.
    goes.wait_closed(1);
    assert_eq!(client.get("/x", KEY).status(), 200);
    assert_eq!((stays.connections(), stays.closed()), (1, 0), "the other's is used again");
    gateway.wait_used("acme", 5);
}

#[test]
fn what_is_in_flight_at_who_is_gone_ends_as_it_would_have() {
    let barrier = Arc::new(Barrier::new(2));
    let held = Arc::clone(&barrier);
    let goes = Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        if exchange.request().field("upgrade").is_some() {
            exchange.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")?;
            let said = exchange.read_some()?;
            exchange.send(said)?;
            return Ok(Then::Silence);
        }
        held.wait();
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let stays = Upstream::ok();
    let gateway = start(&[goes.address()], "");
    let mut caller = gateway.client();
    caller.send(head("GET", "/held", &[&bearer(KEY)]));
    goes.wait_for(1);
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

    gateway.write(&tables(&[stays.address()], ""));
    gateway.running().reload().unwrap();
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    assert_eq!(stays.count(), 1);
    // Longer than unused connections are looked at.
    std::thread::sleep(Duration::from_millis(1200));
    barrier.wait();
    let response = caller.response();
    assert_eq!((response.status(), response.text()), (200, "ok\n"));
    // A masked frame of two bytes.
    let frame = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];
    socket.send(frame);
    assert_eq!(socket.exactly(frame.len()), frame);
    drop(socket);
    // The held one's connection is of no use to anybody.
    goes.wait_closed(2);
    gateway.wait_used("acme", 3);
}
