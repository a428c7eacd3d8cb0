//! What the file declares: immutable, a part of the snapshot.

use std::{collections::HashMap, sync::Arc};

use super::{KeyCell, holder::Holder};
use crate::model::{ApiKey, CustomerTerms, DigestTable, KeyDigest};

/// Customers and keys of the file.
#[derive(Debug, Default)]
pub struct Declared {
    keys: DigestTable<Arc<KeyCell>>,
    keys_by_id: HashMap<Arc<str>, KeyDigest>,
    customers: HashMap<Arc<str>, Arc<Holder>>,
}

impl Declared {
    /// Joins keys and their owners.
    pub fn new(customers: &[Arc<CustomerTerms>], keys: &[Arc<ApiKey>]) -> Self {
        let customers: HashMap<_, _> = customers
            .iter()
            .map(|terms| (Arc::clone(&terms.id), Arc::new(Holder::new(Arc::clone(terms)))))
            .collect();
        let mut declared = Self { customers, ..Self::default() };
        for key in keys {
            let Some(owner) = declared.customers.get(&key.customer) else { continue };
            owner.add_key(&key.id);
            let cell = Arc::new(KeyCell::new(Arc::clone(key), Arc::clone(owner)));
            declared.keys.insert(key.digest, cell);
            declared.keys_by_id.insert(Arc::clone(&key.id), key.digest);
        }
        declared
    }

    pub(super) fn key(&self, digest: &KeyDigest) -> Option<Arc<KeyCell>> {
        self.keys.get(digest).cloned()
    }

    pub(super) fn key_by_id(&self, id: &str) -> Option<Arc<KeyCell>> {
        self.key(self.keys_by_id.get(id)?)
    }

    pub(super) fn customer(&self, id: &str) -> Option<Arc<Holder>> {
        self.customers.get(id).cloned()
    }

    /// Tells whether a customer of this id is declared.
    pub fn has_customer(&self, id: &str) -> bool {
        self.customers.contains_key(id)
    }

    /// Tells whether a key of this id is declared.
    pub fn has_key(&self, id: &str) -> bool {
        self.keys_by_id.contains_key(id)
    }

    /// Tells whether a key of this digest is declared.
    pub fn has_digest(&self, digest: &KeyDigest) -> bool {
        self.keys.contains_key(digest)
    }

    /// Gives the terms of a declared customer.
    pub fn terms(&self, id: &str) -> Option<Arc<CustomerTerms>> {
        Some(self.customers.get(id)?.terms())
    }

    /// Gives a declared key.
    pub fn api_key(&self, id: &str) -> Option<&Arc<ApiKey>> {
        Some(self.keys.get(self.keys_by_id.get(id)?)?.key())
    }

    /// Gives the declared keys of a customer.
    pub fn api_keys_of(&self, customer: &str) -> Vec<&Arc<ApiKey>> {
        let ids = self.customers.get(customer).map(|holder| holder.keys()).unwrap_or_default();
        ids.iter().filter_map(|id| self.api_key(id)).collect()
    }

    /// Gives the ids of all declared customers, in no order.
    pub fn customer_ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.customers.keys()
    }

    /// Gives the number of declared customers.
    pub fn customer_count(&self) -> usize {
        self.customers.len()
    }

    /// Gives the number of declared keys.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Gives all declared keys, in no order.
    pub fn api_keys(&self) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.keys.values().map(|cell| cell.key())
    }
}
