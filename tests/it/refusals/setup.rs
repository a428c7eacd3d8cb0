//! The gateway that refuses in every way, and the requests that make it.

use serde_json::{Value, json};

use crate::support::{
    Client, Exchange, Gateway, Then, Upstream,
    client::{bearer, head},
    gateway::Recorded,
    upstream::OK,
    wait_until_equal,
};

/// A request that is refused.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// All bytes of it.
    pub(crate) request: String,
    /// Status and code.
    pub(crate) verdict: &'static str,
    /// Whether the connection may be used for another request.
    pub(crate) keeps: bool,
}

/// A gateway with customers in every state.
pub(crate) struct Stage {
    /// Requests in flight, of the customer with a concurrency of one and of the one with money for one
    /// call; they leave before the gateway stops.
    _held: [Client; 2],
    pub(crate) gateway: Gateway,
    pub(crate) upstream: Upstream,
}

pub(crate) const NOW: &str = "2026-11-20T12:00:00Z";

pub(crate) const TABLES: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 1
drain_timeout = "5s"
public_url = "https://api.example.com"

[server.limits]
body_bytes = "1KiB"
header_bytes = "8KiB"
headers = 50

[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "one"
path = "/one/{*rest}"
methods = ["GET", "POST"]
upstream = "api"

[[routes]]
name = "three"
path = "/three"
upstream = "api"
cost = 3

[[routes]]
name = "scoped"
path = "/scoped"
upstream = "api"
scopes = ["read", "write"]

[[routes]]
name = "extra"
path = "/extra"
upstream = "api"

[[routes]]
name = "internal"
path = "/internal"
upstream = "api"

[[routes]]
name = "priced"
path = "/priced/{*rest}"
upstream = "api"
price = "0.50 USD"

[plans.basic]
routes = ["one", "three", "scoped"]
quotas = [
  { name = "monthly", limit = 100, window = "month" },
  { name = "daily", limit = 50, window = "day" },
]
upgrade_url = "https://example.com/billing"

[plans.large]
routes = ["one", "three", "scoped", "extra"]
quotas = [{ limit = 1000, window = "month" }]
rate = { limit = 10, window = "1s" }
concurrency = 5

[plans.secret]
routes = ["internal"]
on_sale = false

[customers.good]
plan = "basic"
keys = [
  "key:good",
  { id = "scopes", digest = "key:half-the-scopes", scopes = ["read"] },
  { id = "expired", digest = "key:expired", expires = "2026-11-20T12:00:00Z" },
  { id = "revoked", digest = "key:revoked", status = "revoked" },
  { id = "disabled", digest = "key:disabled", status = "disabled" },
  { id = "elsewhere", digest = "key:elsewhere", allow_from = ["192.0.2.0/24"] },
]

[customers.suspended]
plan = "basic"
suspended = true
keys = ["key:suspended"]

[customers.nothing]
keys = ["key:nothing"]

[customers.poor]
keys = ["key:poor"]

[customers.in-flight]
keys = ["key:in-flight"]

[customers.later]
plan = "basic"
starts = "2026-12-01T00:00:00Z"
keys = ["key:later"]

[customers.unpaid]
plan = "basic"
status = "unpaid"
keys = ["key:unpaid"]

[customers.overdue]
plan = "basic"
status = "past_due"
past_due_since = "2026-11-17T12:00:00Z"
keys = ["key:overdue"]

[customers.incomplete]
plan = "basic"
status = "incomplete"
keys = ["key:incomplete"]

[customers.dead-start]
plan = "basic"
status = "incomplete_expired"
keys = ["key:dead-start"]

[customers.paused]
plan = "basic"
status = "paused"
keys = ["key:paused"]

[customers.canceled]
plan = "basic"
status = "canceled"
keys = ["key:canceled"]

[customers.ended]
plan = "basic"
cancel_at = "2026-11-20T12:00:00Z"
keys = ["key:ended"]

[customers.trial]
plan = "basic"
status = "trialing"
trial_end = "2026-11-20T12:00:00Z"
keys = ["key:trial"]

[customers.spent]
plan = "basic"
quotas = [
  { name = "monthly", limit = 4, window = "month" },
  { name = "daily", limit = 100, window = "day" },
]
keys = ["key:spent"]

[customers.spent-twice]
plan = "basic"
quotas = [
  { name = "monthly", limit = 1, window = "month" },
  { name = "daily", limit = 1, window = "day" },
]
keys = ["key:spent-twice"]

[customers.spent-for-life]
plan = "basic"
quotas = [{ name = "trial", limit = 1, window = "lifetime" }]
keys = ["key:spent-for-life"]

[customers.small]
plan = "basic"
quotas = [{ name = "monthly", limit = 2, window = "month" }]
keys = ["key:small"]

[customers.zero]
plan = "basic"
quotas = [{ name = "monthly", limit = 0, window = "month" }]
keys = ["key:zero"]

[customers.capped]
plan = "basic"
quotas = [{ name = "monthly", limit = 1, window = "month", overage = { price = "0.001 USD" } }]
spend_cap = "0.0015 USD"
keys = ["key:capped"]

[customers.fast]
plan = "large"
rate = { limit = 2, window = "60s", burst = 1 }
keys = ["key:fast"]

[customers.busy]
plan = "large"
concurrency = 1
keys = ["key:busy"]
"#;

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(TABLES)
    }

    pub(crate) fn with(tables: &str) -> Self {
        let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
            if exchange.request().target().ends_with("/held") {
                return Ok(Then::Silence);
            }
            exchange.read_body()?;
            exchange.send(OK)?;
            Ok(Then::KeepAlive)
        });
        let gateway = Gateway::start_at(NOW, tables, &upstream);
        for key in
            ["spent", "spent", "spent", "spent-twice", "spent-for-life", "capped", "capped", "fast"]
        {
            assert_eq!(gateway.get("/one/x", key).status(), 200, "{key}");
        }
        for (customer, amount) in [("poor", "0.25 USD"), ("in-flight", "0.75 USD")] {
            let path = format!("/v1/customers/{customer}/credits");
            gateway.changed("POST", &path, &json!({"amount": amount}));
        }
        let held = [("/one/held", "busy"), ("/priced/held", "in-flight")].map(|(path, key)| {
            let mut held = gateway.client();
            held.send(head("GET", path, &[&bearer(key)]));
            held
        });
        upstream.wait_for(10);
        let stage = Self { _held: held, gateway, upstream };
        wait_until_equal(|| stage.used("spent"), &3);
        stage
    }

    fn used(&self, customer: &str) -> u64 {
        self.gateway.used(customer).0
    }

    /// Gives everything that a charge would change.
    pub(crate) fn counted(&self) -> (usize, Vec<Value>) {
        let names = TABLES.lines().filter_map(|line| line.strip_prefix("[customers."));
        let usage = names.map(|name| self.gateway.usage(name.trim_end_matches(']'))).collect();
        (self.upstream.count(), usage)
    }

    /// Asserts that the store has the requests of the setting-up alone, and one that comes after all
    /// others on the one worker.
    pub(crate) fn assert_nothing_more_recorded(&self) {
        assert_eq!(self.gateway.get("/one/x", "good").status(), 200);
        self.gateway.wait_recorded("good", &[("completed", 1, 1)]);
        for (customer, completed) in
            [("spent", 3), ("spent-twice", 1), ("capped", 2), ("fast", 1), ("busy", 0)]
        {
            let mut expected = Recorded::new();
            if completed > 0 {
                expected.insert("completed".to_owned(), (completed, completed));
            }
            assert_eq!(self.gateway.recorded(customer), expected, "{customer}");
        }
        for customer in
            ["suspended", "nothing", "poor", "in-flight", "unpaid", "trial", "small", "zero"]
        {
            assert_eq!(self.gateway.recorded(customer), Recorded::new(), "{customer}");
        }
    }
}

