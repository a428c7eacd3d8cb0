//! `faregate usage`: what a customer has used, has left, and when it renews.
#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not have")]

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::Value;

use crate::{
    cli::{
        admin::{Call, Remote},
        print::{cell, plain},
        table::{Side, Table},
    },
    model::Money,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate usage acme\n  \
    faregate usage acme --json --admin http://10.0.0.2:8403 --token-file token")]
pub(super) struct Usage {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    #[command(flatten)]
    remote: Remote,
}

impl Usage {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { customer, remote } = self;
        let call = Call::get(&["customers", &customer, "usage"]).about(&customer);
        remote.show(&call, table)
    }
}

/// Writes the document as a table.
fn table(document: &Value) -> String {
    let mut out = format!(
        "customer {}, plan {}, status {}\n\n",
        cell(&document["customer"]),
        cell(&document["plan"]),
        cell(&document["status"]),
    );
    let quotas = || document["quotas"].as_array().into_iter().flatten();
    // Most customers have no quotas but their own.
    let is_scoped = quotas().any(|quota| quota["scope"].is_string());
    let fields = [("name", "quota", Side::Left), ("scope", "scope", Side::Left)];
    let numbers = ["limit", "used", "reserved", "remaining"].map(|name| (name, name, Side::Right));
    let fields = fields.into_iter().filter(|(field, ..)| is_scoped || *field != "scope");
    let fields: Vec<_> = fields.chain(numbers).collect();
    let columns = fields.iter().map(|(_, heading, side)| (*heading, *side));
    let columns: Vec<_> = columns.chain([("renews", Side::Left)]).collect();
    let mut table = Table::new(&columns);
    for quota in quotas() {
        let mut row: Vec<String> = fields.iter().map(|(field, ..)| cell(&quota[*field])).collect();
        row.push(quota["window"]["end"].as_str().map_or_else(|| "never".to_owned(), plain));
        table.row(row);
    }
    out.push_str(&if quotas().next().is_some() { table.page() } else { "no quotas\n".to_owned() });
    for quota in quotas().filter(|quota| quota["overage"].is_object()) {
        out.push_str(&format!(
            "\noverage of {}: {}\n",
            cell(&quota["name"]),
            overage(&quota["overage"])
        ));
    }
    for credit in document["credits"].as_array().into_iter().flatten() {
        let [balance, reserved, currency] =
            ["balance", "reserved", "currency"].map(|field| cell(&credit[field]));
        out.push_str(&format!("\ncredit {balance} {currency}, {reserved} of it held by calls\n"));
    }
    if let Some(limit) = document["rate"]["limit"].as_u64() {
        out.push_str(&format!("\nrate {limit} per {} s\n", document["rate"]["window_seconds"]));
    }
    out
}

/// Says what is used beyond an allowance, and what it costs.
fn overage(overage: &Value) -> String {
    let amount = |name: &str| amount(&overage[name], &overage["currency"]);
    let (units, price, cost) = (cell(&overage["units"]), amount("price"), amount("amount"));
    let cap = match overage["spend_cap"] {
        Value::Null => "no spend cap".to_owned(),
        _ => format!("spend cap {}", amount("spend_cap")),
    };
    format!("{units} at {price}, {cost}; {cap}")
}

/// Writes an amount without the zeros that programs are given.
fn amount(nanos: &Value, currency: &Value) -> String {
    let text = format!("{} {}", cell(nanos), cell(currency));
    text.parse::<Money>().map_or(text, |money| money.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_readable() {
        let document = serde_json::json!({
            "customer": "acme", "plan": "pro", "status": "active",
            "quotas": [
                {"name": "monthly", "limit": 100_000, "used": 1234, "reserved": 2, "remaining": 98_764,
                 "window": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"}},
                {"name": "all", "limit": 5, "used": 5, "reserved": 0, "remaining": 0,
                 "window": {"start": "1970-01-01T00:00:00Z", "end": null}},
            ],
            "rate": {"limit": 50, "window_seconds": 1},
        });
        insta::assert_snapshot!(table(&document));
    }

    #[test]
    fn table_tells_what_is_used_beyond_an_allowance() {
        let overage = |units: u64, amount: &str, cap: Value| {
            serde_json::json!({
                "price": "0.001000000", "currency": "USD",
                "units": units, "amount": amount, "spend_cap": cap,
            })
        };
        let window =
            serde_json::json!({"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"});
        let document = serde_json::json!({
            "customer": "acme", "plan": "pro", "status": "active",
            "quotas": [
                {"name": "monthly", "limit": 1000, "used": 3400, "reserved": 1, "remaining": 0,
                 "overage": overage(2400, "2.400000000", "50.000000000".into()), "window": window},
                {"name": "other", "limit": 10, "used": 5, "reserved": 0, "remaining": 5,
                 "overage": overage(0, "0.000000000", Value::Null), "window": window},
            ],
            "rate": null,
        });
        insta::assert_snapshot!(table(&document));
    }

    #[test]
    fn credit_is_told_by_currency() {
        let credits = serde_json::json!([
            {"currency": "USD", "balance": "2.500000000", "reserved": "0.020000000"},
            {"currency": "EUR", "balance": "-1.000000000", "reserved": "0.000000000"},
        ]);
        let text = table(&serde_json::json!({"customer": "acme", "credits": credits}));
        let usd = "credit 2.500000000 USD, 0.020000000 of it held by calls\n";
        assert!(text.contains(usd) && text.contains("credit -1.000000000 EUR"), "{text}");
    }

    #[test]
    fn table_tells_whose_a_quota_is_when_some_have_a_scope() {
        let document = serde_json::json!({
            "customer": "acme", "plan": "pro", "status": "active",
            "quotas": [
                {"name": "monthly", "limit": 100, "used": 12, "reserved": 2, "remaining": 86,
                 "window": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"}},
                {"name": "daily", "scope": "application/mobile", "limit": 5, "used": 5,
                 "reserved": 0, "remaining": 0,
                 "window": {"start": "2026-11-02T00:00:00Z", "end": "2026-11-03T00:00:00Z"}},
            ],
            "rate": null,
        });
        insta::assert_snapshot!(table(&document));
    }
}
