//! The head of an answer.

use std::cell::RefCell;

use http::{Method, StatusCode, Version};
use http_body::Body;
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};

use crate::{
    chain::reply::Reply,
    http1::{End, JOINED_BYTES_MAX, push_field},
};

/// How many bytes a head takes at most beside its fields.
const HEAD_BYTES: usize = 256;

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
    reply: &Reply,
    terms: &mut Terms,
    now: impl Fn() -> Timestamp,
) -> (Vec<u8>, End) {
    let (end, length) = end(reply, terms);
    terms.keeps_alive &= !reply.closes && !matches!(end, End::Close);
    // A small body is sent with the head.
    let body_bytes = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
    let room = reply.fields.lines.len() + HEAD_BYTES + body_bytes.min(JOINED_BYTES_MAX);
    let mut head = Vec::with_capacity(room);
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(reply.status.as_str().as_bytes());
    head.extend_from_slice(b" ");
    head.extend_from_slice(reply.status.canonical_reason().unwrap_or_default().as_bytes());
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&reply.fields.lines);
    if let Some(length) = length {
        push_field(&mut head, "content-length", itoa::Buffer::new().format(length).as_bytes());
    }
    if let End::Chunked { .. } = end {
        push_field(&mut head, "transfer-encoding", b"chunked");
    }
    match (terms.keeps_alive, terms.version) {
        _ if reply.status == StatusCode::SWITCHING_PROTOCOLS => {
            push_field(&mut head, "connection", b"upgrade");
            push_field(&mut head, "upgrade", b"websocket");
        }
        // It has an `Upgrade` field (RFC 9110 section 15.5.22), which is about this connection.
        _ if reply.status == StatusCode::UPGRADE_REQUIRED => {
            push_field(&mut head, "connection", b"upgrade");
            if !terms.keeps_alive {
                push_field(&mut head, "connection", b"close");
            }
        }
        (true, Version::HTTP_10) => push_field(&mut head, "connection", b"keep-alive"),
        (false, Version::HTTP_11) => push_field(&mut head, "connection", b"close"),
        _ => {}
    }
    if !reply.fields.has_date {
        push_date(&mut head, now());
    }
    head.extend_from_slice(b"\r\n");
    (head, end)
}

/// Finds how the end of the body is told, and the length that the head says (RFC 9110 section 8.6,
/// RFC 9112 section 6).
fn end(reply: &Reply, terms: &Terms) -> (End, Option<u64>) {
    let exact = reply.body.size_hint().exact();
    let told = reply.fields.length;
    match reply.status {
        StatusCode::SWITCHING_PROTOCOLS => (End::Close, None),
        StatusCode::NO_CONTENT => (End::None, None),
        StatusCode::NOT_MODIFIED => (End::None, told),
        // What the same request by GET would have been told.
        _ if terms.method == Method::HEAD => (End::None, told.or(exact.filter(|size| *size > 0))),
        _ => match exact {
            Some(length) => (End::Length(length), Some(length)),
            None if terms.version == Version::HTTP_10 => (End::Close, None),
            None => (End::Chunked { trailers: terms.takes_trailers }, None),
        },
    }
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
        push_field(head, "date", text.as_bytes());
    });
}
