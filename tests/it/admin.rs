//! The admin listener: health, usage, reload.

use std::{
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::json;

use crate::support::{
    Client, Gateway, KEY, Response, SMALL, Upstream, client::bearer, wait_until_equal,
};

/// Calls the admin listener with these fields.
fn call(gateway: &Gateway, method: &str, path: &str, fields: &[&str]) -> Response {
    let fields = [&["Host: 127.0.0.1"], fields].concat();
    Client::connect(gateway.running().admin_address()).request(method, path, &fields)
}

#[test]
fn health_needs_no_token() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    for (path, status) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let response = call(&gateway, "GET", path, &[]);
        assert_eq!((response.status(), response.json()), (200, json!({"status": status})));
    }
}

#[test]
fn usage_and_reload_need_the_token() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let token = gateway.running().admin_token().expose().to_owned();
    let plain = "Bearer realm=\"faregate-admin\"";
    let wrong = "Bearer realm=\"faregate-admin\", error=\"invalid_token\"";
    let basic = format!("Authorization: Basic {token}");
    let cut = bearer(&token[..token.len() - 1]);
    for (method, path) in [("GET", "/v1/customers/acme/usage"), ("POST", "/v1/reload")] {
        for (fields, challenge) in [
            (vec![], plain),
            (vec![basic.as_str()], plain),
            (vec!["Authorization: Bearer wrong"], wrong),
            (vec!["Authorization: Bearer"], plain),
            (vec![cut.as_str()], wrong),
            (vec!["Authorization: Bearer key-of-acme"], wrong),
        ] {
            let response = call(&gateway, method, path, &fields);
            assert_eq!(response.status(), 401, "{method} {path} {fields:?}");
            assert_eq!(response.field("www-authenticate"), Some(challenge));
            assert_eq!(response.field("content-type"), Some("application/problem+json"));
            assert_eq!(response.field("cache-control"), Some("no-store"));
        }
        let lower = format!("authorization: bearer {token}");
        assert_eq!(call(&gateway, method, path, &[&lower]).status(), 200);
    }
    // The callers' side knows nothing of it.
    assert_eq!(gateway.get("/_faregate/usage", &token).verdict(), "401 invalid_api_key");
}

#[test]
fn token_is_made_once_for_its_owner_alone() {
    let upstream = Upstream::ok();
    let mut gateway = Gateway::start(SMALL, &upstream);
    let token = gateway.running().admin_token().expose().to_owned();
    assert_eq!(token.len(), 64);
    let path = gateway.directory().join("faregate.db.journal/admin-token");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), token);
    gateway.restart();
    assert_eq!(gateway.running().admin_token().expose(), token);
}

#[test]
fn configured_token_goes_before() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let file = gateway.directory().join("token");
    std::fs::write(&file, "0perators-own\n").unwrap();
    let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken = {{ file = {file:?} }}\n");
    let gateway = Gateway::start(&format!("{admin}{SMALL}"), &upstream);
    let path = "/v1/customers/acme/usage";
    assert_eq!(call(&gateway, "GET", path, &[&bearer("0perators-own")]).status(), 200);
    assert!(!gateway.directory().join("faregate.db.journal/admin-token").exists());
}

#[test]
fn calls_that_are_not_there_say_so() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    for (method, path, status, code) in [
        ("GET", "/v1/customers/nobody/usage", 404, "customer_not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/v1/reload", 405, "method_not_allowed"),
        ("DELETE", "/v1/customers/acme/usage", 405, "method_not_allowed"),
    ] {
        let response = gateway.admin(method, path);
        assert_eq!((response.status(), response.code().as_str()), (status, code), "{path}");
    }
    // Callers do not reach the admin calls, nor the admin listener the API.
    assert_eq!(gateway.get("/v1/reload", KEY).status(), 200, "that is the upstream's own");
    assert_eq!(upstream.last().target(), "/v1/reload");
    assert_eq!(gateway.admin("GET", "/x").status(), 404);
    assert_eq!(upstream.count(), 1);
}

fn small(upstream: &Upstream) -> String {
    SMALL.replace("@UPSTREAM@", &upstream.address().to_string())
}

#[test]
fn reload_swaps_what_is_in_force_and_keeps_the_counts() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/x", KEY).status(), 200);
    }
    let tables = small(&upstream)
        .replace("limit = 1000", "limit = 4")
        .replace("path = \"/{*path}\"", "path = \"/y\"");
    gateway.write(&format!("{tables}\n[customers.beta]\nplan = \"starter\"\nkeys = [\"key:b\"]"));
    let response = gateway.admin("POST", "/v1/reload");
    assert_eq!((response.status(), response.json()), (200, json!({"status": "reloaded"})));
    // In force at the next request, on a connection from before.
    assert_eq!(client.get("/x", KEY).verdict(), "404 route_not_found");
    let response = client.get("/y", KEY);
    assert!(response.field("ratelimit").unwrap().starts_with("\"month\";r=0;"));
    let response = client.get("/y", KEY);
    assert_eq!(response.verdict(), "402 quota_exceeded");
    assert_eq!(response.json()["used"], 4);
    assert_eq!(client.get("/y", "b").status(), 200);

    // A limit below what is used leaves nothing, and no less than nothing.
    gateway.write(&tables.replace("limit = 4", "limit = 2"));
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    let response = client.get("/y", KEY);
    assert!(response.field("ratelimit").unwrap().starts_with("\"month\";r=0;"));
    assert_eq!(gateway.usage("acme")["quotas"][0]["remaining"], 0);
    // A customer that is gone from the file is gone.
    assert_eq!(client.get("/y", "b").verdict(), "401 invalid_api_key");
    assert_eq!(gateway.admin("GET", "/v1/customers/beta/usage").status(), 404);

    // A key that is taken out is refused at the next request; the other goes on with what was used.
    gateway.write(&tables.replace("limit = 4", "limit = 5").replace("key:key-of-acme", "key:new"));
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    assert_eq!(client.get("/y", KEY).verdict(), "401 invalid_api_key");
    assert_eq!(client.get("/y", "new").status(), 200);
    assert_eq!(client.get("/y", "new").verdict(), "402 quota_exceeded");
    assert_eq!(upstream.count(), 6);
}

