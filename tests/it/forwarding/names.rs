//! Names that are not for a client to use, in every spelling and on every kind of route.

use super::{NOW, start, tables};
use crate::support::{Gateway, KEY, Upstream, client::bearer};

/// Servers that make variables of names (RFC 3875) take an underscore for a dash.
#[test]
fn names_that_only_look_alike_are_dropped() {
    let upstream = Upstream::ok();
    let tables = format!(
        "[auth]\nlocations = [\"bearer\", \"x-api-key\", \"header:X-Pass\"]\n{}",
        tables("")
    );
    let set = "url = \"http://@UPSTREAM@\"\nset_headers = { x-gate-secret = \"ours\" }";
    let tables = tables.replace("url = \"http://@UPSTREAM@\"", set);
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let alike = [
        "X_Forwarded_For: spoof",
        "X-Forwarded_Host: spoof",
        "x_FORWARDED-proto: spoof",
        "X_Real_IP: spoof",
        "X_Request_Id: spoof",
        "Faregate_Customer: spoof",
        "FAREGATE-KEY_ID: spoof",
        "faregate_anything: spoof",
        "X_Api_Key: spoof",
        "X_Pass: spoof",
        "X_Gate_Secret: spoof",
        "X-Gate_Secret: spoof",
        "Content_Length: 9",
        "Transfer_Encoding: spoof",
        "Proxy_Connection: spoof",
        "X_HTTP_Method_Override: spoof",
    ];
    for path in ["/x", "/free", "/shadow"] {
        let mut fields = alike.to_vec();
        let key = bearer(KEY);
        fields.extend(["My_Field: kept", "X_Gate: kept", &key]);
        assert_eq!(gateway.request("GET", path, &fields).status(), 200, "{path}");
        let seen = upstream.last();
        let text = format!("{seen:?}");
        assert!(!text.contains("spoof") && !text.contains("content_length"), "{text}");
        assert_eq!((seen.field("my_field"), seen.field("x_gate")), (Some("kept"), Some("kept")));
        assert_eq!(seen.field("x-gate-secret"), Some("ours"));
    }
}

/// Nor does white space make another name: that is no field at all.
#[test]
fn space_behind_a_name_is_refused() {
    let (gateway, upstream) = start("");
    for name in
        ["X-Forwarded-For ", "Faregate-Customer\t", " Faregate-Customer", "Faregate-Customer "]
    {
        let field = format!("{name}: spoof");
        let refused = gateway.request("GET", "/x", &["X-First: 1", &field, &bearer(KEY)]);
        assert_eq!(refused.verdict(), "400 invalid_request", "{name:?}");
        assert_eq!(refused.field("cache-control"), Some("no-store"));
    }
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
}

/// Also where nobody is known, where a refusal is overlooked, and of a trusted proxy.
#[test]
fn identity_is_the_gateways_to_tell_on_every_kind_of_route() {
    let spoofs = [
        "Faregate-Customer: spoof",
        "Faregate-Key-Id: spoof",
        "Faregate-Plan: spoof",
        "Faregate-Balance: spoof",
    ];
    for server in ["", "trusted_proxies = [\"127.0.0.1\"]"] {
        let (gateway, upstream) = start(server);
        for (path, key, customer) in [
            ("/x", Some(KEY), Some("acme")),
            ("/free", None, None),
            ("/free", Some(KEY), None),
            ("/shadow", Some(KEY), Some("acme")),
            ("/shadow", None, None),
            ("/shadow", Some("nobody"), None),
        ] {
            let key = key.map(bearer);
            let fields: Vec<&str> = spoofs.into_iter().chain(key.as_deref()).collect();
            assert_eq!(gateway.request("GET", path, &fields).status(), 200, "{path} {key:?}");
            let seen = upstream.last();
            assert!(!format!("{seen:?}").contains("spoof"), "{path} {key:?} {seen:?}");
            assert_eq!(seen.field("faregate-customer"), customer, "{path} {key:?}");
        }
        let key = bearer(KEY);
        let count = upstream.count();
        for page in ["/_faregate/usage", "/_faregate/plans", "/_faregate/problems/rate_limited"] {
            let fields: Vec<&str> = spoofs.into_iter().chain([&*key]).collect();
            let page = gateway.request("GET", page, &fields);
            assert_eq!(page.status(), 200);
            assert!(!format!("{page:?}").contains("spoof"), "{page:?}");
        }
        assert_eq!(upstream.count(), count);
        assert_eq!(
            gateway.request("GET", "/_faregate/usage", &spoofs).verdict(),
            "401 missing_api_key"
        );
    }
}

/// A trusted proxy that passes its client's `Connection` on does not lose its own word by that.
#[test]
fn nothing_of_ours_is_lost_by_being_named_in_connection() {
    let (gateway, upstream) = start("trusted_proxies = [\"127.0.0.1\"]");
    let named = "Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Request-Id, \
                 Faregate-Customer, Faregate-Request-Id, Authorization, X-Mine";
    let fields = [
        named,
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: api.test",
        "X-Request-Id: edge-1",
        "X-Mine: gone",
        &bearer("bound"),
    ];
    assert_eq!(gateway.request("GET", "/x", &fields).status(), 200);
    let seen = upstream.last();
    for (name, value) in [
        ("x-forwarded-for", Some("203.0.113.9, 127.0.0.1")),
        ("x-forwarded-host", Some("api.test")),
        ("x-forwarded-proto", Some("https")),
        ("x-request-id", Some("edge-1")),
        ("faregate-customer", Some("bound")),
        ("x-mine", None),
        ("authorization", None),
    ] {
        assert_eq!(seen.field(name), value, "{name}");
    }
    assert!(seen.field("faregate-request-id").is_some());
}

/// Two different keys are refused in whatever order and places: never the first that works.
#[test]
fn good_key_beside_a_bad_one_is_refused() {
    let (gateway, upstream) = start("");
    let (good, bad) = (bearer(KEY), bearer("nobody"));
    let (good_field, bad_field) = (format!("X-API-Key: {KEY}"), "X-API-Key: nobody".to_owned());
    let (other, basic) =
        ("X-API-Key: bound".to_owned(), "Authorization: Basic bm9ib2R5Og==".to_owned());
    for pair in [
        [&good, &bad],
        [&bad, &good],
        [&good, &bad_field],
        [&bad, &good_field],
        [&bad_field, &good_field],
        [&good_field, &bad_field],
        [&good, &other],
        [&good, &basic],
        [&basic, &good],
    ] {
        let refused = gateway.request("GET", "/x", &pair.map(String::as_str));
        assert_eq!(refused.verdict(), "401 ambiguous_credentials", "{pair:?}");
        assert_eq!(refused.field("cache-control"), Some("no-store"));
        let challenge = refused.field("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("error=\"invalid_request\""), "{challenge}");
    }
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
}
