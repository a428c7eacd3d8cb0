//! `faregate usage`: what a customer has used, has left, and when it renews.
#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not have")]

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::Value;

use crate::cli::{
    admin::{Call, Remote},
    print::{cell, plain},
    table::{Side, Table},
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
    if let Some(limit) = document["rate"]["limit"].as_u64() {
        out.push_str(&format!("\nrate {limit} per {} s\n", document["rate"]["window_seconds"]));
    }
    out
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
