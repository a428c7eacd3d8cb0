//! Requests as the upstream sees them.

use super::{NOW, tables};
use crate::support::{
    Gateway, KEY, Upstream,
    client::{bearer, head},
};

fn gateway(upstream_lines: &str, route: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables(upstream_lines, route), &upstream);
    (gateway, upstream)
}

#[test]
fn upstream_is_told_who_calls() {
    let (gateway, upstream) = gateway("", "");
    for (key, application, key_id) in [(KEY, None, "acme-1"), ("mobile", Some("mobile"), "acme-m")]
    {
        let response = gateway.get("/v1/x", key);
        assert_eq!(response.status(), 200);
        let seen = upstream.last();
        assert_eq!(seen.field("faregate-customer"), Some("acme"));
        assert_eq!(seen.field("faregate-application"), application);
        assert_eq!(seen.field("faregate-key-id"), Some(key_id));
        assert_eq!(seen.field("faregate-plan"), Some("starter"));
        assert_eq!(seen.field("faregate-request-id"), response.field("x-request-id"));
        let sent: Vec<&(String, String)> =
            seen.fields.iter().filter(|(_, value)| value.contains(key)).collect();
        assert!(sent.is_empty() || key == "mobile" && sent.len() == 1, "{sent:?}");
    }
}

/// Whatever a client says under our names, in whatever spelling, is gone, on free routes too.
#[test]
fn spoofed_identity_is_dropped() {
    let (gateway, upstream) = gateway("", "");
    let spoofs = [
        "Faregate-Customer: spoof",
        "faregate-customer: spoof",
        "FAREGATE-PLAN: spoof",
        "Faregate_Customer: spoof",
        "faregate_key_id: spoof",
        "Faregate-Application: spoof",
        "Faregate-Request-Id: spoof",
        "Faregate-Payer: spoof",
        "X-Request-Id: spoof",
    ];
    for (path, identity) in [("/v1/x", Some("acme")), ("/free/x", None)] {
        let key = bearer(KEY);
        let mut fields = spoofs.to_vec();
        fields.push(&key);
        assert_eq!(gateway.request("GET", path, &fields).status(), 200);
        let seen = upstream.last();
        assert!(!format!("{seen:?}").contains("spoof"), "{seen:?}");
        assert_eq!(seen.field("faregate-customer"), identity);
        assert_eq!(seen.field("faregate-application"), None);
        assert!(seen.field("faregate-request-id").is_some());
    }
}

/// A client cannot make the gateway drop its own fields by naming them in `Connection`.
#[test]
fn our_fields_survive_being_named_in_connection() {
    let (gateway, upstream) = gateway("set_headers = { x-edition = \"metric\" }", "");
    let ours = [
        "faregate-customer",
        "faregate-key-id",
        "faregate-plan",
        "faregate-request-id",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-edition",
        "host",
    ];
    let named = format!("Connection: {}, keep-alive, X-Mine", ours.join(", "));
    gateway.request("GET", "/v1/x", &[&bearer(KEY), &named, "X-Mine: gone", "X-Other: kept"]);
    let seen = upstream.last();
    for name in ours {
        assert!(seen.field(name).is_some(), "{name}: {seen:?}");
    }
    assert_eq!(seen.field("x-mine"), None);
    assert_eq!(seen.field("x-other"), Some("kept"));
}

/// Nor can it hide its key from the gateway so, and have it forwarded.
#[test]
fn credential_is_removed_however_it_is_sent() {
    let (gateway, upstream) = gateway("", "");
    let x_api_key = format!("X-API-Key: {KEY}");
    let lower = format!("authorization: bearer {KEY}");
    let by_bearer = bearer(KEY);
    for fields in [
        vec![by_bearer.as_str()],
        vec![lower.as_str()],
        vec![x_api_key.as_str()],
        vec![by_bearer.as_str(), x_api_key.as_str()],
        vec![by_bearer.as_str(), by_bearer.as_str()],
        vec![by_bearer.as_str(), "Connection: authorization"],
    ] {
        assert_eq!(gateway.request("GET", "/v1/x", &fields).status(), 200, "{fields:?}");
        let seen = upstream.last();
        assert!(!format!("{seen:?}").contains(KEY), "{seen:?}");
        for name in ["authorization", "x-api-key"] {
            assert_eq!(seen.field(name), None, "{fields:?}");
        }
    }
    // On a free route a key is no concern of the upstream's either.
    gateway.request("GET", "/free/x", &[&by_bearer, &x_api_key]);
    assert!(!format!("{:?}", upstream.last()).contains(KEY));
}

