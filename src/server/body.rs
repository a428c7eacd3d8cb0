//! The body of a request, whichever protocol brings it.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};

use crate::{
    http1::Malformed,
    server::{http1, http2},
};

/// The most that goes ahead of an answer; what is beyond it is left out.
pub(super) const INTERIM_BYTES_MAX: usize = 16 * 1024;

/// The body of a request.
#[derive(Debug)]
pub enum ClientBody {
    /// One of which some was read before it was wanted.
    Ahead(Box<Ahead>),
    /// What follows a head on its connection.
    Http1(http1::Inbound),
    /// What comes on a stream.
    Http2(http2::Inbound),
}

/// A body of which some was read before it is wanted: that comes first, and then the rest.
#[derive(Debug)]
pub struct Ahead {
    kept: VecDeque<Frame<Bytes>>,
    /// Nothing is left of the rest.
    is_whole: bool,
    /// Its length was said before it came.
    is_sized: bool,
    rest: ClientBody,
}

impl Ahead {
    /// Makes it of a body of which nothing was read.
    pub fn new(rest: ClientBody) -> Self {
        let is_sized = rest.size_hint().exact().is_some();
        Self { kept: VecDeque::new(), is_whole: false, is_sized, rest }
    }

    /// Gives what is left to be read.
    pub fn rest(&mut self) -> &mut ClientBody {
        &mut self.rest
    }

    /// Keeps what was read.
    pub fn keep(&mut self, frame: Frame<Bytes>) {
        self.kept.push_back(frame);
    }

    /// Notes that nothing is left.
    pub fn end(&mut self) {
        self.is_whole = true;
    }

    /// Tells whether all of it is kept.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Gives the bytes that are kept, one piece behind the other.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.kept.iter().filter_map(Frame::data_ref)
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.kept.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None if self.is_whole => Poll::Ready(None),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let size = |piece: &Bytes| u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let kept = self.pieces().map(size).fold(0_u64, u64::saturating_add);
        // One of no stated length goes up as such, since something may stand behind it.
        if !self.is_sized {
            let mut hint = SizeHint::new();
            hint.set_lower(kept);
            return hint;
        }
        let rest = if self.is_whole { 0 } else { self.rest.size_hint().lower() };
        SizeHint::with_exact(kept.saturating_add(rest))
    }
}

/// Why a body did not come whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client closed the connection before.
    #[error("the client closed the connection early")]
    Early,
    /// The connection broke.
    #[error("the client's connection broke")]
    Io(#[from] io::Error),
    /// Its coding is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its request is over.
    #[error("the request is over")]
    Over,
    /// Its stream was reset, or its connection ended.
    #[error("the client's stream broke")]
    Stream(#[from] h2::Error),
}

impl ClientBody {
    /// Makes all that comes the body, to the end of the connection, or of the stream.
    pub fn switch(&self) {
        match self {
            Self::Ahead(body) => body.rest.switch(),
            Self::Http1(body) => body.switch(),
            Self::Http2(body) => body.switch(),
        }
    }

    /// Sends an answer ahead of the last one, unless the client takes none or too many wait.
    pub fn send_interim(&self, status: StatusCode, lines: &[u8]) {
        match self {
            Self::Ahead(body) => body.rest.send_interim(status, lines),
            Self::Http1(body) => body.send_interim(status, lines),
            Self::Http2(body) => body.send_interim(status, lines),
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Ahead(body) => body.poll_frame(context),
            Self::Http1(body) => Pin::new(body).poll_frame(context),
            Self::Http2(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ahead(body) => {
                body.kept.is_empty() && (body.is_whole || body.rest.is_end_stream())
            }
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ahead(body) => body.size_hint(),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
