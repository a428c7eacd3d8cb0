//! Calls beyond a quota's limit: served and told with their price, to the last unit of the spend cap.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use crate::support::{Client, Gateway, Response, Upstream};

const TABLES: &str = r#"
[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "any"
path = "/{*rest}"
upstream = "api"

[[routes]]
name = "three"
path = "/three/{*rest}"
upstream = "api"
cost = 3

[plans.hard]
quotas = [{ name = "monthly", limit = 4, window = "month" }]

[plans.soft]
quotas = [{ name = "monthly", limit = 10, window = "month", overage = { price = "0.001 USD" } }]
upgrade_url = "https://example.com/billing"

[plans.large]
quotas = [{ name = "monthly", limit = 40, window = "month", overage = { price = "0.0005 USD" } }]

[plans.euro]
quotas = [{ name = "monthly", limit = 10, window = "month", overage = { price = "0.001 EUR" } }]

[customers.capped]
plan = "soft"
spend_cap = "0.0059 USD"
keys = ["key:capped"]

[customers.free]
plan = "soft"
keys = ["key:free"]
"#;

const NOW: &str = "2026-11-16T00:00:00Z";

fn start(upstream: &Upstream) -> Gateway {
    Gateway::start_at(NOW, TABLES, upstream)
}

fn calls(gateway: &Gateway, key: &str, count: usize) -> Vec<String> {
    let mut client = gateway.client();
    (0..count).map(|_| client.get("/x", key).verdict()).collect()
}

/// Gives limit, used and remaining units of the first quota, and what is beyond.
fn told(gateway: &Gateway, customer: &str) -> Value {
    let quota = &gateway.usage(customer)["quotas"][0];
    let beyond = ["units", "amount", "spend_cap"].map(|name| quota["overage"][name].clone());
    let members = ["limit", "used", "remaining"].map(|name| quota[name].clone());
    members.into_iter().chain(beyond).collect()
}

fn assert_is_refused(response: &Response) {
    assert_eq!(response.verdict(), "402 spend_cap_reached");
    assert_eq!(response.field("retry-after"), Some("1296000"));
    assert_eq!(response.field("link"), Some("<https://example.com/billing>; rel=\"payment\""));
    assert_eq!(response.field("ratelimit"), Some("\"monthly\";r=0;t=1296000"));
    assert_eq!(response.field("ratelimit-policy"), Some("\"monthly\";q=10;w=2592000"));
    let body = response.json();
    let members = ["quota", "meter", "limit", "used", "remaining", "cost"];
    let said: Value = members.iter().map(|name| body[*name].clone()).collect();
    assert_eq!(said, json!(["monthly", "requests", 10, 10, 0, 1]));
    let window = json!({"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"});
    assert_eq!(body["window"], window);
    assert_eq!(body["spend_cap"], "0.005900000");
    let overage = json!({
        "units": 5, "price": "0.001000000", "currency": "USD", "amount": "0.005000000",
    });
    assert_eq!(body["overage"], overage);
    assert_eq!(body["violated-policies"], json!(["monthly"]));
    let detail = "The spend cap of 0.0059 USD beyond the monthly allowance of 10 requests is reached. \
                  It renews on 2026-12-01T00:00:00Z.";
    assert_eq!(body["detail"], detail);
}

#[test]
fn calls_go_on_up_to_the_spend_cap_and_no_refusal_is_charged() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    for call in 1..=15 {
        let response = gateway.get("/x", "capped");
        assert_eq!(response.status(), 200, "{call}");
        let left = 10_u64.saturating_sub(call);
        assert_eq!(response.field("ratelimit"), Some(&*format!("\"monthly\";r={left};t=1296000")));
    }
    let after = json!([10, 15, 0, 5, "0.005000000", "0.005900000"]);
    assert_eq!(told(&gateway, "capped"), after);
    for _ in 0..2 {
        for _ in 0..3 {
            assert_is_refused(&gateway.get("/x", "capped"));
        }
        assert_eq!(told(&gateway, "capped"), after);
        gateway.restart();
    }
    gateway.wait_recorded("capped", &[("completed", 15, 15)]);
    assert_eq!(upstream.count(), 15);
    gateway.set_time("2026-12-01T00:00:00Z");
    assert_eq!(calls(&gateway, "capped", 1), ["200"]);
    let anew = json!([10, 1, 9, 0, "0.000000000", "0.005900000"]);
    assert_eq!(told(&gateway, "capped"), anew);
}

