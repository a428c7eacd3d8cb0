//! Reads one segment, in order, and puts definitions in the place of the numbers for them.
//!
//! Invariant: what cannot be read is passed over only at the end of a segment with nothing valid
//! behind it. That is what an append leaves that was cut short, and nothing was done on the
//! strength of it.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    answer::Ending,
    journal::{
        definition::Definition,
        handover::Handover,
        record::{self, BLOCK, BLOCKS_MAX, Body, Claim, Flaw, Record, Salt, VERSION},
        segment::SegmentId,
    },
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
        /// How many.
        cost: u64,
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
        /// The units.
        charge: u64,
    },
}

/// How far to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Until {
    /// To the end of a file that nobody writes to any more.
    End,
    /// To a length that was published: all of it must be whole.
    Length(u64),
}

/// What one step of reading came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// There is more.
    More,
    /// All is read.
    Done,
    /// All is read but a torn append at the end.
    Torn(Torn),
}

/// A place where an append was cut short.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Torn {
    /// The segment's file.
    pub path: PathBuf,
    /// The length of what is good.
    pub offset: u64,
    /// The bytes that were passed over.
    pub bytes: u64,
}

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A record is damaged, and it is not the torn end of the last append.
    #[error(
        "{path} is damaged at byte {offset}: {reason}; put the file back from a copy, or move it \
         out of the directory to go on without it: what it says of units used is then lost"
    )]
    Damaged {
        /// The segment's file.
        path: PathBuf,
        /// Where the bad record begins.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// Another directory's, or renamed.
    #[error(
        "{path} belongs to node {node} and was named {name}; move it back to where it came from"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        node: NodeId,
        /// Its right name.
        name: PathBuf,
    },
    /// The file cannot be opened or read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Written by another version of the program.
    #[error(
        "{path} is in version {found} of the journal's format and this program knows version \
         {VERSION}; start the program that wrote it once more and stop it in peace"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// Reads a segment from its start. It holds the definitions it has met, so that it can go on where
/// it stopped when more is appended.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    path: PathBuf,
    node: NodeId,
    id: SegmentId,
    salt: Salt,
    offset: u64,
    /// The number of the last record, here or in the segment before.
    sequence: u64,
    latest: Timestamp,
    definitions: Vec<Arc<Definition>>,
    /// Has definitions of a writer in this process.
    handover: Option<Arc<Handover>>,
    buffer: Vec<u8>,
}

/// Bytes read at once; more than the largest record, so that every step gets on.
const CHUNK: u64 = 1 << 20;
const _: () = assert!(CHUNK > (BLOCKS_MAX as u64 + 1) * BLOCK as u64);

impl Reader {
    /// Opens a segment. Its records must have numbers above `sequence`.
    pub(super) fn open(
        directory: &Path,
        node: NodeId,
        id: SegmentId,
        sequence: u64,
    ) -> Result<Self, ReadError> {
        let path = id.path(directory);
        let mut start = Vec::new();
        let file = match File::open(&path).and_then(|mut file| {
            file.by_ref().take(BLOCK as u64).read_to_end(&mut start)?;
            Ok(file)
        }) {
            Ok(file) => file,
            Err(source) => return Err(ReadError::Io { path, source }),
        };
        match record::claim(&start) {
            Claim::Head { node: n, worker, segment: number }
                if (n, SegmentId { worker, number }) != (node, id) =>
            {
                let name = SegmentId { worker, number }.path(Path::new(""));
                return Err(ReadError::Foreign { path, node: n, name });
            }
            Claim::OtherVersion(found) => return Err(ReadError::Version { path, found }),
            Claim::Head { .. } | Claim::Nothing => {}
        }
        Ok(Self {
            file,
            path,
            node,
            id,
            salt: Salt::new(node, id.worker, id.number),
            offset: 0,
            sequence,
            latest: Timestamp::MIN,
            definitions: Vec::new(),
            handover: None,
            buffer: Vec::new(),
        })
    }

    /// Takes definitions from where the writer gives them, as far as they are there.
    pub(super) fn beside(self, handover: Arc<Handover>) -> Self {
        Self { handover: Some(handover), ..self }
    }

    /// Reads about a mebibyte of records and hands on those that count and begin at `from` or
    /// behind it. Definitions before that are needed all the same.
    pub(super) fn read(
        &mut self,
        until: Until,
        from: u64,
        each: &mut dyn FnMut(Entry),
    ) -> Result<Step, ReadError> {
        let mut buffer = mem::take(&mut self.buffer);
        let result = self.step(until, from, &mut buffer, each);
        self.buffer = buffer;
        result
    }

    /// Gives the length of what was read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Gives the number of the last record.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Gives the latest time met.
    pub(super) fn latest(&self) -> Timestamp {
        self.latest
    }

    /// Gives the segment.
    pub(super) fn id(&self) -> SegmentId {
        self.id
    }

