//! Customers and keys in bulk.

use serde_json::{Value, json};

use crate::{
    customers,
    support::{
        Client, Gateway, Response, Upstream,
        client::{bearer, head},
    },
};

const CSV: &str = "Content-Type: text/csv";
const LINES: &str = "Content-Type: application/x-ndjson";

fn import(gateway: &Gateway, fields: &[&str], body: &str) -> Vec<Value> {
    let response = gateway.admin_with("POST", "/v1/import", fields, body);
    assert_eq!(response.status(), 200, "{}", response.text());
    assert_eq!(response.field("content-type"), Some("application/x-ndjson"));
    assert!(response.whole);
    results(&response)
}

fn results(response: &Response) -> Vec<Value> {
    response.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Writes results in short: line, customer, result and error, or the summary.
fn short(results: &[Value]) -> Vec<String> {
    let short = |result: &Value| {
        let text = |name: &str| result[name].as_str().unwrap_or("-").to_owned();
        if result.get("done").is_some() {
            return result.to_string();
        }
        let error = if result["error"].is_null() { String::new() } else { text("error") };
        let line = format!("{} {} {} {error}", result["line"], text("customer"), text("result"));
        line.trim_end().to_owned()
    };
    results.iter().map(short).collect()
}

fn summary(lines: u64, created: u64, updated: u64, unchanged: u64, errors: u64) -> String {
    json!({"done": true, "lines": lines, "created": created, "updated": updated,
        "unchanged": unchanged, "errors": errors})
    .to_string()
}

/// A table with a mark at its start, line breaks in cells, blank lines and bad lines.
const TABLE: &str = "\u{feff}customer,name,plan,key,scopes\r\n\
    acme,\"Acme, \"\"Inc\"\"\",starter,key-of-acme,\"a\r\nread\"\r\n\
    \r\n\
    beta,,nonsense,,\r\n\
    beta,,pro,key-of-beta,read write\r\n\
    acme,,pro,,\r\n\
    acme,,,second-key-of-acme,\r\n\
    filed,,,,\r\n\
    gamma,x,y\r\n\
    fg_live_s3cret,,,,\r\n\
    beta,,,key-of-acme,\r\n\
    delta,,starter,key-of-delta,";

#[test]
fn table_is_imported_but_for_its_bad_lines_and_again_without_a_change() {
    let upstream = Upstream::ok();
    let mut gateway = customers::start(&upstream);
    let errors = [
        "5 - error plan: there is no such plan; there are: starter, pro, old",
        "7 - error plan: line 2 gave this customer another plan",
        "9 - error the customer `filed` is declared in the configuration file; change it there and \
         reload",
        "10 - error the line has 3 cells, and the first line names 5",
        "11 - error customer: this is a key, and an id is shown to everyone; write a name for it",
        "12 - error key: this key belongs to another customer",
    ];
    let without_customer = |results: &[Value]| -> Vec<String> {
        let only = results.iter().filter(|result| result["result"] == "error");
        let mut only: Vec<Value> = only.cloned().collect();
        only.iter_mut().for_each(|result| result["customer"] = Value::Null);
        short(&only)
    };
    let first = import(&gateway, &[CSV, "Faregate-Actor: the-import"], TABLE);
    assert_eq!(without_customer(&first), errors);
    let good = |results: Vec<Value>| {
        let good = results.into_iter().filter(|result| result["result"] != "error");
        short(&good.collect::<Vec<_>>())
    };
    assert_eq!(
        good(first),
        [
            "2 acme created".to_owned(),
            "6 beta created".to_owned(),
            "8 acme created".to_owned(),
            "13 delta created".to_owned(),
            summary(10, 4, 0, 0, 6),
        ]
    );
    for (key, path, verdict) in [
        ("key-of-acme", "/calls/x", "200"),
        ("second-key-of-acme", "/calls/x", "200"),
        ("key-of-acme", "/reports", "402 plan_upgrade_required"),
        ("key-of-beta", "/reports", "200"),
        ("key-of-delta", "/calls/x", "200"),
        ("fg_live_s3cret", "/calls/x", "401 invalid_api_key"),
    ] {
        assert_eq!(gateway.get(path, key).verdict(), verdict, "{key} {path}");
    }
    assert_eq!(gateway.admin("GET", "/v1/customers/acme").json()["name"], "Acme, \"Inc\"");

    let before = gateway.admin("GET", "/v1/audit").json();
    let actors = before["items"].as_array().unwrap();
    assert!(actors.iter().all(|entry| entry["actor"] == "the-import"), "{actors:?}");
    let again = import(&gateway, &[CSV], TABLE);
    assert_eq!(without_customer(&again), errors);
    assert_eq!(
        good(again),
        [
            "2 acme unchanged".to_owned(),
            "6 beta unchanged".to_owned(),
            "8 acme unchanged".to_owned(),
            "13 delta unchanged".to_owned(),
            summary(10, 0, 0, 4, 6),
        ]
    );
    assert_eq!(gateway.admin("GET", "/v1/audit").json(), before);
    gateway.restart();
    assert_eq!(gateway.get("/calls/x", "key-of-delta").verdict(), "200");
}

#[test]
fn documents_on_lines_are_imported_whatever_they_are_called() {
    let upstream = Upstream::ok();
    let body = "\n{\"customer\":\"acme\",\"plan\":\"pro\",\"key\":\"key-of-acme\",\
        \"scopes\":[\"read\"]}\n{\"customer\":\"beta\",\"scopes\":\"read\"}\n\n\
        {\"customer\":\"acme\",\"status\":\"past_due\"}\n{\"customer\":\"gone\"";
    for fields in [
        vec![LINES],
        vec!["Content-Type: application/jsonl"],
        vec!["Content-Type: application/json"],
        vec!["Content-Type: application/x-www-form-urlencoded"],
        vec![],
    ] {
        let gateway = customers::start(&upstream);
        let told = short(&import(&gateway, &fields, body));
        assert_eq!(
            told,
            [
                "2 acme created".to_owned(),
                "3 beta error scopes: it is about a key: give `key` or `key_digest` too".to_owned(),
                "5 acme error past_due_since: `past_due` needs `past_due_since`, the date of the \
                 first failed payment"
                    .to_owned(),
                "6 - error the line is not JSON at its byte 18".to_owned(),
                summary(4, 1, 0, 0, 3),
            ],
            "{fields:?}"
        );
        assert_eq!(gateway.get("/reports", "key-of-acme").verdict(), "200");
    }
    let gateway = customers::start(&upstream);
    assert_eq!(short(&import(&gateway, &[LINES], "")), [summary(0, 0, 0, 0, 0)]);
}

#[test]
fn changes_are_told_and_made_for_the_next_request() {
    let upstream = Upstream::ok();
    let gateway = customers::start(&upstream);
    let table = "customer,plan,key,key_id,expires,status,anchor,application\n\
        acme,starter,key-of-acme,acme-1,,,2026-10-31T10:00:00Z,\n";
    assert_eq!(import(&gateway, &[CSV], table)[0]["result"], "created");
    let changed = "customer,plan,key,key_id,expires,status,anchor,application\n\
        acme,pro,key-of-acme,,2026-11-01T00:00:00Z,,,\n";
    assert_eq!(import(&gateway, &[CSV], changed)[0]["result"], "updated");
    assert_eq!(gateway.get("/calls/x", "key-of-acme").verdict(), "401 api_key_expired");
    let key = gateway.admin("GET", "/v1/keys/acme-1").json();
    assert_eq!(key["expires"], "2026-11-01T00:00:00Z");
    let held = gateway.admin("GET", "/v1/customers/acme/subscription").json();
    assert_eq!((&held["plan"], &held["anchor"]), (&json!("pro"), &json!("2026-10-31T10:00:00Z")));
}

#[test]
fn table_with_unknown_columns_is_refused_whole() {
    let upstream = Upstream::ok();
    let gateway = customers::start(&upstream);
    for (table, fields) in [
        ("customer,colour,plan,fg_live_s3cret\nacme,red,pro,x\n", vec!["colour", "column 4"]),
        ("name,plan\nAcme,pro\n", vec!["customer"]),
        ("customer;plan\nacme;pro\n", vec!["column 1", "customer"]),
        ("customer,plan,plan\nacme,pro,pro\n", vec!["plan"]),
        ("", vec!["customer"]),
    ] {
        let response = gateway.admin_with("POST", "/v1/import", &[CSV], table);
        assert_eq!(response.verdict(), "422 invalid_request_body", "{table}");
        let errors = response.json()["errors"].clone();
        let named: Vec<&str> =
            errors.as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
        assert_eq!(named, fields, "{table}");
        assert!(!response.text().contains("s3cret"));
    }
    // Also when there is much behind the first line.
    let long = format!("colour\n{}", "red\n".repeat(2_000_000));
    let response = gateway.admin_with("POST", "/v1/import", &[CSV], &long);
    assert_eq!(response.verdict(), "422 invalid_request_body");
    let packed = ["Content-Encoding: gzip", CSV];
    let response = gateway.admin_with("POST", "/v1/import", &packed, "x");
    assert_eq!(response.verdict(), "415 unsupported_media_type");
    let listed = gateway.admin("GET", "/v1/customers").json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
}

/// Begins an import whose body has this length.
fn begin(gateway: &Gateway, mut client: Client, length: usize) -> Client {
    let token = bearer(gateway.running().admin_token().expose());
    let length = format!("Content-Length: {length}");
    client.send(head("POST", "/v1/import", &["Host: 127.0.0.1", &token, LINES, &length]));
    client
}

#[test]
fn results_come_while_lines_are_sent() {
    let upstream = Upstream::ok();
    let gateway = customers::start(&upstream);
    let line = |id| format!("{{\"customer\":\"c{id}\",\"key\":\"key-{id}\",\"plan\":\"pro\"}}\n");
    let client = Client::connect(gateway.running().admin_address());
    // A blank line is the last.
    let mut client = begin(&gateway, client, line(0).len() * 3 + 1);
    client.send(line(0));
    let head = client.head();
    assert_eq!(head.status, 200);
    let result = |text: Vec<u8>| serde_json::from_slice::<Value>(&text).unwrap();
    for id in 0..3 {
        if id > 0 {
            client.send(line(id));
        }
        let told = result(client.chunk().unwrap());
        assert_eq!((&told["line"], &told["result"]), (&json!(id + 1), &json!("created")));
        assert_eq!(gateway.get("/calls/x", &format!("key-{id}")).verdict(), "200");
    }
    client.send("\n");
    assert_eq!(result(client.chunk().unwrap())["done"], true);
    assert_eq!(client.chunk(), Some(Vec::new()));
}

#[test]
fn client_may_send_everything_before_it_reads() {
    const COUNT: usize = 50_000;
    let upstream = Upstream::ok();
    let gateway = customers::start(&upstream);
    // The results of bad lines are the longest, and nothing is stored for them.
    let body = "{\"customer\":\"acme\",\"colour\":\"red\"}\n".repeat(COUNT);
    let client = Client::connect_with_small_window(gateway.running().admin_address());
    let mut client = begin(&gateway, client, body.len());
    client.send(&body);
    let told = results(&client.response());
    assert_eq!(told.len(), COUNT + 1);
    assert_eq!(told[COUNT - 1]["line"], COUNT);
    assert_eq!(told[COUNT].to_string(), summary(COUNT as u64, 0, 0, 0, COUNT as u64));
}

#[test]
fn what_was_read_of_a_body_that_breaks_off_is_imported() {
    let upstream = Upstream::ok();
    let gateway = customers::start(&upstream);
    let body = "{\"customer\":\"acme\",\"plan\":\"pro\",\"key\":\"key-of-acme\"}\n\
        {\"customer\":\"beta\"}";
    let client = Client::connect(gateway.running().admin_address());
    let mut client = begin(&gateway, client, body.len() + 100);
    client.send(body);
    let head = client.head();
    let first = client.chunk().unwrap();
    let first: Value = serde_json::from_slice(&first).unwrap();
    assert_eq!((head.status, &first["result"]), (200, &json!("created")));
    client.finish();
    let last: Value = serde_json::from_slice(&client.chunk().unwrap()).unwrap();
    let expected = json!({"done": false, "error": "the body ended early", "lines": 1, "created": 1,
        "updated": 0, "unchanged": 0, "errors": 0});
    assert_eq!(last, expected);
    assert_eq!(gateway.get("/calls/x", "key-of-acme").verdict(), "200");
    assert_eq!(gateway.admin("GET", "/v1/customers/beta").verdict(), "404 customer_not_found");
}

#[test]
fn third_import_waits_for_one_of_two() {
    let upstream = Upstream::ok();
    let gateway = customers::start(&upstream);
    let address = gateway.running().admin_address();
    let mut open: Vec<Client> = Vec::new();
    for _ in 0..2 {
        let mut client = begin(&gateway, Client::connect(address), 100);
        client.send("{\"customer\":\"acme\"}\n");
        assert_eq!(client.head().status, 200);
        open.push(client);
    }
    let third = || gateway.admin_with("POST", "/v1/import", &[LINES], "{\"customer\":\"a\"}");
    assert_eq!(third().verdict(), "409 import_running");
    open.pop().unwrap().reset();
    crate::support::wait_until_equal(|| third().status(), &200);
}

#[test]
fn stop_does_not_wait_for_an_import() {
    let upstream = Upstream::ok();
    let mut gateway = customers::start(&upstream);
    let client = Client::connect(gateway.running().admin_address());
    let mut client = begin(&gateway, client, 1000);
    client.send("{\"customer\":\"acme\",\"plan\":\"pro\",\"key\":\"key-of-acme\"}\n");
    assert_eq!(client.head().status, 200);
    assert!(client.chunk().is_some());
    gateway.restart();
    assert_eq!(gateway.get("/calls/x", "key-of-acme").verdict(), "200");
}
