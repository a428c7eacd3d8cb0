//! Requests within TLS: served and charged as in clear, and told to the upstream and the caller.

use std::{sync::Arc, time::Duration};

use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
use tokio::time::Instant;

use super::*;
use crate::support::{
    Then,
    client::{bearer, head},
};

#[test]
fn request_is_served_charged_and_told_as_https() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let mut client = open(&gateway, &ours.client(None), "api.test");
    for used in 1..=2 {
        assert_eq!(client.get("/x", KEY).status(), 200);
        gateway.wait_used("acme", used);
    }
    let seen = upstream.last();
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.field("client-cert"), None);
    assert_eq!(upstream.connections(), 1);
    // A refusal's links lead to where its caller is.
    let refused = client.request("GET", "/x", &["Host: api.test"]);
    assert_eq!(refused.verdict(), "401 missing_api_key");
    assert!(
        refused.json()["type"].as_str().unwrap().starts_with("https://api.test/"),
        "{refused:?}"
    );
    gateway.wait_used("acme", 2);
}

#[test]
fn both_versions_are_spoken_and_nothing_older() {
    use rustls::version::{TLS12, TLS13};
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let files = [("tls.pem", &*ours.leaf(&["api.test"]).pem())];
    let newest = r#"tls = { cert = "tls.pem", key = "tls.pem", min_version = "1.3" }"#;
    for (lines, version, is_spoken) in
        [(ONE, &TLS12, true), (ONE, &TLS13, true), (newest, &TLS12, false), (newest, &TLS13, true)]
    {
        let gateway = start(lines, &files, &upstream);
        let config = Arc::new(ours.client_speaking(&[version], None));
        match try_open(&gateway, &config, "api.test") {
            Ok(mut client) => {
                assert!(is_spoken);
                assert_eq!(client.session().protocol_version(), Some(version.version));
                assert_eq!(client.get("/x", KEY).status(), 200);
            }
            Err(error) => assert!(!is_spoken, "{error}"),
        }
    }
}

/// The order is ours, but for who would rather have ChaCha20 than all: that is a client without AES in its
/// hardware.
#[test]
fn suite_is_the_cheapest_that_both_have() {
    use rustls::{
        crypto::aws_lc_rs::cipher_suite::*,
        version::{TLS12, TLS13},
    };
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let [large, small, chacha] =
        [TLS13_AES_256_GCM_SHA384, TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256];
    let [older_large, older_small, older_chacha] = [
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    for (version, offered, chosen) in [
        (&TLS13, &[large, chacha, small][..], small),
        (&TLS13, &[small, large], small),
        (&TLS13, &[large, chacha], large),
        (&TLS13, &[chacha, large, small], chacha),
        (&TLS12, &[older_large, older_chacha, older_small], older_small),
        (&TLS12, &[older_large], older_large),
        (&TLS12, &[older_chacha, older_small], older_chacha),
    ] {
        let client = open(&gateway, &Arc::new(ours.client_offering(version, offered)), "api.test");
        let suite = client.session().negotiated_cipher_suite().unwrap();
        assert_eq!(suite.suite(), chosen.suite(), "{offered:?}");
    }
}

#[test]
fn who_begins_with_another_message_is_told_so_by_an_alert() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let finished: &[u8] = &[22, 3, 1, 0, 16, 20, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let change_of_cipher: &[u8] = &[20, 3, 1, 0, 1, 1];
    for message in [finished, change_of_cipher] {
        let mut client = gateway.client();
        client.send(message);
        assert_eq!(client.drain(), [21, 3, 3, 0, 2, 2, 10], "{message:?}");
    }
}

#[test]
fn exchange_of_keys_is_safe_from_quantum_computers_where_the_client_can() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let client = open(&gateway, &ours.client(None), "api.test");
    let group = client.session().negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
    assert_eq!(client.session().protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[test]
fn sessions_are_resumed_also_after_a_reload() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let config = ours.client(None);
    let kind = |client: &mut Client| {
        assert_eq!(client.get("/x", KEY).status(), 200);
        client.session().handshake_kind().unwrap()
    };
    // The client has a ticket once it has read an answer.
    assert_eq!(kind(&mut open(&gateway, &config, "api.test")), HandshakeKind::Full);
    assert_eq!(kind(&mut open(&gateway, &config, "api.test")), HandshakeKind::Resumed);
    gateway.running().reload().unwrap();
    assert_eq!(kind(&mut open(&gateway, &config, "api.test")), HandshakeKind::Resumed);
}

/// Who offers protocols and has none in common is refused, as curl would be with HTTP/1.0 if that were not
/// taken (RFC 7301 section 3.2).
#[test]
fn protocols_that_are_offered_are_those_that_are_spoken() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    for (offered, chosen) in [
        (&["http/1.1"][..], Some("http/1.1")),
        (&["http/1.0", "http/1.1"], Some("http/1.1")),
        (&["http/1.0"], Some("http/1.0")),
        (&["spdy/3"], None),
    ] {
        let mut config = ours.client_speaking(rustls::DEFAULT_VERSIONS, None);
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let opened = try_open(&gateway, &Arc::new(config), "api.test").ok();
        let protocol = opened.as_ref().map(|client| client.session().alpn_protocol().unwrap());
        assert_eq!(protocol, chosen.map(str::as_bytes), "{offered:?}");
        if let Some(mut client) = opened {
            assert_eq!(client.get("/x", KEY).status(), 200);
        }
    }
    assert_eq!(upstream.count(), 3);
}

