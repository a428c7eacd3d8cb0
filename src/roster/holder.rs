//! A customer as the roster holds it: its terms, which change, and what they resolve to.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{Lookup, resolve};
use crate::model::{Customer, CustomerTerms};

/// A customer's place in the roster; it stays the same through every change of the terms.
#[derive(Debug)]
pub(super) struct Holder {
    terms: ArcSwap<CustomerTerms>,
    /// Made on the first request. Two threads may make it at once; either is right.
    resolved: ArcSwapOption<Customer>,
    /// Set before its accounts are taken out of the ledger.
    is_removed: AtomicBool,
    /// The ids of its keys. Not on the way of a request.
    keys: Mutex<Vec<Arc<str>>>,
}

impl Holder {
    pub(super) fn new(terms: Arc<CustomerTerms>) -> Self {
        let keys = Mutex::default();
        let resolved = ArcSwapOption::empty();
        Self { terms: ArcSwap::new(terms), resolved, is_removed: false.into(), keys }
    }

    /// Notes that the customer is removed. Its accounts may be taken out of the ledger after this.
    pub(super) fn remove(&self) {
        self.is_removed.store(true, Ordering::Release);
    }

    /// Tells whether the customer is removed.
    pub(super) fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Acquire)
    }

    /// Replaces the terms; the next request is decided by them.
    pub(super) fn change(&self, terms: Arc<CustomerTerms>) -> Arc<CustomerTerms> {
        self.terms.swap(terms)
    }

    /// Gives the terms.
    pub(super) fn terms(&self) -> Arc<CustomerTerms> {
        self.terms.load_full()
    }

    /// Notes a key of its.
    pub(super) fn add_key(&self, id: &Arc<str>) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.contains(id) {
            // Most have one, and there may be a million of them.
            keys.reserve_exact(1);
            keys.push(Arc::clone(id));
        }
    }

    /// Gives the ids of its keys.
    pub(super) fn keys(&self) -> Vec<Arc<str>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives what the terms mean now.
    pub(super) fn customer(&self, lookup: &Lookup<'_>) -> Arc<Customer> {
        let terms = self.terms.load();
        if let Some(known) = &*self.resolved.load()
            && Arc::ptr_eq(&known.terms, &terms)
            && known.is_current(lookup.snapshot.generation, lookup.now)
        {
            return Arc::clone(known);
        }
        let customer = Arc::new(resolve::customer(&terms, lookup.snapshot, lookup.now));
        self.resolved.store(Some(Arc::clone(&customer)));
        customer
    }
}
