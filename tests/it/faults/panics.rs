//! Panics of our own under load: each costs one request, and nothing else.
#![cfg(debug_assertions)]

use faregate::failpoint::{Point, arm};
use std::time::Duration;
use tokio::time::Instant;

use super::{
    load::{Got, Load, count},
    table::Row,
};
use crate::support::{Gateway, Upstream, wait_for, wait_until_equal};

const ROUTE: &str = "panics-under-load";
const PANICS: usize = 5;

/// What the books say while the gateway runs; it is one in this process, which nobody kills.
const ANSWERED: &str = "what was answered is charged";

const TABLES: &str = r#"
[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "panics-under-load"
path = "/paid/{*path}"
upstream = "api"

[[routes]]
path = "/open/{*path}"
upstream = "api"
access = "public"

[plans.all]
quotas = [{ limit = 100000000, window = "lifetime" }]

[customers.acme]
plan = "all"
keys = [{ id = "acme-1", digest = "key:key-of-acme" }]
"#;

#[test]
fn panics_under_load_cost_a_request_each() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(TABLES, &upstream);
    let load = Load::start_without_failures(gateway.running().address());
    let began = Instant::now();
    for panics in 1..=PANICS {
        arm(Point::BeforeHead, ROUTE);
        wait_for("the panic", || {
            (count(&load.since(began), Got::Wrong(500)) == panics).then_some(())
        });
    }
    load.wait_served_again();
    let seen = load.stop();
    assert_eq!(count(&seen, Got::Wrong(500)), PANICS);
    // Who got such an answer finds its connection closed.
    assert!(count(&seen, Got::Broken) <= PANICS);
    let (served, open) = (count(&seen, Got::Served), count(&seen, Got::Open));
    assert_eq!(served + open + count(&seen, Got::Broken) + PANICS, seen.len());
    wait_until_equal(|| gateway.used("acme"), &(u64::try_from(served).unwrap(), 0));
    let row = Row::new("a panic in a handler", &seen, began, Duration::ZERO);
    Row { callers: "500 for that request, others served".into(), audit: ANSWERED, ..row }.tell();
}
