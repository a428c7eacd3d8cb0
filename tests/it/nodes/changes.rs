//! What is changed on one node is in force on the others within a second.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tokio::time::Instant;

use super::*;
use crate::support::{Client, KEY, gateway::AdminCaller};

/// How long the other nodes may take, and the machine of the tests on top.
const BOUND: Duration = Duration::from_millis(1000);

/// Plans and a customer for changes.
fn plans(url: &str) -> String {
    tables(url)
        + r#"
[plans.pro]
quotas = [{ limit = 100000, window = "month" }]

[plans.tiny]
quotas = [{ limit = 1, window = "month" }]
"#
}

/// Waits until another node decides so; tells how long it took.
fn within(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    wait_for(what, || is_so().then_some(()));
    let took = began.elapsed();
    println!("{what}: {} ms", took.as_millis());
    assert!(took < BOUND, "{what}: {took:?}");
    took
}

impl Scene {
    /// Makes a customer with a key on the first node; gives the key's id and secret.
    fn customer(&self, id: &str, plan: &str) -> (String, String) {
        let body = json!({"id": id, "subscription": {"plan": plan}});
        self.first.changed("POST", "/v1/customers", &body);
        self.key(id)
    }

    fn key(&self, customer: &str) -> (String, String) {
        let key = self.first.changed("POST", &format!("/v1/customers/{customer}/keys"), &json!({}));
        let text = |field: &str| key[field].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    fn status(&self, key: &str) -> u16 {
        self.second.get("/x", key).status()
    }
}

#[test]
fn customers_keys_and_plans_are_known_to_the_other_node() {
    let upstream = Upstream::ok();
    let scene = Scene::new(plans, &upstream);
    let (id, secret) = scene.customer("initrode", "pro");
    within("a new customer", || scene.status(&secret) == 200);
    let (_, another) = scene.key("initrode");
    within("a new key", || scene.status(&another) == 200);
    let first = &scene.first;
    first.changed("PATCH", "/v1/customers/initrode", &json!({"suspended": true}));
    within("a suspension", || scene.status(&secret) == 403);
    first.changed("PATCH", "/v1/customers/initrode", &json!({"suspended": false}));
    within("its end", || scene.status(&secret) == 200);
    let rotated = first.changed("POST", &format!("/v1/keys/{id}/rotate"), &json!({}));
    let rotated = rotated["secret"].as_str().unwrap();
    within("a rotated key", || scene.status(rotated) == 200);
    first.changed("DELETE", &format!("/v1/keys/{id}"), &json!(null));
    within("a revoked key", || scene.status(&secret) == 401);
    let tiny = json!({"plan": "tiny", "change": "carry"});
    first.changed("PUT", "/v1/customers/initrode/subscription", &tiny);
    within("a downgrade", || scene.status(&another) == 402);
    let limits = json!({"quotas": [{"name": "month", "limit": 500, "window": "month"}]});
    first.changed("PATCH", "/v1/customers/initrode", &limits);
    within("limits of its own", || scene.status(&another) == 200);
}

#[test]
fn last_success_of_a_revoked_key_under_load_is_within_a_second() {
    let upstream = Upstream::ok();
    let scene = Scene::new(plans, &upstream);
    let (id, secret) = scene.customer("initrode", "pro");
    within("a new customer", || scene.status(&secret) == 200);
    let is_over = AtomicBool::new(false);
    let address = scene.second.running().address();
    let call = || {
        let mut client = Client::connect(address);
        let mut last = None;
        while !is_over.load(Ordering::Relaxed) {
            let answer = client.get("/x", &secret);
            match answer.status() {
                200 => last = Some(Instant::now()),
                401 => client = Client::connect(address),
                status => panic!("{status}: {}", answer.text()),
            }
        }
        last.unwrap()
    };
    let (revoked, last) = thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(call)).collect();
        thread::sleep(Duration::from_millis(300));
        scene.first.changed("DELETE", &format!("/v1/keys/{id}"), &json!(null));
        let revoked = Instant::now();
        thread::sleep(Duration::from_millis(1500));
        is_over.store(true, Ordering::Relaxed);
        let last = callers.into_iter().map(|caller| caller.join().unwrap()).max().unwrap();
        (revoked, last)
    });
    let late = last.saturating_duration_since(revoked);
    println!("the last success came {} ms behind the answer to the revocation", late.as_millis());
    assert!(late < BOUND, "{late:?}");
}

