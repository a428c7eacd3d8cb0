//! Calls by way of TLS: charged exactly, on connections that are kept, as HTTP/1.1 and as new as both can.

use rustls::{HandshakeKind, ProtocolVersion};

use super::*;
use crate::support::{client::bearer, wait_for};

#[test]
fn many_calls_take_few_connections_and_are_charged_exactly() {
    const CALLERS: usize = 4;
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let front = Front::start(ours.leaf(&["api.test"]).server(), &upstream);
    let gateway = start(&front, NAMED, &[("ca.pem", &ours.pem())]);
    let address = gateway.running().address();
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                for _ in 0..250 {
                    let answer = client.get("/x", KEY);
                    assert_eq!((answer.status(), answer.text()), (200, "ok\n"));
                }
            });
        }
    });
    gateway.wait_recorded("acme", &[("completed", 1000, 1000)]);
    assert_eq!(upstream.count(), 1000);
    let made = front.handshakes();
    assert!((1..=CALLERS).contains(&made.len()), "{}", made.len());
    let counted = handshakes(&gateway, "full").unwrap() + handshakes(&gateway, "resumed").unwrap();
    assert_eq!((counted, handshakes(&gateway, "failed")), (made.len() as f64, Some(0.0)));
    // One more is refused, as in clear, and goes nowhere.
    assert_eq!(gateway.get("/x", KEY).verdict(), "402 quota_exceeded");
    assert_eq!((upstream.count(), gateway.used("acme")), (1000, (1000, 0)));
}

#[test]
fn one_caller_has_one_connection_for_all_calls() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let front = Front::start(ours.leaf(&["api.test"]).server(), &upstream);
    let gateway = start(&front, NAMED, &[("ca.pem", &ours.pem())]);
    let mut client = gateway.client();
    for used in 1..=20 {
        assert_eq!(client.get("/x", KEY).status(), 200);
        gateway.wait_used("acme", used);
    }
    assert_eq!((front.seen().len(), upstream.connections()), (1, 1));
}

#[test]
fn name_protocol_and_exchange_of_keys_are_those_that_should_be() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let mut config = ours.leaf(&["api.test"]).server();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let front = Front::start(config, &upstream);
    let gateway = start(&front, NAMED, &[("ca.pem", &ours.pem())]);
    assert_eq!(gateway.request("GET", "/x", &[&bearer(KEY)]).status(), 200);
    let [made] = &front.handshakes()[..] else { panic!("{:?}", front.seen()) };
    assert_eq!(made.name.as_deref(), Some("api.test"));
    assert_eq!(made.protocol.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(made.version, ProtocolVersion::TLSv1_3);
    assert_eq!(made.group.as_deref(), Some("X25519MLKEM768"));
    assert_eq!(made.shown, None);
    let seen = upstream.last();
    // Of the two sides each has TLS or has none by itself.
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("host"), Some(&*front.address().to_string()));
}

/// Without `server_name` the URL's host is asked for and verified, be it a name or an address.
#[test]
fn host_of_the_url_is_verified() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let front = Front::start(ours.leaf(&["localhost", "127.0.0.1"]).server(), &upstream);
    let port = front.address().port();
    for (host, name) in [("localhost", Some("localhost")), ("127.0.0.1", None)] {
        let tables = at(&format!("https://{host}:{port}"), "tls = { ca = \"ca.pem\" }");
        let gateway = start_on(&tables, &[("ca.pem", &ours.pem())]);
        assert_eq!(gateway.get("/x", KEY).status(), 200, "{host}");
        assert_eq!(front.handshakes().pop().unwrap().name.as_deref(), name);
        gateway.wait_used("acme", 1);
    }
}

