//! What all accounts of a ledger that nodes share have in common: the list of those that have something to say to
//! their pools, and whether anybody listens.

use std::{
    mem,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::Accounts;

/// Where accounts are listed for whoever carries their letters.
#[derive(Debug, Default)]
pub struct Post {
    listed: Mutex<Vec<Arc<Accounts>>>,
    changed: Condvar,
    /// Nothing else is published by it, so relaxed order will do.
    is_away: AtomicBool,
}

impl Post {
    /// Lists accounts that have something to say.
    pub(super) fn list(&self, accounts: Arc<Accounts>) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.push(accounts);
        let is_first = listed.len() == 1;
        drop(listed);
        if is_first {
            self.changed.notify_one();
        }
    }

    /// Takes the list; waits for someone on it, for so long at most.
    pub fn take(&self, patience: Duration) -> Vec<Arc<Accounts>> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(listed, patience, |listed| listed.is_empty());
        let (mut listed, _) = waited.unwrap_or_else(PoisonError::into_inner);
        mem::take(&mut *listed)
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
