//! Clients that show certificates.

use super::*;
use crate::support::client::{bearer, head};

fn lines(more: &str) -> String {
    format!(r#"tls = {{ cert = "tls.pem", key = "tls.pem", client_ca = "clients.pem"{more} }}"#)
}

/// A certificate that is required decides about the connection, and the upstream is told it.
#[test]
fn required_certificates_are_verified_and_told() {
    let (ours, theirs, others) =
        (Authority::new("ours"), Authority::new("theirs"), Authority::new("others"));
    let upstream = Upstream::ok();
    let files = [("tls.pem", &*ours.leaf(&["api.test"]).pem()), ("clients.pem", &*theirs.pem())];
    let gateway = start(&lines(""), &files, &upstream);
    let good = theirs.leaf(&["caller.test"]);
    let mut client = open(&gateway, &ours.client(Some(&good)), "api.test");
    // What a client says of itself is not believed.
    let fields =
        ["Host: api.test", &bearer(KEY), "Client-Cert: :AAAA:", "Client-Cert-Chain: :AAAA:"];
    assert_eq!(client.request("GET", "/x", &fields).status(), 200);
    let told = format!(":{}:", BASE64_STANDARD.encode(good.cert.der()));
    assert_eq!(upstream.last().all("client-cert"), [told]);
    assert_eq!(upstream.last().field("client-cert-chain"), None);
    for shown in [None, Some(others.leaf(&["caller.test"]))] {
        // In TLS 1.3 the client learns it with what it reads first.
        let refused =
            try_open(&gateway, &ours.client(shown.as_ref()), "api.test").and_then(|mut client| {
                client.try_send(head("GET", "/x", &fields))?;
                client.try_read()
            });
        assert!(refused.is_err(), "{refused:?}");
    }
    assert_eq!(upstream.count(), 1);
    gateway.wait_used("acme", 1);
}

#[test]
fn optional_certificates_must_be_good_where_they_are_shown() {
    let (ours, theirs, others) =
        (Authority::new("ours"), Authority::new("theirs"), Authority::new("others"));
    let upstream = Upstream::ok();
    let files = [("tls.pem", &*ours.leaf(&["api.test"]).pem()), ("clients.pem", &*theirs.pem())];
    let gateway = start(&lines(", client_auth = \"optional\""), &files, &upstream);
    let get = |shown: Option<Leaf>| {
        let mut client = try_open(&gateway, &ours.client(shown.as_ref()), "api.test")?;
        client.try_send(head("GET", "/x", &["Host: api.test", &bearer(KEY)]))?;
        client.try_read()
    };
    assert!(get(None).unwrap() > 0);
    assert_eq!(upstream.last().field("client-cert"), None);
    assert!(get(Some(theirs.leaf(&["caller.test"]))).unwrap() > 0);
    assert!(upstream.last().field("client-cert").is_some());
    assert!(get(Some(others.leaf(&["caller.test"]))).is_err());
    gateway.wait_used("acme", 2);
}

/// A change of trust holds from the next connection on, also for who could resume a session.
#[test]
fn trust_that_is_taken_back_is_not_resumed() {
    let (ours, theirs, others) =
        (Authority::new("ours"), Authority::new("theirs"), Authority::new("others"));
    let upstream = Upstream::ok();
    let files = [("tls.pem", &*ours.leaf(&["api.test"]).pem()), ("clients.pem", &*theirs.pem())];
    let gateway = start(&lines(""), &files, &upstream);
    let good = theirs.leaf(&["caller.test"]);
    let config = ours.client(Some(&good));
    for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let mut client = open(&gateway, &config, "api.test");
        assert_eq!(client.get("/x", KEY).status(), 200);
        assert_eq!(client.session().handshake_kind(), Some(kind));
        // What a resumed session has shown is known all the same.
        assert!(upstream.last().field("client-cert").is_some());
    }
    std::fs::write(gateway.directory().join("clients.pem"), others.pem()).unwrap();
    gateway.running().reload().unwrap();
    let refused = try_open(&gateway, &config, "api.test").and_then(|mut client| client.try_read());
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(upstream.count(), 2);
}
