//! Money pays for what a plan does not cover: to the last unit, on record, and back where nothing was served.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use faregate::{provisioning::Change, store::records::Records};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{Client, Gateway, Response, Then, Upstream};

const TABLES: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 2

[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "paid"
path = "/paid/{*rest}"
upstream = "api"
cost = 2
price = "0.02 USD"

[[routes]]
name = "third"
path = "/third/{*rest}"
upstream = "api"
price = "0.333333333 USD"

[[routes]]
name = "bare"
path = "/bare/{*rest}"
upstream = "api"

[[routes]]
name = "extra"
path = "/extra/{*rest}"
upstream = "api"
price = "0.10 USD"

[[routes]]
name = "hidden"
path = "/hidden/{*rest}"
upstream = "api"
price = "0.10 USD"

[plans.small]
routes = ["paid", "third", "bare"]
quotas = [{ name = "monthly", limit = 5, window = "month" }]
upgrade_url = "https://example.com/billing"

[plans.large]
routes = ["paid", "third", "bare", "extra"]
quotas = [{ name = "monthly", limit = 500, window = "month" }]

[plans.slow]
quotas = [{ name = "monthly", limit = 0, window = "month" }]
rate = { limit = 1, window = "1h" }

[customers.acme]
plan = "small"
keys = ["key:acme"]

[customers.slow]
plan = "slow"
keys = ["key:slow"]

[customers.gone]
plan = "small"
status = "canceled"
keys = ["key:gone"]

[customers.bare]
keys = ["key:bare"]

[customers.bare.applications.app]
quotas = [{ name = "daily", limit = 3, window = "day" }]
keys = ["key:app"]
"#;

const NOW: &str = "2026-11-16T00:00:00Z";

fn start(upstream: &Upstream) -> Gateway {
    Gateway::start_at(NOW, TABLES, upstream)
}

fn grant(gateway: &Gateway, customer: &str, amount: &str) -> String {
    let body = json!({"amount": amount, "currency": "USD"});
    let made = gateway.changed("POST", &format!("/v1/customers/{customer}/credits"), &body);
    made["id"].as_str().unwrap().to_owned()
}

/// Gives balance and reserved.
fn money(gateway: &Gateway, customer: &str) -> (String, String) {
    let credits = &gateway.usage(customer)["credits"];
    let text = |name: &str| credits[0][name].as_str().unwrap_or("none").to_owned();
    (text("balance"), text("reserved"))
}

fn balance(gateway: &Gateway, customer: &str) -> String {
    money(gateway, customer).0
}

fn entries(gateway: &Gateway, customer: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/customers/{customer}/ledger?limit=3{after}");
        let page = gateway.admin("GET", &path).json();
        entries.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { return entries };
        after = format!("&after={next}");
    }
}

fn assert_adds_up(gateway: &Gateway) {
    let found = gateway.admin("POST", "/v1/verify").json();
    assert_eq!(found["ok"], true, "{found}");
}

/// Enters everything that was consumed before the present minute, and ends grants.
fn keep(gateway: &Gateway, now: &str) {
    let now: Timestamp = now.parse().unwrap();
    let running = gateway.running();
    running.keeper().fold_now().unwrap();
    let shared = running.gateway().clone();
    running
        .keeper()
        .call(move |records: &mut dyn Records| {
            assert!(records.enter_gathered(now, now, 1000)?);
            Ok::<_, faregate::store::StoreError>(())
        })
        .unwrap();
    let told = shared.clone();
    running
        .keeper()
        .call(move |records: &mut dyn Records| {
            let mut change = Change::new(records, &shared, "test");
            assert!(change.expire_grants(100)?);
            let applied = change.finish()?;
            applied.apply(&told);
            Ok::<_, faregate::provisioning::Rejection>(())
        })
        .unwrap();
}

fn assert_is_short(response: &Response, code: &str, has: &str, price: &str) {
    assert_eq!(response.verdict(), format!("402 {code}"));
    let credit =
        json!({"currency": "USD", "price": price, "balance": has, "reserved": "0.000000000"});
    let body = response.json();
    assert_eq!(body["credit"], credit, "{body}");
    assert!(body["detail"].as_str().unwrap().contains("One call costs "), "{body}");
}

