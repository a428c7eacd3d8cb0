//! Any text is judged: none panics.

use proptest::{collection::vec, prelude::*, sample};

use super::*;

/// Judges a text and shows the report in every way there is.
fn judge(text: &str) {
    let loaded = Loaded::parse(text, Path::new(PATH));
    let report = loaded.report();
    for purpose in [Purpose::Check, Purpose::Run] {
        report.render(purpose, Colour::Plain);
        report.render(purpose, Colour::Ansi);
        report.summary(purpose);
    }
    let positions: Vec<_> =
        report.problems().iter().map(|problem| report.position(problem)).collect();
    assert!(positions.is_sorted());
    let is_bad = report.has(Severity::Error) || report.has(Severity::MissingSecret);
    assert_eq!(loaded.into_config().is_err(), is_bad);
}

/// Pieces that get further than random letters do.
const PIECES: [&str; 42] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\t",
    "\"",
    "'",
    "#",
    "é",
    "\u{1F600}",
    "server",
    "listen",
    "routes",
    "path",
    "plans",
    "quotas",
    "customers",
    "keys",
    "upstreams",
    "admin",
    "token",
    "\"30s\"",
    "\"/{*a}\"",
    "5",
    "true",
    "2026-01-31T10:00:00Z",
    "fg_live_x",
    "\"\"\"",
    "sha256:",
    "\0",
    "\u{202e}",
    "\u{feff}",
    "\\",
];

fn pieces(most: usize) -> impl Strategy<Value = String> {
    vec(sample::select(&PIECES[..]), 0..most).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_judged(text in any::<String>()) {
        judge(&text);
    }

    #[test]
    fn any_pieces_are_judged(text in pieces(60)) {
        judge(&text);
    }

    #[test]
    fn any_damage_is_judged(
        at in any::<sample::Index>(),
        length in 0..40usize,
        pieces in pieces(3),
    ) {
        let text: Vec<char> = include_str!("../../../config/faregate.toml").chars().collect();
        let at = at.index(text.len());
        let mut damaged: String = text[..at].iter().collect();
        damaged.push_str(&pieces);
        damaged.extend(text.iter().skip(at + length));
        judge(&damaged);
    }
}
