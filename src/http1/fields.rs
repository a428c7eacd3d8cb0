//! Fields as they stand in a head.

use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Header;

use super::Malformed;

/// Makes a map of fields, but for some, with room for some more.
pub(crate) fn map(
    parsed: &[Header<'_>],
    is_left_out: impl Fn(&str) -> bool,
    room: usize,
) -> Result<HeaderMap, Malformed> {
    const BAD: Malformed = Malformed("a field is none");
    let mut fields = HeaderMap::with_capacity(parsed.len() + room);
    for Header { name, value } in parsed {
        if is_left_out(name) {
            continue;
        }
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

/// Gives the members of a list (RFC 9110 section 5.6.1).
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Reads the length of the body. Several that are equal are one (RFC 9110 section 8.6).
pub(crate) fn length(parsed: &[Header<'_>]) -> Result<Option<u64>, Malformed> {
    const BAD: Malformed = Malformed("its length is none");
    let mut found = None;
    for digits in values(parsed, "content-length").flat_map(members) {
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
