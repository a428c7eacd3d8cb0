//! Every call, as the description lists them, with every way of not being allowed.

use serde_json::Value;

use super::start;
use crate::support::{
    Client, Gateway, Response, Upstream,
    client::{bearer, head},
};

/// Gives method and path of every call, with the customer and the key that are there.
fn every_call(gateway: &Gateway) -> Vec<(String, String)> {
    let description = gateway.admin("GET", "/openapi.json").json();
    let mut calls = vec![("GET".to_owned(), "/openapi.json".to_owned())];
    for (path, methods) in description["paths"].as_object().unwrap() {
        let id = if path.starts_with("/v1/keys/") { "acme-key" } else { "acme" };
        let path = path.replace("{id}", id).replace("{name}", "mobile");
        for method in methods.as_object().unwrap().keys() {
            calls.push((method.to_uppercase(), path.clone()));
        }
    }
    assert!(calls.len() > 25, "{calls:?}");
    calls
}

fn send(gateway: &Gateway, method: &str, path: &str, fields: &[&str], body: &str) -> Response {
    let length = format!("Content-Length: {}", body.len());
    let fields = [fields, &[&length]].concat();
    let mut client = Client::connect(gateway.running().admin_address());
    // A body that is refused may not be read to its end.
    let _ = client.try_send(head(method, path, &fields) + body);
    client.response()
}

fn prepared(upstream: &Upstream) -> Gateway {
    let gateway = start(upstream);
    super::customer(&gateway, "acme", "starter");
    gateway.changed("POST", "/v1/customers/acme/keys", &serde_json::json!({"id": "acme-key"}));
    gateway
}

/// Gives everything that a refused call could have changed.
fn state(gateway: &Gateway) -> Vec<Value> {
    let paths =
        ["/v1/customers", "/v1/customers/acme/keys", "/v1/audit", "/v1/enforcement", "/v1/log"];
    paths.map(|path| gateway.admin("GET", path).json()).to_vec()
}

#[test]
fn calls_need_a_token_that_permits_them() {
    let upstream = Upstream::ok();
    let gateway = prepared(&upstream);
    let before = state(&gateway);
    let host = "Host: 127.0.0.1";
    for (method, path) in every_call(&gateway) {
        let ask = |fields: &[&str]| send(&gateway, &method, &path, fields, "{}");
        assert_eq!(ask(&[host]).verdict(), "401 missing_token", "{method} {path}");
        let wrong = bearer("wrong");
        assert_eq!(ask(&[host, &wrong]).verdict(), "401 invalid_token", "{method} {path}");
        // A caller's key is no token.
        let key = bearer("key-of-filed");
        assert_eq!(ask(&[host, &key]).verdict(), "401 invalid_token", "{method} {path}");
        let read = ask(&[host, &bearer("only-reading")]);
        // What it asks is too much for a path; it changes nothing.
        if method == "GET" || path == "/v1/explain" {
            assert!(![401, 403].contains(&read.status()), "{method} {path}: {}", read.text());
        } else {
            assert_eq!(read.verdict(), "403 read_only_token", "{method} {path}");
        }
    }
    assert_eq!(state(&gateway), before);
}

#[test]
fn calls_of_foreign_pages_are_refused() {
    let upstream = Upstream::ok();
    let gateway = prepared(&upstream);
    let before = state(&gateway);
    let token = bearer(gateway.running().admin_token().expose());
    for (method, path) in every_call(&gateway) {
        for (fields, verdict) in [
            (["Host: 127.0.0.1", "Origin: http://evil.test"], "403 origin_not_allowed"),
            (["Host: 127.0.0.1", "Origin: null"], "403 origin_not_allowed"),
            (["Host: evil.test", "X: y"], "403 host_not_allowed"),
            (["Host: evil.test", "Origin: http://evil.test"], "403 host_not_allowed"),
        ] {
            let fields = [&fields[..], &[&token]].concat();
            let answer = send(&gateway, &method, &path, &fields, "{}");
            assert_eq!(answer.verdict(), verdict, "{method} {path} {fields:?}");
            assert_eq!(answer.field("access-control-allow-origin"), None);
        }
    }
    assert_eq!(state(&gateway), before);
    // Its own pages may, and health is for everyone.
    let own = ["Host: localhost", "Origin: http://localhost", &token];
    assert_eq!(send(&gateway, "GET", "/v1/customers", &own, "").status(), 200);
    assert_eq!(send(&gateway, "GET", "/healthz", &["Host: evil.test"], "").status(), 200);
}

