//! `faregate nodes`: who shares the store.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use serde_json::Value;

use crate::cli::{
    WrongUsage,
    admin::{Call, Remote},
    list::{Extent, List},
    print::{cell, plain},
    table::Side,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  faregate nodes\n  faregate nodes forget 01a1f967-b540-79ff-9e34-f76908c361dc",
    args_conflicts_with_subcommands = true
)]
pub(super) struct Nodes {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forget a node that will not come back, and what it held
    #[command(
        after_help = "Example:\n  faregate nodes forget 01a1f967-b540-79ff-9e34-f76908c361dc --yes"
    )]
    Forget(Forget),
}

#[derive(Args, Debug)]
struct Forget {
    /// The node's id, as `faregate nodes` shows it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    remote: Remote,
}

const COLUMNS: &[(&str, Side)] = &[
    ("node", Side::Left),
    ("this one", Side::Left),
    ("state", Side::Left),
    ("leads", Side::Left),
    ("version", Side::Left),
    ("runs since", Side::Left),
    ("last seen", Side::Left),
    ("holds", Side::Right),
    ("of accounts", Side::Right),
    ("forfeited", Side::Right),
];

impl Nodes {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { command, extent, remote } = self;
        match command {
            Some(Command::Forget(forget)) => forget.run(),
            None => {
                let call = Call::get(&["nodes"]);
                List { call, cursor: "after", columns: COLUMNS, row }.show(&remote, extent)
            }
        }
    }
}

impl Forget {
    fn run(self) -> anyhow::Result<()> {
        let Self { id, yes, remote } = self;
        if !yes && !is_confirmed(&id)? {
            anyhow::bail!("{} was not forgotten", plain(&id));
        }
        let call = Call::delete(&["nodes", &id]).about(&id);
        remote.show(&call, |_| format!("{} is forgotten\n", plain(&id)))
    }
}

/// Asks at a terminal. Where nobody can answer, it has to be asked for in full.
fn is_confirmed(id: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        let message = "nobody can be asked whether to forget it; give --yes";
        return Err(WrongUsage(message.to_owned()).into());
    }
    eprint!("Forget the node {}, whose journal will not come back? [y/N] ", plain(id));
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn row(node: &Value) -> Vec<String> {
    let fields = ["id", "this", "state", "leads", "version", "started_at", "seen_at"];
    let told = fields.iter().map(|field| node.get(field));
    let holds = ["units", "accounts", "forfeited"].into_iter();
    let holds = holds.map(|field| node.get("holds").and_then(|holds| holds.get(field)));
    told.chain(holds).map(|value| cell(value.unwrap_or(&Value::Null))).collect()
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
            "id": "01a1f967-b540-79ff-9e34-f76908c361dc", "this": true, "state": "live",
            "leads": true, "version": "0.1.0", "started_at": "2026-11-20T00:00:00Z",
            "seen_at": "2026-11-20T08:00:00Z",
            "holds": { "accounts": 3, "units": 1200, "forfeited": 0 },
        })));
        insta::assert_snapshot!(table.page());
    }

    #[test]
    fn whom_nobody_can_ask_must_say_it_in_full() {
        let remote = Remote::default();
        let forget = Forget { id: "x".to_owned(), yes: false, remote };
        if !io::stdin().is_terminal() {
            assert!(forget.run().unwrap_err().is::<WrongUsage>());
        }
    }
}