#[test]
fn without_a_cap_nothing_stops_and_a_call_may_be_on_both_sides() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let mut client = gateway.client();
    for (call, used, beyond) in [(3, 9, 0), (4, 12, 2), (12, 36, 26)] {
        while gateway.used("free").0 < used {
            assert_eq!(client.get("/three/x", "free").status(), 200, "{call}");
        }
        let amount = format!("0.0{beyond:02}000000");
        let expected = json!([10, used, 10_u64.saturating_sub(used), beyond, amount, null]);
        assert_eq!(told(&gateway, "free"), expected);
        assert_eq!(gateway.usage_by_key("free"), gateway.usage("free"));
    }
    // 2 units are left of the cap, and the call costs 3.
    assert_eq!(calls(&gateway, "capped", 13), ["200"; 13]);
    let refused = client.get("/three/x", "capped");
    assert_eq!(refused.verdict(), "402 spend_cap_reached");
    assert!(refused.text().contains("has room for 2 requests, and this call costs 3."));
    assert_eq!(calls(&gateway, "capped", 3), ["200", "200", "402 spend_cap_reached"]);
}

/// Sends a hundred calls over ten connections; gives how many were served.
fn served(address: SocketAddr) -> usize {
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                for _ in 0..10 {
                    match client.get("/x", "capped").verdict().as_str() {
                        "200" => drop(served.fetch_add(1, Ordering::Relaxed)),
                        "402 spend_cap_reached" => {}
                        other => panic!("{other}"),
                    }
                }
            });
        }
    });
    served.into_inner()
}

#[test]
fn a_cap_is_served_to_the_unit_and_no_further() {
    for round in 0..20 {
        let upstream = Upstream::ok();
        let tables = format!("[server]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n{TABLES}");
        let mut gateway = Gateway::start_at(NOW, &tables, &upstream);
        assert_eq!(served(gateway.running().address()), 15, "round {round}");
        assert_eq!(upstream.count(), 15);
        gateway.wait_recorded("capped", &[("completed", 15, 15)]);
        if round == 0 {
            gateway.restart();
            assert_eq!(served(gateway.running().address()), 0);
            assert_eq!(gateway.used("capped"), (15, 0));
        }
    }
}

/// Makes a customer and gives a key of its.
fn customer(gateway: &Gateway, body: &Value) -> String {
    let made = gateway.changed("POST", "/v1/customers", body);
    let path = format!("/v1/customers/{}/keys", made["id"].as_str().unwrap());
    gateway.changed("POST", &path, &json!({}))["secret"].as_str().unwrap().to_owned()
}

#[test]
fn a_cap_is_set_raised_and_removed_by_call() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    let body = json!({"id": "acme", "spend_cap": "0.002 USD", "subscription": {"plan": "soft"}});
    let key = customer(&gateway, &body);
    let path = "/v1/customers/acme";
    assert_eq!(gateway.admin("GET", path).json()["spend_cap"], "0.002 USD");
    assert_eq!(calls(&gateway, &key, 13)[11..], ["200", "402 spend_cap_reached"]);
    let changed = gateway.changed("PATCH", path, &json!({"spend_cap": "0.003 USD"}));
    assert_eq!(changed["spend_cap"], "0.003 USD");
    gateway.restart();
    assert_eq!(gateway.admin("GET", path).json()["spend_cap"], "0.003 USD");
    assert_eq!(calls(&gateway, &key, 2), ["200", "402 spend_cap_reached"]);
    // Below what is spent: nothing is taken back, and nothing more is served.
    gateway.changed("PATCH", path, &json!({"spend_cap": "0 USD"}));
    assert_eq!(calls(&gateway, &key, 1), ["402 spend_cap_reached"]);
    assert_eq!(told(&gateway, "acme"), json!([10, 13, 0, 3, "0.003000000", "0.000000000"]));
    assert_eq!(
        gateway.changed("PATCH", path, &json!({"spend_cap": null}))["spend_cap"],
        json!(null)
    );
    assert_eq!(calls(&gateway, &key, 20), ["200"; 20]);
    let audit = gateway.admin("GET", "/v1/audit?customer=acme").json();
    assert_eq!(audit["items"][0]["before"]["spend_cap"], "0.00 USD");
}

#[test]
fn own_quotas_have_overage_by_call() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let quotas = json!([{"limit": 1, "window": "day", "overage": {"price": "1 USD"}}]);
    let body = json!({"id": "acme", "quotas": quotas, "spend_cap": "2 USD",
        "subscription": {"plan": "hard"}});
    let key = customer(&gateway, &body);
    let shown = gateway.admin("GET", "/v1/customers/acme").json();
    assert_eq!(shown["quotas"][0]["overage"], json!({"price": "1.00 USD"}));
    assert_eq!(calls(&gateway, &key, 4)[2..], ["200", "402 spend_cap_reached"]);
    // A correction takes from what is beyond first.
    let given = json!({"quota": "day", "amount": 1, "reason": "outage"});
    gateway.changed("POST", "/v1/customers/acme/adjustments", &given);
    assert_eq!(told(&gateway, "acme"), json!([1, 2, 0, 1, "1.000000000", "2.000000000"]));
    assert_eq!(calls(&gateway, &key, 2), ["200", "402 spend_cap_reached"]);
}

