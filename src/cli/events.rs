//! `faregate events`: what was or is to be sent to webhooks.

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use serde_json::{Value, json};

use crate::cli::{
    admin::{Call, Remote},
    list::{Extent, List},
    print::{cell, plain},
    table::Side,
};

/// The arguments.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        faregate events --state failed\n  \
        faregate events retry msg_019aa10d2c5f"
)]
pub(super) struct Events {
    #[command(subcommand)]
    one: Option<One>,
    /// Only those in this state
    #[arg(long, value_parser = ["failed", "pending", "delivered"])]
    state: Option<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    remote: Remote,
}

/// What is done to one event.
#[derive(Debug, Subcommand)]
enum One {
    /// Send an event again
    #[command(after_help = "Example:\n  faregate events retry msg_019aa10d2c5f")]
    Retry(Retry),
}

#[derive(Args, Debug)]
struct Retry {
    /// The event's id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    #[command(flatten)]
    remote: Remote,
}

const COLUMNS: &[(&str, Side)] = &[
    ("event", Side::Left),
    ("at", Side::Left),
    ("type", Side::Left),
    ("customer", Side::Left),
    ("state", Side::Left),
    ("attempts", Side::Right),
    ("next attempt", Side::Left),
    ("answer", Side::Right),
    ("error", Side::Left),
];

impl Events {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { one, state, extent, remote } = self;
        if let Some(One::Retry(Retry { id, remote })) = one {
            let call = Call::post(&["events", &id, "retry"], json!({})).about(&id);
            return remote.show(&call, |_| format!("{} is sent again\n", plain(&id)));
        }
        let call = Call::get(&["events"]).query("state", state.as_deref());
        List { call, cursor: "before", columns: COLUMNS, row }.show(&remote, extent)
    }
}

fn row(event: &Value) -> Vec<String> {
    let fields = [
        "id",
        "at",
        "type",
        "customer",
        "state",
        "attempts",
        "next_attempt",
        "last_status",
        "last_error",
    ];
    fields.iter().map(|field| cell(&event[*field])).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::table::Table;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        events: Events,
    }

    #[test]
    fn list_and_retry_are_told_apart() {
        let parse = |line: &str| Line::try_parse_from(["x"].into_iter().chain(line.split(' ')));
        let retry = parse("retry evt_1 --json").unwrap().events;
        assert!(matches!(retry.one, Some(One::Retry(Retry { id, .. })) if id == "evt_1"));
        let list = parse("--state failed --limit 5").unwrap().events;
        assert!(list.one.is_none() && list.state.as_deref() == Some("failed"));
        assert!(parse("--state lost").is_err());
        assert!(parse("retry").is_err());
        assert!(parse("--state failed retry evt_1").is_err());
    }

    #[test]
    fn events_are_readable() {
        let mut table = Table::new(COLUMNS);
        table.row(row(&json!({
            "sequence": 7, "id": "evt_1", "endpoint": "acme", "customer": "acme",
            "type": "quota.exceeded", "state": "failed", "attempts": 12, "next_attempt": null,
            "last_status": 500, "last_error": "no\nanswer", "at": "2026-11-20T00:00:00Z",
        })));
        table.row(row(&json!({"id": "evt_2", "state": "pending", "attempts": 0})));
        insta::assert_snapshot!(table.page());
    }
}
