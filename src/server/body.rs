//! The body of a request, whichever protocol brings it.

use std::{
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
    /// What follows a head on its connection.
    Http1(http1::Inbound),
    /// What comes on a stream.
    Http2(http2::Inbound),
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
            Self::Http1(body) => body.switch(),
            Self::Http2(body) => body.switch(),
        }
    }

    /// Sends an answer ahead of the last one, unless the client takes none or too many wait.
    pub fn send_interim(&self, status: StatusCode, lines: &[u8]) {
        match self {
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
            Self::Http1(body) => Pin::new(body).poll_frame(context),
            Self::Http2(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
