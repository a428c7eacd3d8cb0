//! Thresholds: once, in order, anew after a higher limit and in a new window.

use serde_json::json;

use super::{Mood, Scene, TABLES, tables};
use crate::support::{Gateway, KEY, Upstream};

const ALL: [&str; 3] = [
    "acme: 50% of monthly, 5 of 10",
    "acme: 80% of monthly, 8 of 10",
    "acme: 100% of monthly, 10 of 10",
];

/// Calls one after the other, so that each is folded by itself.
fn call_singly(scene: &Scene, key: &str, count: usize) {
    for _ in 0..count {
        scene.call(key, 1);
        scene.settle();
    }
}

#[test]
fn each_is_told_once_and_in_order() {
    let mut scene = Scene::start();
    call_singly(&scene, KEY, 4);
    scene.receiver.wait_told(&[]);
    call_singly(&scene, KEY, 6);
    scene.receiver.wait_told(&ALL);
    let event = &scene.receiver.bodies()[1];
    assert_eq!(event["type"], "quota.threshold_reached");
    assert_eq!(event["timestamp"], super::START);
    let expected = json!({
        "customer": "acme", "plan": "small", "quota": "monthly", "meter": "requests",
        "threshold": 80, "limit": 10, "used": 8, "remaining": 2,
        "window": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"},
    });
    assert_eq!(event["data"], expected);
    assert_eq!(scene.gateway.get("/calls/x", KEY).status(), 402);
    scene.gateway.restart();
    scene.settle();
    scene.receiver.wait_told(&ALL);
}

#[test]
fn jump_over_several_tells_each() {
    let scene = Scene::start();
    assert_eq!(scene.gateway.get("/dear", KEY).status(), 200);
    scene.receiver.wait_told(&[
        "acme: 50% of monthly, 10 of 10",
        "acme: 80% of monthly, 10 of 10",
        "acme: 100% of monthly, 10 of 10",
    ]);
}

#[test]
fn higher_limit_arms_them_again_and_a_lower_one_is_told_at_once() {
    let scene = Scene::start();
    let key = scene.customer("globex", "small");
    call_singly(&scene, &key, 8);
    let mut told = vec!["globex: 50% of monthly, 5 of 10", "globex: 80% of monthly, 8 of 10"];
    scene.receiver.wait_told(&told);
    scene.put("globex", &json!({"plan": "large"}));
    call_singly(&scene, &key, 8);
    told.extend(["globex: 50% of monthly, 10 of 20", "globex: 80% of monthly, 16 of 20"]);
    scene.receiver.wait_told(&told);
    // Below what is used: nothing more can be used that would tell it.
    scene.put("globex", &json!({"plan": "small"}));
    told.push("globex: 100% of monthly, 16 of 10");
    scene.receiver.wait_told(&told);
    scene.gateway.changed(
        "PATCH",
        "/v1/customers/globex",
        &json!({"quotas": [{"name": "monthly", "limit": 5, "window": "month"}]}),
    );
    scene.settle();
    scene.receiver.wait_told(&told);
}

#[test]
fn correction_is_measured() {
    let scene = Scene::start();
    scene.call(KEY, 4);
    let correct = |amount: i64| {
        let body = json!({"quota": "monthly", "amount": amount, "reason": "a test"});
        scene.gateway.changed("POST", "/v1/customers/acme/adjustments", &body);
        scene.settle();
    };
    scene.settle();
    correct(-1);
    scene.receiver.wait_told(&ALL[..1]);
    // Given back and used again it is still the same threshold of the same window.
    correct(3);
    scene.call(KEY, 3);
    scene.settle();
    scene.receiver.wait_told(&ALL[..1]);
}

/// A quota that goes on for some units, at a dollar each.
const SOFT: &str = r#"
[plans.soft]
quotas = [{ name = "monthly", limit = 2, window = "month", overage = { price = "1 USD" } }]
"#;

#[test]
fn reached_spend_cap_is_told_once_and_the_allowance_as_ever() {
    let mut scene = Scene::start_with(SOFT, Mood::Well);
    let key = scene.customer("globex", "soft");
    let patch = |scene: &Scene, cap: &str| {
        scene.gateway.changed("PATCH", "/v1/customers/globex", &json!({"spend_cap": cap}));
    };
    patch(&scene, "3.50 USD");
    call_singly(&scene, &key, 4);
    let mut told = vec![
        "globex: 50% of monthly, 1 of 2",
        "globex: 80% of monthly, 2 of 2",
        "globex: 100% of monthly, 2 of 2",
    ];
    scene.receiver.wait_told(&told);
    call_singly(&scene, &key, 1);
    told.push("globex: spend_cap.reached");
    scene.receiver.wait_told(&told);
    let window = json!({"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"});
    let overage = json!({
        "price": "1.000000000", "currency": "USD", "units": 3, "amount": "3.000000000",
    });
    let expected = json!({
        "customer": "globex", "plan": "soft", "quota": "monthly", "meter": "requests", "limit": 2,
        "used": 5, "spend_cap": "3.500000000", "overage": overage, "window": window,
    });
    assert_eq!(scene.receiver.bodies()[3]["data"], expected);
    assert_eq!(scene.gateway.get("/calls/x", &key).verdict(), "402 spend_cap_reached");
    // Neither a start nor a change that is not about it tells it again.
    scene.gateway.restart();
    scene.gateway.changed("PATCH", "/v1/customers/globex", &json!({"name": "Globex"}));
    scene.settle();
    scene.receiver.wait_told(&told);
    patch(&scene, "4 USD");
    call_singly(&scene, &key, 1);
    told.push("globex: spend_cap.reached");
    scene.receiver.wait_told(&told);
}

