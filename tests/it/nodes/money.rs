//! One balance, whoever spends it: what ends, what is owed, and what is repaid.

use std::{thread, time::UNIX_EPOCH};

use tokio::time::Instant;

use super::*;
use crate::support::wait_until_equal;

/// Plans that pay for nothing, and a price.
fn priced(url: &str) -> String {
    let priced =
        SMALL.replace("upstream = \"api\"\n", "upstream = \"api\"\nprice = \"0.01 USD\"\n");
    format!("[store]\nurl = \"{url}\"\n{priced}[customers.payer]\nkeys = [\"key:payer\"]\n")
}

fn call(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        let answer = gateway.get("/x", "payer");
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
}

fn grant(gateway: &Gateway, body: &Value) {
    gateway.changed("POST", "/v1/customers/payer/credits", body);
}

/// Gives balance and reserved.
fn money(gateway: &Gateway) -> (String, String) {
    let usage = gateway.usage("payer");
    let text = |name: &str| usage["credits"][0][name].as_str().unwrap_or("none").to_owned();
    (text("balance"), text("reserved"))
}

fn wait_money(scene: &Scene, balance: &str) {
    let expected = (balance.to_owned(), "0.000000000".to_owned());
    for gateway in [&scene.first, &scene.second] {
        wait_until_equal(|| money(gateway), &expected);
    }
}

/// Gives the amounts of a kind of entries.
fn amounts(gateway: &Gateway, kind: &str) -> Vec<String> {
    let path = "/v1/customers/payer/ledger?limit=1000";
    let ledger = gateway.changed("GET", path, &json!(null));
    let items = ledger["items"].as_array().unwrap().iter();
    let of_kind = items.filter(|entry| entry["kind"] == kind);
    of_kind.map(|entry| entry["amount"].as_str().unwrap().to_owned()).collect()
}

fn verify(gateway: &Gateway) {
    let verified = gateway.changed("POST", "/v1/verify", &json!(null));
    assert_eq!(verified["ok"], true, "{verified}");
}

#[test]
fn what_nobody_spent_of_a_grant_that_has_ended_is_taken_once() {
    let upstream = Upstream::ok();
    let scene = Scene::new(priced, &upstream);
    let ends = UNIX_EPOCH.elapsed().unwrap() + Duration::from_secs(4);
    let ends = jiff::Timestamp::UNIX_EPOCH + ends;
    grant(&scene.first, &json!({"amount": "1", "currency": "USD", "expires": ends.to_string()}));
    grant(&scene.second, &json!({"amount": "1", "currency": "USD"}));
    wait_money(&scene, "2.000000000");
    call(&scene.first, 7);
    call(&scene.second, 5);
    wait_money(&scene, "1.880000000");
    // It is looked for every 15 seconds.
    let deadline = Instant::now() + Duration::from_secs(40);
    while amounts(&scene.first, "expired").is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(amounts(&scene.first, "expired"), ["-0.880000000"]);
    wait_money(&scene, "1.000000000");
    call(&scene.first, 2);
    call(&scene.second, 3);
    wait_money(&scene, "0.950000000");
    // Both have looked for it by now.
    thread::sleep(Duration::from_secs(16));
    assert_eq!(amounts(&scene.second, "expired"), ["-0.880000000"]);
    verify(&scene.first);
}

/// Two grants come at once, on two nodes that both know what is owed.
#[test]
fn what_is_owed_is_repaid_once() {
    let upstream = Upstream::ok();
    let scene = Scene::new(priced, &upstream);
    let owed = json!({"credit": "USD", "amount": "-5", "reason": "a test"});
    let ten = json!({"amount": "10", "currency": "USD"});
    for round in 1..=5 {
        scene.first.changed("POST", "/v1/customers/payer/adjustments", &owed);
        let before = 15 * (round - 1) - 5;
        wait_money(&scene, &format!("{before}.000000000"));
        let givers = [scene.first.admin_caller(), scene.second.admin_caller()];
        thread::scope(|scope| {
            for giver in &givers {
                scope.spawn(|| {
                    let typed = &["Content-Type: application/json"];
                    let path = "/v1/customers/payer/credits";
                    let given = giver.call("POST", path, typed, &ten.to_string());
                    assert_eq!(given.status(), 201, "{}", given.text());
                });
            }
        });
        wait_money(&scene, &format!("{}.000000000", 15 * round));
    }
    call(&scene.first, 3);
    call(&scene.second, 3);
    wait_money(&scene, "74.940000000");
    assert_eq!(scene.schema.ask("SELECT owed FROM purses"), "0");
    verify(&scene.second);
}

#[test]
fn a_node_that_is_started_again_knows_what_all_have_spent() {
    let upstream = Upstream::ok();
    let mut scene = Scene::new(priced, &upstream);
    grant(&scene.first, &json!({"amount": "0.20", "currency": "USD"}));
    wait_money(&scene, "0.200000000");
    call(&scene.first, 7);
    call(&scene.second, 8);
    wait_money(&scene, "0.050000000");
    scene.first.restart();
    wait_money(&scene, "0.050000000");
    call(&scene.first, 3);
    call(&scene.second, 2);
    for gateway in [&scene.first, &scene.second] {
        assert_eq!(gateway.get("/x", "payer").status(), 402);
    }
    wait_money(&scene, "0.000000000");
    verify(&scene.first);
}