#[test]
fn key_is_found_and_taken_off_in_every_listed_place() {
    let places = "\"bearer\", \"basic\", \"header:X-Pass\", \"cookie:pass\", \"query:pass\"";
    let tables = format!("[auth]\nlocations = [{places}]\n{}", tables("", ""));
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let user = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("{KEY}:any"));
    let query = format!("/v1/x?a=%20&pass={KEY}&b");
    for (target, field, left) in [
        ("/v1/x", format!("Authorization: Bearer {KEY}"), "/v1/x"),
        ("/v1/x", format!("Authorization: Basic {user}"), "/v1/x"),
        ("/v1/x", format!("X-Pass: {KEY}"), "/v1/x"),
        ("/v1/x?q", format!("Cookie: a=b; pass={KEY}; c=d"), "/v1/x?q"),
        (&query, "X-None: 1".to_owned(), "/v1/x?a=%20&b"),
        (&query, format!("X-Pass: {KEY}"), "/v1/x?a=%20&b"),
    ] {
        let response = gateway.request("GET", target, &[&field]);
        assert_eq!(response.status(), 200, "{target} {field}: {}", response.text());
        let seen = upstream.last();
        assert_eq!(seen.target(), left, "{field}");
        let seen = format!("{seen:?}");
        assert!(!seen.contains(KEY) && !seen.contains(&user), "{seen}");
    }
    let other = gateway.request("GET", &query, &["X-Pass: another"]);
    assert_eq!(other.verdict(), "401 ambiguous_credentials");
    let unlisted = gateway.request("GET", "/v1/x", &[&format!("X-API-Key: {KEY}")]);
    assert_eq!(unlisted.verdict(), "401 missing_api_key");
    gateway.wait_used("acme", 6);
}

#[test]
fn authorization_that_is_not_ours_passes() {
    let (first, upstream) = gateway("", "");
    let x_api_key = format!("X-API-Key: {KEY}");
    let digest = "Authorization: Digest username=\"u\"";
    assert_eq!(first.request("GET", "/v1/x", &[&x_api_key, digest]).status(), 200);
    assert_eq!(upstream.last().field("authorization"), Some("Digest username=\"u\""));
    // Basic credentials are a place for a key, so these are two different ones.
    let basic = "Authorization: Basic dXNlcjpwYXNz";
    let both = first.request("GET", "/v1/x", &[&x_api_key, basic]);
    assert_eq!(both.verdict(), "401 ambiguous_credentials");

    let tables = format!("[auth]\nlocations = [\"x-api-key\"]\n{}", tables("", ""));
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let theirs = "Authorization: Bearer for-the-upstream";
    assert_eq!(gateway.request("GET", "/v1/x", &[&x_api_key, theirs]).status(), 200);
    assert_eq!(upstream.last().field("authorization"), Some("Bearer for-the-upstream"));
    assert_eq!(upstream.last().field("x-api-key"), None);
    let verdict = gateway.get("/v1/x", KEY).verdict();
    assert_eq!(verdict, "401 missing_api_key", "a place that is not listed");
}

#[test]
fn fields_about_one_connection_stay_on_it() {
    let (gateway, upstream) = gateway("", "");
    let fields = [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic x",
        "TE: gzip",
        "Upgrade: h2c",
        "HTTP2-Settings: x",
        "Connection: upgrade, http2-settings",
        "Expect: 100-continue",
    ];
    let key = bearer(KEY);
    let mut all = fields.to_vec();
    all.push(&key);
    assert_eq!(gateway.request("GET", "/v1/x", &all).status(), 200);
    let seen = upstream.last();
    for field in fields {
        let name = field.split(':').next().unwrap().to_ascii_lowercase();
        assert_eq!(seen.all(&name), [""; 0], "{name}");
    }
}

#[test]
fn methods_in_fields_are_dropped() {
    let (gateway, upstream) = gateway("", "");
    let fields = [
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "X-Method-Override: DELETE",
        &bearer(KEY),
    ];
    assert_eq!(gateway.request("GET", "/v1/x", &fields).status(), 200);
    assert!(!format!("{:?}", upstream.last()).contains("DELETE"));
}

#[test]
fn origin_of_the_request_is_told_anew() {
    let (gateway, upstream) = gateway("", "");
    let fields = [
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Host: spoof.test",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /spoof",
        "X-Forwarded-Server: spoof",
        "Forwarded: for=192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "X_Forwarded_For: 192.0.2.1",
        "X_Real_IP: 192.0.2.1",
        &bearer(KEY),
    ];
    assert_eq!(gateway.request("GET", "/v1/x", &fields).status(), 200);
    let seen = upstream.last();
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-host"), Some("gateway.test"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    let text = format!("{seen:?}");
    assert!(!text.contains("192.0.2.1") && !text.contains("spoof"), "{text}");
}

