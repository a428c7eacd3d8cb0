//! An upstream with several endpoints: the load is shared, a bad one is left out, and whatever
//! happens a call is made and charged once.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::support::{
    Exchange, Gateway, KEY, SMALL, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
    wait_for,
};

/// Starts a gateway before these addresses, with further lines for the upstream.
fn start(addresses: &[SocketAddr], lines: &str) -> Gateway {
    let urls: Vec<_> = addresses.iter().map(|address| format!("\"http://{address}\"")).collect();
    let given = format!("urls = [{}]\n{lines}", urls.join(", "));
    Gateway::start_with(&SMALL.replace("url = \"http://@UPSTREAM@\"", &given), None)
}

/// An upstream that closes each request without an answer while it is told so.
fn moody() -> (Upstream, Arc<AtomicBool>) {
    let is_bad = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&is_bad);
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        if told.load(Ordering::SeqCst) {
            return Ok(Then::Reset);
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    (upstream, is_bad)
}

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
    let page = gateway.admin_with("GET", "/metrics", &[], "");
    let line = |result: &str| {
        let found = page.text().lines().find(|line| {
            line.starts_with("faregate_upstream_requests_total")
                && line.contains(&nowhere.to_string())
                && line.contains(result)
        });
        found.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.to_owned())
    };
    // Then it is left out.
    assert_eq!(line("unreachable").as_deref(), Some("3"), "{}", page.text());
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
