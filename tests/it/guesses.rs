//! Invalid keys are limited by address where the operator wants it.

use serde_json::json;

use crate::{
    access_log::lines,
    support::{
        Client, Gateway, KEY, Response, SMALL, Upstream,
        client::{bearer, head},
    },
};

const NOW: &str = "2026-11-20T12:00:00Z";

/// One attempt comes back every 15 seconds.
const GUESSES: &str = "[auth]\nguesses = { limit = 4, window = \"1m\" }\n";

const PUBLIC: &str =
    "[[routes]]\nname = \"free\"\npath = \"/free\"\nupstream = \"api\"\naccess = \"public\"\n";

const LOG: &str = "[log]\naccess = \"./access.log\"\nlevel = \"error\"\n";

fn start(upstream: &Upstream, tables: &str) -> Gateway {
    Gateway::start_at(NOW, &format!("{LOG}{GUESSES}{SMALL}{PUBLIC}{tables}"), upstream)
}

fn guess(gateway: &Gateway, count: usize) {
    for _ in 0..count {
        assert_eq!(gateway.get("/x", "nobody").verdict(), "401 invalid_api_key");
    }
}

fn assert_limited(response: &Response, seconds: &str) {
    assert_eq!(response.verdict(), "429 rate_limited");
    assert_eq!(response.field("retry-after"), Some(seconds));
    assert_eq!(response.field("content-type"), Some("application/problem+json"));
    assert_eq!(response.field("cache-control"), Some("no-store"));
    for field in ["ratelimit", "ratelimit-policy", "www-authenticate", "link", "faregate-cost"] {
        assert_eq!(response.field(field), None, "{field}");
    }
    let mut body = response.json();
    let detail = "Too many attempts with invalid API keys from this address.";
    let id = response.field("x-request-id").unwrap();
    let members = body.as_object_mut().unwrap();
    let r#type = members.remove("type").unwrap();
    assert!(r#type.as_str().unwrap().ends_with("/_faregate/problems/rate_limited"), "{type}");
    let expected = json!({
        "title": "Too many requests",
        "status": 429,
        "detail": detail,
        "instance": format!("urn:uuid:{id}"),
        "code": "rate_limited",
        "request_id": id,
        "error": {
            "type": "rate_limit_error", "code": "rate_limited", "message": detail, "param": null,
        },
    });
    assert_eq!(body, expected);
}

#[test]
fn address_with_too_many_invalid_keys_is_refused_whatever_it_sends() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream, "");
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    guess(&gateway, 4);
    assert_limited(&gateway.get("/x", "nobody"), "15");
    assert_limited(&gateway.get("/x", KEY), "15");
    assert_limited(&gateway.request("GET", "/x", &[]), "15");
    assert_limited(&gateway.get("/_faregate/usage", KEY), "15");
    assert_eq!(upstream.count(), 1);
    assert_eq!(gateway.used("acme"), (1, 0));

    for path in ["/free", "/_faregate/plans", "/_faregate/problems/rate_limited"] {
        assert_eq!(gateway.get(path, "nobody").status(), 200, "{path}");
    }
    let last = lines(&gateway, 10).into_iter().find(|line| line["code"] == "rate_limited").unwrap();
    let said = json!([last["status"], last["ending"], last["charged"], last["customer"]]);
    assert_eq!(said, json!([429, "refused", 0, null]));

    gateway.set_time("2026-11-20T12:00:05.5Z");
    assert_limited(&gateway.get("/x", KEY), "10");
    gateway.set_time("2026-11-20T12:00:15Z");
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    guess(&gateway, 1);
    assert_limited(&gateway.get("/x", KEY), "15");
    gateway.set_time("2026-11-20T12:02:00Z");
    guess(&gateway, 4);
    assert_limited(&gateway.get("/x", KEY), "15");
    gateway.wait_recorded("acme", &[("completed", 2, 2)]);
}

#[test]
fn usage_page_counts_guesses_too() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream, "");
    for _ in 0..4 {
        let response = gateway.get("/_faregate/usage", "nobody");
        assert_eq!(response.verdict(), "401 invalid_api_key");
    }
    assert_limited(&gateway.get("/_faregate/usage", KEY), "15");
    assert_limited(&gateway.get("/x", KEY), "15");
}