#[test]
fn money_pays_when_the_allowance_is_gone_and_never_more_than_there_is() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    grant(&gateway, "acme", "0.05");
    // Two of the allowance; the third costs 2 with 1 left, and is paid for.
    for (cost, price) in
        [("2", None), ("2", None), ("0", Some("0.02 USD")), ("0", Some("0.02 USD"))]
    {
        let response = gateway.get("/paid/x", "acme");
        assert_eq!(response.status(), 200);
        assert_eq!(response.field("faregate-cost"), Some(cost));
        assert_eq!(response.field("faregate-price"), price);
    }
    for _ in 0..2 {
        for _ in 0..3 {
            let refused = gateway.get("/paid/x", "acme");
            assert_is_short(&refused, "quota_exceeded", "0.010000000", "0.020000000");
            assert_eq!(refused.field("retry-after"), Some("1296000"));
            assert_eq!(
                refused.field("link"),
                Some("<https://example.com/billing>; rel=\"payment\"")
            );
            let detail = "The monthly allowance of 5 requests has 1 left, and this call costs 2. It renews \
                          on 2026-12-01T00:00:00Z. One call costs 0.02 USD, and the credit balance is 0.01 USD.";
            assert_eq!(refused.json()["detail"], detail);
        }
        assert_eq!(gateway.used("acme"), (4, 0));
        assert_eq!(money(&gateway, "acme"), ("0.010000000".into(), "0.000000000".into()));
        gateway.restart();
    }
    assert_eq!(upstream.count(), 4);
    // Without a price only the plan pays; what is left of it serves a cheaper call.
    assert_eq!(gateway.get("/bare/x", "acme").status(), 200);
    assert_eq!(gateway.get("/bare/x", "acme").verdict(), "402 quota_exceeded");
    assert!(gateway.get("/bare/x", "acme").json().get("credit").is_none());
    assert_adds_up(&gateway);
}

#[test]
fn the_code_tells_what_would_help_most() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let zero = "0.000000000";
    let call = |path: &str, key: &str| gateway.get(path, key);
    assert_is_short(&call("/paid/x", "bare"), "subscription_required", zero, "0.020000000");
    assert_is_short(&call("/paid/x", "gone"), "subscription_ended", zero, "0.020000000");
    assert_is_short(&call("/extra/x", "acme"), "plan_upgrade_required", zero, "0.100000000");
    // The plan `slow` opens every route, and is on sale.
    assert_is_short(&call("/hidden/x", "acme"), "plan_upgrade_required", zero, "0.100000000");
    for customer in ["bare", "gone", "acme"] {
        grant(&gateway, customer, "0.01");
    }
    let cent = "0.010000000";
    assert_is_short(&call("/paid/x", "bare"), "insufficient_credits", cent, "0.020000000");
    assert_is_short(&call("/paid/x", "gone"), "subscription_ended", cent, "0.020000000");
    assert_is_short(&call("/extra/x", "acme"), "plan_upgrade_required", cent, "0.100000000");
    assert_eq!(call("/bare/x", "bare").verdict(), "402 subscription_required");
    for customer in ["bare", "gone", "acme"] {
        grant(&gateway, customer, "0.10");
    }
    assert_eq!(call("/paid/x", "bare").status(), 200);
    assert_eq!(call("/paid/x", "gone").status(), 200);
    assert_eq!(call("/extra/x", "acme").status(), 200);
    assert_eq!(upstream.count(), 3);
    assert_eq!(balance(&gateway, "bare"), "0.090000000");
    assert_eq!(balance(&gateway, "acme"), cent);
    assert_eq!(gateway.used("acme"), (0, 0));
    assert_adds_up(&gateway);
}

#[test]
fn limits_of_a_part_and_rates_bind_whoever_pays() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    grant(&gateway, "bare", "10");
    grant(&gateway, "slow", "10");
    let calls = |key: &str, count| -> Vec<String> {
        (0..count).map(|_| gateway.get("/third/x", key).verdict()).collect()
    };
    assert_eq!(calls("app", 4), ["200", "200", "200", "402 quota_exceeded"]);
    assert_eq!(calls("slow", 2), ["200", "429 rate_limited"]);
    assert_eq!(balance(&gateway, "bare"), "9.000000001");
    assert_eq!(balance(&gateway, "slow"), "9.666666667");
    assert_adds_up(&gateway);
}

#[test]
fn what_was_not_served_is_not_paid() {
    const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    let upstream = Upstream::answering(BROKEN, Then::KeepAlive);
    let gateway = start(&upstream);
    grant(&gateway, "bare", "1");
    let response = gateway.get("/paid/x", "bare");
    assert_eq!((response.status(), response.field("faregate-price")), (500, None));
    assert_eq!(money(&gateway, "bare"), ("1.000000000".into(), "0.000000000".into()));
    gateway.running().keeper().fold_now().unwrap();
    let kinds: Vec<_> = entries(&gateway, "bare").iter().map(|e| e["kind"].clone()).collect();
    assert_eq!(kinds, ["granted"]);
    assert_adds_up(&gateway);
}

