//! HTTP/2 from callers: served, refused and charged as HTTP/1.1 is, and what only HTTP/2 has.

mod bodies;
pub(crate) mod caller;
mod endings;
mod floods;
mod heads;
mod raw;
mod refused;
mod served;

use crate::support::{Gateway, KEY, Upstream};

/// One call's cost.
const COST: u64 = 3;

/// Writes the tables of a gateway: more lines for the limits and the upstream.
fn tables(limits: &str, upstream: &str) -> String {
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

[[routes]]
name = "free"
path = "/free/{{*rest}}"
upstream = "api"
access = "public"

[plans.starter]
quotas = [{{ limit = 30000, window = "month" }}]

[customers.acme]
plan = "starter"
keys = [{{ id = "acme-1", digest = "key:key-of-acme" }}]
"#
    )
}

fn start(limits: &str, upstream: &Upstream) -> Gateway {
    Gateway::start(&tables(limits, ""), upstream)
}

/// Asserts that the calls of the customer have ended so: names, requests, units.
fn assert_ended(gateway: &Gateway, endings: &[(&str, u64, u64)]) {
    gateway.wait_recorded("acme", endings);
    gateway.wait_used("acme", endings.iter().map(|(.., units)| units).sum());
    assert_eq!(gateway.usage("acme"), gateway.usage_by_key(KEY));
}
