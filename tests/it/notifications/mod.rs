//! Events from a whole gateway to a receiver.

mod delivery;
mod ends;
mod operation;
mod thresholds;

use std::{
    cell::Cell,
    collections::HashSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    support::{Exchange, Gateway, Then, Upstream, upstream::OK, wait_for, wait_until_equal},
    webhooks::{SECRET, verify},
};

const START: &str = "2026-11-16T00:00:00Z";

const TABLES: &str = r#"
[webhooks]
url = "http://@RECEIVER@/in"
secret = { file = "hook-secret" }

[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "calls"
path = "/calls/{*rest}"
upstream = "api"

[[routes]]
name = "dear"
path = "/dear"
upstream = "api"
cost = 10

[plans.small]
quotas = [{ name = "monthly", limit = 10, window = "month" }]

[plans.large]
quotas = [{ name = "monthly", limit = 20, window = "month" }]

[plans.trial]
trial = "10d"

[customers.acme]
plan = "small"
keys = [{ id = "acme-1", digest = "key:key-of-acme" }]
"#;

/// How a receiver answers; it can be changed while it runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Mood {
    Well,
    Broken,
    Gone,
    Silent,
    Slow,
}

/// A receiver whose mood can be changed.
struct Receiver {
    upstream: Upstream,
    mood: Arc<AtomicU8>,
}

impl Receiver {
    fn start(mood: Mood) -> Self {
        let mood = Arc::new(AtomicU8::new(mood as u8));
        let shared = Arc::clone(&mood);
        let script = move |exchange: &mut Exchange<'_>| -> io::Result<Then> {
            exchange.read_body()?;
            let mood = shared.load(Ordering::SeqCst);
            if mood == Mood::Silent as u8 {
                return Ok(Then::Silence);
            }
            if mood == Mood::Slow as u8 {
                std::thread::sleep(Duration::from_millis(200));
            }
            exchange.send(if mood == Mood::Broken as u8 {
                "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
            } else if mood == Mood::Gone as u8 {
                "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
            } else {
                OK
            })?;
            Ok(Then::Close)
        };
        Self { upstream: Upstream::start(script), mood }
    }

    fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Gives what it was sent, each message verified, and once where it came again.
    fn bodies(&self) -> Vec<Value> {
        let mut seen = HashSet::new();
        let requests = self.upstream.requests();
        // The body of the last one may still be on its way.
        let whole = requests.iter().filter(|message| !message.body.is_empty());
        let new = whole.filter(|message| seen.insert(verify(message).0));
        new.map(|message| serde_json::from_slice(&message.body).unwrap()).collect()
    }

    /// Gives what it was sent in short, in the order of arrival.
    fn told(&self) -> Vec<String> {
        self.bodies().iter().map(short).collect()
    }

    /// Waits until it was told exactly this.
    fn wait_told(&self, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        wait_until_equal(|| self.told(), &expected);
    }
}

/// Says in a line what an event says, without times.
fn short(body: &Value) -> String {
    let data = &body["data"];
    let text = |name: &str| data[name].as_str().unwrap_or("-").to_owned();
    let number = |name: &str| data[name].as_u64().unwrap();
    let customer = text("customer");
    let scope = data["scope"].as_str().map(|scope| format!(" of {scope}")).unwrap_or_default();
    match body["type"].as_str().unwrap() {
        "key.expiring" => format!("{customer}: key {} expires {}", text("key_id"), text("expires")),
        "quota.renewed" => format!("{customer}: {}{scope} renewed", text("quota")),
        "quota.threshold_reached" => format!(
            "{customer}: {}% of {}{scope}, {} of {}",
            number("threshold"),
            text("quota"),
            number("used"),
            number("limit"),
        ),
        "subscription.ended" => {
            format!("{customer}: {} ended by {}", text("plan"), text("reason"))
        }
        "subscription.ending" => {
            format!("{customer}: {} ends {} by {}", text("plan"), text("ends"), text("reason"))
        }
        other => format!("{customer}: {other}"),
    }
}

/// A gateway that tells a receiver.
struct Scene {
    gateway: Gateway,
    receiver: Receiver,
    upstream: Upstream,
    calls: Cell<u64>,
}

impl Scene {
    fn start() -> Self {
        Self::start_with("", Mood::Well)
    }

    fn start_with(more: &str, mood: Mood) -> Self {
        let (upstream, receiver) = (Upstream::ok(), Receiver::start(mood));
        let tables = tables(&receiver, more);
        let gateway = Gateway::start_with_file(START, &tables, &upstream, ("hook-secret", SECRET));
        Self { gateway, receiver, upstream, calls: Cell::new(0) }
    }

    /// Writes other tables and reloads them.
    fn reload(&self, tables: &str) {
        let upstream = self.upstream.address().to_string();
        self.gateway.write(&tables.replace("@UPSTREAM@", &upstream));
        self.gateway.running().reload().unwrap();
    }

    /// Calls so many times with a key.
    fn call(&self, key: &str, count: usize) {
        let mut client = self.gateway.client();
        for _ in 0..count {
            let response = client.get("/calls/x", key);
            assert_eq!(response.status(), 200, "{}", response.text());
            self.calls.set(self.calls.get() + 1);
        }
    }

    /// Makes a customer with a plan, and gives a key of its.
    fn customer(&self, id: &str, plan: &str) -> String {
        let body = json!({"id": id, "subscription": {"plan": plan}});
        self.gateway.changed("POST", "/v1/customers", &body);
        let key = self.gateway.changed("POST", &format!("/v1/customers/{id}/keys"), &json!({}));
        key["secret"].as_str().unwrap().to_owned()
    }

    fn put(&self, customer: &str, subscription: &Value) {
        let path = format!("/v1/customers/{customer}/subscription");
        self.gateway.changed("PUT", &path, subscription);
    }

    /// Lists the events in a state, the newest first.
    fn events(&self, state: &str) -> Vec<Value> {
        let list = self.gateway.admin("GET", &format!("/v1/events?state={state}"));
        assert_eq!(list.status(), 200, "{}", list.text());
        list.json()["items"].as_array().unwrap().clone()
    }

    /// Waits for so many events in a state.
    fn wait_events(&self, state: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} events that are {state}");
        wait_for(&what, || Some(self.events(state)).filter(|events| events.len() == count))
    }

    /// Waits until all calls are in the store: a settlement may wait a moment for company.
    fn fold(&self) {
        let customers = ["acme", "globex", "initech"];
        let requests = |customer: &str| -> u64 {
            self.gateway.recorded(customer).values().map(|(requests, _)| requests).sum()
        };
        wait_until_equal(|| customers.map(requests).iter().sum(), &self.calls.get());
    }

    /// Waits until everything that was used by now has been looked at, and all events sent.
    fn settle(&self) {
        self.fold();
        wait_for("an empty outbox", || self.events("pending").is_empty().then_some(()));
    }
}

fn tables(receiver: &Receiver, more: &str) -> String {
    let address = receiver.upstream.address().to_string();
    format!("{}{more}", TABLES.replace("@RECEIVER@", &address))
}
