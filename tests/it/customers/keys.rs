//! Keys: at rest, imported, disabled, rotated, revoked.

use faregate::model::KeyDigest;
use serde_json::json;

use super::{call, customer, secret, start};
use crate::support::Upstream;

#[test]
fn key_made_elsewhere_is_as_good() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let own = customer(&gateway, "acme", "pro");
    let foreign = "not ours, with spaces: äöü";
    assert_eq!(gateway.get("/calls/x", "short").verdict(), "401 invalid_api_key");
    let digest = KeyDigest::of(b"short").to_string();
    let made = gateway.changed(
        "POST",
        "/v1/customers/acme/keys",
        &json!({"id": "moved-in", "digest": digest}),
    );
    assert_eq!((made.get("secret"), &made["hint"]), (None, &json!(null)));
    // To have asked before it existed does no harm.
    assert_eq!(call(&gateway, "short"), "200");
    let twice = gateway.change("POST", "/v1/customers/acme/keys", &json!({"digest": digest}));
    assert_eq!(twice.verdict(), "409 already_exists");
    let same_id = gateway.change("POST", "/v1/customers/acme/keys", &json!({"id": "moved-in"}));
    assert_eq!(same_id.verdict(), "409 already_exists");
    let wrong = gateway.change("POST", "/v1/customers/acme/keys", &json!({"digest": foreign}));
    assert_eq!(wrong.verdict(), "422 invalid_request_body");
    assert!(!wrong.text().contains("ours"), "what may be a key is not repeated");
    let as_id = gateway.change("POST", "/v1/customers/acme/keys", &json!({"id": own}));
    assert_eq!(as_id.verdict(), "422 invalid_request_body");
}

#[test]
fn key_is_disabled_and_enabled() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    customer(&gateway, "acme", "pro");
    let key = gateway.changed("POST", "/v1/customers/acme/keys", &json!({"id": "k"}));
    let key = secret(&key);
    let patch = |body| gateway.change("PATCH", "/v1/keys/k", &body).verdict();
    assert_eq!(call(&gateway, &key), "200");
    assert_eq!(patch(json!({"status": "disabled"})), "200");
    assert_eq!(call(&gateway, &key), "403 api_key_disabled");
    assert_eq!(patch(json!({"status": "active"})), "200");
    assert_eq!(patch(json!({"expires": "2026-11-16T00:00:00Z"})), "200");
    assert_eq!(call(&gateway, &key), "401 api_key_expired");
    assert_eq!(patch(json!({"expires": null, "allow_from": ["192.0.2.0/24"]})), "200");
    assert_eq!(call(&gateway, &key), "403 origin_not_allowed");
    assert_eq!(patch(json!({"allow_from": null})), "200");
    assert_eq!(gateway.get("/reports", &key).verdict(), "403 insufficient_scope");
    assert_eq!(patch(json!({"scopes": ["read"]})), "200");
    assert_eq!(gateway.get("/reports", &key).verdict(), "200");
    assert_eq!(patch(json!({"status": "revoked"})), "422 invalid_request_body");
    assert_eq!(patch(json!({"allow_from": []})), "422 invalid_request_body");
    assert_eq!(gateway.admin("DELETE", "/v1/keys/k").status(), 204);
    assert_eq!(gateway.admin("DELETE", "/v1/keys/k").status(), 204, "it stays so");
    assert_eq!(patch(json!({"status": "active"})), "422 invalid_request_body");
    let rotated = gateway.change("POST", "/v1/keys/k/rotate", &json!({}));
    assert_eq!(rotated.verdict(), "422 invalid_request_body");
    assert_eq!(call(&gateway, &key), "401 api_key_revoked");
}

#[test]
fn rotation_keeps_the_keys_own_quota() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    customer(&gateway, "acme", "pro");
    let quota = json!([{"name": "of-key", "limit": 3, "window": "day"}]);
    let first = gateway.changed(
        "POST",
        "/v1/customers/acme/keys",
        &json!({"id": "k", "quotas": quota, "expires": "2026-11-20T00:00:00Z"}),
    );
    assert_eq!(super::calls(&gateway, &secret(&first), 2), ["200", "200"]);
    let second = gateway.changed("POST", "/v1/keys/k/rotate", &json!({}));
    assert_eq!(second["expires"], "2026-11-20T00:00:00Z", "a rotation lengthens nothing");
    let old = gateway.admin("GET", "/v1/keys/k").json();
    assert_eq!(old["expires"], "2026-11-17T00:00:00Z", "a day, unless the call says otherwise");
    assert_eq!(call(&gateway, &secret(&second)), "200");
    assert_eq!(call(&gateway, &secret(&second)), "402 quota_exceeded");
    assert_eq!(call(&gateway, &secret(&first)), "402 quota_exceeded");
    let usage = gateway.usage("acme");
    let quotas = usage["quotas"].as_array().unwrap();
    assert_eq!(quotas.len(), 2, "two keys of one line share one count: {usage}");
    assert_eq!((&quotas[1]["scope"], &quotas[1]["used"]), (&json!("key/k"), &json!(3)));
    let again = gateway.change("POST", "/v1/keys/k/rotate", &json!({}));
    assert_eq!(again.verdict(), "422 invalid_request_body", "the successor is rotated");
}

#[test]
fn use_of_a_key_is_noted() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    customer(&gateway, "acme", "pro");
    let key = gateway.changed("POST", "/v1/customers/acme/keys", &json!({"id": "k"}));
    assert_eq!(gateway.admin("GET", "/v1/keys/k").json()["last_used"], json!(null));
    gateway.set_time("2026-11-16T10:20:30Z");
    assert_eq!(call(&gateway, &secret(&key)), "200");
    assert_eq!(call(&gateway, "key-of-filed"), "200");
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
    gateway.wait_recorded("filed", &[("completed", 1, 1)]);
    for id in ["k", "filed-key"] {
        let shown = gateway.admin("GET", &format!("/v1/keys/{id}")).json();
        assert_eq!(shown["last_used"], "2026-11-16T10:20:00Z", "{shown}");
    }
}
