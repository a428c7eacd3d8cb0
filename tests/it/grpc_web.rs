//! gRPC-Web: calls of browsers, forwarded like any request, charged by what the head of their answer says, and
//! refused so that their clients understand it.

use crate::{
    http2::caller::Caller,
    support::{Exchange, Gateway, KEY, Response, SMALL, Then, Upstream, client::bearer},
};

/// A frame of a message, and the last part of a body, which says that the call has failed.
const MESSAGE: &[u8] = b"\0\0\0\0\x02\x08\x01";
const FAILED: &[u8] = b"\x80\0\0\0\x10grpc-status: 14\r";

/// What the upstream answers by path: a status in the head, or a body.
fn answer(exchange: &mut Exchange<'_>) -> std::io::Result<Then> {
    exchange.read_body()?;
    let target = exchange.request().target().to_owned();
    if target == "/silent" {
        return Ok(Then::Silence);
    }
    let kind = "Content-Type: application/grpc-web+proto\r\n";
    let head = match target.strip_prefix("/head/") {
        Some(status) => {
            format!("HTTP/1.1 200 OK\r\n{kind}grpc-status: {status}\r\nContent-Length: 0\r\n\r\n")
        }
        None => {
            let status = target.strip_prefix("/http/").unwrap_or("200");
            let length = MESSAGE.len() + FAILED.len();
            format!("HTTP/1.1 {status} It\r\n{kind}Content-Length: {length}\r\n\r\n")
        }
    };
    let is_head = target.starts_with("/head/");
    let body = if is_head { Vec::new() } else { [MESSAGE, FAILED].concat() };
    exchange.send([head.into_bytes(), body].concat())?;
    Ok(Then::KeepAlive)
}

fn start(tables: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start(answer);
    (Gateway::start(tables, &upstream), upstream)
}

/// Calls by HTTP/1.1 with these fields.
fn call(gateway: &Gateway, path: &str, fields: &[&str]) -> Response {
    let mut client = gateway.client();
    let length = format!("Content-Length: {}", MESSAGE.len());
    let all = [fields, &[&length, "X-Grpc-Web: 1"]].concat();
    client.send([crate::support::client::head("POST", path, &all).as_bytes(), MESSAGE].concat());
    client.response()
}

const WEB: &str = "Content-Type: application/grpc-web+proto";

#[test]
fn calls_pass_and_are_charged_by_their_heads() {
    for (path, ending, units) in [
        // What the body says is not read.
        ("/any", "completed", 1),
        ("/http/500", "uncharged", 0),
        ("/head/0", "completed", 1),
        ("/head/3", "completed", 1),
        ("/head/8", "uncharged", 0),
        ("/head/14", "uncharged", 0),
    ] {
        let (gateway, upstream) = start(SMALL);
        let response = call(&gateway, path, &[&bearer(KEY), WEB]);
        let is_head = path.starts_with("/head/");
        assert_eq!(response.body, if is_head { Vec::new() } else { [MESSAGE, FAILED].concat() });
        assert_eq!(response.field("content-type"), Some("application/grpc-web+proto"));
        assert_eq!(response.field("grpc-status"), path.strip_prefix("/head/"));
        assert_eq!(response.field("faregate-cost"), Some(&*units.to_string()), "{path}");
        let seen = upstream.last();
        assert_eq!((seen.field("x-grpc-web"), &*seen.body), (Some("1"), MESSAGE));
        assert_eq!(seen.field("content-type"), Some("application/grpc-web+proto"));
        gateway.wait_recorded("acme", &[(ending, 1, units)]);
        gateway.wait_used("acme", units);
    }
}

/// The same fields of an answer to another request are none of gRPC's.
#[test]
fn status_counts_for_calls_alone() {
    let (gateway, _upstream) = start(SMALL);
    assert_eq!(call(&gateway, "/head/14", &[&bearer(KEY)]).field("faregate-cost"), Some("1"));
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
}

fn assert_refused(response: &Response, kind: &str, status: &str, code: &str) {
    let names = ["content-type", "grpc-status", "faregate-code"];
    let found = names.map(|name| response.field(name));
    assert_eq!(found, [Some(kind), Some(status), Some(code)]);
    assert_eq!((response.status(), response.text(), response.whole), (200, "", true));
    assert!(response.field("grpc-message").is_some_and(|text| !text.is_empty()));
    assert!(response.field("x-request-id").is_some());
}

#[test]
fn refusals_are_statuses_in_the_head() {
    let (gateway, upstream) = start(&SMALL.replace("limit = 1000", "limit = 1"));
    assert_eq!(call(&gateway, "/head/0", &[&bearer(KEY), WEB]).status(), 200);
    gateway.wait_used("acme", 1);
    let caller = Caller::open(&gateway);
    for (key, status, code, http) in
        [("nobody", "16", "invalid_api_key", 401), (KEY, "8", "quota_exceeded", 402)]
    {
        for kind in ["application/grpc-web", "application/grpc-web-text"] {
            let given = format!("Content-Type: {kind}+proto");
            let response = call(&gateway, "/x", &[&bearer(key), &given]);
            assert_refused(&response, kind, status, code);
            let given = format!("{kind}+proto");
            let fields = [("x-api-key", key), ("content-type", &*given)];
            let response = caller.request("POST", "/x", &fields, MESSAGE);
            assert_refused(&response, kind, status, code);
        }
        // Of other types, also by gRPC's own over HTTP/1.1, refusals are as ever.
        for given in ["Content-Type: application/grpc", "Content-Type: application/json"] {
            let response = call(&gateway, "/x", &[&bearer(key), given]);
            assert_eq!(response.verdict(), format!("{http} {code}"));
            assert_eq!(response.field("grpc-status"), None);
        }
    }
    assert_eq!(upstream.count(), 1);
    gateway.wait_used("acme", 1);
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
}

/// A page reads only what it is shown.
#[test]
fn pages_of_other_origins_can_read_the_status() {
    let (gateway, _upstream) =
        start(&format!("[cors]\norigins = [\"https://app.example.com\"]\n{SMALL}"));
    let origin = "Origin: https://app.example.com";
    let response = call(&gateway, "/x", &[&bearer("nobody"), WEB, origin]);
    assert_refused(&response, "application/grpc-web", "16", "invalid_api_key");
    let exposed = response.field("access-control-expose-headers").unwrap();
    for name in ["grpc-status", "grpc-message", "faregate-code"] {
        assert!(exposed.split(", ").any(|exposed| exposed == name), "{name}: {exposed}");
    }
}

/// As of gRPC itself: the caller gives up, whoever is the first to say so.
#[test]
fn deadlines_are_kept_and_charged() {
    let (gateway, _upstream) = start(SMALL);
    let response = call(&gateway, "/silent", &[&bearer(KEY), WEB, "Grpc-Timeout: 200m"]);
    assert_refused(&response, "application/grpc-web", "4", "upstream_timeout");
    gateway.wait_recorded("acme", &[("abandoned", 1, 1)]);
}
