//! Exact counting: a hard limit under many keys and connections, to the last unit.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::support::{Client, Gateway, Upstream, client::head};

const KEYS: usize = 10;
const CONNECTIONS: usize = 16;
const REQUESTS: usize = 3000;
const LIMIT: u64 = 1000;

fn tables(cost: u64) -> String {
    let keys: Vec<String> = (0..KEYS).map(|key| format!("\"key:k{key}\"")).collect();
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
workers = 2

[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
path = "/{{*rest}}"
upstream = "api"
cost = {cost}

[plans.p]
quotas = [{{ name = "monthly", limit = {LIMIT}, window = "month" }}]

[customers.acme]
plan = "p"
keys = [{}]
"#,
        keys.join(", ")
    )
}

/// Sends all requests over all connections and gives how many were served and how many refused.
fn send_all(address: SocketAddr) -> (usize, usize) {
    let next = AtomicUsize::new(0);
    let served = AtomicUsize::new(0);
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                loop {
                    let count = next.fetch_add(1, Ordering::Relaxed);
                    if count >= REQUESTS {
                        return;
                    }
                    let response = client.get("/x", &format!("k{}", count % KEYS));
                    match response.verdict().as_str() {
                        "200" => served.fetch_add(1, Ordering::Relaxed),
                        "402 quota_exceeded" => refused.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}: {}", response.text()),
                    };
                }
            });
        }
    });
    (served.into_inner(), refused.into_inner())
}

/// Keeps the test's month the same however long it runs.
const NOW: &str = "2026-11-20T12:00:00Z";

#[test]
fn limit_is_served_to_the_unit_and_no_further() {
    for (cost, calls) in [(1, 1000), (3, 333)] {
        let upstream = Upstream::ok();
        let mut gateway = Gateway::start_at(NOW, &tables(cost), &upstream);
        let used = cost * u64::try_from(calls).unwrap();
        assert_eq!(send_all(gateway.running().address()), (calls, REQUESTS - calls));
        assert_eq!(upstream.count(), calls);
        gateway.wait_used("acme", used);
        gateway.wait_recorded("acme", &[("completed", used / cost, used)]);
        for _ in 0..2 {
            let response = gateway.get("/x", "k0");
            assert_eq!(response.verdict(), "402 quota_exceeded");
            let body = response.json();
            assert_eq!(body["used"], used);
            assert_eq!(body["remaining"], LIMIT - used);
            assert_eq!(body["cost"], cost);
            gateway.restart();
            assert_eq!(gateway.used("acme"), (used, 0));
        }
        assert_eq!(upstream.count(), calls);
    }
}

/// How many writes the journal has had.
fn appends(gateway: &Gateway) -> u64 {
    let page = gateway.admin_with("GET", "/metrics", &[], "");
    let line =
        page.text().lines().find_map(|line| line.strip_prefix("faregate_journal_appends_total "));
    line.unwrap().parse().unwrap()
}

/// Whether they are ready together is not ours to say, so it is tried until they were.
#[test]
fn requests_that_are_ready_together_share_an_append_and_are_counted_each() {
    const TOGETHER: usize = 32;
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables(1), &upstream);
    let mut clients: Vec<_> = (0..TOGETHER).map(|_| gateway.client()).collect();
    let request = head("GET", "/x", &["X-Api-Key: k0"]);
    let is_shared = (0..25).any(|_| {
        let before = appends(&gateway);
        clients.iter_mut().for_each(|client| client.send(&request));
        for client in &mut clients {
            assert_eq!(client.response().status(), 200);
        }
        appends(&gateway) - before < TOGETHER as u64 / 2
    });
    assert!(is_shared, "each has a write of its own");
    let used = u64::try_from(upstream.count()).unwrap();
    gateway.wait_used("acme", used);
    gateway.wait_recorded("acme", &[("completed", used, used)]);
}
