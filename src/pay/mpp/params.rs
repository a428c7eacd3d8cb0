//! Lists of challenges (RFC 9110 section 11.6.1): schemes, each with its parameters, all behind commas.
//!
//! A comma stands between parameters as between challenges, so only what follows one tells them apart: a name before `=` is
//! a parameter of the challenge before it, and a name before anything else is the scheme of the next.

use std::borrow::Cow;

/// A challenge of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Listed<'t> {
    /// Its scheme, as it is written.
    pub(super) scheme: &'t str,
    /// Its parameters in their order, names as they are written.
    params: Vec<(&'t str, Cow<'t, str>)>,
    /// All of it.
    pub(super) text: &'t str,
}

/// Reads a list. `None` where it is none: then nobody knows where one challenge ends.
pub(super) fn list(text: &str) -> Option<Vec<Listed<'_>>> {
    let mut reader = Reader { text, at: 0 };
    let mut found: Vec<Listed<'_>> = Vec::new();
    let mut start = 0;
    loop {
        reader.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
        if reader.is_over() {
            return Some(found);
        }
        let begun = reader.at;
        let name = reader.token()?;
        let behind = reader.at;
        reader.skip(is_space);
        if reader.take(b'=') {
            let challenge = found.last_mut()?;
            reader.skip(is_space);
            challenge.params.push((name, reader.value()?));
            challenge.text = text.get(start..reader.at)?;
            reader.expect_end()?;
            continue;
        }
        start = begun;
        let end = reader.token68().unwrap_or(behind);
        found.push(Listed { scheme: name, params: Vec::new(), text: text.get(start..end)? });
    }
}

impl Listed<'_> {
    /// Gives the first value of a parameter: what stands behind it cannot take its place.
    #[cfg(test)]
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let is_it = |(given, _): &&(&str, Cow<'_, str>)| given.eq_ignore_ascii_case(name);
        self.params.iter().find(is_it).map(|(_, value)| &**value)
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        self.rest().is_empty()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_it = self.rest().as_bytes().first() == Some(&byte);
        self.at = self.at.saturating_add(usize::from(is_it));
        is_it
    }

    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) -> &'t str {
        let rest = self.rest();
        let count = rest.bytes().take_while(|byte| is_skipped(*byte)).count();
        self.at = self.at.saturating_add(count);
        rest.get(..count).unwrap_or_default()
    }

    fn token(&mut self) -> Option<&'t str> {
        Some(self.skip(is_token)).filter(|token| !token.is_empty())
    }

    fn value(&mut self) -> Option<Cow<'t, str>> {
        if !self.take(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = Cow::Borrowed("");
        loop {
            value += self.skip(|byte| !matches!(byte, b'"' | b'\\'));
            if self.take(b'"') {
                return Some(value);
            }
            // A quoted pair (RFC 9110 section 5.6.4).
            self.at = self.at.saturating_add(1);
            let escaped = self.rest().chars().next()?;
            self.at = self.at.saturating_add(escaped.len_utf8());
            value.to_mut().push(escaped);
        }
    }

    /// Takes the one text that some schemes have in the place of parameters, and tells where it ends.
    fn token68(&mut self) -> Option<usize> {
        let begun = self.at;
        self.skip(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        self.skip(|byte| byte == b'=');
        let end = self.at;
        if end > begun && self.expect_end().is_some() {
            return Some(end);
        }
        self.at = begun;
        None
    }

    fn expect_end(&mut self) -> Option<()> {
        self.skip(is_space);
        (self.is_over() || self.rest().starts_with(',')).then_some(())
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
