//! The format of the journal: little-endian records of 64 bytes; a definition has payload behind
//! it.
//!
//! ```text
//!  0 crc       u32   CRC-32 of the rest and the payload, salted
//!  4 kind      u8
//!  5 ending    u8    of a settle; 1 of a head where there may be room behind the last record: zeros
//!  6 blocks    u16   64-byte blocks of payload that follow
//!  8 sequence  u64   strictly rising per worker, across segments
//! 16 reference u64   the reservation's sequence; the segment's number of the head and of what is kept; of a
//!                    reservation the nano-units of money that it holds
//! 24 time      i64   Unix milliseconds
//! 32 set       u32   the definition's number in this segment; the head's worker
//! 36 extra     u32   milliseconds since the reservation; the head's format version; 1 where what is kept
//!                    follows what the disk has
//! 40 units     u64   cost or charge; the head's magic; where in its segment stands what is kept; how much of the
//!                    segment the disk has
//! 48 id        16    the request's id; the head's node id
//! ```
//!
//! Invariant: a number that stands for a kind or an ending never changes its meaning. A change of
//! the layout is a new [`VERSION`].

use crc32fast::Hasher;
use uuid::Uuid;

use crate::{answer::Ending, store::NodeId};

/// The size of a record without payload, and of a block of payload.
pub(super) const BLOCK: usize = 64;

/// The largest payload of a definition.
pub(super) const BLOCKS_MAX: u16 = 4096;

/// The largest payload of what is kept: a whole definition with its record, and some more. A reader's buffer
/// holds it with its record.
pub(super) const KEPT_BLOCKS_MAX: u16 = 2 * BLOCKS_MAX;

/// The version of the format.
pub(super) const VERSION: u32 = 1;

const MAGIC: u64 = u64::from_le_bytes(*b"faregate");

const KIND_HEAD: u8 = 1;
const KIND_DEFINITION: u8 = 2;
const KIND_RESERVE: u8 = 3;
const KIND_SETTLE: u8 = 4;
const KIND_SETTLE_CHANGED: u8 = 5;
const KIND_SYNCED: u8 = 6;
const KIND_KEPT: u8 = 7;

/// What the checksums of a segment begin with, so that a record from another segment does not pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Salt(u32);

impl Salt {
    /// Makes the salt of a segment.
    pub(super) fn new(node: NodeId, worker: u16, segment: u64) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(node.0.as_bytes());
        hasher.update(&worker.to_le_bytes());
        hasher.update(&segment.to_le_bytes());
        Self(hasher.finalize())
    }

    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        let mut hasher = Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// One record; a definition's payload is beside it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Record {
    /// Strictly rising per worker, across segments; numbers may be left out.
    pub sequence: u64,
    /// When, in Unix milliseconds.
    pub time_ms: i64,
    /// What.
    pub body: Body,
}

/// What a record says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Body {
    /// The first record of a segment: which segment it is.
    Head {
        /// Whose journal directory.
        node: NodeId,
        /// Whose journal.
        worker: u16,
        /// Which of its segments.
        segment: u64,
        /// Zeros may stand behind its last record.
        has_room: bool,
    },
    /// The payload behind it is what records of this segment mean by a number.
    Definition {
        /// The number; from 1, without gaps.
        set: u32,
        /// Blocks of payload.
        blocks: u16,
    },
    /// Units were taken.
    Reserve {
        /// The definition's number.
        set: u32,
        /// How many.
        cost: u64,
        /// How much money with them, in nano-units.
        nanos: u64,
        /// The request.
        request_id: Uuid,
    },
    /// A reservation ended and is charged what it took.
    Settle {
        /// The sequence of the reservation, perhaps in an earlier segment.
        reservation: u64,
        /// How.
        ending: Ending,
        /// The units it took.
        charge: u64,
        /// The request.
        request_id: Uuid,
    },
    /// A reservation ended and is charged something else. It can be counted without the
    /// reservation.
    SettleChanged {
        /// The sequence of the reservation.
        reservation: u64,
        /// How.
        ending: Ending,
        /// The definition's number in this segment.
        set: u32,
        /// The units to charge.
        charge: u64,
        /// Milliseconds since the reservation.
        age_ms: u32,
        /// The request.
        request_id: Uuid,
    },
    /// The disk has all records up to one.
    Synced {
        /// The sequence of that record.
        through: u64,
        /// How long this segment is up to there.
        length: u64,
    },
    /// The payload behind it is records of an earlier segment, which the disk may have lost.
    Kept {
        /// The segment's number.
        segment: u64,
        /// Where in it they stand.
        offset: u64,
        /// The disk has what stands before them.
        follows_synced: bool,
        /// Blocks of payload.
        blocks: u16,
    },
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flaw {
    /// There are too few of them.
    Incomplete,
    /// The checksum is wrong, or what it covers is not understood.
    Bad,
}

