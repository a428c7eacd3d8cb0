//! Every event arrives, whatever the receiver and the gateway go through; and requests do not wait.

use std::{fs, time::Duration};

use faregate::{model::KeyDigest, store::records::WebhookRecord};
use serde_json::json;
use tokio::time::Instant;

use super::{Mood, Receiver, SECRET, START, Scene, tables};
use crate::{
    process,
    support::{Gateway, KEY, Upstream},
};

#[test]
fn every_event_arrives_once_and_in_order_from_a_receiver_in_every_mood() {
    let mut scene = Scene::start_with("", Mood::Broken);
    let key = scene.customer("globex", "small");
    let tried = |count| scene.receiver.upstream.wait_for(count);
    for count in [5, 3, 2] {
        scene.call(KEY, count);
        scene.call(&key, count);
        scene.fold();
    }
    // The first of each customer was tried; the others wait behind it.
    tried(2);
    let waiting = scene.wait_events("pending", 6);
    let has_time = waiting.iter().filter(|event| !event["next_attempt"].is_null());
    assert_eq!(has_time.count(), 2);
    scene.receiver.set(Mood::Slow);
    scene.gateway.set_time("2026-11-16T00:00:20Z");
    scene.settle();
    for (customer, limit) in [("acme", 10), ("globex", 10)] {
        let told = scene.receiver.told();
        let own: Vec<_> = told.iter().filter(|text| text.starts_with(customer)).collect();
        let expected = [(50, 5), (80, 8), (100, 10)];
        let expected = expected
            .map(|(level, used)| format!("{customer}: {level}% of monthly, {used} of {limit}"));
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
    // Six arrived, and the first of each customer was tried once before.
    assert_eq!(scene.receiver.upstream.count(), 8);
    for event in scene.events("delivered") {
        assert_eq!(event["last_status"], 200);
        assert!(event["last_error"].is_null());
    }
}

#[test]
fn restart_in_the_middle_loses_nothing_and_requests_do_not_wait_for_a_receiver() {
    let mut scene = Scene::start_with("", Mood::Silent);
    scene.call(KEY, 5);
    scene.receiver.upstream.wait_for(1);
    let begun = Instant::now();
    scene.call(KEY, 5);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    scene.gateway.stop();
    scene.receiver.set(Mood::Well);
    scene.gateway.restart();
    scene.receiver.wait_told(&[
        "acme: 50% of monthly, 5 of 10",
        "acme: 80% of monthly, 10 of 10",
        "acme: 100% of monthly, 10 of 10",
    ]);
    scene.settle();
    assert_eq!(scene.receiver.upstream.count(), 4, "what was under way was sent once more");
}

#[test]
fn receiver_that_is_not_there_is_waited_for() {
    let upstream = Upstream::ok();
    let receiver = Receiver::start(Mood::Well);
    let there = tables(&receiver, "");
    let address = receiver.upstream.address().to_string();
    let nowhere = there.replace(&address, &Upstream::nowhere().to_string());
    let file = ("hook-secret", SECRET);
    let mut gateway = Gateway::start_with_file(START, &nowhere, &upstream, file);
    assert_eq!(gateway.get("/dear", KEY).status(), 200);
    crate::support::wait_for("a failed attempt", || {
        let events = gateway.admin("GET", "/v1/events?state=pending").json();
        let failed = events["items"].as_array()?.iter().any(|event| {
            event["last_error"] == "no connection: connection refused" && event["attempts"] == 1
        });
        failed.then_some(())
    });
    gateway.write(&there.replace("@UPSTREAM@", &upstream.address().to_string()));
    gateway.running().reload().unwrap();
    gateway.set_time("2026-11-16T00:00:20Z");
    receiver.wait_told(&[
        "acme: 50% of monthly, 10 of 10",
        "acme: 80% of monthly, 10 of 10",
        "acme: 100% of monthly, 10 of 10",
    ]);
}

/// Killed right behind the last answer, when the usage may not be in the store; and while the receiver
/// has the event and has not answered.
#[test]
fn kill_between_usage_and_delivery_loses_nothing() {
    for (wait, mood) in [(false, Mood::Well), (true, Mood::Silent)] {
        let receiver = Receiver::start(mood);
        let upstream = process::CountingUpstream::start();
        let directory = tempfile::tempdir().unwrap();
        let (address, admin) = (process::free_address(), process::free_address());
        let text = tables(&receiver, "")
            .replace("@UPSTREAM@", &upstream.address.to_string())
            .replace("key:key-of-acme", &KeyDigest::of(KEY.as_bytes()).to_string());
        let head = format!(
            "[server]\nlisten = \"{address}\"\nworkers = 1\n[admin]\nlisten = \"{admin}\"\n\
             [log]\naccess = \"off\"\n"
        );
        fs::write(directory.path().join("faregate.toml"), format!("{head}{text}")).unwrap();
        fs::write(directory.path().join("hook-secret"), SECRET).unwrap();
        let gateway = process::Gateway::start(directory.path(), address, admin);
        let mut client = process::Client::connect(address).unwrap();
        for _ in 0..8 {
            assert_eq!(client.ask("/calls/x", KEY).unwrap().0, 200);
        }
        if wait {
            receiver.upstream.wait_for(1);
        }
        gateway.kill();
        receiver.set(Mood::Well);
        let gateway = process::Gateway::start(directory.path(), address, admin);
        crate::support::wait_for("both thresholds", || {
            let told = receiver.told();
            let levels = ["acme: 50%", "acme: 80%"];
            let is_all = told.len() == 2
                && levels.iter().zip(&told).all(|(level, told)| told.starts_with(level));
            is_all.then_some(())
        });
        assert!(gateway.stop());
    }
}

/// A URL that leads to the own network is not taken; one that is stored all the same is not used.
#[test]
fn tenants_own_address_is_not_reached_and_the_operators_event_arrives() {
    let mut scene = Scene::start();
    let key = scene.customer("globex", "small");
    let port = scene.receiver.upstream.address().port();
    let url = format!("http://127.0.0.1:{port}/own");
    let body = json!({"webhook": {"url": url}});
    let refused = scene.gateway.change("PATCH", "/v1/customers/globex", &body);
    assert_eq!(refused.verdict(), "422 invalid_request_body");
    let stored = scene.gateway.running().keeper().call(move |records| {
        let mut customer = records.customer("globex")?.unwrap();
        customer.webhook = Some(WebhookRecord { url, secret: SECRET.to_owned(), disabled: None });
        records.put_customer(&customer)
    });
    stored.unwrap();
    scene.gateway.restart();
    scene.call(&key, 5);
    scene.receiver.wait_told(&["globex: 50% of monthly, 5 of 10"]);
    let own = &scene.wait_events("failed", 1)[0];
    assert_eq!(own["endpoint"], "globex");
    let reason = own["last_error"].as_str().unwrap();
    assert!(reason.contains("not on the public internet"), "{reason}");
    let delivered = scene.wait_events("delivered", 1);
    assert!(delivered[0]["endpoint"].is_null());
    assert_ne!(delivered[0]["id"], own["id"]);
    assert_eq!(delivered[0]["data"], own["data"]);
    assert_eq!(scene.receiver.upstream.count(), 1);
}

#[test]
fn nothing_of_a_deleted_customer_goes_to_whoever_has_its_id_next() {
    let scene = Scene::start();
    let key = scene.customer("globex", "small");
    // Nothing answers there, and nothing may: the name is reserved for that.
    let own = json!({"webhook": {"url": "https://hooks.invalid/own"}});
    scene.gateway.changed("PATCH", "/v1/customers/globex", &own);
    scene.call(&key, 5);
    scene.wait_events("pending", 1);
    scene.gateway.changed("DELETE", "/v1/customers/globex", &json!({}));
    let failed = scene.wait_events("failed", 1);
    assert_eq!(failed[0]["last_error"], "the customer was deleted");
    let mut told = vec!["globex: 50% of monthly, 5 of 10"];
    scene.receiver.wait_told(&told);
    // The next of that id has used nothing, and is told of by itself.
    scene.calls.set(0);
    let key = scene.customer("globex", "small");
    scene.call(&key, 4);
    scene.settle();
    scene.receiver.wait_told(&told);
    scene.call(&key, 1);
    told.push(told[0]);
    scene.receiver.wait_told(&told);
}
