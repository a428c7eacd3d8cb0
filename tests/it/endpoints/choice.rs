//! Which endpoint is asked, and who takes what could not be sent.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::{metric, moody, start};
use crate::support::{
    KEY, Then, Upstream,
    client::{bearer, head},
    upstream::Full,
    wait_for,
};

#[test]
fn equals_are_asked_in_turn_and_told_their_own_host() {
    let upstreams = [Upstream::ok(), Upstream::ok(), Upstream::ok()];
    let gateway = start(&upstreams.each_ref().map(Upstream::address), "");
    let mut client = gateway.client();
    for _ in 0..9 {
        assert_eq!(client.get("/x", KEY).status(), 200);
    }
    for upstream in &upstreams {
        assert_eq!(upstream.count(), 3);
        let own = upstream.address().to_string();
        assert_eq!(upstream.last().field("host"), Some(&*own));
    }
    gateway.wait_used("acme", 9);
}

#[test]
fn the_one_with_the_least_in_flight_is_asked() {
    let held = Upstream::answering("", Then::Silence);
    let free = Upstream::ok();
    let gateway = start(&[held.address(), free.address()], "");
    let mut waiting = gateway.client();
    waiting.send(head("GET", "/x", &["Host: a", &bearer(KEY)]));
    held.wait_for(1);
    for _ in 0..4 {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
    }
    assert_eq!((held.count(), free.count()), (1, 4));
}

#[test]
fn another_takes_what_could_not_be_sent_and_it_is_charged_once() {
    let upstream = Upstream::ok();
    let nowhere = Upstream::nowhere();
    let gateway = start(&[nowhere, upstream.address()], "");
    for _ in 0..6 {
        let mut client = gateway.client();
        let fields = ["Host: a", &bearer(KEY), "Content-Length: 5"];
        client.send(head("POST", "/x", &fields) + "hello");
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(upstream.count(), 6);
    let own = upstream.address().to_string();
    for received in upstream.requests() {
        assert_eq!(received.field("host"), Some(&*own));
        assert_eq!(received.body, b"hello");
    }
    gateway.wait_recorded("acme", &[("completed", 6, 6)]);
    // Then it is left out.
    let unreachable = metric(&gateway, "requests_total", &[&nowhere.to_string(), "unreachable"]);
    assert_eq!(unreachable, Some(3.0));
}

#[test]
fn another_takes_what_waits_for_a_connection_in_vain() {
    let (full, upstream) = (Full::new(), Upstream::ok());
    let gateway = start(&[full.address(), upstream.address()], "connect_timeout = \"600ms\"");
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(gateway.get("/x", KEY).status(), 200);
        // Half of the time is for the other.
        assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
    }
    assert_eq!(upstream.count(), 2);
    let timeouts =
        metric(&gateway, "requests_total", &[&full.address().to_string(), "unreachable"]);
    assert_eq!(timeouts, Some(2.0));
    gateway.wait_recorded("acme", &[("completed", 2, 2)]);
}

#[test]
fn callers_own_host_is_kept_when_another_takes_it() {
    let upstream = Upstream::ok();
    let gateway = start(&[Upstream::nowhere(), upstream.address()], "host = \"preserve\"");
    for _ in 0..2 {
        let fields = ["Host: api.example.com", &bearer(KEY)];
        assert_eq!(gateway.request("GET", "/x", &fields).status(), 200);
    }
    for received in upstream.requests() {
        assert_eq!(received.field("host"), Some("api.example.com"));
    }
    gateway.wait_used("acme", 2);
}

#[test]
fn what_was_sent_is_not_sent_again() {
    let (bad, _) = moody();
    let good = Upstream::ok();
    let gateway = start(&[bad.address(), good.address()], "");
    assert_eq!(gateway.get("/x", KEY).verdict(), "502 upstream_error");
    assert_eq!((bad.count(), good.count()), (1, 0));
    gateway.wait_used("acme", 0);
}

#[test]
fn one_that_dies_is_left_out_and_comes_back() {
    let (moody, is_bad) = moody();
    let good = Upstream::ok();
    let gateway = start(&[moody.address(), good.address()], "");
    let mut client = gateway.client();
    let statuses: Vec<_> = (0..12).map(|_| client.get("/x", KEY).status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 3, "{statuses:?}");
    assert_eq!(moody.count(), 3);
    gateway.wait_used("acme", 9);

    is_bad.store(false, Ordering::SeqCst);
    wait_for("the endpoint that comes back", || {
        assert_eq!(client.get("/x", KEY).status(), 200);
        (moody.count() > 3).then_some(())
    });
}

#[test]
fn one_that_hangs_is_left_out() {
    let hanging = Upstream::answering("", Then::Silence);
    let good = Upstream::ok();
    let gateway = start(&[hanging.address(), good.address()], "response_timeout = \"100ms\"");
    let statuses: Vec<_> = (0..10).map(|_| gateway.get("/x", KEY).status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 504).count(), 3, "{statuses:?}");
    assert_eq!((hanging.count(), good.count()), (3, 7));
    gateway.wait_used("acme", 7);
}

#[test]
fn all_dead_is_a_fault_that_is_not_charged() {
    let gateway = start(&[Upstream::nowhere(), Upstream::nowhere()], "");
    for _ in 0..8 {
        let response = gateway.get("/x", KEY);
        assert_eq!(response.verdict(), "502 upstream_error");
    }
    gateway.wait_recorded("acme", &[("unsent", 8, 0)]);
    gateway.wait_used("acme", 0);
}
