//! Refusals: word for word those of HTTP/1.1, and as free.

use serde_json::Value;

use super::{caller::Caller, raw, raw::Raw};
use crate::{
    refusals::setup::{Case, Stage, all_cases},
    support::{Gateway, KEY, Response, SMALL, Then, Upstream},
};

/// Those whose form only HTTP/1.1 has; `heads.rs` has their like.
const OF_HTTP1: [&str; 5] = ["no Host", "two Hosts", "malformed Host", "asterisk", "CONNECT"];

/// Sends what was written for HTTP/1.1.
fn ask(caller: &Caller, request: &str) -> Response {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let mut line = lines.next().unwrap().split(' ');
    let (method, path) = (line.next().unwrap(), line.next().unwrap());
    let fields = lines.map(|line| line.split_once(':').unwrap());
    let fields: Vec<_> = fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .filter(|(name, _)| name != "host")
        .collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let length = fields.iter().find(|(name, _)| *name == "content-length");
    let length = length.map_or(0, |(_, length)| length.parse::<usize>().unwrap());
    let body = if length == 0 { Vec::new() } else { body.repeat(length).into_bytes() };
    caller.request(method, path, &fields, &body)
}

/// Gives what an answer says, but for what differs from request to request and for what only HTTP/1.1 has.
fn said(response: &Response) -> (u16, Vec<(String, String)>, Value) {
    let is_own = |(name, _): &&(String, String)| {
        !matches!(name.as_str(), "x-request-id" | "date" | "connection")
    };
    let mut fields: Vec<_> = response.head.fields.iter().filter(is_own).cloned().collect();
    fields.sort();
    let id = response.field("x-request-id").unwrap();
    let mut body = response.json();
    assert_eq!(body["request_id"], id);
    assert_eq!(body["instance"], format!("urn:uuid:{id}"));
    let members = body.as_object_mut().unwrap();
    members.retain(|name, _| !matches!(name.as_str(), "request_id" | "instance"));
    (response.status(), fields, body)
}

#[test]
fn refusals_are_those_of_http1_and_charge_nothing() {
    let stage = Stage::new();
    let before = stage.counted();
    let caller = Caller::open(&stage.gateway);
    let mut count = 0;
    for Case { name, request, verdict, .. } in all_cases() {
        if OF_HTTP1.contains(&name) {
            continue;
        }
        let mut client = stage.gateway.client();
        client.send(request.replace("Host: gateway.test", "Host: a.test"));
        let (old, new) = (client.response(), ask(&caller, &request));
        assert_eq!((new.verdict(), &*new.head.version), (verdict.to_owned(), "HTTP/2.0"), "{name}");
        assert_eq!(said(&new), said(&old), "{name}");
        assert_eq!(stage.counted(), before, "{name}");
        count += 1;
    }
    assert!(count > 40, "{count}");
    // All of that on one connection, which nothing has harmed.
    assert_eq!(caller.get("/one/x", "good").status(), 200);
}

#[test]
fn upstream_that_fails_is_told_as_on_http1_and_charges_nothing() {
    for (answer, then, verdict) in [
        ("", Then::Close, "502 upstream_error"),
        ("nonsense\r\n\r\n", Then::Close, "502 upstream_error"),
        (
            "HTTP/1.1 402 x\r\nContent-Length: 0\r\n\r\n",
            Then::KeepAlive,
            "502 upstream_payment_required",
        ),
        ("", Then::Silence, "504 upstream_timeout"),
    ] {
        let upstream = Upstream::answering(answer, then);
        let gateway = Gateway::start(&super::tables("", "response_timeout = \"300ms\""), &upstream);
        let caller = Caller::open(&gateway);
        let refused = caller.get("/paid/x", KEY);
        assert_eq!(refused.verdict(), verdict);
        assert_eq!(refused.field("content-type"), Some("application/problem+json"));
        assert_eq!(gateway.used("acme"), (0, 0), "{verdict}");
    }
    let nowhere = format!("http://{}", Upstream::nowhere());
    let gateway = Gateway::start_with(&SMALL.replace("http://@UPSTREAM@", &nowhere), None);
    let caller = Caller::open(&gateway);
    assert_eq!(caller.get("/x", KEY).verdict(), "502 upstream_error");
    assert_eq!(gateway.used("acme"), (0, 0));
}

