//! Who is there, and who is not.

use super::*;

#[test]
fn nodes_know_one_another_and_one_that_stops_says_so() {
    let upstream = Upstream::ok();
    let mut scene = Scene::new(tables, &upstream);
    let (first, second) = (id(&scene.first), id(&scene.second));
    for gateway in [&scene.first, &scene.second] {
        let nodes = gateway.changed("GET", "/v1/nodes", &json!(null));
        let mut ids: Vec<_> = nodes["items"].as_array().unwrap().iter().collect();
        assert_eq!(ids.len(), 2, "{nodes}");
        ids.retain(|node| node["state"] == "live" && node["version"] == env!("CARGO_PKG_VERSION"));
        assert_eq!(ids.len(), 2, "{nodes}");
    }
    assert_eq!(node(&scene.second, &first)["this"], false);
    let run = || scene.schema.ask(&format!("SELECT run FROM nodes WHERE id = '{second}'"));
    let before: u64 = run().parse().unwrap();
    scene.second.restart();
    assert!(run().parse::<u64>().unwrap() > before);
    assert_eq!(node(&scene.first, &second)["state"], "live");
    let leads = |id: &str| node(&scene.first, id)["leads"] == true;
    wait_for("one that leads", || (leads(&first) != leads(&second)).then_some(()));
    scene.second.stop();
    let leads = |id: &str| node(&scene.first, id)["leads"] == true;
    wait_for("the lead of the one that is left", || leads(&first).then_some(()));
    assert!(!leads(&second));
    assert_eq!(node(&scene.first, &second)["state"], "stopped");
    assert_eq!(node(&scene.first, &first)["state"], "live");
}

#[test]
fn a_node_that_is_not_live_is_forgotten_and_a_live_one_is_not() {
    let upstream = Upstream::ok();
    let mut scene = Scene::new(tables, &upstream);
    let (first, second) = (id(&scene.first), id(&scene.second));
    for live in [&first, &second] {
        let refused = scene.first.admin("DELETE", &format!("/v1/nodes/{live}"));
        assert_eq!(refused.status(), 409, "{}", refused.text());
        assert_eq!(refused.json()["code"], "node_live");
        assert_eq!(node(&scene.first, live)["state"], "live");
    }
    let unknown = scene.first.admin("DELETE", "/v1/nodes/nobody");
    assert_eq!((unknown.status(), &unknown.json()["code"]), (404, &json!("node_not_found")));
    scene.second.stop();
    scene.first.changed("DELETE", &format!("/v1/nodes/{second}"), &json!(null));
    assert_eq!(node(&scene.first, &second), json!(null));
    let audit = scene.first.changed("GET", "/v1/audit", &json!(null));
    let entry = &audit["items"][0];
    assert_eq!((&entry["action"], &entry["subject"]), (&json!("node.forget"), &json!(second)));
    assert_eq!(entry["before"]["state"], "stopped", "{entry}");
}

/// What it was is told by its journal directory; a process that was forgotten takes itself out of rotation.
#[test]
fn a_node_that_cannot_be_seen_is_silent_and_learns_that_it_was_forgotten() {
    let upstream = Upstream::ok();
    let mut scene = Scene::new(tables, &upstream);
    let second = id(&scene.second);
    scene.relay.set(Mode::Frozen);
    wait_state(&scene.first, &second, "silent");
    scene.relay.set(Mode::Pass);
    wait_state(&scene.first, &second, "live");
    scene.relay.set(Mode::Down);
    wait_state(&scene.first, &second, "silent");
    scene.first.changed("DELETE", &format!("/v1/nodes/{second}"), &json!(null));
    scene.relay.set(Mode::Pass);
    let is_replaced = || {
        let answer = scene.second.admin("GET", "/readyz");
        (answer.status() == 503 && answer.json()["code"] == "node_replaced").then_some(())
    };
    wait_for("the end of readiness", is_replaced);
    assert_eq!(scene.first.admin("GET", "/readyz").status(), 200);
    scene.second.restart();
    assert_eq!(scene.second.admin("GET", "/readyz").status(), 200);
    assert_eq!(node(&scene.first, &second)["state"], "live");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(scene.second.admin("GET", "/readyz").status(), 200);
}