/// A change of the file is enough, be it written in place or put in its stead; a bad one changes
/// nothing, and the next good one does.
#[test]
fn change_of_the_file_is_noticed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let limit = || gateway.usage("acme")["quotas"][0]["limit"].as_u64().unwrap();
    let tables = small(&upstream);
    gateway.write(&tables.replace("limit = 1000", "limit = 7"));
    wait_until_equal(limit, &7);
    gateway.write_raw("[server]\nlisten = 7\n");
    let aside = gateway.directory().join("aside.toml");
    std::fs::rename(gateway.file(), &aside).unwrap();
    gateway.write(&tables.replace("limit = 1000", "limit = 8"));
    wait_until_equal(limit, &8);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
}

#[test]
fn bad_file_is_refused_with_its_problems() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let tables = small(&upstream)
        .replace("upstream = \"api\"", "upstream = \"apu\"\ncots = 3")
        .replace("window = \"month\"", "window = \"moon\"");
    gateway.write(&tables);
    let response = gateway.admin("POST", "/v1/reload");
    assert_eq!((response.status(), response.code().as_str()), (422, "invalid_configuration"));
    let problems = response.json()["problems"].clone();
    let problems = problems.as_array().unwrap();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    for problem in problems {
        assert_eq!(problem["severity"], "error");
        assert!(problem["line"].as_u64().unwrap() > 10, "{problem}");
        assert!(problem["column"].as_u64().unwrap() > 0, "{problem}");
        assert!(!problem["message"].as_str().unwrap().is_empty(), "{problem}");
    }
    gateway.write_raw("this is no TOML");
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 422);
    std::fs::remove_file(gateway.file()).unwrap();
    let response = gateway.admin("POST", "/v1/reload");
    assert_eq!((response.status(), response.code().as_str()), (422, "unreadable_configuration"));
    assert_eq!(gateway.get("/x", KEY).status(), 200, "the one before stays in force");
}

#[test]
fn change_that_needs_a_restart_is_refused_by_its_name() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let same = std::fs::read_to_string(gateway.file()).unwrap();
    for (from, to, key) in [
        (
            "[server]\nlisten = \"127.0.0.1:0\"",
            "[server]\nlisten = \"127.0.0.1:1\"",
            "server.listen",
        ),
        ("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.1:1\"", "admin.listen"),
        ("workers = 1", "workers = 2", "server.workers"),
        ("[log]", "[store]\nurl = \"sqlite:other.db\"\n[log]", "store.url"),
        ("[log]", "[store]\njournal = \"other\"\n[log]", "store.journal"),
        ("[log]", "[server.limits]\nconnections = 5\n[log]", "server.limits.connections"),
    ] {
        let changed = same.replacen(from, to, 1).replace("limit = 1000", "limit = 0");
        assert_ne!(changed, same);
        gateway.write_raw(&changed);
        let response = gateway.admin("POST", "/v1/reload");
        assert_eq!((response.status(), response.code().as_str()), (409, "needs_restart"), "{key}");
        let detail = response.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(key) && detail.contains("restart"), "{detail}");
        assert_eq!(gateway.get("/x", KEY).status(), 200, "{key}: nothing of it is in force");
    }
}

/// Two files take turns while requests run: each request is served under one of them, and counted.
#[test]
fn reload_under_load_drops_nothing() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(SMALL, &upstream);
    let (address, over) = (gateway.running().address(), AtomicBool::new(false));
    let served = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let over = &over;
                scope.spawn(move || {
                    let (mut client, mut served) = (Client::connect(address), 0);
                    while !over.load(Ordering::Relaxed) {
                        let response = client.get("/x", KEY);
                        assert_eq!(response.status(), 200, "{}", response.text());
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for turn in 0..20 {
            upstream.wait_for(10 * turn);
            let limit = format!("limit = {}", 1_000_000 + turn);
            gateway.write(&small(&upstream).replace("limit = 1000", &limit));
            assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
        }
        over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).sum::<u64>()
    });
    assert!(served >= 190, "{served}");
    gateway.wait_recorded("acme", &[("completed", served, served)]);
    gateway.wait_used("acme", served);
    assert_eq!(gateway.usage("acme")["quotas"][0]["limit"], 1_000_019);
}

#[test]
fn node_is_the_owner_of_the_journal() {
    let upstream = Upstream::ok();
    let mut gateway = Gateway::start(SMALL, &upstream);
    let file = gateway.directory().join("faregate.db.journal/node-id");
    let id = std::fs::read_to_string(file).unwrap().trim().to_owned();
    for _ in 0..2 {
        let nodes = gateway.admin("GET", "/v1/nodes").json();
        let node = &nodes["items"][0];
        assert_eq!((&node["id"], &node["this"]), (&json!(id), &json!(true)));
        assert_eq!(nodes["items"].as_array().unwrap().len(), 1);
        gateway.restart();
    }
}
