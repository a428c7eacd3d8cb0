//! How the bytes of an input become what a target takes.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Takes the first byte off as a number, 0 where there is none.
pub(super) fn first(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// Cuts bytes into pieces: of the size of their first byte, or a single one for 0.
pub(super) fn pieces(data: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let (size, rest) = first(data);
    let size = if size == 0 { rest.len().max(1) } else { usize::from(size) };
    (rest, rest.chunks(size).collect())
}

/// Gives the lines of an input, as far as they are text.
pub(super) fn lines(data: &[u8]) -> impl Iterator<Item = &str> {
    data.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

/// Reads `name: value` lines into fields; what can be none is left out.
pub(super) fn fields(data: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(100) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()))
        else {
            continue;
        };
        fields.append(name, value);
    }
    fields
}
