//! An answer on its way down: its fields as HTTP/2 has them, then its body as the client takes it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use http_body::Body;
use jiff::Timestamp;

use crate::{
    chain::{reply::Reply, settle::AnswerBody},
    server::head::{self, Follows},
    upstream::http1::ExchangeError,
};

/// An answer on its way down. It is reset if it is dropped before its end, so that no answer that was cut is
/// taken for a whole one.
#[derive(Debug)]
pub(super) struct Sending {
    stream: SendStream<Bytes>,
    body: AnswerBody,
    /// What came of the body and has not gone.
    piece: Bytes,
    sent: usize,
    is_over: bool,
    /// The stream is a WebSocket from here on.
    is_switch: bool,
}

/// Why an answer was not sent whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsent {
    #[error("its body broke: {0}")]
    Body(#[from] ExchangeError),
    #[error("the client has reset the stream, or is gone")]
    Gone,
    #[error("it cannot be sent: {0}")]
    Protocol(#[from] h2::Error),
    #[error("its caller may not be served any longer")]
    Refused,
}

impl Sending {
    /// Sends the head.
    pub(super) fn begin(
        mut respond: SendResponse<Bytes>,
        reply: Reply,
        method: &Method,
        now: impl Fn() -> Timestamp,
    ) -> Result<Self, h2::Error> {
        let follows = head::follows(&reply, method);
        let Reply { status, fields: given, closes: _, body } = reply;
        let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
        let mut response = Response::new(());
        // RFC 8441 section 5: CONNECT has succeeded, and a key was not asked for.
        *response.status_mut() = if is_switch { StatusCode::OK } else { status };
        *response.version_mut() = Version::HTTP_2;
        let fields = response.headers_mut();
        *fields = self::fields(&Bytes::from(given.lines));
        if is_switch {
            fields.remove(header::SEC_WEBSOCKET_ACCEPT);
        }
        if let Some(length) = follows.length() {
            fields.insert(header::CONTENT_LENGTH, length.into());
        }
        if !given.has_date {
            fields.insert(header::DATE, head::date(now()));
        }
        let is_over = matches!(follows, Follows::Nothing(_)) || body.is_end_stream();
        let stream = respond.send_response(response, is_over)?;
        Ok(Self { stream, body, piece: Bytes::new(), sent: 0, is_over, is_switch })
    }

    /// Gives how many bytes of the body were handed over.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Tells whether the stream is a WebSocket from here on.
    pub(super) fn is_switch(&self) -> bool {
        self.is_switch
    }

    /// Sees to what may end a WebSocket, also while the client takes nothing of it.
    pub(super) fn attend(&self, context: &Context<'_>) {
        self.body.attend(context);
    }

    /// Tells whether the client is waited for.
    pub(super) fn is_pending(&self) -> bool {
        !self.piece.is_empty()
    }

    /// Looks at the caller of an answer that lasts; false where it must be broken off.
    pub(super) fn may_go_on(&mut self) -> bool {
        self.body.may_go_on()
    }

    /// Sends what there is and the client takes, until all is sent.
    ///
    /// No more is handed over than the client has room for: what it has no room for stays here, where a clock
    /// runs, and a piece of it at most.
    pub(super) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        while !self.is_over {
            if self.piece.is_empty() {
                match self.poll_body(context)? {
                    Poll::Ready(()) => continue,
                    Poll::Pending => {
                        ready!(self.poll_reset(context)?);
                        return Poll::Pending;
                    }
                }
            }
            let room = ready!(self.poll_room(context))?;
            let part = self.piece.split_to(room.min(self.piece.len()));
            self.sent = self.sent.saturating_add(part.len());
            self.is_over = self.piece.is_empty() && self.body.is_end_stream();
            self.stream.send_data(part, self.is_over)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece of the body, or its end.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()? else {
            self.is_over = true;
            self.stream.send_data(Bytes::new(), true)?;
            return Poll::Ready(Ok(()));
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() && self.body.is_end_stream() => {
                self.is_over = true;
                self.stream.send_data(data, true)?;
            }
            Ok(data) => self.piece = data,
            Err(frame) => {
                self.is_over = true;
                self.stream.send_trailers(frame.into_trailers().unwrap_or_default())?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the client has room for some of the piece.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, Unsent>> {
        self.stream.reserve_capacity(self.piece.len());
        if let room @ 1.. = self.stream.capacity() {
            return Poll::Ready(Ok(room));
        }
        match ready!(self.stream.poll_capacity(context)) {
            Some(Ok(room)) => Poll::Ready(Ok(room)),
            Some(Err(_)) | None => Poll::Ready(Err(Unsent::Gone)),
        }
    }

    /// Notes whom to wake when the client resets the stream.
    fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        match self.stream.poll_reset(context) {
            Poll::Ready(_) => Poll::Ready(Err(Unsent::Gone)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.is_over {
            self.stream.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// Gives the fields of lines as HTTP/2 has them, without those that are about a connection (RFC 9113 section
/// 8.2.2).
pub(super) fn fields(lines: &Bytes) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(16);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let Some((name, value)) = split(line) else { continue };
        let Ok(name) = HeaderName::from_bytes(name) else { continue };
        let value = HeaderValue::from_maybe_shared(lines.slice_ref(value));
        if let (false, Ok(value)) = (is_of_connection(&name), value) {
            // Beyond what a map holds they are left out; an upstream's head has not as many.
            let _ = fields.try_append(name, value);
        }
    }
    fields
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
    Some((name, value.get(1..)?.trim_ascii()))
}

fn is_of_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_fields_in_lower_case() {
        let lines =
            b"A-b: c\r\nset-cookie: x=1\r\nSet-Cookie:  y: 2 \r\nempty: \r\nbad name: z\r\n";
        let fields = fields(&Bytes::from_static(lines));
        let all: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let expected = [("a-b", "c"), ("set-cookie", "x=1"), ("set-cookie", "y: 2"), ("empty", "")];
        assert_eq!(all, expected);
    }

    #[test]
    fn fields_of_a_connection_are_left_out() {
        let lines = "Connection: x\r\nKeep-Alive: x\r\nProxy-Connection: x\r\nTE: x\r\n\
                     Transfer-Encoding: x\r\nUPGRADE: x\r\nx: y\r\n";
        let fields = fields(&Bytes::from_static(lines.as_bytes()));
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["x"]);
    }
}
