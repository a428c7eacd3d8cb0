//! Killed by signal 9 while an operator changes things: what was acknowledged is there and in force,
//! what was in flight is whole or not at all, and the audit tells the same as the tables.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use faregate::{clock::Clock, model::KeyDigest};
use serde_json::{Value, json};

use super::{
    audit,
    program::{Admin, Scene},
};
use crate::process::Client;

/// Kills in an ordinary test run; `FAREGATE_KILLS` asks for another number.
const KILLS: u64 = 16;

/// Operators who make changes at the same time, each of customers of its own.
const OPERATORS: usize = 3;

/// A change that is asked for.
#[derive(Clone, Debug)]
struct Call {
    method: &'static str,
    path: String,
    body: Value,
    /// The Idempotency-Key, where one is used.
    key: Option<String>,
}

/// What an operator knows of a key of its.
#[derive(Clone, Debug)]
struct Known {
    secret: Option<String>,
    document: Value,
}

/// An operator: what was acknowledged so far, and what was not answered.
struct Operator {
    name: usize,
    random: u64,
    made: u64,
    customers: BTreeMap<String, Value>,
    keys: BTreeMap<String, Known>,
    /// Keys of customers that are deleted.
    gone: Vec<String>,
    unanswered: Option<Call>,
    acknowledged: u64,
}

impl Operator {
    fn new(name: usize, seed: u64) -> Self {
        let random = seed.wrapping_add(u64::try_from(name).unwrap()).wrapping_mul(2) | 1;
        let (customers, keys) = (BTreeMap::new(), BTreeMap::new());
        let (gone, unanswered) = (Vec::new(), None);
        Self { name, random, made: 0, customers, keys, gone, unanswered, acknowledged: 0 }
    }

    /// Gives a number below another.
    fn below(&mut self, bound: usize) -> usize {
        // Xorshift: nothing depends on its quality.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % u64::try_from(bound).unwrap()).unwrap()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())].clone())
    }

    /// Makes changes until one is not answered.
    fn work(&mut self, admin: &Admin) {
        loop {
            let call = self.next();
            let Call { method, path, body, key } = &call;
            match admin.call(method, path, key.as_deref(), body) {
                Some((status, answer)) => self.acknowledge(&call, status, answer),
                None => {
                    self.unanswered = Some(call);
                    return;
                }
            }
        }
    }

    fn next(&mut self) -> Call {
        let customers: Vec<String> = self.customers.keys().cloned().collect();
        let revoked = |known: &Known| known.document["status"] == "revoked";
        let keys: Vec<String> = self
            .keys
            .iter()
            .filter(|(_, known)| !revoked(known))
            .map(|(id, _)| id.clone())
            .collect();
        self.made += 1;
        let number = self.made;
        let once = Some(format!("{}-{number}", self.name));
        let (customer, key) = (self.pick(&customers), self.pick(&keys));
        let name = format!("changed {number}");
        let (method, path, body, once) = match (self.below(16), customer, key) {
            (0, Some(id), _) if customers.len() > 3 => {
                ("DELETE", format!("/v1/customers/{id}"), Value::Null, None)
            }
            (1..=2, Some(id), _) => {
                let suspended = self.below(3) == 0;
                let body = json!({"name": name, "suspended": suspended});
                ("PATCH", format!("/v1/customers/{id}"), body, None)
            }
            (3..=4, Some(id), _) => {
                let plan = ["large", "larger"][self.below(2)];
                let body = json!({"plan": plan, "anchor": "2026-01-31T10:00:00Z"});
                ("PUT", format!("/v1/customers/{id}/subscription"), body, None)
            }
            (5, Some(id), _) => {
                ("DELETE", format!("/v1/customers/{id}/subscription"), Value::Null, None)
            }
            (6..=8, Some(id), _) => {
                // Whose secret is known from before, so that it can be tried out also if the answer
                // is lost.
                let digest = KeyDigest::of(secret_of(self.name, number).as_bytes()).to_string();
                let body = json!({"id": format!("k{}-{number}", self.name), "digest": digest});
                ("POST", format!("/v1/customers/{id}/keys"), body, once)
            }
            (9, Some(id), _) => {
                let body = json!({"name": name, "application": "mobile"});
                ("POST", format!("/v1/customers/{id}/keys"), body, once)
            }
            (10..=11, _, Some(id)) => {
                let status = ["active", "disabled"][self.below(2)];
                let body = json!({"name": name, "status": status});
                ("PATCH", format!("/v1/keys/{id}"), body, None)
            }
            (12, _, Some(id)) => ("DELETE", format!("/v1/keys/{id}"), Value::Null, None),
            (13, _, Some(id)) if self.keys[&id].document["replaced_by"].is_null() => {
                let grace = ["0s", "1h"][self.below(2)];
                ("POST", format!("/v1/keys/{id}/rotate"), json!({"grace": grace}), once)
            }
            _ => {
                let id = format!("c{}-{number}", self.name);
                let body = json!({"id": id, "name": name, "subscription": {"plan": "large"}});
                ("POST", "/v1/customers".to_owned(), body, once)
            }
        };
        Call { method, path, body, key: once }
    }