/// Only a key that nobody has is a guess.
#[test]
fn other_refusals_are_no_guesses() {
    let upstream = Upstream::ok();
    let more = "[customers.old]\nplan = \"starter\"\n\
                keys = [{ id = \"old\", digest = \"key:old\", status = \"revoked\" }]\n";
    let gateway = start(&upstream, more);
    for _ in 0..10 {
        assert_eq!(gateway.request("GET", "/x", &[]).verdict(), "401 missing_api_key");
        assert_eq!(gateway.get("/x", "old").verdict(), "401 api_key_revoked");
        let two = gateway.request("GET", "/x", &[&bearer(KEY), "X-API-Key: other"]);
        assert_eq!(two.verdict(), "401 ambiguous_credentials");
        assert_eq!(gateway.get("/free", "nobody").status(), 200);
    }
    guess(&gateway, 4);
    assert_limited(&gateway.get("/x", "old"), "15");
}

#[test]
fn without_the_option_nobody_is_limited_and_a_reload_changes_it() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, SMALL, &upstream);
    guess(&gateway, 50);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    let tables = SMALL.replace("@UPSTREAM@", &upstream.address().to_string());
    let reload = |tables: &str| {
        gateway.write(tables);
        gateway.running().reload().unwrap();
    };
    reload(&format!("{GUESSES}{tables}"));
    guess(&gateway, 4);
    assert_limited(&gateway.get("/x", KEY), "15");
    // What failed is kept over a reload; a larger limit gives room.
    reload(&format!("{GUESSES}{tables}"));
    assert_limited(&gateway.get("/x", KEY), "15");
    reload(&format!("{}{tables}", GUESSES.replace("\"1m\"", "\"2m\"")));
    guess(&gateway, 2);
    assert_limited(&gateway.get("/x", KEY), "30");
    reload(&tables);
    guess(&gateway, 50);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
}

/// Ten thousand tries, over all workers: as many are looked up as the limit says.
#[test]
fn brute_force_gets_no_more_than_the_limit() {
    const TRIES: usize = 10_000;
    const CONNECTIONS: usize = 8;
    let upstream = Upstream::ok();
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 4\n";
    let auth = "[auth]\nguesses = { limit = 100, window = \"1m\" }\n";
    let gateway = Gateway::start_at(NOW, &format!("{server}{auth}{SMALL}"), &upstream);
    let address = gateway.running().address();
    let attack = |connection: usize| {
        let mut client = Client::connect(address);
        let mut looked_up = 0;
        for n in 0..TRIES / CONNECTIONS {
            let key = bearer(&format!("guess-{connection}-{n}"));
            client.send(head("GET", "/x", &[&key]));
            match client.response().status() {
                401 => looked_up += 1,
                status => assert_eq!(status, 429),
            }
        }
        looked_up
    };
    let looked_up: usize = std::thread::scope(|scope| {
        let attack = &attack;
        let threads: Vec<_> =
            (0..CONNECTIONS).map(|connection| scope.spawn(move || attack(connection))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(looked_up, 100);
    assert_eq!(upstream.count(), 0);
    assert_eq!(gateway.used("acme"), (0, 0));
}

/// Where refusals are overlooked, this one is: the key is not looked at, so nobody calls. A plan has
/// no say in it.
#[test]
fn route_that_does_not_enforce_forwards_as_nobody() {
    let upstream = Upstream::ok();
    let open = "[[routes]]\nname = \"open\"\npath = \"/open\"\nupstream = \"api\"\n\
                enforce = false\n[plans.easy]\nenforce = false\n\
                [customers.easy]\nplan = \"easy\"\nkeys = [\"key:easy\"]\n";
    let gateway = start(&upstream, open);
    for _ in 0..4 {
        let response = gateway.get("/open", "nobody");
        assert_eq!(response.field("faregate-shadow"), Some("invalid_api_key"));
    }
    let response = gateway.get("/open", KEY);
    assert_eq!((response.status(), response.field("faregate-cost")), (200, Some("0")));
    assert_eq!(response.field("faregate-shadow"), Some("rate_limited"));
    assert_eq!(upstream.last().field("faregate-customer"), None);
    assert_eq!(gateway.used("acme"), (0, 0));
    assert_limited(&gateway.get("/x", "easy"), "15");
}
