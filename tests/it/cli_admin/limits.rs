//! A customer's own limits, and the operator's switch.

use serde_json::json;

use super::Shop;

#[test]
fn own_limits_hold_instead_of_the_plans() {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme", "--plan", "starter"]);
    let (_, key) = shop.key(&["create", "acme", "--scope", "reports"]);
    shop.tells(
        &[
            "customer",
            "set",
            "acme",
            "--quota",
            "name=yearly,limit=4,window=year",
            "--quota",
            "limit=100,window=day,zone=Europe/Berlin",
            "--rate",
            "50/1s:100",
            "--concurrency",
            "5",
        ],
        &["yearly: 4 per year", "day: 100 per day", "50 per 1s, burst 100", "concurrency   5"],
    );
    let statuses = shop.calls(&key, 5);
    assert_eq!(statuses, ["200", "200", "200", "200", "402 quota_exceeded"]);
    shop.tells(&["usage", "acme"], &["yearly", "day", "rate 50 per 1 s"]);

    shop.done(&["customer", "set", "acme", "--unlimited", "--no-rate", "--no-concurrency"]);
    assert_eq!(shop.call(&key), "200");
    assert_eq!(shop.ask("/v1/customers/acme").1["quotas"], json!([]));
    shop.done(&["customer", "set", "acme", "--no-quotas"]);
    assert_eq!(shop.call(&key), "402 quota_exceeded");
    assert_eq!(shop.ask("/v1/customers/acme").1["quotas"], json!(null));
    assert_eq!(shop.call_at("/reports/x", &key), "402 plan_upgrade_required");
}

#[test]
fn spend_cap_is_set_and_taken_away() {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme", "--plan", "starter", "--spend-cap", "0.002 USD"]);
    let (_, key) = shop.key(&["create", "acme"]);
    let quota = "name=yearly,limit=1,window=year,overage=0.001 USD";
    shop.tells(
        &["customer", "set", "acme", "--quota", quota],
        &["yearly: 1 per year, then 0.001 USD each", "spend cap     0.002 USD"],
    );
    assert_eq!(shop.calls(&key, 4)[2..], ["200", "402 spend_cap_reached"]);
    let said = "overage of yearly: 2 at 0.001 USD, 0.002 USD; spend cap 0.002 USD";
    shop.tells(&["usage", "acme"], &[said]);
    let set = ["customer", "set", "acme", "--spend-cap", "1 EUR"];
    shop.refused(
        &set,
        "faregate: acme: spend_cap: the price beyond the allowance is in USD; write it so",
    );
    shop.done(&["customer", "set", "acme", "--no-spend-cap"]);
    assert_eq!(shop.call(&key), "200");
    shop.tells(&["usage", "acme"], &["overage of yearly: 3 at 0.001 USD, 0.003 USD; no spend cap"]);
    assert_eq!(shop.ask("/v1/customers/acme").1["spend_cap"], json!(null));
}

#[test]
fn limits_of_applications_and_keys_come_in_addition() {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme", "--plan", "starter"]);
    let quota = "name=mobile-daily,limit=2,window=day";
    let set = ["application", "set", "acme", "mobile", "--quota", quota];
    shop.tells(&set, &["application  mobile", "mobile-daily: 2 per day"]);
    let arguments =
        ["create", "acme", "--application", "mobile", "--id", "k", "--concurrency", "3"];
    let (_, key) = shop.key(&arguments);
    assert_eq!(shop.calls(&key, 3), ["200", "200", "402 quota_exceeded"]);
    shop.tells(&["usage", "acme"], &["application/mobile"]);
    shop.done(&["application", "set", "acme", "mobile"]);
    let quota = "name=key-daily,limit=1,window=day";
    let set = ["key", "set", "k", "--quota", quota, "--no-concurrency", "--scope", "reports"];
    shop.tells(&set, &["key-daily: 1 per day", "reports"]);
    assert_eq!(shop.calls(&key, 2), ["200", "402 quota_exceeded"]);
    shop.tells(&["application", "list", "acme"], &["mobile"]);
    assert_eq!(shop.json(&["nodes"])["items"][0]["this"], true);
    let delete = ["application", "delete", "acme", "mobile"];
    shop.refused(
        &delete,
        "faregate: mobile: name: the key `k` belongs to it; revoke its keys first",
    );
    shop.done(&["key", "revoke", "k"]);
    shop.done(&delete);
    assert_eq!(shop.ask("/v1/customers/acme/applications").1["items"], json!([]));
}

#[test]
fn notes_and_name_are_changed_one_by_one() {
    let shop = Shop::open();
    let create = ["customer", "create", "acme", "--metadata", "crm=17", "--metadata", "city=Bern"];
    shop.done(&create);
    shop.done(&["customer", "set", "acme", "--name", "Acme", "--metadata", "vat=CH1"]);
    let metadata = || shop.ask("/v1/customers/acme").1["metadata"].clone();
    assert_eq!(metadata(), json!({"city": "Bern", "crm": "17", "vat": "CH1"}));
    shop.done(&["customer", "set", "acme", "--name", "", "--metadata", "crm="]);
    assert_eq!(metadata(), json!({"city": "Bern", "vat": "CH1"}));
    assert_eq!(shop.ask("/v1/customers/acme").1["name"], json!(null));
}

#[test]
fn lists_are_filtered_and_followed() {
    let shop = Shop::open();
    for number in 0..5 {
        let plan = if number == 3 { "pro" } else { "starter" };
        shop.done(&["customer", "create", &format!("c{number}"), "--plan", plan]);
    }
    shop.tells(&["customer", "list"], &["c0", "c4", "filed", "the file", "the store"]);
    let ids = |arguments: &[&str]| {
        let list = shop.json(&[&["customer", "list"], arguments].concat());
        let ids = list["items"].as_array().unwrap().iter();
        ids.map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--plan", "pro"]), ["c3"]);
    assert_eq!(ids(&["--prefix", "c", "--limit", "2"]), ["c0", "c1"]);
    assert_eq!(ids(&["--all"]), ["c0", "c1", "c2", "c3", "c4", "filed"]);
}

#[test]
fn switch_lets_everything_through_and_back() {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme", "--plan", "starter"]);
    let (_, key) = shop.key(&["create", "acme"]);
    shop.calls(&key, 3);
    assert_eq!(shop.call(&key), "402 quota_exceeded");
    shop.tells(&["enforcement", "show"], &["on: "]);
    shop.tells(&["enforcement", "off", "--reason", "wrong limits"], &["off: "]);
    assert_eq!((shop.call(&key), shop.used("acme")), ("200".to_owned(), 3));
    assert_eq!(shop.json(&["enforcement", "show"]), json!({"enforce": false}));
    shop.tells(&["enforcement", "on"], &["on: "]);
    assert_eq!(shop.call(&key), "402 quota_exceeded");
    let audit = shop.json(&["audit", "--limit", "2"]);
    let off = &audit["items"][1];
    assert_eq!(
        (&off["before"]["enforce"], &off["after"]["enforce"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(off["after"]["reason"], "wrong limits");
    assert_eq!(shop.upstream.received(), 4);
}
