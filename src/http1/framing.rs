//! Where the body of a message ends.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::{Malformed, chunked::Decoder};

/// Up to so many bytes are copied, which leaves the buffer as it is for what comes next.
const COPIED_BYTES_MAX: usize = 4096;

/// The most that is taken in by one read.
const READ_BYTES_MAX: usize = 64 * 1024;

/// The least that is asked for by one read.
const READ_BYTES_MIN: usize = 8 * 1024;

/// Where the body of a message ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// After so many bytes more.
    Length(u64),
    /// Where its coding says.
    Chunked(Decoder),
    /// With the connection.
    UntilClose,
}

/// What there is of a body.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Some of it.
    Data(Bytes),
    /// The fields behind it.
    Trailers(HeaderMap),
    /// Nothing before more is read.
    More,
    /// Nothing: it was whole.
    End,
}

impl Framing {
    /// Nothing, or nothing more.
    pub(crate) const NONE: Self = Self::Length(0);

    /// Takes the next piece of the body out of the buffer.
    pub(crate) fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Malformed> {
        match self {
            &mut Self::NONE => Ok(Step::End),
            Self::Length(left) => {
                let Some(data) = take(buffer, *left) else { return Ok(Step::More) };
                *left = left.saturating_sub(u64::try_from(data.len()).unwrap_or(u64::MAX));
                Ok(Step::Data(data))
            }
            Self::Chunked(decoder) => decoder.step(buffer),
            Self::UntilClose => Ok(take(buffer, u64::MAX).map_or(Step::More, Step::Data)),
        }
    }

    /// Tells whether all of it was taken.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::NONE | Self::Chunked(Decoder::End))
    }

    /// Gives the bytes that are left, where that is known.
    pub(crate) fn left(self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Gives how much to read at once, after a read that took in so much.
    pub(crate) fn wanted(self, last: usize) -> usize {
        let wanted = match self {
            Self::Length(left) | Self::Chunked(Decoder::Data(left)) => {
                usize::try_from(left).unwrap_or(usize::MAX)
            }
            Self::Chunked(_) => READ_BYTES_MIN,
            Self::UntilClose => last.saturating_mul(2),
        };
        wanted.clamp(READ_BYTES_MIN, READ_BYTES_MAX)
    }
}

/// Takes up to so many bytes out of the buffer; `None` where it is empty.
pub(super) fn take(buffer: &mut BytesMut, most: u64) -> Option<Bytes> {
    let count = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
    if count == 0 {
        return None;
    }
    if count > COPIED_BYTES_MAX {
        return Some(buffer.split_to(count).freeze());
    }
    let data = Bytes::copy_from_slice(buffer.get(..count)?);
    if count == buffer.len() {
        // Its memory begins anew.
        buffer.clear();
    } else {
        bytes::Buf::advance(buffer, count);
    }
    Some(data)
}
