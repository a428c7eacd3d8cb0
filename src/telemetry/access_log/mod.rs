//! The access log: one line per request, made where the request is served and written by a thread of
//! its own.
//!
//! Nothing that could be a secret is in a line: no query, no body, no header field.

mod line;

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    thread::JoinHandle,
};

use tokio::sync::{Notify, mpsc::Receiver};

pub use self::line::{Line, TEXT_HEADING};
use crate::{
    config::AccessLog,
    telemetry::batch::{self, Buffer},
};

/// How lines are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Readable by people, for the demo.
    Text,
}

/// The access log of a running gateway. Its thread is joined after every sink is dropped.
#[derive(Debug)]
pub struct Writer {
    thread: Option<JoinHandle<()>>,
    /// Where lines are written, when that is a file.
    file: Option<Arc<Reopened>>,
    /// Lines that were dropped.
    dropped: Arc<AtomicU64>,
}

/// A file that can be opened anew while it is written. A batch is written under the lock, so it is
/// whole in the file before or in the one after.
#[derive(Debug)]
struct Reopened {
    path: PathBuf,
    file: Mutex<File>,
}

/// The way of a worker's lines to the thread that writes them.
#[derive(Clone, Debug)]
pub struct Sink {
    text: batch::Sink<u8>,
    format: Format,
}

/// Lines that one worker has collected.
#[derive(Debug)]
pub struct Lines {
    text: Buffer<u8>,
    format: Format,
    clock: line::Clock,
}

impl Lines {
    /// Makes an empty collection; `wake` is told when there is something to hand over. Without a sink
    /// nothing is kept.
    pub fn new(sink: Option<Sink>, wake: Rc<Notify>) -> Self {
        let (text, format) = sink.map(|Sink { text, format }| (text, format)).unzip();
        let format = format.unwrap_or(Format::Json);
        Self { text: Buffer::new(text, wake), format, clock: line::Clock::default() }
    }

    /// Takes a line. It may be called from a drop: it writes nothing and waits for nobody.
    pub fn push(&self, line: &Line<'_>) {
        self.text.fill(|text| match self.format {
            Format::Json => line.push_json(&self.clock, text),
            Format::Text => line.push_text(text),
        });
    }

    /// Hands over what was collected.
    pub fn flush(&self) {
        self.text.flush();
    }
}

/// A batch is handed over when it has so many bytes.
const BATCH_BYTES: usize = 32 * 1024;

/// Counts the lines of a batch. No line has a line feed within.
fn lines(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Starts the writer. Without a sink no log is kept.
pub fn start(log: &AccessLog, format: Format) -> io::Result<(Option<Sink>, Writer)> {
    let dropped = Arc::default();
    let file = match log {
        AccessLog::Off => return Ok((None, Writer { thread: None, file: None, dropped })),
        AccessLog::Stdout => None,
        AccessLog::File(path) => {
            let file = Mutex::new(append(path)?);
            Some(Arc::new(Reopened { path: path.clone(), file }))
        }
    };
    let (text, receiver) = batch::sink("access log", BATCH_BYTES, Arc::clone(&dropped), lines);
    let out = file.clone();
    let run = move || write_all(receiver, out.as_deref());
    let thread = std::thread::Builder::new().name("access-log".into()).spawn(run)?;
    Ok((Some(Sink { text, format }), Writer { thread: Some(thread), file, dropped }))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_all(mut receiver: Receiver<Vec<u8>>, file: Option<&Reopened>) {
    let mut failing = false;
    while let Some(batch) = receiver.blocking_recv() {
        let written = match file {
            Some(file) => file.lock().write_all(&batch),
            None => io::stdout().write_all(&batch).and_then(|()| io::stdout().flush()),
        };
        if let (Err(error), false) = (&written, failing) {
            tracing::error!(%error, "access log cannot be written");
        }
        failing = written.is_err();
    }
}

impl Reopened {
    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Opens the file anew under its name: what is written from the return on is in the new one. One
    /// that cannot be opened leaves the old one in use.
    pub fn reopen(&self) {
        let Some(file) = &self.file else { return };
        let path = file.path.display();
        match append(&file.path) {
            Ok(opened) => {
                *file.lock() = opened;
                tracing::info!(%path, "access log opened anew");
            }
            Err(error) => {
                tracing::error!(%path, %error, "access log cannot be opened anew, the old file is kept");
            }
        }
    }

    /// Gives the number of lines that were dropped.
    pub fn dropped(&self) -> &Arc<AtomicU64> {
        &self.dropped
    }

    /// Waits until everything is written; every sink must be gone by then.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was reported by its own thread.
            let _ = thread.join();
        }
    }
}
