//! `/metrics`: what it counts is what happened, and its series are bounded.

use std::collections::BTreeMap;

use crate::support::{
    Exchange, Gateway, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
    wait_for, wait_until_equal,
};

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

[[routes]]
name = "watched"
path = "/watched/{*rest}"
upstream = "api"
enforce = false

[plans.starter]
quotas = [{ limit = 10, window = "month" }]

[customers.acme]
plan = "starter"
keys = ["key:key-of-acme"]
"#;

fn upstream() -> Upstream {
    Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        let target = exchange.request().target().to_owned();
        match target.rsplit('/').next().unwrap_or_default() {
            "held" => return Ok(Then::Silence),
            "reset" => return Ok(Then::Reset),
            "500" => exchange.send("HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nno!\n")?,
            _ => exchange.send(OK)?,
        }
        Ok(Then::KeepAlive)
    })
}

fn start(upstream: &Upstream) -> Gateway {
    Gateway::start(TABLES, upstream)
}

/// Gives each series and its value.
fn series(gateway: &Gateway) -> BTreeMap<String, f64> {
    let page = gateway.admin_with("GET", "/metrics", &[], "");
    assert_eq!(page.status(), 200);
    let lines = page.text().lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    let found: BTreeMap<_, _> = lines.map(parse).collect();
    assert_eq!(found.len(), page.text().lines().filter(|line| !line.starts_with('#')).count());
    found
}

fn value(gateway: &Gateway, name: &str) -> f64 {
    series(gateway).get(name).copied().unwrap_or(-1.0)
}

/// The non-zero series of one metric, without its name.
fn counted(gateway: &Gateway, name: &str) -> Vec<(String, f64)> {
    let found = series(gateway).into_iter().filter_map(|(series, value)| {
        let labels = series.strip_prefix(name)?.strip_prefix('{')?.strip_suffix('}')?;
        (value != 0.0).then(|| (labels.to_owned(), value))
    });
    found.collect()
}

fn requests(gateway: &Gateway) -> Vec<(String, f64)> {
    counted(gateway, "faregate_requests_total")
}

