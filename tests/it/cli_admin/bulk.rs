//! What goes in and out as files: imports, exports, a copy of the store.

use std::fs;

use serde_json::{Value, json};

use super::Shop;
use crate::process::Gateway;

/// Two good customers, one of them with two keys, and three bad lines.
const CSV: &str = "\
customer,name,plan,anchor,key,key_id,application,scopes
acme,\"Acme, Ltd\",pro,2026-01-31T10:00:00Z,key-of-acme,acme-1,,reports
acme,,,,second-key,acme-2,mobile,
beta,Beta,starter,,key-of-beta,,,
gamma,Gamma,nosuch,,,,,
,Nobody,starter,,,,,
acme,,starter,,,,,
";

const LINES: &str = "\
{\"customer\": \"delta\", \"plan\": \"starter\", \"key\": \"key-of-delta\", \"scopes\": [\"reports\"]}

{\"customer\": \"epsilon\", \"plan\": \"pro\", \"status\": \"late\"}
{\"customer\": \"epsilon\", \"plan\": \"pro\"}
no json at all
";

fn import(shop: &Shop, name: &str) -> (i32, String, String) {
    let file = shop.path(name);
    let output = shop.run(&["import", file.to_str().unwrap()]);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let directory = format!("{}/", shop.directory.path().display());
    (
        output.status.code().unwrap(),
        text(output.stdout).replace(&directory, ""),
        text(output.stderr).replace(&directory, ""),
    )
}

/// Gives the numbers of the lines that were told to be bad.
fn bad(name: &str, told: &str) -> Vec<u64> {
    let number =
        |line: &str| line.strip_prefix(name)?.strip_prefix(':')?.split(':').next()?.parse().ok();
    let numbers: Vec<_> = told.lines().map(number).collect();
    numbers.into_iter().map(|number| number.unwrap_or_else(|| panic!("{told}"))).collect()
}

#[test]
fn table_is_imported_but_for_its_bad_lines() {
    let shop = Shop::open();
    fs::write(shop.path("customers.csv"), CSV).unwrap();
    let (code, summary, told) = import(&shop, "customers.csv");
    assert_eq!((code, bad("customers.csv", &told)), (1, vec![5, 6, 7]), "{told}");
    assert_eq!(summary, "customers.csv: 6 lines, 3 created, 0 updated, 0 unchanged, 3 bad\n");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].contains("plan: there is no such plan"), "{told}");
    assert!(lines[1].contains("customer: "), "{told}");
    assert!(lines[2].contains("line 2 gave this customer another plan"), "{told}");

    assert_eq!((shop.call("key-of-acme"), shop.call("second-key")), ("200".into(), "200".into()));
    assert_eq!(shop.call_at("/reports/x", "key-of-acme"), "200");
    assert_eq!(shop.call_at("/reports/x", "second-key"), "403 insufficient_scope");
    let acme = shop.ask("/v1/customers/acme").1;
    assert_eq!((&acme["name"], &acme["applications"]), (&json!("Acme, Ltd"), &json!(["mobile"])));
    assert_eq!(acme["subscription"]["anchor"], "2026-01-31T10:00:00Z");
    assert_eq!(shop.ask("/v1/customers/gamma").0, 404);

    // Once more nothing changes, and nothing is noted.
    let audit = || shop.json(&["audit", "--all"]);
    let before = (shop.json(&["customer", "list", "--all"]), audit());
    let (code, summary, _) = import(&shop, "customers.csv");
    assert_eq!(code, 1);
    assert_eq!(summary, "customers.csv: 6 lines, 0 created, 0 updated, 3 unchanged, 3 bad\n");
    assert_eq!((shop.json(&["customer", "list", "--all"]), audit()), before);
    assert!(!format!("{before:?}").contains("key-of-acme"), "a key is not kept");
}

#[test]
fn json_lines_are_imported_but_for_their_bad_lines() {
    let shop = Shop::open();
    fs::write(shop.path("customers.jsonl"), LINES).unwrap();
    let (code, summary, told) = import(&shop, "customers.jsonl");
    assert_eq!((code, bad("customers.jsonl", &told)), (1, vec![3, 5]), "{told}");
    assert_eq!(summary, "customers.jsonl: 4 lines, 2 created, 0 updated, 0 unchanged, 2 bad\n");
    assert_eq!(shop.call_at("/reports/x", "key-of-delta"), "402 plan_upgrade_required");
    assert_eq!(shop.ask("/v1/customers/epsilon").1["subscription"]["plan"], "pro");

    let good = "{\"customer\":\"delta\",\"name\":\"Delta\"}\n";
    fs::write(shop.path("good.jsonl"), good).unwrap();
    let file = shop.path("good.jsonl");
    let summary = shop.json(&["import", file.to_str().unwrap()]);
    let expected =
        json!({"done": true, "lines": 1, "created": 0, "updated": 1, "unchanged": 0, "errors": 0});
    assert_eq!(summary, expected);
}