impl Record {
    /// Appends the record with its payload, which is as long as the body says.
    pub(super) fn encode(&self, salt: Salt, payload: &[u8], out: &mut Vec<u8>) {
        let fields = Fields::from(self);
        debug_assert_eq!(payload.len(), usize::from(fields.blocks) * BLOCK);
        let start = out.len();
        fields.write(out);
        out.extend_from_slice(payload);
        if let Some((crc, covered)) = out.get_mut(start..).and_then(|b| b.split_first_chunk_mut()) {
            *crc = salt.checksum(covered).to_le_bytes();
        }
    }

    /// Reads the record at the start of the bytes, with its payload.
    pub(super) fn decode(salt: Salt, bytes: &[u8]) -> Result<(Self, &[u8]), Flaw> {
        let (block, rest) = bytes.split_first_chunk().ok_or(Flaw::Incomplete)?;
        let fields = Fields::parse(block);
        let blocks_max = match fields.kind {
            KIND_DEFINITION => BLOCKS_MAX,
            KIND_KEPT => KEPT_BLOCKS_MAX,
            _ => 0,
        };
        if fields.blocks > blocks_max {
            return Err(Flaw::Bad);
        }
        let length = usize::from(fields.blocks) * BLOCK;
        let payload = rest.get(..length).ok_or(Flaw::Incomplete)?;
        let covered = bytes.get(4..BLOCK + length).ok_or(Flaw::Incomplete)?;
        if salt.checksum(covered) != fields.crc {
            return Err(Flaw::Bad);
        }
        Ok((fields.record().ok_or(Flaw::Bad)?, payload))
    }
}

/// Splits whole records where at most so many blocks of them are in front; the first record always is.
pub(super) fn split(bytes: &[u8], blocks_max: u16) -> (&[u8], &[u8]) {
    let max = usize::from(blocks_max) * BLOCK;
    let mut end = 0;
    while let Some(block) = bytes.get(end..).and_then(<[u8]>::first_chunk) {
        let next = end + BLOCK + usize::from(Fields::parse(block).blocks) * BLOCK;
        if end > 0 && next > max {
            break;
        }
        end = next;
    }
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

/// What the first record of a file claims to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Claim {
    /// The head of a segment, with a right checksum.
    Head {
        /// Whose journal directory.
        node: NodeId,
        /// Whose journal.
        worker: u16,
        /// Which of its segments.
        segment: u64,
    },
    /// The head of a segment in another version of the format.
    OtherVersion(u32),
    /// No head.
    Nothing,
}

/// Reads what the file says it is, so that a misplaced file is told from a damaged one: by its salt
/// alone every record of it would be bad.
pub(super) fn claim(bytes: &[u8]) -> Claim {
    let Some(block) = bytes.first_chunk() else { return Claim::Nothing };
    let fields = Fields::parse(block);
    if fields.kind != KIND_HEAD || fields.units != MAGIC {
        return Claim::Nothing;
    }
    if fields.extra != VERSION {
        return Claim::OtherVersion(fields.extra);
    }
    match fields.record() {
        Some(Record { body: Body::Head { node, worker, segment, has_room: _ }, .. })
            if Record::decode(Salt::new(node, worker, segment), bytes).is_ok() =>
        {
            Claim::Head { node, worker, segment }
        }
        _ => Claim::Nothing,
    }
}

/// The fields by place, whatever they mean.
#[derive(Clone, Copy, Default)]
struct Fields {
    crc: u32,
    kind: u8,
    ending: u8,
    blocks: u16,
    sequence: u64,
    reference: u64,
    time: i64,
    set: u32,
    extra: u32,
    units: u64,
    id: [u8; 16],
}