#[test]
fn money_and_the_switch_are_known_to_the_other_node() {
    let upstream = Upstream::ok();
    let scene = Scene::new(plans, &upstream);
    let (_, secret) = scene.customer("initrode", "tiny");
    within("a new customer", || scene.status(&secret) == 200);
    assert_eq!(scene.status(&secret), 402);
    let first = &scene.first;
    let correction = json!({"quota": "month", "amount": -3, "reason": "a test"});
    let other = scene.customer("globex", "pro");
    within("another customer", || scene.status(&other.1) == 200);
    first.changed("POST", "/v1/customers/globex/adjustments", &correction);
    within("a correction", || scene.second.used("globex").0 >= 4);
    first.changed("PUT", "/v1/enforcement", &json!({"enforce": false}));
    within("the switch", || scene.status(&secret) == 200);
    first.changed("PUT", "/v1/enforcement", &json!({"enforce": true}));
    within("the switch back", || scene.status(&secret) == 402);
    let grant = json!({"amount": "5", "currency": "USD"});
    first.changed("POST", "/v1/customers/initrode/credits", &grant);
    let balance = || {
        let usage = scene.second.usage("initrode");
        usage["credits"][0]["balance"].as_str().map(str::to_owned)
    };
    within("a grant", || balance().as_deref() == Some("5.000000000"));
    // It came once, and its own node does not take it twice.
    thread::sleep(BOUND);
    assert_eq!(balance().as_deref(), Some("5.000000000"));
    let usage = first.usage("initrode");
    assert_eq!(usage["credits"][0]["balance"], "5.000000000", "{usage}");
}

/// What a fold adds to a debt is told as well; the node whose journal it was has it since the request's end.
#[test]
fn a_debt_by_a_fold_is_known_to_the_other_node_and_not_twice_to_its_own() {
    let upstream = Upstream::ok();
    let scene = Scene::new(plans, &upstream);
    let (_, secret) = scene.customer("initrode", "tiny");
    within("a new customer", || scene.status(&secret) == 200);
    let grant = json!({"amount": "5", "currency": "USD"});
    scene.first.changed("POST", "/v1/customers/initrode/credits", &grant);
    let balance = |gateway: &Gateway| {
        let usage = gateway.usage("initrode");
        usage["credits"][0]["balance"].as_str().map(str::to_owned)
    };
    within("a grant", || balance(&scene.second).as_deref() == Some("5.000000000"));
    let own = id(&scene.second);
    scene.schema.ask(&format!(
        r#"INSERT INTO changes SELECT h.number + 1, now_ms(), n.run,
            '{{"kind":"indebted","customer":"initrode","currency":"USD","nanos":1000000000}}'
        FROM change_head AS h, nodes AS n WHERE n.id = '{own}';
        UPDATE change_head SET number = number + 1"#
    ));
    within("a debt", || balance(&scene.first).as_deref() == Some("4.000000000"));
    thread::sleep(BOUND);
    assert_eq!(balance(&scene.second).as_deref(), Some("5.000000000"));
}

#[test]
fn a_customer_that_is_removed_and_made_again_begins_anew() {
    let upstream = Upstream::ok();
    let scene = Scene::new(plans, &upstream);
    let (_, before) = scene.customer("initrode", "tiny");
    within("a new customer", || scene.status(&before) == 200);
    assert_eq!(scene.status(&before), 402);
    scene.first.changed("DELETE", "/v1/customers/initrode", &json!(null));
    let (_, after) = scene.customer("initrode", "tiny");
    within("the next of that id", || scene.status(&after) == 200);
    assert_eq!(scene.status(&before), 401);
    assert_eq!(scene.status(&after), 402);
    scene.first.changed("DELETE", "/v1/customers/initrode", &json!(null));
    within("its removal", || scene.status(&after) == 401);
    assert_eq!(scene.second.admin("GET", "/v1/customers/initrode").status(), 404);
}

