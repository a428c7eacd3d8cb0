//! What all accounts of a ledger that nodes share have in common: the list of those that have something to say to
//! their pools, and whether anybody listens.

use std::{
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::Accounts;

/// Where accounts are listed for whoever carries their letters.
#[derive(Debug, Default)]
pub struct Post {
    listed: Mutex<Listed>,
    changed: Condvar,
    /// Nothing else is published by it, so relaxed order will do.
    is_away: AtomicBool,
}

/// Who has something to say.
#[derive(Debug, Default)]
pub struct Listed {
    /// Whose letters are to be asked for.
    pub accounts: Vec<Arc<Accounts>>,
    /// Somebody waits for what one of them has to say, here or on another node.
    pub is_urgent: bool,
}

impl Post {
    /// Lists accounts that have something to say for which nobody waits.
    pub(super) fn list(&self, accounts: Arc<Accounts>) {
        let mut listed = self.lock();
        listed.accounts.push(accounts);
        let is_first = listed.accounts.len() == 1;
        drop(listed);
        if is_first {
            self.changed.notify_one();
        }
    }

    /// Hurries whoever carries letters, since somebody waits; with accounts that are not listed yet.
    pub(super) fn hurry(&self, accounts: Option<Arc<Accounts>>) {
        let mut listed = self.lock();
        listed.accounts.extend(accounts);
        let is_first = !mem::replace(&mut listed.is_urgent, true);
        drop(listed);
        if is_first {
            self.changed.notify_one();
        }
    }

    /// Takes the list; waits for someone on it, for so long at most.
    pub fn take(&self, patience: Duration) -> Listed {
        self.take_unless(patience, |listed| listed.accounts.is_empty() && !listed.is_urgent)
    }

    /// Takes the list after so long, or when somebody waits.
    pub fn take_when_urgent(&self, patience: Duration) -> Listed {
        self.take_unless(patience, |listed| !listed.is_urgent)
    }

    fn take_unless(&self, patience: Duration, waits: impl Fn(&Listed) -> bool) -> Listed {
        let waited = self.changed.wait_timeout_while(self.lock(), patience, |listed| waits(listed));
        let (mut listed, _) = waited.unwrap_or_else(PoisonError::into_inner);
        mem::take(&mut *listed)
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who waits for the list.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// Tells whether the pools cannot be reached, so that nobody waits for them.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    /// The same.
    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }
}