/// The limits of a head are those of HTTP/1.1; what is far beyond them h2 answers by itself.
#[test]
fn heads_are_limited_in_bytes_and_fields() {
    let upstream = Upstream::ok();
    let gateway = super::start("header_bytes = \"8KiB\"\nheaders = 20", &upstream);
    let caller = Caller::open(&gateway);
    let names: Vec<String> = (0..30).map(|number| format!("x-{number}")).collect();
    let with = |count: usize| -> Vec<(&str, &str)> {
        let more = names.iter().take(count - 1).map(|name| (name.as_str(), "y"));
        [("x-api-key", KEY)].into_iter().chain(more).collect()
    };
    assert_eq!(caller.request("GET", "/paid/x", &with(20), b"").status(), 200);
    let refused = caller.request("GET", "/paid/x", &with(21), b"");
    assert_eq!(refused.verdict(), "431 headers_too_large");
    // Cookies are counted one by one.
    let cookies = |count| [vec![("cookie", "a=1"); count], vec![("x-api-key", KEY)]].concat();
    assert_eq!(caller.request("GET", "/paid/x", &cookies(19), b"").status(), 200);
    let refused = caller.request("GET", "/paid/x", &cookies(20), b"");
    assert_eq!(refused.verdict(), "431 headers_too_large");
    let with_bytes = |bytes: usize| {
        let wide = "x".repeat(bytes);
        caller.request("GET", "/paid/x", &[("x-api-key", KEY), ("x-wide", &wide)], b"")
    };
    assert_eq!(with_bytes(8000).status(), 200);
    assert_eq!(with_bytes(8200).verdict(), "431 headers_too_large");
    assert_eq!((upstream.count(), gateway.used("acme")), (3, (9, 0)));
    let bare = with_bytes(20_000);
    assert_eq!((bare.status(), bare.text()), (431, ""));
    // Beyond four times as much the connection ends.
    let mut raw = Raw::open(gateway.running().address());
    let huge = "x".repeat(16_000);
    let pair = [("x-wide", &*huge)];
    raw.send(raw::frame(raw::HEADERS, 0, 1, &raw::block(&raw::pseudo("GET", "/paid/x"))));
    for _ in 0..20 {
        if raw.try_send(raw::frame(raw::CONTINUATION, 0, 1, &raw::block(&pair))).is_err() {
            break;
        }
    }
    assert_eq!(raw.reason_of_end(), Some(raw::ENHANCE_YOUR_CALM));
    assert_eq!((upstream.count(), gateway.used("acme")), (3, (9, 0)));
}

/// A body that nobody wants is no reason to end the connection: its stream is reset, and without an error.
#[test]
fn upload_that_is_refused_ends_its_stream_alone() {
    let upstream = Upstream::ok();
    let gateway = super::start("body_bytes = \"1KiB\"", &upstream);
    let mut raw = Raw::open(gateway.running().address());
    raw.send(raw::post(1, "/paid/x", &[("content-length", "1000000")]));
    let answer = raw.answer(1).unwrap();
    assert_eq!((answer.kind, answer.flags & raw::END_STREAM), (raw::HEADERS, 0));
    let reset = raw.answer(1).unwrap();
    assert_eq!((reset.kind, reset.reason()), (raw::RST_STREAM, 0));
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
    // What was on its way meanwhile is no error either.
    raw.send(raw::frame(raw::DATA, 0, 1, b"x"));
    raw.send(raw::get(3, "/paid/x"));
    assert_eq!(raw.answer(3).unwrap().kind, raw::HEADERS);
    gateway.wait_used("acme", super::COST);
    // One that says nothing of its length breaks the limit on its way: what was sent of it was abandoned.
    let caller = Caller::open(&gateway);
    let mut call = caller.begin("POST", "/paid/x", &super::caller::keyed(), false);
    call.send(vec![b'x'; 2000], false);
    assert_eq!(caller.response(call).unwrap().verdict(), "413 body_too_large");
    let endings = [("abandoned", 1, super::COST), ("completed", 1, super::COST)];
    super::assert_ended(&gateway, &endings);
}
