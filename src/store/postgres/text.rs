//! Texts as PostgreSQL takes them: it has no U+0000 in a text.
//!
//! Invariant: what is written comes back as it was, two texts are never written alike, and the order of the
//! bytes stays. U+0000 is written as U+0001 U+0001, and U+0001 as U+0001 U+0002.

use std::borrow::Cow;

const MARK: char = '\u{1}';

/// Gives the text as it is written.
pub(super) fn encode(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', MARK]) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => written.extend([MARK, '\u{1}']),
            MARK => written.extend([MARK, '\u{2}']),
            other => written.push(other),
        }
    }
    Cow::Owned(written)
}

/// Gives the text that was written so. What is not ours to understand stays as it is.
pub(super) fn decode(written: &str) -> Cow<'_, str> {
    if !written.contains(MARK) {
        return Cow::Borrowed(written);
    }
    let mut text = String::with_capacity(written.len());
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        match (c, rest.as_str().chars().next()) {
            (MARK, Some('\u{1}')) => text.push('\0'),
            (MARK, Some('\u{2}')) => text.push(MARK),
            (other, _) => {
                text.push(other);
                continue;
            }
        }
        rest.next();
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_come_back_and_keep_their_order(
            one in "[\\x00-\\x03a\u{e9}]{0,6}",
            other in "[\\x00-\\x03a\u{e9}]{0,6}",
        ) {
            prop_assert!(!encode(&one).contains('\0'));
            let written = encode(&one);
            prop_assert_eq!(&*decode(&written), &*one);
            prop_assert_eq!(encode(&one).cmp(&encode(&other)), one.cmp(&other));
        }
    }
}
