//! The head of a request.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::{Method, Uri, Version, request};

use crate::http1::{self, Decoder, Framing, Malformed, length, members, values};

/// For up to so many fields there is room without asking for memory.
const FIELDS_USUAL: usize = 100;

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    /// Method, target, version and fields, as they came.
    pub(super) parts: request::Parts,
    /// Where its body ends.
    pub(super) framing: Framing,
    /// The client takes another answer on the connection.
    pub(super) keeps_alive: bool,
    /// The client waits to be asked for the body.
    pub(super) waits: bool,
    /// The client takes fields behind the answer's body.
    pub(super) takes_trailers: bool,
}

/// Why there is no head in what came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::server) enum Unparsable {
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
pub(super) fn parse(
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
    check_line_ends(buffer.get(..length).unwrap_or_default())?;
    buffer.advance(length);
    Ok(Some(head))
}

fn head(request: &httparse::Request<'_, '_>) -> Result<Head, Unparsable> {
    const NO_LINE: Unparsable = Unparsable::Malformed("The request line is none.");
    let fields = &*request.headers;
    let is_old = request.version == Some(0);
    let framing = framing(fields, is_old)?;
    let mut keeps_alive = !is_old;
    for option in values(fields, "connection").flat_map(members) {
        if option.eq_ignore_ascii_case(b"close") {
            keeps_alive = false;
            break;
        }
        keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = request.method.and_then(|method| method.parse().ok()).ok_or(NO_LINE)?;
    parts.uri = uri(&parts.method, request.path.ok_or(NO_LINE)?).ok_or(NO_LINE)?;
    parts.version = if is_old { Version::HTTP_10 } else { Version::HTTP_11 };
    parts.headers = http1::map(fields, |_| false, 0)?;
    let is_continue = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
    let is_trailers = |coding: &[u8]| coding.eq_ignore_ascii_case(b"trailers");
    Ok(Head {
        parts,
        framing,
        keeps_alive,
        waits: !is_old && values(fields, "expect").any(is_continue),
        takes_trailers: values(fields, "te").flat_map(members).any(is_trailers),
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

/// Refuses lines that end in a line feed alone, which some take for an end and some do not.
fn check_line_ends(head: &[u8]) -> Result<(), Unparsable> {
    let is_bare = |at: usize| at.checked_sub(1).and_then(|at| head.get(at)) != Some(&b'\r');
    if memchr::memchr_iter(b'\n', head).any(is_bare) {
        return Err(Unparsable::Malformed("A line ends in a line feed alone."));
    }
    Ok(())
}
