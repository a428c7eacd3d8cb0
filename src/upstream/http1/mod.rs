//! HTTP/1.1 as the gateway speaks it to an upstream: httparse reads the heads, the rest is here.
//!
//! It is a small part of the protocol, because one request is under way on a connection and the
//! gateway decides what it looks like. An answer that can be read in two ways is not passed on.

mod chunked;
mod framing;
mod head;
mod outgoing;
mod socket;

use std::io;

pub use self::outgoing::Outgoing;
pub(super) use self::{
    framing::{Framing, READ_BYTES_MIN, Step},
    head::parse,
    outgoing::SendError,
    socket::Socket,
};
use crate::upstream::body::UploadError;

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the answer is malformed: {0}")]
pub struct Malformed(&'static str);

/// Why an exchange with an upstream did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The upstream closed the connection before its answer was whole.
    #[error("the upstream closed the connection early")]
    Early,
    /// The connection broke.
    #[error("the connection to the upstream broke")]
    Io(#[from] io::Error),
    /// The answer cannot be understood, or not in one way alone.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The request's body did not come whole.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

impl From<SendError> for ExchangeError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Io(error) => Self::Io(error),
            SendError::Upload(error) => Self::Upload(error),
        }
    }
}
