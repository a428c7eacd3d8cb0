//! The life of a customer, from nothing to its deletion; each change is in force on the next call.

use serde_json::json;

use super::{call, calls, secret, start};
use crate::support::Upstream;

#[test]
fn life_of_a_customer() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    assert_eq!(call(&gateway, "fg_live_nothing"), "401 invalid_api_key");

    let made = gateway.changed("POST", "/v1/customers", &json!({"id": "acme", "name": "Acme"}));
    assert_eq!((&made["id"], &made["name"]), (&json!("acme"), &json!("Acme")));
    let key = gateway.changed(
        "POST",
        "/v1/customers/acme/keys",
        &json!({"name": "ci", "scopes": ["read"]}),
    );
    let first = secret(&key);
    assert!(first.starts_with("fg_live_") && first.len() == 57, "{first}");
    assert_eq!(call(&gateway, &first), "402 subscription_required");

    let path = "/v1/customers/acme/subscription";
    let held = gateway.changed("PUT", path, &json!({"plan": "starter"}));
    assert_eq!((&held["plan"], &held["in_force"]), (&json!("starter"), &json!(true)));
    assert_eq!(calls(&gateway, &first, 4), ["200", "200", "200", "402 quota_exceeded"]);
    assert_eq!(gateway.get("/reports", &first).verdict(), "402 plan_upgrade_required");

    // An upgrade helps the next request, and what was used is kept.
    gateway.changed("PUT", path, &json!({"plan": "pro"}));
    assert_eq!(gateway.get("/reports", &first).verdict(), "200");
    assert_eq!(gateway.used("acme"), (4, 0));
    assert_eq!(gateway.usage("acme")["quotas"][0]["limit"], 10);
    // A downgrade below what was used refuses until the window renews.
    gateway.changed("PUT", path, &json!({"plan": "starter"}));
    let refused = gateway.get("/calls/x", &first);
    assert_eq!(refused.verdict(), "402 quota_exceeded");
    assert_eq!(refused.field("ratelimit"), Some("\"monthly\";r=0;t=1296000"));
    assert_eq!(gateway.usage("acme")["quotas"][0]["remaining"], 0);
    gateway.changed("PUT", path, &json!({"plan": "pro"}));

    // Two keys work while the grace lasts, then the second alone.
    let id = key["id"].as_str().unwrap();
    let rotated =
        gateway.changed("POST", &format!("/v1/keys/{id}/rotate"), &json!({"grace": "1h"}));
    let second = secret(&rotated);
    assert_eq!((call(&gateway, &first), call(&gateway, &second)), ("200".into(), "200".into()));
    gateway.set_time("2026-11-16T00:59:59.999Z");
    assert_eq!(call(&gateway, &first), "200");
    gateway.set_time("2026-11-16T01:00:00Z");
    assert_eq!(call(&gateway, &first), "401 api_key_expired");
    assert_eq!(call(&gateway, &second), "200");
    assert_eq!(
        gateway.admin("GET", &format!("/v1/keys/{id}")).json()["replaced_by"],
        rotated["id"]
    );

    let third = gateway.changed("POST", "/v1/customers/acme/keys", &json!({"env": "test"}));
    assert!(secret(&third).starts_with("fg_test_"));
    assert_eq!(call(&gateway, &secret(&third)), "200");
    let third_path = format!("/v1/keys/{}", third["id"].as_str().unwrap());
    assert_eq!(gateway.admin("DELETE", &third_path).status(), 204);
    assert_eq!(call(&gateway, &secret(&third)), "401 api_key_revoked");

    // Cancelled at a date: announced until then, refused from then on.
    gateway.changed("PUT", path, &json!({"cancel_at": "2026-11-16T02:00:00Z"}));
    let answer = gateway.get("/calls/x", &second);
    assert_eq!(answer.field("faregate-subscription-ends"), Some("2026-11-16T02:00:00Z"));
    gateway.set_time("2026-11-16T02:00:00Z");
    assert_eq!(call(&gateway, &second), "402 subscription_ended");
    gateway.changed("PUT", path, &json!({"cancel_at": null}));
    assert_eq!(gateway.used("acme"), (10, 0));
    assert_eq!(call(&gateway, &second), "402 quota_exceeded");
    let given = json!({"quota": "monthly", "amount": 1, "reason": "for the trouble"});
    gateway.changed("POST", "/v1/customers/acme/adjustments", &given);
    assert_eq!(call(&gateway, &second), "200");

    gateway.changed("PATCH", "/v1/customers/acme", &json!({"suspended": true}));
    assert_eq!(call(&gateway, &second), "403 account_suspended");
    gateway.changed("PATCH", "/v1/customers/acme", &json!({"suspended": false}));
    assert_eq!(call(&gateway, &second), "402 quota_exceeded");

    let cancelled = gateway.admin("DELETE", path);
    assert_eq!((cancelled.status(), &cancelled.json()["status"]), (200, &json!("canceled")));
    assert_eq!(call(&gateway, &second), "402 subscription_ended");

    assert_eq!(gateway.admin("DELETE", "/v1/customers/acme").status(), 204);
    assert_eq!(call(&gateway, &second), "401 invalid_api_key");
    assert_eq!(gateway.admin("GET", "/v1/customers/acme").verdict(), "404 customer_not_found");
    assert_eq!(upstream.count(), 11, "no refused call was forwarded");

    // Who comes again under the id begins at zero, and the old keys stay dead.
    let again = super::customer(&gateway, "acme", "starter");
    assert_eq!(gateway.used("acme"), (0, 0));
    assert_eq!(call(&gateway, &again), "200");
    assert_eq!(call(&gateway, &second), "401 invalid_api_key");
    gateway.restart();
    assert_eq!(gateway.used("acme"), (1, 0));
    assert_eq!(call(&gateway, &again), "200");
}

