//! The segment that a writer appends to, and what was defined in it.

use std::sync::Arc;

use crate::journal::{hash::OwnMap, put::SetKey, record::Salt, segment::SegmentFile};

/// The segment in use.
pub(super) struct Segment {
    pub(super) file: Box<dyn SegmentFile>,
    pub(super) number: u64,
    /// Another number, which no other has within the process.
    pub(super) uid: u64,
    pub(super) salt: Salt,
    /// Up to the last whole append.
    pub(super) length: u64,
    /// Something torn stands behind `length`.
    pub(super) torn: bool,
    /// What was defined in it. Dropped with it, so that it does not grow without end.
    pub(super) known: OwnMap<SetKey, Known>,
    /// The plans in those, each once. They are few.
    pub(super) plans: Vec<Option<Arc<str>>>,
    pub(super) next_set: u32,
    /// The bytes of the definitions in it.
    pub(super) defined: u64,
    /// The last that it says the disk has.
    pub(super) synced: u64,
    /// It was opened because the one before may be lost in part.
    pub(super) is_recovery: bool,
}

/// Small, since there is one for each key that was used in the segment.
#[derive(Clone, Copy)]
pub(super) struct Known {
    number: u32,
    /// Its place in the segment's list: a reload may give a customer another plan and leave its
    /// accounts as they are.
    plan: usize,
}

/// Where more than such a part of a segment is definitions, it goes on: the next would begin with the same.
const DEFINED_PART: u64 = 16;

/// So many times its length it goes on at most.
pub(super) const LENGTHS_MAX: u64 = 4;

impl Segment {
    /// Tells whether the next append begins another, when they have so many bytes.
    pub(super) fn is_full(&self, bytes: u64) -> bool {
        let is_mostly_defined = self.defined > self.length / DEFINED_PART;
        let lengths = if is_mostly_defined { LENGTHS_MAX } else { 1 };
        self.length >= bytes.saturating_mul(lengths)
    }

    /// Finds the number of a definition that was written.
    pub(super) fn find(&self, key: &SetKey, plan: Option<&Arc<str>>) -> Option<u32> {
        let known = self.known.get(key)?;
        let is_it = self.plans.get(known.plan).is_some_and(|known| known.as_ref() == plan);
        is_it.then_some(known.number)
    }

    /// Remembers a definition that was written, in so many bytes. Gives its number.
    pub(super) fn learn(&mut self, key: SetKey, plan: Option<&Arc<str>>, bytes: u64) -> u32 {
        let Self { known, plans, next_set, defined, .. } = self;
        *defined += bytes;
        let place = plans.iter().position(|known| known.as_ref() == plan);
        let plan = place.unwrap_or_else(|| {
            plans.push(plan.cloned());
            plans.len() - 1
        });
        let number = *next_set;
        known.insert(key, Known { number, plan });
        *next_set += 1;
        number
    }
}
