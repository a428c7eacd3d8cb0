//! Definitions on their way from a writer to the reader in the same process, which need not decode
//! what the writer had at hand.
//!
//! Invariant: what is here stands in the journal too, with this number. So whoever does not find a
//! definition decodes it, and what waits here can be bounded.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::journal::definition::Definition;

/// The definitions of one worker's journal that its reader has not come to, in the journal's order.
#[derive(Debug, Default)]
pub(super) struct Handover(Mutex<VecDeque<Given>>);

/// A definition and where it stands.
#[derive(Debug)]
struct Given {
    segment: u64,
    number: u32,
    definition: Arc<Definition>,
}

/// How many may wait: as many as a segment has of small ones. More come together only while the store
/// fails, and then memory is not to grow with the journal.
const WAITING_MAX: usize = 1 << 18;

impl Handover {
    /// Offers a definition to the reader. To be called before what refers to it is published.
    pub(super) fn give(&self, segment: u64, number: u32, definition: Arc<Definition>) {
        let mut waiting = self.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push_back(Given { segment, number, definition });
        }
    }

    /// Gives a definition, if it is here. To be asked in the journal's order: what stands before it
    /// is not needed any more.
    pub(super) fn take(&self, segment: u64, number: u32) -> Option<Arc<Definition>> {
        let mut waiting = self.lock();
        while waiting.front().is_some_and(|given| given.place() < (segment, number)) {
            waiting.pop_front();
        }
        let is_here = waiting.front().is_some_and(|given| given.place() == (segment, number));
        let found = if is_here { waiting.pop_front() } else { None };
        if waiting.is_empty() {
            // The room for a burst is not kept.
            *waiting = VecDeque::new();
        }
        found.map(|given| given.definition)
    }

    /// A panic while the lock was held left a list behind that is still in order.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Given>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Given {
    fn place(&self) -> (u64, u32) {
        (self.segment, self.number)
    }
}

#[cfg(test)]
mod tests {
    use crate::ledger::AccountSet;

    use super::*;

    fn definition(key_id: &str) -> Arc<Definition> {
        let set = AccountSet { id: 1, customer: "acme".into(), accounts: Vec::new() };
        Arc::new(Definition {
            set: set.into(),
            draw: None,
            application: None,
            key_id: key_id.into(),
            plan: None,
            route: "r".into(),
        })
    }

    fn taken(handover: &Handover, segment: u64, number: u32) -> Option<String> {
        handover.take(segment, number).map(|definition| definition.key_id.to_string())
    }

    #[test]
    fn each_is_taken_once_and_what_was_passed_over_is_gone() {
        let handover = Handover::default();
        for (segment, number) in [(1, 1), (1, 2), (1, 4), (2, 1)] {
            handover.give(segment, number, definition(&format!("{segment}/{number}")));
        }
        assert_eq!(taken(&handover, 1, 2).unwrap(), "1/2");
        assert_eq!(taken(&handover, 1, 1), None);
        assert_eq!(taken(&handover, 1, 2), None);
        // Not given; what comes behind it stays.
        assert_eq!(taken(&handover, 1, 3), None);
        assert_eq!(taken(&handover, 1, 4).unwrap(), "1/4");
        assert_eq!(taken(&handover, 2, 1).unwrap(), "2/1");
        assert_eq!(handover.lock().capacity(), 0);
    }

    #[test]
    fn more_than_may_wait_is_left_to_be_decoded() {
        let handover = Handover::default();
        let one = definition("k");
        for number in 1..=u32::try_from(WAITING_MAX).unwrap() + 1 {
            handover.give(1, number, one.clone());
        }
        assert_eq!(handover.lock().len(), WAITING_MAX);
        assert_eq!(taken(&handover, 1, u32::try_from(WAITING_MAX).unwrap() + 1), None);
        handover.give(2, 1, one);
        assert!(taken(&handover, 2, 1).is_some());
    }
}
