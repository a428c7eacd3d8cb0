//! `GET /v1/live`: what it counts is what happened, and who is busy or near the end of a quota.

use serde_json::{Value, json};

use crate::support::{Exchange, Gateway, Then, Upstream, upstream::OK, wait_for, wait_until_equal};

const TABLES: &str = r#"
[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "any"
path = "/any/{*rest}"
upstream = "api"
cost = 3

[[routes]]
name = "open"
path = "/open/{*rest}"
upstream = "api"
access = "public"

[plans.small]
quotas = [{ name = "daily", limit = 10, window = "day" }]

[plans.large]
quotas = [{ name = "daily", limit = 1000, window = "day" }]

[customers.acme]
plan = "small"
keys = ["key:key-of-acme"]

[customers.globex]
plan = "large"
keys = ["key:key-of-globex"]

[customers.quiet]
plan = "large"
keys = ["key:key-of-quiet"]
"#;

fn upstream() -> Upstream {
    Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        if exchange.request().target().ends_with("/reset") {
            return Ok(Then::Reset);
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    })
}

fn live(gateway: &Gateway) -> Value {
    let response = gateway.admin("GET", "/v1/live");
    assert_eq!(response.status(), 200, "{}", response.text());
    response.json()
}

/// Gives how many requests ended, by status and code.
fn outcomes(document: &Value) -> Vec<(u64, String, u64)> {
    let one = |outcome: &Value| {
        let code = outcome["code"].as_str().or(outcome["ending"].as_str()).unwrap_or("own page");
        let number = |name: &str| outcome[name].as_u64().unwrap();
        (number("status"), code.to_owned(), number("requests"))
    };
    document["requests"].as_array().unwrap().iter().map(one).collect()
}

fn expected(outcomes: &[(u64, &str, u64)]) -> Vec<(u64, String, u64)> {
    outcomes.iter().map(|(status, code, n)| (*status, (*code).to_owned(), *n)).collect()
}

