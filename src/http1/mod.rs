//! HTTP/1.1 as bytes, for both sides of the gateway: httparse reads the heads, the rest is here.
//!
//! What is to be read in one way by everybody is read to the letter: a message that some read one way
//! and some another is refused (RFC 9112 section 11.2).

mod chunked;
mod fields;
mod framing;
mod sending;
mod socket;

pub(crate) use self::{
    chunked::Decoder,
    fields::{Fields, each_member, has_member, length, map, values},
    framing::{Framing, Step},
    sending::{End, JOINED_BYTES_MAX, SendError, Sending, push_field},
    socket::Socket,
};

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the message is malformed: {0}")]
pub struct Malformed(pub &'static str);
