//! WebSocket: what is checked before it opens, what passes, what it is charged, and how it ends.

use std::time::Duration;

use crate::support::{
    Gateway, KEY, Then, Upstream,
    client::{Client, bearer, head},
    upstream::OK,
    wait_for,
};

const NOW: &str = "2026-11-20T12:00:00Z";

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const HANDSHAKE: [&str; 4] = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

fn tables(more: &str) -> String {
    format!(
        r#"
[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "chat"
path = "/chat"
upstream = "api"
cost = 2
scopes = ["chat"]
request_timeout = "1s"

[[routes]]
path = "/free"
upstream = "api"
access = "public"

[plans.starter]
quotas = [{{ name = "monthly", limit = 10, window = "month" }}]

[customers.acme]
plan = "starter"
cancel_at = "2026-12-01T00:00:00Z"
keys = [{{ id = "acme-1", digest = "key:key-of-acme", scopes = ["chat"] {more} }}]

[customers.other]
keys = [{{ digest = "key:other", scopes = ["chat"] }}]
"#
    )
}

/// Starts a gateway in front of an upstream that changes to WebSocket and then does as a script says.
fn gateway(
    script: impl Fn(&mut crate::support::upstream::Exchange<'_>) -> std::io::Result<Then>
    + Send
    + Sync
    + 'static,
) -> (Gateway, Upstream) {
    let upstream = Upstream::start(move |exchange| {
        exchange.send(SWITCH)?;
        script(exchange)
    });
    (Gateway::start_at(NOW, &tables(""), &upstream), upstream)
}

/// Sends what comes back as it is, until the client ends.
fn echo(exchange: &mut crate::support::upstream::Exchange<'_>) -> std::io::Result<Then> {
    loop {
        let bytes = exchange.read_some()?;
        if bytes.is_empty() {
            return Ok(Then::Close);
        }
        exchange.send(bytes)?;
    }
}

fn ask(client: &mut Client, key: &str, replaced: &[&str]) {
    let key = bearer(key);
    let name = |field: &str| field.split(':').next().unwrap().to_owned();
    let kept = |field: &&&str| replaced.iter().all(|other| name(other) != name(field));
    let fields: Vec<&str> = [&*key]
        .into_iter()
        .chain(HANDSHAKE.iter().filter(kept).copied())
        .chain(replaced.iter().copied())
        .collect();
    client.send(head("GET", "/chat", &fields));
}

fn open(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    ask(&mut client, KEY, &[]);
    let answer = client.head();
    assert_eq!(answer.status, 101, "{answer:?}");
    client
}

#[test]
fn both_sides_are_told_of_the_switch_and_what_they_say_passes() {
    let (gateway, upstream) = gateway(echo);
    let mut client = gateway.client();
    ask(&mut client, KEY, &["Upgrade: h2c, WebSocket", "HTTP2-Settings: x"]);
    let answer = client.head();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(answer.field("connection"), Some("upgrade"));
    assert_eq!(answer.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.field("faregate-cost"), Some("2"));
    assert_eq!((answer.field("content-length"), answer.field("transfer-encoding")), (None, None));
    let seen = upstream.last();
    assert_eq!(
        (seen.field("upgrade"), seen.field("connection")),
        (Some("websocket"), Some("upgrade"))
    );
    assert_eq!(seen.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!((seen.field("authorization"), seen.field("http2-settings")), (None, None));
    assert_eq!(seen.field("faregate-customer"), Some("acme"));
    for text in [b"\x81\x85\0\0\0\0hello".to_vec(), vec![7; 300_000]] {
        client.send(&text);
        assert_eq!(client.exactly(text.len()), text);
    }
    assert_eq!(gateway.usage("acme")["quotas"][0]["reserved"], 2, "it is open");
    client.finish();
    client.expect_closed();
    gateway.wait_recorded("acme", &[("completed", 1, 2)]);
    assert_eq!(gateway.used("acme"), (2, 0));
}

/// The total time of a request is none for it.
#[test]
fn it_lasts_beyond_the_time_of_a_request() {
    let (gateway, _upstream) = gateway(echo);
    let mut client = open(&gateway);
    for _ in 0..3 {
        client.expect_silence(Duration::from_millis(600));
        client.send("x");
        assert_eq!(client.exactly(1), b"x");
    }
}

/// What the client sends behind its handshake goes up when the upstream has agreed, and not before.
#[test]
fn nothing_goes_up_before_the_upstream_agrees() {
    let upstream = Upstream::start(|exchange| {
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(exchange.pending(), b"", "nothing came before the answer");
        exchange.send(SWITCH)?;
        echo(exchange)
    });
    let gateway = Gateway::start_at(NOW, &tables(""), &upstream);
    let mut client = gateway.client();
    let key = bearer(KEY);
    let fields: Vec<&str> = [&*key].into_iter().chain(HANDSHAKE).collect();
    client.send(format!("{}early", head("GET", "/chat", &fields)));
    assert_eq!(client.head().status, 101);
    assert_eq!(client.exactly(5), b"early");
}

/// RFC 9110 section 7.8: an upstream that does not change has answered, and what follows is a request of its own.
#[test]
fn upstream_that_stays_with_http_hides_no_request() {
    let upstream = Upstream::answering(OK, Then::KeepAlive);
    let gateway = Gateway::start_at(NOW, &tables(""), &upstream);
    let mut client = gateway.client();
    let key = bearer(KEY);
    let fields: Vec<&str> = [&*key].into_iter().chain(HANDSHAKE).collect();
    let hidden = "GET /chat HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(format!("{}{hidden}", head("GET", "/chat", &fields)));
    assert_eq!(client.response().status(), 200);
    assert_eq!(client.response().verdict(), "401 missing_api_key");
    assert_eq!(upstream.count(), 1);
    gateway.wait_recorded("acme", &[("completed", 1, 2)]);
}

#[test]
fn who_may_not_call_opens_none() {
    let (gateway, upstream) = gateway(echo);
    for (key, replaced, expected) in [
        ("nobody", "", "401 invalid_api_key"),
        ("other", "", "402 subscription_required"),
        (KEY, "Sec-WebSocket-Version: 8", "400 invalid_request"),
        (KEY, "Sec-WebSocket-Key: short", "400 invalid_request"),
        (KEY, "Content-Length: 1", "400 invalid_request"),
    ] {
        let mut client = gateway.client();
        let replaced: Vec<&str> =
            [replaced].into_iter().filter(|field| !field.is_empty()).collect();
        ask(&mut client, key, &replaced);
        let response = client.response();
        assert_eq!(response.verdict(), expected);
        let version = response.field("sec-websocket-version");
        assert_eq!(
            version,
            replaced.first().filter(|field| field.contains("Version")).map(|_| "13")
        );
    }
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
}

/// A browser asks for no leave before it opens one (RFC 6455 section 10.2).
#[test]
fn pages_of_other_origins_open_none() {
    let upstream = Upstream::start(|exchange| {
        exchange.send(SWITCH)?;
        echo(exchange)
    });
    let tables = format!("[cors]\norigins = [\"https://app.test\"]\n{}", tables(""));
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let mut client = gateway.client();
    ask(&mut client, KEY, &["Origin: https://evil.test"]);
    let refused = client.response();
    assert_eq!(refused.verdict(), "403 origin_not_allowed");
    assert_eq!(refused.field("access-control-allow-origin"), None);
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
    for fields in [&["Origin: https://app.test"][..], &[]] {
        let mut client = gateway.client();
        ask(&mut client, KEY, fields);
        assert_eq!(client.head().status, 101, "{fields:?}");
    }
}

#[test]
fn switch_to_what_nobody_asked_for_is_an_error() {
    let other = SWITCH.replace("Upgrade: websocket", "Upgrade: h2c");
    for (answer, fields) in
        [(SWITCH, &HANDSHAKE[..0]), (&other, &HANDSHAKE), (&other, &HANDSHAKE[..0])]
    {
        let upstream = Upstream::answering(answer, Then::Silence);
        let gateway = Gateway::start_at(NOW, &tables(""), &upstream);
        let key = bearer(KEY);
        let fields: Vec<&str> = [&*key].into_iter().chain(fields.iter().copied()).collect();
        let response = gateway.request("GET", "/chat", &fields);
        assert_eq!(response.verdict(), "502 upstream_error", "{answer}");
        upstream.wait_closed(1);
        assert_eq!(gateway.used("acme"), (0, 0));
    }
}

/// Reads the frame by which the gateway closes, and the end.
fn closed(client: &mut Client) -> (u16, String) {
    let start = client.exactly(2);
    assert_eq!(start[0], 0x88, "{start:?}");
    let rest = client.exactly(usize::from(start[1]));
    client.expect_closed();
    let reason = String::from_utf8(rest[2..].to_vec()).unwrap();
    (u16::from_be_bytes([rest[0], rest[1]]), reason)
}

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
        exchange.read_some()?;
        exchange.send(b"cd")?;
        exchange.wait_for_close();
        Ok(Then::Close)
    });
    let mut client = open(&gateway);
    assert_eq!(client.exactly(4), b"\x82\x04ab");
    gateway.set_time("2026-12-01T00:00:00Z");
    client.expect_silence(Duration::from_millis(1200));
    client.send("x");
    assert_eq!(client.exactly(2), b"cd");
    assert_eq!(closed(&mut client), (1008, "subscription_ended".to_owned()));
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
