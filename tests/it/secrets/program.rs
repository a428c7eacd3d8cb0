//! Everything that the real program writes, answers and sends, at its finest level.

use super::{
    Output, Secret,
    scene::{PLACES, Scene, VISIBLE},
    search,
};
use crate::support::{upstream::Received, wait_for};

fn run(format: &str, access_format: &str) {
    let mut scene = Scene::start(format, access_format);
    let secrets = scene.secrets.clone();
    for (place, secret) in PLACES.iter().filter_map(|place| {
        secrets.iter().find(|secret| secret.name == *place).map(|secret| (place, secret))
    }) {
        assert_eq!(scene.call_with(place, &secret.value, "/x"), "200", "{place}");
        assert_eq!(scene.call_with(place, &secret.value, "/dead/x"), "502", "{place}");
        let wrong = format!("wr0ng-{}-m4rk", place.replace([':', '_'], "-"));
        assert_eq!(scene.call_with(place, &wrong, "/x"), "401", "{place}");
        scene.secrets.push(Secret::new("wrong key", wrong));
    }
    scene.call_with_other_secrets();
    let key = scene.operate();
    assert_eq!(scene.call_with("bearer", &key, "/x"), "402");
    // A token is no key, and neither is a key under another name.
    let token =
        scene.secrets.iter().find(|secret| secret.name == "admin-token").unwrap().value.clone();
    assert_eq!(scene.call_with("bearer", &token, "/x"), "401");
    let is_told = |received: &Received| String::from_utf8_lossy(&received.body).contains(VISIBLE);
    wait_for("a webhook", || scene.receiver.requests().iter().any(is_told).then_some(()));
    scene.collector.wait_requests(1);
    scene.read_everything();
    scene.run_commands();
    let directory = scene.directory.path().to_owned();
    // While it runs, with what is still in the log that is written ahead; and at rest.
    scene.read_files(&directory);
    assert!(scene.gateway.take().unwrap().stop());
    scene.read_files(&directory);
    scene.read_sent();
    expect_visible(&scene.outputs);
    assert!(scene.secrets.len() > 35, "{}", scene.secrets.len());
    let found = search(&scene.outputs, &scene.secrets);
    assert!(found.is_empty(), "{found:#?}");
}

/// What is no secret is found where it must be, so the search looks there.
fn expect_visible(outputs: &[Output]) {
    let visible = search(outputs, &[Secret::new("it", VISIBLE)]);
    for place in [
        "access.log",
        "spans",
        "webhook",
        "faregate.db",
        "faregate.db-wal",
        "backup.db",
        "faregate.db.journal",
        "GET /v1/customers?",
        "GET /v1/usage",
        "GET /v1/events",
        "usage as text/csv",
        "usage as application/x-ndjson",
        "faregate customer list",
        "faregate export",
    ] {
        let is_there = visible.iter().any(|found| found.contains(&format!("it in {place}")));
        assert!(is_there, "{place} was not searched: {visible:#?}");
    }
    let finest =
        search(outputs, &[Secret::new("finest level", "TRACE"), Secret::new("debug", "DEBUG")]);
    assert!(finest.iter().any(|found| found.contains("stderr.log")), "no message below info");
    for name in ["GET /v1/config", "faregate check", "faregate config", "answer to an import"] {
        assert!(outputs.iter().any(|output| output.name.starts_with(name)), "{name}");
    }
}

#[test]
fn no_output_holds_a_secret() {
    run("text", "json");
}

#[test]
fn no_output_holds_a_secret_in_the_other_formats() {
    run("json", "text");
}
