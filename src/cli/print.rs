//! What is printed: text and JSON that cannot move a terminal's cursor, and a closed pipe that is
//! no failure.

use std::io::{self, Write};

use serde_json::Value;

/// Whoever read the standard output has left, as `head` does; there is nobody to tell.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(super) struct OutputClosed;

/// Writes to standard output.
pub(super) fn out(text: &str) -> anyhow::Result<()> {
    written(io::stdout().lock().write_all(text.as_bytes()))
}

/// Tells a closed output from one that fails.
pub(super) fn written(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        other => Ok(other?),
    }
}

/// Writes a document as JSON, on several lines.
pub(super) fn json_text(document: &Value) -> String {
    json_safe(&format!("{document:#}\n"))
}

/// Escapes what JSON allows in a string and a terminal acts on; outside strings nothing of it
/// stands.
pub(super) fn json_safe(json: &str) -> String {
    escaped(json, |c| c == '\n', |c| format!("\\u{:04x}", u32::from(c)))
}

/// Escapes what a terminal would act on, line breaks too, so that a name stays in its cell.
pub(super) fn plain(text: &str) -> String {
    escaped(text, |_| false, |c| c.escape_default().to_string())
}

/// Escapes what a terminal would act on, but keeps line breaks and tabs: for a file that is shown.
pub(super) fn plain_lines(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\r' | '\t'), |c| c.escape_default().to_string())
}

fn escaped(text: &str, is_kept: fn(char) -> bool, escape: fn(char) -> String) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) && !is_kept(c) {
            safe.push_str(&escape(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Tells whether a terminal does something else with a character than to show it: control
/// characters, line separators, and what turns the direction of writing.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes a value as one cell: `-` for nothing, lists with commas, and nothing that acts on a
/// terminal.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => plain(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(_) => plain(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        let evil = "a\u{1b}[2Jb\nc\u{9b}31m\u{202e}d\u{7f}é";
        assert_eq!(plain(evil), "a\\u{1b}[2Jb\\nc\\u{9b}31m\\u{202e}d\\u{7f}é");
        assert_eq!(cell(&json!([evil])), plain(evil));
        assert_eq!(plain_lines("a\tb\n\u{1b}c\n"), "a\tb\n\\u{1b}c\n");
        let document = json!({"name": evil});
        let text = json_text(&document);
        assert!(!text.chars().any(|c| acts(c) && c != '\n'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
    }

    #[test]
    fn values_have_their_words() {
        assert_eq!(cell(&json!(null)), "-");
        assert_eq!(cell(&json!("")), "-");
        assert_eq!(cell(&json!([])), "-");
        assert_eq!(cell(&json!(true)), "yes");
        assert_eq!(cell(&json!(-5)), "-5");
        assert_eq!(cell(&json!(["a", "b"])), "a, b");
    }
}
