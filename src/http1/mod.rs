//! HTTP/1.1 as bytes, for both sides of the gateway: httparse reads the heads, the rest is here.
//!
//! What is to be read in one way by everybody is read to the letter: a message that some read one way
//! and some another is refused (RFC 9112 section 11.2).

mod chunked;
mod fields;
mod framing;
mod sending;
mod socket;
pub(crate) mod trailers;

pub(crate) use self::{
    chunked::Decoder,
    fields::{Fields, has_member, is_member, length, length_of, map, members, values, values_of},
    framing::{Framing, Step},
    sending::{End, JOINED_BYTES_MAX, SendError, Sending, push_field},
    socket::{Socket, Stream},
};

/// Refuses lines that end in a line feed alone, which some take for an end and some do not.
pub(crate) fn check_line_ends(lines: &[u8]) -> Result<(), Malformed> {
    let is_bare = |at: usize| at.checked_sub(1).and_then(|at| lines.get(at)) != Some(&b'\r');
    if memchr::memchr_iter(b'\n', lines).any(is_bare) {
        return Err(Malformed("a line ends in a line feed alone"));
    }
    Ok(())
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the message is malformed: {0}")]
pub struct Malformed(pub &'static str);
