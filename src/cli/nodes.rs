//! `faregate nodes`: who shares the store.

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
#[command(after_help = "Example:\n  faregate nodes")]
pub(super) struct Nodes {
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    remote: Remote,
}

const COLUMNS: &[(&str, Side)] = &[
    ("node", Side::Left),
    ("this one", Side::Left),
    ("version", Side::Left),
    ("runs since", Side::Left),
];

impl Nodes {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { extent, remote } = self;
        let call = Call::get(&["nodes"]);
        List { call, cursor: "after", columns: COLUMNS, row }.show(&remote, extent)
    }
}

fn row(node: &Value) -> Vec<String> {
    let fields = ["id", "this", "version", "started_at"];
    fields.iter().map(|field| cell(node.get(field).unwrap_or(&Value::Null))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::table::Table;

    #[test]
    fn nodes_are_readable() {
        let mut table = Table::new(COLUMNS);
        table.row(row(&json!({
            "id": "01a1f967-b540-79ff-9e34-f76908c361dc", "this": true, "version": "0.1.0",
            "started_at": "2026-11-20T00:00:00Z",
        })));
        insta::assert_snapshot!(table.page());
    }
}