/// Gives customers with their requests, refusals and units.
fn busiest(document: &Value) -> Vec<(String, [u64; 3])> {
    let one = |customer: &Value| {
        let counts = ["requests", "refusals", "units"].map(|name| customer[name].as_u64().unwrap());
        (customer["customer"].as_str().unwrap().to_owned(), counts)
    };
    document["busiest"]["customers"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn everything_is_counted_since_the_start() {
    let upstream = upstream();
    let gateway = Gateway::start(TABLES, &upstream);
    let before = live(&gateway);
    assert_eq!((&before["requests"], &before["routes"]), (&json!([]), &json!([])));
    for path in ["/any/1", "/any/2", "/any/3", "/any/4", "/open/reset", "/open/1", "/nowhere"] {
        gateway.get(path, "key-of-acme");
    }
    gateway.get("/any/1", "nobody");
    gateway.get("/_faregate/usage", "key-of-acme");
    let counted = expected(&[
        (200, "own page", 1),
        (200, "completed", 4),
        (401, "invalid_api_key", 1),
        (402, "quota_exceeded", 1),
        (404, "route_not_found", 1),
        (502, "upstream_error", 1),
    ]);
    wait_until_equal(|| outcomes(&live(&gateway)), &counted);
    let document = live(&gateway);
    assert_eq!((&document["units"], &document["enforcing"]), (&json!(9), &json!(true)));
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["started_at"], before["started_at"]);
    let uptime = |document: &Value| document["uptime_seconds"].as_f64().unwrap();
    assert!(uptime(&document) > uptime(&before));
    for name in ["gateway_duration", "request_duration"] {
        let of = &document[name];
        let sum = |of: &Value| -> u64 {
            of["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum()
        };
        assert_eq!(sum(of), 9, "{name}");
        let bounds = of["bounds_us"].as_array().unwrap().len();
        assert_eq!(of["counts"].as_array().unwrap().len(), bounds + 1, "{name}");
        let routes = document["routes"].as_array().unwrap();
        assert_eq!(routes.iter().map(|route| sum(&route[name])).sum::<u64>(), 9, "{name}");
    }
    let routes: Vec<_> = document["routes"].as_array().unwrap().iter().collect();
    assert_eq!(routes[0]["route"], Value::Null);
    assert_eq!((&routes[1]["route"], &routes[1]["units"]), (&json!("any"), &json!(9)));
    let endpoint = &document["upstreams"][0];
    assert_eq!((&endpoint["upstream"], &endpoint["state"]), (&json!("api"), &json!("up")));
    let results = ["answered", "failed", "timed_out", "unreachable"];
    assert_eq!(results.map(|name| endpoint[name].as_u64().unwrap()), [4, 1, 0, 0]);
    assert_eq!(document["reservations_open"], 0);
    assert!(document["process"]["resident_bytes"].as_u64() > Some(1 << 20));
    wait_until_equal(|| live(&gateway)["books"]["unfolded_bytes"].clone(), &json!(0));
    assert_eq!(live(&gateway)["books"]["store_up"], true);
}

#[test]
fn busy_customers_are_counted_while_somebody_looks() {
    let upstream = upstream();
    let gateway = Gateway::start(TABLES, &upstream);
    gateway.get("/any/1", "key-of-quiet");
    let first = live(&gateway);
    assert_eq!((busiest(&first), &first["busiest"]["seconds"]), (vec![], &json!(0.0)));
    for _ in 0..5 {
        gateway.get("/any/1", "key-of-acme");
    }
    gateway.get("/any/1", "key-of-globex");
    gateway.get("/any/1", "nobody");
    let counted = [("acme".to_owned(), [5, 2, 9]), ("globex".to_owned(), [1, 0, 3])].to_vec();
    wait_until_equal(|| busiest(&live(&gateway)), &counted);
    let document = live(&gateway);
    let seconds = document["busiest"]["seconds"].as_f64().unwrap();
    assert!((0.1..11.0).contains(&seconds), "{seconds}");
    let unknown = json!({"requests": 1, "refusals": 1, "units": 0});
    assert_eq!(document["busiest"]["unknown"], unknown);
    assert_eq!(document["busiest"]["others"]["requests"], 0);
}

#[test]
fn quotas_near_their_end_are_found_without_any_request() {
    let upstream = upstream();
    let mut gateway = Gateway::start_at("2026-11-16T12:00:00Z", TABLES, &upstream);
    for _ in 0..3 {
        assert_eq!(gateway.get("/any/1", "key-of-acme").status(), 200);
    }
    assert_eq!(gateway.get("/any/1", "key-of-quiet").status(), 200);
    let near = |gateway: &Gateway| live(gateway)["quotas"]["items"].clone();
    let acme = json!([{
        "customer": "acme", "quota": "daily", "scope": null, "limit": 10, "used": 9,
        "reserved": 0, "remaining": 1, "renews_at": "2026-11-17T00:00:00Z",
    }]);
    // Nobody looked while these requests came: they were found in the ledger.
    wait_until_equal(|| near(&gateway), &acme);

    // The limit in force is what counts, though no request has come with it.
    gateway.write(
        &TABLES
            .replace("limit = 10,", "limit = 100,")
            .replace("@UPSTREAM@", &upstream.address().to_string()),
    );
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    assert_eq!(near(&gateway), json!([]));

    // Who is busy is told in any case.
    gateway.get("/any/1", "key-of-quiet");
    let quiet = wait_for("the busy customer", || {
        near(&gateway).as_array().unwrap().iter().find(|one| one["customer"] == "quiet").cloned()
    });
    assert_eq!((&quiet["used"], &quiet["remaining"]), (&json!(6), &json!(994)));
    // What has renewed is not near its end.
    gateway.set_time("2026-11-17T00:00:00Z");
    let used = wait_for("the new day", || {
        let items = near(&gateway);
        let quiet = items.as_array().unwrap().iter().find(|one| one["customer"] == "quiet");
        quiet.map(|quiet| quiet["used"].clone())
    });
    assert_eq!(used, 0);
}
