//! What of the file may be shown: everything but secrets.
//!
//! A raw key that was written where its digest belongs must not reach a terminal's history or the
//! log of a build. Where the parser could not read a line, nobody knows what is on it, and a guess
//! on the safe side decides.

use crate::config::report::Span;

/// How the gateway's own keys begin; they are blotted out wherever they stand, comments included.
const KEY_PREFIXES: [&str; 2] = ["fg_live_", "fg_test_"];

/// Words in the name of a key or table whose value may be a secret.
const TELLING: [&str; 10] = [
    "auth",
    "cookie",
    "credential",
    "digest",
    "headers",
    "key",
    "macaroon",
    "password",
    "secret",
    "token",
];

/// Gives the text with secrets blotted out, character by character, so that every place keeps its
/// byte, line and column.
pub(super) fn blot_out(text: &str, secrets: &[Span]) -> String {
    let mut spans: Vec<Span> = secrets.to_vec();
    for prefix in KEY_PREFIXES {
        spans.extend(text.match_indices(prefix).map(|(start, _)| key_at(text, start)));
    }
    spans.extend(text.match_indices("://").filter_map(|(start, _)| password_at(text, start + 3)));
    spans.sort();
    let mut spans = spans.into_iter().peekable();
    let mut concealed_to = 0;
    let blot = |(at, character): (usize, char)| {
        while let Some(span) = spans.next_if(|span| span.start <= at) {
            concealed_to = concealed_to.max(span.end);
        }
        if at < concealed_to { stain(character) } else { character }
    };
    text.char_indices().map(blot).collect()
}

/// Tells whether a line that could not be parsed may hold a secret, from the words on it, on the
/// lines up to the beginning of its value, and in the header of its table.
pub(super) fn may_hold_secret(text: &str, span: Span) -> bool {
    let rest = text.get(span.start..).unwrap_or("");
    let end = rest.find('\n').map_or(text.len(), |newline| span.start + newline);
    let mut in_value = true;
    for line in text.get(..end).unwrap_or(text).lines().rev() {
        let is_header = line.trim_start().starts_with('[');
        if (in_value || is_header) && is_telling(line) {
            return true;
        }
        if is_header && !in_value {
            return false;
        }
        in_value &= !begins_value(line);
    }
    false
}

/// Tells whether a line or a name has a word that goes with secrets.
pub(super) fn is_telling(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    TELLING.iter().any(|word| line.contains(word))
}

/// Tells whether a line is `name = …`, and not a piece of base64 that ends in `=`.
fn begins_value(line: &str) -> bool {
    let line = line.trim_start();
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    line.split_once('=').is_some_and(|(name, value)| {
        !name.is_empty() && name.chars().all(is_bare) && !matches!(value.trim(), "" | "=")
    })
}

fn key_at(text: &str, start: usize) -> Span {
    let rest = text.get(start..).unwrap_or("");
    let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    Span { start, end: start + length }
}

/// Finds the user name and password of a URL, before the last `@` in it.
fn password_at(text: &str, start: usize) -> Option<Span> {
    let rest = text.get(start..)?;
    let end =
        rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(rest.len());
    let length = rest.get(..end)?.rfind('@')?;
    Some(Span { start, end: start + length })
}

/// Gives a character of the same length in UTF-8 that tells nothing.
fn stain(character: char) -> char {
    match character.len_utf8() {
        _ if character.is_whitespace() => character,
        1 => '*',
        2 => '·',
        3 => '•',
        _ => '\u{1F7C4}',
    }
}
