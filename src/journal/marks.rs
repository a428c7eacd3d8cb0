//! What a caller's requests refer to, remembered beside the caller, whom each request has at hand anyway: a
//! segment's own table is far away in memory where there are many.

use std::{
    array,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// So many workers have one. Those beyond that look into their segments.
const WORKERS: usize = 4;

/// Where the segments in use define what one caller takes from the accounts. It holds for one key and one plan:
/// who has another has other marks.
#[derive(Debug)]
pub struct Marks([Mark; WORKERS]);

/// Where the segment of one worker does. Nobody else reads or writes it, so that relaxed order will do.
#[derive(Debug, Default)]
struct Mark {
    /// The segment's number within the process, which no other ever has.
    segment: AtomicU64,
    set: AtomicU64,
    route: AtomicU64,
    number: AtomicU32,
}

/// What is looked for: units alone, without money.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    pub(super) worker: u16,
    /// The segment's number within the process.
    pub(super) segment: u64,
    pub(super) set: u64,
    pub(super) route: u64,
}

impl Default for Marks {
    fn default() -> Self {
        Self(array::from_fn(|_| Mark::default()))
    }
}

impl Marks {
    /// Gives the definition's number in the segment, if it is the one that was put last.
    pub(super) fn find(&self, sought: Sought) -> Option<u32> {
        let Sought { worker, segment, set, route } = sought;
        let mark = self.0.get(usize::from(worker))?;
        let found = [&mark.segment, &mark.set, &mark.route].map(|part| part.load(Relaxed));
        (found == [segment, set, route]).then(|| mark.number.load(Relaxed))
    }

    /// Remembers the number of a definition that was written.
    pub(super) fn put(&self, sought: Sought, number: u32) {
        let Sought { worker, segment, set, route } = sought;
        let Some(mark) = self.0.get(usize::from(worker)) else { return };
        mark.segment.store(segment, Relaxed);
        mark.set.store(set, Relaxed);
        mark.route.store(route, Relaxed);
        mark.number.store(number, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_last_is_found_by_its_worker_alone() {
        let marks = Marks::default();
        let first = Sought { worker: 0, segment: 1, set: 2, route: 3 };
        let others = [
            Sought { worker: 1, ..first },
            Sought { segment: 9, ..first },
            Sought { set: 9, ..first },
            Sought { route: 9, ..first },
            Sought { worker: u16::MAX, ..first },
        ];
        assert_eq!(marks.find(first), None);
        marks.put(first, 7);
        assert_eq!(marks.find(first), Some(7));
        for other in others {
            assert_eq!(marks.find(other), None, "{other:?}");
            marks.put(other, 8);
        }
        assert_eq!((marks.find(first), marks.find(others[0])), (None, Some(8)));
    }
}
