//! Quotas, rates and concurrency through the whole gateway, on a clock that is moved by hand.

use serde_json::{Value, json};

use crate::support::{
    Exchange, Gateway, Response, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
    wait_until_equal,
};

/// Routes of several costs, an upstream that holds, fails or serves by the path.
const ROUTES: &str = r#"
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

[[routes]]
name = "nothing"
path = "/nothing/{*rest}"
upstream = "api"
cost = 0
"#;

fn upstream() -> Upstream {
    Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        let target = exchange.request().target().to_owned();
        if target.ends_with("/held") {
            return Ok(Then::Silence);
        }
        if target.ends_with("/reset") {
            return Ok(Then::Reset);
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    })
}

fn gateway(now: &str, tables: &str) -> (Gateway, Upstream) {
    let upstream = upstream();
    let gateway = Gateway::start_at(now, &format!("{ROUTES}{tables}"), &upstream);
    (gateway, upstream)
}

/// Gives what a quota denial says: quota, limit, used, remaining, cost.
fn said(response: &Response) -> Value {
    let body = response.json();
    let members = ["quota", "limit", "used", "remaining", "cost"];
    members.iter().map(|name| body[*name].clone()).collect()
}

const NOW: &str = "2026-11-20T12:00:00Z";

#[test]
fn several_quotas_are_taken_together_or_not_at_all() {
    let (gateway, upstream) = gateway(
        NOW,
        r#"
[plans.p]
quotas = [
  { name = "monthly", limit = 100, window = "month" },
  { name = "daily", limit = 3, window = "day" },
  { name = "hourly", limit = 2, window = "hour" },
]
[customers.acme]
plan = "p"
keys = ["key:k"]
"#,
    );
    let mut client = gateway.client();
    let mut left = Vec::new();
    for _ in 0..2 {
        let response = client.get("/x", "k");
        assert_eq!(response.status(), 200);
        left.push(response.field("ratelimit").unwrap().to_owned());
    }
    let hour_and_day = ";t=43200, \"hourly\";r=";
    assert_eq!(
        left,
        [
            format!("\"monthly\";r=99;t=907200, \"daily\";r=2{hour_and_day}1;t=3600"),
            format!("\"monthly\";r=98;t=907200, \"daily\";r=1{hour_and_day}0;t=3600"),
        ]
    );
    for _ in 0..3 {
        let response = client.get("/x", "k");
        assert_eq!(response.verdict(), "402 quota_exceeded");
        assert_eq!(said(&response), json!(["hourly", 2, 2, 0, 1]));
        assert_eq!(response.field("retry-after"), Some("3600"));
    }
    let used: Vec<Value> = gateway.usage("acme")["quotas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|quota| json!([quota["name"], quota["used"], quota["reserved"], quota["remaining"]]))
        .collect();
    assert_eq!(
        used,
        [json!(["monthly", 2, 0, 98]), json!(["daily", 2, 0, 1]), json!(["hourly", 2, 0, 0])]
    );
    assert_eq!(upstream.count(), 2);
}

fn one_quota(limit: u64, more: &str) -> String {
    format!(
        "[plans.p]\nquotas = [{{ name = \"monthly\", limit = {limit}, window = \"month\" }}]\n\
         {more}\n[customers.acme]\nplan = \"p\"\nkeys = [\"key:k\", \"key:other\"]\n\
         [customers.beta]\nplan = \"p\"\nkeys = [\"key:beta\"]\n"
    )
}

#[test]
fn cost_larger_than_what_is_left_takes_nothing() {
    let (gateway, upstream) = gateway(NOW, &one_quota(5, ""));
    let mut client = gateway.client();
    assert_eq!(client.get("/three/x", "k").field("faregate-cost"), Some("3"));
    for _ in 0..3 {
        let response = client.get("/three/x", "k");
        assert_eq!(response.verdict(), "402 quota_exceeded");
        assert_eq!(said(&response), json!(["monthly", 5, 3, 2, 3]));
    }
    // What is left is found by a smaller call, to the last unit.
    assert_eq!(client.get("/x", "k").status(), 200);
    assert_eq!(client.get("/x", "k").status(), 200);
    assert_eq!(said(&client.get("/x", "k")), json!(["monthly", 5, 5, 0, 1]));
    assert_eq!(upstream.count(), 3);
    gateway.wait_recorded("acme", &[("completed", 3, 5)]);
}

#[test]
fn cost_of_nothing_is_served_and_recorded() {
    let (gateway, _upstream) = gateway(NOW, &one_quota(1, ""));
    let mut client = gateway.client();
    assert_eq!(client.get("/x", "k").status(), 200);
    for _ in 0..3 {
        let response = client.get("/nothing/x", "k");
        assert_eq!(response.status(), 200, "{}", response.text());
        assert_eq!(response.field("faregate-cost"), Some("0"));
    }
    gateway.wait_recorded("acme", &[("completed", 4, 1)]);
    assert_eq!(client.get("/nothing/x", "nobody").verdict(), "401 invalid_api_key");
}

#[test]
fn allowance_smaller_than_one_call_never_helps_to_wait_for() {
    let (mut gateway, upstream) = gateway(NOW, &one_quota(0, ""));
    for now in [NOW, "2026-12-20T12:00:00Z"] {
        gateway.set_time(now);
        let response = gateway.get("/x", "k");
        assert_eq!(response.verdict(), "402 cost_exceeds_allowance");
        assert_eq!(response.field("retry-after"), None);
        assert_eq!(said(&response), json!(["monthly", 0, 0, 0, 1]));
    }
    assert_eq!(gateway.get("/nothing/x", "k").status(), 200);
    assert_eq!(upstream.count(), 1);
}

/// Windows count from the anchor: the 31st is the last day of a shorter month, and each is half-open.
#[test]
fn monthly_quota_renews_at_the_anchor() {
    let (mut gateway, _upstream) = gateway(
        "2026-01-31T10:00:00Z",
        "[plans.p]\nquotas = [{ name = \"monthly\", limit = 1, window = \"month\" }]\n\
         [customers.acme]\nplan = \"p\"\nanchor = \"2026-01-31T10:00:00Z\"\nkeys = [\"key:k\"]\n",
    );
    let mut client = gateway.client();
    for (first, last, end) in [
        ("2026-01-31T10:00:00Z", "2026-02-28T09:59:59.999Z", "2026-02-28T10:00:00Z"),
        ("2026-02-28T10:00:00Z", "2026-03-31T09:59:59.999Z", "2026-03-31T10:00:00Z"),
        ("2026-03-31T10:00:00Z", "2026-04-30T09:59:59.999Z", "2026-04-30T10:00:00Z"),
        ("2026-04-30T10:00:00Z", "2026-05-31T09:59:59.999Z", "2026-05-31T10:00:00Z"),
    ] {
        gateway.set_time(first);
        assert_eq!(client.get("/x", "k").status(), 200, "{first}");
        gateway.set_time(last);
        let response = client.get("/x", "k");
        assert_eq!(response.verdict(), "402 quota_exceeded", "{last}");
        assert_eq!(response.json()["window"], json!({"start": first, "end": end}));
        assert_eq!(response.field("retry-after"), Some("1"), "{last}");
        let quota = &gateway.usage("acme")["quotas"][0];
        assert_eq!(quota["window"], json!({"start": first, "end": end}));
        assert_eq!(quota["used"], 1);
    }
}

/// A request that was let in before a boundary is booked there, whenever it ends.
#[test]
fn request_over_a_boundary_is_booked_where_it_began() {
    let (mut gateway, upstream) = gateway("2026-11-30T23:59:59.999Z", &one_quota(1, ""));
    let mut client = gateway.client();
    client.send(head("GET", "/held", &[&bearer("k")]));
    upstream.wait_for(1);
    assert_eq!(gateway.get("/x", "other").verdict(), "402 quota_exceeded");
    gateway.set_time("2026-12-01T00:00:00Z");
    assert_eq!(gateway.get("/x", "other").status(), 200);
    // It is charged, to the month before: the one unit of this month is used by the other call.
    drop(client);
    gateway.wait_recorded("acme", &[("abandoned", 1, 1), ("completed", 1, 1)]);
    gateway.wait_used("acme", 1);
    assert_eq!(gateway.get("/x", "other").verdict(), "402 quota_exceeded");
}

#[test]
fn keys_of_one_customer_share_and_customers_do_not() {
    let (gateway, _upstream) = gateway(NOW, &one_quota(2, ""));
    assert_eq!(gateway.get("/x", "k").status(), 200);
    assert_eq!(gateway.get("/x", "other").status(), 200);
    for key in ["k", "other"] {
        assert_eq!(gateway.get("/x", key).verdict(), "402 quota_exceeded");
    }
    assert_eq!(gateway.get("/x", "beta").field("ratelimit").unwrap(), "\"monthly\";r=1;t=907200");
    assert_eq!((gateway.used("acme"), gateway.used("beta")), ((2, 0), (1, 0)));
}

#[test]
fn customers_own_quotas_stand_instead_of_the_plans() {
    let own = "quotas = [{ name = \"daily\", limit = 1, window = \"day\" }]\n";
    let tables =
        one_quota(100, "").replace("[customers.acme]\n", &format!("[customers.acme]\n{own}"));
    let (gateway, _upstream) = gateway(NOW, &tables);
    let response = gateway.get("/x", "k");
    assert_eq!(response.field("ratelimit-policy"), Some("\"daily\";q=1;w=86400"));
    let response = gateway.get("/x", "k");
    assert_eq!(response.verdict(), "402 quota_exceeded");
    assert_eq!(response.json()["violated-policies"], json!(["daily"]));
    let policy = "\"monthly\";q=100;w=2592000";
    assert_eq!(gateway.get("/x", "beta").field("ratelimit-policy"), Some(policy));
}

#[test]
fn rate_has_a_burst_and_recovers() {
    let rate = "rate = { limit = 2, window = \"1s\", burst = 3 }";
    let (mut gateway, upstream) = gateway(NOW, &one_quota(100, rate));
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/x", "k").status(), 200);
    }
    for _ in 0..3 {
        let response = client.get("/x", "k");
        assert_eq!(response.verdict(), "429 rate_limited");
        assert_eq!(response.field("retry-after"), Some("1"));
        assert!(response.field("ratelimit").unwrap().ends_with("\"rate\";r=0;t=1"));
        assert_eq!(response.json()["violated-policies"], json!(["rate"]));
    }
    // Half a second brings one back, and no more.
    gateway.set_time("2026-11-20T12:00:00.5Z");
    assert_eq!(client.get("/x", "k").status(), 200);
    assert_eq!(client.get("/x", "k").verdict(), "429 rate_limited");
    // A long rest brings no more than the burst.
    gateway.set_time("2026-11-20T12:10:00Z");
    let served = (0..10).filter(|_| client.get("/x", "k").status() == 200).count();
    assert_eq!(served, 3);
    // The throttled took nothing from the quota.
    assert_eq!(gateway.used("acme"), (7, 0));
    assert_eq!(upstream.count(), 7);
}

