//! A list in the room that there is: columns are left out, then the first one is cut.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{
    palette::Palette,
    panel::{Column, Panel, Row},
};
use crate::cli::table::Side;

/// Blanks between two columns.
const GAP: usize = 2;

/// How narrow the first column may become before others are left out.
const NAME_MIN: usize = 14;

/// How narrow other columns of texts may become. Numbers are never cut.
const TEXT_MIN: usize = 10;

/// Draws the list: its title, the headings, as many rows as fit.
pub(super) fn draw(
    panel: &Panel,
    is_chosen: bool,
    palette: Palette,
    area: Rect,
    buffer: &mut Buffer,
) {
    let width = usize::from(area.width);
    let mut lines = area.rows();
    let mut next = |text: &str, style: Style| {
        if let Some(line) = lines.next() {
            buffer.set_stringn(line.x, line.y, text, width, style);
        }
    };
    let title = cut(&panel.title, width.saturating_sub(2));
    next(&format!("{:<width$}", format!(" {title} ")), palette.title(is_chosen));
    if panel.rows.is_empty() {
        return next(panel.empty, palette.faint());
    }
    let shown = columns(panel, width);
    let headings: Vec<String> =
        panel.columns.iter().map(|column| column.heading.to_owned()).collect();
    next(&written(&headings, &shown), palette.faint());
    for Row { cells, mark } in &panel.rows {
        next(&written(cells, &shown), palette.mark(*mark));
    }
}

/// A column that is shown.
struct Shown {
    index: usize,
    side: Side,
    /// What its widest cell takes.
    natural: usize,
    width: usize,
}

/// Chooses the columns and their widths: as many as fit when texts are cut, and then as little as possible
/// is cut, the first column last.
fn columns(panel: &Panel, room: usize) -> Vec<Shown> {
    let mut shown: Vec<Shown> =
        panel.columns.iter().enumerate().map(|of| narrow(panel, of)).collect();
    let taken = |shown: &[Shown]| -> usize {
        let widths: usize = shown.iter().map(|column| column.width).sum();
        widths + GAP * shown.len().saturating_sub(1)
    };
    let rank = |index: usize| panel.columns.get(index).map_or(0, |column| column.rank);
    while taken(&shown) > room {
        let indexes = shown.iter().map(|column| column.index).filter(|index| rank(*index) > 0);
        let Some(last) = indexes.max_by_key(|index| rank(*index)) else { break };
        shown.retain(|column| column.index != last);
    }
    let over = taken(&shown).saturating_sub(room);
    let mut rest = room.saturating_sub(taken(&shown));
    if let Some(first) = shown.first_mut() {
        first.width = first.width.saturating_sub(over);
    }
    for column in &mut shown {
        let more = (column.natural - column.width.min(column.natural)).min(rest);
        column.width += more;
        rest -= more;
    }
    shown
}

/// Makes a column as narrow as it may become.
fn narrow(panel: &Panel, (index, column): (usize, &Column)) -> Shown {
    let cells = panel.rows.iter().filter_map(|row| row.cells.get(index));
    let widest = cells.map(|cell| columns_of(cell)).max().unwrap_or(0);
    let natural = widest.max(columns_of(column.heading));
    let width = match (index, column.side) {
        (0, _) => natural.min(NAME_MIN),
        (_, Side::Left) => natural.min(TEXT_MIN),
        (_, Side::Right) => natural,
    };
    Shown { index, side: column.side, natural, width }
}

fn written(cells: &[String], shown: &[Shown]) -> String {
    let one = |Shown { index, side, width, .. }: &Shown| {
        let cell = cut(cells.get(*index).map_or("", String::as_str), *width);
        let blanks = " ".repeat(width.saturating_sub(columns_of(&cell)));
        match side {
            Side::Left => format!("{cell}{blanks}"),
            Side::Right => format!("{blanks}{cell}"),
        }
    };
    shown.iter().map(one).collect::<Vec<_>>().join(&" ".repeat(GAP))
}

/// Gives how many columns of the terminal a text takes.
fn columns_of(text: &str) -> usize {
    Line::raw(text).width()
}

/// Cuts a text that is too wide, and marks that it was.
pub(super) fn cut(text: &str, width: usize) -> String {
    if columns_of(text) <= width {
        return text.to_owned();
    }
    let (mut short, mut taken) = (String::new(), 0);
    for grapheme in Span::raw(text).styled_graphemes(Style::new()) {
        taken += columns_of(grapheme.symbol);
        if taken + 1 > width {
            break;
        }
        short.push_str(grapheme.symbol);
    }
    if width > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::panel::Mark;

    fn panel() -> Panel {
        let column = |heading, side, rank| Column { heading, side, rank };
        let columns = vec![
            column("name", Side::Left, 0),
            column("more", Side::Right, 0),
            column("some", Side::Right, 1),
            column("few", Side::Right, 2),
        ];
        let cells = ["a-name-of-twenty-four-xx", "1", "22", "333"].map(str::to_owned).to_vec();
        let rows = vec![Row { cells, mark: Mark::Plain }];
        Panel { title: "list".to_owned(), columns, rows, empty: "none" }
    }

    fn drawn(width: u16) -> String {
        let area = Rect::new(0, 0, width, 4);
        let mut buffer = Buffer::empty(area);
        draw(&panel(), false, Palette::plain(), area, &mut buffer);
        super::super::view::text_of(&buffer)
    }

    #[test]
    fn what_does_not_fit_is_left_out_by_rank() {
        assert_eq!(drawn(50).lines().nth(1), Some("name                      more  some  few"));
        assert_eq!(drawn(36).lines().nth(2), Some("a-name-of-twenty-f…     1    22  333"));
        assert_eq!(drawn(30).lines().nth(2), Some("a-name-of-twenty-…     1    22"));
        assert_eq!(drawn(22).lines().nth(2), Some("a-name-of-twent…     1"));
        assert_eq!(drawn(8).lines().nth(2), Some("a…     1"));
        for width in 0..8 {
            drawn(width);
        }
    }

    #[test]
    fn wide_letters_are_cut_where_they_end() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!((cut("abc", 1), cut("abc", 0)), ("…".to_owned(), String::new()));
    }
}
