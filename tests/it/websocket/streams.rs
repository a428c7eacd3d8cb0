//! WebSockets on streams of HTTP/2 (RFC 8441): opened, refused, charged and ended as those that have a connection.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use h2::RecvStream;
use sha1::{Digest, Sha1};

use super::{NOW, tables, text};
use crate::{
    http2::caller::{Call, Caller, Upload},
    support::{
        Exchange, Gateway, KEY, Then, Upstream, client::Head, upstream::OK, wait_until_equal,
    },
};

/// Accepts the WebSocket that is asked for.
pub(super) fn accept(exchange: &mut Exchange<'_>) -> std::io::Result<()> {
    let key = exchange.request().field("sec-websocket-key").unwrap_or_default().to_owned();
    let hash = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = STANDARD.encode(hash);
    exchange.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat.v2\r\n\r\n"
    ))
}

/// Starts a gateway in front of an upstream that accepts, and sends back what comes.
fn echoing() -> (Gateway, Upstream) {
    let upstream = Upstream::start(|exchange| {
        accept(exchange)?;
        super::echo(exchange)
    });
    (Gateway::start_at(NOW, &tables(""), &upstream), upstream)
}

/// Asks with the usual fields, of which some are replaced.
pub(super) fn ask(caller: &Caller, path: &str, replaced: &[(&'static str, &'static str)]) -> Call {
    let mut fields = vec![("x-api-key", KEY), ("sec-websocket-version", "13")];
    fields.retain(|(name, _)| replaced.iter().all(|(other, _)| other != name));
    fields.extend(replaced.iter().filter(|(_, value)| !value.is_empty()));
    caller.connect("websocket", path, &fields)
}

/// An open one.
pub(super) struct Open {
    pub(super) upload: Upload,
    pub(super) head: Head,
    pub(super) body: Option<RecvStream>,
}

pub(super) fn open(caller: &Caller) -> Open {
    let (upload, answer) = ask(caller, "/chat", &[]).split();
    let (head, body) = caller.head_of(answer).unwrap();
    assert_eq!(head.status, 200, "{head:?}");
    Open { upload, head, body: Some(body) }
}

impl Open {
    /// Reads so many bytes.
    pub(super) fn exactly(&mut self, caller: &Caller, count: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while read.len() < count {
            let (data, body) = caller.some(self.body.take().unwrap());
            self.body = Some(body);
            read.extend_from_slice(&data.expect("more comes"));
        }
        read
    }

    /// Reads the frame by which the gateway closes, and the end.
    pub(super) fn closed(&mut self, caller: &Caller) -> (u16, String) {
        let (rest, broken) = caller.rest(self.body.take().unwrap());
        assert_eq!(broken, None);
        assert_eq!((rest[0], usize::from(rest[1])), (0x88, rest.len() - 2), "{rest:?}");
        let reason = String::from_utf8(rest[4..].to_vec()).unwrap();
        (u16::from_be_bytes([rest[2], rest[3]]), reason)
    }
}

#[test]
fn it_opens_and_passes_and_is_charged_once() {
    let (gateway, upstream) = echoing();
    let caller = Caller::open(&gateway);
    let mut socket = open(&caller);
    assert_eq!(socket.head.field("sec-websocket-protocol"), Some("chat.v2"));
    for absent in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
        assert_eq!(socket.head.field(absent), None, "{absent}");
    }
    let asked = upstream.last();
    assert_eq!(asked.line, "GET /chat HTTP/1.1");
    assert_eq!(asked.field("upgrade"), Some("websocket"));
    assert_eq!(asked.field("connection"), Some("upgrade"));
    assert_eq!(asked.field("sec-websocket-version"), Some("13"));
    assert_eq!(STANDARD.decode(asked.field("sec-websocket-key").unwrap()).unwrap().len(), 16);
    assert_eq!(asked.field("via"), Some("2 faregate"));
    assert_eq!((asked.field("x-api-key"), asked.field("transfer-encoding")), (None, None));
    for length in [1, 70_000] {
        socket.upload.send(text(length), false);
        assert!(socket.exactly(&caller, text(length).len()) == text(length));
    }
    // Beside it the connection serves what it served before.
    assert_eq!(caller.get("/nowhere", KEY).status(), 404);
    assert_eq!(gateway.used("acme"), (0, 2));
    socket.upload.send("", true);
    let (rest, broken) = caller.rest(socket.body.take().unwrap());
    assert_eq!((rest.as_slice(), broken), (&b""[..], None));
    upstream.wait_closed(1);
    gateway.wait_recorded("acme", &[("completed", 1, 2)]);
    // Another has another key.
    let before = upstream.last().field("sec-websocket-key").unwrap().to_owned();
    open(&caller);
    assert_ne!(upstream.last().field("sec-websocket-key"), Some(&*before));
}

