//! A request on its way up.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::Method;
use http_body::{Body, Frame};

use super::socket::Socket;
use crate::{
    progress::{Progress, Upload},
    upstream::body::{UploadBody, UploadError},
};

/// Up to so many bytes wait to be sent in one piece; what is larger is sent as it is.
const JOINED_BYTES_MAX: usize = 16 * 1024;

/// A request on its way up: its head, then its body as it comes. Until the first byte is sent another
/// connection may take it.
#[derive(Debug)]
pub struct Outgoing {
    is_head: bool,
    body: UploadBody,
    framing: Framing,
    /// What goes first, and how much of it has gone.
    joined: Vec<u8>,
    gone: usize,
    /// What goes next, a piece of the body, and what follows it.
    piece: Bytes,
    behind: &'static [u8],
    is_over: bool,
    progress: Rc<Progress>,
}

/// How the body's end is told.
#[derive(Clone, Copy, Debug)]
enum Framing {
    /// It was told in the head; so many bytes are to come.
    Length(u64),
    /// By its coding.
    Chunked,
}

/// Why a request cannot be sent.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection broke.
    Io(io::Error),
    /// Its body did not come whole.
    Upload(UploadError),
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
        let is_over = body.is_end_stream();
        let length = if is_over { has_length.then_some(0) } else { body.size_hint().exact() };
        // A length of 0 is repeated where the client gave one.
        if let Some(length) = length {
            head.extend_from_slice(b"content-length: ");
            head.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            head.extend_from_slice(b"\r\n");
        } else if !is_over {
            head.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        head.extend_from_slice(b"\r\n");
        Self {
            is_head: method == Method::HEAD,
            framing: length.map_or(Framing::Chunked, Framing::Length),
            joined: head,
            gone: 0,
            piece: Bytes::new(),
            behind: b"",
            is_over,
            body,
            progress,
        }
    }

    /// Tells whether its answer has no body whatever its head says.
    pub(crate) fn is_head(&self) -> bool {
        self.is_head
    }

    /// Tells whether a byte of it was sent.
    pub fn is_begun(&self) -> bool {
        self.progress.sent()
    }

    /// Sends what there is, until all is sent.
    pub(crate) fn poll_send(
        &mut self,
        socket: &Socket,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        loop {
            let mut waits = false;
            while !self.is_over && self.has_room() {
                match Pin::new(&mut self.body).poll_frame(context) {
                    Poll::Ready(frame) => self.take(frame).map_err(SendError::Upload)?,
                    Poll::Pending => {
                        waits = true;
                        break;
                    }
                }
            }
            while self.is_pending() {
                ready!(self.poll_write(socket, context)).map_err(SendError::Io)?;
            }
            if self.is_over {
                return Poll::Ready(Ok(()));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }

    fn is_pending(&self) -> bool {
        self.gone < self.joined.len() || !self.piece.is_empty() || !self.behind.is_empty()
    }

    fn has_room(&self) -> bool {
        self.piece.is_empty() && self.behind.is_empty() && self.joined.len() < JOINED_BYTES_MAX
    }

    fn poll_write(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let joined = self.joined.get(self.gone..).unwrap_or_default();
        let all = [joined, &self.piece, self.behind].map(IoSlice::new);
        // One slice is written by a cheaper call.
        let slices = if self.piece.is_empty() && self.behind.is_empty() {
            all.get(..1).unwrap_or_default()
        } else {
            &all
        };
        let mut count = ready!(socket.poll_write(context, slices))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.progress.set_sent();
        let of_joined = count.min(joined.len());
        self.gone = self.gone.saturating_add(of_joined);
        count = count.saturating_sub(of_joined);
        let of_piece = count.min(self.piece.len());
        self.piece.advance(of_piece);
        count = count.saturating_sub(of_piece);
        self.behind = self.behind.get(count..).unwrap_or_default();
        if self.gone == self.joined.len() {
            self.joined.clear();
            self.gone = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next frame of the body, or its end.
    fn take(
        &mut self,
        frame: Option<Result<Frame<Bytes>, UploadError>>,
    ) -> Result<(), UploadError> {
        // Trailers are not sent on: they end a body as nothing does.
        let Some(Ok(data)) = frame.transpose()?.map(Frame::into_data) else { return self.end() };
        match &mut self.framing {
            Framing::Length(left) => {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                match left.checked_sub(length) {
                    Some(rest) => *left = rest,
                    None => return Err(self.ill_sized()),
                }
                self.push(data, b"");
            }
            // A chunk of no bytes would be the last one.
            Framing::Chunked if data.is_empty() => {}
            Framing::Chunked => {
                self.joined.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                self.push(data, b"\r\n");
            }
        }
        if self.body.is_end_stream() { self.end() } else { Ok(()) }
    }

    fn push(&mut self, data: Bytes, behind: &'static [u8]) {
        if self.joined.len().saturating_add(data.len()) <= JOINED_BYTES_MAX {
            self.joined.extend_from_slice(&data);
            self.joined.extend_from_slice(behind);
        } else {
            self.piece = data;
            self.behind = behind;
        }
    }

    fn ill_sized(&self) -> UploadError {
        self.progress.set_upload(Upload::Broken);
        UploadError::IllSized
    }

    fn end(&mut self) -> Result<(), UploadError> {
        self.is_over = true;
        match self.framing {
            Framing::Length(0) => {}
            Framing::Length(_) => return Err(self.ill_sized()),
            Framing::Chunked if self.behind.is_empty() => {
                self.joined.extend_from_slice(b"0\r\n\r\n");
            }
            Framing::Chunked => self.behind = b"\r\n0\r\n\r\n",
        }
        Ok(())
    }
}
