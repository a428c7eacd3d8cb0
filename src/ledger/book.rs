//! All customers' accounts, found by the customer's id.

use std::sync::Arc;

use dashmap::DashMap;
use jiff::Timestamp;

use super::Accounts;

/// The accounts of every customer seen since the start.
#[derive(Debug)]
pub struct Ledger {
    /// No guard of this map leaves this file: holding one while asking again deadlocks.
    customers: DashMap<Arc<str>, Arc<Accounts>>,
    floor: Timestamp,
}

impl Ledger {
    /// Begins empty. No window will be chosen for a time before the floor, which is the latest time
    /// known from before the start: a clock that is behind must not open a closed window again.
    pub fn new(floor: Timestamp) -> Self {
        Self { customers: DashMap::new(), floor }
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

    /// Counts the customers.
    pub fn len(&self) -> usize {
        self.customers.len()
    }

    /// Tells whether there is no customer yet.
    pub fn is_empty(&self) -> bool {
        self.customers.is_empty()
    }
}
