//! The head of an answer.

use http::{Method, StatusCode, Version};
use jiff::Timestamp;

use crate::{
    chain::reply::Reply,
    http1::{End, JOINED_BYTES_MAX, push_field},
    server::head::{self, Follows},
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
    let mut written = Vec::with_capacity(room);
    written.extend_from_slice(b"HTTP/1.1 ");
    written.extend_from_slice(reply.status.as_str().as_bytes());
    written.extend_from_slice(b" ");
    written.extend_from_slice(reply.status.canonical_reason().unwrap_or_default().as_bytes());
    written.extend_from_slice(b"\r\n");
    written.extend_from_slice(&reply.fields.lines);
    if let Some(length) = length {
        push_field(&mut written, "content-length", itoa::Buffer::new().format(length).as_bytes());
    }
    if let End::Chunked { .. } = end {
        push_field(&mut written, "transfer-encoding", b"chunked");
    }
    match (terms.keeps_alive, terms.version) {
        _ if reply.status == StatusCode::SWITCHING_PROTOCOLS => {
            push_field(&mut written, "connection", b"upgrade");
            push_field(&mut written, "upgrade", b"websocket");
        }
        // It has an `Upgrade` field (RFC 9110 section 15.5.22), which is about this connection.
        _ if reply.status == StatusCode::UPGRADE_REQUIRED => {
            push_field(&mut written, "connection", b"upgrade");
            if !terms.keeps_alive {
                push_field(&mut written, "connection", b"close");
            }
        }
        (true, Version::HTTP_10) => push_field(&mut written, "connection", b"keep-alive"),
        (false, Version::HTTP_11) => push_field(&mut written, "connection", b"close"),
        _ => {}
    }
    if !reply.fields.has_date {
        push_field(&mut written, "date", head::date(now()).as_bytes());
    }
    written.extend_from_slice(b"\r\n");
    (written, end)
}

/// Finds how the end of the body is told, and the length that the head says (RFC 9112 section 6).
fn end(reply: &Reply, terms: &Terms) -> (End, Option<u64>) {
    if reply.status == StatusCode::SWITCHING_PROTOCOLS {
        return (End::Close, None);
    }
    match head::follows(reply, &terms.method) {
        Follows::Nothing(length) => (End::None, length),
        Follows::Body(Some(length)) => (End::Length(length), Some(length)),
        Follows::Body(None) if terms.version == Version::HTTP_10 => (End::Close, None),
        Follows::Body(None) => (End::Chunked { trailers: terms.takes_trailers }, None),
    }
}
