//! Every ending, produced for real, and what it charges. One call costs three units, so that a charge
//! cannot be taken for a count of requests.

mod after_head;
mod before_head;
mod by_status;
mod panics;
mod right;

use crate::{
    access_log, explain,
    support::{Gateway, KEY, wait_for},
};

/// One call's cost.
const COST: u64 = 3;

/// Writes the tables of a gateway: more lines for the limits, the upstream and the route.
fn tables(limits: &str, upstream: &str, route: &str) -> String {
    format!(
        r#"
[log]
access = "./access.log"
level = "error"

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
    assert_explained(gateway, ending, units);
}

/// Asserts that its explanation says the same.
fn assert_explained(gateway: &Gateway, ending: &str, units: u64) {
    let line = wait_for("the line of the request", || {
        let lines = access_log::lines(gateway, 1).into_iter();
        lines.rev().find(|line| line["customer"] == "acme" && line["ending"] == ending)
    });
    let told = explain::of_id(gateway, line["request_id"].as_str().unwrap());
    assert_eq!((&told["ending"], &told["charged"]), (&ending.into(), &units.into()), "{told}");
    assert_eq!(told["decision"], "forwarded");
    let status = line["status"].as_u64().filter(|status| *status > 0);
    assert_eq!(told["status"].as_u64(), status, "{told}");
    assert_eq!(told["code"], line["code"]);
}

/// Asserts that nothing at all was counted, now that something else was: what came before it on the
/// one worker would be recorded by then.
fn assert_nothing_counted_before(gateway: &Gateway) {
    let served = gateway.get("/paid/after", KEY);
    assert_eq!(served.status(), 200, "{}", served.text());
    assert_ended(gateway, "completed", COST);
}