/// What one of two calls that come at once has made, the other finds; nothing of either is lost.
#[test]
fn changes_of_two_nodes_at_once_come_one_after_the_other() {
    let upstream = Upstream::ok();
    let scene = Scene::new(plans, &upstream);
    let nodes = [scene.first.admin_caller(), scene.second.admin_caller()];
    let typed = &["Content-Type: application/json"];
    for round in 0..10 {
        let id = format!("customer-{round}");
        let body = json!({"id": id}).to_string();
        let create = |node: &AdminCaller| node.call("POST", "/v1/customers", typed, &body).status();
        let mut answers = thread::scope(|scope| {
            let calls = nodes.each_ref().map(|node| scope.spawn(move || create(node)));
            calls.map(|call| call.join().unwrap())
        });
        answers.sort_unstable();
        assert_eq!(answers, [201, 409], "{id}");
    }
    let notes = |node: &AdminCaller, name: &str| {
        for number in 0..20 {
            let body = json!({"metadata": {format!("{name}-{number}"): "x"}}).to_string();
            let answer = node.call("PATCH", "/v1/customers/customer-0", typed, &body);
            assert_eq!(answer.status(), 200, "{}", answer.text());
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| notes(&nodes[0], "first"));
        scope.spawn(|| notes(&nodes[1], "second"));
    });
    let shown = scene.first.changed("GET", "/v1/customers/customer-0", &json!(null));
    assert_eq!(shown["metadata"].as_object().unwrap().len(), 40, "{shown}");
}

#[test]
fn a_notification_that_is_lost_and_a_connection_that_is_cut_are_made_up_for() {
    let upstream = Upstream::ok();
    let scene = Scene::new(plans, &upstream);
    let (id, secret) = scene.customer("initrode", "pro");
    within("a new customer", || scene.status(&secret) == 200);
    // As if the notification had been lost: nobody is told.
    scene.schema.ask(&format!(
        "UPDATE keys SET status = 'revoked', revoked_at = 0 WHERE id = '{id}';
         INSERT INTO changes SELECT number + 1, now_ms(), 0, '{{\"kind\":\"customer\",\"id\":\"initrode\"}}'
             FROM change_head;
         UPDATE change_head SET number = number + 1"
    ));
    within("a change without a notification", || scene.status(&secret) == 401);
    let (_, another) = scene.key("initrode");
    within("a key", || scene.status(&another) == 200);
    scene.relay.set(Mode::Down);
    let (_, missed) = scene.key("initrode");
    scene.first.changed("PATCH", "/v1/customers/initrode", &json!({"suspended": true}));
    thread::sleep(Duration::from_millis(700));
    // It goes on by what it knew.
    assert_eq!(scene.status(&another), 200);
    assert_eq!(scene.status(&missed), 401);
    scene.relay.set(Mode::Pass);
    within("what was missed", || scene.status(&missed) == 403);
    assert_eq!(scene.status(&another), 403);
}

#[test]
fn a_node_that_was_away_for_too_long_reads_everything_anew() {
    let upstream = Upstream::ok();
    let scene = Scene::new(plans, &upstream);
    let (_, gone) = scene.customer("gone", "pro");
    let (revoked, secret) = scene.customer("initrode", "pro");
    within("the last of them", || scene.status(&secret) == 200);
    assert_eq!(scene.status(&gone), 200);
    // It has some units of this one then.
    assert_eq!(scene.status(KEY), 200);
    scene.relay.set(Mode::Down);
    assert_eq!(scene.status(KEY), 200);
    scene.first.changed("DELETE", "/v1/customers/gone", &json!(null));
    scene.first.changed("DELETE", &format!("/v1/keys/{revoked}"), &json!(null));
    let (_, late) = scene.customer("late", "pro");
    scene.schema.ask("DELETE FROM changes; UPDATE change_head SET dropped = number");
    scene.relay.set(Mode::Pass);
    // Everything is read within some seconds of the return, whatever else the machine has to do.
    let heard = |secret: &str, status| (scene.status(secret) == status).then_some(());
    wait_for("a customer that it never heard of", || heard(&late, 200));
    wait_for("one that is gone", || heard(&gone, 401));
    assert_eq!(scene.status(&secret), 401);
    assert_eq!(scene.status(KEY), 200);
}
