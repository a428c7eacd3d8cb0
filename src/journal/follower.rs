//! Reads behind the writers of this process, up to what they have published.

use std::sync::Arc;

use crate::{
    journal::{
        directory::Directory,
        fold::{Company, Fold},
        reader::{ReadError, Reader, Step, Until},
        segment::{self, Published, SegmentId},
        sync::Syncer,
        ticket::Start,
    },
    store::{Store, StoreError},
};

/// Why the journal could not be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The thread that folds has ended.
    #[error("the journal is not folded any more: its thread has ended")]
    Ended,
    /// A segment.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The workers' journals and what of them is not yet in the store. The keeper makes it go on.
#[derive(Debug)]
pub struct Follower {
    directory: Arc<Directory>,
    fold: Fold,
    tails: Vec<Tail>,
    /// Ends with this: what it brings to the disk is deleted here.
    _syncer: Option<Syncer>,
}

/// The journal of one worker.
#[derive(Debug)]
pub(super) struct Tail {
    worker: u16,
    published: Arc<Published>,
    /// The segment to read.
    segment: u64,
    /// The number of the last record before it.
    sequence: u64,
    /// Opened when there is something in it.
    reader: Option<Reader>,
    /// Segments that were left and that the store has.
    done: Vec<SegmentId>,
    /// Nothing is written any more, and all is read.
    is_over: bool,
}

impl Follower {
    pub(super) fn new(directory: Arc<Directory>, fold: Fold, tails: Vec<Tail>) -> Self {
        Self { directory, fold, tails, _syncer: None }
    }

    /// Keeps the thread that brings the journal to the disk.
    pub(super) fn beside(self, syncer: Syncer) -> Self {
        Self { _syncer: Some(syncer), ..self }
    }

    /// Gives the owner of the journal.
    #[cfg(test)]
    pub(super) fn node(&self) -> crate::store::NodeId {
        self.directory.node()
    }

    /// Brings into the store all that was published before the call. An error of one journal does
    /// not hold up the others.
    pub(crate) fn fold(
        &mut self,
        store: &mut dyn Store,
        company: &mut dyn Company,
    ) -> Result<(), FoldError> {
        // A batch that the store refused is kept, and nothing is read on top of it.
        self.fold.commit(store, company)?;
        let mut result = Ok(());
        for tail in &mut self.tails {
            match tail.follow(&self.directory, &mut self.fold, store, company) {
                Ok(()) => {}
                // A store on a server may have it although it did not say so, and tells that by the positions:
                // the batch comes again as it was.
                Err(error @ FoldError::Store(_)) => return Err(error),
                Err(error) => result = Err(error),
            }
        }
        self.fold.commit(store, company)?;
        self.delete_done();
        result
    }

    /// Deletes also the segment in use where its writer is gone. Right only behind a successful
    /// fold.
    pub(crate) fn delete_all(&mut self) {
        for tail in &mut self.tails {
            if Arc::strong_count(&tail.published) == 1 {
                tail.is_over = true;
                tail.done.extend(tail.reader.take().map(|reader| reader.id()));
            }
        }
        self.delete_done();
    }

    fn delete_done(&mut self) {
        let mut done = self.tails.iter_mut().flat_map(Tail::take_done).peekable();
        if done.peek().is_some() {
            self.fold.sweep();
        }
        for id in done {
            if let Err(error) = segment::delete(self.directory.path(), id) {
                // Not an error: it is folded, and the next start tries again.
                tracing::warn!(?id, %error, "cannot delete a folded segment");
            }
        }
    }
}

impl Tail {
    pub(super) fn new(worker: u16, start: Start, published: Arc<Published>) -> Self {
        let Start { segment, sequence } = start;
        let sequence = sequence.saturating_sub(1);
        Self {
            worker,
            published,
            segment,
            sequence,
            reader: None,
            done: Vec::new(),
            is_over: false,
        }
    }

    fn follow(
        &mut self,
        directory: &Directory,
        fold: &mut Fold,
        store: &mut dyn Store,
        company: &mut dyn Company,
    ) -> Result<(), FoldError> {
        // Read once: what comes in meanwhile is for the next time, so that this ends.
        let (segment, length) = self.published.read();
        while self.is_behind(segment, length) {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None => {
                    let id = SegmentId { worker: self.worker, number: self.segment };
                    let (path, node) = (directory.path(), directory.node());
                    let reader = Reader::open(path, node, id, self.sequence)?;
                    let handover = Arc::clone(self.published.handover());
                    self.reader.insert(reader.beside(handover))
                }
            };
            // A segment that was rotated away has its final length, and perhaps a torn end behind
            // it.
            let is_closed = self.segment < segment;
            let until = if is_closed { Until::End } else { Until::Length(length) };
            match fold.read(reader, until, 0)? {
                Step::More => {}
                Step::Done if !is_closed => {}
                Step::Done => self.leave(),
                Step::Torn(torn) => {
                    tracing::warn!(?torn, "a segment of the journal cannot be read to its end");
                    self.leave();
                }
            }
            if fold.is_full() {
                fold.commit(store, company)?;
            }
            // Also while much is read for one commit: nothing of it is in a transaction yet.
            company.between(store);
        }
        Ok(())
    }

    fn is_behind(&self, segment: u64, length: u64) -> bool {
        let read = self.reader.as_ref().map_or(0, Reader::offset);
        self.segment < segment || (self.segment == segment && read < length)
    }

    /// Gives the segments to delete: those that no later one refers to. One that the disk may lose may have
    /// to be kept by a later one, and what one has kept stands at its head.
    fn take_done(&mut self) -> impl Iterator<Item = SegmentId> {
        let is_in_next = self.reader.as_ref().is_some_and(|reader| reader.offset() > 0);
        let needed = match (self.is_over, is_in_next) {
            (true, _) => u64::MAX,
            (false, true) => self.published.needed(),
            (false, false) => 0,
        };
        self.done.extract_if(.., move |id| id.number < needed)
    }

    fn leave(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.sequence = reader.sequence();
            self.done.push(reader.id());
        }
        self.segment += 1;
    }
}
