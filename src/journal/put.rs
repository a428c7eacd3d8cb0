//! What a worker has put into the next append of its journal and not written yet.

use std::sync::Arc;

use crate::journal::definition::Definition;

/// What is put and not written.
#[derive(Default)]
pub(super) struct Put {
    /// An append is begun. Else nothing here means anything.
    pub(super) is_begun: bool,
    /// The records.
    pub(super) bytes: Vec<u8>,
    /// Definitions among them, which hold once they are written.
    pub(super) fresh: Vec<Fresh>,
    /// How many of the settles that wait are among them.
    pub(super) settles: usize,
    /// How many of the bytes stand in an earlier segment too.
    pub(super) kept: usize,
    /// It begins a segment with those.
    pub(super) is_recovery: bool,
}

impl Put {
    pub(super) fn begin(&mut self, settles: usize) {
        self.is_begun = true;
        self.bytes.clear();
        self.fresh.clear();
        self.settles = settles;
        self.kept = 0;
        self.is_recovery = false;
    }

    /// Gives the number of the next definition, when the segment's next is `first`.
    pub(super) fn next_set(&self, first: u32) -> u32 {
        first.saturating_add(u32::try_from(self.fresh.len()).unwrap_or(u32::MAX))
    }

    /// Finds a definition's number. They are few: those of the requests that are ready at once.
    pub(super) fn find(&self, first: u32, key: &SetKey, plan: Option<&Arc<str>>) -> Option<u32> {
        let is_it = |fresh: &Fresh| fresh.key == *key && fresh.definition.plan.as_ref() == plan;
        (first..).zip(&self.fresh).find(|(_, fresh)| is_it(fresh)).map(|(number, _)| number)
    }
}

/// A definition that holds once it is written.
pub(super) struct Fresh {
    pub(super) key: SetKey,
    pub(super) definition: Definition,
    /// What it takes of the segment.
    pub(super) bytes: u64,
}

/// What a definition is known by within the process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct SetKey {
    pub(super) set: u64,
    /// 0 where no money is drawn.
    pub(super) draw: u64,
    pub(super) key: u64,
    pub(super) route: u64,
}
