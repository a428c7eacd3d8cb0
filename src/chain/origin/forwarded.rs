//! `Forwarded` (RFC 7239), read from the right.
//!
//! Surprise: to read it from the left would let a client hide what the proxies add, by a quotation
//! mark that is never closed. From the right an element ends before anything that came earlier is
//! looked at.

use std::borrow::Cow;

use http::{HeaderMap, header};

/// What one hop says.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Element<'a> {
    /// Whom it forwards for.
    pub(super) node: Option<Cow<'a, [u8]>>,
    /// The host that it was asked for.
    pub(super) host: Option<Cow<'a, [u8]>>,
    /// The scheme that it was asked by.
    pub(super) proto: Option<Cow<'a, [u8]>>,
}

/// Gives the elements of all fields, that of the nearest hop first; `None` for what cannot be read.
pub(super) fn elements(fields: &HeaderMap) -> impl Iterator<Item = Option<Element<'_>>> {
    let values = fields.get_all(header::FORWARDED).iter().rev();
    values.flat_map(|value| Pieces::of(value.as_bytes(), b',')).map(element)
}

/// Reads an element: pairs of which no name stands twice (section 4).
fn element(text: &[u8]) -> Option<Element<'_>> {
    let mut element = Element::default();
    for pair in Pieces::of(text, b';').filter(|pair| !pair.is_empty()) {
        let equals = memchr::memchr(b'=', pair)?;
        let (name, value) = pair.split_at_checked(equals)?;
        let value = unquoted(value.get(1..)?)?;
        let place = match name.to_ascii_lowercase().as_slice() {
            b"for" => &mut element.node,
            b"host" => &mut element.host,
            b"proto" => &mut element.proto,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    Some(element)
}

/// Takes the quotation marks off a value, if it has them. Without them an address with a colon is
/// against the letter, but common and clear.
fn unquoted(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(rest) = value.strip_prefix(b"\"") else {
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\=".contains(byte);
        return (!value.is_empty() && value.iter().all(is_plain)).then_some(Cow::Borrowed(value));
    };
    let inner = rest.strip_suffix(b"\"")?;
    if memchr::memchr2(b'"', b'\\', inner).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => plain.push(bytes.next()?),
            _ => plain.push(byte),
        }
    }
    Some(Cow::Owned(plain))
}

/// The pieces between separators that stand outside of quotation marks, from the right.
struct Pieces<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Pieces<'a> {
    fn of(text: &'a [u8], separator: u8) -> Self {
        Self { rest: Some(text), separator }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest.take()?;
        let mut is_quoted = false;
        for (at, byte) in text.iter().enumerate().rev() {
            if *byte == b'"' && !(is_quoted && is_escaped(text, at)) {
                is_quoted = !is_quoted;
            } else if *byte == self.separator && !is_quoted {
                self.rest = text.get(..at);
                return text.get(at + 1..).map(<[u8]>::trim_ascii);
            }
        }
        Some(text.trim_ascii())
    }
}

/// Tells whether a byte has a backslash before it that is not itself escaped.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default().iter().rev();
    before.take_while(|byte| **byte == b'\\').count() % 2 == 1
}
