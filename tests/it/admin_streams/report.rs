//! Usage added up, against traffic that is known.

use serde_json::{Value, json};

use crate::{
    customers,
    support::{Gateway, Response, Upstream},
};

fn report(gateway: &Gateway, query: &str, accept: &str) -> Response {
    let field = format!("Accept: {accept}");
    let fields = if accept.is_empty() { vec![] } else { vec![field.as_str()] };
    gateway.admin_with("GET", &format!("/v1/usage?{query}"), &fields, "")
}

/// Two customers over two days: 5 calls of `acme`, 2 of `filed`.
fn traffic(upstream: &Upstream) -> Gateway {
    let mut gateway = customers::start(upstream);
    let pro = json!({"id": "acme", "subscription": {"plan": "pro"}});
    gateway.changed("POST", "/v1/customers", &pro);
    let key = json!({"id": "acme-1", "scopes": ["read"]});
    let key = customers::secret(&gateway.changed("POST", "/v1/customers/acme/keys", &key));
    for (time, path, key) in [
        ("2026-11-16T10:00:00Z", "/calls/x", &*key),
        ("2026-11-16T10:00:59Z", "/reports", &*key),
        ("2026-11-16T10:01:00Z", "/calls/y", &*key),
        ("2026-11-16T23:59:59Z", "/calls/x", "key-of-filed"),
        ("2026-11-17T00:00:00Z", "/calls/x", "key-of-filed"),
        ("2026-11-17T10:30:00Z", "/calls/x", &*key),
        ("2026-11-17T11:00:00Z", "/calls/x", &*key),
    ] {
        gateway.set_time(time);
        assert_eq!(gateway.get(path, key).verdict(), "200");
    }
    gateway
}

#[test]
fn one_document_has_everything_that_was_answered() {
    let upstream = Upstream::ok();
    let gateway = traffic(&upstream);
    let response = report(&gateway, "from=2026-11-16&to=2026-11-18T00:00:00%2B00:00", "");
    assert_eq!(response.status(), 200, "{}", response.text());
    assert_eq!(response.field("content-type"), Some("application/json"));
    let row = |customer: &str, route: &str, day: &str, count: u64| json!({"customer": customer, "route": route, "day": day, "requests": count, "units": count});
    assert_eq!(
        response.json(),
        json!({
            "from": "2026-11-16T00:00:00Z",
            "to": "2026-11-18T00:00:00Z",
            "by": ["customer", "route", "day"],
            "rows": [
                row("acme", "calls", "2026-11-16", 2),
                row("acme", "calls", "2026-11-17", 2),
                row("acme", "reports", "2026-11-16", 1),
                row("filed", "calls", "2026-11-16", 1),
                row("filed", "calls", "2026-11-17", 1),
            ],
        })
    );
}

#[test]
fn the_first_instant_is_in_it_and_the_last_is_not() {
    let upstream = Upstream::ok();
    let gateway = traffic(&upstream);
    for (query, rows) in [
        ("from=2026-11-16&to=2026-11-17&by=customer", json!([["acme", 3], ["filed", 1]])),
        ("from=2026-11-17&to=2026-11-18&by=customer", json!([["acme", 2], ["filed", 1]])),
        (
            "from=2026-11-16T10:01:00Z&to=2026-11-17T10:30:00Z&by=customer",
            json!([["acme", 1], ["filed", 2]]),
        ),
        ("from=2026-11-16&to=2026-11-18&by=customer&customer=filed", json!([["filed", 2]])),
        ("from=2026-11-16&to=2026-11-18&by=customer&customer=nobody", json!([])),
    ] {
        let told = report(&gateway, query, "application/json").json();
        let short = |row: &Value| json!([row["customer"], row["requests"]]);
        let told: Vec<Value> = told["rows"].as_array().unwrap().iter().map(short).collect();
        assert_eq!(json!(told), rows, "{query}");
    }
}

#[test]
fn tables_and_lines_tell_the_same() {
    let upstream = Upstream::ok();
    let gateway = traffic(&upstream);
    let query = "from=2026-11-16&to=2026-11-17&by=hour,key,ending";
    let table = report(&gateway, query, "text/csv");
    assert_eq!(table.field("content-type"), Some("text/csv"));
    assert_eq!(
        table.text(),
        "key,ending,hour,requests,units\r\n\
         acme-1,completed,2026-11-16T10:00:00Z,3,3\r\n\
         filed-key,completed,2026-11-16T23:00:00Z,1,1\r\n"
    );
    let lines = report(&gateway, query, "application/x-ndjson");
    assert_eq!(lines.field("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> =
        lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = |key: &str, hour: &str, count: u64| json!({"key": key, "ending": "completed", "hour": hour, "requests": count, "units": count});
    let expected =
        [row("acme-1", "2026-11-16T10:00:00Z", 3), row("filed-key", "2026-11-16T23:00:00Z", 1)];
    assert_eq!(lines, expected);
}

#[test]
fn names_are_no_formulas_in_a_table() {
    let upstream = Upstream::ok();
    let gateway = customers::start(&upstream);
    let key = customers::customer(&gateway, "@SUM:1", "pro");
    assert_eq!(gateway.get("/calls/x", &key).verdict(), "200");
    let table = report(&gateway, "from=2026-11-16&to=2026-11-17&by=customer", "text/csv");
    assert_eq!(table.text(), "customer,requests,units\r\n'@SUM:1,1,1\r\n");
}

#[test]
fn wrong_questions_are_told() {
    let upstream = Upstream::ok();
    let gateway = customers::start(&upstream);
    for (query, accept, verdict) in [
        ("", "", "400 invalid_query"),
        ("from=2026-11-16", "", "400 invalid_query"),
        ("from=2026-11-17&to=2026-11-16", "", "400 invalid_query"),
        ("from=2026-11-16&to=2026-11-17&by=colour", "", "400 invalid_query"),
        ("from=2026-11-16&to=2026-11-17&by=hour,day", "", "400 invalid_query"),
        ("from=2026-11-16&to=2026-11-17&colour=red", "", "400 invalid_query"),
        ("from=2026-11-16&to=2026-11-17", "text/html", "406 not_acceptable"),
        ("from=2026-11-16&to=2026-11-17", "text/html, */*;q=0.1", "200"),
    ] {
        assert_eq!(report(&gateway, query, accept).verdict(), verdict, "{query} {accept}");
    }
}
