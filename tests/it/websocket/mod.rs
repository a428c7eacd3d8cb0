//! WebSocket: what is checked before it opens, what passes, what it is charged, and how it ends.

mod disk;
mod ends;
mod frames;
mod kill;
mod limits;
mod stream_units;
mod streams;
mod time;
mod units;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{
    Exchange, Gateway, KEY, Then, Upstream,
    client::{Client, bearer, head},
    upstream::OK,
    wait_until_equal,
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

[[routes]]
path = "/closed"
upstream = "api"
access = "public"
websocket = "off"

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
    script: impl Fn(&mut Exchange<'_>) -> std::io::Result<Then> + Send + Sync + 'static,
) -> (Gateway, Upstream) {
    let upstream = Upstream::start(move |exchange| {
        exchange.send(SWITCH)?;
        script(exchange)
    });
    (Gateway::start_at(NOW, &tables(""), &upstream), upstream)
}

/// Sends what comes back as it is, until the client ends.
fn echo(exchange: &mut Exchange<'_>) -> std::io::Result<Then> {
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

/// Reads the frame by which the gateway closes, and the end.
fn closed(client: &mut Client) -> (u16, String) {
    let start = client.exactly(2);
    assert_eq!(start[0], 0x88, "{start:?}");
    let rest = client.exactly(usize::from(start[1]));
    client.expect_closed();
    let reason = String::from_utf8(rest[2..].to_vec()).unwrap();
    (u16::from_be_bytes([rest[0], rest[1]]), reason)
}

/// What an upstream received after it has switched.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<u8>>>);

impl Received {
    fn get(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until exactly these frames came, and behind them the one that tells why it ends.
    fn wait_ended(&self, frames: &[u8], code: u16, reason: &str) {
        wait_until_equal(
            || {
                let got = self.get();
                let (before, last) = got.split_at(frames.len().min(got.len()));
                (before == frames, unmasked_close(last))
            },
            &(true, Some((code, reason.to_owned()))),
        );
    }
}

/// Reads a close frame as a client sends it; `None` where there is another thing, or more.
fn unmasked_close(bytes: &[u8]) -> Option<(u16, String)> {
    let (head, payload) = bytes.split_at_checked(6)?;
    if head[0] != 0x88 || usize::from(head[1]) != 0x80 + payload.len() {
        return None;
    }
    let payload: Vec<u8> =
        payload.iter().zip(head[2..].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    let (code, reason) = payload.split_first_chunk()?;
    Some((u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap()))
}

/// Starts an upstream that changes to WebSocket, keeps what comes and sends it back as it is.
fn recorder() -> (Upstream, Received) {
    recorder_that(|exchange| exchange.send(SWITCH))
}

/// Starts one that changes in a way of its own.
fn recorder_that(
    switch: impl Fn(&mut Exchange<'_>) -> std::io::Result<()> + Send + Sync + 'static,
) -> (Upstream, Received) {
    let received = Received::default();
    let shared = received.clone();
    let upstream = Upstream::start(move |exchange| {
        switch(exchange)?;
        loop {
            let bytes = exchange.read_some()?;
            if bytes.is_empty() {
                return Ok(Then::Close);
            }
            shared.0.lock().unwrap().extend(&bytes);
            exchange.send(bytes)?;
        }
    });
    (upstream, received)
}

/// Makes a client's frame, of as many bytes as asked.
fn frame(first: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![first];
    match length {
        0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        126..65536 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.extend([1, 2, 3, 4]);
    frame.extend((0_u8..=255).cycle().take(length));
    frame
}

/// A whole message of text.
fn text(length: usize) -> Vec<u8> {
    frame(0x81, length)
}

/// Sends frames that are served: they come back.
fn say(client: &mut Client, frames: &[u8]) {
    client.send(frames);
    assert!(client.exactly(frames.len()) == frames, "all of it comes back");
}

/// Writes the tables of a route that charges two units as the rule says, and more lines for the route, the plan
/// and the customer.
fn tables_by(rule: &str, [route, plan, customer]: [&str; 3]) -> String {
    format!(
        r#"
[log]
access = "./access.log"
level = "error"

[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "chat"
path = "/chat"
upstream = "api"
cost = 2
websocket = "{rule}"
{route}

[plans.starter]
quotas = [{{ name = "monthly", limit = 10, window = "month" }}]
{plan}

[customers.acme]
plan = "starter"
{customer}

[[customers.acme.keys]]
id = "acme-1"
digest = "key:key-of-acme"
"#
    )
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