#[test]
fn spend_cap_is_told_without_thresholds_too() {
    let tables = "thresholds = []\n[upstreams.api]";
    let scene = Scene::start();
    scene.reload(&tables_of(&scene, tables));
    let key = scene.customer("globex", "soft");
    let cap = json!({"spend_cap": "1 USD"});
    scene.gateway.changed("PATCH", "/v1/customers/globex", &cap);
    scene.call(&key, 3);
    scene.receiver.wait_told(&["globex: spend_cap.reached"]);
}

/// Gives the tables with other ones in the place of the upstream's head.
fn tables_of(scene: &Scene, head: &str) -> String {
    let tables = tables(&scene.receiver, SOFT);
    assert!(tables.contains("[upstreams.api]"));
    tables.replacen("[upstreams.api]", head, 1)
}

#[test]
fn new_window_begins_anew_and_is_told() {
    let mut scene = Scene::start();
    scene.call(KEY, 5);
    scene.receiver.wait_told(&ALL[..1]);
    // Not while the gateway is on: the month ends in between.
    scene.gateway.stop();
    scene.gateway.set_time("2026-12-01T00:00:10Z");
    scene.gateway.restart();
    let mut told = vec![ALL[0], "acme: monthly renewed"];
    scene.receiver.wait_told(&told);
    let renewed = &scene.receiver.bodies()[1]["data"];
    let window = json!({"start": "2026-12-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"});
    let expected = json!({"customer": "acme", "quota": "monthly", "limit": 10, "window": window});
    assert_eq!(*renewed, expected);
    scene.call(KEY, 5);
    told.push(ALL[0]);
    scene.receiver.wait_told(&told);
    scene.gateway.set_time("2027-01-01T00:00:00Z");
    told.push("acme: monthly renewed");
    scene.receiver.wait_told(&told);
    scene.gateway.set_time("2027-02-01T00:00:00Z");
    scene.settle();
    scene.receiver.wait_told(&told);
}

#[test]
fn quotas_of_applications_and_keys_have_thresholds_of_their_own() {
    let scene = Scene::start();
    scene.customer("globex", "large");
    let quota = json!([{"name": "daily", "limit": 4, "window": "day"}]);
    let made = scene.gateway.changed(
        "POST",
        "/v1/customers/globex/keys",
        &json!({"id": "ci", "application": "mobile", "quotas": quota}),
    );
    let path = "/v1/customers/globex/applications/mobile";
    scene.gateway.changed("PUT", path, &json!({}));
    call_singly(&scene, made["secret"].as_str().unwrap(), 2);
    let mut told = vec!["globex: 50% of daily of key/ci, 2 of 4"];
    scene.receiver.wait_told(&told);
    // Limits that come in later and are used up already.
    scene.gateway.changed("PUT", path, &json!({"quotas": quota}));
    scene.gateway.changed(
        "PATCH",
        "/v1/keys/ci",
        &json!({
            "quotas": [{"name": "daily", "limit": 2, "window": "day"}],
        }),
    );
    told.extend([
        "globex: 80% of daily of key/ci, 2 of 2",
        "globex: 100% of daily of key/ci, 2 of 2",
    ]);
    scene.receiver.wait_told(&told);
    call_singly(&scene, scene.customer("initech", "small").as_str(), 1);
    scene.receiver.wait_told(&told);
}

#[test]
fn reload_measures_everybody_by_the_new_limits() {
    let scene = Scene::start();
    let key = scene.customer("globex", "small");
    scene.call(KEY, 4);
    scene.call(&key, 3);
    scene.settle();
    scene.receiver.wait_told(&[]);
    let lower = TABLES
        .replace("limit = 10,", "limit = 4,")
        .replace("secret = { file", "thresholds = [60, 100]\nsecret = { file");
    let address = scene.receiver.upstream.address().to_string();
    scene.reload(&lower.replace("@RECEIVER@", &address));
    let expected = [
        "acme: 60% of monthly, 4 of 4",
        "acme: 100% of monthly, 4 of 4",
        "globex: 60% of monthly, 3 of 4",
    ];
    let told = || {
        let mut told = scene.receiver.told();
        told.sort_by_key(|text| text.split(':').next().map(ToOwned::to_owned));
        told
    };
    crate::support::wait_until_equal(told, &expected.map(ToOwned::to_owned).to_vec());
}

#[test]
fn nothing_is_kept_where_nobody_listens() {
    let upstream = Upstream::ok();
    let receiver = super::Receiver::start(Mood::Well);
    let whole = tables(&receiver, "");
    let (_, without) = whole.split_once("[upstreams.api]").unwrap();
    let without = format!("[upstreams.api]{without}");
    let gateway = Gateway::start_at(super::START, &without, &upstream);
    assert_eq!(gateway.get("/dear", KEY).status(), 200);
    gateway.running().keeper().fold_now().unwrap();
    let all = gateway.admin("GET", "/v1/events").json();
    assert_eq!(all, json!({"items": [], "next": null}));
    // Who begins to listen is told what is so now.
    std::fs::write(gateway.directory().join("hook-secret"), super::SECRET).unwrap();
    gateway.write(&whole.replace("@UPSTREAM@", &upstream.address().to_string()));
    gateway.running().reload().unwrap();
    receiver.wait_told(&[
        "acme: 50% of monthly, 10 of 10",
        "acme: 80% of monthly, 10 of 10",
        "acme: 100% of monthly, 10 of 10",
    ]);
}
