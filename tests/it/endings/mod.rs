//! Every ending, produced for real, and what it charges. One call costs three units, so that a charge
//! cannot be taken for a count of requests.

mod after_head;
mod before_head;
mod by_status;
mod panics;

use crate::support::{Gateway, KEY};

/// One call's cost.
const COST: u64 = 3;

/// Writes the tables of a gateway: more lines for the limits, the upstream and the route.
fn tables(limits: &str, upstream: &str, route: &str) -> String {
    format!(
        r#"
[server.limits]
{limits}

[upstreams.api]
url = "http://@UPSTREAM@"
{upstream}

[[routes]]
name = "paid"
path = "/paid/{{*rest}}"
upstream = "api"
cost = {COST}
{route}

[[routes]]
name = "free"
path = "/free/{{*rest}}"
upstream = "api"
access = "public"

[plans.starter]
quotas = [{{ limit = 1000, window = "month" }}]

[customers.acme]
plan = "starter"
keys = [{{ id = "acme-1", digest = "key:key-of-acme" }}]
"#
    )
}

/// Asserts that one request ended so, in the store and in both forms of the usage document.
fn assert_ended(gateway: &Gateway, ending: &str, units: u64) {
    gateway.wait_recorded("acme", &[(ending, 1, units)]);
    gateway.wait_used("acme", units);
    assert_eq!(gateway.usage("acme"), gateway.usage_by_key(KEY));
}

/// Asserts that nothing at all was counted, now that something else was: what came before it on the
/// one worker would be recorded by then.
fn assert_nothing_counted_before(gateway: &Gateway) {
    let served = gateway.get("/paid/after", KEY);
    assert_eq!(served.status(), 200, "{}", served.text());
    assert_ended(gateway, "completed", COST);
}