    /// Notes what an answer says.
    fn acknowledge(&mut self, call: &Call, status: u16, mut answer: Value) {
        assert!((200..300).contains(&status), "{call:?}: {status} {answer}");
        self.acknowledged += 1;
        let parts: Vec<&str> = call.path.split('/').skip(2).collect();
        match (call.method, parts.as_slice()) {
            ("POST", ["customers"]) | ("PATCH", ["customers", _]) => {
                self.customers.insert(text(&answer["id"]), answer);
            }
            ("DELETE", ["customers", id]) => {
                self.customers.remove(*id);
                let keys = std::mem::take(&mut self.keys).into_iter();
                let (gone, kept): (Vec<_>, Vec<_>) =
                    keys.partition(|(_, known)| known.document["customer"] == **id);
                self.keys = kept.into_iter().collect();
                let gone = gone.into_iter().filter_map(|(_, known)| known.secret);
                self.gone.extend(gone);
            }
            (_, ["customers", id, "subscription"]) => {
                self.customers.get_mut(*id).unwrap()["subscription"] = answer;
            }
            ("DELETE", ["keys", id]) => {
                self.keys.get_mut(*id).unwrap().document["status"] = json!("revoked");
            }
            ("PATCH", ["keys", id]) => self.keys.get_mut(*id).unwrap().document = answer,
            ("POST", _) => {
                if let ["keys", before, "rotate"] = parts.as_slice() {
                    let before = &mut self.keys.get_mut(*before).unwrap().document;
                    before["replaced_by"] = answer["id"].clone();
                }
                let secret = answer.as_object_mut().unwrap().remove("secret");
                let number = call.path.ends_with("/keys").then_some(self.made);
                let known = number.filter(|_| call.body["digest"].is_string());
                let known = known.map(|number| secret_of(self.name, number));
                let secret = secret.filter(Value::is_string).map(|secret| text(&secret)).or(known);
                self.keys.insert(text(&answer["id"]), Known { secret, document: answer });
            }
            _ => panic!("{call:?}"),
        }
    }

    /// Finds out, after a restart, what became of the call that was not answered; what it was to do
    /// is done whole or not at all. One with an Idempotency-Key is made again instead.
    fn resolve(&mut self, admin: &Admin) {
        let Some(call) = self.unanswered.take() else { return };
        let Call { method, path, body, key } = &call;
        let parts: Vec<&str> = path.split('/').skip(2).collect();
        if key.is_some() {
            let (status, answer) = admin.call(method, path, key.as_deref(), body).unwrap();
            self.acknowledge(&call, status, answer);
            let (status, _) = admin.call(method, path, key.as_deref(), body).unwrap();
            assert_eq!(status, 201, "and a third time: {call:?}");
            return;
        }
        let subject = match parts.as_slice() {
            ["customers", id, ..] => format!("/v1/customers/{id}"),
            _ => path.clone(),
        };
        let (status, found) = admin.get(&subject);
        let was_made = match (*method, parts.as_slice()) {
            ("DELETE", ["customers", _]) => status == 404,
            ("DELETE", ["customers", _, "subscription"]) => {
                found["subscription"]["status"] == "canceled"
            }
            ("DELETE", _) => found["status"] == "revoked",
            ("PATCH", _) => found["name"] == body["name"],
            // The plan may be the one from before; then it is there in either case.
            _ => {
                found["subscription"]["plan"] == body["plan"]
                    && found["subscription"]["anchor"] == body["anchor"]
            }
        };
        println!("in flight: {method} {path}, made: {was_made}");
        if !was_made {
            return;
        }
        if *method == "PATCH" {
            for (field, value) in body.as_object().unwrap() {
                assert_eq!(found[field], *value, "half of {call:?}");
            }
        }
        let answer = match parts.as_slice() {
            ["customers", _, "subscription"] => found["subscription"].clone(),
            _ => found,
        };
        self.acknowledge(&call, 200, answer);
    }

