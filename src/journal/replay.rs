//! Start-up: what an earlier process wrote and nobody folded.
//!
//! Invariant: a segment is deleted only when the store has all of it. A process killed between the
//! commit and the deletion finds the positions when it starts, and reads nothing twice.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    mem,
};

use crate::{
    journal::{
        batch::Counts,
        directory::{Directory, DirectoryError},
        fold::Fold,
        reader::{Known, ReadError, Reader, Step, Torn, Until},
        segment::{self, SegmentId},
        ticket::Start,
    },
    store::{Position, Store, StoreError},
};

/// What start-up found, for the log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// Segments found.
    pub segments: u64,
    /// Reservations whose ending was in the journal and not yet in the store.
    pub settled: u64,
    /// Ordinary settles whose reservation is nowhere: 0 unless the database or a segment was lost.
    pub orphans: u64,
    /// Reservations that were open and are now charged in full; also those of a journal that is gone.
    pub unknown: u64,
    /// What those were charged.
    pub unknown_units: u64,
    /// Appends that were cut short. Nothing was forwarded on the strength of them.
    pub torn: Vec<Torn>,
}

/// Why the journal of an earlier process could not be folded.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A segment.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Folds everything beyond the store's positions, closes what is open as unknown, and deletes the
/// segments. Gives the numbers from which each worker that ever wrote goes on.
pub(super) fn replay(
    directory: &Directory,
    store: &mut dyn Store,
) -> Result<(BTreeMap<u16, Start>, Recovery), ReplayError> {
    let mut replay = Replay {
        directory,
        fold: Fold::load(directory.node(), store)?,
        workers: BTreeMap::new(),
        known: BTreeMap::new(),
        recovery: Recovery::default(),
    };
    for position in store.positions(directory.node())? {
        replay.known.insert(position.worker, Known::through(position.sequence));
        replay.workers.insert(position.worker, Reached::from(position));
    }
    let segments = directory.segments()?;
    for id in &segments {
        replay.segment(*id, store)?;
    }
    replay.fold.close_unknown();
    replay.commit(store)?;
    replay.close_lost(store)?;
    store.caught_up()?;
    for id in segments {
        if let Err(error) = segment::delete(directory.path(), id) {
            // Not an error: it is folded, and the next start tries again.
            tracing::warn!(?id, %error, "cannot delete a folded segment");
        }
    }
    let starts = replay.workers.into_iter().map(|(worker, reached)| (worker, reached.next()));
    Ok((starts.collect(), replay.recovery))
}

struct Replay<'a> {
    directory: &'a Directory,
    fold: Fold,
    workers: BTreeMap<u16, Reached>,
    /// What was read of each worker's journal, so that what is kept of it elsewhere is not read again.
    known: BTreeMap<u16, Known>,
    recovery: Recovery,
}

/// How far a worker's journal is read.
#[derive(Clone, Copy, Debug)]
struct Reached {
    segment: u64,
    offset: u64,
    /// The highest number used.
    sequence: u64,
}

impl From<Position> for Reached {
    fn from(position: Position) -> Self {
        let Position { worker: _, segment, offset, sequence, latest: _ } = position;
        Self { segment, offset, sequence }
    }
}

impl Reached {
    fn next(self) -> Start {
        Start { segment: self.segment + 1, sequence: self.sequence + 1 }
    }
}

impl Replay<'_> {
    fn segment(&mut self, id: SegmentId, store: &mut dyn Store) -> Result<(), ReplayError> {
        self.recovery.segments += 1;
        let (from, before) = match self.workers.entry(id.worker) {
            Entry::Occupied(reached) if id.number < reached.get().segment => return Ok(()),
            // Read from its start, for the definitions; its first numbers are below what was
            // reached.
            Entry::Occupied(reached) if id.number == reached.get().segment => {
                (reached.get().offset, 0)
            }
            Entry::Occupied(reached) => (0, reached.get().sequence),
            Entry::Vacant(_) => (0, 0),
        };
        let node = self.directory.node();
        let known = self.known.remove(&id.worker).unwrap_or_default();
        let reader = Reader::open(self.directory.path(), node, id, before)?;
        let mut reader = reader.knowing(known);
        loop {
            match self.fold.read(&mut reader, Until::End, from)? {
                Step::More => {}
                Step::Done => break,
                // Within what is folded: the disk lost what the store had kept. Nothing is missing.
                Step::Torn(torn) if torn.offset < from => break,
                Step::Torn(torn) => {
                    self.recovery.torn.push(torn);
                    break;
                }
            }
            if self.fold.is_full() {
                self.commit(store)?;
            }
        }
        let offset = reader.offset().max(from);
        let known = self.workers.get(&id.worker).map_or(0, |reached| reached.sequence);
        let sequence = reader.sequence().max(known);
        self.workers.insert(id.worker, Reached { segment: id.number, offset, sequence });
        self.known.insert(id.worker, reader.into_known());
        Ok(())
    }

    /// Charges in full what other nodes left open. They have journals of their own, which are gone:
    /// what ended there since the store was copied will not be told.
    fn close_lost(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        for node in store.lost_nodes(self.directory.node())? {
            let own = mem::replace(&mut self.fold, Fold::load(node, store)?);
            self.fold.close_unknown();
            let closed = self.commit(store);
            self.fold = own;
            closed?;
        }
        Ok(())
    }

    fn commit(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let Counts { settled, orphans, unknown, unknown_units } =
            self.fold.commit(store, &mut ())?;
        self.recovery.settled += settled;
        self.recovery.orphans += orphans;
        self.recovery.unknown += unknown;
        self.fold.sweep();
        self.recovery.unknown_units = self.recovery.unknown_units.saturating_add(unknown_units);
        Ok(())
    }
}
