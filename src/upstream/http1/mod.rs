//! HTTP/1.1 as the gateway speaks it to an upstream.
//!
//! It is a small part of the protocol, because one request is under way on a connection and the
//! gateway decides what it looks like.

mod head;
mod outgoing;

use std::io;

pub use self::head::Head;
pub(crate) use self::head::parse;
pub use self::outgoing::Outgoing;
use crate::{
    http1::Malformed,
    upstream::{body::UploadError, tls},
};

/// Why an exchange with an upstream did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The upstream closed the connection before its answer was whole.
    #[error("the upstream closed the connection early")]
    Early,
    /// The request's body is not as long as its head says.
    #[error("the client's body is not as long as its head says")]
    IllSized,
    /// HTTP/2 ended it.
    #[error("the upstream ended the exchange: {0}")]
    Http2(#[source] h2::Error),
    /// The connection broke.
    #[error("the connection to the upstream broke: {}", tls::InWords(.0))]
    Io(#[from] io::Error),
    /// The answer cannot be understood, or not in one way alone.
    #[error("the upstream's answer cannot be passed on")]
    Malformed(#[from] Malformed),
    /// The request's body did not come whole.
    #[error(transparent)]
    Upload(#[from] UploadError),
}
