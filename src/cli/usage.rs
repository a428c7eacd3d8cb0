//! `faregate usage`: what a customer has used, has left, and when it renews.
#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not have")]

use std::iter;

use anyhow::{Context, bail};
use clap::Args;
use http::StatusCode;
use serde_json::Value;

use crate::cli::admin_client::Admin;

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Usage {
    /// The customer's id
    customer: String,
    /// Print the document as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Usage {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let path = format!("/v1/customers/{}/usage", encoded(&self.customer));
        let (status, body) = self.admin.get(&path, true)?;
        let document: Value =
            serde_json::from_slice(&body).context("the gateway's answer is not JSON")?;
        if status != StatusCode::OK {
            let detail = document["detail"].as_str().unwrap_or("no reason given");
            bail!("{}: {detail}", self.customer);
        }
        if self.json {
            println!("{document:#}");
        } else {
            print!("{}", table(&document));
        }
        Ok(())
    }
}

/// Encodes what may not stand in a path segment.
fn encoded(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    id.bytes().map(encode).collect()
}

/// A column of the table, its head first.
struct Column {
    cells: Vec<String>,
    align: Align,
}

/// Where a cell stands in its column: names begin alike, numbers end alike.
#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}

impl Column {
    /// Gives the cell of a row, as wide as the column.
    fn cell(&self, row: usize) -> String {
        let width = self.cells.iter().map(String::len).max().unwrap_or(0);
        let cell = self.cells.get(row).map_or("", String::as_str);
        match self.align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        }
    }
}

/// Writes the document as a table.
fn table(document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut out = format!(
        "customer {}, plan {}, status {}\n\n",
        text(&document["customer"]),
        text(&document["plan"]),
        text(&document["status"]),
    );
    let quotas: Vec<&Value> = document["quotas"].as_array().into_iter().flatten().collect();
    let number = |quota: &Value, name: &str| quota[name].to_string();
    let column = |name: &str, align: Align, cell: &dyn Fn(&Value) -> String| Column {
        cells: iter::once(name.to_owned()).chain(quotas.iter().map(|quota| cell(quota))).collect(),
        align,
    };
    let mut columns = vec![column("quota", Align::Left, &|quota| text(&quota["name"]))];
    if quotas.iter().any(|quota| quota["scope"].is_string()) {
        columns.push(column("scope", Align::Left, &|quota| text(&quota["scope"])));
    }
    for name in ["limit", "used", "reserved", "remaining"] {
        columns.push(column(name, Align::Right, &|quota| number(quota, name)));
    }
    columns.push(column("renews", Align::Left, &|quota| {
        quota["window"]["end"].as_str().unwrap_or("never").to_owned()
    }));
    for row in 0..=quotas.len() {
        let cells: Vec<String> = columns.iter().map(|column| column.cell(row)).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
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

    #[test]
    fn ids_are_encoded() {
        assert_eq!(encoded("a/b?c@d"), "a%2Fb%3Fc%40d");
    }
}
