//! Ends of subscriptions and keys: before they come, and when they have.

use std::collections::BTreeSet;

use faregate::{
    model::{KeyDigest, KeyState, OwnLimits},
    store::{StoreError, records::KeyRecord},
};
use jiff::Timestamp;
use serde_json::json;

use super::{Mood, Scene};
use crate::support::wait_until_equal;

const DECLARED: &str = r#"
[customers.filed]
plan = "small"
cancel_at = "2026-12-01T00:00:00Z"
keys = [{ id = "filed-1", digest = "key:key-of-filed", expires = "2026-11-20T00:00:00Z" }]

[customers.tried]
plan = "trial"
status = "trialing"
anchor = "2026-11-10T00:00:00Z"

[customers.later]
plan = "small"
cancel_at = "2027-06-01T00:00:00Z"
"#;

/// Waits until exactly this was told, in any order: different customers' events have none.
fn wait_set(scene: &Scene, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
    wait_until_equal(|| scene.receiver.told().into_iter().collect(), &expected);
    assert_eq!(scene.receiver.told().len(), expected.len(), "each once");
}

#[test]
fn what_the_file_declares_is_told_ahead_and_when_it_is_over() {
    let mut scene = Scene::start_with(DECLARED, Mood::Well);
    let mut told = vec![
        "filed: key filed-1 expires 2026-11-20T00:00:00Z",
        "tried: trial ends 2026-11-20T00:00:00Z by trial_end",
    ];
    wait_set(&scene, &told);
    scene.gateway.set_time("2026-11-19T00:00:00Z");
    scene.settle();
    wait_set(&scene, &told);
    scene.gateway.set_time("2026-11-24T00:00:01Z");
    told.push("filed: small ends 2026-12-01T00:00:00Z by cancel_at");
    told.push("tried: trial ended by trial_end");
    wait_set(&scene, &told);
    // The end comes while the gateway is off.
    scene.gateway.stop();
    scene.gateway.set_time("2026-12-02T00:00:00Z");
    scene.gateway.restart();
    told.push("filed: small ended by cancel_at");
    wait_set(&scene, &told);
    scene.gateway.restart();
    scene.settle();
    wait_set(&scene, &told);
}

#[test]
fn what_is_stored_is_told_ahead_and_when_it_is_over() {
    let mut scene = Scene::start();
    for (id, subscription) in [
        ("date", json!({"plan": "small", "cancel_at": "2026-11-20T00:00:00Z"})),
        ("far", json!({"plan": "small", "cancel_at": "2026-12-20T00:00:00Z"})),
        (
            "stated",
            json!({"plan": "small", "status": "trialing", "trial_end": "2026-11-30T00:00:00Z"}),
        ),
        (
            "computed",
            json!({"plan": "trial", "status": "trialing", "anchor": "2026-11-21T00:00:00Z"}),
        ),
        (
            "both",
            json!({"plan": "small", "status": "trialing", "trial_end": "2026-11-29T00:00:00Z",
                "cancel_at": "2026-11-29T12:00:00Z"}),
        ),
        (
            "unpaid",
            json!({"plan": "small", "status": "unpaid", "cancel_at": "2026-11-20T00:00:00Z"}),
        ),
    ] {
        let body = json!({"id": id, "subscription": subscription});
        scene.gateway.changed("POST", "/v1/customers", &body);
    }
    scene.gateway.changed(
        "POST",
        "/v1/customers/date/keys",
        &json!({"id": "k", "expires": "2026-11-26T00:00:00Z"}),
    );
    let mut told = vec!["date: small ends 2026-11-20T00:00:00Z by cancel_at"];
    wait_set(&scene, &told);
    scene.gateway.set_time("2026-11-21T00:00:00Z");
    told.extend(["date: small ended by cancel_at", "date: key k expires 2026-11-26T00:00:00Z"]);
    wait_set(&scene, &told);
    scene.gateway.set_time("2026-11-25T00:00:00Z");
    told.extend([
        "stated: small ends 2026-11-30T00:00:00Z by trial_end",
        "computed: trial ends 2026-12-01T00:00:00Z by trial_end",
        "both: small ends 2026-11-29T00:00:00Z by trial_end",
    ]);
    wait_set(&scene, &told);
    scene.gateway.restart();
    scene.settle();
    wait_set(&scene, &told);
    scene.gateway.set_time("2026-12-02T00:00:00Z");
    told.extend([
        "stated: small ended by trial_end",
        "computed: trial ended by trial_end",
        "both: small ended by trial_end",
    ]);
    wait_set(&scene, &told);
}

#[test]
fn change_that_ends_a_subscription_is_told() {
    let scene = Scene::start();
    scene.customer("now", "small");
    scene.customer("back", "small");
    scene.gateway.changed("DELETE", "/v1/customers/now/subscription", &json!({}));
    scene.put("back", &json!({"cancel_at": "2026-11-15T00:00:00Z"}));
    let told = ["now: small ended by canceled", "back: small ended by cancel_at"];
    wait_set(&scene, &told);
    scene.gateway.changed("DELETE", "/v1/customers/back/subscription", &json!({}));
    scene.settle();
    wait_set(&scene, &told);
}

/// More than a page of them, at one instant.
#[test]
fn everything_that_ends_at_one_instant_is_told() {
    const COUNT: usize = 2500;
    let mut scene = Scene::start();
    scene.customer("globex", "small");
    let expires: Timestamp = "2026-11-30T00:00:00Z".parse().unwrap();
    let written = scene.gateway.running().keeper().call(move |records| {
        for number in 0..COUNT {
            let id = format!("key-{number}");
            records.put_key(&KeyRecord {
                lineage: id.clone(),
                digest: KeyDigest::of(id.as_bytes()),
                id,
                customer: "globex".to_owned(),
                application: None,
                name: None,
                hint: None,
                env: None,
                scopes: Vec::new(),
                allow_from: Vec::new(),
                expires: Some(expires),
                status: KeyState::Active,
                revoked_at: None,
                replaced_by: None,
                limits: OwnLimits::default(),
                created_at: expires,
                last_used: None,
            })?;
        }
        Ok::<_, StoreError>(())
    });
    written.unwrap();
    scene.receiver.set(Mood::Silent);
    scene.gateway.set_time("2026-11-24T00:00:00Z");
    let all = || {
        let keeper = scene.gateway.running().keeper();
        keeper.call(|records| records.pending_deliveries()).unwrap()
    };
    wait_until_equal(all, &u64::try_from(COUNT).unwrap());
}
