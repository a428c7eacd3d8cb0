//! A configuration of any size, as a text.

use std::fmt::Write;

use faregate::model::KeyDigest;

/// What the measured requests meet: a route that costs, a plan with every kind of limit, none of which
/// is ever reached, and a customer whose plan is smaller than one call.
const TABLES: &str = r#"
[server]
listen = "127.0.0.1:8402"
public_url = "https://api.example.com"

[log]
access = "off"

[upstreams.weather]
url = "http://127.0.0.1:9000"

[[routes]]
name = "forecast"
path = "/v1/forecast/{*rest}"
methods = ["GET"]
upstream = "weather"
cost = 2
scopes = ["read"]

[plans.pro]
quotas = [
  { name = "monthly", limit = 999999999999999, window = "month" },
  { name = "daily", limit = 999999999999999, window = "day" },
]
rate = { limit = 1000000000, window = "1s" }
concurrency = 1000
upgrade_url = "https://example.com/billing"

[plans.trifle]
quotas = [{ limit = 1, window = "month" }]
upgrade_url = "https://example.com/billing"
"#;

/// Routes beside the measured one, so that the table is not trivial.
const OTHER_ROUTES: usize = 30;

/// The customer whose plan is smaller than one call. Its key is `key(SPENT, 0)`.
pub(crate) const SPENT: &str = "spent";

/// Gives the name of a customer on the plan with room.
pub(crate) fn customer(number: usize) -> String {
    format!("customer{number}")
}

/// Gives a customer's key, as a caller sends it.
pub(crate) fn key(customer: &str, number: usize) -> String {
    format!("fg_live_{customer:0>20}{number:0>29}")
}

/// Writes a configuration with some customers on the plan with room, each with some keys, and the one
/// on the other plan.
pub(crate) fn tables(customers: usize, keys_each: usize) -> String {
    let mut text = TABLES.to_owned();
    for number in 0..OTHER_ROUTES {
        let path = format!("/v1/things{number}/{{id}}/parts");
        write!(text, "\n[[routes]]\npath = \"{path}\"\nupstream = \"weather\"\n").unwrap();
    }
    for number in 0..customers {
        push_customer(&mut text, &customer(number), "pro", keys_each);
    }
    push_customer(&mut text, SPENT, "trifle", 1);
    text
}

fn push_customer(text: &mut String, id: &str, plan: &str, keys: usize) {
    write!(text, "\n[customers.{id}]\nplan = \"{plan}\"\n").unwrap();
    text.push_str("anchor = \"2026-01-31T10:00:00Z\"\nkeys = [\n");
    for number in 0..keys {
        let digest = KeyDigest::of(key(id, number).as_bytes());
        writeln!(text, "  {{ digest = \"{digest}\", scopes = [\"read\"] }},").unwrap();
    }
    text.push_str("]\n");
}
