//! Reloads that change whom to believe and what is shown, and those that do not.

use std::{fs, time::Duration};

use super::*;
use crate::support::wait_for;

#[test]
fn reload_that_changes_nothing_of_it_leaves_connections_in_use() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let front = Front::start(ours.leaf(&["api.test"]).server(), &upstream);
    let gateway = start(&front, NAMED, &[("ca.pem", &ours.pem())]);
    for _ in 0..3 {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
        gateway.running().reload().unwrap();
    }
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    assert_eq!(front.seen().len(), 1);
    gateway.wait_used("acme", 4);
}

/// A connection that was made by the trust of before is of no use, and neither is a session.
#[test]
fn who_is_believed_no_more_gets_nothing_more() {
    let (ours, next, upstream) = (Authority::new("ours"), Authority::new("next"), Upstream::ok());
    let front = Front::start(ours.leaf(&["api.test"]).server(), &upstream);
    let lines = format!("{NAMED}\nkeepalive_timeout = \"60s\"");
    let gateway = start(&front, &lines, &[("ca.pem", &ours.pem())]);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    fs::write(gateway.directory().join("ca.pem"), next.pem()).unwrap();
    gateway.running().reload().unwrap();
    assert_eq!(gateway.get("/x", KEY).verdict(), "502 upstream_error");
    assert_eq!((front.handshakes().len(), upstream.count()), (1, 1));
    // Nobody keeps it.
    upstream.wait_closed(1);
    front.set(next.leaf(&["api.test"]).server());
    // One that could not be reached is tried four times a second at most.
    wait_for("the upstream that is believed", || {
        (gateway.get("/x", KEY).status() == 200).then_some(())
    });
    gateway.wait_used("acme", 2);
}

/// One connection at a time: who waits for it is not given one of another trust.
#[test]
fn who_waits_is_given_no_connection_of_another_trust() {
    let (ours, next) = (Authority::new("ours"), Authority::new("next"));
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let upstream = Upstream::start(move |exchange| {
        exchange.read_body()?;
        if exchange.request().target() == "/held" {
            held.lock().unwrap().recv().unwrap();
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let front = Front::start(ours.leaf(&["api.test"]).server(), &upstream);
    let lines = format!("{NAMED}\nconnections = 1\nqueue = {{ length = 10, timeout = \"9s\" }}");
    let gateway = start(&front, &lines, &[("ca.pem", &ours.pem())]);
    let mut first = gateway.client();
    first.send(crate::support::client::head(
        "GET",
        "/held",
        &[&crate::support::client::bearer(KEY)],
    ));
    upstream.wait_for(1);
    fs::write(gateway.directory().join("ca.pem"), next.pem()).unwrap();
    front.set(next.leaf(&["api.test"]).server());
    gateway.running().reload().unwrap();
    let mut second = gateway.client();
    second.send(crate::support::client::head("GET", "/x", &[&crate::support::client::bearer(KEY)]));
    wait_for("a request that waits", || {
        (metric(&gateway, "faregate_upstream_waiting_requests", "api") == Some(1.0)).then_some(())
    });
    release.send(()).unwrap();
    assert_eq!((first.response().status(), second.response().status()), (200, 200));
    assert_eq!(front.handshakes().len(), 2, "the second has a connection of its own");
    gateway.wait_used("acme", 2);
}

/// A renewed pair is taken by itself once it is whole, and is shown from the next connection on.
#[test]
fn renewed_pair_is_taken_and_half_of_one_is_not() {
    let (ours, gateways, upstream) = (Authority::new("ours"), Authority::new("us"), Upstream::ok());
    let front = Front::start(ours.leaf(&["api.test"]).server_for(&gateways), &upstream);
    let lines =
        r#"tls = { ca = "ca.pem", server_name = "api.test", cert = "us.crt", key = "us.key" }"#;
    let before = gateways.leaf(&["gateway.test"]);
    let files =
        [("ca.pem", &*ours.pem()), ("us.crt", &before.cert_pem()), ("us.key", &before.key_pem())];
    let gateway = start(&front, lines, &files);
    let write = |name: &str, text: &str| fs::write(gateway.directory().join(name), text).unwrap();
    let shown = || {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
        front.handshakes().pop().unwrap().shown.unwrap()
    };
    assert_eq!(shown(), before.cert.der().to_vec());
    let next = gateways.leaf(&["gateway.test"]);
    write("us.crt", &next.cert_pem());
    // Between the two there is no pair, however long that lasts.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(shown(), before.cert.der().to_vec());
    write("us.key", &next.key_pem());
    wait_for("the renewed certificate", || (shown() == next.cert.der().to_vec()).then_some(()));
    write("ca.pem", "nothing");
    let refused = gateway.running().reload().unwrap_err().to_string();
    assert!(refused.ends_with(": 1 error"), "{refused}");
    assert_eq!(shown(), next.cert.der().to_vec());
}
