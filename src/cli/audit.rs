//! `faregate audit`: who changed what.

use clap::Args;
use serde_json::Value;

use crate::cli::{
    admin::{Call, Remote},
    list::{Extent, List},
    print::cell,
    table::Side,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate audit --customer acme\n  \
    faregate audit --limit 20 --json        with what was there before and after")]
pub(super) struct Audit {
    /// Only what was done to this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    remote: Remote,
}

const COLUMNS: &[(&str, Side)] = &[
    ("number", Side::Right),
    ("at", Side::Left),
    ("who", Side::Left),
    ("did", Side::Left),
    ("customer", Side::Left),
    ("to", Side::Left),
];

impl Audit {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { customer, extent, remote } = self;
        let call = Call::get(&["audit"]).query("customer", customer.as_deref());
        List { call, cursor: "before", columns: COLUMNS, row }.show(&remote, extent)
    }
}

fn row(entry: &Value) -> Vec<String> {
    let fields = ["sequence", "at", "actor", "action", "customer", "subject"];
    fields.iter().map(|field| cell(entry.get(field).unwrap_or(&Value::Null))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::table::Table;

    #[test]
    fn entries_are_readable() {
        let mut table = Table::new(COLUMNS);
        for (sequence, actor) in [(1200, "maria"), (7, "cli\u{7}")] {
            table.row(row(&json!({
                "sequence": sequence, "at": "2026-11-20T00:00:00Z", "actor": actor,
                "action": "key.revoke", "customer": "acme", "subject": "key_1",
                "before": {"status": "active"}, "after": {"status": "revoked"},
            })));
        }
        insta::assert_snapshot!(table.page());
    }
}
