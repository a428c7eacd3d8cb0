//! All customers' accounts, found by the customer's id.

use std::sync::Arc;

use dashmap::DashMap;
use jiff::Timestamp;

use super::{Accounts, Partition, Post};

/// The accounts of every customer seen since the start.
#[derive(Debug)]
pub struct Ledger {
    /// No guard of this map leaves this file: holding one while asking again deadlocks.
    customers: DashMap<Arc<str>, Arc<Accounts>>,
    /// How often a customer of this id was removed since the start.
    removals: DashMap<Arc<str>, u32>,
    floor: Timestamp,
    /// Where other nodes count as well.
    post: Option<Arc<Post>>,
    partition: Arc<Partition>,
}

/// Into how many parts the map is divided. A look at all customers locks one part after the other, so
/// that with many parts nobody who comes for the first time waits for long.
const PARTS: usize = 256;

/// Gives the customer's id from a name that [`Ledger::name_of`] gave.
pub fn id_of(name: &str) -> &str {
    name.split_once('#').map_or(name, |(id, _)| id)
}

impl Ledger {
    /// Begins empty. No window will be chosen for a time before the floor, which is the latest time
    /// known from before the start: a clock that is behind must not open a closed window again.
    pub fn new(floor: Timestamp) -> Self {
        let customers = DashMap::with_shard_amount(PARTS);
        Self { customers, removals: DashMap::new(), floor, post: None, partition: Arc::default() }
    }

    /// Lets other nodes count as well: nothing is taken that no lease has.
    pub fn shared(self, post: Arc<Post>) -> Self {
        Self { post: Some(post), ..self }
    }

    /// Gives where accounts are listed that have something to say to other nodes; `None` for a ledger that
    /// counts alone.
    pub fn post(&self) -> Option<&Arc<Post>> {
        self.post.as_ref()
    }

    /// Gives which part of rates and of limits on requests in flight this node lets through.
    pub fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// Gives the accounts of a customer, new ones if it has none yet.
    pub fn customer(&self, id: &str) -> Arc<Accounts> {
        if let Some(accounts) = self.find(id) {
            return accounts;
        }
        // Of two that come here at once the entry's lock lets one create, and both get that one.
        let id: Arc<str> = Arc::from(id);
        let name = self.name_of(&id);
        let (post, partition) = (self.post.clone(), Arc::clone(&self.partition));
        let entry = self.customers.entry(id);
        Arc::clone(
            &entry.or_insert_with(|| Arc::new(Accounts::new(name, self.floor, post, partition))),
        )
    }

    /// Gives the name under which what a customer takes is written down: its id; and once customers of
    /// that id were removed, the id, `#` and a number, so that what they had in flight when they went
    /// is not taken for the next one's.
    pub fn name_of(&self, id: &str) -> Arc<str> {
        match self.removals.get(id).map_or(0, |count| *count) {
            0 => id.into(),
            count => format!("{id}#{}", count.saturating_add(1)).into(),
        }
    }

    /// Gives the accounts of a customer if it has any.
    pub fn find(&self, id: &str) -> Option<Arc<Accounts>> {
        self.customers.get(id).map(|accounts| Arc::clone(&accounts))
    }

    /// Forgets a customer's accounts and gives them, so that a customer who gets the id later begins
    /// without usage. Whoever still holds the accounts goes on with them; hence nobody must be led to
    /// them any more when they are removed.
    pub fn remove(&self, id: &str) -> Option<Arc<Accounts>> {
        let mut count = self.removals.entry(Arc::from(id)).or_insert(0);
        *count = count.saturating_add(1);
        drop(count);
        self.customers.remove(id).map(|(_, accounts)| accounts)
    }

    /// Learns that a customer was removed elsewhere, by the name that [`Ledger::name_of`] gave it there, and forgets
    /// its accounts. What is known already changes nothing.
    pub fn forget(&self, name: &str) {
        let (id, life) = name.split_once('#').unwrap_or((name, "1"));
        let life = life.parse().unwrap_or(1);
        let mut count = self.removals.entry(Arc::from(id)).or_insert(0);
        if *count >= life {
            return;
        }
        *count = life;
        drop(count);
        self.customers.remove(id);
    }

    /// Lists the customers, in no order. It looks at all of them: not for a thread that runs tasks.
    pub fn ids(&self) -> Vec<Arc<str>> {
        self.customers.iter().map(|entry| Arc::clone(entry.key())).collect()
    }

    /// Gives the accounts of some customers, at most `max` of them, beginning with the one that comes as
    /// number `first` in an order of its own. Who comes or goes between two calls may move others.
    pub fn some(&self, first: usize, max: usize) -> Vec<Arc<Accounts>> {
        let customers = self.customers.iter().skip(first).take(max);
        customers.map(|entry| Arc::clone(entry.value())).collect()
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
