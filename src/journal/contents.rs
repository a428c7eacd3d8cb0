//! What the records of a segment mean, wherever its bytes come from: definitions are put in the place of
//! the numbers for them.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    answer::Ending,
    journal::{
        alike::Alike,
        definition::Definition,
        handover::Handover,
        reader::ReadError,
        record::{BLOCK, Body, Flaw, Record, Salt},
        segment::SegmentId,
    },
    ledger::Charge,
    model::Nanos,
    store::{self, NodeId},
};

/// Something that counts, with its definition.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// Units were taken.
    Reserve {
        /// The record's number: the reservation's from now on.
        sequence: u64,
        /// When.
        at: Timestamp,
        /// The request.
        request_id: Uuid,
        /// From where.
        definition: Arc<Definition>,
        /// How much.
        cost: Charge,
    },
    /// A reservation ended and is charged what it took.
    Settle {
        /// Which.
        reservation: u64,
        /// How.
        ending: Ending,
        /// The units.
        charge: u64,
    },
    /// A reservation ended and is charged something else.
    SettleChanged {
        /// Which.
        reservation: u64,
        /// When it was made.
        opened_at: Timestamp,
        /// What it was made on.
        definition: Arc<Definition>,
        /// How it ended.
        ending: Ending,
        /// How much.
        charge: Charge,
    },
}

/// A record that says something to whoever reads.
pub(super) struct Met<'b> {
    /// Where it begins.
    pub(super) offset: u64,
    /// Its number.
    pub(super) sequence: u64,
    pub(super) what: What<'b>,
}

pub(super) enum What<'b> {
    Entry(Entry),
    Kept(Kept<'b>),
}

/// Records of an earlier segment that the disk may have lost.
pub(super) struct Kept<'b> {
    /// Which segment.
    pub(super) segment: u64,
    /// Where in it they stand.
    pub(super) offset: u64,
    /// The disk has what stands before them.
    pub(super) follows_synced: bool,
    pub(super) bytes: &'b [u8],
}

/// A segment as far as it was read.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) id: SegmentId,
    /// For errors.
    path: PathBuf,
    node: NodeId,
    salt: Salt,
    /// Where the next record begins.
    pub(super) offset: u64,
    /// The number of the last record, here or before.
    pub(super) sequence: u64,
    pub(super) latest: Timestamp,
    /// Zeros may stand behind the last record.
    pub(super) has_room: bool,
    definitions: Vec<Arc<Definition>>,
    /// Has definitions of a writer in this process, and makes one of those that say the same.
    beside: Option<(Arc<Handover>, Arc<Alike>)>,
}

impl Contents {
    /// Begins a segment. Its records must have numbers above `sequence`.
    pub(super) fn new(node: NodeId, id: SegmentId, path: PathBuf, sequence: u64) -> Self {
        Self {
            id,
            path,
            node,
            salt: Salt::new(node, id.worker, id.number),
            offset: 0,
            sequence,
            latest: Timestamp::MIN,
            has_room: false,
            definitions: Vec::new(),
            beside: None,
        }
    }

    /// Takes definitions from where the writer gives them, as far as they are there.
    pub(super) fn beside(self, handover: Arc<Handover>, alike: Arc<Alike>) -> Self {
        Self { beside: Some((handover, alike)), ..self }
    }

