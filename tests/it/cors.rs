//! Pages of other origins: what a browser asks, and what it is told with every answer.

use serde_json::json;

use crate::{
    access_log::lines,
    support::{
        Client, Exchange, Gateway, KEY, Response, Then, Upstream,
        client::{bearer, head},
        wait_for,
    },
};

const PAGE: &str = "https://app.example.com";

const ORIGIN: &str = "Origin: https://app.example.com";

const FOREIGN: &str = "Origin: https://evil.example.com";

const CORS: &str = "[cors]\norigins = [\"https://app.example.com\", \"http://localhost:3000\"]\n";

const EXPOSED: &str = "ratelimit, ratelimit-policy, retry-after, link, www-authenticate, allow, \
                       x-request-id, faregate-cost, faregate-price, faregate-shadow, \
                       faregate-subscription-ends, faregate-grace-ends, grpc-status, grpc-message, \
                       faregate-code, payment-required, payment-response, payment-receipt, \
                       x-payment-response";

/// A gateway with routes of all kinds, with this table about pages.
fn tables(cors: &str) -> String {
    format!(
        "{cors}
[log]
access = \"./access.log\"
level = \"error\"

[server]
listen = \"127.0.0.1:0\"
workers = 1
drain_timeout = \"5s\"

[server.limits]
body_bytes = \"1KiB\"
header_bytes = \"8KiB\"

[upstreams.api]
url = \"http://@UPSTREAM@\"

[upstreams.away]
url = \"http://{nowhere}\"

[[routes]]
name = \"paid\"
path = \"/paid\"
methods = [\"GET\", \"POST\"]
upstream = \"api\"

[[routes]]
name = \"paid-too\"
path = \"/paid\"
methods = [\"DELETE\"]
upstream = \"api\"

[[routes]]
name = \"free\"
path = \"/free/{{*rest}}\"
upstream = \"api\"
access = \"public\"

[[routes]]
name = \"shadow\"
path = \"/shadow\"
upstream = \"api\"
enforce = false

[[routes]]
name = \"away\"
path = \"/away\"
upstream = \"away\"

[plans.starter]
quotas = [{{ name = \"day\", limit = 3, window = \"day\" }}]
upgrade_url = \"https://example.com/buy\"

[customers.acme]
plan = \"starter\"
keys = [{{ id = \"acme-1\", digest = \"key:key-of-acme\" }}]

[customers.late]
keys = [\"key:key-of-late\"]

[customers.hasty]
plan = \"starter\"
rate = {{ limit = 1, window = \"1h\" }}
keys = [\"key:key-of-hasty\"]
",
        nowhere = Upstream::nowhere()
    )
}

fn gateway(cors: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&tables(cors), &upstream);
    (gateway, upstream)
}

fn preflight(gateway: &Gateway, path: &str, origin: &str, method: &str) -> Response {
    let asked = format!("Access-Control-Request-Method: {method}");
    let fields = "Access-Control-Request-Headers: authorization";
    gateway.request("OPTIONS", path, &[origin, &asked, fields])
}

/// Gives the names and values of what is about pages, without the fields that may be read.
fn about_pages(response: &Response) -> Vec<(&str, &str)> {
    let fields = response.head.fields.iter();
    let fields = fields.map(|(name, value)| (name.as_str(), value.as_str()));
    let is_about = |name: &str| name == "vary" || name.starts_with("access-control-");
    fields.filter(|(name, _)| is_about(name) && *name != "access-control-expose-headers").collect()
}

/// Asserts that a page of the allowed origin may read the answer.
fn assert_readable(case: &str, response: &Response) {
    let expected = [("vary", "Origin"), ("access-control-allow-origin", PAGE)];
    assert_eq!(about_pages(response), expected, "{case}");
    assert_eq!(response.field("access-control-expose-headers"), Some(EXPOSED), "{case}");
}

/// Asserts that no page is told that it may.
fn assert_unreadable(case: &str, response: &Response) {
    assert_eq!(about_pages(response), [("vary", "Origin")], "{case}");
    assert_eq!(response.field("access-control-expose-headers"), None, "{case}");
}

#[test]
fn preflights_are_answered_by_the_gateway() {
    let (gateway, upstream) = gateway(CORS);
    for (path, asked, methods) in [
        ("/paid", "DELETE", "GET, POST, HEAD, DELETE"),
        // The browser sees that it is not there.
        ("/paid", "PUT", "GET, POST, HEAD, DELETE"),
        ("/free/x", "PUT", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("/free/x", "QUERY", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY"),
        ("/free/x", "TRACE", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("/free/x", "a b", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("/shadow", "GET", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("/_faregate/usage", "GET", "GET, HEAD"),
        ("/_faregate/problems/quota_exceeded", "GET", "GET, HEAD"),
    ] {
        let response = preflight(&gateway, path, ORIGIN, asked);
        assert_eq!((response.status(), response.text()), (204, ""), "{path} {asked}");
        let fields: Vec<_> = about_pages(&response);
        let expected = [
            ("access-control-allow-methods", methods),
            ("access-control-allow-headers", "authorization, content-type, x-api-key"),
            ("access-control-max-age", "600"),
            ("vary", "Origin"),
            ("access-control-allow-origin", PAGE),
        ];
        assert_eq!(fields, expected, "{path} {asked}");
        assert_eq!(response.field("content-length"), None);
        assert!(response.field("x-request-id").is_some());
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(gateway.used("acme"), (0, 0));
}

#[test]
fn preflights_that_are_refused_say_why() {
    let (gateway, upstream) = gateway(CORS);
    for path in ["/paid", "/free/x", "/shadow", "/_faregate/usage"] {
        for origin in [FOREIGN, "Origin: null", "Origin: https://app.example.com.evil.test"] {
            let response = preflight(&gateway, path, origin, "GET");
            assert_eq!(response.verdict(), "403 origin_not_allowed", "{path} {origin}");
            assert_unreadable(path, &response);
            assert_eq!(response.field("cache-control"), Some("no-store"));
            let body = response.json();
            assert_eq!(body["detail"], "Pages of this origin may not call the API.");
            assert_eq!(body["error"]["type"], "permission_error");
            assert!(!response.text().contains("evil"), "{}", response.text());
        }
    }
    for path in ["/none", "/_faregate/none"] {
        let response = preflight(&gateway, path, ORIGIN, "GET");
        assert_eq!(response.verdict(), "404 route_not_found");
        assert_readable(path, &response);
        // What is not there is not there for anybody.
        let response = preflight(&gateway, path, FOREIGN, "GET");
        assert_eq!(response.verdict(), "404 route_not_found");
        assert_unreadable(path, &response);
    }
    let wide = format!("X-Wide: {}", "x".repeat(9_000));
    let asked = "Access-Control-Request-Method: GET";
    let response = gateway.request("OPTIONS", "/paid", &[ORIGIN, asked, &wide]);
    assert_eq!(response.verdict(), "431 headers_too_large");
    assert_readable("wide", &response);
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
}

/// A body that comes with one does not reach anybody, and the next request is found behind it.
#[test]
fn bodies_of_preflights_are_dropped() {
    let (gateway, upstream) = gateway(CORS);
    let mut client = gateway.client();
    let asked = "Access-Control-Request-Method: POST";
    client.send(head("OPTIONS", "/free/x", &[ORIGIN, asked, "Content-Length: 5"]) + "hello");
    assert_eq!(client.response().status(), 204);
    let chunked = head("OPTIONS", "/free/x", &[ORIGIN, asked, "Transfer-Encoding: chunked"]);
    client.send(chunked + "5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.response().status(), 204);
    assert_eq!(upstream.count(), 0);
    assert_eq!(client.request("GET", "/free/x", &[]).status(), 200);
    assert_eq!(upstream.count(), 1);
}

/// Only a true preflight is free: all else by OPTIONS passes the whole chain.
#[test]
fn other_options_are_requests_like_any() {
    let (gateway, upstream) = gateway(CORS);
    let asked = "Access-Control-Request-Method: GET";
    for fields in [&[ORIGIN][..], &[asked], &[]] {
        let response = gateway.request("OPTIONS", "/shadow", fields);
        assert_eq!(response.field("faregate-shadow"), Some("missing_api_key"), "{fields:?}");
        let response = gateway.request("OPTIONS", "/paid", fields);
        assert_eq!(response.verdict(), "405 method_not_allowed", "{fields:?}");
        assert_eq!(gateway.request("OPTIONS", "/away", fields).status(), 401, "{fields:?}");
    }
    let response = gateway.request("GET", "/paid", &[ORIGIN, asked]);
    assert_eq!(response.verdict(), "401 missing_api_key");
    assert_eq!(upstream.count(), 3);
}

/// Without the table nothing of it is known: preflights need a key like any request, and what upstreams
/// say passes.
#[test]
fn without_a_policy_all_is_left_to_the_upstream() {
    let upstream = Upstream::answering(
        "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\n\r\n",
        Then::KeepAlive,
    );
    let gateway = Gateway::start(&tables(""), &upstream);
    let response = preflight(&gateway, "/free/x", ORIGIN, "GET");
    assert_eq!(response.status(), 204);
    assert_eq!(about_pages(&response), [("access-control-allow-origin", "*")]);
    assert!(upstream.last().line.starts_with("OPTIONS /free/x "));
    assert_eq!(upstream.last().field("origin"), Some(PAGE));
    assert_eq!(preflight(&gateway, "/away", ORIGIN, "GET").verdict(), "401 missing_api_key");
    let refused = preflight(&gateway, "/paid", ORIGIN, "GET");
    assert_eq!(refused.verdict(), "405 method_not_allowed");
    assert_eq!(about_pages(&refused), []);
}

/// Sends requests that are answered in all ways, and gives their names, verdicts and answers.
fn answers(gateway: &Gateway, origin: &str) -> Vec<(String, Response)> {
    let wide = format!("X-Wide: {}", "x".repeat(9_000));
    let long = format!("/free/{}", "x".repeat(9_000));
    let (acme, late, hasty) = (bearer(KEY), bearer("key-of-late"), bearer("key-of-hasty"));
    let mut answers = Vec::new();
    for (method, path, field, verdict) in [
        ("GET", "/paid", &*acme, "200"),
        ("HEAD", "/_faregate/usage", &acme, "200"),
        ("GET", "/_faregate/usage", &acme, "200"),
        ("GET", "/_faregate/usage", "A: b", "401 missing_api_key"),
        ("GET", "/_faregate/plans", "A: b", "200"),
        ("POST", "/_faregate/plans", "A: b", "405 method_not_allowed"),
        ("GET", "/free/x", "A: b", "200"),
        ("GET", "/shadow", "A: b", "200"),
        ("GET", "/none", "A: b", "404 route_not_found"),
        ("PUT", "/paid", &acme, "405 method_not_allowed"),
        ("GET", "/paid", "A: b", "401 missing_api_key"),
        ("GET", "/paid", "X-API-Key: none", "401 invalid_api_key"),
        ("GET", "/paid", &late, "402 subscription_required"),
        ("GET", "/paid", &hasty, "200"),
        ("GET", "/paid", &hasty, "429 rate_limited"),
        ("GET", "/away", &acme, "502 upstream_error"),
        ("GET", "/a%2fb", "A: b", "400 invalid_path"),
        ("GET", "/free/x", "Expect: more", "417 expectation_failed"),
        ("POST", "/free/x", "Content-Length: 2000", "413 body_too_large"),
        ("GET", "/free/x", &wide, "431 headers_too_large"),
        ("GET", &long, "A: b", "414 uri_too_long"),
        ("TRACE", "/free/x", "A: b", "501 not_implemented"),
    ] {
        let response = gateway.request(method, path, &[origin, field]);
        let name = format!("{method} {} {verdict}", path.get(..10).unwrap_or(path));
        match method {
            "HEAD" => assert_eq!(response.status(), 200),
            _ => assert_eq!(response.verdict(), verdict, "{name}"),
        }
        answers.push((name, response));
    }
    answers
}

#[test]
fn every_answer_can_be_read_by_the_pages_allowed() {
    let (gateway, upstream) = gateway(CORS);
    let answers = answers(&gateway, ORIGIN);
    for (name, response) in &answers {
        assert_readable(name, response);
    }
    assert_eq!(upstream.last().field("origin"), Some(PAGE), "it is the upstream's to see");
}

/// A page of another origin is kept from reading, not from asking: it is the browser that keeps it.
#[test]
fn foreign_pages_are_served_and_cannot_read() {
    for origin in [FOREIGN, "Origin: null", "X-Nothing: here"] {
        let (gateway, _upstream) = gateway(CORS);
        for (name, response) in answers(&gateway, origin) {
            assert_unreadable(&name, &response);
        }
    }
}

/// The fields that tell of it are among those that may be read.
#[test]
fn a_page_can_read_that_its_quota_is_used_up() {
    let (gateway, upstream) = gateway(CORS);
    let mut client = gateway.client();
    let mut last = None;
    for _ in 0..4 {
        last = Some(client.request("GET", "/paid", &[ORIGIN, &bearer(KEY)]));
    }
    let response = last.unwrap();
    assert_eq!(response.verdict(), "402 quota_exceeded");
    assert_readable("quota", &response);
    for name in ["ratelimit", "ratelimit-policy", "retry-after", "link", "x-request-id"] {
        assert!(response.field(name).is_some() && EXPOSED.contains(name), "{name}");
    }
    assert_eq!((upstream.count(), gateway.used("acme")), (3, (3, 0)));
    // The preflight passes all the same, or the page could not read this.
    assert_eq!(preflight(&gateway, "/paid", ORIGIN, "GET").status(), 204);
}

#[test]
fn what_upstreams_say_of_pages_is_dropped() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\naccess-control-allow-credentials: true\r\n\
         ACCESS-CONTROL-EXPOSE-HEADERS: x-a\r\nVary: Accept-Encoding\r\nX-A: access-control-x\r\n\
         Content-Length: 3\r\n\r\nok\n",
        Then::KeepAlive,
    );
    let cors = format!("{CORS}expose = [\"X-A\", \"link\"]\ncredentials = true\n");
    let gateway = Gateway::start(&tables(&cors), &upstream);
    let response = gateway.request("GET", "/free/x", &[ORIGIN]);
    let expected = [
        ("vary", "Accept-Encoding"),
        ("vary", "Origin"),
        ("access-control-allow-origin", PAGE),
        ("access-control-allow-credentials", "true"),
    ];
    assert_eq!(about_pages(&response), expected);
    let exposed = format!("{EXPOSED}, x-a");
    assert_eq!(response.field("access-control-expose-headers"), Some(&*exposed));
    assert_eq!((response.field("x-a"), response.text()), (Some("access-control-x"), "ok\n"));
    for origin in [FOREIGN, "A: b"] {
        let response = gateway.request("GET", "/free/x", &[origin]);
        let expected = [("vary", "Accept-Encoding"), ("vary", "Origin")];
        assert_eq!(about_pages(&response), expected, "{origin}");
    }
}

#[test]
fn head_is_answered_as_get_is() {
    let upstream = Upstream::ok_to_head();
    let gateway = Gateway::start(&tables(CORS), &upstream);
    assert_readable("head", &gateway.request("HEAD", "/paid", &[ORIGIN, &bearer(KEY)]));
    assert_readable("refused", &gateway.request("HEAD", "/paid", &[ORIGIN]));
}

#[test]
fn answers_after_a_fault_can_be_read() {
    let upstream = Upstream::answering(
        "HTTP/1.1 402 Payment Required\r\nContent-Length: 0\r\n\r\n",
        Then::KeepAlive,
    );
    let gateway = Gateway::start(&tables(CORS), &upstream);
    let response = gateway.request("GET", "/paid", &[ORIGIN, &bearer(KEY)]);
    assert_eq!(response.verdict(), "502 upstream_payment_required");
    assert_readable("fault", &response);
}

#[test]
fn any_origin_may_be_allowed() {
    let (gateway, _upstream) =
        gateway("[cors]\norigins = [\"*\"]\nheaders = []\nmax_age = \"0s\"\n");
    for origin in [FOREIGN, "Origin: null"] {
        let response = preflight(&gateway, "/paid", origin, "GET");
        assert_eq!(response.status(), 204);
        let expected = [
            ("access-control-allow-methods", "GET, POST, HEAD, DELETE"),
            ("access-control-max-age", "0"),
            ("vary", "Origin"),
            ("access-control-allow-origin", "*"),
        ];
        assert_eq!(about_pages(&response), expected);
        let response = gateway.request("GET", "/free/x", &[origin]);
        let expected = [("vary", "Origin"), ("access-control-allow-origin", "*")];
        assert_eq!(about_pages(&response), expected);
    }
    assert_unreadable("no origin", &gateway.request("GET", "/free/x", &[]));
}

#[test]
fn a_reload_changes_who_may() {
    let (gateway, upstream) = gateway(CORS);
    let mut client = gateway.client();
    assert_unreadable("before", &client.request("GET", "/free/x", &[FOREIGN]));
    let written = tables(&CORS.replace("app.", "evil."));
    gateway.write(&written.replace("@UPSTREAM@", &upstream.address().to_string()));
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    let response = client.request("GET", "/free/x", &[FOREIGN]);
    let origin = response.field("access-control-allow-origin");
    assert_eq!(origin, Some("https://evil.example.com"));
    let config = gateway.admin("GET", "/v1/config").json();
    let listed = json!(["https://evil.example.com", "http://localhost:3000"]);
    assert_eq!(config["cors"]["origins"], listed);
}

/// A preflight is told like a page of the gateway's own, its refusal like any.
#[test]
fn preflights_are_told_and_cost_nothing() {
    let (gateway, upstream) = gateway(CORS);
    let explained = |response: &Response| {
        let id = response.field("x-request-id").unwrap().to_owned();
        wait_for("the record of a request", || {
            let answer = gateway.admin("GET", &format!("/v1/requests/{id}"));
            (answer.status() == 200).then(|| answer.json())
        })
    };
    let allowed = preflight(&gateway, "/paid", ORIGIN, "GET");
    let told = explained(&allowed);
    let said =
        json!([told["decision"], told["status"], told["method"], told["route"], told["ending"]]);
    assert_eq!(said, json!(["own_page", 204, "OPTIONS", null, null]));
    assert_eq!((&told["checks"], &told["charged"]), (&json!([]), &json!(0)));
    assert!(told["detail"].as_str().unwrap().starts_with("A browser asked"), "{told}");

    let refused = preflight(&gateway, "/paid", FOREIGN, "GET");
    let told = explained(&refused);
    let said = json!([told["decision"], told["code"], told["ending"], told["charged"]]);
    assert_eq!(said, json!(["refused", "origin_not_allowed", "refused", 0]));
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.starts_with("Pages of this origin may not call the API."), "{detail}");
    let outcomes: Vec<_> = told["checks"].as_array().unwrap().iter().take(3).collect();
    let expected = json!([
        {"check": "route", "outcome": "passed"},
        {"check": "preflight", "outcome": "refused", "code": "origin_not_allowed"},
        {"check": "method", "outcome": "not_reached"},
    ]);
    assert_eq!(json!(outcomes), expected);

    let written = lines(&gateway, 2);
    let said = |line: &serde_json::Value| {
        json!([line["method"], line["path"], line["status"], line["ending"], line["charged"]])
    };
    assert_eq!(said(&written[0]), json!(["OPTIONS", "/paid", 204, null, 0]));
    assert_eq!(said(&written[1]), json!(["OPTIONS", "/paid", 403, "refused", 0]));
    let metrics = gateway.admin("GET", "/metrics");
    let counted =
        "faregate_requests_total{route=\"\",plan=\"\",status=\"204\",code=\"\",ending=\"\"} 1";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
    assert!(gateway.recorded("acme").is_empty());
}

/// The head of a streamed answer has it too, and a cut answer changes nothing of that.
#[test]
fn streams_can_be_read() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")?;
        exchange.send("0\r\n\r\n")?;
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start(&tables(CORS), &upstream);
    let mut client: Client = gateway.client();
    client.send(head("GET", "/free/x", &[ORIGIN]));
    let response = client.response();
    assert!(response.whole);
    assert_readable("stream", &response);
}

/// The answer to a request that the gateway failed at is made beside the chain.
#[test]
#[cfg(debug_assertions)]
fn answers_after_a_panic_can_be_read() {
    use faregate::failpoint::{Point, arm};

    let upstream = Upstream::ok();
    let named = tables(CORS).replace("name = \"free\"", "name = \"panics-for-a-page\"");
    let gateway = Gateway::start(&named, &upstream);
    arm(Point::BeforeHead, "panics-for-a-page");
    let response = gateway.request("GET", "/free/x", &[ORIGIN]);
    assert_eq!(response.verdict(), "500 internal_error");
    assert_readable("panic", &response);
}
