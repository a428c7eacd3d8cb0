//! One picture as plain text, for where there is no terminal: everything, as wide as it needs.

use super::{
    panel::{Kind, Panel, Sort},
    sample::Figures,
    summary, words,
};
use crate::cli::{print::plain, table::Table};

/// Writes the picture.
pub(super) fn picture(authority: &str, figures: &Figures, sort: Sort) -> String {
    let mut text = format!(
        "faregate {} at {}, up {}, {}\n\n",
        plain(&figures.version),
        plain(authority),
        words::age(figures.uptime_seconds),
        figures.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    );
    for line in summary::lines(figures) {
        let items = line.items.iter().map(|item| format!("{} {}", item.name, item.value));
        let items: Vec<String> = items.map(|item| item.trim().to_owned()).collect();
        text.push_str(&format!("{:<9} {}\n", line.about, items.join("  ")));
    }
    for kind in Kind::ALL {
        let Panel { title, columns, rows, empty } = Panel::new(kind, figures, sort);
        text.push_str(&format!("\n{title}\n"));
        if rows.is_empty() {
            text.push_str(&format!("{empty}\n"));
            continue;
        }
        let columns: Vec<_> = columns.iter().map(|column| (column.heading, column.side)).collect();
        let mut table = Table::new(&columns);
        rows.into_iter().for_each(|row| table.row(row.cells));
        text.push_str(&table.page());
    }
    text
}
