//! One change while many connections ask without a pause: what begins after the change is answered
//! is decided by it, and nobody else notices anything.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use faregate::model::KeyDigest;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    process::{Client, CountingUpstream},
    support::{Gateway, Response, wait_for},
};

/// Connections of those whom the change is about, and of everybody else.
const CONNECTIONS: usize = 32;

/// Answers that each connection gets before the change and after it; `FAREGATE_LOAD` asks for another
/// number.
const ANSWERS: usize = 20;

const TABLES: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 2

[admin]
listen = "127.0.0.1:0"

[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
path = "/{*rest}"
upstream = "api"

[plans.large]
quotas = [{ name = "monthly", limit = 100000000, window = "month" }]

[plans.small]
quotas = [{ name = "monthly", limit = 3, window = "month" }]
"#;

/// A declared customer whom no change here is about.
const DECLARED_TOO: &str = "
[customers.filed-too]
plan = \"large\"
keys = [\"key:filed-3\"]
";

const DECLARED: &str = "
[customers.filed]
plan = \"large\"
keys = [{ id = \"filed-1\", digest = \"key:filed-1\" }, { id = \"filed-2\", digest = \"key:filed-2\" }]
";

const UNUSED: &str = "
[plans.unused]
quotas = [{ name = \"monthly\", limit = 5, window = \"month\" }]
";

/// A gateway with customers of the file and of the store, and who asks by which keys.
struct Scene {
    upstream: CountingUpstream,
    gateway: Gateway,
}

/// One request, and how it was answered.
#[derive(Debug)]
struct Asked {
    began: Instant,
    ended: Instant,
    verdict: String,
}

/// Ends the load when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is to be seen of a change: who is concerned, and their answers before and after it.
struct Case {
    keys: &'static [&'static str],
    before: &'static str,
    after: &'static str,
}

/// The keys of those whom no change here is about.
const OTHERS: [&str; 4] = ["acme-3", "other-1", "other-2", "filed-3"];

impl Scene {
    fn start() -> Self {
        let upstream = CountingUpstream::start();
        let tables = format!("{TABLES}{UNUSED}{DECLARED}{DECLARED_TOO}");
        let tables = tables.replace("@UPSTREAM@", &upstream.address.to_string());
        let scene = Self { gateway: Gateway::start_with(&tables, None), upstream };
        scene.customer("acme", &["acme-1", "acme-2"]);
        scene.customer("acme-too", &["acme-3"]);
        scene.customer("other", &["other-1", "other-2"]);
        scene
    }

    fn customer(&self, id: &str, keys: &[&str]) {
        let body = json!({"id": id, "subscription": {"plan": "large"}});
        self.gateway.changed("POST", "/v1/customers", &body);
        for key in keys {
            let body = json!({"id": key, "digest": KeyDigest::of(key.as_bytes()).to_string()});
            self.gateway.changed("POST", &format!("/v1/customers/{id}/keys"), &body);
        }
    }

    fn write(&self, tables: &str) {
        self.gateway.write(&tables.replace("@UPSTREAM@", &self.upstream.address.to_string()));
    }

    fn used(&self, customer: &str) -> u64 {
        self.gateway.used(customer).0
    }

    /// Makes a change under load and looks at every single answer.
    fn change_under_load(&self, case: &Case, method: &str, path: &str, body: &Value) {
        self.under_load(case, || self.gateway.change(method, path, body));
    }

    /// Writes the file and has it read. A file that lay there for longer would be read by itself.
    fn reload_under_load(&self, case: &Case, tables: &str) {
        self.under_load(case, || {
            self.write(tables);
            self.gateway.admin("POST", "/v1/reload")
        });
    }

    fn under_load(&self, case: &Case, change: impl FnOnce() -> Response) {
        let received = self.upstream.received();
        let load = Load::default();
        let address = self.gateway.running().address();
        let ((asked_at, answered_at), concerned, others) = std::thread::scope(|scope| {
            let start = |keys: &'static [&'static str]| -> Vec<_> {
                let key = |connection| keys[connection % keys.len()];
                let connections = (0..CONNECTIONS).map(key);
                let load = &load;
                connections.map(|key| scope.spawn(move || load.hammer(address, key))).collect()
            };
            let (concerned, others) = (start(case.keys), start(&OTHERS));
            // Also when something fails here: the scope waits for all of them.
            let stop = Stop(&load.stop);
            load.wait();
            let asked_at = Instant::now();
            let answer = change();
            let answered_at = Instant::now();
            assert!((200..300).contains(&answer.status()), "{}", answer.text());
            load.wait();
            drop(stop);
            let join = |threads: Vec<std::thread::ScopedJoinHandle<'_, Vec<Asked>>>| -> Vec<_> {
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            };
            ((asked_at, answered_at), join(concerned), join(others))
        });
        for asked in &others {
            assert_eq!(asked.verdict, "200", "whom the change is not about");
        }
        case.check(&concerned, asked_at, answered_at);
        // An answer is whole only after the upstream had the request, and a refusal never gets there.
        let all = concerned.iter().chain(&others);
        let served = all.filter(|asked| asked.verdict == "200");
        let received = self.upstream.received() - received;
        assert_eq!(served.count(), usize::try_from(received).unwrap());
    }
}

impl Case {
    fn check(&self, concerned: &[Asked], asked_at: Instant, answered_at: Instant) {
        let (mut early, mut late, mut last) = (0, 0, None::<&Asked>);
        for asked in concerned {
            let Asked { began, ended, verdict } = asked;
            if *ended < asked_at {
                assert_eq!(verdict, self.before, "before the change");
                early += 1;
            } else if *began > answered_at {
                let after = *began - answered_at;
                assert_eq!(verdict, self.after, "began {after:?} after the change was answered");
                late += 1;
            } else {
                assert!(verdict == self.before || verdict == self.after, "{verdict} meanwhile");
            }
            if verdict == self.before && last.is_none_or(|last| last.began < *began) {
                last = Some(asked);
            }
        }
        let least = CONNECTIONS * answers();
        assert!(early >= least && late >= least, "{early} before the change, {late} after it");
        let Asked { began, ended, .. } = last.unwrap();
        println!(
            "{early} before, {} meanwhile, {late} after; the change took {:?}; the last answered as \
             before began {:?} before its answer and ended {:?} after it",
            concerned.len() - early - late,
            answered_at - asked_at,
            answered_at.saturating_duration_since(*began),
            ended.saturating_duration_since(answered_at),
        );
    }
}

fn answers() -> usize {
    std::env::var("FAREGATE_LOAD").map_or(ANSWERS, |text| text.parse().unwrap())
}

/// What the connections of one scene share.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    /// Raised for each time that everybody is to have so many answers more.
    round: AtomicUsize,
    /// How many connections have them.
    arrived: AtomicUsize,
}

impl Load {
    /// Asks without a pause until told to stop. No connection ends before.
    fn hammer(&self, address: SocketAddr, key: &str) -> Vec<Asked> {
        let mut client = Client::connect(address).unwrap();
        let mut all = Vec::new();
        let (mut round, mut left) = (0, 0);
        while !self.stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let (status, body) = client.ask("/x", key).unwrap();
            all.push(Asked { began, ended: Instant::now(), verdict: verdict(status, &body) });
            let current = self.round.load(Ordering::SeqCst);
            if current != round {
                (round, left) = (current, answers() + 1);
            }
            if left > 0 {
                left -= 1;
                if left == 0 {
                    self.arrived.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        all
    }

    /// Waits until every connection has got its answers, all of them asked for after this call.
    fn wait(&self) {
        self.arrived.store(0, Ordering::SeqCst);
        self.round.fetch_add(1, Ordering::SeqCst);
        let all = || (self.arrived.load(Ordering::SeqCst) == 2 * CONNECTIONS).then_some(());
        wait_for("answers to all connections", all);
    }
}

fn verdict(status: u16, body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(body) => format!("{status} {}", body["code"].as_str().unwrap_or_default()),
        Err(_) => status.to_string(),
    }
}

const ACME: &[&str] = &["acme-1", "acme-2"];
const FILED: &[&str] = &["filed-1", "filed-2"];

#[test]
fn revoked_key_is_refused_at_once() {
    let scene = Scene::start();
    let case = Case { keys: &["acme-1"], before: "200", after: "401 api_key_revoked" };
    scene.change_under_load(&case, "DELETE", "/v1/keys/acme-1", &Value::Null);
    assert_eq!(scene.gateway.get("/x", "acme-2").status(), 200, "the other key goes on");
}

#[test]
fn downgrade_below_what_is_used_refuses_at_once() {
    let scene = Scene::start();
    let case = Case { keys: ACME, before: "200", after: "402 quota_exceeded" };
    let path = "/v1/customers/acme/subscription";
    scene.change_under_load(&case, "PUT", path, &json!({"plan": "small"}));
    assert_eq!(scene.gateway.usage("acme")["quotas"][0]["limit"], 3);
    assert_eq!(scene.used("acme") + others_used(&scene), scene.upstream.received());
}

fn others_used(scene: &Scene) -> u64 {
    ["acme-too", "other", "filed-too"].iter().map(|id| scene.used(id)).sum()
}

#[test]
fn suspended_customer_is_refused_at_once_and_served_again() {
    let scene = Scene::start();
    let refused = "403 account_suspended";
    let path = "/v1/customers/acme";
    let case = Case { keys: ACME, before: "200", after: refused };
    scene.change_under_load(&case, "PATCH", path, &json!({"suspended": true}));
    let case = Case { keys: ACME, before: refused, after: "200" };
    scene.change_under_load(&case, "PATCH", path, &json!({"suspended": false}));
    assert_eq!(scene.used("acme") + others_used(&scene), scene.upstream.received());
}

#[test]
fn deleted_customer_is_refused_at_once_and_leaves_nothing_behind() {
    let scene = Scene::start();
    let case = Case { keys: ACME, before: "200", after: "401 invalid_api_key" };
    scene.change_under_load(&case, "DELETE", "/v1/customers/acme", &Value::Null);
    // What was in flight at its end is not the next one's.
    scene.customer("acme", &["acme-1"]);
    assert_eq!(scene.gateway.used("acme"), (0, 0));
    assert_eq!(scene.gateway.recorded("acme"), crate::support::gateway::Recorded::new());
    assert_eq!(scene.gateway.get("/x", "acme-2").verdict(), "401 invalid_api_key");
    assert_eq!(scene.gateway.get("/x", "acme-1").status(), 200);
    assert_eq!(scene.gateway.used("acme"), (1, 0));
}

#[test]
fn reload_takes_a_customer_out_and_puts_it_in_again() {
    let scene = Scene::start();
    let refused = "401 invalid_api_key";
    let case = Case { keys: FILED, before: "200", after: refused };
    scene.reload_under_load(&case, &format!("{TABLES}{DECLARED_TOO}"));
    let case = Case { keys: FILED, before: refused, after: "200" };
    scene.reload_under_load(&case, &format!("{TABLES}{DECLARED}{DECLARED_TOO}"));
    let used = scene.used("filed") + others_used(&scene);
    assert_eq!(used, scene.upstream.received(), "what was used before is still known");
}

#[test]
fn reload_without_a_plan_that_nobody_has_is_noticed_by_nobody() {
    let scene = Scene::start();
    let body = json!({"id": "last", "subscription": {"plan": "unused"}});
    scene.gateway.changed("POST", "/v1/customers", &body);
    let tables = format!("{TABLES}{DECLARED}{DECLARED_TOO}");
    scene.write(&tables);
    assert_eq!(scene.gateway.admin("POST", "/v1/reload").verdict(), "409 declared_twice");
    scene.gateway.changed("PUT", "/v1/customers/last/subscription", &json!({"plan": "small"}));
    let case = Case { keys: &["acme-1", "filed-1"], before: "200", after: "200" };
    scene.reload_under_load(&case, &tables);
    let body = json!({"id": "late", "subscription": {"plan": "unused"}});
    let refused = scene.gateway.change("POST", "/v1/customers", &body);
    assert_eq!(refused.verdict(), "422 invalid_request_body", "the plan is gone");
}

#[test]
fn enforcement_goes_off_and_on_at_once() {
    let scene = Scene::start();
    scene.gateway.changed("PATCH", "/v1/customers/acme", &json!({"suspended": true}));
    let refused = "403 account_suspended";
    let case = Case { keys: ACME, before: refused, after: "200" };
    scene.change_under_load(&case, "PUT", "/v1/enforcement", &json!({"enforce": false}));
    let case = Case { keys: ACME, before: "200", after: refused };
    scene.change_under_load(&case, "PUT", "/v1/enforcement", &json!({"enforce": true}));
    assert_eq!(scene.used("acme"), 0, "what was let through so took nothing");
}

/// Many changes of one customer, one after the other, while it is asked for: each answer is one of
/// the two that the changes allow, and after each change the next request shows it.
#[test]
fn every_one_of_many_changes_is_in_force_at_once() {
    let scene = Scene::start();
    let address = scene.gateway.running().address();
    let load = Load::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let load = &load;
                scope.spawn(move || load.hammer(address, ACME[connection % 2]))
            })
            .collect();
        let mut client = Client::connect(address).unwrap();
        for round in 0..answers() {
            for (suspended, expected) in [(true, "403 account_suspended"), (false, "200")] {
                let body = json!({ "suspended": suspended });
                scene.gateway.changed("PATCH", "/v1/customers/acme", &body);
                for key in ACME {
                    let (status, body) = client.ask("/x", key).unwrap();
                    assert_eq!(verdict(status, &body), expected, "round {round}");
                }
            }
        }
        load.stop.store(true, Ordering::Relaxed);
        for asked in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            assert!(["200", "403 account_suspended"].contains(&&*asked.verdict), "{asked:?}");
        }
    });
    assert_eq!(scene.used("acme"), scene.upstream.received());
}
