//! Work that is turned away while memory is short.

use std::time::Duration;

use tokio::time::Instant;

use super::metric;
use crate::support::{
    Client, Gateway, KEY, Upstream,
    client::{bearer, head},
    wait_until_equal,
};

const TABLES: &str = r#"
[server.limits]
memory = "128MiB"

[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "api"
path = "/paid/{*path}"
upstream = "api"

[[routes]]
path = "/open"
upstream = "api"
access = "public"

[plans.starter]
quotas = [{ limit = 1000, window = "month" }]

[customers.acme]
plan = "starter"
keys = [{ id = "acme-1", digest = "key:key-of-acme" }]
"#;

/// A degree of pressure is this much apart from the next, and the first begins at the ceiling.
const PART: u64 = (128 << 20) / 32;

fn reach(gateway: &Gateway, used: u64, degree: f64) {
    gateway.running().gateway().memory().pretend(used);
    wait_until_equal(|| metric(gateway, "faregate_memory_pressure"), &degree);
}

fn paid(client: &mut Client) -> String {
    client.get("/paid/x", KEY).verdict()
}

fn open(client: &mut Client) -> String {
    client.request("GET", "/open", &[]).verdict()
}

#[test]
fn cheapest_work_is_turned_away_first() {
    const CEILING: u64 = 128 << 20;
    const REFUSED: &str = "503 overloaded";
    let upstream = Upstream::ok();
    let gateway = Gateway::start(TABLES, &upstream);
    assert_eq!(metric(&gateway, "faregate_memory_ceiling_bytes"), CEILING as f64);
    let (mut busy, mut unused) = (gateway.client(), gateway.client());
    assert_eq!(paid(&mut busy), "200");
    assert_eq!(paid(&mut unused), "200");
    let mut half = gateway.client();
    half.send("GET /paid/x HTTP/1.1\r\nHost: a\r\n");
    let half_open = || metric(&gateway, "faregate_connections{state=\"head\"}");
    wait_until_equal(half_open, &1.0);

    reach(&gateway, CEILING, 1.0);
    assert_eq!((paid(&mut busy), open(&mut busy)), ("200".into(), "200".into()));
    let mut waiting = gateway.client();
    waiting.send(head("GET", "/paid/x", &[&bearer(KEY)]));
    // Within the second after which who says nothing is closed.
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(250));
        assert_eq!(paid(&mut busy), "200");
    }
    unused.expect_closed();
    half.expect_closed();
    assert!(!waiting.has_answer(), "it is not taken yet");

    reach(&gateway, CEILING + PART, 2.0);
    assert_eq!(paid(&mut busy), "200");
    let answer = busy.request("GET", "/open", &[]);
    assert_eq!((answer.verdict().as_str(), answer.field("retry-after")), (REFUSED, Some("1")));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.json()["detail"], "The gateway cannot take the request now.");
    assert_eq!(busy.request("GET", "/paid/x", &[]).verdict(), "401 missing_api_key");

    let before = (upstream.count(), gateway.used("acme"));
    reach(&gateway, CEILING + PART * 3, 3.0);
    assert_eq!((paid(&mut busy), open(&mut busy)), (REFUSED.into(), REFUSED.into()));
    assert_eq!((upstream.count(), gateway.used("acme")), before);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(gateway.admin("GET", path).status(), 200, "{path}");
    }

    // Some way below the ceiling it is over, and who waited is served.
    reach(&gateway, CEILING - PART, 1.0);
    reach(&gateway, CEILING - PART * 2 - 1, 0.0);
    assert_eq!(waiting.response().status(), 200);
    assert_eq!(paid(&mut busy), "200");
    let served = u64::try_from(upstream.count()).unwrap() - 1;
    gateway.wait_recorded("acme", &[("completed", served, served)]);
}

/// Who was served before is refused only when what the others took did not come back.
#[test]
fn new_callers_go_before_anyone_else_is_refused() {
    const CEILING: u64 = 128 << 20;
    let upstream = Upstream::ok();
    let gateway = Gateway::start(TABLES, &upstream);
    let (mut busy, mut half) = (gateway.client(), gateway.client());
    assert_eq!(paid(&mut busy), "200");
    half.send("GET /paid/x HTTP/1.1\r\nHost: a\r\n");
    wait_until_equal(|| metric(&gateway, "faregate_connections{state=\"head\"}"), &1.0);

    let began = Instant::now();
    reach(&gateway, CEILING + PART * 2, 2.0);
    half.expect_closed();
    assert!(began.elapsed() < Duration::from_millis(900), "it has no second more");
    let mut served = 1;
    while paid(&mut busy) == "200" {
        served += 1;
        std::thread::sleep(Duration::from_millis(250));
    }
    assert!(began.elapsed() > Duration::from_millis(1900), "{:?}", began.elapsed());
    assert_eq!(metric(&gateway, "faregate_memory_pressure"), 3.0);
    assert_eq!(paid(&mut busy), "503 overloaded");
    reach(&gateway, 1 << 20, 0.0);
    assert_eq!(upstream.count(), served);
    gateway.wait_recorded("acme", &[("completed", served as u64, served as u64)]);
}

/// Memory that does not come back although nobody takes any does not keep the gateway shut.
#[test]
fn memory_that_stays_taken_without_load_is_lived_with() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(TABLES, &upstream);
    reach(&gateway, 1 << 30, 3.0);
    let mut client = gateway.client();
    client.send(head("GET", "/paid/x", &[&bearer(KEY)]));
    assert_eq!(client.response().status(), 200, "some seconds later");
    assert!(metric(&gateway, "faregate_memory_ceiling_bytes") > (1 << 30) as f64);
    reach(&gateway, 1 << 20, 0.0);
    wait_until_equal(|| metric(&gateway, "faregate_memory_ceiling_bytes"), &f64::from(128 << 20));
}
