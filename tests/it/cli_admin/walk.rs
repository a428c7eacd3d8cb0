//! From nothing to a customer that is gone, by the command line alone.

use serde_json::json;

use super::Shop;
use crate::support::wait_for;

#[test]
fn customer_comes_pays_more_and_goes() {
    let shop = Shop::open();
    assert_eq!(shop.ask("/v1/customers/acme").0, 404);
    shop.tells(
        &["customer", "create", "acme", "--name", "Acme Ltd", "--metadata", "crm=17"],
        &["acme", "Acme Ltd", "crm = 17", "the store"],
    );
    let shown = shop.json(&["customer", "show", "acme"]);
    assert_eq!((200, shown.clone()), shop.ask("/v1/customers/acme"));
    assert_eq!(shown["subscription"], json!(null));
    shop.tells(&["usage", "acme"], &["customer acme, plan -", "no quotas"]);

    let (id, key) = shop.key(&["create", "acme", "--name", "ci"]);
    assert_eq!(shop.call(&key), "402 subscription_required");
    shop.tells(
        &["subscription", "set", "acme", "--plan", "starter"],
        &["starter", "served    yes"],
    );
    assert_eq!(shop.calls(&key, 4), ["200", "200", "200", "402 quota_exceeded"]);
    shop.tells(&["usage", "acme"], &["yearly      3     3         0          0"]);

    // A larger plan; what was used stays used.
    let held = shop.json(&["subscription", "set", "acme", "--plan", "pro"]);
    assert_eq!((200, held), shop.ask("/v1/customers/acme/subscription"));
    assert_eq!(shop.call(&key), "200");
    let usage = shop.json(&["usage", "acme"]);
    assert_eq!((&usage["plan"], &usage["quotas"][0]["used"]), (&json!("pro"), &json!(4)));
    assert_eq!(usage["quotas"][0]["remaining"], 6);

    // Corrections in both directions.
    let adjust = ["adjust", "acme", "--quota", "yearly", "--reason", "outage"];
    shop.tells(
        &[&adjust[..], &["+3"]].concat(),
        &["3 units given back", "used now     1", "maria"],
    );
    let charged = shop.json(&[&adjust[..], &["-9"]].concat());
    assert_eq!((&charged["amount"], &charged["used"]), (&json!(-9), &json!(10)));
    assert_eq!((shop.call(&key), shop.used("acme")), ("402 quota_exceeded".to_owned(), 10));
    shop.done(&[&adjust[..], &["+9"]].concat());

    keys(&shop, &id, &key);
    let second = shop.key(&["create", "acme"]).1;
    subscription(&shop, &second);

    shop.tells(&["customer", "suspend", "acme"], &["acme is suspended", "403"]);
    assert_eq!(shop.call(&second), "403 account_suspended");
    assert_eq!(shop.ask("/v1/customers/acme").1["suspended"], true);
    shop.tells(&["customer", "resume", "acme"], &["acme is served again"]);
    assert_eq!(shop.call(&second), "200");

    shop.tells(&["customer", "delete", "acme", "--yes"], &["acme is deleted"]);
    assert_eq!(shop.call(&second), "401 invalid_api_key");
    assert_eq!(shop.ask("/v1/customers/acme").0, 404);
    audit(&shop);
}