fn case(name: &'static str, request: String, verdict: &'static str) -> Case {
    Case { name, request, verdict, keeps: true }
}

fn by_key(name: &'static str, path: &str, key: &str, verdict: &'static str) -> Case {
    case(name, head("GET", path, &[&bearer(key)]), verdict)
}

/// Gives all cases, in the order of the chain.
pub(crate) fn all_cases() -> Vec<Case> {
    let mut cases = requests();
    cases.extend(keys());
    cases.extend(subscriptions());
    cases.extend(limits());
    cases
}

fn requests() -> Vec<Case> {
    let good = bearer("good");
    let raw = |line: &str, fields: &str| format!("{line}\r\n{fields}{good}\r\n\r\n");
    let host = "Host: gateway.test\r\n";
    let large = format!("{}{}", head("POST", "/one/x", &[&good, "Content-Length: 1025"]), "x");
    let not_now = head("POST", "/one/x", &[&good, "Expect: 200-maybe", "Content-Length: 0"]);
    let wide = format!("X-Wide: {}", "x".repeat(9_000));
    let long = format!("/one/{}", "x".repeat(9_000));
    vec![
        case("long target", head("GET", &long, &[&good]), "414 uri_too_long"),
        case("wide field", head("GET", "/one/x", &[&good, &wide]), "431 headers_too_large"),
        case("no Host", raw("GET /one/x HTTP/1.1", ""), "400 invalid_request"),
        case(
            "two Hosts",
            raw("GET /one/x HTTP/1.1", "Host: a.test\r\nHost: b.test\r\n"),
            "400 invalid_request",
        ),
        case("malformed Host", raw("GET /one/x HTTP/1.1", "Host: a b\r\n"), "400 invalid_request"),
        case("asterisk", raw("GET * HTTP/1.1", host), "400 invalid_request"),
        case("encoded slash", raw("GET /one%2Fx HTTP/1.1", host), "400 invalid_path"),
        Case {
            name: "CONNECT",
            request: raw("CONNECT a.test:443 HTTP/1.1", host),
            verdict: "501 not_implemented",
            keeps: false,
        },
        case("unknown expectation", not_now, "417 expectation_failed"),
        case("no such route", raw("GET /none HTTP/1.1", host), "404 route_not_found"),
        case("no such page", raw("GET /_faregate/none HTTP/1.1", host), "404 route_not_found"),
        case("other method", raw("DELETE /one/x HTTP/1.1", host), "405 method_not_allowed"),
        case(
            "other method on a page",
            raw("POST /_faregate/usage HTTP/1.1", host),
            "405 method_not_allowed",
        ),
        Case { name: "large body", request: large, verdict: "413 body_too_large", keeps: false },
    ]
}

