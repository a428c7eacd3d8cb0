//! One picture on the terminal, made of figures alone: nothing here asks anybody or waits.

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::Modifier,
    text::{Line, Span},
    widgets::{Clear, Paragraph, Sparkline, Widget},
};

use super::{
    grid,
    history::History,
    palette::Palette,
    panel::{Kind, Mark, Panel, Sort},
    sample::Figures,
    summary, words,
};
use crate::cli::print::plain;

/// The rows that a list has at least: its title, its headings, and some of what it is about.
const LIST_ROWS_MIN: u16 = 8;

/// The columns that a list has at least, so that two stand beside each other from 80 on.
const LIST_COLUMNS_MIN: u16 = 38;

/// Everything that is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture<'a> {
    /// Whom we ask.
    pub(super) authority: &'a str,
    /// `None` before two documents are there.
    pub(super) figures: Option<&'a Figures>,
    pub(super) history: &'a History,
    /// The time since the beginning, as in the history.
    pub(super) now: Duration,
    /// How long nobody has answered.
    pub(super) silence: Option<Duration>,
    pub(super) interval: Duration,
    pub(super) chosen: Kind,
    pub(super) sort: Sort,
    pub(super) is_paused: bool,
    pub(super) is_helping: bool,
    pub(super) palette: Palette,
}

/// Draws the picture.
pub(super) fn draw(picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let chart = match area.height {
        ..18 => 0,
        18..34 => 4,
        34.. => 6,
    };
    let heights = [1, 5, chart].map(Constraint::Length);
    let [a, b, c] = heights;
    let rows = [a, b, c, Constraint::Min(0), Constraint::Length(1)];
    let [head, numbers, chart, lists, foot] = area.layout(&Layout::vertical(rows));
    draw_head(picture, head, buffer);
    draw_foot(picture, foot, buffer);
    match picture.figures {
        Some(figures) => {
            draw_numbers(picture, figures, numbers, buffer);
            draw_chart(picture, chart, buffer);
            draw_lists(picture, figures, lists, buffer);
        }
        None => {
            let text = "measuring: figures come with the second answer";
            Paragraph::new(text).style(picture.palette.faint()).render(numbers, buffer);
        }
    }
    if picture.is_helping {
        draw_help(area, buffer);
    }
}

fn draw_head(picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let Picture { authority, figures, palette, .. } = picture;
    let bold = palette.mark(Mark::Plain).add_modifier(Modifier::BOLD);
    let version =
        figures.map_or_else(String::new, |figures| format!(" {}", plain(&figures.version)));
    let up = figures.map(|figures| format!(", up {}", words::age(figures.uptime_seconds)));
    let left = Line::from(vec![
        Span::styled(format!("faregate{version}"), bold),
        Span::raw(format!(" at {}{}", plain(authority), up.unwrap_or_default())),
    ]);
    let right = if let Some(silence) = picture.silence {
        let text = format!(" no answer since {} ", words::age(silence.as_secs_f64()));
        Span::styled(text, palette.mark(Mark::Bad))
    } else if picture.is_paused {
        Span::styled(" paused ", bold.add_modifier(Modifier::REVERSED))
    } else if figures.is_some_and(|figures| figures.restarted) {
        Span::styled(" started anew ", palette.mark(Mark::Warning))
    } else {
        let time = figures.map(|figures| figures.time.strftime("%H:%M:%SZ").to_string());
        Span::raw(time.unwrap_or_default())
    };
    // Whether anybody answers is worth more than who.
    let room = u16::try_from(right.width()).unwrap_or(u16::MAX);
    let [at_left, at_right] =
        area.layout(&Layout::horizontal([Constraint::Min(0), Constraint::Length(room)]));
    left.render(at_left, buffer);
    right.render(at_right, buffer);
}

fn draw_numbers(picture: &Picture<'_>, figures: &Figures, area: Rect, buffer: &mut Buffer) {
    let palette = picture.palette;
    for (line, row) in summary::lines(figures).into_iter().zip(area.rows()) {
        let mut spans = vec![Span::styled(format!("{:<9} ", line.about), palette.faint())];
        for summary::Item { name, value, mark } in line.items {
            if !name.is_empty() {
                spans.push(Span::styled(format!("{name} "), palette.faint()));
            }
            spans.push(Span::styled(value, palette.mark(mark)));
            spans.push(Span::raw("  "));
        }
        Line::from(spans).render(row, buffer);
    }
}

