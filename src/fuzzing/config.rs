//! The configuration.

use std::path::Path;

use crate::config::{Colour, Loaded, Purpose, Severity, describe};

/// Any text is judged; each problem has its place in it; nothing is shown of a key; and what is taken can be
/// described.
pub(super) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let loaded = Loaded::parse(text, Path::new("/nowhere/faregate.toml"));
    let report = loaded.report();
    let lines = text.split('\n').count();
    let mut before = (1, 1);
    for problem in report.problems() {
        let place @ (line, column) = report.position(problem);
        assert!((1..=lines).contains(&line) && column >= 1 && place >= before, "{problem:?}");
        before = place;
    }
    for purpose in [Purpose::Check, Purpose::Run] {
        let shown = report.render(purpose, Colour::Plain);
        assert!(!shown.contains("fg_live_") && !shown.contains("fg_test_"), "{shown}");
        assert_eq!(shown.is_empty(), report.problems().is_empty());
        report.render(purpose, Colour::Ansi);
        assert!(!report.summary(purpose).is_empty());
    }
    let is_bad = report.has(Severity::Error) || report.has(Severity::MissingSecret);
    match loaded.into_config() {
        Ok(config) => {
            assert!(!is_bad && describe(&config).is_object());
        }
        Err(_) => assert!(is_bad),
    }
}
