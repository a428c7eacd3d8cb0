//! The records that one worker has collected.
//!
//! A route and a caller are defined once for each file and worker: the writer says by a number, the
//! epoch, that it has begun another file, and the next batch defines anew what it needs. So it is after
//! anything was dropped, definitions perhaps among it.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::{
    CallerFacts, Entry, RouteFacts, Trail,
    frame::{self, Kind},
    wire::put_number,
};
use crate::telemetry::batch::{self, Buffer};

/// The way of a worker's records to the thread that writes them.
#[derive(Clone, Debug)]
pub struct Sink {
    pub(super) records: batch::Sink<u8>,
    /// Which file is written.
    pub(super) epoch: Arc<AtomicU64>,
    /// Records that were dropped, by any worker or the writer.
    pub(super) dropped: Arc<AtomicU64>,
}

/// Records that one worker has collected.
#[derive(Debug)]
pub struct Collector {
    records: Buffer<u8>,
    /// `None` means that nothing is kept.
    link: Option<Link>,
    /// Memory for what requests are decided by, to be used again.
    spare: RefCell<Vec<Vec<u8>>>,
}

#[derive(Debug)]
struct Link {
    epoch: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
    known: RefCell<Known>,
}

/// The length of what stands before a batch: the epoch that it is written for.
pub(super) const BATCH_HEAD_BYTES: usize = 8;

/// How many pieces of memory are kept for use; as many requests come at once on one worker rarely.
const SPARE_MAX: usize = 256;

impl Collector {
    /// Makes an empty collection; `wake` is told when there is something to hand over. Without a sink
    /// nothing is kept.
    pub fn new(sink: Option<Sink>, wake: Rc<Notify>) -> Self {
        let (records, link) = sink
            .map(|Sink { records, epoch, dropped }| {
                (records, Link { epoch, dropped, known: RefCell::default() })
            })
            .unzip();
        Self { records: Buffer::new(records, wake), link, spare: RefCell::default() }
    }

    /// Takes a record; what its numbers stand for is asked for only where the file has not got it. It
    /// may be called from a drop: it writes nothing and waits for nobody.
    pub fn push(
        &self,
        entry: &Entry<'_>,
        route: impl FnOnce() -> Option<RouteFacts>,
        caller: impl FnOnce() -> Option<CallerFacts>,
    ) {
        let Some(Link { epoch, dropped, known }) = &self.link else { return };
        self.records.fill(|out| {
            let mut known = known.borrow_mut();
            if out.is_empty() {
                let epoch = epoch.load(Ordering::Acquire);
                known.begin_batch(epoch, dropped.load(Ordering::Relaxed));
                out.extend_from_slice(&epoch.to_le_bytes());
            }
            if entry.route != 0 && known.is_new(entry.route) {
                let Some(route) = route() else { return };
                define(Kind::Route, entry.route, out, |out| route.put(out));
            }
            if entry.caller != 0 && known.is_new(entry.caller) {
                let Some(caller) = caller() else { return };
                define(Kind::Caller, entry.caller, out, |out| caller.put(out));
            }
            frame::put(Kind::Request, out, |out| entry.put(out));
        });
    }

    /// Hands over what was collected.
    pub fn flush(&self) {
        self.records.flush();
    }

    /// Lets something be taken down by which a request is decided, unless nothing is kept.
    pub fn trail(&self, decided: &mut Vec<u8>, put: impl FnOnce(&mut Trail<'_>)) {
        if self.link.is_none() {
            return;
        }
        if decided.capacity() == 0
            && let Some(spare) = self.spare.borrow_mut().pop()
        {
            *decided = spare;
        }
        put(&mut Trail(decided));
    }

    /// Takes back the memory of a trail.
    pub fn give_back(&self, mut decided: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if decided.capacity() > 0 && spare.len() < SPARE_MAX {
            decided.clear();
            spare.push(decided);
        }
    }
}

fn define(kind: Kind, number: u64, out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    frame::put(kind, out, |out| {
        put_number(number, out);
        put(out);
    });
}

/// What the file has a definition of, as far as this worker knows.
///
/// Choice: a table in which each number has one place. Two that share a place are defined again and
/// again while they alternate, which costs some bytes and the look at a caller that is in no cache; a map
/// would grow with the callers.
#[derive(Debug, Default)]
struct Known {
    epoch: u64,
    dropped: u64,
    /// To forget everything is to begin another one.
    generation: u8,
    /// In the place of a number the generation and what the place does not tell of the number.
    stamps: Vec<u32>,
}

/// With more callers in turn than this some are defined more than once. A worker's table takes up to half
/// a mebibyte, of which the system lends what was touched.
const PLACES: u64 = 1 << 17;

impl Known {
    /// Forgets everything if the batch goes into another file than the one before, or if that was lost.
    fn begin_batch(&mut self, epoch: u64, dropped: u64) {
        if self.epoch == epoch && self.dropped == dropped && !self.stamps.is_empty() {
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 || self.stamps.is_empty() {
            self.generation = 1;
            self.stamps = vec![0; usize::try_from(PLACES).unwrap_or_default()];
        }
        (self.epoch, self.dropped) = (epoch, dropped);
    }

    /// Tells whether a number has to be defined, and takes note that it is.
    fn is_new(&mut self, number: u64) -> bool {
        let place = usize::try_from(number % PLACES).ok();
        let Some(known) = place.and_then(|place| self.stamps.get_mut(place)) else { return true };
        // A number that is too large for a stamp is never known.
        let Some(rest) = u32::try_from(number / PLACES).ok().filter(|rest| rest >> 24 == 0) else {
            return true;
        };
        let stamp = u32::from(self.generation) << 24 | rest;
        std::mem::replace(known, stamp) != stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_forgotten_with_the_file_and_with_what_is_lost() {
        let mut known = Known::default();
        let numbers = [1, 2, PLACES + 2, 7 * PLACES, (PLACES << 24) - 1];
        // More often than there are generations.
        for round in 0..600_u64 {
            known.begin_batch(round / 2, round.div_ceil(2));
            for number in numbers {
                assert!(known.is_new(number), "{number} in round {round}");
                assert!(!known.is_new(number), "{number} in round {round}");
            }
            known.begin_batch(round / 2, round.div_ceil(2));
            assert!(!known.is_new(1));
            assert!(known.is_new(2), "another number has had its place");
        }
        for _ in 0..2 {
            assert!(known.is_new(PLACES << 24), "what has no room in a stamp is always defined");
        }
    }
}