#[test]
fn host_is_the_upstreams_or_the_callers() {
    let (first, upstream) = gateway("", "");
    assert_eq!(first.get("/v1/x", KEY).status(), 200);
    assert_eq!(upstream.last().field("host"), Some(upstream.address().to_string().as_str()));
    let tables = tables("host = \"preserve\"", "");
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    for (sent, expected) in
        [("gateway.test", "gateway.test"), ("Gateway.Test.:8402", "gateway.test:8402")]
    {
        let mut client = gateway.client();
        client.send(format!("GET /v1/x HTTP/1.1\r\nHost: {sent}\r\n{}\r\n\r\n", bearer(KEY)));
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.last().field("host"), Some(expected));
    }
}

#[test]
fn path_loses_the_prefix_and_gains_the_base() {
    let base = "url = \"http://@UPSTREAM@/base\"";
    for (url, route, sent, received) in [
        ("", "", "/v1/a/b?c=d", "/v1/a/b?c=d"),
        ("", "strip_prefix = \"/v1\"", "/v1/a/b?c=d", "/a/b?c=d"),
        ("", "strip_prefix = \"/v1\"", "/v1/", "/"),
        (base, "", "/v1/a?x", "/base/v1/a?x"),
        (base, "strip_prefix = \"/v1\"", "/v1/a/?x", "/base/a/?x"),
    ] {
        let upstream = Upstream::ok();
        let mut tables = tables("", route);
        if !url.is_empty() {
            tables = tables.replace("url = \"http://@UPSTREAM@\"", url);
        }
        let gateway = Gateway::start_at(NOW, &tables, &upstream);
        assert_eq!(gateway.get(sent, KEY).status(), 200);
        assert_eq!(upstream.last().line, format!("GET {received} HTTP/1.1"));
    }
}

#[test]
fn query_and_fields_pass_as_they_are() {
    let (gateway, upstream) = gateway("", "");
    for query in ["", "?", "?a=b&a=c", "?%2e%2e/%2F=%00", "?a=//b/../c", "?q=%41+b;c"] {
        assert_eq!(gateway.get(&format!("/v1/x{query}"), KEY).status(), 200, "{query}");
        assert_eq!(upstream.last().target(), format!("/v1/x{query}"));
    }
    let fields = ["X-Two: 1", "X-Two: 2", "Accept: a, b", "Cookie: a=b; c=d", &bearer(KEY)];
    gateway.request("GET", "/v1/x", &fields);
    let seen = upstream.last();
    assert_eq!(seen.all("x-two"), ["1", "2"]);
    assert_eq!(seen.field("accept"), Some("a, b"));
    assert_eq!(seen.field("cookie"), Some("a=b; c=d"));
}

#[test]
fn bodies_pass_with_their_framing() {
    let (gateway, upstream) = gateway("", "");
    let mut client = gateway.client();
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET", "QUERY"] {
        client.send(head(method, "/v1/x", &[&bearer(KEY), "Content-Length: 5"]) + "hello");
        assert_eq!(client.response().status(), 200, "{method}");
        let seen = upstream.last();
        assert_eq!(seen.line, format!("{method} /v1/x HTTP/1.1"));
        assert_eq!(
            (seen.body.as_slice(), seen.field("content-length")),
            (&b"hello"[..], Some("5"))
        );
        client.send(head(method, "/v1/x", &[&bearer(KEY), "Transfer-Encoding: chunked"]));
        client.send("3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
        assert_eq!(client.response().status(), 200, "{method}");
        let seen = upstream.last();
        assert_eq!(seen.body, b"hello", "{method} {seen:?}");
        assert_eq!(seen.all("transfer-encoding"), ["chunked"]);
    }
}

/// A secret that stands in a file is set on each request, and is in no answer.
#[test]
fn operators_own_fields_are_set_last() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "Bearer 0perator\n").unwrap();
    let lines = format!(
        "set_headers = {{ authorization = {{ file = {file:?} }}, x-edition = \"metric\" }}"
    );
    let (gateway, upstream) = gateway(&lines, "");
    let fields = [&bearer(KEY), "X-Edition: imperial", "X-Edition: other"];
    let response = gateway.request("GET", "/v1/x", &fields);
    assert_eq!(response.status(), 200);
    let seen = upstream.last();
    assert_eq!(seen.field("authorization"), Some("Bearer 0perator"));
    assert_eq!(seen.field("x-edition"), Some("metric"));
    assert!(!format!("{response:?}").contains("0perator"));
    // The caller's own Authorization, though not ours to take, gives way.
    gateway.request("GET", "/free/x", &["Authorization: Basic dXNlcg=="]);
    assert_eq!(upstream.last().field("authorization"), Some("Bearer 0perator"));
}
