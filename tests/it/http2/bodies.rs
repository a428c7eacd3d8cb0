//! Bodies: large ones, slow ones, many at once, and how much of them is held.

use std::{fs, time::Duration};

use faregate::model::KeyDigest;

use super::{
    COST, assert_ended,
    caller::{Caller, keyed},
    raw::{self, DATA, HEADERS, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, frame},
    start,
};
use crate::{
    process::{self, free_address},
    support::{Exchange, KEY, Then, Upstream, upstream::OK},
};

const REFUSED_STREAM: u32 = 7;

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

#[test]
fn large_bodies_pass_both_ways_at_once() {
    const BYTES: usize = 5_000_000;
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
        exchange.send(head)?;
        exchange.send(bytes(BYTES))?;
        Ok(Then::KeepAlive)
    });
    let gateway = start("", &upstream);
    // Room for all answers, since they are read one after the other.
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(8 << 20).initial_connection_window_size(64 << 20);
    let caller = Caller::open_with(gateway.running().address(), &settings);
    let calls: Vec<_> = (0..4)
        .map(|number| {
            let mut call = caller.begin("POST", "/paid/x", &keyed(), false);
            call.send(bytes(BYTES + number), true);
            call
        })
        .collect();
    for call in calls {
        let (response, broken) = caller.response_or_reset(call).unwrap();
        assert_eq!((response.body.len(), broken), (BYTES, None));
        assert!(response.body == bytes(BYTES));
    }
    let mut lengths: Vec<_> =
        upstream.requests().iter().map(|request| request.body_bytes as usize).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [BYTES, BYTES + 1, BYTES + 2, BYTES + 3]);
    assert_ended(&gateway, &[("completed", 4, 4 * COST)]);
}

/// No piece of an answer goes beyond the client's window, and all of it comes as that opens.
#[test]
fn answer_waits_for_its_window() {
    let upstream = Upstream::ok();
    let gateway = start("", &upstream);
    let mut raw = Raw::open_with(gateway.running().address(), &[(4, 0)]);
    raw.send(raw::get(1, "/paid/x"));
    assert_eq!(raw.answer(1).unwrap().kind, HEADERS);
    for (byte, is_last) in [(b"o", false), (b"k", false), (b"\n", true)] {
        raw.send(frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()));
        let data = loop {
            let frame = raw.frame().unwrap();
            if frame.kind == DATA {
                break frame;
            }
        };
        assert_eq!((&data.payload[..], data.flags & 1 == 1), (&byte[..], is_last));
    }
    assert_ended(&gateway, &[("completed", 1, COST)]);
}

/// As many streams as the configuration says, which the client is told; one more is refused, may be sent again,
/// and costs nothing.
#[test]
fn streams_beyond_the_limit_are_refused_and_charge_nothing() {
    for (limits, count) in [("", 100), ("streams = 3", 3)] {
        let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
            std::thread::sleep(Duration::from_millis(500));
            exchange.send(OK)?;
            Ok(Then::KeepAlive)
        });
        let gateway = start(limits, &upstream);
        let mut raw = Raw::open(gateway.running().address());
        let settings = raw.frame().unwrap();
        let told = settings
            .payload
            .chunks(6)
            .map(|pair| (pair[1], u32::from_be_bytes(pair[2..].try_into().unwrap())));
        let told: Vec<_> = told.collect();
        assert_eq!(settings.kind, SETTINGS);
        assert!(told.contains(&(3, count)), "{told:?}");
        assert!(told.contains(&(8, 1)), "extended CONNECT (RFC 8441 section 3): {told:?}");
        let stream = |number: u32| 2 * number + 1;
        for number in 0..=count {
            raw.send(raw::get(stream(number), "/paid/x"));
        }
        let refused = raw.answer(stream(count)).unwrap();
        assert_eq!((refused.kind, refused.reason()), (RST_STREAM, REFUSED_STREAM));
        gateway.wait_used("acme", u64::from(count) * COST);
        raw.send(raw::get(stream(count + 1), "/paid/x"));
        assert_eq!(raw.answer(stream(count + 1)).unwrap().kind, HEADERS);
        let all = u64::from(count) + 1;
        assert_ended(&gateway, &[("completed", all, all * COST)]);
        assert_eq!(upstream.count() as u64, all);
    }
}

