//! Reads one segment, in order.
//!
//! Invariant: what cannot be read is passed over only where no record behind it says that the disk had
//! it. That is what an append leaves that was cut short, and what a power cut takes.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    journal::{
        contents::{Contents, Entry, Kept, Met, What},
        handover::Handover,
        record::{self, BLOCK, Claim, Flaw, KEPT_BLOCKS_MAX, VERSION},
        segment::SegmentId,
        table::Table,
    },
    store::NodeId,
};

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
    contents: Contents,
    older: Older,
    /// The first and the last number that were met in the segment itself.
    met: Option<(u64, u64)>,
    /// The last record that was read is one of those that are kept.
    is_among_kept: bool,
    buffer: Vec<u8>,
    /// Bytes that are read next.
    chunk: u64,
}

/// Bytes read at once: so many stay near the processor while they are looked at.
const CHUNK: u64 = 128 << 10;

/// Where that gets nowhere; more than the largest record.
const CHUNK_MAX: u64 = 1 << 20;
const _: () = assert!(CHUNK_MAX > (KEPT_BLOCKS_MAX as u64 + 2) * BLOCK as u64);

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
            contents: Contents::new(node, id, path.clone(), sequence),
            path,
            older: Older::new(directory, node, id.worker, sequence),
            met: None,
            is_among_kept: false,
            buffer: Vec::new(),
            chunk: CHUNK,
        })
    }

    /// Lets it pass over what is kept of earlier segments and was read already.
    pub(super) fn knowing(self, known: Known) -> Self {
        Self { older: Older { known, ..self.older }, ..self }
    }

    /// Takes definitions from where the writer gives them, as far as they are there.
    pub(super) fn beside(self, handover: Arc<Handover>) -> Self {
        Self { contents: self.contents.beside(handover), ..self }
    }

    /// Reads some of the records, puts their definitions into the table and hands on those that count and
    /// begin at `from` or behind it. Definitions before that are needed all the same. What is kept of earlier
    /// segments is read at once: a position tells nothing of how far in them a reader was.
    pub(super) fn read(
        &mut self,
        until: Until,
        from: u64,
        table: &mut Table,
        each: &mut dyn FnMut(Entry),
    ) -> Result<Step, ReadError> {
        let mut buffer = mem::take(&mut self.buffer);
        let result = loop {
            match self.step((until, from), &mut buffer, table, each) {
                Ok(Step::More) if self.is_among_kept => {}
                result => break result,
            }
        };
        self.buffer = buffer;
        result
    }

    /// Gives the length of what was read.
    pub(super) fn offset(&self) -> u64 {
        self.contents.offset
    }

    /// Gives the number of the last record.
    pub(super) fn sequence(&self) -> u64 {
        self.contents.sequence
    }

    /// Gives the latest time met.
    pub(super) fn latest(&self) -> Timestamp {
        self.contents.latest.max(self.older.latest)
    }

    /// Gives what is known to be read now.
    pub(super) fn into_known(self) -> Known {
        let Self { older: Older { mut known, .. }, met, .. } = self;
        known.add(met);
        known
    }

    /// Gives the segment.
    pub(super) fn id(&self) -> SegmentId {
        self.contents.id
    }

    fn step(
        &mut self,
        (until, from): (Until, u64),
        buffer: &mut Vec<u8>,
        table: &mut Table,
        each: &mut dyn FnMut(Entry),
    ) -> Result<Step, ReadError> {
        let end = match until {
            Until::End => self.file.metadata().map_err(|source| self.failed(source))?.len(),
            Until::Length(length) => length,
        };
        let (begin, chunk) = (self.offset(), mem::replace(&mut self.chunk, CHUNK));
        let left = end.saturating_sub(begin);
        self.fill(buffer, left.min(chunk))?;
        let is_short = (buffer.len() as u64) < left.min(chunk);
        let Self { contents, older, met, is_among_kept, .. } = self;
        let flaw = contents.take(buffer, table, &mut |Met { offset, sequence, what }, table| {
            *is_among_kept = matches!(what, What::Kept(_));
            *met = Some((met.map_or(sequence, |(first, _)| first), sequence));
            match what {
                What::Entry(entry) if offset >= from => each(entry),
                What::Kept(kept) if offset >= from => return older.take(&kept, table, each),
                _ => {}
            }
            Ok(())
        })?;
        let is_cut_off = left > chunk;
        match flaw {
            // Behind what is there: the head may have kept what is nowhere else.
            _ if is_short => return Err(self.contents.damaged("the file is shorter than it was")),
            None => {}
            Some(Flaw::Incomplete) if is_cut_off && self.offset() > begin => {}
            Some(Flaw::Incomplete) if is_cut_off && chunk < CHUNK_MAX => self.chunk = CHUNK_MAX,
            Some(_) => return self.flaw(until, end),
        }
        Ok(if self.offset() < end { Step::More } else { Step::Done })
    }

    /// Reads so many bytes from where we are; fewer when the file is shorter.
    fn fill(&mut self, buffer: &mut Vec<u8>, length: u64) -> Result<(), ReadError> {
        buffer.clear();
        let read = self
            .file
            .seek(SeekFrom::Start(self.contents.offset))
            .and_then(|_| self.file.by_ref().take(length).read_to_end(buffer));
        read.map(drop).map_err(|source| self.failed(source))
    }

    /// Tells a torn end from damage.
    fn flaw(&mut self, until: Until, end: u64) -> Result<Step, ReadError> {
        if let Until::Length(_) = until {
            return Err(self.contents.damaged("a record that was whole is not any more"));
        }
        // The rest at once: it is a segment at most, and this is rare.
        let mut rest = Vec::new();
        self.fill(&mut rest, u64::MAX)?;
        // Room that was made ahead, and not needed.
        if self.contents.has_room && rest.iter().all(|byte| *byte == 0) {
            return Ok(Step::Done);
        }
        if self.contents.is_on_disk(&rest) {
            return Err(self.contents.damaged("a record is bad that the disk had"));
        }
        let (path, offset) = (self.path.clone(), self.offset());
        Ok(Step::Torn(Torn { path, offset, bytes: end - offset }))
    }

    fn failed(&self, source: io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), source }
    }
}

