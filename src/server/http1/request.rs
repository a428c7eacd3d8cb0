//! The head of a request.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::{Method, Uri, Version, request};

use crate::http1::{self, Decoder, Framing, Malformed, has_member, length, values};

/// For up to so many fields there is room without asking for memory.
const FIELDS_USUAL: usize = 100;

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    /// Method, target, version and fields, as they came.
    pub(crate) parts: request::Parts,
    /// Where its body ends.
    pub(crate) framing: Framing,
    /// The client takes another answer on the connection.
    pub(crate) keeps_alive: bool,
    /// The client waits to be asked for the body.
    pub(crate) waits: bool,
    /// The client takes fields behind the answer's body.
    pub(crate) takes_trailers: bool,
}

/// Why there is no head in what came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unparsable {
    /// It is malformed, or ambiguous.
    Malformed(&'static str),
    /// It has too many fields, or is too long.
    TooLarge,
}

impl From<Malformed> for Unparsable {
    fn from(Malformed(reason): Malformed) -> Self {
        Self::Malformed(reason)
    }
}

/// Takes a head out of the buffer; `None` while it is not whole.
pub(crate) fn parse(
    buffer: &mut BytesMut,
    fields_max: usize,
    bytes_max: usize,
) -> Result<Option<Head>, Unparsable> {
    let mut usual = [const { MaybeUninit::uninit() }; FIELDS_USUAL];
    let mut unusual = Vec::new();
    let found = match usual.get_mut(..fields_max) {
        Some(usual) => usual,
        None => {
            unusual.resize_with(fields_max, MaybeUninit::uninit);
            unusual.as_mut_slice()
        }
    };
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(buffer, found) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if buffer.len() <= bytes_max => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Unparsable::TooLarge);
        }
        Err(_) => return Err(Unparsable::Malformed("The request is no HTTP/1.1.")),
    };
    let head = head(&request)?;
    http1::check_line_ends(buffer.get(..length).unwrap_or_default())?;
    buffer.advance(length);
    Ok(Some(head))
}

fn head(request: &httparse::Request<'_, '_>) -> Result<Head, Unparsable> {
    const NO_LINE: Unparsable = Unparsable::Malformed("The request line is none.");
    let fields = &*request.headers;
    let is_old = request.version == Some(0);
    let framing = framing(fields, is_old)?;
    let is_closing = has_member(fields, "connection", "close");
    let keeps_alive = !is_closing && (!is_old || has_member(fields, "connection", "keep-alive"));
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = request.method.and_then(|method| method.parse().ok()).ok_or(NO_LINE)?;
    parts.uri = uri(&parts.method, request.path.ok_or(NO_LINE)?).ok_or(NO_LINE)?;
    parts.version = if is_old { Version::HTTP_10 } else { Version::HTTP_11 };
    parts.headers = http1::map(fields)?;
    let is_continue = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
    Ok(Head {
        parts,
        framing,
        keeps_alive,
        waits: !is_old && values(fields, "expect").any(is_continue),
        takes_trailers: has_member(fields, "te", "trailers"),
    })
}

/// Reads a target (RFC 9112 section 3.2). The one of CONNECT has a form of its own.
fn uri(method: &Method, target: &str) -> Option<Uri> {
    if method == Method::CONNECT {
        return Uri::builder().authority(target).build().ok();
    }
    target.parse().ok()
}

