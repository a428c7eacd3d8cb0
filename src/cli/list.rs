//! Lists: page after page, for as long as more is wanted, with one page in memory.
#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not have")]

use clap::Args;
use serde_json::Value;

use crate::cli::{
    admin::{Call, Client, Remote},
    print::{json_safe, json_text, out},
    table::{Side, Table},
};

/// The most that the gateway gives at once.
const PAGE_MAX: u64 = 1000;

/// How much of a list is wanted.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Show this many
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with = "all"
    )]
    limit: u64,
    /// Show everything
    #[arg(long)]
    all: bool,
}

impl Extent {
    /// How many items are still wanted after some were shown; `None` when none are.
    fn wanted(self, shown: u64) -> Option<u64> {
        let left = if self.all { PAGE_MAX } else { self.limit.saturating_sub(shown).min(PAGE_MAX) };
        (left > 0).then_some(left)
    }
}

/// A list, and how its items are shown.
pub(super) struct List<'a> {
    /// What is asked for, without a cursor.
    pub(super) call: Call,
    /// The name of the cursor's parameter.
    pub(super) cursor: &'static str,
    /// The headings.
    pub(super) columns: &'a [(&'static str, Side)],
    /// Gives a row, a cell for every column.
    pub(super) row: fn(&Value) -> Vec<String>,
}

impl List<'_> {
    /// Prints as much of it as is wanted.
    pub(super) fn show(self, remote: &Remote, extent: Extent) -> anyhow::Result<()> {
        let client = remote.admin.client()?;
        let next = if remote.json {
            self.print_json(&client, extent)?
        } else {
            self.print_table(&client, extent)?
        };
        if next.is_some() && !remote.json {
            eprintln!("There are more; --all shows every one.");
        }
        Ok(())
    }

    fn print_table(&self, client: &Client, extent: Extent) -> anyhow::Result<Option<String>> {
        let mut table = Table::new(self.columns);
        self.pages(client, extent, |items| {
            for item in items {
                table.row((self.row)(item));
            }
            out(&table.page())
        })
    }

    /// Prints the document that the gateway would have given for all pages as one, an item on a
    /// line.
    fn print_json(&self, client: &Client, extent: Extent) -> anyhow::Result<Option<String>> {
        out("{\"items\":[")?;
        let mut separator = "\n";
        let next = self.pages(client, extent, |items| {
            for item in items {
                out(&format!("{separator}{}", json_safe(&item.to_string())))?;
                separator = ",\n";
            }
            Ok(())
        })?;
        let next = Value::from(next);
        out(&format!("\n],\"next\":{}", json_text(&next).trim_end()))?;
        out("}\n")?;
        Ok(next.as_str().map(str::to_owned))
    }

    /// Gives every page, and at the end the cursor to what was not wanted.
    fn pages(
        &self,
        client: &Client,
        extent: Extent,
        mut page: impl FnMut(&[Value]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<String>> {
        let mut shown = 0;
        let mut cursor: Option<String> = None;
        while let Some(wanted) = extent.wanted(shown) {
            let call = self.call.clone().query("limit", Some(&wanted.to_string()));
            let document = client.json(&call.query(self.cursor, cursor.as_deref()))?;
            let items = document["items"].as_array().map_or(&[][..], Vec::as_slice);
            page(items)?;
            shown = shown.saturating_add(items.len() as u64);
            let next = cursor_of(&document["next"]);
            // A cursor that leads nowhere new would be followed for ever. A page may be empty: where few
            // of many are wanted, the gateway stops to look now and then.
            if next.is_some() && next == cursor {
                return Err(client.not_ours("a list that does not go on".to_owned()).into());
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(cursor)
    }
}

/// Cursors are texts; a list by number may have a number.
fn cursor_of(next: &Value) -> Option<String> {
    match next {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::admin::scripted::{Scripted, answer};

    fn list() -> List<'static> {
        List {
            call: Call::get(&["customers"]).query("plan", Some("pro")),
            cursor: "after",
            columns: &[("id", Side::Left)],
            row: |item| vec![item["id"].to_string()],
        }
    }

    fn page(ids: &[u64], next: &Value) -> Value {
        let items: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
        json!({"items": items, "next": next})
    }

    fn walk(extent: Extent, pages: &[Value]) -> (anyhow::Result<Option<String>>, u64, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let server = Scripted::start(pages.iter().map(|page| answer("200 OK", page)).collect());
        let client = server.client(directory.path());
        let mut seen = 0;
        let next = list().pages(&client, extent, |items| {
            seen += items.len() as u64;
            Ok(())
        });
        let line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        (next, seen, server.read().into_iter().map(line).collect())
    }

    #[test]
    fn pages_are_followed_to_the_end() {
        let pages = [page(&[1, 2], &json!("2")), page(&[3], &json!(null))];
        let (next, seen, lines) = walk(Extent { limit: 100, all: true }, &pages);
        assert_eq!((next.unwrap(), seen), (None, 3));
        assert_eq!(
            lines,
            [
                "GET /v1/customers?plan=pro&limit=1000 HTTP/1.1",
                "GET /v1/customers?plan=pro&limit=1000&after=2 HTTP/1.1",
            ]
        );
    }

    #[test]
    fn limit_is_kept_over_pages() {
        let pages = [page(&[1, 2], &json!(2)), page(&[3], &json!(3))];
        let (next, seen, lines) = walk(Extent { limit: 3, all: false }, &pages);
        assert_eq!((next.unwrap().as_deref(), seen), (Some("3"), 3));
        assert!(lines[1].contains("limit=1&after=2"), "{}", lines[1]);
    }

    #[test]
    fn list_that_turns_in_circles_ends() {
        let pages = [page(&[1], &json!("1")), page(&[1], &json!("1"))];
        assert!(walk(Extent { limit: 100, all: true }, &pages).0.is_err());
    }
}