    /// Takes the records at the start of the bytes and shows what counts; gives why it stopped, if that
    /// was not at their end.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(Met<'_>) -> Result<(), ReadError>,
    ) -> Result<Option<Flaw>, ReadError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (record, payload) = match Record::decode(self.salt, rest) {
                Ok(found) => found,
                Err(flaw) => return Ok(Some(flaw)),
            };
            if let Some(what) = self.accept(record, payload)? {
                each(Met { offset: self.offset, sequence: record.sequence, what })?;
            }
            let length = BLOCK + payload.len();
            self.offset += length as u64;
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(None)
    }

    /// Tells whether a record among the bytes says that the disk had the next one here.
    pub(super) fn is_on_disk(&self, bytes: &[u8]) -> bool {
        let mut places = (BLOCK..bytes.len()).step_by(BLOCK).filter_map(|at| bytes.get(at..));
        places.any(|bytes| {
            let found = Record::decode(self.salt, bytes);
            matches!(found, Ok((Record { body: Body::Synced { length, .. }, .. }, _)) if length > self.offset)
        })
    }

    /// Gives the number of the last record among bytes of this segment.
    pub(super) fn last(&self, bytes: &[u8]) -> Option<u64> {
        let (mut rest, mut last) = (bytes, None);
        while let Ok((record, payload)) = Record::decode(self.salt, rest) {
            last = Some(record.sequence);
            rest = rest.get(BLOCK + payload.len()..).unwrap_or_default();
        }
        last
    }

    /// Checks that the record can stand where it does, and resolves it.
    fn accept<'b>(
        &mut self,
        record: Record,
        payload: &'b [u8],
    ) -> Result<Option<What<'b>>, ReadError> {
        let Record { sequence, time_ms, body } = record;
        if sequence <= self.sequence {
            return Err(self.damaged("its number is not above the one before"));
        }
        if (self.offset == 0) != matches!(body, Body::Head { .. }) {
            return Err(self.damaged("the segment's head is missing or misplaced"));
        }
        let at = store::instant(time_ms);
        let what = match body {
            Body::Definition { set, .. } => {
                self.learn(set, payload)?;
                None
            }
            Body::Head { node, worker, segment: number, has_room } => {
                if (node, SegmentId { worker, number }) != (self.node, self.id) {
                    return Err(self.damaged("the segment's head is another's"));
                }
                self.has_room = has_room;
                None
            }
            Body::Reserve { set, cost, nanos, request_id } => {
                let definition = self.definition(set)?;
                let nanos = Nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
                let cost = Charge { units: cost, nanos };
                Some(What::Entry(Entry::Reserve { sequence, at, request_id, definition, cost }))
            }
            Body::Settle { reservation, ending, charge, request_id: _ } => {
                Some(What::Entry(Entry::Settle { reservation, ending, charge }))
            }
            Body::SettleChanged { reservation, ending, set, charge, age_ms, request_id: _ } => {
                let definition = self.definition(set)?;
                let opened_at = store::instant(time_ms.saturating_sub(age_ms.into()));
                // What is charged of the money stands in the definition.
                let drawn = definition.draw.iter().flat_map(|draw| draw.of(1, Nanos::ZERO));
                let nanos = drawn.map(|(_, nanos)| nanos).sum();
                let charge = Charge { units: charge, nanos };
                let entry =
                    Entry::SettleChanged { reservation, opened_at, definition, ending, charge };
                Some(What::Entry(entry))
            }
            Body::Kept { segment, offset, follows_synced, blocks: _ } => {
                if offset.checked_add(payload.len() as u64).is_none() {
                    return Err(self.damaged("what is kept stands behind every end"));
                }
                Some(What::Kept(Kept { segment, offset, follows_synced, bytes: payload }))
            }
            Body::Synced { through: _, length: _ } => None,
        };
        self.sequence = sequence;
        self.latest = self.latest.max(at);
        Ok(what)
    }

    fn learn(&mut self, set: u32, payload: &[u8]) -> Result<(), ReadError> {
        if usize::try_from(set) != Ok(self.definitions.len() + 1) {
            return Err(self.damaged("a definition is missing"));
        }
        let beside = self.beside.as_ref();
        let given =
            beside.and_then(|(handover, alike)| Some((handover.take(self.id.number, set)?, alike)));
        debug_assert!(given.as_ref().is_none_or(|(given, _)| payload.starts_with(&given.encode())));
        let definition = match given {
            Some((given, alike)) => alike.one(given),
            None => Definition::decode(payload)
                .ok_or_else(|| self.damaged("the definition cannot be read"))?
                .into(),
        };
        self.definitions.push(definition);
        Ok(())
    }

    fn definition(&self, set: u32) -> Result<Arc<Definition>, ReadError> {
        usize::try_from(set)
            .ok()
            .and_then(|set| self.definitions.get(set.checked_sub(1)?))
            .cloned()
            .ok_or_else(|| self.damaged("its definition is missing"))
    }

    pub(super) fn damaged(&self, reason: &'static str) -> ReadError {
        ReadError::Damaged { path: self.path.clone(), offset: self.offset, reason }
    }
}
