//! All customers' accounts, found by the customer's id.

use std::sync::{Arc, PoisonError, Weak};

use dashmap::DashMap;
use jiff::Timestamp;

use super::{
    Accounts,
    sync::{Mutex, MutexGuard},
};

/// The accounts of every customer seen since the start.
#[derive(Debug)]
pub struct Ledger {
    /// No guard of this map leaves this file: holding one while asking again deadlocks.
    customers: DashMap<Arc<str>, Arc<Accounts>>,
    /// What was removed, as long as somebody holds it.
    removed: Mutex<Vec<Weak<Accounts>>>,
    floor: Timestamp,
}

impl Ledger {
    /// Begins empty. No window will be chosen for a time before the floor, which is the latest time
    /// known from before the start: a clock that is behind must not open a closed window again.
    pub fn new(floor: Timestamp) -> Self {
        Self { customers: DashMap::new(), removed: Mutex::default(), floor }
    }

    /// Gives the accounts of a customer, new ones if it has none yet.
    pub fn customer(&self, id: &str) -> Arc<Accounts> {
        if let Some(accounts) = self.find(id) {
            return accounts;
        }
        // Of two that come here at once the entry's lock lets one create, and both get that one.
        let id: Arc<str> = Arc::from(id);
        let entry = self.customers.entry(Arc::clone(&id));
        Arc::clone(&entry.or_insert_with(|| Arc::new(Accounts::new(id, self.floor))))
    }

    /// Gives the accounts of a customer if it has any.
    pub fn find(&self, id: &str) -> Option<Arc<Accounts>> {
        self.customers.get(id).map(|accounts| Arc::clone(&accounts))
    }

    /// Forgets a customer's accounts and gives them, so that a customer who gets the id later begins
    /// without usage. Whoever still holds the accounts goes on with them; hence nobody must be led to
    /// them any more when they are removed.
    pub fn remove(&self, id: &str) -> Option<Arc<Accounts>> {
        let (_, accounts) = self.customers.remove(id)?;
        self.removed().push(Arc::downgrade(&accounts));
        Some(accounts)
    }

    /// Tells whether requests of a removed customer are still in flight: their charges are yet to be
    /// booked under the id.
    pub fn departing(&self, id: &str) -> bool {
        let removed: Vec<_> = self.removed().iter().filter_map(Weak::upgrade).collect();
        removed.iter().any(|accounts| &**accounts.id() == id && accounts.in_flight() > 0)
    }

    /// Lists the customers, in no order. It looks at all of them: not for a thread that runs tasks.
    pub fn ids(&self) -> Vec<Arc<str>> {
        self.customers.iter().map(|entry| Arc::clone(entry.key())).collect()
    }

    /// Counts the customers.
    pub fn len(&self) -> usize {
        self.customers.len()
    }

    /// Tells whether there is no customer yet.
    pub fn is_empty(&self) -> bool {
        self.customers.is_empty()
    }

    /// Lists what was removed and is still held, the rest being forgotten here. A poisoned lock is taken
    /// all the same: nothing under it can be half done.
    fn removed(&self) -> MutexGuard<'_, Vec<Weak<Accounts>>> {
        let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        removed.retain(|accounts| accounts.strong_count() > 0);
        removed
    }
}
