//! What the tests share: a whole gateway, a scripted upstream, a client on a raw socket.

pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod front;
pub(crate) mod gateway;
pub(crate) mod postgres;
pub(crate) mod upstream;

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use client::{Client, Response};
pub(crate) use front::Front;
pub(crate) use gateway::Gateway;
pub(crate) use postgres::Schema;
pub(crate) use upstream::{Exchange, Then, Upstream};

/// How long anything may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The key of the customer that most tests have.
pub(crate) const KEY: &str = "key-of-acme";

/// A gateway's tables for one upstream, one open route, one plan and one customer.
pub(crate) const SMALL: &str = r#"
[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "api"
path = "/{*path}"
upstream = "api"

[plans.starter]
quotas = [{ limit = 1000, window = "month" }]

[customers.acme]
plan = "starter"
keys = [{ id = "acme-1", digest = "key:key-of-acme" }]
"#;

/// Waits until the function gives a value; fails with what was waited for.
pub(crate) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < deadline, "in vain waited for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the function gives the expected value; fails with the last one it gave.
pub(crate) fn wait_until_equal<T: PartialEq + std::fmt::Debug>(
    mut actual: impl FnMut() -> T,
    expected: &T,
) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let value = actual();
        if value == *expected {
            return;
        }
        assert!(Instant::now() < deadline, "waited for {expected:?}, have {value:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