/// Which records of a worker were read, by their numbers. The highest one alone does not say: of two
/// segments that a power cut found unsynced the later one may have come further.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    through: u64,
    /// The first and the last number of each run beyond that, of records that stood together.
    runs: Vec<(u64, u64)>,
}

impl Known {
    /// Stands for all up to a number.
    pub(super) fn through(through: u64) -> Self {
        Self { through, runs: Vec::new() }
    }

    fn add(&mut self, run: Option<(u64, u64)>) {
        self.runs.extend(run);
    }

    fn has(&self, sequence: u64) -> bool {
        let mut runs = self.runs.iter();
        sequence <= self.through || runs.any(|(first, last)| (*first..=*last).contains(&sequence))
    }
}

/// Earlier segments of the same worker, for what a later one has kept of them.
#[derive(Debug)]
struct Older {
    directory: PathBuf,
    node: NodeId,
    worker: u16,
    known: Known,
    latest: Timestamp,
    /// The segment of the last that was kept.
    open: Option<Contents>,
}

impl Older {
    fn new(directory: &Path, node: NodeId, worker: u16, through: u64) -> Self {
        let (directory, latest) = (directory.into(), Timestamp::MIN);
        let known = Known::through(through);
        Self { directory, node, worker, known, latest, open: None }
    }

    /// Hands on what was not read where it stood.
    fn take(
        &mut self,
        kept: &Kept<'_>,
        table: &mut Table,
        each: &mut dyn FnMut(Entry),
    ) -> Result<(), ReadError> {
        let id = SegmentId { worker: self.worker, number: kept.segment };
        let known = self.open.take().filter(|contents| contents.id == id);
        let nothing = || Contents::new(self.node, id, id.path(&self.directory), 0);
        let mut contents =
            match known.map_or_else(|| self.read(id, table), |known| Ok(Some(known)))? {
                Some(contents) => contents,
                // It was deleted because all of it was read.
                None if kept.offset > 0
                    && nothing().last(kept.bytes).is_none_or(|last| self.known.has(last)) =>
                {
                    return Ok(());
                }
                None => nothing(),
            };
        if contents.offset < kept.offset {
            if kept.follows_synced {
                return Err(contents.damaged("a record is bad that the disk had"));
            }
            // What stood before is kept too, elsewhere.
            contents.offset = kept.offset;
        }
        let known = usize::try_from(contents.offset - kept.offset).unwrap_or(usize::MAX);
        let news = kept.bytes.get(known..).unwrap_or_default();
        let mut met: Option<(u64, u64)> = None;
        let flaw = contents.take(news, table, &mut |Met { offset: _, sequence, what }, _| {
            met = Some((met.map_or(sequence, |(first, _)| first), sequence));
            match what {
                What::Entry(entry) if !self.known.has(sequence) => each(entry),
                _ => {}
            }
            Ok(())
        })?;
        self.known.add(met);
        if flaw.is_some() {
            return Err(contents.damaged("what was kept of it is not whole"));
        }
        self.latest = self.latest.max(contents.latest);
        self.open = Some(contents);
        Ok(())
    }

    /// Reads a segment for its definitions, as far as the disk has it; `None` when it has no such file.
    fn read(&self, id: SegmentId, table: &mut Table) -> Result<Option<Contents>, ReadError> {
        let mut reader = match Reader::open(&self.directory, self.node, id, 0) {
            Ok(reader) => reader,
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        while reader.read(Until::End, u64::MAX, table, &mut |_| {})? == Step::More {}
        Ok(Some(reader.contents))
    }
}
