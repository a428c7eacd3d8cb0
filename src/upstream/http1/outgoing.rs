//! A request on its way up.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use http_body::{Body, Frame};

use crate::{
    chain::tunnel::Meter,
    http1::{End, SendError, Sending, Socket},
    progress::{Progress, Upload},
    upstream::{
        body::{UploadBody, UploadError},
        headers,
        http1::{ExchangeError, Head},
    },
};

/// A request on its way up. Until the first byte is sent another connection may take it.
#[derive(Debug)]
pub struct Outgoing {
    is_head: bool,
    /// Its head went by HTTP/2.
    is_begun: bool,
    /// The upstream has given it back once.
    was_taken_back: bool,
    sending: Sending<UploadBody, UploadError>,
    progress: Rc<Progress>,
}

impl Outgoing {
    /// Begins with a head that lacks only what frames the body and the line that ends it.
    pub fn new(
        method: &Method,
        mut head: Vec<u8>,
        has_length: bool,
        body: UploadBody,
        progress: Rc<Progress>,
    ) -> Self {
        let end = match body.size_hint().exact() {
            // A length of 0 is repeated where the client gave one.
            _ if body.is_end_stream() => {
                if has_length {
                    End::Length(0)
                } else {
                    End::None
                }
            }
            Some(length) => End::Length(length),
            None => End::Chunked { trailers: true },
        };
        match &end {
            End::Length(length) => {
                head.extend_from_slice(b"content-length: ");
                head.extend_from_slice(itoa::Buffer::new().format(*length).as_bytes());
                head.extend_from_slice(b"\r\n\r\n");
            }
            End::Chunked { .. } => head.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
            End::None | End::Close => head.extend_from_slice(b"\r\n"),
        }
        Self {
            is_head: method == Method::HEAD,
            is_begun: false,
            was_taken_back: false,
            sending: Sending::new(head, end, body),
            progress,
        }
    }

    /// Tells whether its answer has no body whatever its head says.
    pub(crate) fn is_head(&self) -> bool {
        self.is_head
    }

    /// Passes on an answer that goes ahead of the last one. Whether the body is sent, the gateway
    /// decides itself, so a 100 ends here.
    pub(crate) fn pass_interim(&self, head: &Head) {
        if head.status != StatusCode::CONTINUE {
            self.sending.body().send_interim(head.status, &head.fields.lines);
        }
    }

    /// Goes on with all that the client says, by way of a meter.
    pub(crate) fn switched(self, meter: Meter) -> Self {
        let body = self.sending.into_body().switched(meter);
        Self { sending: Sending::new(Vec::new(), End::Close, body), ..self }
    }

    /// Keeps what is sent, so that it can be sent again; false where it has a body.
    pub(crate) fn keep(&mut self) -> bool {
        self.sending.keep()
    }

    /// Begins anew, with all that was kept.
    pub(crate) fn rewind(&mut self) {
        self.is_begun = false;
        self.sending.rewind();
    }

    /// Names another endpoint as its host, before a byte of it is sent.
    pub(crate) fn set_host(&mut self, authority: &HeaderValue) {
        headers::set_host(self.sending.head_mut(), authority);
    }

    /// Tells whether its end is that of the connection.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.sending.ends_with_connection()
    }

    /// Tells whether a byte of it was sent.
    pub fn is_begun(&self) -> bool {
        self.is_begun || self.sending.sent() > 0
    }

    /// Gives its head as it is written for HTTP/1.1.
    pub(crate) fn text(&self) -> &[u8] {
        self.sending.head()
    }

    /// Notes that its head went by HTTP/2.
    pub(crate) fn set_begun(&mut self) {
        self.is_begun = true;
        self.progress.set_sent();
    }

    /// Notes that the upstream has surely not looked at it, so that another connection may take it: once, and
    /// not if something of its body went too.
    pub(crate) fn take_back(&mut self) {
        if !self.was_taken_back && self.sending.body().is_untouched() {
            (self.is_begun, self.was_taken_back) = (false, true);
        }
    }

    /// Tells whether nothing of its body is left to be taken.
    pub(crate) fn is_body_over(&self) -> bool {
        self.sending.body().is_end_stream()
    }

    /// Takes the next frame of its body, where its head went by HTTP/2.
    pub(crate) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        let frame = Pin::new(self.sending.body_mut()).poll_frame(context);
        frame.map(|frame| frame.map(|frame| frame.map_err(ExchangeError::Upload)))
    }

    /// Sends what there is, until all is sent.
    pub(crate) fn poll_send(
        &mut self,
        socket: &Socket,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ExchangeError>> {
        let polled = self.sending.poll_send(socket, context);
        if self.is_begun() {
            self.progress.set_sent();
            let sent = self.sending.sent();
            self.sending.body_mut().note_sent(sent);
        }
        polled.map_err(|error| match error {
            SendError::Io(error) => ExchangeError::Io(error),
            SendError::Body(error) => ExchangeError::Upload(error),
            SendError::IllSized => {
                self.progress.set_upload(Upload::Broken);
                ExchangeError::IllSized
            }
        })
    }
}