/// Uploads that nobody reads hold no more than the window of each, and leave room for others on their
/// connection.
#[test]
fn uploads_that_are_stuck_leave_room_for_others() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        if exchange.request().target() == "/paid/stuck" {
            std::thread::sleep(Duration::from_secs(8));
            return Ok(Then::Close);
        }
        exchange.read_body()?;
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let gateway = start("", &upstream);
    let caller = Caller::open(&gateway);
    let mut stuck = Vec::new();
    for _ in 0..10 {
        let mut call = caller.begin("POST", "/paid/stuck", &keyed(), false);
        call.send(bytes(8_000_000), true);
        stuck.push(call);
    }
    upstream.wait_for(10);
    std::thread::sleep(Duration::from_millis(300));
    let answer = caller.request("POST", "/paid/x", &keyed(), &bytes(1_000_000));
    assert_eq!(answer.status(), 200);
    stuck.into_iter().for_each(super::caller::Call::reset);
    assert_ended(&gateway, &[("abandoned", 10, 10 * COST), ("completed", 1, COST)]);
}

/// A small answer does not wait for the end of large ones on the same connection.
#[test]
fn small_answer_passes_large_ones() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        if exchange.request().target() == "/paid/large" {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")?;
            loop {
                exchange.send(vec![b'x'; 1 << 20])?;
            }
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let gateway = start("", &upstream);
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(1 << 20).initial_connection_window_size(64 << 20);
    let caller = Caller::open_with(gateway.running().address(), &settings);
    let mut large = Vec::new();
    for _ in 0..5 {
        let (_, body) = caller.head(caller.begin("GET", "/paid/large", &keyed(), true)).unwrap();
        large.push(body);
    }
    for _ in 0..3 {
        let (some, body) = caller.some(large.remove(0));
        assert!(some.is_some_and(|some| !some.is_empty()));
        large.push(body);
        assert_eq!(caller.get("/paid/x", KEY).text(), "ok\n");
    }
    drop(large);
    assert_ended(&gateway, &[("aborted", 5, 5 * COST), ("completed", 3, 3 * COST)]);
}

/// Bodies far larger than what may be held pass both ways, past a side that stops for a while: what is held of
/// them is little. The real program is measured from outside.
#[test]
fn large_bodies_pass_in_little_memory() {
    const BYTES: usize = 32 << 20;
    const GROWTH_KIB: u64 = 8 << 10;
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        // The client must be held up meanwhile, not its body stored.
        std::thread::sleep(Duration::from_millis(500));
        exchange.read_body()?;
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n"))?;
        exchange.send(vec![b'x'; BYTES])?;
        Ok(Then::KeepAlive)
    });
    let directory = tempfile::tempdir().unwrap();
    let (address, admin) = (free_address(), free_address());
    let file = format!(
        "[server]\nlisten = \"{address}\"\nlimits = {{ body_bytes = \"1GiB\" }}\n\n\
         [admin]\nlisten = \"{admin}\"\n\n\
         [upstreams.api]\nurl = \"http://{}\"\n\n\
         [[routes]]\npath = \"/x\"\nupstream = \"api\"\n\n\
         [plans.all]\n\n[customers.acme]\nplan = \"all\"\nkeys = [\"{}\"]\n",
        upstream.address(),
        KeyDigest::of(KEY.as_bytes()),
    );
    fs::write(directory.path().join("faregate.toml"), file).unwrap();
    let gateway = process::Gateway::start(directory.path(), address, admin);
    // A window that would let all of it in, if the gateway took it.
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
    let caller = Caller::open_with(address, &settings);
    assert_eq!(caller.request("GET", "/none", &keyed(), b"").status(), 404);
    let before = gateway.peak_memory_kib();
    let mut call = caller.begin("POST", "/x", &keyed(), false);
    call.send(vec![b'x'; BYTES], true);
    let response = caller.response(call).unwrap();
    assert!(response.whole && response.body.len() == BYTES);
    let peak = gateway.peak_memory_kib();
    assert!(
        peak.saturating_sub(before) <= GROWTH_KIB,
        "{before} KiB at first, {peak} KiB at the most"
    );
}