#[test]
fn the_ledger_has_every_movement_with_its_balance() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    let first = grant(&gateway, "acme", "0.03");
    for _ in 0..3 {
        assert_eq!(gateway.get("/paid/x", "acme").status(), 200);
    }
    let adjust = |body: Value| gateway.changed("POST", "/v1/customers/acme/adjustments", &body);
    let made = adjust(json!({"credit": true, "amount": "-0.05", "reason": "a mistake"}));
    assert_eq!(
        (&made["balance"], &made["amount"]),
        (&json!("-0.040000000"), &json!("-0.050000000"))
    );
    adjust(json!({"quota": "monthly", "amount": 1, "reason": "goodwill"}));
    assert_eq!(gateway.get("/paid/x", "acme").status(), 200);
    gateway.wait_recorded("acme", &[("completed", 4, 6)]);
    gateway.set_time("2026-11-16T00:05:00Z");
    keep(&gateway, "2026-11-16T00:05:00Z");
    let second = grant(&gateway, "acme", "1");
    assert_eq!(balance(&gateway, "acme"), "0.960000000");
    assert_eq!(gateway.get("/paid/x", "acme").status(), 200);
    let told = entries(&gateway, "acme");
    let brief: Vec<Value> = told
        .iter()
        .map(|entry| {
            let of = if entry["quota"].is_null() { &entry["credit"] } else { &entry["quota"] };
            json!([entry["kind"], of, entry["grant"], entry["amount"], entry["balance"]])
        })
        .collect();
    let expected = json!([
        ["granted", "USD", first, "0.030000000", "0.030000000"],
        ["corrected", "USD", null, "-0.050000000", "-0.020000000"],
        ["corrected", "monthly", null, -1, -1],
        ["consumed", "monthly", null, 6, 5],
        ["consumed", "USD", first, "-0.020000000", "-0.040000000"],
        ["granted", "USD", second, "1.000000000", "0.960000000"],
        ["repaid", "USD", second, "-0.050000000", "0.910000000"],
        ["repaid", "USD", null, "0.050000000", "0.960000000"],
        ["consumed", "USD", first, "-0.010000000", "0.950000000"],
        ["consumed", "USD", second, "-0.010000000", "0.940000000"],
    ]);
    assert_eq!(json!(brief), expected);
    assert_eq!(told[3]["requests"], 3);
    assert_eq!(told[3]["route"], "paid");
    assert_adds_up(&gateway);
    gateway.restart();
    assert_eq!(balance(&gateway, "acme"), "0.940000000");
    assert_adds_up(&gateway);
}

#[test]
fn what_is_left_at_the_end_of_a_grant_expires() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    let body =
        json!({"amount": "1 USD", "expires": "2026-11-17T00:00:00Z", "source": "promotional"});
    let made = gateway.changed("POST", "/v1/customers/bare/credits", &body);
    assert_eq!((&made["priority"], &made["remaining"]), (&json!(50), &json!("1.000000000")));
    grant(&gateway, "bare", "0.05");
    assert_eq!(gateway.get("/paid/x", "bare").status(), 200);
    assert_eq!(balance(&gateway, "bare"), "1.030000000");
    gateway.wait_recorded("bare", &[("completed", 1, 0)]);
    gateway.set_time("2026-11-17T00:00:00Z");
    assert_eq!(balance(&gateway, "bare"), "0.050000000");
    keep(&gateway, "2026-11-17T00:00:00Z");
    let last = entries(&gateway, "bare").pop().unwrap();
    assert_eq!((&last["kind"], &last["amount"]), (&json!("expired"), &json!("-0.980000000")));
    assert_eq!(last["balance"], "0.050000000");
    for left in ["0.030000000", "0.010000000"] {
        assert_eq!(gateway.get("/paid/x", "bare").status(), 200);
        assert_eq!(balance(&gateway, "bare"), left);
    }
    assert_eq!(gateway.get("/paid/x", "bare").verdict(), "402 insufficient_credits");
    assert_adds_up(&gateway);
    gateway.restart();
    assert_eq!(balance(&gateway, "bare"), "0.010000000");
    assert_adds_up(&gateway);
}