    /// Compares everything that is known with what a gateway tells and does.
    fn check(&self, admin: &Admin, client: &mut Client) {
        let prefix = format!("/v1/customers?limit=1000&prefix=c{}-", self.name);
        let (_, list) = admin.get(&prefix);
        let found: Vec<String> =
            list["items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect();
        assert_eq!(found, self.customers.keys().cloned().collect::<Vec<_>>());
        for (id, known) in &self.customers {
            let (_, found) = admin.get(&format!("/v1/customers/{id}"));
            // A key may have brought an application with it.
            for field in ["name", "suspended", "subscription", "created_at", "updated_at"] {
                assert_eq!(found[field], known[field], "{field} of {id}");
            }
            let (_, keys) = admin.get(&format!("/v1/customers/{id}/keys?limit=1000"));
            let keys = keys["items"].as_array().unwrap();
            let of_customer = |known: &&Known| known.document["customer"] == **id;
            assert_eq!(keys.len(), self.keys.values().filter(of_customer).count(), "keys of {id}");
            for key in keys {
                self.check_key(&self.keys[&text(&key["id"])], key, client);
            }
        }
    }

    fn check_gone(&self, client: &mut Client) {
        for secret in self.gone.iter().rev().take(10) {
            let (_, body) = client.ask("/x", secret).unwrap();
            assert!(body.contains("\"invalid_api_key\""), "{body}");
        }
    }

    fn check_key(&self, known: &Known, found: &Value, client: &mut Client) {
        for field in ["customer", "application", "name", "status", "replaced_by", "created_at"] {
            assert_eq!(found[field], known.document[field], "{field} of {found}");
        }
        let Some(secret) = &known.secret else { return };
        let customer = &self.customers[&text(&found["customer"])];
        let is_over = found["expires"].as_str().is_some_and(|expires| {
            expires.parse::<jiff::Timestamp>().unwrap() < Clock::system().now()
        });
        let expected = match text(&found["status"]).as_str() {
            "revoked" => "api_key_revoked",
            "disabled" => "api_key_disabled",
            _ if is_over => "api_key_expired",
            _ if customer["suspended"] == true => "account_suspended",
            _ => customer["subscription"]["code"].as_str().unwrap_or("ok"),
        };
        let (_, body) = client.ask("/x", secret).unwrap();
        let code = match serde_json::from_str::<Value>(&body) {
            Ok(body) => text(&body["code"]),
            Err(_) => body,
        };
        assert_eq!(code, expected, "{found} of {customer}");
    }
}

fn secret_of(operator: usize, number: u64) -> String {
    format!("secret-{operator}-{number}")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

/// Lets operators work, and requests be served beside, until the gateway is killed.
fn kill_meanwhile(scene: &Scene, operators: &mut [Operator], pause: Duration) {
    let (gateway, admin) = scene.start();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for operator in operators {
            let admin = &admin;
            scope.spawn(move || operator.work(admin));
        }
        // So that folds and changes take turns.
        scope.spawn(|| {
            let mut client = Client::connect(scene.address).unwrap();
            while client.ask("/x", "filed").is_ok() && !stop.load(Ordering::Relaxed) {}
        });
        std::thread::sleep(pause);
        gateway.kill();
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn acknowledged_changes_survive_every_kill() {
    let kills = std::env::var("FAREGATE_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let seed = std::env::var("FAREGATE_SEED").map_or_else(
        |_| u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()),
        |text| text.parse().unwrap(),
    );
    println!("FAREGATE_SEED={seed}");
    let scene = Scene::new();
    let mut operators: Vec<_> = (0..OPERATORS).map(|name| Operator::new(name, seed)).collect();
    for kill in 0..kills {
        let pause = Duration::from_millis(20 + u64::try_from(operators[0].below(130)).unwrap());
        kill_meanwhile(&scene, &mut operators, pause);
        let (gateway, admin) = scene.start();
        let mut client = Client::connect(scene.address).unwrap();
        for operator in &mut operators {
            operator.resolve(&admin);
            operator.check(&admin, &mut client);
            operator.check_gone(&mut client);
        }
        let entries = audit::check(&admin);
        let acknowledged: u64 = operators.iter().map(|operator| operator.acknowledged).sum();
        println!(
            "kill {kill} after {pause:?}: {acknowledged} acknowledged, {entries} in the audit"
        );
        assert!(gateway.stop(), "a stop by SIGTERM ends well");
    }
    let least = kills * u64::try_from(OPERATORS).unwrap();
    assert!(operators.iter().map(|operator| operator.acknowledged).sum::<u64>() > least);
}