#[test]
fn concurrency_counts_what_is_open() {
    let (gateway, upstream) = gateway(NOW, &one_quota(100, "concurrency = 3"));
    let held: Vec<_> = (1..=3)
        .map(|count| {
            let mut client = gateway.client();
            client.send(head("GET", "/held", &[&bearer("k")]));
            upstream.wait_for(count);
            client
        })
        .collect();
    assert_eq!(gateway.used("acme"), (0, 3));
    let response = gateway.get("/x", "other");
    assert_eq!(response.verdict(), "429 too_many_concurrent");
    assert_eq!(response.field("retry-after"), Some("1"));
    assert!(response.field("ratelimit").unwrap().ends_with("\"concurrency\";r=0"));
    assert_eq!(gateway.get("/x", "beta").status(), 200);
    assert_eq!(gateway.used("acme"), (0, 3));
    let mut held = held.into_iter();
    drop(held.next());
    wait_until_equal(|| gateway.used("acme"), &(1, 2));
    // One place is free: each call in turn takes it and leaves it.
    for _ in 0..3 {
        assert_eq!(gateway.get("/x", "other").status(), 200);
    }
    drop(held);
    gateway.wait_used("acme", 6);
}

#[test]
fn failed_request_gives_its_units_back_at_once() {
    let (gateway, upstream) = gateway(NOW, &one_quota(3, ""));
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.get("/three/reset", "k").verdict(), "502 upstream_error");
    }
    assert_eq!(client.get("/three/x", "k").status(), 200);
    assert_eq!(client.get("/three/reset", "k").verdict(), "402 quota_exceeded");
    assert_eq!(upstream.count(), 6);
    gateway.wait_recorded("acme", &[("completed", 1, 3), ("failed", 5, 0)]);
}

