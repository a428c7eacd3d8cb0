//! Requests that are served: what goes up of them, and what comes back.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};

use super::{
    COST, assert_ended,
    caller::{Caller, keyed},
    start,
};
use crate::{
    support::{
        Exchange, Gateway, KEY, Then, Upstream, certificates::Authority, upstream::OK, wait_for,
    },
    tls,
};

#[test]
fn request_goes_up_as_http1_and_is_charged_once() {
    let upstream = Upstream::ok();
    let gateway = start("", &upstream);
    let caller = Caller::open(&gateway);
    let fields = [
        ("x-api-key", KEY),
        ("cookie", "a=1"),
        ("accept", "text/plain"),
        ("cookie", "b=2; c=3"),
        ("te", "trailers"),
        ("faregate-customer", "somebody-else"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    let answer = caller.request("GET", "/paid/x?y=z", &fields, b"");
    assert_eq!((answer.status(), answer.text(), answer.whole), (200, "ok\n", true));
    assert_eq!(answer.field("faregate-cost"), Some("3"));
    assert_eq!(answer.field("content-length"), Some("3"));
    assert!(answer.field("date").is_some() && answer.field("x-request-id").is_some());
    let seen = upstream.last();
    assert_eq!(seen.line, "GET /paid/x?y=z HTTP/1.1");
    for (name, value) in [
        ("cookie", Some("a=1; b=2; c=3")),
        ("accept", Some("text/plain")),
        ("te", Some("trailers")),
        ("connection", Some("te")),
        ("via", Some("2 faregate")),
        ("x-forwarded-host", Some("a.test")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("faregate-customer", Some("acme")),
        ("x-api-key", None),
        ("content-length", None),
        ("transfer-encoding", None),
    ] {
        assert_eq!(seen.field(name), value, "{name}");
    }
    assert_ended(&gateway, &[("completed", 1, COST)]);
    // One connection of each side is enough for what follows.
    for _ in 0..3 {
        assert_eq!(caller.get("/paid/x", KEY).status(), 200);
    }
    assert_eq!(upstream.connections(), 1);
    assert_ended(&gateway, &[("completed", 4, 4 * COST)]);
    assert_eq!(gateway.get("/paid/x", KEY).status(), 200, "HTTP/1.1 is still spoken");
    assert_ended(&gateway, &[("completed", 5, 5 * COST)]);
}

#[test]
fn answers_without_bodies_have_none() {
    for (method, answer, status, length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n", 200, Some("3000")),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n", 304, None),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, Some("0")),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, None),
    ] {
        let upstream = Upstream::answering(answer, Then::KeepAlive);
        let gateway = start("", &upstream);
        let caller = Caller::open(&gateway);
        for count in 1..=2 {
            let answer = caller.request(method, "/paid/x", &keyed(), b"");
            assert_eq!((answer.status(), answer.text(), answer.whole), (status, "", true));
            assert_eq!(answer.field("content-length"), length, "{method} {status}");
            assert_ended(&gateway, &[("completed", count, count * COST)]);
        }
        assert_eq!(upstream.connections(), 1);
    }
}

/// Fields that HTTP/2 has no place for are left out of answers, whoever writes them.
#[test]
fn answers_have_no_field_about_a_connection() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Connection: keep-alive\r\nTE: trailers\r\nX-Hop: 1\r\nX-Kept: 1\r\n\
                  Transfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n";
    let upstream = Upstream::answering(answer, Then::KeepAlive);
    let gateway = start("", &upstream);
    let caller = Caller::open(&gateway);
    let answer = caller.get("/paid/x", KEY);
    assert_eq!((answer.status(), answer.text()), (200, "ok\n"));
    for name in
        ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"]
    {
        assert_eq!(answer.field(name), None, "{name}");
    }
    assert_eq!(answer.field("x-kept"), Some("1"));
}

#[test]
fn fields_behind_bodies_pass_both_ways() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        exchange.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\
             grpc-status: 0\r\nfaregate-cost: 0\r\nset-cookie: a\r\n\r\n",
        )?;
        Ok(Then::KeepAlive)
    });
    let gateway = start("", &upstream);
    let caller = Caller::open(&gateway);
    let mut call = caller.begin("POST", "/paid/x", &keyed(), false);
    call.send("body", false);
    let mut fields = HeaderMap::new();
    for name in ["x-sum", "authorization", "faregate-customer"] {
        fields.insert(name, HeaderValue::from_static("1"));
    }
    call.send_trailers(fields);
    let answer = caller.response(call).unwrap();
    assert_eq!(answer.text(), "ok\n");
    assert_eq!(answer.trailers, [("grpc-status".to_owned(), "0".to_owned())]);
    let seen = upstream.last();
    assert_eq!((&seen.body[..], seen.field("transfer-encoding")), (&b"body"[..], Some("chunked")));
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    assert_ended(&gateway, &[("completed", 1, COST)]);
}

