//! Calls that are made again with the same Idempotency-Key.

use serde_json::json;

use super::{call, start};
use crate::support::{Gateway, Response, Upstream};

fn post(gateway: &Gateway, path: &str, key: &str, body: &str) -> Response {
    let key = format!("Idempotency-Key: {key}");
    gateway.admin_with("POST", path, &["Content-Type: application/json", &key], body)
}

#[test]
fn repeated_call_gets_the_first_answer() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    let first = post(&gateway, "/v1/customers", "a", "{\"id\":\"acme\"}");
    assert_eq!(first.status(), 201);
    assert_eq!(first.field("idempotency-replayed"), None);
    let again = post(&gateway, "/v1/customers", "a", "{\"id\":\"acme\"}");
    assert_eq!((again.status(), again.text()), (201, first.text()));
    assert_eq!(again.field("idempotency-replayed"), Some("true"));
    assert_eq!(
        post(&gateway, "/v1/customers", "b", "{\"id\":\"acme\"}").verdict(),
        "409 already_exists"
    );
    let other = post(&gateway, "/v1/customers", "a", "{\"id\":\"other\"}");
    assert_eq!(other.verdict(), "422 idempotency_key_reused");
    assert_eq!(gateway.admin("GET", "/v1/customers/other").status(), 404);
    let elsewhere = post(&gateway, "/v1/customers/acme/keys", "a", "{\"id\":\"acme\"}");
    assert_eq!(elsewhere.verdict(), "422 idempotency_key_reused");
    gateway.restart();
    let after = post(&gateway, "/v1/customers", "a", "{\"id\":\"acme\"}");
    assert_eq!((after.status(), after.text()), (201, first.text()));
    // After a day it is forgotten.
    gateway.set_time("2026-11-17T00:00:01Z");
    let late = post(&gateway, "/v1/customers", "a", "{\"id\":\"acme\"}");
    assert_eq!(late.verdict(), "409 already_exists");
}

#[test]
fn secret_is_repeated_for_a_while_and_never_stored() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    gateway.changed("POST", "/v1/customers", &json!({"id": "a", "subscription": {"plan": "pro"}}));
    let first = post(&gateway, "/v1/customers/a/keys", "k", "{}");
    let secret = super::secret(&first.json());
    assert_eq!(call(&gateway, &secret), "200");
    let again = post(&gateway, "/v1/customers/a/keys", "k", "{}");
    assert_eq!(again.json(), first.json());
    gateway.restart();
    let later = post(&gateway, "/v1/customers/a/keys", "k", "{}").json();
    assert_eq!((&later["id"], &later["secret"]), (&first.json()["id"], &json!(null)));
    let keys = gateway.admin("GET", "/v1/customers/a/keys").json();
    assert_eq!(keys["items"].as_array().unwrap().len(), 1, "one key was made");
    gateway.stop();
    for file in std::fs::read_dir(gateway.directory()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "the key stands in {}", path.display());
        }
    }
}

#[test]
fn correction_that_is_repeated_is_made_once() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let key = super::customer(&gateway, "acme", "starter");
    assert_eq!(super::calls(&gateway, &key, 3), ["200"; 3]);
    let body = "{\"quota\":\"monthly\",\"amount\":2,\"reason\":\"outage\"}";
    let path = "/v1/customers/acme/adjustments";
    let admin = gateway.admin_caller();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let fields = ["Content-Type: application/json", "Idempotency-Key: once"];
                let answer = admin.call("POST", path, &fields, body);
                assert_eq!((answer.status(), &answer.json()["used"]), (201, &json!(1)));
            });
        }
    });
    assert_eq!(gateway.used("acme"), (1, 0));
    assert_eq!(super::calls(&gateway, &key, 3), ["200", "200", "402 quota_exceeded"]);
    let list = gateway.admin("GET", path).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    // More than was used cannot be given back, and nothing happens then.
    let much = json!({"quota": "monthly", "amount": 4, "reason": "x"});
    let refused = gateway.change("POST", path, &much);
    assert_eq!(refused.verdict(), "422 invalid_request_body");
    let charge = json!({"quota": "monthly", "amount": -7, "reason": "found later"});
    assert_eq!(gateway.changed("POST", path, &charge)["used"], 10);
    assert_eq!(gateway.usage("acme")["quotas"][0]["remaining"], 0);
    let mut gateway = gateway;
    gateway.restart();
    assert_eq!(gateway.used("acme"), (10, 0), "the store has it too");
}
