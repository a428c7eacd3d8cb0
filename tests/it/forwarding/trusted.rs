//! Fields of trusted proxies, and the same of anybody else.

use serde_json::json;

use super::{NOW, start, tables};
use crate::{
    access_log::lines,
    support::{Gateway, KEY, Response, Upstream, client::bearer, wait_until_equal},
};

const TRUSTED: &str = "trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]";

const SPOOFS: [&str; 12] = [
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Host: spoof.test",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: spoof",
    "X-Forwarded-Prefix: /spoof",
    "X-Forwarded-Server: spoof",
    "X-Forwarded-Client-Cert: spoof",
    "Forwarded: for=203.0.113.9;host=spoof.test;proto=https",
    "X-Real-IP: 203.0.113.9",
    "X-Request-Id: spoof",
    "X_Forwarded_For: 203.0.113.9",
    "X_Forwarded-Proto: spoof",
];

fn assert_elsewhere(response: &Response) {
    assert_eq!(response.verdict(), "403 origin_not_allowed");
    assert_eq!(response.field("content-type"), Some("application/problem+json"));
    assert_eq!(response.field("cache-control"), Some("no-store"));
    assert_eq!(response.field("faregate-cost"), None);
}

#[test]
fn who_is_not_trusted_is_not_believed() {
    let (gateway, upstream) = start("trusted_proxies = [\"192.0.2.0/24\"]");
    let mut spoofs = SPOOFS.to_vec();
    let key = bearer("bound");
    spoofs.push(&key);
    let refused = gateway.request("GET", "/x", &spoofs);
    assert_elsewhere(&refused);
    let body = refused.json();
    let link = "http://gateway.test/_faregate/problems/origin_not_allowed";
    assert_eq!(
        (&body["type"], refused.field("x-request-id")),
        (&json!(link), body["request_id"].as_str())
    );
    assert_eq!((upstream.count(), gateway.used("bound")), (0, (0, 0)));

    let key = bearer(KEY);
    *spoofs.last_mut().unwrap() = &key;
    let served = gateway.request("GET", "/x", &spoofs);
    assert_eq!(served.status(), 200);
    let seen = upstream.last();
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-host"), Some("gateway.test"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("faregate-request-id"), served.field("x-request-id"));
    let text = format!("{seen:?}");
    assert!(!text.contains("203.0.113.9") && !text.contains("spoof"), "{text}");
    for line in lines(&gateway, 2) {
        assert_eq!(line["client"], "127.0.0.1");
        assert!(line.get("x_request_id").is_none(), "{line}");
    }
}

