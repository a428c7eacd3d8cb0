//! What the records of a segment mean, wherever its bytes come from: they refer to definitions by places in
//! a table, no longer by numbers of the segment's own.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    answer::Ending,
    journal::{
        definition::Definition,
        handover::Handover,
        reader::ReadError,
        record::{BLOCK, Body, Flaw, Record, Salt},
        segment::SegmentId,
        table::{Place, Table},
    },
    ledger::Charge,
    model::Nanos,
    store::{self, NodeId},
};

/// Something that counts, with its definition.
#[derive(Clone, Copy, Debug)]
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
        definition: Place,
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
        definition: Place,
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
    /// Where its definitions stand, in the order of their numbers.
    places: Vec<Place>,
    /// The same: as long as they are held here, they stay there.
    definitions: Vec<Arc<Definition>>,
    /// Has definitions of a writer in this process.
    beside: Option<Arc<Handover>>,
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
            places: Vec::new(),
            definitions: Vec::new(),
            beside: None,
        }
    }

    /// Takes definitions from where the writer gives them, as far as they are there.
    pub(super) fn beside(self, handover: Arc<Handover>) -> Self {
        Self { beside: Some(handover), ..self }
    }

    /// Takes the records at the start of the bytes and shows what counts; gives why it stopped, if that
    /// was not at their end.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        table: &mut Table,
        each: &mut dyn FnMut(Met<'_>, &mut Table) -> Result<(), ReadError>,
    ) -> Result<Option<Flaw>, ReadError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (record, payload) = match Record::decode(self.salt, rest) {
                Ok(found) => found,
                Err(flaw) => return Ok(Some(flaw)),
            };
            if let Some(what) = self.accept(record, payload, table)? {
                each(Met { offset: self.offset, sequence: record.sequence, what }, table)?;
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
        table: &mut Table,
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
                self.learn(set, payload, table)?;
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
                let definition = self.place(set)?;
                let nanos = Nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
                let cost = Charge { units: cost, nanos };
                Some(What::Entry(Entry::Reserve { sequence, at, request_id, definition, cost }))
            }
            Body::Settle { reservation, ending, charge, request_id: _ } => {
                Some(What::Entry(Entry::Settle { reservation, ending, charge }))
            }
            Body::SettleChanged { reservation, ending, set, charge, age_ms, request_id: _ } => {
                let definition = self.place(set)?;
                let opened_at = store::instant(time_ms.saturating_sub(age_ms.into()));
                // What is charged of the money stands in the definition.
                let draw = table.get(definition).and_then(|known| known.draw.as_ref());
                let drawn = draw.into_iter().flat_map(|draw| draw.of(1, Nanos::ZERO));
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

    fn learn(&mut self, set: u32, payload: &[u8], table: &mut Table) -> Result<(), ReadError> {
        if usize::try_from(set) != Ok(self.definitions.len() + 1) {
            return Err(self.damaged("a definition is missing"));
        }
        let beside = self.beside.as_ref();
        let given = beside.and_then(|handover| handover.take(self.id.number, set));
        debug_assert!(given.as_ref().is_none_or(|given| payload.starts_with(&given.encode())));
        let definition = match given {
            Some(given) => given,
            None => Definition::decode(payload)
                .ok_or_else(|| self.damaged("the definition cannot be read"))?
                .into(),
        };
        let (place, definition) =
            table.put(definition).ok_or_else(|| self.damaged("it defines more than is held"))?;
        self.places.push(place);
        self.definitions.push(definition);
        Ok(())
    }

    fn place(&self, set: u32) -> Result<Place, ReadError> {
        usize::try_from(set)
            .ok()
            .and_then(|set| self.places.get(set.checked_sub(1)?))
            .copied()
            .ok_or_else(|| self.damaged("its definition is missing"))
    }

    pub(super) fn damaged(&self, reason: &'static str) -> ReadError {
        ReadError::Damaged { path: self.path.clone(), offset: self.offset, reason }
    }
}