    fn step(
        &mut self,
        until: Until,
        from: u64,
        buffer: &mut Vec<u8>,
        each: &mut dyn FnMut(Entry),
    ) -> Result<Step, ReadError> {
        let end = match until {
            Until::End => self.file.metadata().map_err(|source| self.failed(source))?.len(),
            Until::Length(length) => length,
        };
        let left = end.saturating_sub(self.offset);
        self.fill(buffer, left.min(CHUNK))?;
        if (buffer.len() as u64) < left.min(CHUNK) {
            return Err(self.damaged("the file is shorter than it was"));
        }
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            let (record, payload) = match Record::decode(self.salt, rest) {
                Ok(found) => found,
                Err(Flaw::Incomplete) if left > CHUNK && rest.len() < buffer.len() => break,
                Err(_) => return self.flaw(until, end),
            };
            let entry = self.accept(record, payload)?;
            if let Some(entry) = entry.filter(|_| self.offset >= from) {
                each(entry);
            }
            let length = BLOCK + payload.len();
            self.offset += length as u64;
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(if self.offset < end { Step::More } else { Step::Done })
    }

    /// Reads so many bytes from where we are; fewer when the file is shorter.
    fn fill(&mut self, buffer: &mut Vec<u8>, length: u64) -> Result<(), ReadError> {
        buffer.clear();
        let read = self
            .file
            .seek(SeekFrom::Start(self.offset))
            .and_then(|_| self.file.by_ref().take(length).read_to_end(buffer));
        read.map(drop).map_err(|source| self.failed(source))
    }

    /// Tells a torn end from damage.
    fn flaw(&mut self, until: Until, end: u64) -> Result<Step, ReadError> {
        if let Until::Length(_) = until {
            return Err(self.damaged("a record that was whole is not any more"));
        }
        if self.is_anything_valid_behind()? {
            return Err(self.damaged("a record is bad and there are good ones behind it"));
        }
        let (path, offset) = (self.path.clone(), self.offset);
        Ok(Step::Torn(Torn { path, offset, bytes: end - offset }))
    }

    /// Looks for a good record behind the bad one at every place where one could begin.
    fn is_anything_valid_behind(&mut self) -> Result<bool, ReadError> {
        // The rest at once: it is a segment at most, and this is rare.
        let mut rest = Vec::new();
        self.fill(&mut rest, u64::MAX)?;
        let mut places = (BLOCK..rest.len()).step_by(BLOCK).filter_map(|at| rest.get(at..));
        Ok(places.any(|bytes| Record::decode(self.salt, bytes).is_ok()))
    }

    /// Checks that the record can stand where it does, and resolves it.
    fn accept(&mut self, record: Record, payload: &[u8]) -> Result<Option<Entry>, ReadError> {
        let Record { sequence, time_ms, body } = record;
        if sequence <= self.sequence {
            return Err(self.damaged("its number is not above the one before"));
        }
        if (self.offset == 0) != matches!(body, Body::Head { .. }) {
            return Err(self.damaged("the segment's head is missing or misplaced"));
        }
        let at = store::instant(time_ms);
        let entry = match body {
            Body::Definition { set, .. } => {
                self.learn(set, payload)?;
                None
            }
            Body::Head { node, worker, segment: number } => {
                debug_assert_eq!((node, SegmentId { worker, number }), (self.node, self.id));
                None
            }
            Body::Reserve { set, cost, request_id } => {
                let definition = self.definition(set)?;
                Some(Entry::Reserve { sequence, at, request_id, definition, cost })
            }
            Body::Settle { reservation, ending, charge, request_id: _ } => {
                Some(Entry::Settle { reservation, ending, charge })
            }
            Body::SettleChanged { reservation, ending, set, charge, age_ms, request_id: _ } => {
                let definition = self.definition(set)?;
                let opened_at = store::instant(time_ms.saturating_sub(age_ms.into()));
                Some(Entry::SettleChanged { reservation, opened_at, definition, ending, charge })
            }
            Body::Synced { through: _ } => None,
        };
        self.sequence = sequence;
        self.latest = self.latest.max(at);
        Ok(entry)
    }

    fn learn(&mut self, set: u32, payload: &[u8]) -> Result<(), ReadError> {
        if usize::try_from(set) != Ok(self.definitions.len() + 1) {
            return Err(self.damaged("a definition is missing"));
        }
        let given = self.handover.as_ref().and_then(|handover| handover.take(self.id.number, set));
        debug_assert!(given.as_ref().is_none_or(|given| payload.starts_with(&given.encode())));
        let definition = match given {
            Some(given) => given,
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

    fn damaged(&self, reason: &'static str) -> ReadError {
        ReadError::Damaged { path: self.path.clone(), offset: self.offset, reason }
    }

    fn failed(&self, source: io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), source }
    }
}
