//! The thread that appends the records to files, and deletes old files.
//!
//! What cannot be written is dropped and counted, and told once until it works again. A file that could
//! not be written is left, because definitions may have been lost with what was dropped.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, timeout},
};

use super::{
    Sink,
    collector::BATCH_HEAD_BYTES,
    files::{self, Create, Open, SPAN_MAX},
    frame,
};
use crate::{config::Retention, gateway::Gateway, telemetry::batch};

/// A batch is handed over when it has so many bytes.
const BATCH_BYTES: usize = 32 * 1024;

/// A file gets no longer than this and a batch.
const FILE_BYTES: u64 = 32 << 20;

/// How often is looked for what is too old.
const LOOK: Duration = Duration::from_secs(10);

/// How long after a failure the next attempt is made.
const PAUSE: Duration = Duration::from_secs(1);

/// The thread; it ends after every sink is dropped.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
    dropped: Arc<AtomicU64>,
}

/// Starts the thread, which keeps its files in this directory. How much is kept is asked of the
/// configuration in force.
pub fn start(gateway: Arc<Gateway>, directory: PathBuf) -> io::Result<(Sink, Writer)> {
    let (sink, receiver) = link();
    let writing = Writing::new(directory, &sink, files::on_disk);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let run = move || runtime.block_on(write_all(writing, receiver, &gateway));
    let thread = std::thread::Builder::new().name("requests".into()).spawn(run)?;
    let dropped = Arc::clone(&sink.dropped);
    Ok((sink, Writer { thread, dropped }))
}

/// Makes the way from the workers to the thread.
pub(super) fn link() -> (Sink, Receiver<Vec<u8>>) {
    let (epoch, dropped) = (Arc::default(), Arc::default());
    let weigh = |batch: &[u8]| frame::requests(records(batch));
    let (records, receiver) =
        batch::sink("recent requests", BATCH_BYTES, Arc::clone(&dropped), weigh);
    (Sink { records, epoch, dropped }, receiver)
}

fn records(batch: &[u8]) -> &[u8] {
    batch.get(BATCH_HEAD_BYTES..).unwrap_or_default()
}

impl Writer {
    /// Gives the number of records that were dropped.
    pub fn dropped(&self) -> &Arc<AtomicU64> {
        &self.dropped
    }

    /// Waits until everything is written; every sink must be gone by then.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread of recent requests ended by a panic");
        }
    }
}

async fn write_all(mut writing: Writing, mut receiver: Receiver<Vec<u8>>, gateway: &Gateway) {
    let mut look_at = Instant::now();
    loop {
        let batch = match timeout(LOOK, receiver.recv()).await {
            Ok(None) => return,
            Ok(batch) => batch,
            Err(_) => None,
        };
        let (now, retention) = (gateway.clock().now(), gateway.look(|snapshot| snapshot.retention));
        if let Some(batch) = batch {
            writing.write(&batch, now, &retention);
        }
        if look_at <= Instant::now() {
            writing.look(now, &retention);
            look_at = Instant::now() + LOOK;
        }
    }
}

/// What the thread writes.
pub(super) struct Writing {
    directory: PathBuf,
    create: Create,
    /// The file of this epoch, once it has something.
    current: Option<Open>,
    /// That of the epoch before: a worker may have begun a batch for it.
    previous: Option<Open>,
    epoch: u64,
    /// The same, for the workers.
    published: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
    /// When the next attempt may be made, while it fails.
    failing_until: Option<Instant>,
}

impl Writing {
    pub(super) fn new(directory: PathBuf, sink: &Sink, create: Create) -> Self {
        Self {
            directory,
            create,
            current: None,
            previous: None,
            epoch: sink.epoch.load(Ordering::Relaxed),
            published: Arc::clone(&sink.epoch),
            dropped: Arc::clone(&sink.dropped),
            failing_until: None,
        }
    }

    #[cfg(test)]
    pub(super) fn set_create(&mut self, create: Create) {
        self.create = create;
    }