#[test]
fn trusted_proxy_is_believed() {
    let (gateway, upstream) = start(TRUSTED);
    let mut fields = SPOOFS.to_vec();
    let key = bearer("bound");
    fields.extend(["X-Forwarded-For: 10.0.0.2", &key]);
    let served = gateway.request("GET", "/x", &fields);
    assert_eq!(served.status(), 200);
    assert_eq!(served.field("x-request-id"), Some("spoof"));
    let seen = upstream.last();
    assert_eq!(seen.field("x-forwarded-for"), Some("203.0.113.9, 10.0.0.2, 127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-host"), Some("spoof.test"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.field("x-request-id"), Some("spoof"));
    // The others are neither passed on nor made anew.
    for name in ["port", "prefix", "server", "client-cert"] {
        assert_eq!(seen.field(&format!("x-forwarded-{name}")), None);
    }
    for name in ["forwarded", "x-real-ip", "x_forwarded_for", "x_forwarded-proto"] {
        assert_eq!(seen.field(name), None);
    }
    let line = lines(&gateway, 1).remove(0);
    assert_eq!(line["client"], "203.0.113.9");
    assert_eq!(line["x_request_id"], "spoof");
    assert_eq!(line["request_id"].as_str(), seen.field("faregate-request-id"));
    gateway.wait_used("bound", 1);
}

/// What stands left of an address that is not trusted is that client's own word.
#[test]
fn client_behind_a_trusted_proxy_cannot_spoof() {
    let (gateway, upstream) = start(TRUSTED);
    for spoof in [
        "X-Forwarded-For: 203.0.113.9, 198.51.100.1",
        "X-Forwarded-For: 203.0.113.9, 198.51.100.1, 10.0.0.2",
        "X-Forwarded-For: 203.0.113.9, unknown",
        "Forwarded: for=203.0.113.9, for=198.51.100.1",
        "Forwarded: for=\"203.0.113.9, for=198.51.100.1",
        "X-Real-IP: 203.0.113.9",
    ] {
        let refused = gateway.request("GET", "/x", &[spoof, &bearer("bound")]);
        assert_elsewhere(&refused);
    }
    assert_eq!((upstream.count(), gateway.used("bound")), (0, (0, 0)));
    let clients: Vec<_> =
        lines(&gateway, 6).into_iter().map(|line| line["client"].clone()).collect();
    let (client, proxy) = ("198.51.100.1", "127.0.0.1");
    assert_eq!(json!(clients), json!([client, client, proxy, client, client, proxy]));
}

#[test]
fn links_are_those_of_the_outermost_proxy() {
    let (gateway, _upstream) = start(TRUSTED);
    let r#type = |fields: &[&str]| {
        let refused = gateway.request("GET", "/x", fields);
        assert_eq!(refused.verdict(), "401 missing_api_key");
        refused.json()["type"].as_str().unwrap().trim_end_matches("/missing_api_key").to_owned()
    };
    for (fields, expected) in [
        (&[][..], "http://gateway.test"),
        (&["X-Forwarded-Proto: https"], "https://gateway.test"),
        (&["X-Forwarded-Proto: https", "X-Forwarded-Host: api.test:8443"], "https://api.test:8443"),
        (&["X-Forwarded-Proto: javascript", "X-Forwarded-Host: a/b"], "http://gateway.test"),
        (&["Forwarded: for=203.0.113.9;proto=https;host=api.test"], "https://api.test"),
    ] {
        assert_eq!(r#type(fields), format!("{expected}/_faregate/problems"), "{fields:?}");
    }
    let page =
        gateway.request("GET", "/_faregate/problems/rate_limited", &["X-Forwarded-Proto: https"]);
    let link = page.json()["type"].as_str().unwrap().to_owned();
    assert!(link.starts_with("https://gateway.test/"), "{link}");
}

#[test]
fn request_id_of_a_trusted_proxy_is_kept_if_it_is_sane() {
    let (gateway, upstream) = start(TRUSTED);
    let key = bearer(KEY);
    for (path, status) in [("/x", 200), ("/_faregate/plans", 200), ("/_faregate/none", 404)] {
        let answer = gateway.request("GET", path, &[&key, "X-Request-Id: from-the-edge"]);
        assert_eq!(answer.status(), status);
        assert_eq!(answer.field("x-request-id"), Some("from-the-edge"), "{path}");
    }
    let refused = gateway.request("GET", "/x", &["X-Request-Id: from-the-edge"]);
    let id = refused.json()["request_id"].as_str().unwrap().to_owned();
    assert_eq!(gateway.admin("GET", &format!("/v1/requests/{id}")).status(), 200);
    let long = format!("X-Request-Id: {}", "x".repeat(129));
    for insane in ["X-Request-Id: a b", "X-Request-Id:", &long] {
        let served = gateway.request("GET", "/x", &[&key, insane]);
        let seen = upstream.last();
        assert_eq!(seen.field("x-request-id"), None);
        assert_eq!(served.field("x-request-id"), seen.field("faregate-request-id"), "{insane}");
    }
}

/// Behind one proxy each client is limited for itself.
#[test]
fn guesses_are_counted_by_client() {
    let upstream = Upstream::ok();
    let guesses = "[auth]\nguesses = { limit = 2, window = \"1m\" }\n";
    let gateway = Gateway::start_at(NOW, &format!("{guesses}{}", tables(TRUSTED)), &upstream);
    let from = |client: &str, key: &str| {
        let field = format!("X-Forwarded-For: {client}");
        gateway.request("GET", "/x", &[&field, &bearer(key)]).verdict()
    };
    for _ in 0..2 {
        assert_eq!(from("198.51.100.1", "nobody"), "401 invalid_api_key");
    }
    assert_eq!(from("198.51.100.1", KEY), "429 rate_limited");
    assert_eq!(from("203.0.113.9, 198.51.100.1", KEY), "429 rate_limited");
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
    assert_eq!(from("198.51.100.2", KEY), "200");
}

/// Whom to trust follows a reload, on connections that are open too.
#[test]
fn trust_is_reloaded() {
    let (gateway, upstream) = start("");
    let mut client = gateway.client();
    let mut chain = || {
        let fields = ["X-Forwarded-For: 203.0.113.9", &bearer(KEY)];
        assert_eq!(client.request("GET", "/x", &fields).status(), 200);
        upstream.last().field("x-forwarded-for").unwrap().to_owned()
    };
    assert_eq!(chain(), "127.0.0.1");
    for (server, expected) in [(TRUSTED, "203.0.113.9, 127.0.0.1"), ("", "127.0.0.1")] {
        gateway.write(&tables(server).replace("@UPSTREAM@", &upstream.address().to_string()));
        gateway.running().gateway().reload().unwrap();
        wait_until_equal(&mut chain, &expected.to_owned());
    }
}