/// As scanners and clients expect that have keys of another kind alone (RFC 8446 section 4.1.1).
#[test]
fn who_takes_no_key_of_ours_is_told_so() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    for (version, name) in
        [(&rustls::version::TLS12, "api.test"), (&rustls::version::TLS13, "other.test")]
    {
        let refused = try_open(&gateway, &Arc::new(ours.client_of_rsa(version)), name).err();
        let told = refused.map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains("HandshakeFailure"), "{version:?}: {told}");
    }
}

/// What comes before the handshake is over could be sent again by who saw it go by (RFC 8446 section 8), so no
/// client is offered to send any.
#[test]
fn nobody_can_send_early_data() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let mut config = ours.client_speaking(&[&rustls::version::TLS13], None);
    config.enable_early_data = true;
    let config = Arc::new(config);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut client = open(&gateway, &config, "api.test");
        assert_eq!(client.session().handshake_kind(), Some(kind));
        assert!(!client.session().is_early_data_accepted());
        assert_eq!(client.get("/x", KEY).status(), 200);
    }
    // It has another ticket by now, which says how much may come early.
    let name = "api.test".try_into().unwrap();
    let mut next = rustls::ClientConnection::new(config, name).unwrap();
    assert!(next.early_data().is_none());
}

#[test]
fn each_host_has_its_certificate_and_requests_for_another_are_misdirected() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let lines = r#"tls.certificates = [
        { cert = "a.pem", key = "a.pem" },
        { cert = "b.pem", key = "b.pem" },
    ]"#;
    let (a, b) = (ours.leaf(&["a.test", "www.a.test"]), ours.leaf(&["*.b.test"]));
    let gateway = start(lines, &[("a.pem", &a.pem()), ("b.pem", &b.pem())], &upstream);
    let config = ours.client(None);
    // Who asks for neither is shown the first, and believes it only for its own names.
    for (name, is_shown) in [
        ("a.test", true),
        ("www.a.test", true),
        ("x.b.test", true),
        ("b.test", false),
        ("x.y.b.test", false),
    ] {
        assert_eq!(try_open(&gateway, &config, name).is_ok(), is_shown, "{name}");
    }
    let key = bearer(KEY);
    for (name, host, verdict) in [
        ("a.test", "a.test", "200"),
        ("a.test", "WWW.a.test:8402", "200"),
        ("a.test", "x.b.test", "421 misdirected_request"),
        ("x.b.test", "y.b.test", "200"),
        ("x.b.test", "a.test", "421 misdirected_request"),
        // It is nobody's, so it is no other's.
        ("a.test", "other.test", "200"),
    ] {
        let before = upstream.count();
        let mut client = open(&gateway, &config, name);
        let answer = client.request("GET", "/x", &[&format!("Host: {host}"), &key]);
        assert_eq!(answer.verdict(), verdict, "{name} {host}");
        assert_eq!(upstream.count() - before, usize::from(verdict == "200"));
    }
    gateway.wait_used("acme", 4);
}

