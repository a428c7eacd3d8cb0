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

/// What the HTTP library cannot read it answers by itself, and closes the connection.
#[test]
fn unreadable_requests_are_answered_and_closed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, TABLES, &upstream);
    let good = bearer("good");
    let many: Vec<String> = (0..60).map(|count| format!("X-{count}: v")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let two_lengths = ["Content-Length: 3", "Content-Length: 4"];
    let both = ["Content-Length: 3", "Transfer-Encoding: chunked"];
    for (name, request, status) in [
        ("no HTTP", "hello\r\n\r\n".to_owned(), 400),
        ("no version", "GET /one/x\r\n\r\n".to_owned(), 400),
        ("bad field", head("GET", "/one/x", &["Bad Name: x"]), 400),
        ("space before the colon", head("GET", "/one/x", &["Name : x"]), 400),
        ("folded field", head("GET", "/one/x", &["Name: x\r\n y"]), 400),
        ("two lengths", head("POST", "/one/x", &two_lengths) + "abc", 400),
        ("no number", head("POST", "/one/x", &["Content-Length: x"]), 400),
        ("negative", head("POST", "/one/x", &["Content-Length: -1"]), 400),
        ("unknown coding", head("POST", "/one/x", &["Transfer-Encoding: gzip"]), 400),
        ("too many fields", head("GET", "/one/x", &many), 431),
        ("control byte in the path", head("GET", "/one/\u{1}", &[&good]), 400),
    ] {
        let mut client = gateway.client();
        let _ = client.try_send(&request);
        let response = client.response();
        assert_eq!(response.status(), status, "{name}");
        client.expect_closed();
    }
    // Both framings at once: whichever is taken, there is one answer at most and no second request.
    let mut client = gateway.client();
    client.send(head("POST", "/one/x", &both) + "0\r\n\r\nGET /one/hidden HTTP/1.1\r\n\r\n");
    let answers = String::from_utf8(client.drain()).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert_eq!(upstream.count(), 0);
}