#[test]
fn requests_are_counted_by_route_plan_code_and_ending() {
    let upstream = upstream();
    let gateway = start(&upstream);
    let key = "key-of-acme";
    for path in ["/any/1", "/any/2", "/any/500", "/any/reset", "/any/3", "/any/4"] {
        gateway.get(path, key);
    }
    gateway.get("/open/1", key);
    gateway.get("/watched/1", "nobody");
    gateway.get("/any/1", "nobody");
    gateway.get("/elsewhere", key);
    gateway.get("/_faregate/usage", key);
    let expected: Vec<(String, f64)> = [
        (r#"route="",plan="",status="404",code="route_not_found",ending="refused""#, 1.0),
        (r#"route="",plan="starter",status="200",code="",ending="""#, 1.0),
        (r#"route="any",plan="",status="401",code="invalid_api_key",ending="refused""#, 1.0),
        (r#"route="any",plan="starter",status="200",code="",ending="completed""#, 3.0),
        (r#"route="any",plan="starter",status="402",code="quota_exceeded",ending="refused""#, 1.0),
        (r#"route="any",plan="starter",status="500",code="",ending="uncharged""#, 1.0),
        (r#"route="any",plan="starter",status="502",code="upstream_error",ending="failed""#, 1.0),
        (r#"route="open",plan="",status="200",code="",ending="completed""#, 1.0),
        (r#"route="watched",plan="",status="200",code="",ending="completed""#, 1.0),
    ]
    .map(|(labels, count)| (labels.to_owned(), count))
    .into();
    wait_until_equal(|| requests(&gateway), &expected);
    let units = counted(&gateway, "faregate_units_charged_total");
    assert_eq!(units, [(r#"route="any",plan="starter""#.to_owned(), 9.0)]);
    let shadow = counted(&gateway, "faregate_overlooked_refusals_total");
    let expected = r#"route="watched",plan="",code="invalid_api_key""#;
    assert_eq!(shadow, [(expected.to_owned(), 1.0)]);
    for name in ["faregate_gateway_duration_seconds", "faregate_request_duration_seconds"] {
        assert_eq!(value(&gateway, &format!("{name}_count{{route=\"any\"}}")), 7.0, "{name}");
        let last = format!("{name}_bucket{{le=\"+Inf\",route=\"any\"}}");
        assert_eq!(value(&gateway, &last), 7.0, "{name}");
    }
}

#[test]
fn time_at_the_upstream_is_not_the_gateways() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let gateway = start(&upstream);
    assert_eq!(gateway.get("/any/1", "key-of-acme").status(), 200);
    wait_until_equal(|| requests(&gateway).len(), &1);
    let sum =
        |name: &str| value(&gateway, &format!("faregate_{name}_seconds_sum{{route=\"any\"}}"));
    assert!(sum("request_duration") >= 0.3);
    assert!(sum("gateway_duration") < 0.2, "{}", sum("gateway_duration"));
    let endpoint = format!("upstream=\"api\",endpoint=\"{}\"", upstream.address());
    let at_upstream = format!("faregate_upstream_duration_seconds_sum{{{endpoint}}}");
    assert!(value(&gateway, &at_upstream) >= 0.3);
}

#[test]
fn what_is_open_and_what_is_kept_is_shown() {
    let upstream = upstream();
    let gateway = start(&upstream);
    let mut caller = gateway.client();
    caller.send(head("GET", "/any/held", &[&bearer("key-of-acme")]));
    upstream.wait_for(1);
    let state =
        |state: &str| value(&gateway, &format!("faregate_connections{{state=\"{state}\"}}"));
    assert_eq!(value(&gateway, "faregate_reservations_open"), 1.0);
    assert_eq!((state("head"), state("idle"), state("request")), (0.0, 0.0, 1.0));
    let endpoint = format!("upstream=\"api\",endpoint=\"{}\"", upstream.address());
    let busy = format!("faregate_upstream_connections{{{endpoint},state=\"busy\"}}");
    assert_eq!(value(&gateway, &busy), 1.0);
    drop(caller);
    wait_until_equal(|| value(&gateway, "faregate_reservations_open"), &0.0);
    wait_until_equal(|| value(&gateway, &busy), &0.0);
    assert_eq!(state("request"), 0.0);

    let mut idle = gateway.client();
    assert_eq!(idle.request("GET", "/open/1", &[]).status(), 200);
    wait_until_equal(|| state("idle"), &1.0);
    drop(idle);
    wait_until_equal(|| state("idle"), &0.0);
    assert_eq!(value(&gateway, "faregate_connections_accepted_total"), 2.0);
    let mut odd = gateway.client();
    odd.send("not HTTP\r\n\r\n");
    odd.drain();
    wait_until_equal(|| value(&gateway, "faregate_unparsable_requests_total"), &1.0);
}

#[test]
fn journal_and_store_are_shown() {
    let upstream = upstream();
    let gateway = start(&upstream);
    for _ in 0..3 {
        assert_eq!(gateway.get("/any/1", "key-of-acme").status(), 200);
    }
    gateway.wait_recorded("acme", &[("completed", 3, 9)]);
    let found = wait_for("everything in the store and on the disk", || {
        let found = series(&gateway);
        let syncs = found["faregate_journal_sync_duration_seconds_count"];
        (found["faregate_journal_unfolded_bytes"] == 0.0 && syncs >= 1.0).then_some(found)
    });
    // Three reservations, their settles, a head and a definition: each 64 bytes at least.
    assert!(found["faregate_journal_bytes_total"] >= 8.0 * 64.0);
    assert!(found["faregate_journal_appends_total"] >= 3.0);
    assert_eq!(found["faregate_journal_sync_failures_total"], 0.0);
    assert!(found["faregate_store_commit_duration_seconds_count{kind=\"fold\"}"] >= 1.0);
    assert!(found["faregate_journal_fold_lag_seconds"] < 5.0);
    assert_eq!(found["faregate_store_up"], 1.0);
    assert_eq!(found["faregate_customers{where=\"file\"}"], 1.0);
    assert_eq!(found["faregate_keys{where=\"file\"}"], 1.0);
}

#[test]
fn endpoint_that_cannot_be_reached_is_down_until_it_answers() {
    let upstream = upstream();
    let gateway = start(&upstream);
    let up = |gateway: &Gateway| counted(gateway, "faregate_upstream_endpoint_up");
    assert_eq!(up(&gateway), [], "unknown before it was asked");
    gateway.request("GET", "/open/1", &[]);
    let name = |address| format!("upstream=\"api\",endpoint=\"{address}\"");
    assert_eq!(up(&gateway), [(name(upstream.address()), 1.0)]);
    gateway.request("GET", "/open/reset", &[]);
    assert_eq!(up(&gateway), []);
    gateway.request("GET", "/open/1", &[]);
    assert_eq!(up(&gateway), [(name(upstream.address()), 1.0)]);

    let nowhere = Upstream::nowhere();
    gateway.write(&TABLES.replace("@UPSTREAM@", &nowhere.to_string()));
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    assert_eq!(gateway.request("GET", "/open/1", &[]).status(), 502);
    let results = counted(&gateway, "faregate_upstream_requests_total");
    let unreachable = (format!("{},result=\"unreachable\"", name(nowhere)), 1.0);
    assert!(results.contains(&unreachable), "{results:?}");
    let down = format!("faregate_upstream_endpoint_up{{{}}}", name(nowhere));
    assert_eq!(value(&gateway, &down), 0.0);
}

#[test]
fn reloads_are_counted_and_the_last_one_stays_shown() {
    let upstream = upstream();
    let gateway = start(&upstream);
    let tables = TABLES.replace("@UPSTREAM@", &upstream.address().to_string());
    let shown = || {
        let reloads = |result| value(&gateway, &format!("faregate_reloads_total{{{result}}}"));
        let last = value(&gateway, "faregate_last_reload_successful");
        (reloads("result=\"in_force\""), reloads("result=\"refused\""), last)
    };
    assert_eq!(shown(), (0.0, 0.0, 1.0));
    gateway.write_raw("nonsense");
    assert_ne!(gateway.admin("POST", "/v1/reload").status(), 200);
    assert_eq!(shown(), (0.0, 1.0, 0.0));
    gateway.write(&tables);
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    assert_eq!(shown(), (1.0, 1.0, 1.0));
}

#[test]
fn limits_and_zeros_that_alarms_compare_with_are_shown_from_the_start() {
    let upstream = upstream();
    let limits = "[server.limits]\nconnections = 77\n";
    let gateway = Gateway::start(&format!("{limits}{TABLES}"), &upstream);
    assert_eq!(value(&gateway, "faregate_connections_max"), 77.0);
    for result in ["delivered", "failed", "given_up"] {
        let attempts = format!("faregate_webhook_attempts_total{{result=\"{result}\"}}");
        assert_eq!(value(&gateway, &attempts), 0.0);
    }
}

#[test]
fn paths_and_keys_make_no_series() {
    let upstream = upstream();
    let gateway = start(&upstream);
    let fill = |from: usize, count: usize| {
        let mut client = gateway.client();
        for number in from..from + count {
            client.request("GET", &format!("/random/{number}"), &[]);
            client.request("GET", &format!("/any/{number}"), &[&bearer(&number.to_string())]);
            client.request(&format!("M{number}"), &format!("/open/{number}?{number}"), &[]);
        }
    };
    fill(0, 2);
    let before = wait_for("the first", || {
        let found = series(&gateway);
        (found.len() > 1 && requests(&gateway).len() == 3).then_some(found)
    });
    fill(10_000, 700);
    let all = |gateway: &Gateway| requests(gateway).iter().map(|(_, count)| *count as u64).sum();
    wait_until_equal(|| all(&gateway), &(3 * 702_u64));
    let after = series(&gateway);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
}

#[test]
fn page_is_openmetrics_for_who_asks_for_it() {
    let upstream = upstream();
    let gateway = start(&upstream);
    let older = gateway.admin_with("GET", "/metrics", &[], "");
    assert_eq!(older.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(!older.text().contains("# EOF"));
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let open = gateway.admin_with("GET", "/metrics", &[accept], "");
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.field("content-type"), Some(media));
    assert!(open.text().ends_with("# EOF\n"));
}
