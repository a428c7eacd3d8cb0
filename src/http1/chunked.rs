//! The chunked transfer coding (RFC 9112 section 7.1), taken off to the letter: what some
//! read one way and some another is refused.

use bytes::{Buf, BytesMut};
use http::HeaderMap;

use super::{
    Malformed, check_line_ends,
    fields::map,
    framing::{Step, take},
};

/// How long the line of a chunk's size may be, with what extends it.
const LINE_BYTES_MAX: usize = 4096;

/// How many fields may stand behind the last chunk, and how long they may be.
const FIELDS_MAX: usize = 100;
const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decoder {
    /// In the line of a chunk's size.
    Size,
    /// In a chunk that has so many bytes left.
    Data(u64),
    /// At the end of a chunk.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
    /// Behind it all.
    End,
}

impl Decoder {
    /// Before the first chunk.
    pub(crate) const BEGIN: Self = Self::Size;

    /// Takes the next piece of a body out of the buffer.
    pub(crate) fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Malformed> {
        loop {
            match *self {
                Self::Size => {
                    let Some((size, length)) = chunk_size(buffer)? else { return Ok(Step::More) };
                    buffer.advance(length);
                    *self = if size == 0 { Self::Trailers } else { Self::Data(size) };
                }
                Self::Data(left) => {
                    let Some(data) = take(buffer, left) else { return Ok(Step::More) };
                    let left = left.saturating_sub(u64::try_from(data.len()).unwrap_or(u64::MAX));
                    *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                    return Ok(Step::Data(data));
                }
                Self::DataEnd => match (buffer.first(), buffer.get(1)) {
                    (Some(b'\r'), Some(b'\n')) => {
                        buffer.advance(2);
                        *self = Self::Size;
                    }
                    (None, _) | (Some(b'\r'), None) => return Ok(Step::More),
                    _ => return Err(Malformed("a chunk is longer than it says")),
                },
                Self::Trailers => {
                    let Some((trailers, length)) = trailers(buffer)? else { return Ok(Step::More) };
                    buffer.advance(length);
                    *self = Self::End;
                    if !trailers.is_empty() {
                        return Ok(Step::Trailers(trailers));
                    }
                }
                Self::End => return Ok(Step::End),
            }
        }
    }
}

/// Reads a chunk's size; gives the length of its line too.
fn chunk_size(buffer: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    const BAD: Malformed = Malformed("a chunk's size is none");
    let Some(end) = buffer.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        return if buffer.len() < LINE_BYTES_MAX { Ok(None) } else { Err(BAD) };
    };
    let (line, _) = buffer.split_at(end);
    let line = line.strip_suffix(b"\r").ok_or(BAD)?;
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if !line.iter().all(is_text) {
        return Err(BAD);
    }
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(BAD);
    }
    let size = std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
    Ok(Some((size.ok_or(BAD)?, end.saturating_add(1))))
}

/// Reads the fields behind the last chunk; gives their length too, with the line that ends them.
fn trailers(buffer: &[u8]) -> Result<Option<(HeaderMap, usize)>, Malformed> {
    if buffer.starts_with(b"\r\n") {
        return Ok(Some((HeaderMap::new(), 2)));
    }
    let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
    match httparse::parse_headers(buffer, &mut room) {
        Ok(httparse::Status::Complete((length, parsed))) => {
            check_line_ends(buffer.get(..length).unwrap_or_default())?;
            Ok(Some((map(parsed)?, length)))
        }
        Ok(httparse::Status::Partial) if buffer.len() < TRAILER_BYTES_MAX => Ok(None),
        Ok(httparse::Status::Partial) => Err(Malformed("its trailers are too long")),
        Err(_) => Err(Malformed("its trailers are none")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Decoded = (Vec<u8>, HeaderMap, Vec<u8>);

    /// Decodes what comes in pieces of so many bytes; gives the body, the trailers and what is left.
    fn decode(text: &[u8], piece: usize) -> Result<Option<Decoded>, Malformed> {
        let (mut decoder, mut buffer) = (Decoder::Size, BytesMut::new());
        let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
        let mut pieces = text.chunks(piece);
        loop {
            match decoder.step(&mut buffer)? {
                Step::Data(data) => body.extend(&data[..]),
                Step::Trailers(fields) => trailers = fields,
                Step::End => {
                    let left = [&buffer[..], &pieces.collect::<Vec<_>>().concat()].concat();
                    return Ok(Some((body, trailers, left)));
                }
                Step::More => match pieces.next() {
                    Some(more) => buffer.extend_from_slice(more),
                    None => return Ok(None),
                },
            }
        }
    }

    fn encode(chunks: &[Vec<u8>], extension: &str) -> Vec<u8> {
        let mut text = Vec::new();
        for chunk in chunks {
            text.extend(format!("{:X}{extension}\r\n", chunk.len()).bytes());
            text.extend(chunk);
            text.extend(b"\r\n");
        }
        text.extend(b"0\r\n");
        text
    }

    proptest! {
        #[test]
        fn body_is_the_same_however_it_comes(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            extension in prop::sample::select(vec!["", ";a=b", " ;a=\"\t;\"", "\t"]),
            trailer in prop::sample::select(vec!["", "X-Sum: 1\r\n", "A: 1\r\na: 2\r\nB:\r\n"]),
            behind in "[ -~\r\n]{0,20}",
            piece in 1_usize..50,
        ) {
            let mut text = encode(&chunks, extension);
            text.extend(trailer.bytes());
            text.extend(b"\r\n");
            for end in 0..text.len() {
                prop_assert_eq!(decode(&text[..end], piece), Ok(None));
            }
            text.extend(behind.bytes());
            let (body, trailers, left) = decode(&text, piece).unwrap().unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert_eq!(trailers.len(), trailer.matches(':').count());
            prop_assert_eq!(left, behind.into_bytes());
        }

        /// Whatever comes, it is decided alike in one piece and byte by byte.
        #[test]
        fn nonsense_is_decided_alike_however_it_comes(text in "[0-2aF;+ x\t\r\n\u{0}-]{0,24}") {
            let (whole, bytes) = (decode(text.as_bytes(), 100), decode(text.as_bytes(), 1));
            match (&whole, &bytes) {
                // More than enough to see that it is nonsense may come at once.
                (Err(_), Err(_)) => {}
                _ => prop_assert_eq!(whole, bytes),
            }
        }
    }

    #[test]
    fn loose_forms_are_refused() {
        for text in [
            "\r\n\r\n",
            "+1\r\na\r\n",
            "-1\r\na\r\n",
            "0x1\r\na\r\n",
            "1 1\r\na\r\n",
            " 1\r\na\r\n",
            "g\r\n",
            "1\na\r\n",
            "1;\n0\r\na\r\n",
            "1;\rx\r\na\r\n",
            "1;\0\r\na\r\n",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\rx",
            "00000000000000001\r\na\r\n",
            "10000000000000000\r\n",
            "0\r\n X: 1\r\n\r\n",
            "0\r\nX\r\n\r\n",
            "0\r\nX: 1\n\r\n",
            "0\r\nX: 1\r\n\n",
            "0\r\n\n",
        ] {
            assert!(decode(text.as_bytes(), 100).is_err(), "{text:?}");
            assert!(decode(text.as_bytes(), 1).is_err(), "{text:?}");
        }
        assert!(decode(&[b'1'; LINE_BYTES_MAX], 100).is_err());
        let long = format!("0\r\nX: {}", "x".repeat(TRAILER_BYTES_MAX));
        assert!(decode(long.as_bytes(), 1000).is_err());
    }
}