#[test]
fn usage_is_told_while_in_flight_when_used_up_and_when_lapsed() {
    let (mut gateway, upstream) = gateway(
        NOW,
        "[plans.p]\nquotas = [{ name = \"monthly\", limit = 3, window = \"month\" }]\n\
         rate = { limit = 100, window = \"1s\" }\n\
         [customers.acme]\nplan = \"p\"\ncancel_at = \"2026-11-21T00:00:00Z\"\n\
         keys = [\"key:k\"]\n",
    );
    let window = json!({"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"});
    let document = |used: u64, reserved: u64| {
        json!({
            "customer": "acme", "plan": "p", "status": "active", "credits": [],
            "rate": {"limit": 100, "window_seconds": 1},
            "quotas": [{
                "name": "monthly", "meter": "requests", "limit": 3, "used": used,
                "reserved": reserved, "forfeited": 0, "remaining": 3 - used - reserved,
                "window": window,
            }],
        })
    };
    assert_eq!(gateway.usage("acme"), document(0, 0));
    let mut client = gateway.client();
    client.send(head("GET", "/three/held", &[&bearer("k")]));
    upstream.wait_for(1);
    for usage in [gateway.usage("acme"), gateway.usage_by_key("k")] {
        assert_eq!(usage, document(0, 3));
    }
    assert_eq!(gateway.get("/x", "k").verdict(), "402 quota_exceeded");
    drop(client);
    gateway.wait_used("acme", 3);
    assert_eq!(gateway.usage_by_key("k"), document(3, 0));
    gateway.set_time("2026-11-21T00:00:00Z");
    assert_eq!(gateway.get("/x", "k").verdict(), "402 subscription_ended");
    assert_eq!(gateway.usage_by_key("k"), document(3, 0));
    // To ask is free, and no request to the upstream.
    assert_eq!(upstream.count(), 1);
    gateway.wait_recorded("acme", &[("abandoned", 1, 3)]);
}