#[test]
fn what_cannot_be_is_refused_by_field() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    customer(&gateway, &json!({"id": "acme", "subscription": {"plan": "soft"}}));
    let (path, soft) = ("/v1/customers/acme", json!({"price": "1 USD"}));
    let quota = |name: &str, overage: &Value| json!({"name": name, "limit": 1, "window": "day", "overage": overage});
    let one = json!({"quotas": [quota("a", &soft)]});
    for (method, path, body, field) in [
        ("PATCH", path, json!({"spend_cap": "1 EUR"}), "spend_cap"),
        ("PATCH", path, json!({"spend_cap": "-1 USD"}), "spend_cap"),
        ("PATCH", path, json!({"spend_cap": "much"}), "spend_cap"),
        (
            "PATCH",
            path,
            json!({"quotas": [quota("a", &json!({"price": "1 EUR"}))], "spend_cap": "1 USD"}),
            "spend_cap",
        ),
        (
            "PATCH",
            path,
            json!({"quotas": [quota("a", &soft), quota("b", &soft)]}),
            "quotas[1].overage",
        ),
        (
            "PATCH",
            path,
            json!({"quotas": [quota("a", &json!({"price": "0 USD"}))]}),
            "quotas[0].overage.price",
        ),
        ("PUT", "/v1/customers/acme/applications/a", one.clone(), "quotas[0].overage"),
        ("POST", "/v1/customers/acme/keys", one.clone(), "quotas[0].overage"),
        (
            "POST",
            "/v1/customers",
            json!({"id": "b", "spend_cap": "1 EUR", "subscription": {"plan": "soft"}}),
            "spend_cap",
        ),
    ] {
        let answer = gateway.change(method, path, &body);
        assert!(matches!(answer.status(), 400 | 422), "{body}: {}", answer.text());
        assert!(answer.text().contains(&format!("\"{field}\"")), "{body}: {}", answer.text());
    }
}

#[test]
fn a_change_of_plan_reckons_anew_what_is_beyond() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let body = json!({"id": "acme", "spend_cap": "0.006 USD", "subscription": {"plan": "soft"}});
    let key = customer(&gateway, &body);
    let set = |body: Value| gateway.changed("PUT", "/v1/customers/acme/subscription", &body);
    assert_eq!(calls(&gateway, &key, 17)[15..], ["200", "402 spend_cap_reached"]);
    // A larger allowance takes in what was beyond the smaller one.
    set(json!({"plan": "large"}));
    assert_eq!(told(&gateway, "acme"), json!([40, 16, 24, 0, "0.000000000", "0.006000000"]));
    // Half of the month: 40 / 2 + 10 / 2, and the cap begins there.
    set(json!({"plan": "soft", "change": "prorate"}));
    assert_eq!(told(&gateway, "acme"), json!([25, 16, 9, 0, "0.000000000", "0.006000000"]));
    assert_eq!(calls(&gateway, &key, 16)[14..], ["200", "402 spend_cap_reached"]);
    assert_eq!(told(&gateway, "acme"), json!([25, 31, 0, 6, "0.006000000", "0.006000000"]));
    // Carried to the small one again, all above it is beyond, more than the cap pays for.
    set(json!({"plan": "large", "change": "carry"}));
    set(json!({"plan": "soft", "change": "carry"}));
    assert_eq!(told(&gateway, "acme"), json!([10, 31, 0, 21, "0.021000000", "0.006000000"]));
    assert_eq!(calls(&gateway, &key, 1), ["402 spend_cap_reached"]);
    set(json!({"plan": "large", "change": "restart"}));
    assert_eq!(told(&gateway, "acme"), json!([40, 0, 40, 0, "0.000000000", "0.006000000"]));
    // Without overage what is above the limit is refused as ever.
    assert_eq!(calls(&gateway, &key, 5), ["200"; 5]);
    set(json!({"plan": "hard", "change": "carry"}));
    assert_eq!(calls(&gateway, &key, 1), ["402 quota_exceeded"]);
    assert_eq!(gateway.usage("acme")["quotas"][0].get("overage"), None);
}

#[test]
fn a_cap_in_another_currency_pays_for_nothing() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let body = json!({"id": "acme", "spend_cap": "5 USD", "subscription": {"plan": "soft"}});
    let key = customer(&gateway, &body);
    assert_eq!(calls(&gateway, &key, 11), ["200"; 11]);
    let path = "/v1/customers/acme/subscription";
    gateway.changed("PUT", path, &json!({"plan": "euro"}));
    let refused = gateway.get("/x", &key);
    assert_eq!(refused.verdict(), "402 spend_cap_reached");
    assert_eq!(refused.json()["spend_cap"], "0.000000000");
    assert_eq!(told(&gateway, "acme"), json!([10, 11, 0, 1, "0.001000000", "0.000000000"]));
}