#[test]
fn a_repeated_grant_is_made_once_and_a_wrong_one_says_what_is_wrong() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let body = json!({"amount": "2.50", "currency": "USD"}).to_string();
    let fields = ["Content-Type: application/json", "Idempotency-Key: once"];
    let repeat = || gateway.admin_with("POST", "/v1/customers/bare/credits", &fields, &body);
    assert_eq!(repeat().json(), repeat().json());
    assert_eq!(balance(&gateway, "bare"), "2.500000000");
    for (body, field) in [
        (json!({"amount": "0", "currency": "USD"}), "amount"),
        (json!({"amount": "-1", "currency": "USD"}), "amount"),
        (json!({"amount": "1e3", "currency": "USD"}), "amount"),
        (json!({"amount": "0.0000000001", "currency": "USD"}), "amount"),
        (json!({"amount": "1000000001", "currency": "USD"}), "amount"),
        (json!({"amount": "1"}), "currency"),
        (json!({"amount": "1", "currency": "usd"}), "currency"),
        (json!({"amount": "1 USD", "currency": "EUR"}), "currency"),
        (json!({"amount": "1 USD", "expires": "2026-11-16T00:00:00Z"}), "expires"),
        (json!({"amount": "1 USD", "source": "correction"}), "source"),
    ] {
        let refused = gateway.change("POST", "/v1/customers/bare/credits", &body);
        assert_eq!(refused.status(), 422, "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text());
    }
    let none = gateway.change("POST", "/v1/customers/nobody/credits", &json!({"amount": "1 USD"}));
    assert_eq!(none.status(), 404);
    assert_eq!(balance(&gateway, "bare"), "2.500000000");
}

#[test]
fn nobody_changes_what_was_entered() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    grant(&gateway, "acme", "1");
    gateway.stop();
    let database = rusqlite::Connection::open(gateway.directory().join("faregate.db")).unwrap();
    for sql in [
        "UPDATE entries SET amount = 2",
        "DELETE FROM entries",
        "UPDATE grants SET amount = 2",
        "DELETE FROM grants",
    ] {
        let refused = database.execute(sql, []).unwrap_err().to_string();
        assert!(refused.contains("only"), "{sql}: {refused}");
    }
    // What the balance is made of may be changed, and is found out.
    database.execute(r#"UPDATE grants SET "left" = "left" + 1"#, []).unwrap();
    drop(database);
    gateway.restart();
    let found = gateway.admin("POST", "/v1/verify").json();
    assert_eq!((&found["ok"], &found["differences"]), (&json!(false), &json!(2)), "{found}");
    assert_eq!(found["first"][0]["customer"], "acme");
    assert_eq!(found["first"][0]["expected"], 1_000_000_000);
    assert_eq!(found["first"][0]["found"], 1_000_000_001);
}

/// Money for exactly N calls against 20 N callers at once with ten keys; FAREGATE_ROUNDS asks for more.
#[test]
fn money_for_n_calls_serves_exactly_n() {
    const KEYS: usize = 10;
    let rounds = std::env::var("FAREGATE_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let upstream = Upstream::ok();
    let tables = format!(
        "{TABLES}\n[customers.many]\nkeys = [{}]\n",
        (0..KEYS).map(|n| format!("\"key:many{n}\"")).collect::<Vec<_>>().join(", ")
    );
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    for round in 0..rounds {
        let n = 1 + round % 7;
        grant(&gateway, "many", &format!("{}.{:02}", n * 2 / 100, n * 2 % 100));
        let served = AtomicU64::new(0);
        let (before, address) = (upstream.count(), gateway.running().address());
        std::thread::scope(|scope| {
            for key in 0..KEYS {
                let served = &served;
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    for _ in 0..2 * n {
                        match client.get("/paid/x", &format!("many{key}")).verdict().as_str() {
                            "200" => drop(served.fetch_add(1, Ordering::Relaxed)),
                            "402 insufficient_credits" | "429 balance_in_flight" => {}
                            other => panic!("{other}"),
                        }
                    }
                });
            }
        });
        assert_eq!(served.into_inner(), n, "round {round}");
        assert_eq!(upstream.count() - before, n as usize);
        assert_eq!(money(&gateway, "many"), ("0.000000000".into(), "0.000000000".into()));
    }
    assert_adds_up(&gateway);
    let spent: BTreeMap<String, u64> =
        gateway.recorded("many").into_iter().map(|(ending, (count, _))| (ending, count)).collect();
    assert_eq!(spent.values().sum::<u64>(), upstream.count() as u64);
}