#[test]
fn everything_is_there_after_a_restart() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    let key = super::customer(&gateway, "acme", "starter");
    gateway.changed(
        "PATCH",
        "/v1/customers/acme",
        &json!({"name": "Acme", "metadata": {"crm": "17"}, "concurrency": 5,
            "quotas": [{"limit": 2, "window": "day", "zone": "Europe/Berlin"}]}),
    );
    gateway.changed(
        "PUT",
        "/v1/customers/acme/applications/mobile",
        &json!({"quotas": [{"name": "mobile-daily", "limit": 1, "window": "day"}]}),
    );
    let mobile = gateway.changed(
        "POST",
        "/v1/customers/acme/keys",
        &json!({"application": "mobile", "allow_from": ["127.0.0.1"], "rate": {"limit": 5, "window": "1s"}}),
    );
    assert_eq!(call(&gateway, &secret(&mobile)), "200");
    let paths = [
        "/v1/customers",
        "/v1/customers/acme",
        "/v1/customers/acme/keys",
        "/v1/customers/acme/subscription",
        "/v1/customers/acme/applications",
        "/v1/customers/acme/usage",
        "/v1/audit",
    ];
    let told =
        |gateway: &crate::support::Gateway| paths.map(|path| gateway.admin("GET", path).json());
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
    let before = told(&gateway);
    gateway.restart();
    for (path, (after, before)) in paths.iter().zip(told(&gateway).iter().zip(&before)) {
        assert_eq!(after, before, "{path}");
    }
    assert_eq!(call(&gateway, &secret(&mobile)), "402 quota_exceeded");
    assert_eq!(calls(&gateway, &key, 2), ["200", "402 quota_exceeded"]);
}

#[test]
fn declared_customers_are_the_files() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    for (method, path, body) in [
        ("POST", "/v1/customers", json!({"id": "filed"})),
        ("PATCH", "/v1/customers/filed", json!({"suspended": true})),
        ("DELETE", "/v1/customers/filed", json!({})),
        ("PUT", "/v1/customers/filed/subscription", json!({"plan": "pro"})),
        ("DELETE", "/v1/customers/filed/subscription", json!({})),
        ("PUT", "/v1/customers/filed/applications/x", json!({})),
        ("POST", "/v1/customers/filed/keys", json!({})),
        ("PATCH", "/v1/keys/filed-key", json!({"name": "x"})),
        ("POST", "/v1/keys/filed-key/rotate", json!({})),
        ("DELETE", "/v1/keys/filed-key", json!({})),
    ] {
        let answer = gateway.change(method, path, &body);
        assert_eq!(answer.verdict(), "409 declared_in_file", "{method} {path}");
    }
    // A stored customer cannot have a key of the file either.
    super::customer(&gateway, "acme", "starter");
    let digest = faregate::model::KeyDigest::of(b"key-of-filed").to_string();
    for key in [json!({"id": "filed-key"}), json!({"digest": digest})] {
        let answer = gateway.change("POST", "/v1/customers/acme/keys", &key);
        assert_eq!(answer.verdict(), "409 declared_in_file", "{key}");
    }
    assert_eq!(call(&gateway, "key-of-filed"), "200");
    // What it used is in the store in either case, and may be corrected.
    let path = "/v1/customers/filed/adjustments";
    let body = json!({"quota": "monthly", "amount": 1, "reason": "outage"});
    assert_eq!(gateway.changed("POST", path, &body)["used"], 0);
    assert_eq!(gateway.used("filed"), (0, 0));
    let shown = gateway.admin("GET", "/v1/customers/filed").json();
    assert_eq!(shown["declared_in_file"], true);
    assert_eq!(shown["subscription"]["plan"], "starter");
    assert_eq!(gateway.admin("GET", "/v1/keys/filed-key").json()["declared_in_file"], true);
}