/// A body is asked for once it may pass, and not when its request is refused; a 103 passes.
#[test]
fn answers_ahead_of_the_last_one_come_down() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")?;
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let gateway = start("", &upstream);
    let caller = Caller::open(&gateway);
    let expecting = [("x-api-key", KEY), ("expect", "100-continue"), ("content-length", "4")];
    let call = caller.begin("POST", "/paid/x", &expecting, false);
    let (first, mut call) = caller.interim(call);
    assert_eq!(first.status, 100);
    call.send("body", true);
    let (second, call) = caller.interim(call);
    assert_eq!((second.status, second.field("link")), (103, Some("</a>; rel=preload")));
    assert_eq!(caller.response(call).unwrap().text(), "ok\n");
    assert_eq!(upstream.last().field("expect"), None);
    let keyless = [("expect", "100-continue"), ("content-length", "4")];
    let refused = caller.response(caller.begin("POST", "/paid/x", &keyless, false)).unwrap();
    assert_eq!(refused.verdict(), "401 missing_api_key");
    assert_ended(&gateway, &[("completed", 1, COST)]);
}

#[test]
fn options_about_all_end_here() {
    let upstream = Upstream::ok();
    let gateway = start("", &upstream);
    let mut raw = super::raw::Raw::open(gateway.running().address());
    let fields = super::raw::pseudo("OPTIONS", "*");
    raw.send(super::raw::frame(super::raw::HEADERS, 5, 1, &super::raw::block(&fields)));
    let answer = raw.answer(1).unwrap();
    // 204 has a number of its own (RFC 7541 appendix A).
    assert_eq!((answer.kind, answer.payload[0]), (super::raw::HEADERS, 0x89));
    assert_eq!(upstream.count(), 0);
}

/// A client chooses within TLS, and says so in clear by how it begins.
#[test]
fn protocol_is_the_clients_choice() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let files = [("tls.pem", &*ours.leaf(&["api.test"]).pem())];
    let gateway = tls::start(tls::ONE, &files, &upstream);
    let config = ours.client(None);
    let caller = Caller::secured(&gateway, &config, "api.test");
    assert_eq!(caller.get("/x", KEY).status(), 200);
    assert_eq!(upstream.last().field("x-forwarded-proto"), Some("https"));
    for protocols in [&[][..], &[b"http/1.1".to_vec()]] {
        let mut config = rustls::ClientConfig::clone(&config);
        config.alpn_protocols = protocols.to_vec();
        let mut client = tls::open(&gateway, &Arc::new(config), "api.test");
        assert_eq!(client.get("/x", KEY).status(), 200);
        assert_eq!(upstream.last().field("via"), Some("1.1 faregate"));
        // Within TLS nothing but the handshake chooses.
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(client.response().verdict(), "400 invalid_request");
    }
    gateway.wait_used("acme", 3);
    // In clear a beginning that comes byte by byte is found too, and one that is none is HTTP/1.1.
    let gateway = start("", &upstream);
    let mut raw = gateway.client();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
        raw.send([*byte]);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(raw.exactly(9)[3], super::raw::SETTINGS);
    let mut client = gateway.client();
    client.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    assert_eq!(client.response().verdict(), "400 invalid_request");
    client.expect_closed();
}

#[test]
fn hosts_and_certificates_are_told_as_on_http1() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let upstream = Upstream::ok();
    let lines = r#"tls = { certificates = [
        { cert = "a.pem", key = "a.pem" }, { cert = "b.pem", key = "b.pem" },
    ], client_ca = "clients.pem", hsts = "1d" }"#
        .replace("\n", "");
    let files = [
        ("a.pem", &*ours.leaf(&["a.test"]).pem()),
        ("b.pem", &*ours.leaf(&["b.test"]).pem()),
        ("clients.pem", &*theirs.pem()),
    ];
    let gateway = tls::start(&lines, &files, &upstream);
    let shown = theirs.leaf(&["caller.test"]);
    // Every request of a caller is for a.test.
    let config = ours.client(Some(&shown));
    let caller = Caller::secured(&gateway, &config, "a.test");
    let answer = caller.get("/x", KEY);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.field("strict-transport-security"), Some("max-age=86400"));
    assert!(upstream.last().field("client-cert").is_some());
    let caller = Caller::secured(&gateway, &config, "b.test");
    let refused = caller.get("/x", KEY);
    assert_eq!(refused.verdict(), "421 misdirected_request");
    assert_eq!(upstream.count(), 1);
    gateway.wait_used("acme", 1);
}

/// Connections are told by what they do: however many streams one carries, it is one.
#[test]
fn connection_counts_once_however_many_streams_it_carries() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        std::thread::sleep(Duration::from_millis(300));
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let gateway = start("", &upstream);
    let states = || {
        ["head", "idle", "request"].map(|state| metric(&gateway, &format!("{{state=\"{state}\"}}")))
    };
    let caller = Caller::open(&gateway);
    wait_for("an idle connection", || (states() == [0, 1, 0]).then_some(()));
    let calls: Vec<_> = (0..5).map(|_| caller.begin("GET", "/paid/x", &keyed(), true)).collect();
    wait_for("a busy connection", || (states() == [0, 0, 1]).then_some(()));
    for call in calls {
        assert_eq!(caller.response(call).unwrap().status(), 200);
    }
    wait_for("an idle connection", || (states() == [0, 1, 0]).then_some(()));
    assert_eq!(metric(&gateway, "_accepted_total"), 1);
    drop(caller);
    wait_for("no connection", || (states() == [0, 0, 0]).then_some(()));
}

fn metric(gateway: &Gateway, rest: &str) -> u64 {
    let page = gateway.admin("GET", "/metrics");
    let name = format!("faregate_connections{rest} ");
    let line = page.text().lines().find_map(|line| line.strip_prefix(&name)).unwrap();
    line.parse::<f64>().unwrap() as u64
}
