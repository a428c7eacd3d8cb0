//! WebSockets on streams of HTTP/2 whose messages or time are paid for, and clients there that take nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use h2::client::Builder;
use tokio::time::Instant;

use super::{
    NOW, frame, recorder_that,
    streams::{accept, ask, open},
    tables, tables_by, text,
};
use crate::{
    http2::caller::Caller,
    support::{Gateway, Upstream, wait_until_equal},
};

#[test]
fn each_message_is_charged_and_one_beyond_the_quota_ends_it() {
    let (upstream, received) = recorder_that(accept);
    let gateway = Gateway::start_at(NOW, &tables_by("message", [""; 3]), &upstream);
    let caller = Caller::open(&gateway);
    let mut socket = open(&caller);
    assert_eq!(socket.head.field("faregate-cost"), Some("0"));
    assert_eq!(gateway.used("acme"), (0, 0));
    let (mut all, mut used) = (Vec::new(), 0);
    let fragments = [frame(0x01, 3), frame(0x89, 4), frame(0x80, 20_000)].concat();
    for (frames, messages) in
        [(text(5), 1), (frame(0x8a, 0), 0), (fragments, 1), ([text(0), text(70_000)].concat(), 2)]
    {
        socket.upload.send(frames.clone(), false);
        assert!(socket.exactly(&caller, frames.len()) == frames, "all of it comes back");
        all.extend(frames);
        used += 2 * messages;
        assert_eq!(gateway.used("acme"), (used, 0));
    }
    socket.upload.send(text(1), false);
    assert!(socket.exactly(&caller, text(1).len()) == text(1));
    all.extend(text(1));
    socket.upload.send(text(2), false);
    assert_eq!(socket.closed(&caller), (1008, "quota_exceeded".to_owned()));
    received.wait_ended(&all, 1008, "quota_exceeded");
    gateway.wait_recorded("acme", &[("completed", 5, 10), ("uncharged", 1, 0)]);
    assert_eq!(gateway.used("acme"), (10, 0));
    // Who cannot pay for one message opens none.
    let answer = caller.response(ask(&caller, "/chat", &[])).unwrap();
    assert_eq!(answer.verdict(), "402 quota_exceeded");
    assert_eq!((upstream.count(), gateway.used("acme")), (1, (10, 0)));
}

#[test]
fn each_stretch_of_time_is_charged_and_the_last_ends_it() {
    let (upstream, received) = recorder_that(accept);
    let tables = tables_by("1s", [""; 3]).replace("limit = 10", "limit = 6");
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let caller = Caller::open(&gateway);
    let begun = Instant::now();
    let mut socket = open(&caller);
    assert_eq!(socket.head.field("faregate-cost"), Some("2"));
    for length in 0..20 {
        socket.upload.send(text(length), false);
        socket.exactly(&caller, text(length).len());
    }
    assert_eq!(gateway.used("acme"), (0, 2));
    wait_until_equal(|| gateway.used("acme"), &(2, 2));
    wait_until_equal(|| gateway.used("acme"), &(4, 2));
    assert_eq!(socket.closed(&caller), (1008, "quota_exceeded".to_owned()));
    let lasted = begun.elapsed();
    assert!(lasted >= Duration::from_secs(3), "what was paid for is served: {lasted:?}");
    let said: Vec<u8> = (0..20).flat_map(text).collect();
    received.wait_ended(&said, 1008, "quota_exceeded");
    gateway.wait_recorded("acme", &[("completed", 3, 6)]);
    assert_eq!(gateway.used("acme"), (6, 0));
    // The connection goes on.
    assert_eq!(caller.get("/chat", "wrong").verdict(), "401 invalid_api_key");
}

/// An upstream that says more than anybody takes; gives how many bytes it could get rid of.
fn flood() -> (Upstream, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&sent);
    let upstream = Upstream::start(move |exchange| {
        accept(exchange)?;
        let message = [b"\x82\x7e\x40\0".to_vec(), vec![b'x'; 0x4000]].concat();
        loop {
            exchange.send(&message)?;
            told.fetch_add(message.len(), Ordering::Relaxed);
        }
    });
    (upstream, sent)
}

/// What it does not take stays with the upstream, but for what windows and sockets hold; it pays for what it asked
/// for, and its silence ends it. Others on the connection are served meanwhile.
#[test]
fn client_that_takes_nothing_is_bounded_and_pays() {
    for (rule, said, charged) in [
        ("connection", 0, [("aborted", 1, 2)].as_slice()),
        ("message", 2, &[("completed", 2, 4), ("uncharged", 1, 0)]),
    ] {
        let (upstream, sent) = flood();
        let limits =
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\nlimits = { idle_timeout = \"1s\" }\n";
        let gateway =
            Gateway::start_at(NOW, &format!("{limits}{}", tables_by(rule, [""; 3])), &upstream);
        // What it does not take of one stream leaves room for others.
        let mut settings = Builder::new();
        settings.initial_window_size(1000);
        let caller = Caller::open_with(gateway.running().address(), &settings);
        let begun = Instant::now();
        let mut socket = open(&caller);
        for _ in 0..said {
            socket.upload.send(text(10), false);
        }
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(caller.get("/chat", "wrong").verdict(), "401 invalid_api_key");
        upstream.wait_closed(1);
        let (lasted, sent) = (begun.elapsed(), sent.load(Ordering::Relaxed));
        println!("{rule}: {lasted:?}, {sent} bytes");
        // A second of silence, and the five that `minimum_rate` leaves to take why it ends.
        assert!((1..9).contains(&lasted.as_secs()), "{lasted:?}");
        assert!(sent < 12 << 20, "{sent} bytes went somewhere");
        gateway.wait_recorded("acme", charged);
    }
}

/// The end of what it may do ends it too, though it takes nothing.
#[test]
fn client_that_takes_nothing_is_looked_at() {
    let (upstream, _sent) = flood();
    let mut gateway = Gateway::start_at(NOW, &tables(""), &upstream);
    let caller = Caller::open(&gateway);
    let socket = open(&caller);
    std::thread::sleep(Duration::from_millis(100));
    gateway.set_time("2026-12-01T00:00:00Z");
    let begun = Instant::now();
    upstream.wait_closed(1);
    // It has the five seconds that `minimum_rate` leaves to take why.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    drop(socket);
    gateway.wait_recorded("acme", &[("expired", 1, 2)]);
}
