//! Finding the record of a request.
//!
//! The id tells when the request came, and so the first file that may have it: it was written when the
//! request ended, at any time after. A look reads the files one after the other, in pieces.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    CallerFacts, Record, RouteFacts,
    files::{self, Begun, MAGIC},
    frame::{HEAD_BYTES, Head, Kind},
    record,
    wire::Bytes,
};

/// The files of recent requests, to be read while they are written.
#[derive(Debug)]
pub struct Archive {
    directory: PathBuf,
    /// One look at a time: to read a gibibyte is nothing to do eight times at once.
    looking: Mutex<()>,
}

impl Archive {
    /// Stands for the files in a directory.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, looking: Mutex::new(()) }
    }

    /// Finds a request. It blocks.
    pub fn find(&self, id: Uuid) -> io::Result<Option<Record>> {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = record::made_at(id) else { return Ok(None) };
        let files = files::list(&self.directory)?;
        for file in files.iter().skip(first(&files, at)) {
            if let Some(record) = find_in(&file.path(&self.directory), id)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Gives the instant at which an id of ours was made.
    pub fn made_at(id: Uuid) -> Option<Timestamp> {
        record::made_at(id)
    }
}

/// For how long, at most, a worker goes on with a batch for the file before, after another was begun.
const LATE: Duration = Duration::from_secs(10);

/// Gives the place of the first file that may have a request of an instant.
fn first(files: &[Begun], at: Timestamp) -> usize {
    let before = at.checked_sub(LATE).unwrap_or(at);
    files.partition_point(|file| file.at() <= before).saturating_sub(1)
}

fn find_in(path: &Path, id: Uuid) -> io::Result<Option<Record>> {
    let mut found = None;
    let mut reading = Reading::open(path)?;
    while let Some((head, payload)) = reading.next()? {
        if head.kind == Kind::Request && record::id(payload) == Some(id) && head.fits(payload) {
            found = Some(payload.to_vec());
            break;
        }
    }
    let Some(request) = found.as_deref().and_then(record::read) else { return Ok(None) };
    let (mut route, mut caller) = (None, None);
    // They stand before the request, mostly far from it.
    let mut reading = Reading::open(path)?;
    while (route.is_none() && request.route != 0) || (caller.is_none() && request.caller != 0) {
        let Some((head, payload)) = reading.next()? else { break };
        let mut bytes = Bytes(payload);
        let number = match head.kind {
            Kind::Request => continue,
            Kind::Caller | Kind::Route => bytes.number(),
        };
        match head.kind {
            Kind::Route if number == Some(request.route) && head.fits(payload) => {
                route = RouteFacts::read(&mut bytes);
            }
            Kind::Caller if number == Some(request.caller) && head.fits(payload) => {
                caller = CallerFacts::read(&mut bytes);
            }
            Kind::Caller | Kind::Request | Kind::Route => {}
        }
    }
    Ok(Some(request.resolve(route, caller)))
}

/// A file that is read record by record, up to the first that is not whole.
struct Reading {
    file: Option<BufReader<File>>,
    payload: Vec<u8>,
}

/// How much is read at once.
const PIECE: usize = 256 << 10;

impl Reading {
    /// Opens a file. One that was deleted meanwhile has no records, nor has one of another format.
    fn open(path: &Path) -> io::Result<Self> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            file => Some(BufReader::with_capacity(PIECE, file?)),
        };
        let mut reading = Self { file, payload: Vec::new() };
        let magic = reading.array()?;
        if magic != Some(MAGIC) {
            reading.file = None;
        }
        Ok(reading)
    }

    fn next(&mut self) -> io::Result<Option<(Head, &[u8])>> {
        let Some(head) = self.array::<HEAD_BYTES>()?.and_then(Head::read) else { return Ok(None) };
        let Some(file) = &mut self.file else { return Ok(None) };
        self.payload.resize(head.length, 0);
        let is_whole = whole(file.read_exact(&mut self.payload))?;
        Ok(is_whole.then_some((head, &self.payload)))
    }

    fn array<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut bytes = [0; N];
        let is_whole = whole(file.read_exact(&mut bytes))?;
        Ok(is_whole.then_some(bytes))
    }
}

/// Tells the end of a file, which may be in the middle of a record, from what fails.
fn whole(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}