#[test]
fn what_is_refused_opens_nothing_and_is_free() {
    let (gateway, upstream) = echoing();
    let caller = Caller::open(&gateway);
    for (path, replaced, verdict) in [
        ("/chat", &[("x-api-key", "")][..], "401 missing_api_key"),
        ("/chat", &[("x-api-key", "wrong")], "401 invalid_api_key"),
        ("/chat", &[("x-api-key", "other")], "402 subscription_required"),
        ("/chat", &[("sec-websocket-version", "8")], "400 invalid_request"),
        ("/chat", &[("sec-websocket-version", "")], "400 invalid_request"),
        ("/chat", &[("content-length", "1")], "400 invalid_request"),
        ("/closed", &[], "400 invalid_request"),
        ("/nowhere", &[], "404 route_not_found"),
        ("/_faregate/usage", &[], "400 invalid_request"),
        ("/_faregate/plans", &[("x-api-key", "")], "400 invalid_request"),
    ] {
        let answer = caller.response(ask(&caller, path, replaced)).unwrap();
        assert_eq!(answer.verdict(), verdict, "{path} {replaced:?}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    }
    let other = caller.connect("connect-udp", "/chat", &[("x-api-key", KEY)]);
    assert_eq!(caller.response(other).unwrap().verdict(), "501 not_implemented");
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
    // Ten units are five of them.
    let sockets: Vec<_> = (0..5).map(|_| open(&caller)).collect();
    let answer = caller.response(ask(&caller, "/chat", &[])).unwrap();
    assert_eq!(answer.verdict(), "402 quota_exceeded");
    assert_eq!((upstream.count(), gateway.used("acme"), sockets.len()), (5, (0, 10), 5));
}

/// What was asked for is not open, whatever a client might take for that.
#[test]
fn upstream_that_does_not_accept_is_no_success_and_is_free() {
    const WRONG: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    const BARE: &str =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    for (answer, verdict) in [
        (WRONG, "502 upstream_error"),
        (BARE, "502 upstream_error"),
        (OK, "502 upstream_error"),
        ("HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy", "503"),
    ] {
        let upstream = Upstream::answering(answer, Then::Close);
        let gateway = Gateway::start_at(NOW, &tables(""), &upstream);
        let caller = Caller::open(&gateway);
        let answered = caller.response(ask(&caller, "/chat", &[])).unwrap();
        assert_eq!(answered.verdict(), verdict, "{answer}");
        gateway.wait_recorded("acme", &[("uncharged", 1, 0)]);
        assert_eq!(gateway.used("acme"), (0, 0));
        assert_eq!(upstream.count(), 1);
    }
}

#[test]
fn end_of_the_subscription_and_of_the_key_end_it() {
    let (mut gateway, upstream) = echoing();
    let caller = Caller::open(&gateway);
    let mut socket = open(&caller);
    let revoked = tables(r#", status = "revoked""#);
    gateway.write(&revoked.replace("@UPSTREAM@", &upstream.address().to_string()));
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    assert_eq!(socket.closed(&caller), (1008, "api_key_revoked".to_owned()));
    gateway.write(&tables("").replace("@UPSTREAM@", &upstream.address().to_string()));
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    let mut socket = open(&caller);
    gateway.set_time("2026-12-01T00:00:00Z");
    assert_eq!(socket.closed(&caller), (1008, "subscription_ended".to_owned()));
    upstream.wait_closed(2);
    gateway.wait_recorded("acme", &[("completed", 2, 4)]);
}

#[test]
fn client_that_resets_it_or_is_gone_pays_and_ends_it() {
    let (gateway, upstream) = echoing();
    let caller = Caller::open(&gateway);
    let mut socket = open(&caller);
    socket.upload.send(text(3), false);
    socket.exactly(&caller, text(3).len());
    socket.upload.reset();
    upstream.wait_closed(1);
    let socket = open(&caller);
    caller.close();
    upstream.wait_closed(2);
    drop(socket);
    gateway.wait_recorded("acme", &[("aborted", 2, 4)]);
}

#[test]
fn upstream_that_goes_without_a_word_ends_it() {
    let upstream = Upstream::start(|exchange| {
        accept(exchange)?;
        exchange.read_some()?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start_at(NOW, &tables(""), &upstream);
    let caller = Caller::open(&gateway);
    let mut socket = open(&caller);
    socket.upload.send(text(3), false);
    let (rest, broken) = caller.rest(socket.body.take().unwrap());
    assert_eq!((rest.as_slice(), broken), (&b""[..], None));
    gateway.wait_recorded("acme", &[("completed", 1, 2)]);
}

#[test]
fn stop_ends_it_with_a_reason() {
    let (gateway, upstream) = echoing();
    let caller = Caller::open(&gateway);
    let mut socket = open(&caller);
    let stopping = std::thread::spawn(move || {
        let mut gateway = gateway;
        gateway.stop();
        gateway
    });
    assert_eq!(socket.closed(&caller), (1001, "shutting down".to_owned()));
    caller.wait_going_away();
    drop((socket, caller));
    drop(stopping.join().unwrap());
    wait_until_equal(|| upstream.closed(), &1);
}

/// Its time is bounded by nothing but silence, as on a connection of its own: `request_timeout` is a second here.
#[test]
fn time_of_a_request_is_no_bound_of_it() {
    let (gateway, _upstream) = echoing();
    let caller = Caller::open(&gateway);
    let mut socket = open(&caller);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(600));
        socket.upload.send(text(2), false);
        assert_eq!(socket.exactly(&caller, text(2).len()), text(2));
    }
}
