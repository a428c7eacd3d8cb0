use ratatui::{Terminal, backend::TestBackend, style::Color};
use serde_json::json;

use super::*;
use crate::{
    cli::top::{example, text},
    live::Document,
};

const AT: Duration = Duration::from_secs(290);

/// What is drawn of two documents after some minutes of traffic.
struct Shown {
    figures: Option<Figures>,
    history: History,
}

impl Shown {
    fn new([before, after]: [Document; 2]) -> Self {
        let figures = Figures::between(&before, &after);
        let mut history = History::default();
        if figures.rates.requests > 0.0 {
            for second in 0..290_u32 {
                let rate = f64::from(600 + second * 7 % 680);
                history.push(Duration::from_secs(second.into()), rate);
            }
        }
        Self { figures: Some(figures), history }
    }

    fn busy() -> Self {
        Self::new(example::documents())
    }

    fn picture(&self) -> Picture<'_> {
        Picture {
            authority: "127.0.0.1:8403",
            figures: self.figures.as_ref(),
            history: &self.history,
            now: AT,
            silence: None,
            interval: Duration::from_secs(1),
            chosen: Kind::Customers,
            sort: Sort::Requests,
            is_paused: false,
            is_helping: false,
            palette: Palette::plain(),
        }
    }
}

fn buffer(picture: &Picture<'_>, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(picture, frame.area(), frame.buffer_mut())).unwrap();
    terminal.backend().buffer().clone()
}

fn drawn(picture: &Picture<'_>, width: u16, height: u16) -> String {
    text_of(&buffer(picture, width, height))
}

#[test]
fn small_terminal() {
    insta::assert_snapshot!(drawn(&Shown::busy().picture(), 80, 24));
}

#[test]
fn small_terminal_with_another_list() {
    let shown = Shown::busy();
    let picture = Picture { chosen: Kind::Quotas, sort: Sort::Name, ..shown.picture() };
    insta::assert_snapshot!(drawn(&picture, 80, 24));
}

#[test]
fn large_terminal() {
    insta::assert_snapshot!(drawn(&Shown::busy().picture(), 120, 40));
}

#[test]
fn wide_terminal() {
    insta::assert_snapshot!(drawn(&Shown::busy().picture(), 200, 50));
}

#[test]
fn gateway_that_nobody_calls() {
    insta::assert_snapshot!(drawn(&Shown::new(example::empty()).picture(), 80, 24));
}

#[test]
fn gateway_that_is_away() {
    let shown = Shown::busy();
    let silence = Some(Duration::from_secs(3));
    let picture = Picture { silence, is_paused: true, ..shown.picture() };
    let drawn = drawn(&picture, 80, 24);
    let head = drawn.lines().next().unwrap();
    assert!(head.ends_with("no answer since 3 s"), "{head}");
    assert!(drawn.contains("acme"), "what was known stays: {drawn}");
}

#[test]
fn before_the_second_answer() {
    let shown = Shown { figures: None, history: History::default() };
    let drawn = drawn(&shown.picture(), 80, 24);
    assert!(drawn.contains("faregate at 127.0.0.1:8403") && drawn.contains("measuring"), "{drawn}");
}

#[test]
fn help() {
    let shown = Shown::busy();
    let picture = Picture { is_helping: true, ..shown.picture() };
    insta::assert_snapshot!(drawn(&picture, 80, 24));
}

/// A document with names that no gateway of ours gives, as a false one might.
fn odd() -> [Document; 2] {
    let evil = "a\u{1b}[2J\u{1b}]0;title\u{7}b\nc\u{202e}d\u{9b}31m";
    let mut document = example::second();
    document["version"] = json!(format!("1{evil}"));
    document["busiest"]["customers"][0]["customer"] = json!(evil);
    document["busiest"]["customers"][1]["customer"] =
        json!("日本語のとても長い顧客の名前です".repeat(3));
    document["busiest"]["customers"][2]["customer"] = json!("c".repeat(128));
    document["quotas"]["items"] = json!([
        example::quota(evil, evil, Some(evil), 100, 95),
        example::quota(&"c".repeat(128), &"q".repeat(64), None, 999_999_999_999_999, 1),
    ]);
    document["routes"][0]["route"] = json!(evil);
    document["upstreams"][0]["upstream"] = json!(evil);
    document["upstreams"][0]["endpoint"] = json!("e".repeat(300));
    document["requests"][0]["code"] = json!(evil);
    document["requests"][0]["ending"] = json!(evil);
    [example::read(example::first()), example::read(document)]
}

#[test]
fn long_and_odd_names() {
    let shown = Shown::new(odd());
    insta::assert_snapshot!(drawn(&shown.picture(), 120, 40));
}

#[test]
fn nothing_that_acts_on_a_terminal_is_drawn() {
    let shown = Shown::new(odd());
    let acts = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    for (width, height) in [(80, 24), (120, 40), (400, 100)] {
        let buffer = buffer(&shown.picture(), width, height);
        let symbols = buffer.content().iter().map(ratatui::buffer::Cell::symbol);
        let found: Vec<&str> = symbols.filter(|symbol| symbol.contains(acts)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
    let figures = shown.figures.as_ref().unwrap();
    let text = text::picture("\u{1b}[2J", figures, Sort::Requests);
    assert!(!text.contains(|c| acts(c) && c != '\n'), "{text}");
}

#[test]
fn every_size_can_be_drawn() {
    for shown in [Shown::busy(), Shown::new(odd()), Shown::new(example::empty())] {
        for (width, height) in (0..60).flat_map(|height| [(0, height), (7, height), (79, height)]) {
            for is_helping in [false, true] {
                let picture = Picture { is_helping, chosen: Kind::Upstreams, ..shown.picture() };
                let area = Rect::new(0, 0, width, height);
                draw(&picture, area, &mut Buffer::empty(area));
            }
        }
    }
}

#[test]
fn colours_are_used_only_where_they_are_wanted() {
    let shown = Shown::busy();
    let colours = |palette| {
        let buffer = buffer(&Picture { palette, ..shown.picture() }, 120, 40);
        let coloured =
            |cell: &&ratatui::buffer::Cell| (cell.fg, cell.bg) != (Color::Reset, Color::Reset);
        buffer.content().iter().filter(coloured).count()
    };
    assert_eq!(colours(Palette::plain()), 0);
    assert!(colours(Palette::colourful()) > 100);
}

#[test]
fn picture_as_text() {
    let shown = Shown::busy();
    insta::assert_snapshot!(text::picture("127.0.0.1:8403", &shown.figures.unwrap(), Sort::Units));
}
