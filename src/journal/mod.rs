//! What was taken and how it ended, written down before it counts: one journal per worker.
//!
//! The ledger takes units in memory; the worker's [`Writer`] appends a reservation with a plain
//! write, which survives the end of the process; only then is the request forwarded. The ending is
//! a second record. The [`Follower`] carries records into the store and deletes what the store has;
//! the keeper's thread makes it go on.
//!
//! Invariant: every reservation is charged once, whenever the process ends: by its ending where
//! that is written, else in full at the next start.

mod ahead;
mod batch;
mod contents;
mod current;
mod definition;
mod directory;
mod figures;
mod fold;
mod follower;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handover;
mod hash;
mod marks;
mod put;
mod reader;
mod record;
mod replay;
mod rows;
mod segment;
mod sync;
mod table;
mod tail;
#[cfg(test)]
mod tests;
mod ticket;
mod writer;

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use crate::{
    journal::{fold::Fold, follower::Tail, segment::Disk, sync::Syncer, ticket::Start},
    model::Durability,
    store::Store,
};

pub use definition::Origin;
pub use directory::DirectoryError;
pub use figures::Figures;
pub(crate) use fold::Company;
pub use follower::{FoldError, Follower};
pub use marks::Marks;
pub use reader::{ReadError, Torn};
pub use replay::{Recovery, ReplayError};
#[cfg(test)]
pub(crate) use segment::{Created, Files, OnDisk, SegmentFile};
pub use sync::Unsynced;
pub use ticket::Ticket;
pub use writer::Writer;

pub use crate::store::NodeId;

/// A journal directory whose past is in the store.
#[derive(Debug)]
pub struct Journal {
    directory: Arc<directory::Directory>,
    /// Where workers of earlier processes stopped.
    starts: BTreeMap<u16, Start>,
    segment_bytes: u64,
}

/// The length from which on a segment is closed and the next one begun, unless much of it is
/// definitions. Long, because each segment defines anew what its records refer to: with many keys that is
/// most of a short one. The start reads it in some tenths of a second, and about so much per worker is on the
/// disk beside what waits for the store.
pub const SEGMENT_BYTES: u64 = 64 << 20;

impl Journal {
    /// Locks the directory, folds what an earlier process left in it, and charges in full what is
    /// open. Afterwards the store has all that was ever used.
    pub fn open(path: &Path, store: &mut dyn Store) -> Result<(Self, Recovery), ReplayError> {
        let directory = directory::Directory::open(path)?;
        let (starts, recovery) = replay::replay(&directory, store)?;
        let directory = Arc::new(directory);
        Ok((Self { directory, starts, segment_bytes: SEGMENT_BYTES }, recovery))
    }

    /// Tells whether a directory was ever used.
    pub fn has_owner(path: &Path) -> bool {
        directory::has_owner(path)
    }

    /// Gives the owner of a directory that was used, and whether something in it may not be folded.
    pub fn look(path: &Path) -> Result<(NodeId, bool), DirectoryError> {
        directory::look(path)
    }

    /// Gives the owner of the directory.
    pub fn node(&self) -> NodeId {
        self.directory.node()
    }

    /// Changes the length of segments.
    #[must_use]
    pub fn with_segment_bytes(self, segment_bytes: u64) -> Self {
        Self { segment_bytes, ..self }
    }

    /// Makes a writer for each worker, in order, and what reads behind them. As long as that is there,
    /// threads bring to the disk what they write.
    pub fn start(
        self,
        store: &dyn Store,
        workers: u16,
        durability: Durability,
    ) -> io::Result<(Vec<Writer>, Follower)> {
        let (writers, follower) = self.split(store, workers, |_| Box::new(Disk(durability)))?;
        let unsynced = writers.iter().map(Writer::unsynced).collect::<Vec<_>>();
        let syncer = Syncer::start(&unsynced, durability)?;
        let writers = writers.into_iter().map(|writer| writer.with_durability(durability));
        Ok((writers.collect(), follower.beside(syncer)))
    }

    /// Makes writers on files of one's own, which nobody brings to the disk.
    pub(crate) fn split(
        self,
        store: &dyn Store,
        workers: u16,
        mut files: impl FnMut(u16) -> Box<dyn segment::Files>,
    ) -> io::Result<(Vec<Writer>, Follower)> {
        let Self { directory, starts, segment_bytes } = self;
        let (writers, tails) = (0..workers)
            .map(|worker| {
                let start = starts.get(&worker).copied().unwrap_or(Start::FIRST);
                let directory = directory.clone();
                let writer = Writer::new(directory, worker, start, segment_bytes, files(worker));
                let tail = Tail::new(worker, start, writer.published());
                (writer, tail)
            })
            .unzip();
        let fold = Fold::load(directory.node(), store).map_err(io::Error::other)?;
        Ok((writers, Follower::new(directory, fold, tails)))
    }
}
