//! Fields as they stand in a head.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use httparse::Header;

use super::{Malformed, push_field};

/// Fields of an answer for the caller, as they are written: without those that frame the body or are
/// about the connection.
#[derive(Debug, Default)]
pub struct Fields {
    /// Lines, one behind the other.
    pub lines: Vec<u8>,
    /// There is a `Date` among them.
    pub has_date: bool,
    /// What was said of the body's length.
    pub length: Option<u64>,
}

/// Room for the fields of most answers.
const LINES_BYTES: usize = 1024;

impl Fields {
    /// Makes none, with room for as many as most answers have.
    pub fn with_room() -> Self {
        Self { lines: Vec::with_capacity(LINES_BYTES), ..Self::default() }
    }

    /// Writes one more.
    pub fn push(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.has_date |= *name == header::DATE;
        push_field(&mut self.lines, name.as_str(), value.as_bytes());
    }

    /// Writes one more, of text that may hold what cannot stand in a field: that is replaced, so that no
    /// name from a file or a store can break a head open.
    pub fn push_text(&mut self, name: &HeaderName, text: &str) {
        self.push_written(name, |value| value.extend_from_slice(text.as_bytes()));
    }

    /// Writes one more like `push_text`, whose text comes from a function. An empty one makes no field.
    pub fn push_written(&mut self, name: &HeaderName, write: impl FnOnce(&mut Vec<u8>)) {
        let lines = &mut self.lines;
        let line = lines.len();
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        let value = lines.len();
        write(lines);
        if lines.len() == value {
            lines.truncate(line);
            return;
        }
        // Each is written, so that many are looked at together.
        for byte in lines.get_mut(value..).unwrap_or_default() {
            *byte = if (b' '..=b'~').contains(byte) { *byte } else { b'?' };
        }
        lines.extend_from_slice(b"\r\n");
    }

    /// Gives the value of the first field of a name, which is in lower case here.
    pub(crate) fn find(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.lines.split(|byte| *byte == b'\n');
        let value = |line: &'_ [u8]| -> Option<std::ops::Range<usize>> {
            let given = line.get(..name.len())?;
            let is_it = given.eq_ignore_ascii_case(name.as_bytes());
            (is_it && line.get(name.len()) == Some(&b':')).then_some(name.len() + 1..line.len())
        };
        lines.find_map(|line| value(line).and_then(|range| line.get(range))).map(<[u8]>::trim_ascii)
    }

    /// Gives the values of all fields of a name, which is in lower case here.
    pub(crate) fn find_all(&self, name: &str) -> Vec<Vec<u8>> {
        let lines = self.lines.split(|byte| *byte == b'\n');
        let value = |line: &[u8]| {
            let is_it = line.get(..name.len())?.eq_ignore_ascii_case(name.as_bytes());
            let value = line.get(name.len()..)?.strip_prefix(b":")?;
            is_it.then(|| value.trim_ascii().to_vec())
        };
        lines.filter_map(value).collect()
    }

    /// Takes out the fields whose names begin so, in whatever case.
    pub fn remove_beginning(&mut self, prefix: &[u8]) {
        let is_named = |line: &[u8]| {
            line.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let lines = || self.lines.split_inclusive(|byte| *byte == b'\n');
        if lines().any(is_named) {
            self.lines = lines().filter(|line| !is_named(line)).flatten().copied().collect();
        }
    }
}

/// Makes a map of fields.
pub(crate) fn map(parsed: &[Header<'_>]) -> Result<HeaderMap, Malformed> {
    const BAD: Malformed = Malformed("a field is none");
    let mut fields = HeaderMap::with_capacity(parsed.len());
    for Header { name, value } in parsed {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BAD)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| BAD)?;
        fields.append(name, value);
    }
    Ok(fields)
}

/// Gives the values of all fields of a name.
pub(crate) fn values<'a>(
    parsed: &'a [Header<'a>],
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> {
    let named = parsed.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    named.map(|field| field.value)
}

/// Gives the members of a list that the values of one or more fields make (RFC 9110 section 5.6.1).
pub(crate) fn members<'a>(
    values: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = &'a [u8]> {
    values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// Tells whether the list that values make has a member, in whatever case.
pub(crate) fn is_member<'a>(values: impl Iterator<Item = &'a [u8]>, wanted: &str) -> bool {
    members(values).any(|member| member.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// The same of a head that was parsed.
pub(crate) fn has_member(parsed: &[Header<'_>], name: &'static str, wanted: &str) -> bool {
    is_member(values(parsed, name), wanted)
}

/// Gives the values of all fields of a name in a map.
pub(crate) fn values_of<'a>(
    fields: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> {
    fields.get_all(name).into_iter().map(HeaderValue::as_bytes)
}

/// Reads the length of the body. Several that are equal are one (RFC 9110 section 8.6).
pub(crate) fn length(parsed: &[Header<'_>]) -> Result<Option<u64>, Malformed> {
    one_length(members(values(parsed, "content-length")))
}

/// The same of a map.
pub(crate) fn length_of(fields: &HeaderMap) -> Result<Option<u64>, Malformed> {
    one_length(members(values_of(fields, &header::CONTENT_LENGTH)))
}

fn one_length<'a>(all: impl Iterator<Item = &'a [u8]>) -> Result<Option<u64>, Malformed> {
    const BAD: Malformed = Malformed("its length is none");
    let mut found = None;
    for digits in all {
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(BAD);
        }
        let text = std::str::from_utf8(digits).map_err(|_| BAD)?;
        let length: u64 = text.parse().map_err(|_| BAD)?;
        if found.replace(length).is_some_and(|other| other != length) {
            return Err(Malformed("its body ends in two ways"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_out_by_how_they_begin() {
        let text = b"a: access-x\r\nAccess-X: 1\r\naccess: 2\r\naccess-: 3\r\n";
        let mut fields = Fields { lines: text.to_vec(), ..Fields::default() };
        fields.remove_beginning(b"access-");
        assert_eq!(fields.lines, b"a: access-x\r\naccess: 2\r\n");
        fields.remove_beginning(b"b-");
        assert_eq!(fields.lines, b"a: access-x\r\naccess: 2\r\n");
    }

    #[test]
    fn list_is_made_of_all_its_fields() {
        let mut fields = HeaderMap::new();
        for value in ["a,b ", " C", ""] {
            fields.append(header::TE, HeaderValue::from_static(value));
        }
        for (wanted, is_there) in [("a", true), ("B", true), ("c", true), ("d", false)] {
            assert_eq!(is_member(values_of(&fields, &header::TE), wanted), is_there, "{wanted}");
            assert!(!is_member(values_of(&fields, &header::ALLOW), wanted), "{wanted}");
        }
    }

    #[test]
    fn text_cannot_break_a_head_open() {
        let mut fields = Fields::default();
        fields.push_text(&HeaderName::from_static("a"), "x\r\ny: \u{e9}");
        assert_eq!(fields.lines, b"a: x??y: ??\r\n");
        fields.push_text(&HeaderName::from_static("b"), "");
        assert_eq!(fields.lines, b"a: x??y: ??\r\n");
    }
}