impl Fields {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { crc, kind, ending, blocks, sequence, reference, time, set, extra, units, id } =
            self;
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&[*kind, *ending]);
        out.extend_from_slice(&blocks.to_le_bytes());
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&reference.to_le_bytes());
        out.extend_from_slice(&time.to_le_bytes());
        out.extend_from_slice(&set.to_le_bytes());
        out.extend_from_slice(&extra.to_le_bytes());
        out.extend_from_slice(&units.to_le_bytes());
        out.extend_from_slice(id);
    }

    fn parse(block: &[u8; BLOCK]) -> Self {
        let mut rest = block.as_slice();
        Self {
            crc: u32::from_le_bytes(take(&mut rest)),
            kind: u8::from_le_bytes(take(&mut rest)),
            ending: u8::from_le_bytes(take(&mut rest)),
            blocks: u16::from_le_bytes(take(&mut rest)),
            sequence: u64::from_le_bytes(take(&mut rest)),
            reference: u64::from_le_bytes(take(&mut rest)),
            time: i64::from_le_bytes(take(&mut rest)),
            set: u32::from_le_bytes(take(&mut rest)),
            extra: u32::from_le_bytes(take(&mut rest)),
            units: u64::from_le_bytes(take(&mut rest)),
            id: take(&mut rest),
        }
    }

    fn record(&self) -> Option<Record> {
        let request_id = Uuid::from_bytes(self.id);
        let body = match self.kind {
            KIND_HEAD if self.units == MAGIC && self.extra == VERSION => Body::Head {
                node: NodeId(request_id),
                worker: u16::try_from(self.set).ok()?,
                segment: self.reference,
                has_room: self.ending == 1,
            },
            KIND_DEFINITION => Body::Definition { set: self.set, blocks: self.blocks },
            KIND_RESERVE => {
                let (cost, nanos) = (self.units, self.reference);
                Body::Reserve { set: self.set, cost, nanos, request_id }
            }
            KIND_SETTLE => Body::Settle {
                reservation: self.reference,
                ending: ending_from(self.ending)?,
                charge: self.units,
                request_id,
            },
            KIND_SETTLE_CHANGED => Body::SettleChanged {
                reservation: self.reference,
                ending: ending_from(self.ending)?,
                set: self.set,
                charge: self.units,
                age_ms: self.extra,
                request_id,
            },
            KIND_SYNCED => Body::Synced { through: self.reference, length: self.units },
            KIND_KEPT => Body::Kept {
                segment: self.reference,
                offset: self.units,
                follows_synced: self.extra == 1,
                blocks: self.blocks,
            },
            _ => return None,
        };
        Some(Record { sequence: self.sequence, time_ms: self.time, body })
    }
}

impl From<&Record> for Fields {
    fn from(record: &Record) -> Self {
        let fields = Self { sequence: record.sequence, time: record.time_ms, ..Self::default() };
        match record.body {
            Body::Head { node, worker, segment, has_room } => Self {
                kind: KIND_HEAD,
                ending: has_room.into(),
                reference: segment,
                set: worker.into(),
                extra: VERSION,
                units: MAGIC,
                id: node.0.into_bytes(),
                ..fields
            },
            Body::Definition { set, blocks } => {
                Self { kind: KIND_DEFINITION, set, blocks, ..fields }
            }
            Body::Reserve { set, cost, nanos, request_id } => Self {
                kind: KIND_RESERVE,
                reference: nanos,
                set,
                units: cost,
                id: request_id.into_bytes(),
                ..fields
            },
            Body::Settle { reservation, ending, charge, request_id } => Self {
                kind: KIND_SETTLE,
                ending: ending_number(ending),
                reference: reservation,
                units: charge,
                id: request_id.into_bytes(),
                ..fields
            },
            Body::SettleChanged { reservation, ending, set, charge, age_ms, request_id } => Self {
                kind: KIND_SETTLE_CHANGED,
                ending: ending_number(ending),
                reference: reservation,
                set,
                extra: age_ms,
                units: charge,
                id: request_id.into_bytes(),
                ..fields
            },
            Body::Synced { through, length } => {
                Self { kind: KIND_SYNCED, reference: through, units: length, ..fields }
            }
            Body::Kept { segment, offset, follows_synced, blocks } => Self {
                kind: KIND_KEPT,
                blocks,
                reference: segment,
                extra: follows_synced.into(),
                units: offset,
                ..fields
            },
        }
    }
}

/// Takes the next bytes of a block; the fields' sizes add up to [`BLOCK`], so they are there.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    rest.split_off(..N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

fn ending_number(ending: Ending) -> u8 {
    match ending {
        Ending::Refused => 1,
        Ending::Unsent => 2,
        Ending::Failed => 3,
        Ending::Abandoned => 4,
        Ending::Uncharged => 5,
        Ending::Completed => 6,
        Ending::Truncated => 7,
        Ending::Aborted => 8,
        Ending::Expired => 9,
        Ending::FaultedBeforeHead => 10,
        Ending::FaultedAfterHead => 11,
        Ending::Unknown => 12,
    }
}

fn ending_from(number: u8) -> Option<Ending> {
    Some(match number {
        1 => Ending::Refused,
        2 => Ending::Unsent,
        3 => Ending::Failed,
        4 => Ending::Abandoned,
        5 => Ending::Uncharged,
        6 => Ending::Completed,
        7 => Ending::Truncated,
        8 => Ending::Aborted,
        9 => Ending::Expired,
        10 => Ending::FaultedBeforeHead,
        11 => Ending::FaultedAfterHead,
        12 => Ending::Unknown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