/// Finds where the body ends. A request that says it in two ways, or in one that some would not
/// understand, is how a request is hidden in another (RFC 9112 sections 6.1, 6.3 and 11.2).
fn framing(fields: &[httparse::Header<'_>], is_old: bool) -> Result<Framing, Unparsable> {
    let length = length(fields)?;
    let mut codings = values(fields, "transfer-encoding");
    let Some(coding) = codings.next() else {
        return Ok(Framing::Length(length.unwrap_or(0)));
    };
    if length.is_some() || is_old || codings.next().is_some() {
        return Err(Unparsable::Malformed("The body ends in two ways."));
    }
    if !coding.eq_ignore_ascii_case(b"chunked") {
        return Err(Unparsable::Malformed("The transfer coding is not `chunked` alone."));
    }
    Ok(Framing::Chunked(Decoder::BEGIN))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BYTES_MAX: usize = 1000;

    fn parsed(text: &str) -> Result<Option<Head>, Unparsable> {
        parse(&mut BytesMut::from(text), 100, BYTES_MAX)
    }

    fn head_of(fields: &str) -> Head {
        parsed(&format!("POST /a?b=c HTTP/1.1\r\nHost: x\r\n{fields}\r\n")).unwrap().unwrap()
    }

    #[test]
    fn head_is_taken_and_no_more() {
        let mut buffer =
            BytesMut::from("POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
        let head = parse(&mut buffer, 100, BYTES_MAX).unwrap().unwrap();
        assert_eq!(head.parts.method, Method::POST);
        assert_eq!(head.parts.uri, "/a?b=c");
        assert_eq!(head.parts.version, Version::HTTP_11);
        assert_eq!(head.parts.headers["host"], "x");
        assert_eq!((head.framing, &buffer[..]), (Framing::Length(3), &b"abc"[..]));
    }

    #[test]
    fn what_the_client_wants_is_found() {
        let of = |fields| {
            let head = head_of(fields);
            (head.keeps_alive, head.waits, head.takes_trailers)
        };
        assert_eq!(of(""), (true, false, false));
        assert_eq!(of("Connection: x, CLOSE\r\n"), (false, false, false));
        assert_eq!(of("Connection: close, keep-alive\r\n"), (false, false, false));
        assert_eq!(of("Expect: 100-Continue\r\n"), (true, true, false));
        assert_eq!(of("TE: gzip, Trailers\r\n"), (true, false, true));
        let old = |fields| {
            let text = format!("GET / HTTP/1.0\r\n{fields}\r\n");
            let head = parsed(&text).unwrap().unwrap();
            (head.keeps_alive, head.waits)
        };
        assert_eq!(old(""), (false, false));
        assert_eq!(old("Connection: Keep-Alive\r\n"), (true, false));
        assert_eq!(old("Expect: 100-continue\r\n"), (false, false));
    }

    #[test]
    fn targets_have_their_forms() {
        for (line, target) in [
            ("GET /a/../b HTTP/1.1", "/a/../b"),
            ("GET http://h:1/a HTTP/1.1", "http://h:1/a"),
            ("OPTIONS * HTTP/1.1", "*"),
            ("CONNECT h:1 HTTP/1.1", "h:1"),
        ] {
            let head = parsed(&format!("{line}\r\n\r\n")).unwrap().unwrap();
            assert_eq!(head.parts.uri.to_string(), target);
        }
    }

    #[test]
    fn limits_hold_to_the_field_and_the_byte() {
        let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
        for max in [1, 100, 101] {
            let parse = |text: &str| parse(&mut BytesMut::from(text), max, BYTES_MAX);
            assert_eq!(parse(&fields(max)).unwrap().unwrap().parts.headers.len(), max);
            assert_eq!(parse(&fields(max + 1)).unwrap_err(), Unparsable::TooLarge);
        }
        let drip = |bytes: usize| parsed(&format!("GET /{} ", "x".repeat(bytes - 6)));
        assert!(drip(BYTES_MAX).unwrap().is_none());
        assert_eq!(drip(BYTES_MAX + 1).unwrap_err(), Unparsable::TooLarge);
    }

    proptest! {
        /// Nothing that is cut is taken for whole, and nothing makes it panic.
        #[test]
        fn beginnings_are_no_heads(
            fields in prop::collection::vec("[A-Za-z-]{1,8}: [ -~]{0,12}", 0..4),
            noise in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let text = format!("GET /x HTTP/1.1\r\n{}\r\n", fields.concat());
            for end in 0..text.len() {
                if let Ok(head) = parsed(&text[..end]) {
                    prop_assert!(head.is_none());
                }
            }
            let _ = parse(&mut BytesMut::from(&noise[..]), 10, BYTES_MAX);
        }
    }
}
