//! Hosts, paths and methods through the whole gateway: what is checked is what is forwarded.

use crate::support::{
    Gateway, KEY, Upstream,
    client::{bearer, head},
};

const TABLES: &str = r#"
[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "paid"
path = "/paid/{*rest}"
upstream = "api"

[[routes]]
name = "get"
path = "/get"
methods = ["GET"]
upstream = "api"

[[routes]]
name = "free"
path = "/free/{*rest}"
upstream = "api"
access = "public"

[[routes]]
name = "own-host"
host = "own.test"
path = "/host"
upstream = "api"
access = "public"

[plans.starter]
quotas = [{ limit = 1000, window = "month" }]

[customers.acme]
plan = "starter"
keys = ["key:key-of-acme"]
"#;

fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(TABLES, &upstream);
    (gateway, upstream)
}

/// Sends a raw head and gives status and code.
fn verdict(gateway: &Gateway, request: &str) -> String {
    let mut client = gateway.client();
    client.send(format!("{request}\r\n\r\n"));
    client.response().verdict()
}

#[test]
fn hosts_have_one_form() {
    let (gateway, upstream) = gateway();
    for (request, expected) in [
        ("GET /host HTTP/1.1\r\nHost: own.test", "200"),
        ("GET /host HTTP/1.1\r\nHost: OWN.Test", "200"),
        ("GET /host HTTP/1.1\r\nHost: own.test:8402", "200"),
        ("GET /host HTTP/1.1\r\nHost: own.test.", "200"),
        ("GET /host HTTP/1.1\r\nHost: other.test", "404 route_not_found"),
        ("GET /host HTTP/1.1\r\nHost: xown.test", "404 route_not_found"),
        ("GET /host HTTP/1.1\r\nHost: own.test.x", "404 route_not_found"),
        ("GET /host HTTP/1.1\r\nHost:", "404 route_not_found"),
        ("GET /host HTTP/1.1\r\nHost: 127.0.0.1", "404 route_not_found"),
        ("GET /host HTTP/1.0", "404 route_not_found"),
        ("GET /host HTTP/1.0\r\nHost: own.test", "200"),
        // The absolute form's authority wins, in either direction.
        ("GET http://own.test/host HTTP/1.1\r\nHost: other.test", "200"),
        ("GET http://other.test/host HTTP/1.1\r\nHost: own.test", "404 route_not_found"),
        ("GET http://OWN.test:80/host HTTP/1.1\r\nHost: x", "200"),
        ("GET /host HTTP/1.1", "400 invalid_request"),
        ("GET http://own.test/host HTTP/1.1", "400 invalid_request"),
        ("GET /host HTTP/1.1\r\nHost: own.test\r\nHost: own.test", "400 invalid_request"),
        ("GET /host HTTP/1.1\r\nHost: own.test\r\nhost: other.test", "400 invalid_request"),
        ("GET /host HTTP/1.1\r\nHost: own.test/x", "400 invalid_request"),
        ("GET /host HTTP/1.1\r\nHost: own.test:99999", "400 invalid_request"),
        ("GET /host HTTP/1.1\r\nHost: user@own.test", "400 invalid_request"),
        ("GET /host HTTP/1.1\r\nHost: own.test, other.test", "400 invalid_request"),
    ] {
        let before = upstream.count();
        assert_eq!(verdict(&gateway, request), expected, "{request:?}");
        let reached = usize::from(expected == "200");
        assert_eq!(upstream.count() - before, reached, "{request:?}");
    }
}

/// Asked without a key, each way of writing a paid path is refused and never reaches the upstream.
#[test]
fn no_form_of_a_paid_path_is_free() {
    let (gateway, upstream) = gateway();
    for path in [
        "/paid/x",
        "//paid/x",
        "/paid//x",
        "/./paid/x",
        "/free/../paid/x",
        "/free/x/../../paid/x",
        "/free/%2e%2e/paid/x",
        "/free/%2E%2e/paid/x",
        "/free/.%2e/paid/x",
        "/free/%252e%252e/paid/x",
        "/free/..%2fpaid/x",
        "/free/..%2Fpaid/x",
        "/free/..%5cpaid/x",
        "/free/..\\paid/x",
        "/free/..;/paid/x",
        "/free/..;a=b/paid/x",
        "/free/x%00/../../paid/x",
        "/%70aid/x",
        "/%70%61%69%64/x",
        "/p%61id/x",
        "/PAID/x",
        "/free/%c0%ae%c0%ae/paid/x",
        "/../paid/x",
        "/free/../../paid/x",
        "/paid/x?free",
        "/paid/x#/free/",
    ] {
        let mut client = gateway.client();
        client.send(head("GET", path, &[]));
        let response = client.response();
        // What stays under the free prefix is free, and is no paid path to anybody.
        if response.status() == 200 {
            let target = upstream.last().target().to_owned();
            assert!(["/free/%252e%252e/paid/x", "/free/%C0%AE%C0%AE/paid/x"].contains(&&*target));
            continue;
        }
        assert!([400, 401, 404].contains(&response.status()), "{path}: {}", response.status());
    }
    assert_eq!(upstream.count(), 2);
}