#[test]
fn restart_keeps_what_was_used() {
    let (mut gateway, upstream) = gateway(NOW, &one_quota(7, ""));
    for restart in 1..=3 {
        assert_eq!(gateway.get("/x", "k").status(), 200);
        assert_eq!(gateway.get("/x", "beta").status(), 200);
        gateway.restart();
        assert_eq!((gateway.used("acme"), gateway.used("beta")), ((restart, 0), (restart, 0)));
    }
    assert_eq!(gateway.get("/three/x", "k").status(), 200);
    gateway.restart();
    assert_eq!(said(&gateway.get("/three/x", "k")), json!(["monthly", 7, 6, 1, 3]));
    gateway.wait_recorded("acme", &[("completed", 4, 6)]);
    // A new month begins at zero, a restart between or not.
    gateway.set_time("2026-12-01T00:00:00Z");
    gateway.restart();
    assert_eq!(gateway.used("acme"), (0, 0));
    assert_eq!(gateway.get("/x", "k").status(), 200);
    // A clock set back does not open the month before again.
    gateway.set_time(NOW);
    gateway.restart();
    assert_eq!(gateway.used("acme"), (1, 0));
    let start = gateway.usage("acme")["quotas"][0]["window"]["start"].clone();
    assert_eq!(start, "2026-12-01T00:00:00Z");
    assert_eq!(upstream.count(), 8);
}