#[test]
fn unknown_columns_refuse_the_whole() {
    let shop = Shop::open();
    fs::write(shop.path("wrong.csv"), "customer,plan,colour\nacme,pro,red\n").unwrap();
    let (code, summary, told) = import(&shop, "wrong.csv");
    assert_eq!((code, summary.as_str()), (1, ""));
    assert!(told.contains("colour") && !told.contains("red"), "{told}");
    assert_eq!(shop.ask("/v1/customers/acme").0, 404);
    let (code, _, told) = import(&shop, "not-there.csv");
    assert!(code == 1 && told.contains("not-there.csv"), "{told}");
}

#[test]
fn usage_is_written_out() {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme", "--plan", "pro"]);
    let (id, key) = shop.key(&["create", "acme", "--scope", "reports"]);
    shop.calls(&key, 3);
    assert_eq!(shop.call_at("/reports/x", &key), "200");
    assert_eq!(shop.call_at("/calls/fail", &key), "500");
    let range = ["export", "--from", "2020-01-01", "--to", "2120-01-01", "--by"];
    let export = |more: &[&str]| shop.done(&[&range[..], more].concat());
    let table = export(&["customer,route"]);
    assert_eq!(table, "customer,route,requests,units\r\nacme,calls,4,3\r\nacme,reports,1,1\r\n");
    let lines = export(&["customer,key,ending", "--format", "jsonl"]);
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        rows,
        [
            json!({"customer": "acme", "key": id, "ending": "completed", "requests": 4, "units": 4}),
            json!({"customer": "acme", "key": id, "ending": "uncharged", "requests": 1, "units": 0}),
        ]
    );
    let document: Value = serde_json::from_str(&export(&["customer", "--json"])).unwrap();
    assert_eq!(document["rows"], json!([{"customer": "acme", "requests": 5, "units": 4}]));
    let none = export(&["customer", "--customer", "filed"]);
    assert_eq!(none, "customer,requests,units\r\n");

    let file = shop.path("usage.csv");
    assert_eq!(export(&["customer,route", "--output", file.to_str().unwrap()]), "");
    assert_eq!(fs::read_to_string(&file).unwrap(), table);
    let both = shop.run(&[&range[..], &["hour,day"]].concat());
    let told = String::from_utf8(both.stderr).unwrap();
    assert!(both.status.code() == Some(1) && told.contains("hour"), "{told}");
}

/// What the documentation says of a restoration, step by step.
#[test]
fn copy_is_put_in_place_and_started() {
    let mut shop = Shop::open();
    shop.done(&["customer", "create", "acme", "--plan", "pro"]);
    let (_, key) = shop.key(&["create", "acme"]);
    shop.calls(&key, 4);
    let copy = shop.path("copy.db");
    let copy = copy.to_str().unwrap();
    shop.tells(&["backup", copy], &["copy.db", "bytes", "stop the gateway"]);
    let said = format!("faregate: {copy} is there already; name another file");
    shop.refused(&["backup", copy], &said);
    // What comes after the copy is not in it.
    shop.calls(&key, 2);
    shop.done(&["customer", "create", "late"]);
    assert_eq!(shop.used("acme"), 6);

    shop.close();
    for name in ["faregate.db-wal", "faregate.db-shm"] {
        let _ = fs::remove_file(shop.path(name));
    }
    fs::rename(shop.path("copy.db"), shop.path("faregate.db")).unwrap();
    fs::rename(shop.path("faregate.db.journal"), shop.path("old.journal")).unwrap();
    shop.gateway = Some(Gateway::start(shop.directory.path(), shop.address, shop.admin));
    assert_eq!(shop.used("acme"), 4);
    assert_eq!(shop.ask("/v1/customers/late").0, 404);
    assert_eq!(shop.calls(&key, 7)[6], "402 quota_exceeded");
    // The token was made with the journal directory: it is another one now.
    let old = shop.path("old.journal").join("admin-token");
    let output = shop.run(&["usage", "acme", "--token-file", old.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn configuration_is_shown_without_secrets() {
    let shop = Shop::open();
    let shown = shop.json(&["config"]);
    assert_eq!(shown["plans"]["starter"]["routes"], json!(["calls"]), "{shown}");
    assert_eq!(shop.ask("/v1/config").1, shown);
}