/// Rotation with overlap and without, revocation, switching off and on.
fn keys(shop: &Shop, id: &str, first: &str) {
    let made = shop.json(&["key", "rotate", id, "--grace", "1h"]);
    let (second_id, second) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert_eq!((shop.call(first), shop.call(second)), ("200".into(), "200".into()));
    let old = shop.json(&["key", "show", id]);
    assert_eq!((&old["replaced_by"], &old["status"]), (&json!(second_id), &json!("active")));
    assert!(old["expires"].is_string(), "{old}");
    shop.tells(&["key", "list", "acme"], &[id, second_id, "ci", "the store"]);

    // At once: the old one is over before the answer comes.
    let printed = shop.done(&["key", "rotate", second_id, "--grace", "0s"]);
    assert!(printed.contains(&format!("The old key {second_id} works no longer")), "{printed}");
    assert_eq!(shop.call(second), "401 api_key_expired");
    let secret = printed.lines().find_map(|line| line.strip_prefix("secret")).unwrap().trim();
    assert_eq!(shop.call(secret), "200");
    let third_id = printed.lines().next().unwrap().strip_prefix("key").unwrap().trim();

    shop.tells(&["key", "disable", third_id], &["403"]);
    assert_eq!(shop.call(secret), "403 api_key_disabled");
    shop.tells(&["key", "enable", third_id], &[third_id]);
    assert_eq!(shop.call(secret), "200");
    shop.tells(&["key", "revoke", third_id], &["is revoked"]);
    assert_eq!(shop.call(secret), "401 api_key_revoked");
    assert_eq!(shop.ask(&format!("/v1/keys/{third_id}")).1["status"], "revoked");
    // Again is no mistake, and nothing brings it back.
    shop.done(&["key", "revoke", third_id]);
    let said = format!("faregate: {third_id}: status: the key is revoked for good; make a new one");
    shop.refused(&["key", "enable", third_id], &said);

    // An overlap ends by itself.
    let (id, key) = shop.key(&["create", "acme"]);
    shop.done(&["key", "rotate", &id, "--grace", "1s"]);
    wait_for("the end of the overlap", || (shop.call(&key) == "401 api_key_expired").then_some(()));
    give_back(shop);
}

/// Gives everything back that was used.
fn give_back(shop: &Shop) {
    let all = format!("+{}", shop.used("acme"));
    let adjust = ["adjust", "acme", "--quota", "yearly", &all, "--reason", "test"];
    shop.tells(&adjust, &["used now     0"]);
}

/// What is cancelled at a time is served until then; what is cancelled at once is not.
fn subscription(shop: &Shop, key: &str) {
    let held = shop.json(&["subscription", "cancel", "acme", "--at", "30d"]);
    assert_eq!((&held["in_force"], &held["status"]), (&json!(true), &json!("active")));
    assert!(held["cancel_at"].is_string(), "{held}");
    assert_eq!(shop.call(key), "200");
    shop.done(&["subscription", "cancel", "acme", "--at", "1s"]);
    wait_for("the end", || (shop.call(key) == "402 subscription_ended").then_some(()));
    shop.tells(&["subscription", "show", "acme"], &["no: subscription_ended", "cancelled at"]);
    shop.tells(&["subscription", "set", "acme", "--cancel-at", "none"], &["yes"]);
    give_back(shop);
    assert_eq!(shop.call(key), "200");

    shop.tells(&["subscription", "cancel", "acme"], &["canceled", "no: subscription_ended"]);
    assert_eq!(shop.call(key), "402 subscription_ended");
    shop.done(&["subscription", "set", "acme", "--status", "active"]);
    let overdue = ["subscription", "set", "acme", "--status", "past_due", "--past-due-since"];
    shop.tells(&[&overdue[..], &["2020-01-01"]].concat(), &["no: payment_overdue"]);
    assert_eq!(shop.call(key), "402 payment_overdue");
    shop.done(&["subscription", "set", "acme", "--status", "active", "--past-due-since", "none"]);
    let later = ["subscription", "set", "acme", "--plan", "starter", "--at", "10d"];
    shop.tells(&[&later[..], &["--change", "restart"]].concat(), &["pro", "next", "starter at"]);
    assert_eq!(shop.call(key), "200");
    give_back(shop);
}

/// Everything that was done is told, the newest first, with who did it.
fn audit(shop: &Shop) {
    shop.tells(
        &["audit", "--customer", "acme", "--all"],
        &["customer.create", "subscription.set", "key.rotate", "quota.adjust", "maria"],
    );
    let entries = shop.json(&["audit", "--customer", "acme", "--all"]);
    let entries = entries["items"].as_array().unwrap();
    let action = |entry: &serde_json::Value| entry["action"].as_str().unwrap().to_owned();
    assert_eq!(action(entries.first().unwrap()), "customer.delete");
    assert_eq!(action(entries.last().unwrap()), "customer.create");
    assert!(entries.iter().all(|entry| entry["actor"] == "maria"));
    let suspended = entries.iter().find(|entry| action(entry) == "customer.suspend").unwrap();
    assert_eq!(
        (&suspended["before"]["suspended"], &suspended["after"]["suspended"]),
        (&json!(false), &json!(true))
    );
    let pages = shop.run(&["audit", "--limit", "2"]);
    assert_eq!(pages.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&pages.stderr).contains("--all shows every one"));
}