fn keys() -> Vec<Case> {
    let two = head("GET", "/one/x", &[&bearer("good"), "X-API-Key: other"]);
    let doubled = head("GET", "/one/x", &[&bearer("good"), &bearer("spent")]);
    vec![
        case("no key", head("GET", "/one/x", &[]), "401 missing_api_key"),
        case(
            "no key, another scheme",
            head("GET", "/one/x", &["Authorization: Digest good"]),
            "401 missing_api_key",
        ),
        by_key("unknown key", "/one/x", "nobody", "401 invalid_api_key"),
        by_key("empty key", "/one/x", "", "401 invalid_api_key"),
        by_key("expired key", "/one/x", "expired", "401 api_key_expired"),
        by_key("revoked key", "/one/x", "revoked", "401 api_key_revoked"),
        case("keys in two places", two, "401 ambiguous_credentials"),
        case("two keys in one place", doubled, "401 ambiguous_credentials"),
        by_key("disabled key", "/one/x", "disabled", "403 api_key_disabled"),
        by_key("key for another network", "/one/x", "elsewhere", "403 origin_not_allowed"),
        by_key("suspended customer", "/one/x", "suspended", "403 account_suspended"),
        by_key("scope missing", "/scoped", "half-the-scopes", "403 insufficient_scope"),
        case("usage without a key", head("GET", "/_faregate/usage", &[]), "401 missing_api_key"),
        by_key("usage by an unknown key", "/_faregate/usage", "nobody", "401 invalid_api_key"),
        by_key("usage when suspended", "/_faregate/usage", "suspended", "403 account_suspended"),
    ]
}

fn subscriptions() -> Vec<Case> {
    vec![
        by_key("nothing bought", "/one/x", "nothing", "402 subscription_required"),
        by_key("dead start", "/one/x", "dead-start", "402 subscription_required"),
        by_key("not started", "/one/x", "later", "402 subscription_not_started"),
        by_key("unpaid", "/one/x", "unpaid", "402 payment_overdue"),
        by_key("overdue after the grace", "/one/x", "overdue", "402 payment_overdue"),
        by_key("first payment open", "/one/x", "incomplete", "402 payment_incomplete"),
        by_key("paused", "/one/x", "paused", "402 subscription_paused"),
        by_key("canceled", "/one/x", "canceled", "402 subscription_ended"),
        by_key("ended at this instant", "/one/x", "ended", "402 subscription_ended"),
        by_key("trial over at this instant", "/one/x", "trial", "402 trial_expired"),
        by_key("in a larger plan", "/extra", "good", "402 plan_upgrade_required"),
        by_key("in no plan on sale", "/internal", "good", "403 feature_not_available"),
        by_key("in no plan, with a price", "/priced/x", "good", "402 payment_required"),
        by_key("nothing bought, with a price", "/priced/x", "nothing", "402 subscription_required"),
        by_key("unpaid, with a price", "/priced/x", "unpaid", "402 payment_overdue"),
        by_key("too little money", "/priced/x", "poor", "402 insufficient_credits"),
        by_key("money held by a call", "/priced/x", "in-flight", "429 balance_in_flight"),
    ]
}

fn limits() -> Vec<Case> {
    vec![
        by_key("one left, three needed", "/three", "spent", "402 quota_exceeded"),
        by_key("two quotas used up", "/one/x", "spent-twice", "402 quota_exceeded"),
        by_key("lifetime used up", "/one/x", "spent-for-life", "402 quota_exceeded"),
        by_key("spend cap reached", "/one/x", "capped", "402 spend_cap_reached"),
        by_key(
            "costs more than allowance and cap",
            "/three",
            "capped",
            "402 cost_exceeds_allowance",
        ),
        by_key("costs more than the allowance", "/three", "small", "402 cost_exceeds_allowance"),
        by_key("allowance of nothing", "/one/x", "zero", "402 cost_exceeds_allowance"),
        by_key("too fast", "/one/x", "fast", "429 rate_limited"),
        by_key("too many at once", "/one/x", "busy", "429 too_many_concurrent"),
    ]
}
