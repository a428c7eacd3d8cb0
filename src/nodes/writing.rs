//! Memory's tables of customers and keys have two writers where several processes share a store: the store's thread,
//! with the changes of this process, and the one that reads the others'.
//!
//! Race: a state of the store is read, a change of this process is committed and is in memory, and then what was read
//! would put the state of before in its place. So what this process changes while somebody reads is noted, and
//! of that the reader puts nothing, but reads it once more.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The right to write these tables.
#[derive(Debug, Default)]
pub struct Writing(Mutex<Noted>);

/// What is noted while it is held.
#[derive(Debug, Default)]
struct Noted {
    is_read: bool,
    /// Customers that were changed since the reading began; empty stands for the settings.
    changed: HashSet<String>,
}

/// The right, as long as it lasts.
#[derive(Debug)]
pub struct Turn<'a>(MutexGuard<'a, Noted>);

impl Writing {
    /// Waits for the right to write.
    pub fn begin(&self) -> Turn<'_> {
        // A panic while it was held left plain values behind.
        Turn(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins to read the store: from here on what this process changes is noted.
    pub(super) fn begin_to_read(&self) {
        let mut noted = self.begin();
        noted.0.is_read = true;
        noted.0.changed.clear();
    }

    /// Ends that.
    pub(super) fn end_reading(&self) {
        let mut noted = self.begin();
        noted.0.is_read = false;
        noted.0.changed = HashSet::new();
    }
}

impl Turn<'_> {
    /// Notes what is changed.
    pub fn note(&mut self, customer: &str) {
        if self.0.is_read && !self.0.changed.contains(customer) {
            self.0.changed.insert(customer.to_owned());
        }
    }

    /// Tells whether something was changed since the reading began.
    pub(super) fn is_changed(&self, customer: &str) -> bool {
        self.0.changed.contains(customer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_noted_while_somebody_reads() {
        let writing = Writing::default();
        writing.begin().note("before");
        writing.begin_to_read();
        writing.begin().note("acme");
        let turn = writing.begin();
        assert!(turn.is_changed("acme") && !turn.is_changed("before"));
        drop(turn);
        writing.end_reading();
        writing.begin().note("after");
        writing.begin_to_read();
        let turn = writing.begin();
        assert!(!turn.is_changed("acme") && !turn.is_changed("after"));
    }
}
