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

const COLUMNS: &[(&str, Side)] = &[
    ("quota", Side::Left),
    ("limit", Side::Right),
    ("used", Side::Right),
    ("reserved", Side::Right),
    ("remaining", Side::Right),
    ("renews", Side::Left),
];

/// Writes the document as a table.
fn table(document: &Value) -> String {
    let mut out = format!(
        "customer {}, plan {}, status {}\n\n",
        cell(&document["customer"]),
        cell(&document["plan"]),
        cell(&document["status"]),
    );
    let mut table = Table::new(COLUMNS);
    for quota in document["quotas"].as_array().into_iter().flatten() {
        let fields = ["name", "limit", "used", "reserved", "remaining"];
        let mut row: Vec<String> = fields.iter().map(|field| cell(&quota[*field])).collect();
        row.push(quota["window"]["end"].as_str().map_or_else(|| "never".to_owned(), plain));
        table.row(row);
    }
    out.push_str(&table.page());
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
}