#[test]
fn who_speaks_in_clear_is_told() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let mut client = gateway.client();
    let refused = client.get("/x", KEY);
    assert_eq!(refused.verdict(), "400 invalid_request");
    assert_eq!(refused.json()["detail"], "This listener speaks TLS: write https://.");
    client.expect_closed();
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
}

#[test]
fn browsers_are_told_to_remember_within_tls_alone() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let lines = r#"tls = { cert = "tls.pem", key = "tls.pem", hsts = "365d" }"#;
    let gateway = start(lines, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let mut client = open(&gateway, &ours.client(None), "api.test");
    for key in [KEY, "wrong"] {
        let answer = client.get("/x", key);
        assert_eq!(answer.field("strict-transport-security"), Some("max-age=31536000"));
    }
    assert_eq!(gateway.get("/x", KEY).field("strict-transport-security"), None);
}

#[test]
fn callers_in_clear_are_sent_to_the_same_place_within_tls() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let lines = r#"tls = { cert = "tls.pem", key = "tls.pem", redirect = "127.0.0.1:0" }"#;
    let gateway = start(lines, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let port = gateway.running().address().port();
    let address = gateway.running().redirect_addresses()[0];
    let ask = |target: &str, host: &str| {
        Client::connect(address).request("POST", target, &[host, &bearer(KEY)])
    };
    let answer = ask("/a/b?c=d", "Host: API.test:80");
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.field("location").unwrap(), format!("https://api.test:{port}/a/b?c=d"));
    for host in ["Host: a@b", "Host: a/b", "Host: "] {
        assert_eq!(ask("/x", host).status(), 400, "{host}");
    }
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
}

/// Records that the system had no room for go when there is some, also behind the last byte.
#[test]
fn large_bodies_pass_both_ways() {
    const BYTES: usize = 9_000_000;
    let ours = Authority::new("ours");
    let body: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let answered = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
    let answer = [answered.into_bytes(), body.clone()].concat();
    let upstream = Upstream::start(move |connection| {
        connection.read_body()?;
        connection.send(&answer)?;
        Ok(Then::KeepAlive)
    });
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let mut client = open(&gateway, &ours.client(None), "api.test");
    for _ in 0..2 {
        let length = format!("Content-Length: {BYTES}");
        let head = head("POST", "/x", &["Host: api.test", &bearer(KEY), &length]);
        client.send(head);
        client.send(&body);
        // The answer waits for its reader.
        std::thread::sleep(Duration::from_millis(200));
        let response = client.response();
        assert!(response.whole && response.body == body);
        assert_eq!(upstream.last().body_bytes, BYTES as u64);
    }
}

/// The end of an answer that ends with its connection is told (RFC 9112 section 9.8).
#[test]
fn end_of_a_connection_is_told_within_tls() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let mut client = open(&gateway, &ours.client(None), "api.test");
    let closing = ["Host: api.test", &bearer(KEY), "Connection: close"];
    assert_eq!(client.request("GET", "/x", &closing).status(), 200);
    assert_eq!(client.try_read().unwrap(), 0);
}

/// A connection that says nothing, or the half of a handshake, ends with the time of a head; and one more than
/// there are places for waits for one.
#[test]
fn handshakes_are_bounded_in_time_and_number() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let lines = "limits = { header_timeout = \"1s\", handshakes = 2 }\ntls = { cert = \"tls.pem\", key = \"tls.pem\" }";
    let gateway = start(lines, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    let begun = Instant::now();
    let mut stuck: Vec<Client> = (0..2).map(|_| gateway.client()).collect();
    stuck[1].send([0x16, 3, 1, 2, 0, 1]);
    std::thread::sleep(Duration::from_millis(300));
    let mut client = open(&gateway, &ours.client(None), "api.test");
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(client.get("/x", KEY).status(), 200);
    stuck.iter_mut().for_each(Client::expect_closed);
}
