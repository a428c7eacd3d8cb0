//! What a good file becomes.

use std::{net::SocketAddr, num::NonZeroU64, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use jiff::Timestamp;

use super::*;
use crate::{
    answer::Code,
    ledger::{Ledger, Rate, Scoped, WindowKind},
    model::{
        Access, Address, Customer, Endpoint, HostHeader, KeyState, Methods, Route, Status,
        WebSocket,
    },
    roster::{Live, Lookup},
    snapshot::Snapshot,
    store::Database,
    telemetry::level::Level,
};

#[test]
fn defaults_are_those_of_the_example() {
    let minimal = load(&example("minimal.toml")).unwrap().into_config().unwrap();
    let full = load(&example("faregate.toml")).unwrap().into_config().unwrap();
    assert_eq!(minimal.server, full.server);
    assert_eq!(minimal.admin.listen, full.admin.listen);
    assert_eq!(minimal.store, full.store);
    assert_eq!(minimal.retention, full.retention);
    assert_eq!(minimal.log, full.log);
    assert_eq!(minimal.key_locations, full.key_locations);
    assert_eq!((minimal.guesses, full.guesses), (None, None));
    assert_eq!(minimal.status_by_code, full.status_by_code);
    let (a, b) = (&minimal.upstreams[0], &full.upstreams[0]);
    assert_eq!(a.connect_timeout, b.connect_timeout);
    assert_eq!(a.response_timeout, b.response_timeout);
    assert_eq!(a.idle_timeout, b.idle_timeout);
    assert_eq!(a.keepalive_timeout, b.keepalive_timeout);
    assert_eq!(a.host_header, b.host_header);
    assert_eq!((&a.health, a.limit, a.retries), (&b.health, b.limit, b.retries));
    let (a, b) = (&minimal.routes[0], &full.routes[0]);
    assert_eq!(a.charge_on, b.charge_on);
    assert_eq!(a.request_timeout, b.request_timeout);
    assert_eq!((a.access, a.enforce), (b.access, b.enforce));
    let (a, b) = (&minimal.plans[0], &full.plans[0]);
    assert_eq!((a.grace, a.on_sale, a.enforce), (b.grace, b.on_sale, b.enforce));
}

#[test]
fn server_values() {
    let config = config(
        "
[server]
listen = \"[::]:80\"
public_url = \"https://api.example.com/base/\"
reserved_prefix = \"/_gate/way\"
workers = 4
trusted_proxies = [\"10.0.0.0/8\", \"::1\"]
proxy_protocol = true
limits = { header_bytes = \"8KiB\", body_bytes = \"0B\", request_timeout = \"none\", connections_per_address = 7, streams = 250 }
[store]
url = \"sqlite:data/usage.db\"
retention = { requests = \"0s\", requests_size = \"64MiB\" }
[log]
access = \"logs/access.json\"
level = \"debug\"
[auth]
locations = [\"x-api-key\"]
guesses = { limit = 20, window = \"1m\" }
[answers]
status = { quota_exceeded = 429 }
",
    );
    assert_eq!(config.server.listen, SocketAddr::from(([0u16; 8], 80)));
    assert_eq!(config.server.public_url.as_deref(), Some("https://api.example.com/base"));
    assert_eq!(&*config.server.reserved_prefix, "/_gate/way");
    assert_eq!(config.server.workers, Some(4));
    let trusted = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
    assert_eq!(config.server.trusted_proxies, trusted);
    assert!(config.server.proxy_protocol);
    assert_eq!(config.server.limits.header_bytes, 8192);
    assert_eq!(config.server.limits.body_bytes, 0);
    assert_eq!(config.server.limits.request_timeout, None);
    assert_eq!(config.server.limits.connections_per_address, Some(7));
    assert_eq!(config.server.limits.streams, 250);
    assert_eq!(config.routes[0].request_timeout, None);
    assert_eq!(config.store.database, Database::Sqlite("data/usage.db".into()));
    assert_eq!(config.store.journal, Path::new("data/usage.db.journal"));
    let retention = Retention { requests: Duration::ZERO, ..Retention::default() };
    assert_eq!(config.retention, Retention { requests_size: 64 << 20, ..retention });
    assert_eq!(config.log.access, AccessLog::File("logs/access.json".into()));
    assert_eq!(config.log.level, Level::of(tracing::Level::DEBUG));
    assert_eq!(config.key_locations, [KeyLocation::x_api_key()]);
    let guesses = GuessLimit { limit: 20, window: Duration::from_secs(60) };
    assert_eq!(config.guesses, Some(guesses));
    assert_eq!(config.status_by_code[&Code::QuotaExceeded], StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn rates_and_ceilings_can_be_given_or_taken_away() {
    let of = |limits: &str| {
        let limits =
            config(&format!("[server]\nlisten = \"127.0.0.1:80\"\nlimits = {{ {limits} }}"));
        let limits = limits.server.limits;
        (limits.minimum_rate.map(NonZeroU64::get), limits.memory, limits.connections_per_address)
    };
    assert_eq!(of(""), (Some(240), MemoryLimit::OfGroup, None));
    let given = of("minimum_rate = \"2KiB\", memory = \"64MiB\"");
    assert_eq!(given, (Some(2048), MemoryLimit::Bytes(64 << 20), None));
    for off in ["none", "0B"] {
        let limits = of(&format!("minimum_rate = \"{off}\", memory = \"none\""));
        assert_eq!(limits, (None, MemoryLimit::None, None));
    }
}

#[test]
fn a_database_on_a_server_has_a_journal_that_is_named_by_the_port() {
    let config = config("[store]\nurl = \"postgres://faregate@db.example:5433/books\"");
    let Database::Postgres(server) = &config.store.database else { panic!("{:?}", config.store) };
    assert_eq!(server.to_string(), "db.example:5433/books");
    assert!(!server.has_password());
    let name = format!("faregate-{}.journal", config.server.listen.port());
    assert!(config.store.journal.ends_with(name), "{:?}", config.store.journal);
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = complete("[store]\njournal = \"/var/journal\"\n[log]\naccess = \"a.log\"");
    let config = Loaded::parse(&text, Path::new("/etc/faregate/x.toml")).into_config().unwrap();
    assert_eq!(config.store.database, Database::Sqlite("/etc/faregate/faregate.db".into()));
    assert_eq!(config.store.journal, Path::new("/var/journal"));
    assert_eq!(config.log.access, AccessLog::File("/etc/faregate/a.log".into()));
}

#[test]
fn listeners_that_do_not_meet() {
    config("[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"");
    config("[server]\nlisten = \"127.0.0.1:80\"\n[admin]\nlisten = \"127.0.0.2:80\"");
}

#[test]
fn upstream_values() {
    let config = config(
        "
[upstreams.b]
urls = [\"HTTP://[2001:db8::1]:8080/base/\"]
connect_timeout = \"250ms\"
host = \"preserve\"
set_headers = { X-Edition = \"metric\", authorization = { env = \"CARGO_PKG_NAME\" } }
[upstreams.a]
urls = [\"http://api.internal/v1\", \"http://10.0.0.6:9000/v1/\"]
",
    );
    let [b, a, _] = config.upstreams.as_slice() else { panic!("{:?}", config.upstreams) };
    assert!(b.endpoints.is_single());
    let first = b.endpoints.first();
    assert_eq!((&*b.id, &*first.name), ("b", "[2001:db8::1]:8080"));
    let address = Address::Tcp { host: "2001:db8::1".into(), port: 8080 };
    assert_eq!(first.address, address);
    assert_eq!((first.authority.to_str().unwrap(), &*b.base_path), ("[2001:db8::1]:8080", "/base"));
    assert_eq!(b.connect_timeout, Duration::from_millis(250));
    assert_eq!(b.host_header, HostHeader::Preserve);
    let headers: Vec<_> =
        b.set_headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(headers, [("x-edition", &b"metric"[..]), ("authorization", b"faregate")]);
    assert!(b.set_headers.iter().all(|(_, value)| value.is_sensitive()));
    let all = |endpoint: &Endpoint| {
        (endpoint.name.to_string(), endpoint.authority.to_str().unwrap().to_owned())
    };
    assert_eq!(
        a.endpoints.iter().map(all).collect::<Vec<_>>(),
        [
            ("api.internal:80".into(), "api.internal".into()),
            ("10.0.0.6:9000".into(), "10.0.0.6:9000".into())
        ]
    );
    assert_eq!(&*a.base_path, "/v1");
}

#[test]
fn upstream_beside_a_listener() {
    let is_refused = |server: &str, url: &str| {
        let server = format!("[server]\nlisten = {server:?}\npublic_url = \"http://a.example\"\n");
        parse(&format!("{server}[upstreams.b]\nurl = {url:?}")).report().has(Severity::Error)
    };
    for (server, url) in [
        ("127.0.0.1:80", "http://127.0.0.1"),
        ("127.0.0.1:80", "http://localhost"),
        ("127.0.0.1:80", "http://0.0.0.0"),
        ("127.0.0.1:80", "http://[::ffff:127.0.0.1]"),
        ("0.0.0.0:80", "http://127.0.0.1"),
        ("0.0.0.0:80", "http://127.0.0.2"),
        ("0.0.0.0:80", "http://app.localhost"),
        ("[::]:80", "http://127.0.0.1"),
        ("10.0.0.1:80", "http://10.0.0.1"),
        ("127.0.0.1:1", "http://127.0.0.1:8403"),
    ] {
        assert!(is_refused(server, url), "{server} {url}");
    }
    for (server, url) in [
        ("127.0.0.1:80", "http://127.0.0.1:81"),
        ("127.0.0.1:80", "http://10.0.0.1"),
        ("127.0.0.1:80", "http://api.example.com"),
        ("10.0.0.1:80", "http://127.0.0.1"),
        ("10.0.0.1:80", "http://localhost"),
        ("127.0.0.1:80", "http://127.0.0.2"),
    ] {
        assert!(!is_refused(server, url), "{server} {url}");
    }
}

fn methods(route: &Route) -> String {
    match &route.methods {
        Methods::Any => "any".to_owned(),
        Methods::Only(methods) => methods.iter().map(Method::as_str).collect::<Vec<_>>().join(" "),
    }
}

#[test]
fn routes_may_share_a_path() {
    let route = |rest: &str| format!("[[routes]]\nupstream = \"api\"\n{rest}\n");
    let config = config(
        &[
            route("path = \"/a\"\nmethods = [\"GET\"]"),
            route("path = \"/a\"\nmethods = [\"POST\", \"PUT\"]"),
            route("path = \"/a\"\nmethods = [\"HEAD\", \"DELETE\"]"),
            route("path = \"/a\"\nhost = \"b.example\""),
            route("path = \"/a\"\nhost = \"c.example\"\nmethods = [\"GET\"]"),
            route("path = \"/a\"\nhost = \"c.example\"\nmethods = [\"POST\"]"),
            route("path = \"/b/{id}\"\nmethods = [\"GET\", \"HEAD\"]"),
            route("path = \"/b/{*id}\"\nname = \"rest\""),
            route("path = \"/b/\""),
        ]
        .concat(),
    );
    let routes: Vec<_> = config.routes.iter().map(|route| (&*route.name, methods(route))).collect();
    let expected = [
        ("/a", "GET"),
        ("/a POST", "POST PUT"),
        ("/a HEAD", "HEAD DELETE"),
        ("b.example/a", "any"),
        ("c.example/a", "GET HEAD"),
        ("c.example/a POST", "POST"),
        ("/b/{id}", "GET HEAD"),
        ("rest", "any"),
        ("/b/", "any"),
    ];
    assert_eq!(routes, expected.map(|(name, methods)| (name, methods.to_owned())));
}

#[test]
fn route_values() {
    let config = config(
        "
[[routes]]
host = \"[::1]\"
path = \"/v1/forecast/{*rest}\"
upstream = \"api\"
strip_prefix = \"/v1/forecast\"
cost = 0
scopes = [\"read\", \"a:b\"]
enforce = false
charge_on = [\"2xx\", 404, \"!204\", \"500-502\"]
websocket = \"90s\"
request_timeout = \"none\"
[[routes]]
path = \"/status\"
upstream = \"api\"
access = \"public\"
",
    );
    let [forecast, status] = config.routes.as_slice() else { panic!("{:?}", config.routes) };
    assert_eq!(forecast.host.as_deref(), Some("[::1]"));
    assert_eq!(forecast.strip_prefix.as_deref(), Some("/v1/forecast"));
    assert_eq!(forecast.cost, 0);
    assert_eq!(forecast.scopes, ["read".into(), "a:b".into()]);
    let charged: Vec<u16> = (100..600)
        .filter(|status| forecast.charge_on.contains(StatusCode::from_u16(*status).unwrap()))
        .collect();
    let expected = (200..300).filter(|status| *status != 204).chain([404, 500, 501, 502]);
    assert_eq!(charged, expected.collect::<Vec<_>>());
    assert_eq!(forecast.request_timeout, None);
    assert_eq!((forecast.enforce, status.enforce), (false, true));
    assert_eq!(status.access, Access::Public);
    assert_eq!(forecast.websocket, WebSocket::Time(Duration::from_secs(90)));
    assert_eq!(status.websocket, WebSocket::Connection);
    assert_eq!(status.cost, 1);
    assert_eq!(status.request_timeout, Some(Duration::from_secs(300)));
}

const ANCHOR: &str = "2026-01-31T10:00:00Z";

/// Gives a customer as its requests find it.
fn resolved(config: &Config, id: &str) -> Arc<Customer> {
    let (snapshot, live) = (Snapshot::new(config), Live::default());
    let now = ANCHOR.parse().unwrap();
    let ledger = Ledger::new(now);
    let lookup = Lookup { snapshot: &snapshot, live: &live, ledger: &ledger, now };
    lookup.customer(id).unwrap()
}

#[test]
fn windows_follow_anchor_and_calendar() {
    let quota = |window: &str, align: &str| match align {
        "" => format!("{{ limit = 1, window = {window:?} }}"),
        _ => format!(
            "{{ name = \"{window}-{align}\", limit = 1, window = {window:?}, align = {align:?} }}"
        ),
    };
    let windows = ["hour", "day", "week", "month", "year"];
    let mut quotas: Vec<String> = vec![quota("lifetime", "")];
    for align in ["", "anchor", "calendar"] {
        quotas.extend(windows.iter().map(|window| quota(window, align)));
    }
    let with_anchor = config(&format!(
        "[plans.p]\nquotas = [{}]\n[customers.a]\nplan = \"p\"\nanchor = \"{ANCHOR}\"",
        quotas.join(", ")
    ));
    let customer = resolved(&with_anchor, "a");
    let anchored: Vec<&str> = customer
        .limits
        .quotas
        .iter()
        .filter(|quota| quota.window.anchor == Some(ANCHOR.parse().unwrap()))
        .map(|quota| &*quota.name)
        .collect();
    let aligned = windows.map(|window| format!("{window}-anchor"));
    let expected: Vec<&str> =
        ["month", "year"].into_iter().chain(aligned.iter().map(String::as_str)).collect();
    assert_eq!(anchored, expected);

    let without = config(&format!(
        "[plans.p]\nquotas = [{}]\n[customers.a]\nplan = \"p\"",
        windows.map(|window| quota(window, "")).join(", ")
    ));
    let customer = resolved(&without, "a");
    assert!(customer.limits.quotas.iter().all(|quota| quota.window.anchor.is_none()));
}

#[test]
fn customer_limits_replace_those_of_the_plan() {
    let config = config(
        "
[plans.pro]
quotas = [{ limit = 1, window = \"day\" }, { limit = 2, window = \"month\" }]
rate = { limit = 3, window = \"1s\" }
concurrency = 4
[customers.a]
plan = \"pro\"
[customers.b]
plan = \"pro\"
quotas = []
concurrency = 5
[customers.c]
plan = \"pro\"
quotas = [{ limit = 6, window = \"lifetime\" }]
rate = { limit = 7, window = \"24h\", burst = 8 }
[customers.d]
suspended = true
",
    );
    let customers = ["a", "b", "c", "d"].map(|id| resolved(&config, id));
    let told: Vec<String> = customers
        .iter()
        .map(|customer| {
            let limits = &customer.limits;
            let quotas: Vec<_> =
                limits.quotas.iter().map(|quota| (&*quota.name, quota.limit)).collect();
            let rate = limits.rates.first().map(|rate| rate.limit.limit);
            let concurrency = limits.concurrency.first().map(|limit| limit.limit);
            format!("{quotas:?} {rate:?} {concurrency:?}")
        })
        .collect();
    let expected = [
        "[(\"day\", 1), (\"month\", 2)] Some(3) Some(4)",
        "[] Some(3) Some(5)",
        "[(\"lifetime\", 6)] Some(7) Some(4)",
        "[] None None",
    ];
    assert_eq!(told, expected);
    let rate = |window, limit, burst| Rate { limit, window: Duration::from_secs(window), burst };
    assert_eq!(customers[0].limits.rates, [Scoped::whole(rate(1, 3, 3))]);
    assert_eq!(customers[2].limits.rates, [Scoped::whole(rate(86_400, 7, 8))]);
    assert_eq!(customers[2].limits.quotas[0].window.kind, WindowKind::Lifetime);
    assert!(customers[3].suspended && customers[3].subscription.is_none());
}

#[test]
fn quotas_have_zones_and_earlier_names() {
    let config = config(
        "
[plans.pro]
quotas = [
  { name = \"calls\", limit = 1, window = \"month\", renamed_from = \"monthly\", zone = \"Europe/Berlin\" },
  { limit = 2, window = \"period\", zone = \"utc\" },
]
[customers.a]
plan = \"pro\"
anchor = \"2026-01-31T10:00:00Z\"
",
    );
    let customer = resolved(&config, "a");
    let [calls, period] = customer.limits.quotas.as_slice() else { panic!("two quotas") };
    assert_eq!((&*calls.scope, &*calls.name, &*calls.account), ("", "calls", "monthly"));
    let zone = calls.window.zone.as_ref().unwrap();
    assert_eq!(zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!((&*period.name, &*period.account), ("period", "period"));
    assert_eq!((period.window.kind, &period.window.zone), (WindowKind::Period, &None));
    assert_eq!(period.window.anchor, Some("2026-01-31T10:00:00Z".parse().unwrap()));
}

#[test]
fn subscription_states() {
    let status = |plan: &str, customer: &str| {
        let plan = format!("[plans.p]\n{plan}\n");
        let config = config(&format!("{plan}[customers.a]\nplan = \"p\"\nstatus = {customer}"));
        resolved(&config, "a").subscription.as_ref().unwrap().status
    };
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let past_due = |days: u64| Status::PastDue {
        since: at("2026-10-31T10:00:00Z"),
        grace: Duration::from_secs(days * 86_400),
    };
    let overdue = "\"past_due\"\npast_due_since = \"2026-10-31T10:00:00Z\"";
    assert_eq!(status("", overdue), past_due(3));
    assert_eq!(status("grace = \"5d\"", overdue), past_due(5));
    assert_eq!(status("grace = \"5d\"", &format!("{overdue}\ngrace = \"0s\"")), past_due(0));

    let trialing = |end: &str| Status::Trialing { end: at(end) };
    let anchored = format!("\"trialing\"\nanchor = {ANCHOR}");
    assert_eq!(status("trial = \"14d\"", &anchored), trialing("2026-02-14T10:00:00Z"));
    let ended = format!("{anchored}\ntrial_end = \"2026-03-01T00:00:00+01:00\"");
    assert_eq!(status("trial = \"14d\"", &ended), trialing("2026-02-28T23:00:00Z"));

    for expected in [
        Status::Active,
        Status::Canceled,
        Status::Incomplete,
        Status::IncompleteExpired,
        Status::Paused,
        Status::Unpaid,
    ] {
        let written = format!("{:?}\npause_collection = true", expected.name());
        assert_eq!(status("", &written), expected);
    }
}

#[test]
fn key_values() {
    let config = config(
        "
[customers.acme]
keys = [
  \"sha256:e2186dbdb1bb4193608605e84f33208765b5693b55edd4f730a719a100eeea6f\",
  { id = \"ci\", digest = \"sha256:1a06df82cf0f5aa8a64b6ddc1da0a4e6fd1c5a5f0d45e7c0d2b0a9ebd8b7aa52\", expires = \"2027-01-01T00:00:00Z\", scopes = [\"read\"], allow_from = [\"192.0.2.7\", \"2001:db8::/32\"], status = \"disabled\" },
]
[[customers.acme.applications.mobile.keys]]
digest = \"sha256:6b7f0d3cbbc3d1d1e6d4f5dd31ac0a6b1f6d68a14e1e33a7a27a1b5f5b6f3d10\"
",
    );
    let [first, ci, mobile] = config.keys.as_slice() else { panic!("{:?}", config.keys) };
    assert_eq!((&*first.id, &*first.customer), ("key_e2186dbdb1bb", "acme"));
    assert!(first.scopes.is_empty() && first.allow_from.is_empty());
    assert_eq!((first.expires, first.state), (None, KeyState::Active));
    assert_eq!(&*ci.id, "ci");
    assert_eq!(ci.expires, Some("2027-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(ci.allow_from, ["192.0.2.7/32".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
    assert_eq!(ci.state, KeyState::Disabled);
    assert_eq!(ci.application, None);
    assert_eq!(mobile.application.as_deref(), Some("mobile"));
}
