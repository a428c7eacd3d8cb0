//! The client's side of a stream: the body of its request as it comes, and what it is told ahead of the answer.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{Response, StatusCode, Version, header, request::Parts};
use http_body::{Body, Frame, SizeHint};

use super::answer;
use crate::{
    server::body::{BodyError, INTERIM_BYTES_MAX},
    websocket,
    worker::watch::Watch,
};

/// What the stream and the body of its request share. The body may outlive the stream by a moment.
#[derive(Debug)]
pub(super) struct Side {
    /// `None` once the request is over, so that nothing of ours keeps the stream open.
    upload: RefCell<Option<RecvStream>>,
    /// `None` once the head of the answer is sent.
    respond: RefCell<Option<SendResponse<Bytes>>>,
    watch: Rc<Watch>,
    /// Bytes of the body that are left, where its head says so. h2 holds it to that.
    left: Cell<Option<u64>>,
    /// The client waits to be asked for the body.
    waits: Cell<bool>,
    /// All data of the body came; fields may follow.
    has_data: Cell<bool>,
    /// What went ahead of the answer.
    interim_bytes: Cell<usize>,
    tunnel: Cell<Tunnel>,
}

/// Whether what the client sends is a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tunnel {
    /// It is.
    No,
    /// It will be what a WebSocket says, and there is no body until then.
    Awaited,
    /// It is what a WebSocket says.
    Open,
}

impl Side {
    pub(super) fn new(
        head: &Parts,
        upload: RecvStream,
        respond: SendResponse<Bytes>,
        watch: Rc<Watch>,
    ) -> Self {
        let length = head.headers.get(header::CONTENT_LENGTH);
        let left = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let is_continue =
            |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        let waits = head.headers.get_all(header::EXPECT).iter().any(is_continue);
        Self {
            left: Cell::new(left),
            waits: Cell::new(waits && !upload.is_end_stream()),
            has_data: Cell::new(true),
            upload: RefCell::new(Some(upload)),
            respond: RefCell::new(Some(respond)),
            watch,
            interim_bytes: Cell::new(0),
            tunnel: Cell::new(if websocket::is_on_stream(head) {
                Tunnel::Awaited
            } else {
                Tunnel::No
            }),
        }
    }

    /// Waits until the client resets the stream, or is gone, while no head of an answer was sent.
    pub(super) fn poll_reset(&self, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self.respond.borrow_mut() {
            Some(respond) => respond.poll_reset(context).map(drop),
            None => Poll::Pending,
        }
    }

    /// Takes what sends the answer. Nothing goes ahead of it from then on.
    pub(super) fn take_respond(&self) -> Option<SendResponse<Bytes>> {
        self.respond.take()
    }

    /// Drops what comes of the body; false when nothing more does.
    pub(super) fn poll_discard(&self, context: &mut Context<'_>) -> Poll<bool> {
        let mut upload = self.upload.borrow_mut();
        let Some(upload) = upload.as_mut().filter(|upload| !upload.is_end_stream()) else {
            return Poll::Ready(false);
        };
        match ready!(upload.poll_data(context)) {
            Some(Ok(data)) => Poll::Ready(self.take(upload, data).is_ok()),
            Some(Err(_)) | None => Poll::Ready(false),
        }
    }

    /// Ends the request: h2 tells the client, behind the answer, that no more of its body is wanted (RFC 9113
    /// section 8.1), as soon as nobody holds the stream.
    pub(super) fn close(&self) {
        drop(self.respond.take());
        drop(self.upload.take());
    }

    fn send_interim(&self, status: StatusCode, lines: &[u8]) {
        let bytes = self.interim_bytes.get().saturating_add(lines.len());
        let mut respond = self.respond.borrow_mut();
        let Some(respond) = respond.as_mut().filter(|_| bytes <= INTERIM_BYTES_MAX) else { return };
        self.interim_bytes.set(bytes);
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.version_mut() = Version::HTTP_2;
        *response.headers_mut() = answer::fields(&Bytes::copy_from_slice(lines));
        // Whoever is gone is noticed where the answer is awaited.
        let _ = respond.send_informational(response);
    }

    fn poll_frame(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.tunnel.get() == Tunnel::Awaited {
            return Poll::Ready(None);
        }
        let mut upload = self.upload.borrow_mut();
        let Some(upload) = &mut *upload else {
            return Poll::Ready(Some(Err(BodyError::Over)));
        };
        if self.has_data.get() {
            let polled = upload.poll_data(context);
            if polled.is_pending() && self.waits.take() {
                self.send_interim(StatusCode::CONTINUE, b"");
            }
            self.watch.wait_for_body(polled.is_pending());
            match ready!(polled).transpose()? {
                Some(data) => return Poll::Ready(Some(Ok(Frame::data(self.take(upload, data)?)))),
                None => self.has_data.set(false),
            }
        }
        if self.tunnel.get() == Tunnel::Open {
            return Poll::Ready(None);
        }
        let polled = upload.poll_trailers(context);
        self.watch.wait_for_body(polled.is_pending());
        Poll::Ready(ready!(polled)?.map(|fields| Ok(Frame::trailers(fields))))
    }

    /// Takes a piece of the body, for which the client may send as much again.
    fn take(&self, upload: &mut RecvStream, data: Bytes) -> Result<Bytes, BodyError> {
        upload.flow_control().release_capacity(data.len())?;
        let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.left.set(self.left.get().map(|left| left.saturating_sub(bytes)));
        self.watch.moved_by(data.len());
        Ok(data)
    }

    fn is_over(&self) -> bool {
        self.tunnel.get() == Tunnel::Awaited
            || self.upload.borrow().as_ref().is_some_and(RecvStream::is_end_stream)
    }
}

/// The body of a request, as it comes on its stream.
#[derive(Debug)]
pub struct Inbound(Rc<Side>);

impl Inbound {
    pub(super) fn new(side: Rc<Side>) -> Self {
        Self(side)
    }

    /// Makes all that comes the body, to the end of the stream.
    pub fn switch(&self) {
        self.0.tunnel.set(Tunnel::Open);
    }

    /// Sends an answer ahead of the last one, unless that was sent or too many were.
    pub fn send_interim(&self, status: StatusCode, lines: &[u8]) {
        self.0.send_interim(status, lines);
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        let left = if self.is_end_stream() { Some(0) } else { self.0.left.get() };
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
