//! The calls about events, and what becomes of events that nobody takes.

use serde_json::{Value, json};

use super::{Mood, Scene};
use crate::support::{KEY, wait_for};

#[test]
fn event_that_failed_is_sent_again_when_asked() {
    let scene = Scene::start_with("", Mood::Gone);
    scene.call(KEY, 8);
    let failed = scene.wait_events("failed", 2);
    assert_eq!(failed[0]["last_status"], 410);
    assert_eq!(failed[0]["attempts"], 1);
    assert_eq!(failed[0]["data"]["threshold"], 80, "the newest first");
    scene.receiver.set(Mood::Well);
    let id = failed[1]["id"].as_str().unwrap();
    let retried = scene.gateway.changed("POST", &format!("/v1/events/{id}/retry"), &json!({}));
    assert_eq!(retried["state"], "pending");
    assert_eq!(retried["attempts"], 1);
    let delivered = scene.wait_events("delivered", 1);
    assert_eq!((&delivered[0]["id"], &delivered[0]["attempts"]), (&json!(id), &json!(2)));
    let refused = scene.gateway.change("POST", &format!("/v1/events/{id}/retry"), &json!({}));
    assert_eq!(refused.verdict(), "409 not_failed");
    let unknown = scene.gateway.change("POST", "/v1/events/msg_0/retry", &json!({}));
    assert_eq!(unknown.verdict(), "404 event_not_found");
    let audit = scene.gateway.admin("GET", "/v1/audit").json();
    assert_eq!(audit["items"][0]["action"], "event.retry");
    assert_eq!(audit["items"][0]["subject"], id);
    assert_eq!(audit["items"][0]["customer"], "acme");
}

#[test]
fn events_come_in_pages() {
    let scene = Scene::start();
    assert_eq!(scene.gateway.get("/dear", KEY).status(), 200);
    scene.wait_events("delivered", 3);
    let first = scene.gateway.admin("GET", "/v1/events?limit=2").json();
    let thresholds = |page: &Value| {
        let items = page["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["data"]["threshold"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(thresholds(&first), [100, 80]);
    let next = first["next"].as_str().unwrap();
    let second = scene.gateway.admin("GET", &format!("/v1/events?limit=2&before={next}")).json();
    assert_eq!(thresholds(&second), [50]);
    assert!(second["next"].is_null());
    let event = &second["items"][0];
    for (field, value) in [
        ("type", json!("quota.threshold_reached")),
        ("state", json!("delivered")),
        ("endpoint", json!(null)),
        ("customer", json!("acme")),
        ("next_attempt", json!(null)),
        ("at", json!(super::START)),
    ] {
        assert_eq!(event[field], value, "{field}");
    }
    for query in ["state=lost", "limit=0", "before=x", "colour=red"] {
        let refused = scene.gateway.admin("GET", &format!("/v1/events?{query}"));
        assert_eq!(refused.verdict(), "400 invalid_query", "{query}");
    }
}

#[test]
fn events_are_given_up_when_the_endpoint_is_taken_out_and_forgotten_after_a_month() {
    let mut scene = Scene::start_with("", Mood::Broken);
    assert_eq!(scene.gateway.get("/dear", KEY).status(), 200);
    scene.wait_events("pending", 3);
    // Kept, not only sent: its next time counts from the clock that is moved below.
    let is_kept = |event: &serde_json::Value| event["attempts"] == 1;
    wait_for("an attempt", || scene.events("pending").iter().any(is_kept).then_some(()));
    let whole = super::tables(&scene.receiver, "");
    let (_, without) = whole.split_once("[upstreams.api]").unwrap();
    scene.reload(&format!("[upstreams.api]{without}"));
    scene.gateway.set_time("2026-11-16T00:01:00Z");
    let failed = scene.wait_events("failed", 3);
    assert_eq!(failed[0]["last_error"], "no `[webhooks]` are configured");
    scene.gateway.set_time("2026-12-17T00:00:00Z");
    scene.wait_events("failed", 0);
}
