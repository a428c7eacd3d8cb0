//! Limits of applications and keys beside the customer's, declared and stored alike.

use serde_json::json;

use super::{calls, customer, secret, start, start_with};
use crate::support::{Gateway, Upstream};

fn key(gateway: &Gateway, body: &serde_json::Value) -> String {
    secret(&gateway.changed("POST", "/v1/customers/acme/keys", body))
}

#[test]
fn requests_fit_all_limits_or_take_nothing() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let plain = customer(&gateway, "acme", "pro");
    gateway.changed(
        "PUT",
        "/v1/customers/acme/applications/mobile",
        &json!({"quotas": [{"name": "mobile-daily", "limit": 3, "window": "day"}]}),
    );
    let mobile = key(&gateway, &json!({"application": "mobile"}));
    let narrow = key(
        &gateway,
        &json!({"id": "narrow", "application": "mobile",
            "quotas": [{"name": "key-daily", "limit": 1, "window": "day"}]}),
    );
    assert_eq!(calls(&gateway, &narrow, 2), ["200", "402 quota_exceeded"]);
    assert_eq!(calls(&gateway, &mobile, 3), ["200", "200", "402 quota_exceeded"]);
    assert_eq!(calls(&gateway, &plain, 8)[6..], ["200", "402 quota_exceeded"]);
    let told: Vec<_> = gateway.usage("acme")["quotas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|quota| (quota["scope"].as_str().unwrap_or("").to_owned(), quota["used"].clone()))
        .collect();
    let expected = [("", 10), ("application/mobile", 3), ("key/narrow", 1)];
    assert_eq!(told, expected.map(|(scope, used)| (scope.to_owned(), json!(used))));
    let own = gateway.get("/_faregate/usage", &narrow).json();
    assert_eq!(own["quotas"].as_array().unwrap().len(), 3, "a key sees what its calls must fit");
    let own = gateway.get("/_faregate/usage", &plain).json();
    assert_eq!(own["quotas"].as_array().unwrap().len(), 1);
    // All that do not fit are told.
    let refused = gateway.get("/calls/x", &narrow).json();
    assert_eq!(refused["violated-policies"], json!(["monthly", "mobile-daily", "key-daily"]));
    // Each helps by itself, on the next request.
    gateway.changed("PATCH", "/v1/customers/acme", &json!({"quotas": []}));
    gateway.changed("PATCH", "/v1/keys/narrow", &json!({"quotas": null}));
    assert_eq!(calls(&gateway, &narrow, 1), ["402 quota_exceeded"]);
    gateway.changed("PUT", "/v1/customers/acme/applications/mobile", &json!({}));
    assert_eq!(calls(&gateway, &narrow, 1), ["200"]);
    assert_eq!(gateway.usage("acme")["quotas"], json!([]), "an empty list is no limit");
}

#[test]
fn rate_and_concurrency_stand_at_every_level() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let plain = customer(&gateway, "acme", "pro");
    let slow = key(&gateway, &json!({"rate": {"limit": 1, "window": "1h"}}));
    let refused = |key: &str| {
        let answer = gateway.get("/calls/x", key);
        (answer.verdict(), answer.json()["violated-policies"].clone())
    };
    assert_eq!(calls(&gateway, &slow, 1), ["200"]);
    assert_eq!(refused(&slow), ("429 rate_limited".into(), json!(["key-rate"])));
    assert_eq!(calls(&gateway, &plain, 1), ["200"], "the others go on");
    gateway.changed(
        "PUT",
        "/v1/customers/acme/applications/a",
        &json!({"rate": {"limit": 1, "window": "1h"}}),
    );
    let in_application = key(&gateway, &json!({"application": "a"}));
    assert_eq!(calls(&gateway, &in_application, 1), ["200"]);
    assert_eq!(refused(&in_application), ("429 rate_limited".into(), json!(["application-rate"])));
    gateway.changed("PATCH", "/v1/customers/acme", &json!({"rate": {"limit": 1, "window": "1h"}}));
    assert_eq!(calls(&gateway, &plain, 1), ["200"]);
    assert_eq!(refused(&plain), ("429 rate_limited".into(), json!(["rate"])));
    assert_eq!(gateway.used("acme"), (4, 0));
}

#[test]
fn file_declares_them_alike() {
    let upstream = Upstream::ok();
    let gateway = start_with(
        "
[customers.many]
plan = \"pro\"
keys = [{ id = \"narrow\", digest = \"key:narrow\", quotas = [{ name = \"own\", limit = 1, window = \"day\" }] }]

[customers.many.applications.mobile]
quotas = [{ name = \"mobile-daily\", limit = 2, window = \"day\" }]
concurrency = 5
keys = [\"key:mobile\"]
",
        &upstream,
    );
    assert_eq!(calls(&gateway, "narrow", 2), ["200", "402 quota_exceeded"]);
    assert_eq!(calls(&gateway, "mobile", 3), ["200", "200", "402 quota_exceeded"]);
    let scopes: Vec<_> = gateway.usage("many")["quotas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|quota| quota["scope"].as_str().unwrap_or("").to_owned())
        .collect();
    assert_eq!(scopes, ["", "application/mobile", "key/narrow"]);
    let applications = gateway.admin("GET", "/v1/customers/many/applications").json();
    assert_eq!(applications["items"][0]["name"], "mobile");
}

#[test]
fn limit_of_zero_and_no_limit_at_all() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let plain = customer(&gateway, "acme", "pro");
    let set = |quotas| gateway.changed("PATCH", "/v1/customers/acme", &json!({"quotas": quotas}));
    set(json!([{"name": "monthly", "limit": 0, "window": "month"}]));
    let refused = gateway.get("/calls/x", &plain);
    assert_eq!(refused.verdict(), "402 cost_exceeds_allowance");
    assert_eq!(refused.field("retry-after"), None, "waiting does not help");
    set(json!([]));
    assert_eq!(calls(&gateway, &plain, 12), ["200"; 12]);
    // A new name begins at zero, unless it is told whose count it continues.
    set(json!([{"name": "calls", "limit": 2, "window": "month"}]));
    assert_eq!(calls(&gateway, &plain, 2), ["200", "200"]);
    set(json!([{"name": "requests", "limit": 3, "window": "month", "renamed_from": "calls"}]));
    assert_eq!(calls(&gateway, &plain, 2), ["200", "402 quota_exceeded"]);
    assert_eq!(gateway.usage("acme")["quotas"][0]["name"], "requests");
    let given = json!({"quota": "requests", "amount": 1, "reason": "x"});
    let path = "/v1/customers/acme/adjustments";
    let entry = gateway.changed("POST", path, &given);
    assert_eq!((&entry["quota"], &entry["used"]), (&json!("requests"), &json!(2)));
    assert_eq!(calls(&gateway, &plain, 2), ["200", "402 quota_exceeded"]);
    // Without own quotas the plan's hold again, with what was used of them.
    set(json!(null));
    assert_eq!(gateway.used("acme"), (0, 0));
    assert_eq!(calls(&gateway, &plain, 1), ["200"]);
}
