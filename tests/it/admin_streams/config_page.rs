//! The configuration in force, without its secrets.

use std::fs;

use serde_json::json;

use crate::support::{Gateway, Upstream};

const TABLES: &str = r#"
[admin]
listen = "127.0.0.1:0"
read_token = { file = "read-token" }
hosts = ["faregate.internal"]

[upstreams.api]
url = "http://@UPSTREAM@/base"
set_headers = { authorization = { file = "read-token" }, x-edition = "s3cret-edition" }

[[routes]]
name = "api"
path = "/{*path}"
upstream = "api"

[plans.starter]
quotas = [{ limit = 1000, window = "month" }]

[customers.acme]
plan = "starter"
keys = [{ id = "acme-1", digest = "key:key-of-acme" }]
"#;

#[test]
fn page_has_what_is_in_force_and_no_secret() {
    let upstream = Upstream::ok();
    let file = ("read-token", "s3cret-token\n");
    let gateway = Gateway::start_with_file("2026-11-16T00:00:00Z", TABLES, &upstream, file);
    gateway.changed("POST", "/v1/customers", &json!({"id": "beta"}));
    let made = gateway.changed("POST", "/v1/customers/beta/keys", &json!({}));
    let response = gateway.admin("GET", "/v1/config");
    assert_eq!(response.status(), 200, "{}", response.text());
    let page = response.json();
    assert_eq!(page["customers"], json!({"declared": 1, "stored": 1}));
    assert_eq!(page["file"], json!(gateway.file().to_str().unwrap()));
    assert_eq!(page["admin"]["token"], "***");
    assert_eq!(page["admin"]["read_token"], "***");
    assert_eq!(page["admin"]["hosts"], json!(["faregate.internal"]));
    let api = &page["upstreams"]["api"];
    assert_eq!(api["url"], json!(format!("http://{}/base", upstream.address())));
    assert_eq!(api["set_headers"], json!({"authorization": "***", "x-edition": "***"}));
    assert_eq!(page["routes"][0]["cost"], 1);
    let token = gateway.running().admin_token().expose();
    let digest = faregate::model::KeyDigest::of(b"key-of-acme").short(12);
    let secret = made["secret"].as_str().unwrap();
    for secret in ["s3cret", token, &digest, "sha256:", "key-of-acme", secret] {
        assert!(!response.text().contains(secret), "{secret}: {}", response.text());
    }
    // A reload is seen.
    let changed = fs::read_to_string(gateway.file()).unwrap().replace("limit = 1000", "limit = 7");
    gateway.write_raw(&changed);
    gateway.changed("POST", "/v1/reload", &json!({}));
    let page = gateway.admin("GET", "/v1/config").json();
    assert_eq!(page["plans"]["starter"]["quotas"][0]["limit"], 7);
}