    /// Appends a batch to the file that it is for.
    pub(super) fn write(&mut self, batch: &[u8], now: Timestamp, retention: &Retention) {
        let epoch = batch.first_chunk().map_or(0, |epoch| u64::from_le_bytes(*epoch));
        let records = records(batch);
        if retention.requests.is_zero() {
            // With it go definitions, which no later file must lack.
            self.previous = None;
            return self.begin_epoch();
        }
        if self.failing_until.is_some_and(|until| Instant::now() < until) {
            return self.drop_batch(records);
        }
        let written = match self.file(epoch, now) {
            None => return self.drop_batch(records),
            Some(file) => file.and_then(|file| file.append(records)),
        };
        match written {
            Ok(()) => {
                if self.failing_until.take().is_some() {
                    tracing::info!("recent requests are written again");
                }
                self.end_if_full(now, retention);
            }
            Err(error) => {
                if self.failing_until.is_none() {
                    let directory = self.directory.display();
                    tracing::error!(%directory, %error, "recent requests cannot be written, some are dropped");
                }
                self.failing_until = Some(Instant::now() + PAUSE);
                self.drop_batch(records);
                self.begin_epoch();
                self.previous = None;
            }
        }
    }

    /// Gives the file of an epoch; `None` when there is none any more.
    fn file(&mut self, epoch: u64, now: Timestamp) -> Option<io::Result<&mut Open>> {
        if epoch != self.epoch {
            let is_before = epoch.checked_add(1) == Some(self.epoch);
            return self.previous.as_mut().filter(|_| is_before).map(Ok);
        }
        if self.current.is_none() {
            match Open::begin(&self.directory, now, self.create) {
                Ok(open) => self.current = Some(open),
                Err(error) => return Some(Err(error)),
            }
        }
        self.current.as_mut().map(Ok)
    }

    fn drop_batch(&self, records: &[u8]) {
        self.dropped.fetch_add(frame::requests(records), Ordering::Relaxed);
    }

    /// Lets the next batch that a worker begins go into another file.
    fn begin_epoch(&mut self) {
        self.previous = self.current.take();
        self.epoch = self.epoch.wrapping_add(1);
        self.published.store(self.epoch, Ordering::Release);
    }

    fn end_if_full(&mut self, now: Timestamp, retention: &Retention) {
        let Some(open) = &self.current else { return };
        let is_full = open.length >= file_bytes(retention);
        if is_full || now.duration_since(open.begun.at()).unsigned_abs() >= span(retention) {
            self.begin_epoch();
            self.delete_old(now, retention);
        }
    }

    /// Looks for what is too old.
    pub(super) fn look(&mut self, now: Timestamp, retention: &Retention) {
        if retention.requests.is_zero() && self.current.is_some() {
            self.begin_epoch();
            self.previous = None;
        }
        self.end_if_full(now, retention);
        self.delete_old(now, retention);
    }

    fn delete_old(&self, now: Timestamp, retention: &Retention) {
        let Retention { requests, requests_size, entries: _, answers: _ } = retention;
        let written = [&self.current, &self.previous].into_iter().flatten();
        let written: Vec<_> = written.map(|open| open.begun).collect();
        let since = match requests.is_zero() {
            true => Timestamp::MAX,
            false => now.checked_sub(*requests).unwrap_or(Timestamp::MIN),
        };
        // What is begun next fits too.
        let bytes = requests_size.saturating_sub(file_bytes(retention));
        if let Err(error) = files::delete_old(&self.directory, &written, since, bytes) {
            let directory = self.directory.display();
            tracing::error!(%directory, %error, "old files of recent requests cannot be deleted");
        }
    }
}

/// How long a file gets: with little room for all of them there are some all the same.
fn file_bytes(retention: &Retention) -> u64 {
    FILE_BYTES.min(retention.requests_size / 8)
}

/// For how long a file is written: what is kept for a short time is deleted in small pieces.
fn span(retention: &Retention) -> Duration {
    (retention.requests / 8).min(SPAN_MAX)
}