#[test]
fn file_may_not_declare_what_is_stored() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let key = super::customer(&gateway, "acme", "pro");
    let digest = faregate::model::KeyDigest::of(key.as_bytes());
    let write = |more: &str, plans: &str| {
        let plans = plans.replace("@UPSTREAM@", &upstream.address().to_string());
        gateway.write(&format!("{plans}{more}"));
        gateway.admin("POST", "/v1/reload")
    };
    let refused = write("[customers.acme]\nplan = \"pro\"\n", super::PLANS);
    assert_eq!(refused.verdict(), "409 declared_twice");
    assert!(refused.text().contains("`acme` is stored already"), "{}", refused.text());
    let refused = write(&format!("[customers.other]\nkeys = [\"{digest}\"]\n"), super::PLANS);
    assert_eq!(refused.verdict(), "409 declared_twice");
    let without = super::PLANS.replace("[plans.pro]", "[plans.large]");
    let refused = write("", &without);
    assert_eq!(refused.verdict(), "409 declared_twice");
    assert!(refused.text().contains("plan `pro` is not in the file"), "{}", refused.text());
    assert_eq!(call(&gateway, &key), "200", "what was in force stays so");
    // Archived it may be: who has it keeps it, and nobody new gets it.
    let archived = super::PLANS.replace("[plans.pro]", "[plans.pro]\narchived = true");
    assert_eq!(write("", &archived).status(), 200);
    assert_eq!(call(&gateway, &key), "200");
    let new = json!({"id": "new", "subscription": {"plan": "pro"}});
    let refused = gateway.change("POST", "/v1/customers", &new);
    assert_eq!(refused.verdict(), "422 invalid_request_body");
    assert_eq!(refused.json()["errors"][0]["field"], "subscription.plan");
    assert_eq!(gateway.admin("GET", "/v1/customers/new").status(), 404, "nothing is left of it");
}

#[test]
fn lists_come_page_by_page() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    for number in 0..25 {
        let plan = if number % 5 == 0 { "pro" } else { "starter" };
        let id = format!("c{number:02}");
        let body = json!({"id": id, "subscription": {"plan": plan}});
        gateway.changed("POST", "/v1/customers", &body);
    }
    let all = |query: &str| {
        let (mut ids, mut after) = (Vec::new(), String::new());
        for page in 0.. {
            assert!(page < 40, "the list does not end");
            let path = format!("/v1/customers?limit=4{query}{after}");
            let answer = gateway.admin("GET", &path).json();
            let items = answer["items"].as_array().unwrap();
            assert!(items.len() <= 4);
            ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match answer["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return ids,
            }
        }
        unreachable!()
    };
    let stored = (0..25).map(|number| format!("c{number:02}"));
    let expected: Vec<String> = stored.chain(["filed".to_owned()]).collect();
    assert_eq!(all(""), expected, "declared and stored together, by id");
    assert_eq!(all("&plan=pro"), ["c00", "c05", "c10", "c15", "c20"]);
    assert_eq!(all("&prefix=c1").len(), 10);
    assert_eq!(all("&prefix=c17"), ["c17"], "an id is a prefix of itself");
    assert_eq!(all("&prefix=c1&plan=pro"), ["c10", "c15"]);
    assert_eq!(all("&prefix=zzz"), Vec::<String>::new());
    for query in ["limit=0", "limit=1001", "limit=x", "colour=red"] {
        let answer = gateway.admin("GET", &format!("/v1/customers?{query}"));
        assert_eq!(answer.verdict(), "400 invalid_query", "{query}");
    }
}
