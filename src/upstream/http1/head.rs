//! The head of an answer.

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response};

use super::{Malformed, chunked::Decoder, framing::Framing};

/// How many fields an answer may have.
pub(super) const FIELDS_MAX: usize = 100;

/// How long the head of an answer may be.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    /// Status and fields, as they came.
    pub(crate) parts: response::Parts,
    /// Where its body ends.
    pub(crate) framing: Framing,
    /// Another request may follow on the connection.
    pub(crate) keeps_alive: bool,
}

/// Takes a head out of the buffer; `None` while it is not whole. There is room for some fields more.
pub(crate) fn parse(
    buffer: &mut BytesMut,
    is_answer_to_head: bool,
    room: usize,
) -> Result<Option<Head>, Malformed> {
    let mut found = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut answer,
        buffer,
        &mut found,
    );
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if buffer.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Malformed("its head is too long")),
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed("it has too many fields")),
        Err(_) => return Err(Malformed("its head is none")),
    };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Malformed("its status is none"))?;
    let is_old = answer.version == Some(0);
    let fields = fields(answer.headers, room)?;
    bytes::Buf::advance(buffer, length);
    let framing = framing(&fields, status, is_old, is_answer_to_head)?;
    let keeps_alive = framing != Framing::UntilClose && keeps_alive(&fields, is_old);
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.headers = fields;
    Ok(Some(Head { parts, framing, keeps_alive }))
}

/// Makes a map of fields that came.
pub(super) fn fields(parsed: &[httparse::Header<'_>], room: usize) -> Result<HeaderMap, Malformed> {
    const BAD: Malformed = Malformed("a field of it is none");
    let mut fields = HeaderMap::with_capacity(parsed.len() + room);
    for httparse::Header { name, value } in parsed {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BAD)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| BAD)?;
        fields.append(name, value);
    }
    Ok(fields)
}

/// Finds where the body ends. Two answers to that are none (RFC 9112 sections 6.1 and 6.3).
fn framing(
    fields: &HeaderMap,
    status: StatusCode,
    is_old: bool,
    is_answer_to_head: bool,
) -> Result<Framing, Malformed> {
    let length = length(fields)?;
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if coding.is_some() && (length.is_some() || is_old || codings.next().is_some()) {
        return Err(Malformed("its body ends in two ways"));
    }
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Malformed("its transfer coding is not known"));
    }
    let has_none = is_answer_to_head
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    Ok(match (coding, length) {
        _ if has_none => Framing::NONE,
        (Some(_), _) => Framing::Chunked(Decoder::Size),
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::UntilClose,
    })
}

/// Reads the length. Several that are equal are one (RFC 9110 section 8.6).
fn length(fields: &HeaderMap) -> Result<Option<u64>, Malformed> {
    const BAD: Malformed = Malformed("its length is none");
    let mut found = None;
    for value in fields.get_all(header::CONTENT_LENGTH) {
        for digits in value.as_bytes().split(|byte| *byte == b',') {
            let digits = digits.trim_ascii();
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(BAD);
            }
            let text = std::str::from_utf8(digits).map_err(|_| BAD)?;
            let length: u64 = text.parse().map_err(|_| BAD)?;
            if found.replace(length).is_some_and(|other| other != length) {
                return Err(Malformed("its body ends in two ways"));
            }
        }
    }
    Ok(found)
}

/// Tells whether another request may follow (RFC 9112 section 9.3).
fn keeps_alive(fields: &HeaderMap, is_old: bool) -> bool {
    let names = |option: &str| {
        let values = fields.get_all(header::CONNECTION).iter();
        values
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .any(|found| found.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    };
    if is_old { names("keep-alive") && !names("close") } else { !names("close") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Option<(Framing, bool, usize)>, Malformed> {
        let mut buffer = BytesMut::from(text);
        let head = parse(&mut buffer, false, 0)?;
        Ok(head.map(|head| (head.framing, head.keeps_alive, buffer.len())))
    }

    #[test]
    fn bodies_end_where_the_head_says() {
        let chunked = Framing::Chunked(Decoder::Size);
        for (head, expected) in [
            ("1.1 200 OK\r\n", (Framing::UntilClose, false)),
            ("1.1 200 OK\r\nContent-Length: 3\r\n", (Framing::Length(3), true)),
            ("1.1 200\r\ncontent-length:  3 \r\n", (Framing::Length(3), true)),
            ("1.1 200 OK\r\nContent-Length: 3, 3\r\n", (Framing::Length(3), true)),
            (
                "1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n",
                (Framing::Length(3), true),
            ),
            (
                "1.1 200 OK\r\nContent-Length: 3\r\nConnection: x, Close\r\n",
                (Framing::Length(3), false),
            ),
            ("1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n", (chunked, true)),
            ("1.1 204 No\r\nContent-Length: 3\r\n", (Framing::NONE, true)),
            ("1.1 304 No\r\nTransfer-Encoding: chunked\r\n", (Framing::NONE, true)),
            ("1.1 103 Early\r\n", (Framing::NONE, true)),
            ("1.0 200 OK\r\nContent-Length: 3\r\n", (Framing::Length(3), false)),
            (
                "1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n",
                (Framing::Length(3), true),
            ),
        ] {
            let text = format!("HTTP/{head}\r\nrest");
            let (framing, keeps_alive) = expected;
            assert_eq!(parse_text(&text), Ok(Some((framing, keeps_alive, 4))), "{head}");
        }
    }

    #[test]
    fn answer_to_head_has_no_body() {
        let mut buffer = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
        let head = parse(&mut buffer, true, 0).unwrap().unwrap();
        assert_eq!((head.framing, head.keeps_alive), (Framing::NONE, true));
        assert_eq!(head.parts.headers["content-length"], "3");
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        for head in [
            "1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n",
            "1.1 200 OK\r\nContent-Length: 3, 4\r\n",
            "1.1 200 OK\r\nContent-Length: 3,\r\n",
            "1.1 200 OK\r\nContent-Length: +3\r\n",
            "1.1 200 OK\r\nContent-Length: -3\r\n",
            "1.1 200 OK\r\nContent-Length: 0x3\r\n",
            "1.1 200 OK\r\nContent-Length:\r\n",
            "1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n",
            "1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
            "1.1 200 OK\r\nTransfer-Encoding: identity\r\n",
            "1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
            "1.1 200 OK\r\nX : 1\r\n",
            "1.1 200 OK\r\nX: 1\r\n 2\r\n",
            "1.1 200 OK\r\nX: \u{0}\r\n",
            "1.1 99 OK\r\n",
            "2.0 200 OK\r\n",
        ] {
            let parsed = parse_text(&format!("HTTP/{head}\r\n"));
            assert!(parsed.is_err(), "{head}: {parsed:?}");
        }
        let many = "X: 1\r\n".repeat(FIELDS_MAX + 1);
        assert!(parse_text(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).is_err());
        let long = "x".repeat(HEAD_BYTES_MAX);
        assert!(parse_text(&format!("HTTP/1.1 200 OK\r\nX: {long}")).is_err());
    }
}
