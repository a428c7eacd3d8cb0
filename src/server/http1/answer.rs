//! The head of an answer.

use std::cell::RefCell;

use http::{HeaderMap, HeaderName, Method, StatusCode, Version, header, response};
use http_body::Body;
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};

use crate::{
    chain::settle::AnswerBody,
    http1::{End, JOINED_BYTES_MAX, push_field},
};

/// How many bytes most heads take at most.
const HEAD_BYTES: usize = 1024;

/// What the head of an answer goes by, beside the answer.
#[derive(Debug)]
pub(super) struct Terms {
    /// How it was asked.
    pub(super) method: Method,
    pub(super) version: Version,
    /// Another request may follow.
    pub(super) keeps_alive: bool,
    /// The client takes fields behind the body.
    pub(super) takes_trailers: bool,
}

/// Writes the head of an answer, and finds how the end of its body is told; notes in the terms
/// whether another request may follow.
pub(super) fn write(
    parts: &response::Parts,
    body: &AnswerBody,
    terms: &mut Terms,
    now: impl Fn() -> Timestamp,
) -> (Vec<u8>, End) {
    let fields = &parts.headers;
    let (end, length) = end(parts, body, terms);
    terms.keeps_alive &= !matches!(end, End::Close);
    // A small body is sent with the head.
    let body_bytes = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
    let mut head = Vec::with_capacity(HEAD_BYTES + body_bytes.min(JOINED_BYTES_MAX));
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(parts.status.as_str().as_bytes());
    head.extend_from_slice(b" ");
    head.extend_from_slice(parts.status.canonical_reason().unwrap_or_default().as_bytes());
    head.extend_from_slice(b"\r\n");
    let mut has_date = false;
    for (name, value) in fields {
        if *name == header::CONNECTION {
            // The chain wants a close; it is written below.
            terms.keeps_alive = false;
        } else if *name != header::CONTENT_LENGTH {
            has_date |= *name == header::DATE;
            push_field(&mut head, name, value.as_bytes());
        }
    }
    if let Some(length) = length {
        let mut digits = itoa::Buffer::new();
        push_field(&mut head, &header::CONTENT_LENGTH, digits.format(length).as_bytes());
    }
    if let End::Chunked(_) = end {
        push_field(&mut head, &header::TRANSFER_ENCODING, b"chunked");
    }
    match (terms.keeps_alive, terms.version) {
        (true, Version::HTTP_10) => push_field(&mut head, &header::CONNECTION, b"keep-alive"),
        (false, Version::HTTP_11) => push_field(&mut head, &header::CONNECTION, b"close"),
        _ => {}
    }
    if !has_date {
        push_date(&mut head, now());
    }
    head.extend_from_slice(b"\r\n");
    (head, end)
}

/// Finds how the end of the body is told, and the length that the head says (RFC 9110 section 8.6,
/// RFC 9112 section 6).
fn end(parts: &response::Parts, body: &AnswerBody, terms: &Terms) -> (End, Option<u64>) {
    let exact = body.size_hint().exact();
    let told = || {
        let value = parts.headers.get(header::CONTENT_LENGTH)?;
        value.to_str().ok()?.parse().ok()
    };
    match parts.status {
        StatusCode::NO_CONTENT => (End::None, None),
        StatusCode::NOT_MODIFIED => (End::None, told()),
        // What the same request by GET would have been told.
        _ if terms.method == Method::HEAD => (End::None, told().or(exact.filter(|size| *size > 0))),
        _ => match exact {
            Some(length) => (End::Length(length), Some(length)),
            None if terms.version == Version::HTTP_10 => (End::Close, None),
            None => (End::Chunked(trailers(&parts.headers, terms)), None),
        },
    }
}

/// Gives the fields that may follow the body: those that were announced, to who takes them.
fn trailers(fields: &HeaderMap, terms: &Terms) -> Vec<HeaderName> {
    if !terms.takes_trailers {
        return Vec::new();
    }
    let announced = fields.get_all(header::TRAILER).iter().filter_map(|value| value.to_str().ok());
    let names = announced.flat_map(|value| value.split(','));
    names.filter_map(|name| name.trim().parse().ok()).collect()
}

thread_local! {
    /// The second that was written last, and how.
    static DATE: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Writes the date (RFC 9110 section 6.6.1).
fn push_date(head: &mut Vec<u8>, now: Timestamp) {
    DATE.with_borrow_mut(|(second, text)| {
        if now.as_second() != *second {
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
            (*second, *text) = (now.as_second(), date.unwrap_or_default());
        }
        push_field(head, &header::DATE, text.as_bytes());
    });
}