fn draw_chart(picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let bars = picture.history.bars(area.width.into(), picture.now);
    let most = bars.iter().flatten().copied().fold(0.0, f64::max);
    let [title, chart] =
        area.layout(&Layout::vertical([Constraint::Length(1), Constraint::Min(0)]));
    let minutes = super::history::SPAN.as_secs() / 60;
    let text =
        format!("requests per second, last {minutes} minutes, at most {}", words::rate(most));
    Line::styled(text, picture.palette.faint()).render(title, buffer);
    // In hundredths, since there may be less than one each second.
    let bars = bars.into_iter().map(|bar| bar.map(|rate| (rate * 100.0).round() as u64));
    let most = (most * 100.0).round() as u64;
    let chart_of = Sparkline::default().data(bars).max(most.max(1)).style(picture.palette.chart());
    chart_of.absent_value_symbol(" ").render(chart, buffer);
}

/// Draws as many lists as there is room for: all of them in their order, or the chosen one first and
/// those that come after it.
fn draw_lists(picture: &Picture<'_>, figures: &Figures, area: Rect, buffer: &mut Buffer) {
    let columns = if area.width >= 2 * LIST_COLUMNS_MIN { 2 } else { 1 };
    let all = u16::try_from(Kind::ALL.len()).unwrap_or(u16::MAX);
    let rows = (area.height / LIST_ROWS_MIN).clamp(1, all.div_ceil(columns));
    let first = if rows * columns >= all { Kind::default() } else { picture.chosen };
    let mut kinds = (0..all.min(rows * columns)).map(|step| first.step(step.into()));
    let heights = vec![Constraint::Fill(1); rows.into()];
    for row in Layout::vertical(heights).split(area).iter() {
        let kinds: Vec<_> = kinds.by_ref().take(columns.into()).collect();
        let widths = vec![Constraint::Fill(1); kinds.len()];
        let cells = Layout::horizontal(widths).spacing(2).split(*row);
        for (kind, cell) in kinds.into_iter().zip(cells.iter()) {
            let panel = Panel::new(kind, figures, picture.sort);
            grid::draw(&panel, kind == picture.chosen, picture.palette, *cell, buffer);
        }
    }
}

fn draw_foot(picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let interval = crate::model::duration_text(picture.interval);
    let keys = "q quit  p pause  tab list  left/right sort  ? help";
    let room = usize::from(area.width);
    let text = format!(
        "{keys}{:>rest$}",
        format!("every {interval}"),
        rest = room.saturating_sub(keys.len())
    );
    Line::styled(text, picture.palette.faint()).render(area, buffer);
}

fn draw_help(area: Rect, buffer: &mut Buffer) {
    const HELP: &[&str] = &[
        "",
        "  q, Esc, Ctrl-C    leave",
        "  p, Space          stand still, and go on",
        "  Tab, Down         the next list",
        "  Shift-Tab, Up     the list before",
        "  Right, Left       sort customers and routes",
        "  ?                 this help",
        "",
        "  gateway, own   until the answer's head, less the",
        "                 time at the upstream",
        "  whole          until the last byte is handed over",
        "  ~              an estimate from counts by buckets",
        "  cpu            100 % is one processor",
        "",
    ];
    let height = u16::try_from(HELP.len()).unwrap_or(u16::MAX);
    let place = area.centered(Constraint::Length(54), Constraint::Length(height + 2));
    Clear.render(place, buffer);
    let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::raw(*line)).collect();
    let block = ratatui::widgets::Block::bordered().title(" help ");
    Paragraph::new(lines).block(block).render(place, buffer);
}

/// Gives what stands in a buffer, without blanks at the ends of lines.
#[cfg(test)]
pub(super) fn text_of(buffer: &Buffer) -> String {
    let area = buffer.area;
    let line = |y: u16| {
        let (mut line, mut skip) = (String::new(), 0);
        for x in 0..area.width {
            let symbol = buffer[(x, y)].symbol();
            // A wide letter takes the place behind it as well.
            if skip == 0 {
                line.push_str(symbol);
                skip = Line::raw(symbol).width().max(1);
            }
            skip -= 1;
        }
        line.trim_end().to_owned()
    };
    (0..area.height).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
