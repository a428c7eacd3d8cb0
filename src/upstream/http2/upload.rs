//! A request's body on its way up, as far as the upstream gives room for it.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};

use crate::upstream::http1::{ExchangeError, Outgoing};

/// A request's body on its way up.
#[derive(Debug)]
pub(super) struct Uploading {
    stream: SendStream<Bytes>,
    /// What was taken of the body and has not gone.
    piece: Bytes,
}

/// How an upload ended that did not break the exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Uploaded {
    /// All of it is on its way.
    All,
    /// The upstream takes no more of it. It may answer all the same (RFC 9113 section 8.1).
    Enough,
}

impl Uploading {
    pub(super) fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream, piece: Bytes::new() }
    }

    /// Sends what there is, until all is sent. A body that breaks takes its request back.
    pub(super) fn poll(
        &mut self,
        request: &mut Outgoing,
        context: &mut Context<'_>,
    ) -> Poll<Result<Uploaded, ExchangeError>> {
        loop {
            if !self.piece.is_empty() {
                if !ready!(self.poll_piece(request, context)) {
                    return Poll::Ready(Ok(Uploaded::Enough));
                }
                if self.piece.is_empty() && request.is_body_over() {
                    return Poll::Ready(Ok(Uploaded::All));
                }
                continue;
            }
            if self.stream.poll_reset(context).is_ready() {
                return Poll::Ready(Ok(Uploaded::Enough));
            }
            match ready!(request.poll_body(context)).transpose() {
                Err(error) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(error));
                }
                Ok(None) => return Poll::Ready(Ok(self.end())),
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => self.piece = data,
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        let is_sent = self.stream.send_trailers(trailers).is_ok();
                        return Poll::Ready(Ok(Uploaded::of(is_sent)));
                    }
                },
            }
        }
    }

    /// Sends some of a piece, when there is room for some; false where the upstream takes no more.
    fn poll_piece(&mut self, request: &Outgoing, context: &mut Context<'_>) -> Poll<bool> {
        self.stream.reserve_capacity(self.piece.len());
        let Some(Ok(room)) = ready!(self.stream.poll_capacity(context)) else {
            return Poll::Ready(false);
        };
        let part = self.piece.split_to(room.min(self.piece.len()));
        let is_last = self.piece.is_empty() && request.is_body_over();
        Poll::Ready(self.stream.send_data(part, is_last).is_ok())
    }

    fn end(&mut self) -> Uploaded {
        Uploaded::of(self.stream.send_data(Bytes::new(), true).is_ok())
    }
}

impl Uploaded {
    fn of(is_all: bool) -> Self {
        if is_all { Self::All } else { Self::Enough }
    }
}
