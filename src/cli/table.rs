//! Tables for people: columns as wide as their widest cell, numbers to the right, nothing wrapped.

use serde_json::Value;

use crate::cli::print::cell;

/// To which side a column's cells are moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Left,
    /// For numbers.
    Right,
}

/// A table that is written page by page. Its columns never become narrower from one page to the
/// next, so that a long list needs no more memory than one page and stays readable.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    is_begun: bool,
}

#[derive(Debug)]
struct Column {
    heading: &'static str,
    side: Side,
    width: usize,
}

impl Table {
    /// Begins a table with its headings.
    pub(super) fn new(columns: &[(&'static str, Side)]) -> Self {
        let column = |&(heading, side): &(&'static str, Side)| Column {
            heading,
            side,
            width: heading.chars().count(),
        };
        Self { columns: columns.iter().map(column).collect(), rows: Vec::new(), is_begun: false }
    }

    /// Adds a row; a cell for every column.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for every column");
        for (column, cell) in self.columns.iter_mut().zip(&cells) {
            column.width = column.width.max(cell.chars().count());
        }
        self.rows.push(cells);
    }

    /// Takes out the rows that were added since the last page, with the headings before the first.
    pub(super) fn page(&mut self) -> String {
        let mut text = String::new();
        if !self.is_begun {
            self.is_begun = true;
            let headings: Vec<String> =
                self.columns.iter().map(|column| column.heading.to_owned()).collect();
            self.write(&headings, &mut text);
        }
        for row in std::mem::take(&mut self.rows) {
            self.write(&row, &mut text);
        }
        text
    }

    fn write(&self, cells: &[String], text: &mut String) {
        let padded = cells.iter().zip(&self.columns).map(|(cell, column)| match column.side {
            Side::Left => format!("{cell:<width$}", width = column.width),
            Side::Right => format!("{cell:>width$}", width = column.width),
        });
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
}

/// Writes what belongs to one thing as a block: a name and its value on each line.
pub(super) fn block(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    lines.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// Gives the lines of a block for some fields of a document, each under its name with spaces.
pub(super) fn lines<'a>(document: &Value, fields: &[&'a str]) -> Vec<(&'a str, String)> {
    fields.iter().map(|field| (*field, cell(document.get(field).unwrap_or(&Value::Null)))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_stay_in_their_columns() {
        let mut table = Table::new(&[("name", Side::Left), ("units", Side::Right)]);
        table.row(vec!["Zoë & Søn".to_owned(), "5".to_owned()]);
        table.row(vec!["-".to_owned(), "1234567".to_owned()]);
        let first = table.page();
        table.row(vec!["x".to_owned(), "7".to_owned()]);
        insta::assert_snapshot!(first + "--- next page\n" + &table.page());
    }

    #[test]
    fn empty_table_is_its_headings() {
        let mut table = Table::new(&[("name", Side::Left), ("units", Side::Right)]);
        assert_eq!(table.page(), "name  units\n");
        assert_eq!(table.page(), "");
    }

    #[test]
    fn block_lists_what_is_there() {
        let document = json!({"id": "acme", "name": null, "suspended": false});
        let text = block(&lines(&document, &["id", "name", "suspended", "missing"]));
        assert_eq!(text, "id         acme\nname       -\nsuspended  no\nmissing    -\n");
    }
}