#[test]
fn both_versions_are_spoken_and_the_older_one_only_where_it_may() {
    use rustls::version::{TLS12, TLS13};
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let leaf = ours.leaf(&["api.test"]);
    let newest = r#"tls = { ca = "ca.pem", server_name = "api.test", min_version = "1.3" }"#;
    for (lines, version, is_spoken) in [
        (NAMED, &TLS12, true),
        (NAMED, &TLS13, true),
        (newest, &TLS12, false),
        (newest, &TLS13, true),
    ] {
        let front = Front::start(leaf.server_speaking(&[version]), &upstream);
        let gateway = start(&front, lines, &[("ca.pem", &ours.pem())]);
        let before = upstream.count();
        let verdict = gateway.get("/x", KEY).verdict();
        assert_eq!(verdict, if is_spoken { "200" } else { "502 upstream_error" });
        assert_eq!(upstream.count() - before, usize::from(is_spoken));
        gateway.wait_used("acme", u64::from(is_spoken));
        let made = front.handshakes();
        assert_eq!(made.first().map(|made| made.version), is_spoken.then_some(version.version));
    }
}

/// A session is begun once, also with TLS 1.2, and goes on on the next connection.
#[test]
fn sessions_are_resumed() {
    use rustls::version::{TLS12, TLS13};
    let ours = Authority::new("ours");
    let closing = format!("{}Connection: close\r\n\r\nok\n", OK.trim_end_matches("\r\nok\n"));
    let upstream = Upstream::answering(closing, Then::Close);
    for version in [&TLS12, &TLS13] {
        let front = Front::start(ours.leaf(&["api.test"]).server_speaking(&[version]), &upstream);
        let gateway = start(&front, NAMED, &[("ca.pem", &ours.pem())]);
        for _ in 0..4 {
            assert_eq!(gateway.get("/x", KEY).status(), 200);
        }
        let kinds: Vec<_> = front.handshakes().iter().map(|made| made.kind).collect();
        assert_eq!(kinds[0], HandshakeKind::Full);
        assert_eq!(kinds[1..], [HandshakeKind::Resumed; 3], "{version:?}");
        assert_eq!(handshakes(&gateway, "full"), Some(1.0));
        assert_eq!(handshakes(&gateway, "resumed"), Some(3.0));
        gateway.wait_used("acme", 4);
    }
}

#[test]
fn health_checks_go_by_tls() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let front = Front::start(ours.leaf(&["api.test"]).server(), &upstream);
    let health = "health = { path = \"/healthz\", interval = \"100ms\", fails = 1, passes = 1 }";
    let lines = format!("{NAMED}\n{health}");
    let gateway = start(&front, &lines, &[("ca.pem", &ours.pem())]);
    let healthy = || metric(&gateway, "faregate_upstream_endpoint_healthy", "upstream=\"api\"");
    upstream.wait_for(1);
    assert_eq!((upstream.last().target(), healthy()), ("/healthz", Some(1.0)));
    // It shows somebody else's certificate from now on, and its own again.
    front.set(Authority::new("others").leaf(&["api.test"]).server());
    wait_for("failing checks", || (healthy() == Some(0.0)).then_some(()));
    front.set(ours.leaf(&["api.test"]).server());
    wait_for("passing checks", || (healthy() == Some(1.0)).then_some(()));
    assert_eq!(gateway.used("acme"), (0, 0));
}

/// What the system trusts is trusted where nothing else is said.
#[test]
fn system_vouches_where_nobody_else_is_named() {
    use crate::process;
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let front = Front::start(ours.leaf(&["localhost"]).server(), &upstream);
    let directory = tempfile::tempdir().unwrap();
    let (address, admin) = (process::free_address(), process::free_address());
    let text = format!(
        "[server]\nlisten = \"{address}\"\n[admin]\nlisten = \"{admin}\"\n\
         [upstreams.api]\nurl = \"https://localhost:{}\"\n\
         [[routes]]\npath = \"/{{*rest}}\"\nupstream = \"api\"\naccess = \"public\"\n",
        front.address().port()
    );
    std::fs::write(directory.path().join("faregate.toml"), text).unwrap();
    let others = Authority::new("others");
    for (vouching, status) in [(&others, "502"), (&ours, "200")] {
        let roots = directory.path().join("system.pem");
        std::fs::write(&roots, vouching.pem()).unwrap();
        let mut command = std::process::Command::new(process::FAREGATE);
        command.env("SSL_CERT_FILE", &roots).env_remove("SSL_CERT_DIR");
        let gateway = process::Gateway::start_by(command, directory.path(), address, admin);
        let answer = process::get(address, "/x", &[]).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(gateway.stop());
    }
    assert_eq!(upstream.count(), 1);
}
