//! What operators send.

use super::input::{first, pieces};
use crate::admin::fuzz;

/// The lines of an import are the same however its bytes come; their numbers rise; and no message repeats
/// what may be a key.
pub(super) fn import(data: &[u8]) {
    let (form, data) = first(data);
    let (data, parts) = pieces(data);
    let whole = fuzz::import(&[data], form);
    assert_eq!(whole, fuzz::import(&parts, form));
    let mut before = 0;
    for (line, said) in whole {
        assert!(line > before || line == 0, "{line} behind {before}");
        before = line;
        let Err(message) = said else { continue };
        for word in words(data) {
            assert!(!message.contains(word), "{message}");
        }
    }
}

/// Gives what may be a key: long, with a digit.
fn words(data: &[u8]) -> impl Iterator<Item = &str> {
    let words = data.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    let is_key = |word: &&[u8]| word.len() >= 16 && word.iter().any(u8::is_ascii_digit);
    words.filter(is_key).filter_map(|word| std::str::from_utf8(word).ok())
}

/// A body is taken or refused with a reason.
pub(super) fn body(data: &[u8]) {
    let (kind, data) = first(data);
    fuzz::body(kind, data);
}
