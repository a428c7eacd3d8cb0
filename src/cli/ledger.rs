//! `faregate ledger` and `faregate verify`: every movement, and whether all of them add up.

use std::process::ExitCode;

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::Value;

use crate::cli::{
    admin::{Call, Remote},
    list::{Extent, List},
    print::{cell, json_text, out, plain},
    table::{Side, Table},
};

/// The arguments of `ledger`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate ledger acme\n  \
    faregate ledger acme --all --json\n\n\
    Of a quota the amount is what is used more, and the balance what is used then; of money the amount \
    is what there is more, and the balance what there is then. Without a number an entry is not made yet: \
    its minute may not be over.")]
pub(super) struct Ledger {
    /// The customer's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    customer: String,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    remote: Remote,
}

/// The arguments of `verify`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  faregate verify        exit code 1 if anything differs")]
pub(super) struct Verify {
    #[command(flatten)]
    remote: Remote,
}

const COLUMNS: &[(&str, Side)] = &[
    ("number", Side::Right),
    ("at", Side::Left),
    ("kind", Side::Left),
    ("of", Side::Left),
    ("route", Side::Left),
    ("requests", Side::Right),
    ("amount", Side::Right),
    ("balance", Side::Right),
];

impl Ledger {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { customer, extent, remote } = self;
        let call = Call::get(&["customers", &customer, "ledger"]).about(&customer);
        List { call, cursor: "after", columns: COLUMNS, row }.show(&remote, extent)
    }
}

fn row(entry: &Value) -> Vec<String> {
    let whose = entry["scope"].as_str().map(|scope| format!(" of {}", plain(scope)));
    let of = match (&entry["quota"], &entry["credit"]) {
        (Value::Null, currency) if !entry["payment"].is_null() => {
            format!("{} by payment", cell(currency))
        }
        (Value::Null, currency) => cell(currency),
        (quota, _) => format!("{}{}", cell(quota), whose.unwrap_or_default()),
    };
    let at = if entry["minute"].is_null() { &entry["at"] } else { &entry["minute"] };
    let [number, kind, route, requests, amount, balance] =
        ["sequence", "kind", "route", "requests", "amount", "balance"].map(|f| cell(&entry[f]));
    vec![number, cell(at), kind, of, route, requests, amount, balance]
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let found = self.remote.admin.client()?.json(&Call::post(&["verify"], Value::Null))?;
        out(&if self.remote.json { json_text(&found) } else { report(&found) })?;
        let is_ok = found.get("ok").and_then(Value::as_bool) == Some(true);
        Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn report(found: &Value) -> String {
    let [accounts, grants, entries, differences] =
        ["accounts", "grants", "entries", "differences"].map(|field| cell(&found[field]));
    let read = format!("{accounts} accounts and {grants} grants, {entries} entries");
    if found["ok"].as_bool() == Some(true) {
        return format!("everything adds up: {read}\n");
    }
    let columns = [
        ("customer", Side::Left),
        ("what", Side::Left),
        ("entries say", Side::Right),
        ("stands there", Side::Right),
    ];
    let mut table = Table::new(&columns);
    for one in found["first"].as_array().into_iter().flatten() {
        let fields = ["customer", "subject", "expected", "found"];
        table.row(fields.iter().map(|field| cell(&one[*field])).collect());
    }
    format!("{differences} differences among {read}\n\n{}", table.page())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_readable() {
        let mut table = Table::new(COLUMNS);
        let entries = [
            json!({"sequence": 7, "at": "2026-11-20T10:02:00Z", "kind": "consumed",
                "quota": "monthly", "credit": null, "minute": "2026-11-20T10:00:00Z",
                "route": "forecast", "requests": 3, "amount": 6, "balance": 106}),
            json!({"sequence": 8, "at": "2026-11-20T10:03:00Z", "kind": "granted", "quota": null,
                "credit": "USD", "grant": "grant_1", "amount": "25.000000000",
                "balance": "25.000000000"}),
            json!({"sequence": null, "at": "2026-11-20T10:04:00Z", "kind": "consumed",
                "quota": "daily", "scope": "application/mobile", "credit": null,
                "minute": "2026-11-20T10:04:00Z", "route": "forecast", "requests": 1,
                "amount": 1, "balance": 9}),
            json!({"sequence": 9, "at": "2026-11-20T10:05:00Z", "kind": "paid", "quota": null,
                "credit": "USD", "payment": "eip3009:x", "route": "forecast",
                "amount": "0.010000000", "balance": "0.010000000"}),
        ];
        entries.iter().for_each(|entry| table.row(row(entry)));
        insta::assert_snapshot!(table.page());
    }

    #[test]
    fn differences_are_readable() {
        let found = json!({"ok": true, "accounts": 3, "grants": 1, "entries": 12, "differences": 0,
            "first": []});
        let differs = json!({"ok": false, "accounts": 3, "grants": 1, "entries": 12,
            "differences": 1, "first": [{"customer": "acme", "subject": "units used of monthly",
            "expected": 12, "found": 11}]});
        insta::assert_snapshot!(format!("{}\n{}", report(&found), report(&differs)));
    }
}
