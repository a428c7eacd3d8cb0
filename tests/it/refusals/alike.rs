//! What refusals have alike: HEAD, connections that go on, statuses that the operator maps, and what
//! the HTTP library refuses by itself.

use super::{
    assert_is_refusal,
    setup::{Case, NOW, Stage, TABLES, all_cases},
};
use crate::support::{
    Gateway, Response, Upstream,
    client::{bearer, head},
};

/// Fields without those that differ between any two answers.
fn stable_fields(response: &Response) -> Vec<(String, String)> {
    let differs = ["date", "x-request-id"];
    let all = response.head.fields.iter();
    all.filter(|(name, _)| !differs.contains(&name.as_str())).cloned().collect()
}

/// HEAD gets the fields of GET and no body, on a connection that goes on.
#[test]
fn head_is_refused_as_get_is_without_the_body() {
    let stage = Stage::new();
    for Case { name, request, verdict, .. } in all_cases() {
        let Some(rest) = request.strip_prefix("GET ") else { continue };
        let mut client = stage.gateway.client();
        client.send(&request);
        let by_get = client.response();
        for _ in 0..2 {
            client.send(format!("HEAD {rest}"));
            let by_head = client.response_to_head();
            assert_eq!(by_head.status(), by_get.status(), "{name}");
            assert_eq!(stable_fields(&by_head), stable_fields(&by_get), "{name}");
        }
        client.send(&request);
        assert_eq!(client.response().verdict(), verdict, "{name}: bytes of a body came");
    }
}

/// A refusal leaves the connection as good as before, unless a body is left unread.
#[test]
fn connection_goes_on_after_a_refusal() {
    let stage = Stage::new();
    for Case { name, request, verdict, keeps } in all_cases() {
        let mut client = stage.gateway.client();
        client.send(&request);
        let response = client.response();
        assert_eq!(response.verdict(), verdict, "{name}");
        if keeps {
            assert_eq!(response.field("connection"), None, "{name}");
            assert_eq!(client.get("/none", "good").verdict(), "404 route_not_found", "{name}");
        } else {
            assert_eq!(response.field("connection"), Some("close"), "{name}");
            client.finish();
            client.expect_closed();
        }
    }
}

/// The body of a refused upload is read when it is small, so that the connection can go on.
#[test]
fn small_body_of_a_refused_request_is_read() {
    let stage = Stage::new();
    let mut client = stage.gateway.client();
    for _ in 0..3 {
        client.send(head("POST", "/one/x", &["Content-Length: 11"]) + "hello world");
        assert_eq!(client.response().verdict(), "401 missing_api_key");
    }
    assert_eq!(client.get("/one/x", "good").status(), 200);
}

/// The operator may map a code to another status; the code and all that goes with it stay.
#[test]
fn mapped_status_changes_the_status_alone() {
    let mapped = "[answers]\nstatus = { quota_exceeded = 429, rate_limited = 503, \
                  missing_api_key = 403, route_not_found = 410 }\n";
    let plain = Stage::new();
    let other = Stage::with(&format!("{TABLES}\n{mapped}"));
    for (path, key, before, after) in [
        ("/one/x", Some("spent-twice"), "402 quota_exceeded", "429 quota_exceeded"),
        ("/one/x", Some("fast"), "429 rate_limited", "503 rate_limited"),
        ("/one/x", None, "401 missing_api_key", "403 missing_api_key"),
        ("/none", Some("good"), "404 route_not_found", "410 route_not_found"),
        ("/one/x", Some("nobody"), "401 invalid_api_key", "401 invalid_api_key"),
    ] {
        let fields: Vec<String> = key.map(bearer).into_iter().collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let request = head("GET", path, &fields);
        let answer = |stage: &Stage| {
            let mut client = stage.gateway.client();
            client.send(&request);
            client.response()
        };
        let (plain, other) = (answer(&plain), answer(&other));
        assert_eq!((plain.verdict().as_str(), other.verdict().as_str()), (before, after));
        assert_eq!(assert_is_refusal(after, &plain), assert_is_refusal(after, &other));
        let without = |response: &Response| {
            let mut body = response.json();
            for member in ["status", "request_id", "instance"] {
                body.as_object_mut().unwrap().remove(member);
            }
            body
        };
        assert_eq!(without(&plain), without(&other));
    }
}

/// A head that is far too large is not read to its end.
#[test]
fn heads_far_too_large_are_answered_and_closed() {
    let stage = Stage::new();
    let wide = format!("X-Wide: {}", "x".repeat(200_000));
    let long = format!("/one/{}", "x".repeat(200_000));
    for request in
        [head("GET", "/one/x", &[&bearer("good"), &wide]), head("GET", &long, &[&bearer("good")])]
    {
        let mut client = stage.gateway.client();
        let _ = client.try_send(request);
        let status = client.response().status();
        assert!([414, 431].contains(&status), "{status}");
        client.expect_closed();
    }
    stage.assert_nothing_more_recorded();
}

