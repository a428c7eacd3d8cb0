//! A gateway whose store is on a PostgreSQL server: as with a file, and what becomes of a server that goes away.

#[expect(dead_code, reason = "it can do more than is needed here")]
#[path = "../../src/store/tests/relay.rs"]
mod relay;

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use self::relay::{Mode, Relay};
use crate::support::{Gateway, KEY, SMALL, Schema, Upstream, postgres::server, wait_for};

/// Gives the tables of a gateway on this database.
fn tables(url: &str) -> String {
    format!("[store]\nurl = \"{url}\"\n{SMALL}")
}

fn verify(gateway: &Gateway) {
    let verified = gateway.changed("POST", "/v1/verify", &json!(null));
    assert_eq!(verified["ok"], true, "{verified}");
}

#[test]
fn calls_are_forwarded_charged_and_found_again_after_a_restart() {
    let (schema, upstream) = (Schema::new(), Upstream::ok());
    let mut gateway = Gateway::start(&tables(&schema.url()), &upstream);
    for _ in 0..3 {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
    }
    gateway.wait_used("acme", 3);
    verify(&gateway);
    gateway.restart();
    assert_eq!(gateway.used("acme"), (3, 0));
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    gateway.wait_used("acme", 4);
    gateway.stop();
    assert_eq!(schema.ask("SELECT sum(used) FROM usage"), "4");
    assert_eq!(schema.ask("SELECT sum(requests) FROM usage_minutes"), "4");
    assert_eq!(schema.ask("SELECT count(*) FROM open_reservations"), "0");
    // The journal is named by the port and not by the database.
    let entries = gateway.directory().read_dir().unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().any(|name| name == "faregate-0.journal"), "{names:?}");
}

#[test]
fn customers_keys_and_money_are_made_changed_and_removed() {
    let (schema, upstream) = (Schema::new(), Upstream::ok());
    let mut gateway = Gateway::start(&tables(&schema.url()), &upstream);
    gateway.changed("POST", "/v1/customers", &json!({"id": "initrode", "name": "Initrode"}));
    gateway.changed("PUT", "/v1/customers/initrode/subscription", &json!({"plan": "starter"}));
    let key = gateway.changed("POST", "/v1/customers/initrode/keys", &json!({"name": "ci"}));
    let (id, secret) = (key["id"].as_str().unwrap(), key["secret"].as_str().unwrap());
    assert_eq!(gateway.get("/x", secret).status(), 200);
    let twice = gateway.change("POST", "/v1/customers", &json!({"id": "initrode"}));
    assert_eq!(twice.status(), 409, "{}", twice.text());
    let grant = json!({"amount": "5", "currency": "USD"});
    gateway.changed("POST", "/v1/customers/initrode/credits", &grant);
    let correction = json!({"quota": "month", "amount": 1, "reason": "a gift"});
    gateway.changed("POST", "/v1/customers/initrode/adjustments", &correction);
    gateway.restart();
    assert_eq!(gateway.get("/x", secret).status(), 200);
    gateway.wait_used("initrode", 1);
    let usage = gateway.usage("initrode");
    assert_eq!(usage["credits"][0]["balance"], "5.000000000", "{usage}");
    let shown = gateway.changed("GET", "/v1/customers/initrode", &json!(null));
    assert_eq!(shown["name"], "Initrode");
    let ledger = gateway.changed("GET", "/v1/customers/initrode/ledger", &json!(null));
    assert!(ledger["items"].as_array().is_some_and(|data| data.len() >= 3), "{ledger}");
    let audit = gateway.changed("GET", "/v1/audit", &json!(null));
    assert!(audit["items"].as_array().is_some_and(|data| data.len() >= 5), "{audit}");
    let report = gateway.admin("GET", "/v1/usage?from=2020-01-01&to=2100-01-01&by=customer,key");
    assert!(report.text().contains(id), "{}", report.text());
    verify(&gateway);
    gateway.changed("DELETE", &format!("/v1/keys/{id}"), &json!(null));
    assert_eq!(gateway.get("/x", secret).status(), 401);
    gateway.changed("DELETE", "/v1/customers/initrode", &json!(null));
    assert_eq!(gateway.admin("GET", "/v1/customers/initrode").status(), 404);
    verify(&gateway);
    gateway.restart();
    verify(&gateway);
    assert_eq!(gateway.get("/x", secret).status(), 401);
}

#[test]
fn a_copy_is_refused_with_what_to_do_and_the_configuration_shows_no_password() {
    let (schema, upstream) = (Schema::new(), Upstream::ok());
    let gateway = Gateway::start(&tables(&schema.url()), &upstream);
    let refused = gateway.change("POST", "/v1/backup", &json!(null));
    assert_eq!(refused.status(), 409, "{}", refused.text());
    let problem = refused.json();
    assert_eq!(problem["code"], "store_on_server", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("pg_dump"), "{problem}");
    let answer = gateway.admin("GET", "/v1/config");
    let shown = answer.text();
    assert!(shown.contains("postgres://127.0.0.1:"), "{shown}");
    assert!(!shown.contains("not-to-be-told"), "{shown}");
}

/// Like a database on a disk that is full: calls go on as long as the journal takes them, changes are not made,
/// and readiness says so.
#[test]
fn a_server_that_goes_away_loses_nothing_and_is_found_again() {
    let (schema, upstream) = (Schema::new(), Upstream::ok());
    for away in [Mode::Down, Mode::Frozen] {
        let relay = Relay::start(server().parse().unwrap());
        let url = schema.url_at(&relay.address.to_string());
        let mut gateway = Gateway::start(&tables(&url), &upstream);
        let (before, _) = gateway.used("acme");
        assert_eq!(gateway.get("/x", KEY).status(), 200);
        gateway.running().keeper().fold_now().unwrap();
        relay.set(away);
        assert_eq!(gateway.get("/x", KEY).status(), 200);
        // Behind a fold and changes that are under way, each with its own limit.
        let began = Instant::now();
        gateway.running().keeper().fold_now().unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
        if away == Mode::Down {
            let refused = gateway.change("POST", "/v1/customers", &json!({"id": "late"}));
            assert_eq!(refused.status(), 503, "{}", refused.text());
            assert_eq!(refused.json()["code"], "store_unavailable");
        }
        assert_eq!(gateway.admin("GET", "/readyz").status(), 503);
        assert_eq!(gateway.get("/x", KEY).status(), 200);
        assert_eq!(gateway.used("acme"), (before + 3, 0));
        relay.set(Mode::Pass);
        wait_for("readiness", || (gateway.admin("GET", "/readyz").status() == 200).then_some(()));
        assert_eq!(gateway.admin("GET", "/v1/customers/late").status(), 404);
        verify(&gateway);
        gateway.stop();
        assert_eq!(schema.ask("SELECT sum(used) FROM usage"), (before + 3).to_string());
    }
}