#[test]
fn upstream_gets_the_form_that_was_checked() {
    let (gateway, upstream) = gateway();
    for (sent, received) in [
        ("/paid/x", "/paid/x"),
        ("//paid///x//", "/paid/x/"),
        ("/free/../paid/./x", "/paid/x"),
        ("/%70aid/%7ex%2d", "/paid/~x-"),
        ("/paid/a%20b%c3%a9", "/paid/a%20b%C3%A9"),
        ("/paid/a%3fb?c=%2f", "/paid/a%3Fb?c=%2f"),
        ("/paid/a?\u{e9}=\u{1f600}&b=%c3", "/paid/a?%C3%A9=%F0%9F%98%80&b=%c3"),
        ("/paid//?k\u{e9}y", "/paid/?k%C3%A9y"),
        ("/paid/", "/paid/"),
        ("/paid/..%3b", "400 invalid_path"),
        ("http://gateway.test/paid/x?y", "/paid/x?y"),
    ] {
        let response = gateway.get(sent, KEY);
        if received.starts_with('/') {
            assert_eq!(response.status(), 200, "{sent}");
            assert_eq!(upstream.last().target(), received, "{sent}");
        } else {
            assert_eq!(response.verdict(), received, "{sent}");
        }
    }
}

#[test]
fn methods_are_those_of_the_route() {
    let (gateway, upstream) = gateway();
    for (method, verdict) in [
        ("GET", "200"),
        ("POST", "405 method_not_allowed"),
        ("PROPFIND", "405 method_not_allowed"),
        ("OPTIONS", "405 method_not_allowed"),
        ("TRACE", "405 method_not_allowed"),
        ("get", "405 method_not_allowed"),
        ("GETX", "405 method_not_allowed"),
    ] {
        let fields = [&bearer(KEY), "X-HTTP-Method-Override: GET"];
        let response = gateway.request(method, "/get", &fields);
        assert_eq!(response.verdict(), verdict, "{method}");
        let allow = (response.status() == 405).then_some("GET, HEAD");
        assert_eq!(response.field("allow"), allow, "{method}");
    }
    assert_eq!(upstream.count(), 1);
    assert_eq!(upstream.last().field("x-http-method-override"), None);
    // Where any method is answered, this one is not: it would show the upstream's own fields.
    assert_eq!(
        gateway.request("TRACE", "/paid/x", &[&bearer(KEY)]).verdict(),
        "501 not_implemented"
    );
    gateway.wait_used("acme", 1);
}

/// A gateway is no tunnel and no open proxy.
#[test]
fn foreign_targets_are_refused() {
    let (gateway, upstream) = gateway();
    let other = Upstream::ok();
    let address = other.address();
    for (request, expected) in [
        (format!("CONNECT {address} HTTP/1.1\r\nHost: {address}"), "501 not_implemented"),
        (
            format!("CONNECT {address} HTTP/1.1\r\nHost: x\r\n{}", bearer(KEY)),
            "501 not_implemented",
        ),
        (format!("GET http://{address}/none HTTP/1.1\r\nHost: x"), "404 route_not_found"),
        ("GET * HTTP/1.1\r\nHost: own.test".to_owned(), "400 invalid_request"),
    ] {
        assert_eq!(verdict(&gateway, &request), expected, "{request}");
    }
    assert_eq!((upstream.count(), other.connections()), (0, 0));
}

/// What comes behind a CONNECT is for a tunnel: a page could let a client send a request of its choice there.
#[test]
fn what_follows_a_connect_is_no_request() {
    let (gateway, upstream) = gateway();
    let mut client = gateway.client();
    let hidden = head("GET", "/paid/x", &[&bearer(KEY)]);
    client.send(format!("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n{hidden}"));
    let response = client.response();
    assert_eq!(response.verdict(), "501 not_implemented");
    assert_eq!(response.field("connection"), Some("close"));
    client.finish();
    client.expect_closed();
    assert_eq!(upstream.count(), 0);
    gateway.wait_used("acme", 0);
}