/// What is no HTTP/1.1, or could be read in two ways, is refused by a body that says why; the connection is
/// closed, and nothing of it is forwarded (RFC 9112 section 11.2).
#[test]
fn unreadable_requests_are_refused_and_closed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, TABLES, &upstream);
    let good = bearer("good");
    let many: Vec<String> = (0..60).map(|count| format!("X-{count}: v")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let with = |fields: &[&str]| head("POST", "/one/x", &[&[good.as_str()], fields].concat());
    let bare = |text: String, from: &str, to: &str| text.replacen(from, to, 1);
    let get = || with(&["X-A: 1"]);
    let requests = [
        ("no HTTP", "hello\r\n\r\n".to_owned()),
        ("no version", format!("GET /one/x\r\n{good}\r\n\r\n")),
        ("another version", bare(get(), "HTTP/1.1", "HTTP/2.0")),
        ("bad field", with(&["Bad Name: x"])),
        ("space before the colon", with(&["Name : x"])),
        ("folded field", with(&["Name: x\r\n y"])),
        ("no name", with(&[": x"])),
        ("two lengths", with(&["Content-Length: 3", "Content-Length: 4"]) + "abc"),
        ("list of lengths", with(&["Content-Length: 3, 4"]) + "abc"),
        ("no number", with(&["Content-Length: x"])),
        ("negative", with(&["Content-Length: -1"])),
        ("sign", with(&["Content-Length: +3"]) + "abc"),
        ("hexadecimal", with(&["Content-Length: 0x3"]) + "abc"),
        ("empty length", with(&["Content-Length:"])),
        ("beyond 64 bits", with(&["Content-Length: 18446744073709551616"])),
        ("unknown coding", with(&["Transfer-Encoding: gzip"])),
        ("two codings", with(&["Transfer-Encoding: gzip, chunked"]) + "0\r\n\r\n"),
        ("chunked twice", with(&["Transfer-Encoding: chunked, chunked"]) + "0\r\n\r\n"),
        ("odd white space", with(&["Transfer-Encoding: \u{b}chunked"]) + "0\r\n\r\n"),
        (
            "length, coding",
            with(&["Content-Length: 5", "Transfer-Encoding: chunked"]) + "0\r\n\r\n",
        ),
        (
            "coding, length",
            with(&["TRANSFER-encoding: CHUNKED", "content-LENGTH: 5"]) + "0\r\n\r\n",
        ),
        (
            "coding in HTTP/1.0",
            bare(with(&["Transfer-Encoding: chunked"]), "HTTP/1.1", "HTTP/1.0") + "0\r\n\r\n",
        ),
        ("control byte in the path", bare(get(), "/one/x", "/one/\u{1}")),
        ("NUL in a value", bare(get(), "X-A: 1", "X-A: \0")),
        ("bare line feed behind the line", bare(get(), "HTTP/1.1\r\n", "HTTP/1.1\n")),
        ("bare line feed behind a field", bare(get(), "X-A: 1\r\n", "X-A: 1\n")),
        ("bare line feed at the end", bare(get(), "X-A: 1\r\n\r\n", "X-A: 1\r\n\n")),
        ("bare carriage return", bare(get(), "X-A: 1", "X-A: 1\rX-B: 2")),
    ];
    let hidden = head("GET", "/one/hidden", &[&good]);
    for (name, request) in requests {
        let mut client = gateway.client();
        let _ = client.try_send(request + &hidden);
        let response = client.response();
        assert_eq!(response.verdict(), "400 invalid_request", "{name}");
        assert_eq!(response.field("connection"), Some("close"), "{name}");
        client.finish_if_open();
        client.expect_closed();
        assert_eq!(upstream.count(), 0, "{name}");
    }
    let mut client = gateway.client();
    let _ = client.try_send(with(&many));
    assert_eq!(client.response().verdict(), "431 headers_too_large");
    client.expect_closed();
    assert_eq!(upstream.count(), 0);
    gateway.wait_recorded("good", &[]);
}

/// Who asks by HEAD expects no body, whatever cannot be read of the rest.
#[test]
fn unreadable_head_is_refused_without_a_body() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, TABLES, &upstream);
    let mut client = gateway.client();
    client.send(head("HEAD", "/one/x", &[&bearer("good"), "Bad Name: x"]));
    let response = client.response_to_head();
    assert_eq!((response.status(), response.field("connection")), (400, Some("close")));
    assert_ne!(response.field("content-length"), Some("0"));
    client.finish_if_open();
    client.expect_closed();
    assert_eq!(upstream.count(), 0);
    gateway.wait_recorded("good", &[]);
}

/// A head may come byte by byte, and several at once.
#[test]
fn heads_come_in_any_pieces() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, TABLES, &upstream);
    let mut client = gateway.client();
    let request = head("GET", "/one/x", &[&bearer("good")]);
    for byte in request.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.response().status(), 200);
    let (first, rest) = request.split_at(30);
    client.send(request.repeat(2) + first);
    assert_eq!([client.response().status(), client.response().status()], [200, 200]);
    client.send(rest);
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.count(), 4);
}
