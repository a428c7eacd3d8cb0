//! The format of the journal: little-endian records of 64 bytes; a definition has payload behind
//! it.
//!
//! ```text
//!  0 crc       u32   CRC-32 of the rest and the payload, salted
//!  4 kind      u8
//!  5 ending    u8    of a settle
//!  6 blocks    u16   64-byte blocks of payload that follow
//!  8 sequence  u64   strictly rising per worker, across segments
//! 16 reference u64   the reservation's sequence; the head's segment number
//! 24 time      i64   Unix milliseconds
//! 32 set       u32   the definition's number in this segment; the head's worker
//! 36 extra     u32   milliseconds since the reservation; the head's format version
//! 40 units     u64   cost or charge; the head's magic
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

/// The largest payload, so that a reader's buffer always holds a whole record.
pub(super) const BLOCKS_MAX: u16 = 4096;

/// The version of the format.
pub(super) const VERSION: u32 = 1;

const MAGIC: u64 = u64::from_le_bytes(*b"faregate");

const KIND_HEAD: u8 = 1;
const KIND_DEFINITION: u8 = 2;
const KIND_RESERVE: u8 = 3;
const KIND_SETTLE: u8 = 4;
const KIND_SETTLE_CHANGED: u8 = 5;
const KIND_SYNCED: u8 = 6;

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

    fn checksum(self, bytes: &[u8]) -> u32 {
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
    /// All records up to one are on the disk. Nothing writes it yet.
    Synced {
        /// The sequence of that record.
        through: u64,
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
        let with_payload = fields.kind == KIND_DEFINITION && fields.blocks <= BLOCKS_MAX;
        if fields.blocks > 0 && !with_payload {
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
        Some(Record { body: Body::Head { node, worker, segment }, .. })
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
            },
            KIND_DEFINITION => Body::Definition { set: self.set, blocks: self.blocks },
            KIND_RESERVE => Body::Reserve { set: self.set, cost: self.units, request_id },
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
            KIND_SYNCED => Body::Synced { through: self.reference },
            _ => return None,
        };
        Some(Record { sequence: self.sequence, time_ms: self.time, body })
    }
}

impl From<&Record> for Fields {
    fn from(record: &Record) -> Self {
        let fields = Self { sequence: record.sequence, time: record.time_ms, ..Self::default() };
        match record.body {
            Body::Head { node, worker, segment } => Self {
                kind: KIND_HEAD,
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
            Body::Reserve { set, cost, request_id } => {
                Self { kind: KIND_RESERVE, set, units: cost, id: request_id.into_bytes(), ..fields }
            }
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
            Body::Synced { through } => Self { kind: KIND_SYNCED, reference: through, ..fields },
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn salt() -> Salt {
        Salt::new(NodeId(Uuid::from_u128(7)), 3, 9)
    }

    fn bodies() -> Vec<Body> {
        let request_id = Uuid::from_u128(0x1234_5678_9abc_def0_1234);
        let mut bodies = vec![
            Body::Head { node: NodeId(Uuid::from_u128(7)), worker: u16::MAX, segment: 9 },
            Body::Definition { set: 1, blocks: 2 },
            Body::Definition { set: u32::MAX, blocks: 0 },
            Body::Reserve { set: 5, cost: u64::MAX, request_id },
            Body::Synced { through: 77 },
        ];
        for ending in Ending::ALL {
            bodies.push(Body::Settle { reservation: 3, ending, charge: 8, request_id });
            let (set, age_ms) = (4, 250);
            bodies.push(Body::SettleChanged {
                reservation: 3,
                ending,
                set,
                charge: 0,
                age_ms,
                request_id,
            });
        }
        bodies
    }

    fn encoded(body: Body) -> (Record, Vec<u8>) {
        let record = Record { sequence: 1 << 60, time_ms: -5, body };
        let payload = match body {
            Body::Definition { blocks, .. } => vec![0xa5; usize::from(blocks) * BLOCK],
            _ => Vec::new(),
        };
        let mut bytes = Vec::new();
        record.encode(salt(), &payload, &mut bytes);
        assert_eq!(bytes.len(), BLOCK + payload.len());
        (record, bytes)
    }

    #[test]
    fn every_record_is_read_back() {
        for body in bodies() {
            let (record, bytes) = encoded(body);
            let longer = [bytes.as_slice(), &[1; 100]].concat();
            let (read, payload) = Record::decode(salt(), &longer).unwrap();
            assert_eq!((read, payload), (record, &bytes[BLOCK..]));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for body in bodies() {
            let (_, bytes) = encoded(body);
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(Record::decode(salt(), &flipped).is_err(), "{body:?}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_part_of_a_record_is_incomplete() {
        let (_, bytes) = encoded(Body::Definition { set: 1, blocks: 2 });
        for length in 0..bytes.len() {
            assert_eq!(Record::decode(salt(), &bytes[..length]), Err(Flaw::Incomplete));
        }
    }

    #[test]
    fn a_record_of_another_segment_does_not_pass() {
        let node = NodeId(Uuid::from_u128(7));
        let others = [
            Salt::new(NodeId(Uuid::from_u128(8)), 3, 9),
            Salt::new(node, 2, 9),
            Salt::new(node, 3, 10),
        ];
        for body in bodies() {
            for other in others {
                assert_eq!(Record::decode(other, &encoded(body).1), Err(Flaw::Bad));
            }
        }
    }

    #[test]
    fn a_head_tells_whose_it_is() {
        let node = NodeId(Uuid::from_u128(7));
        let (_, head) = encoded(Body::Head { node, worker: 3, segment: 9 });
        assert_eq!(claim(&head), Claim::Head { node, worker: 3, segment: 9 });
        let mut newer = head.clone();
        newer[36] = 2;
        assert_eq!(claim(&newer), Claim::OtherVersion(2));
        let mut damaged = head.clone();
        damaged[20] ^= 1;
        assert_eq!(claim(&damaged), Claim::Nothing);
        assert_eq!(claim(&head[..63]), Claim::Nothing);
    }

    #[test]
    fn the_layout_stays() {
        let request_id = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        let body = Body::SettleChanged {
            reservation: 2,
            ending: Ending::Failed,
            set: 3,
            charge: 4,
            age_ms: 5,
            request_id,
        };
        let mut bytes = Vec::new();
        Record { sequence: 1, time_ms: 6, body }.encode(salt(), &[], &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "03f56c9f\
             05030000\
             0100000000000000\
             0200000000000000\
             0600000000000000\
             03000000\
             05000000\
             0400000000000000\
             0102030405060708090a0b0c0d0e0f10"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Record::decode(salt(), &bytes);
            let _ = claim(&bytes);
        }

        #[test]
        fn arbitrary_fields_do_not_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 64),
            kind in 0..8_u8,
        ) {
            bytes[4] = kind;
            bytes[6..8].fill(0);
            let crc = salt().checksum(&bytes[4..]);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
            if let Ok((record, _)) = Record::decode(salt(), &bytes) {
                let mut again = Vec::new();
                record.encode(salt(), &[], &mut again);
                prop_assert_eq!(Record::decode(salt(), &again), Ok((record, [].as_slice())));
            }
        }
    }
}
