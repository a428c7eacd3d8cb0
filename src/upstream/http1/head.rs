//! The head of an answer.

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{HeaderName, StatusCode};

use crate::{
    http1::{self, Decoder, Fields, Framing, Malformed, members, push_field, values},
    upstream::headers::is_dropped_from_answer,
    websocket::Accept,
};

/// How many fields an answer may have.
const FIELDS_MAX: usize = 100;

/// How long the head of an answer may be.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// Its status.
    pub status: StatusCode,
    /// What of its fields is for the caller.
    pub fields: Fields,
    /// Where its body ends.
    pub(crate) framing: Framing,
    /// It changes to WebSocket.
    pub(crate) is_websocket: bool,
    /// What it accepts that with.
    pub(crate) accept: Option<Accept>,
    /// Another request may follow on the connection.
    pub(crate) keeps_alive: bool,
}

/// Takes over the fields of an answer that are for the caller.
fn passed(
    parsed: &[httparse::Header<'_>],
    status: StatusCode,
    options: &Options,
    length: Option<u64>,
) -> Fields {
    let mut fields = Fields { length, ..Fields::with_room() };
    // It says which protocol the caller has to speak (RFC 9110 section 15.5.22).
    let is_said =
        |name: &str| status == StatusCode::UPGRADE_REQUIRED && name.eq_ignore_ascii_case("upgrade");
    for httparse::Header { name, value } in parsed {
        if !is_said(name) && (is_dropped_from_answer(name) || options.names(name)) {
            continue;
        }
        fields.has_date |= name.eq_ignore_ascii_case("date");
        push_field(&mut fields.lines, name, value);
    }
    fields
}

/// Takes a head out of the buffer; `None` while it is not whole.
pub(crate) fn parse(
    buffer: &mut BytesMut,
    is_answer_to_head: bool,
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
    http1::check_line_ends(buffer.get(..length).unwrap_or_default())?;
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Malformed("its status is none"))?;
    let is_old = answer.version == Some(0);
    let body_length = http1::length(answer.headers)?;
    let framing = framing(answer.headers, body_length, status, is_old, is_answer_to_head)?;
    let options = Options::new(answer.headers);
    let keeps_alive = match is_old {
        _ if framing == Framing::UntilClose || options.close => false,
        true => options.keep_alive,
        false => true,
    };
    let is_websocket = status == StatusCode::SWITCHING_PROTOCOLS
        && http1::has_member(answer.headers, "upgrade", "websocket");
    let accept = values(answer.headers, "sec-websocket-accept").next();
    let accept = accept.filter(|_| is_websocket).and_then(|value| value.try_into().ok());
    let fields = passed(answer.headers, status, &options, body_length);
    bytes::Buf::advance(buffer, length);
    Ok(Some(Head { status, fields, framing, is_websocket, accept, keeps_alive }))
}

/// Finds where the body ends. Two answers to that are none (RFC 9112 sections 6.1 and 6.3).
fn framing(
    fields: &[httparse::Header<'_>],
    length: Option<u64>,
    status: StatusCode,
    is_old: bool,
    is_answer_to_head: bool,
) -> Result<Framing, Malformed> {
    let mut codings = values(fields, "transfer-encoding");
    let coding = codings.next();
    if coding.is_some() && (length.is_some() || is_old || codings.next().is_some()) {
        return Err(Malformed("its body ends in two ways"));
    }
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"chunked")) {
        return Err(Malformed("its transfer coding is not known"));
    }
    let has_none = is_answer_to_head
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    Ok(match (coding, length) {
        _ if has_none => Framing::NONE,
        (Some(_), _) => Framing::Chunked(Decoder::BEGIN),
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::UntilClose,
    })
}

/// What `Connection` says (RFC 9110 section 7.6.1).
#[derive(Default)]
struct Options {
    close: bool,
    keep_alive: bool,
    /// Fields about the connection.
    named: Vec<HeaderName>,
}

impl Options {
    fn new(fields: &[httparse::Header<'_>]) -> Self {
        let mut options = Self::default();
        for option in members(values(fields, "connection")) {
            if option.eq_ignore_ascii_case(b"close") {
                options.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                options.keep_alive = true;
            } else {
                options.named.extend(HeaderName::from_bytes(option));
            }
        }
        options
    }

    fn names(&self, name: &str) -> bool {
        self.named.iter().any(|named| named.as_str().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Option<(Framing, bool, usize)>, Malformed> {
        let mut buffer = BytesMut::from(text);
        let head = parse(&mut buffer, false)?;
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
    fn fields_for_the_caller_are_left_as_they_are() {
        let mut buffer = BytesMut::from(
            "HTTP/1.1 200 OK\r\nKeep-Alive: x\r\nX-Hop: 1\r\nX-Own:  a  b \r\nConnection: close, x-hop\r\n\
             Content-Length: 3\r\nUpgrade: x\r\nConnection: X-Other\r\nx-own: 2\r\nX-Other: 1\r\n\
             DATE: now\r\nTrailer: A, b\r\nFaregate-Cost: 1\r\nFAREGATE_COST: 1\r\nX_Request-ID: 1\r\n\r\n",
        );
        let head = parse(&mut buffer, false).unwrap().unwrap();
        let lines = String::from_utf8(head.fields.lines).unwrap();
        assert_eq!(lines, "X-Own: a  b\r\nx-own: 2\r\nDATE: now\r\nTrailer: A, b\r\n");
        assert!(head.fields.has_date);
    }

    #[test]
    fn answer_to_head_has_no_body() {
        let mut buffer = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
        let head = parse(&mut buffer, true).unwrap().unwrap();
        assert_eq!((head.framing, head.keeps_alive), (Framing::NONE, true));
        assert_eq!(head.fields.length, Some(3));
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
            "1.1 200 OK\nX: 1\r\n",
            "1.1 200 OK\r\nX: 1\n",
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
