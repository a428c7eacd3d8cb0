//! What was appended and the disk need not have: kept until it has, so that a failed sync loses nothing.

use std::collections::VecDeque;

use crate::journal::record::{self, KEPT_BLOCKS_MAX};

/// The appends since the last that is on the disk.
#[derive(Debug, Default)]
pub(super) struct Tail {
    appends: VecDeque<Append>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Append {
    segment: u64,
    /// Where it begins.
    offset: u64,
    /// The number of its last record.
    last: u64,
    length: usize,
    /// The disk has what stands before it in its segment.
    follows_synced: bool,
}

/// Records of one segment that stand together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Piece<'a> {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) follows_synced: bool,
    /// No more than fits behind one record.
    pub(super) bytes: &'a [u8],
}

impl Tail {
    /// Adds what was appended to a segment, behind so many bytes of the same append that stand elsewhere too.
    pub(super) fn push(
        &mut self,
        (segment, begin): (u64, u64),
        kept: usize,
        last: u64,
        bytes: &[u8],
    ) {
        let (offset, length) = (begin + kept as u64, bytes.len());
        // With nothing kept the disk has all that was written.
        let follows_synced = offset == 0 || (kept == 0 && self.appends.is_empty());
        self.appends.push_back(Append { segment, offset, last, length, follows_synced });
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets what has numbers up to one: the disk has it.
    pub(super) fn forget(&mut self, through: u64) {
        let (mut gone, mut segment) = (0, None);
        while let Some(append) = self.appends.front().filter(|append| append.last <= through) {
            gone += append.length;
            segment = Some(append.segment);
            self.appends.pop_front();
        }
        self.bytes.drain(..gone.min(self.bytes.len()));
        if let Some(append) = self.appends.front_mut() {
            append.follows_synced |= Some(append.segment) == segment;
        }
    }

    /// Gives where the first that is kept of a segment stands.
    pub(super) fn begins(&self, segment: u64) -> Option<u64> {
        self.appends.iter().find(|append| append.segment == segment).map(|append| append.offset)
    }

    /// Gives the segment of the first that is kept.
    pub(super) fn first_segment(&self) -> Option<u64> {
        self.appends.front().map(|append| append.segment)
    }

    /// Gives how many bytes are kept.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Gives all that is kept, in order.
    pub(super) fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces: Vec<Piece<'_>> = Vec::new();
        let mut rest = self.bytes.as_slice();
        for append in &self.appends {
            let Append { segment, offset, last: _, length, follows_synced } = *append;
            let (mut bytes, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = behind;
            let (mut offset, mut follows_synced) = (offset, follows_synced);
            while !bytes.is_empty() {
                let (piece, left) = record::split(bytes, KEPT_BLOCKS_MAX);
                pieces.push(Piece { segment, offset, follows_synced, bytes: piece });
                offset += piece.len() as u64;
                // The reader has just taken what stands before it.
                follows_synced = false;
                bytes = left;
            }
        }
        pieces
    }
}
