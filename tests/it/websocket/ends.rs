//! How an open WebSocket ends, what both sides are told of it, and what it was charged.

use std::{sync::mpsc, time::Duration};

use super::{NOW, ask, closed, echo, gateway, open, recorder, tables, text, unmasked_close};
use crate::support::{Client, Gateway, KEY, Then, wait_for};

#[test]
fn key_that_is_revoked_ends_it() {
    let (gateway, upstream) = gateway(echo);
    let mut client = open(&gateway);
    let revoked = tables(r#", status = "revoked""#);
    gateway.write(&revoked.replace("@UPSTREAM@", &upstream.address().to_string()));
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    assert_eq!(closed(&mut client), (1008, "api_key_revoked".to_owned()));
    upstream.wait_closed(1);
    gateway.wait_recorded("acme", &[("completed", 1, 2)]);
}

#[test]
fn subscription_that_ends_ends_it() {
    let (mut gateway, upstream) = gateway(echo);
    let mut client = open(&gateway);
    client.expect_silence(Duration::from_millis(1200));
    gateway.set_time("2026-12-01T00:00:00Z");
    assert_eq!(closed(&mut client), (1008, "subscription_ended".to_owned()));
    upstream.wait_closed(1);
}

/// A frame of the upstream's that is begun comes whole before.
#[test]
fn end_stands_between_two_frames() {
    let (mut gateway, _upstream) = gateway(|exchange| {
        exchange.send(b"\x82\x04ab")?;
        // What tells it why it ends.
        exchange.read_some()?;
        std::thread::sleep(Duration::from_millis(300));
        exchange.send(b"cd")?;
        exchange.wait_for_close();
        Ok(Then::Close)
    });
    let mut client = open(&gateway);
    assert_eq!(client.exactly(4), b"\x82\x04ab");
    gateway.set_time("2026-12-01T00:00:00Z");
    assert_eq!(client.exactly(2), b"cd");
    assert_eq!(closed(&mut client), (1008, "subscription_ended".to_owned()));
}

/// Or else an upstream could serve a caller for ever who may not be served any longer.
#[test]
fn frame_that_does_not_end_is_cut() {
    let (mut gateway, upstream) = gateway(|exchange| {
        exchange.send(b"\x82\x7f\0\0\x01\0\0\0\0\0")?;
        loop {
            exchange.send("more")?;
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut client = open(&gateway);
    gateway.set_time("2026-12-01T00:00:00Z");
    let received = client.drain();
    assert!(received.ends_with(b"more"), "no frame is put into another");
    upstream.wait_closed(1);
    gateway.wait_recorded("acme", &[("expired", 1, 2)]);
}

/// What the client says goes no further from then on, also while it takes nothing itself.
#[test]
fn client_that_reads_nothing_is_ended_as_well() {
    let (told, ended) = mpsc::channel();
    let (mut gateway, _upstream) = gateway(move |exchange| {
        let mut sender = exchange.sender()?;
        std::thread::spawn(move || {
            let flood = [b"\x82\x7e\x40\0".to_vec(), vec![b'x'; 0x4000]].concat();
            while std::io::Write::write_all(&mut sender, &flood).is_ok() {}
        });
        let mut last = Vec::new();
        loop {
            let bytes = exchange.read_some()?;
            if bytes.is_empty() {
                told.send(last).unwrap();
                return Ok(Then::Close);
            }
            last.extend(bytes);
        }
    });
    let mut client = Client::connect_with_small_window(gateway.running().address());
    ask(&mut client, KEY, &[]);
    client.send(text(3));
    wait_for("a client that is held up", || client.has_answer().then_some(()));
    gateway.set_time("2026-12-01T00:00:00Z");
    let received = ended.recv_timeout(Duration::from_secs(4)).unwrap();
    let (said, last) = received.split_at(text(3).len());
    assert_eq!(said, text(3));
    assert_eq!(unmasked_close(last), Some((1008, "subscription_ended".to_owned())));
}

#[test]
fn upstream_is_told_why_it_ends() {
    let (upstream, received) = recorder();
    let mut gateway = Gateway::start_at(NOW, &tables(""), &upstream);
    let mut client = open(&gateway);
    super::say(&mut client, &text(5));
    gateway.set_time("2026-12-01T00:00:00Z");
    assert_eq!(closed(&mut client), (1008, "subscription_ended".to_owned()));
    received.wait_ended(&text(5), 1008, "subscription_ended");
    gateway.wait_recorded("acme", &[("completed", 1, 2)]);
}

/// Into a frame that the client has begun nothing is put.
#[test]
fn upstream_that_has_half_a_frame_is_told_nothing() {
    let (upstream, received) = recorder();
    let mut gateway = Gateway::start_at(NOW, &tables(""), &upstream);
    let mut client = open(&gateway);
    let half = &text(100)[..50];
    client.send(half);
    // The echo is a frame that ends in the client's hands.
    assert_eq!(client.exactly(50), half);
    gateway.set_time("2026-12-01T00:00:00Z");
    upstream.wait_closed(1);
    assert_eq!(received.get(), half);
}

#[test]
fn silence_ends_it_with_a_reason_on_both_sides() {
    let (upstream, received) = recorder();
    for limits in [
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\nlimits = { idle_timeout = \"700ms\" }",
        "",
    ] {
        let mut text = tables("");
        if limits.is_empty() {
            let idle = "url = \"http://@UPSTREAM@\"\nidle_timeout = \"700ms\"";
            text = text.replace("url = \"http://@UPSTREAM@\"", idle);
        }
        let gateway = Gateway::start_at(NOW, &format!("{limits}\n{text}"), &upstream);
        let mut client = open(&gateway);
        client.expect_silence(Duration::from_millis(400));
        assert_eq!(closed(&mut client), (1001, "idle timeout".to_owned()));
        received.wait_ended(b"", 1001, "idle timeout");
        gateway.wait_used("acme", 2);
        received.0.lock().unwrap().clear();
    }
}

#[test]
fn stop_ends_it_with_a_reason_at_once() {
    let (mut gateway, _upstream) = gateway(echo);
    let mut client = open(&gateway);
    let stopping = std::thread::spawn(move || {
        gateway.stop();
        gateway
    });
    assert_eq!(closed(&mut client), (1001, "shutting down".to_owned()));
    drop(client);
    let mut gateway = stopping.join().unwrap();
    gateway.restart();
    assert_eq!(gateway.used("acme"), (2, 0));
}

#[test]
fn upstream_that_goes_ends_it() {
    let (gateway, _upstream) = gateway(|exchange| {
        exchange.send(b"\x88\0")?;
        Ok(Then::Close)
    });
    let mut client = open(&gateway);
    assert_eq!(client.exactly(2), b"\x88\0");
    client.expect_closed();
    gateway.wait_recorded("acme", &[("completed", 1, 2)]);
}

#[test]
fn client_that_vanishes_is_charged() {
    let (gateway, upstream) = gateway(echo);
    open(&gateway).reset();
    upstream.wait_closed(1);
    wait_for("the charge", || (gateway.used("acme") == (2, 0)).then_some(()));
}