#[test]
fn bodies_that_cannot_be_are_refused() {
    let upstream = Upstream::ok();
    let gateway = prepared(&upstream);
    let before = state(&gateway);
    let token = bearer(gateway.running().admin_token().expose());
    let json = ["Host: 127.0.0.1", "Content-Type: application/json", &token];
    let huge = format!("{{\"name\": \"{}\"}}", "x".repeat(2 << 20));
    let with_body = |(method, path): &(String, String)| {
        ["POST", "PUT", "PATCH"].contains(&&**method)
            && !["/v1/reload", "/v1/import", "/v1/backup", "/v1/verify"].contains(&&**path)
            && !path.ends_with("/retry")
    };
    for (method, path) in every_call(&gateway).iter().filter(|call| with_body(call)) {
        let ask = |body: &str| send(&gateway, method, path, &json, body);
        let unknown = ask("{\"colour\": \"red\"}");
        assert_eq!(unknown.verdict(), "422 invalid_request_body", "{method} {path}");
        assert_eq!(unknown.json()["errors"][0]["field"], "colour", "{method} {path}");
        assert_eq!(ask("{").verdict(), "400 malformed_json", "{method} {path}");
        assert_eq!(ask("[]").verdict(), "422 invalid_request_body", "{method} {path}");
        assert_eq!(ask(&huge).verdict(), "413 body_too_large", "{method} {path}");
        let text = ["Host: 127.0.0.1", "Content-Type: text/plain", &token];
        let answer = send(&gateway, method, path, &text, "{}");
        assert_eq!(answer.verdict(), "415 unsupported_media_type", "{method} {path}");
    }
    assert_eq!(state(&gateway), before);
}

#[test]
fn wrong_fields_are_named_all_at_once() {
    let upstream = Upstream::ok();
    let gateway = prepared(&upstream);
    let wrong = serde_json::json!({
        "id": "no spaces", "name": "", "concurrency": 0, "rate": {"limit": 0, "window": "25h"},
        "quotas": [{"limit": 1, "window": "day"}, {"limit": 2, "window": "day"},
            {"name": "rate", "limit": 1_000_000_000_000_000_u64, "window": "hour", "zone": "Mars/Base"}],
    });
    let answer = gateway.change("POST", "/v1/customers", &wrong);
    assert_eq!(answer.verdict(), "422 invalid_request_body");
    let errors = answer.json()["errors"].clone();
    let fields = errors.as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap());
    let mut fields: Vec<_> = fields.collect();
    fields.sort_unstable();
    let expected = [
        "concurrency",
        "id",
        "name",
        "quotas[1].name",
        "quotas[2].limit",
        "quotas[2].name",
        "quotas[2].zone",
        "rate.burst",
        "rate.limit",
        "rate.window",
    ];
    assert_eq!(fields, expected);
    for (path, body, field) in [
        ("/v1/customers/acme/subscription", "{\"plan\": \"none\"}", "plan"),
        ("/v1/customers/acme/subscription", "{\"status\": \"past_due\"}", "past_due_since"),
        ("/v1/customers/acme/subscription", "{\"status\": \"trialing\"}", "trial_end"),
        (
            "/v1/customers/acme/subscription",
            "{\"period_end\": \"2026-12-01T00:00:00Z\"}",
            "period_start",
        ),
        ("/v1/customers/acme/subscription", "{\"at\": \"2026-12-01T00:00:00Z\"}", "plan"),
        ("/v1/customers/acme/subscription", "{\"anchor\": \"2026-12-01\"}", "anchor"),
        ("/v1/customers/acme/subscription", "{\"status\": \"gone\"}", "status"),
    ] {
        let fields = ["Content-Type: application/json"];
        let answer = gateway.admin_with("PUT", path, &fields, body);
        assert_eq!(answer.verdict(), "422 invalid_request_body", "{body}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}: {}", answer.text());
    }
}
