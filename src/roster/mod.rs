//! Who may call: customers and keys, declared in the file or made at run time.
//!
//! What is known of a customer (its terms) and of a key is kept small, because there may be a million
//! of each. What a request needs of them, limits put together and fields written out, is made on
//! their first request and kept until the terms, the configuration or a date in them changes it.

mod caller;
mod claim;
mod declared;
mod holder;
mod live;
mod resolve;
mod schedule;

use std::sync::Arc;

use jiff::Timestamp;

use self::{caller::KeyCell, holder::Holder};
pub use self::{
    caller::{Caller, Identity},
    claim::Claim,
    declared::Declared,
    live::{Conflict, Live},
    schedule::{changed, due, limits},
};
use crate::{
    ledger::{Ledger, Limits},
    model::{ApiKey, Customer, CustomerTerms, KeyDigest},
    snapshot::Snapshot,
};

/// Everything that finding a caller takes, at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// The plans, and what the file declares.
    pub snapshot: &'a Snapshot,
    /// What was made at run time.
    pub live: &'a Live,
    /// Where the accounts are.
    pub ledger: &'a Ledger,
    /// The time that dates are compared with.
    pub now: Timestamp,
}

impl Lookup<'_> {
    /// Finds a key by its digest. The comparison that decides takes the same time for every digest.
    pub fn caller(&self, digest: &KeyDigest) -> Option<Arc<Caller>> {
        let declared = self.snapshot.declared.key(digest);
        let cell = declared.or_else(|| self.live.key(digest))?;
        if !cell.key().digest.matches(digest) {
            return None;
        }
        cell.caller(self)
    }

    /// Finds a key by its id, which proves nothing: for the operator's questions, not for a request.
    pub fn caller_by_id(&self, key_id: &str) -> Option<Arc<Caller>> {
        self.cell(key_id)?.caller(self)
    }

    /// Finds a customer by its id.
    pub fn customer(&self, id: &str) -> Option<Arc<Customer>> {
        Some(self.holder(id)?.customer(self))
    }

    /// Gives the limits of a customer and of all its applications and keys.
    pub fn all_limits(&self, customer: &str) -> Option<Arc<Limits>> {
        self.limits_with_keys(customer, usize::MAX)
    }

    /// Gives the limits of a customer, of its applications and of some of its keys, at most so many.
    pub fn limits_with_keys(&self, customer: &str, keys_max: usize) -> Option<Arc<Limits>> {
        let holder = self.holder(customer)?;
        let customer = holder.customer(self);
        let keys = holder.keys();
        let keys: Vec<_> = keys.iter().take(keys_max).filter_map(|id| self.cell(id)).collect();
        if customer.terms.applications.is_empty()
            && keys.iter().all(|key| key.key().limits.is_none())
        {
            return Some(Arc::clone(&customer.limits));
        }
        let keys = keys.iter().map(|cell| &**cell.key());
        Some(Arc::new(resolve::all_limits(&customer, keys)))
    }

    /// Gives the same for terms that are not in force yet, with keys that were made or changed.
    pub fn limits_of(&self, terms: &Arc<CustomerTerms>, changed: &[&ApiKey]) -> Limits {
        let customer = resolve::customer(terms, self.snapshot, self.now);
        let ids = self.holder(&terms.id).map(|holder| holder.keys()).unwrap_or_default();
        let is_changed = |id: &Arc<str>| changed.iter().any(|key| key.id == *id);
        let cells = ids.iter().filter(|id| !is_changed(id)).filter_map(|id| self.cell(id));
        let known: Vec<_> = cells.collect();
        let known = known.iter().map(|cell| &**cell.key());
        resolve::all_limits(&customer, known.chain(changed.iter().copied()))
    }

    fn cell(&self, key_id: &str) -> Option<Arc<KeyCell>> {
        self.snapshot.declared.key_by_id(key_id).or_else(|| self.live.key_by_id(key_id))
    }

    fn holder(&self, id: &str) -> Option<Arc<Holder>> {
        self.snapshot.declared.customer(id).or_else(|| self.live.customer(id))
    }
}
