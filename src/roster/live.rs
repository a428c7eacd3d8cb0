//! What was made at run time: tables that outlive every reload.
//!
//! Invariant: these tables say what the store says. They are written by the store's thread alone,
//! after each commit and in the order of the commits.

use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use dashmap::DashMap;

use super::{
    KeyCell,
    claim::{Claim, Claims},
    declared::Declared,
    holder::Holder,
};
use crate::model::{ApiKey, CustomerTerms, DigestHasher, KeyDigest};

/// Customers and keys made at run time.
#[derive(Debug, Default)]
pub struct Live {
    /// No guard of these maps leaves this file: holding one while asking again deadlocks.
    keys: DashMap<KeyDigest, Arc<KeyCell>, BuildHasherDefault<DigestHasher>>,
    keys_by_id: DashMap<Arc<str>, Arc<KeyCell>>,
    customers: DashMap<Arc<str>, Arc<Holder>>,
    /// How many stored subscriptions name a plan, now or as the next one.
    plans: DashMap<Arc<str>, usize>,
    claims: Arc<Claims>,
    /// How many changes these tables have seen. A change is counted once it is in them.
    changes: AtomicU64,
}

/// Why an identifier cannot be taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Conflict {
    /// A customer of this id is in the file and in the store.
    #[error("the customer `{0}` is stored already; delete it there, or leave it out of the file")]
    Customer(String),
    /// A key of this id is in the file and in the store.
    #[error("the key `{0}` is stored already; give the one in the file another `id`")]
    Key(String),
    /// A key of this digest is in the file and in the store.
    #[error(
        "the key `{0}` in the file is stored already under another id; leave it out of the file"
    )]
    Digest(String),
    /// A plan that stored subscriptions use is not in the file.
    #[error(
        "the plan `{plan}` is not in the file, and {subscriptions} stored subscription(s) use it; \
         keep it with `archived = true`, or move them to another plan first"
    )]
    Plan {
        /// The plan.
        plan: String,
        /// How many use it.
        subscriptions: usize,
    },
}

impl Live {
    /// Claims the id of a new customer, unless the file declares it.
    pub fn claim_customer(&self, declared: impl Fn() -> bool, id: &str) -> Option<Claim> {
        let mut taken = self.claims.lock();
        (!declared()).then(|| self.claims.customer(&mut taken, id))
    }

    /// Claims the id and the digest of a new key, unless the file declares one of them.
    pub fn claim_key(
        &self,
        declared: impl Fn() -> bool,
        id: &str,
        digest: KeyDigest,
    ) -> Option<Claim> {
        let mut taken = self.claims.lock();
        (!declared()).then(|| self.claims.key(&mut taken, id, digest))
    }

    /// Claims a plan that a subscription is to name, if the file has it.
    pub fn claim_plan(&self, declared: impl Fn() -> bool, id: &str) -> Option<Claim> {
        let mut taken = self.claims.lock();
        declared().then(|| self.claims.plan(&mut taken, id))
    }

    /// Puts what a file declares in force by `swap`, unless something in it conflicts with what is
    /// stored or about to be.
    pub fn declare(
        &self,
        declared: &Declared,
        plans: &dyn Fn(&str) -> bool,
        swap: impl FnOnce(),
    ) -> Result<(), Vec<Conflict>> {
        let taken = self.claims.lock();
        let mut conflicts = Vec::new();
        for id in declared.customer_ids() {
            if self.customers.contains_key(id) || taken.customers.contains(&**id) {
                conflicts.push(Conflict::Customer(id.to_string()));
            }
        }
        for key in declared.api_keys() {
            if self.keys_by_id.contains_key(&key.id) || taken.keys.contains(&*key.id) {
                conflicts.push(Conflict::Key(key.id.to_string()));
            } else if self.keys.contains_key(&key.digest) || taken.digests.contains(&key.digest) {
                conflicts.push(Conflict::Digest(key.id.to_string()));
            }
        }
        let mut in_use = self.plans_in_use();
        for plan in taken.plans.iter() {
            in_use.entry(plan.as_str().into()).or_insert(1);
        }
        for (plan, subscriptions) in in_use {
            if !plans(&plan) {
                conflicts.push(Conflict::Plan { plan: plan.to_string(), subscriptions });
            }
        }
        if !conflicts.is_empty() {
            conflicts.sort_unstable_by_key(ToString::to_string);
            return Err(conflicts);
        }
        swap();
        Ok(())
    }

    /// Puts in a customer, or its changed terms.
    pub fn put_customer(&self, mut terms: CustomerTerms) {
        if let Some(subscription) = &mut terms.subscription {
            self.share_plan_name(&mut subscription.plan);
        }
        let terms = Arc::new(terms);
        self.count_plans(&terms, 1);
        let known = self.customer(&terms.id);
        let before = match known {
            Some(holder) => Some(holder.change(terms)),
            None => {
                let id = Arc::clone(&terms.id);
                self.customers.insert(id, Arc::new(Holder::new(terms)));
                None
            }
        };
        if let Some(before) = before {
            self.count_plans(&before, -1);
        }
        self.count_change();
    }

    /// Puts in a key, or its changed form. Its customer must be there.
    pub fn put_key(&self, mut key: ApiKey) {
        let Some(owner) = self.customer(&key.customer) else { return };
        key.customer = Arc::clone(&owner.terms().id);
        if key.lineage == key.id {
            key.lineage = Arc::clone(&key.id);
        }
        let (id, digest) = (Arc::clone(&key.id), key.digest);
        owner.add_key(&id);
        let cell = Arc::new(KeyCell::new(Arc::new(key), owner));
        self.keys.insert(digest, Arc::clone(&cell));
        self.keys_by_id.insert(id, cell);
        self.count_change();
    }

    /// Takes out a customer with its keys.
    pub fn remove_customer(&self, id: &str) {
        let Some((_, holder)) = self.customers.remove(id) else { return };
        holder.remove();
        self.count_plans(&holder.terms(), -1);
        for key in holder.keys() {
            if let Some((_, cell)) = self.keys_by_id.remove(&key) {
                self.keys.remove(&cell.key().digest);
            }
        }
        self.count_change();
    }

    /// Tells whether a customer is here.
    pub fn has_customer(&self, id: &str) -> bool {
        self.customers.contains_key(id)
    }

    /// Gives a number that is another one after every change.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn count_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(super) fn key(&self, digest: &KeyDigest) -> Option<Arc<KeyCell>> {
        self.keys.get(digest).map(|cell| Arc::clone(&cell))
    }

    pub(super) fn key_by_id(&self, id: &str) -> Option<Arc<KeyCell>> {
        self.keys_by_id.get(id).map(|cell| Arc::clone(&cell))
    }

    pub(super) fn customer(&self, id: &str) -> Option<Arc<Holder>> {
        self.customers.get(id).map(|holder| Arc::clone(&holder))
    }

    /// Gives how many stored subscriptions name each plan.
    pub fn plans_in_use(&self) -> HashMap<Arc<str>, usize> {
        let in_use = self.plans.iter().filter(|entry| *entry.value() > 0);
        in_use.map(|entry| (Arc::clone(entry.key()), *entry.value())).collect()
    }

    /// Calls `each` for every customer, in no order. A part of the table is locked meanwhile, so `each`
    /// must not ask anything of it.
    pub fn each_customer(&self, each: &mut dyn FnMut(&Arc<CustomerTerms>)) {
        self.customers.iter().for_each(|holder| each(&holder.terms()));
    }

    /// Counts the customers.
    pub fn customer_count(&self) -> usize {
        self.customers.len()
    }

    /// Counts the keys.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Lets all subscriptions of a plan share one copy of its name.
    fn share_plan_name(&self, plan: &mut Arc<str>) {
        if let Some(known) = self.plans.get(plan) {
            *plan = Arc::clone(known.key());
        }
    }

    fn count_plans(&self, terms: &CustomerTerms, change: isize) {
        let Some(subscription) = &terms.subscription else { return };
        let next = subscription.next.as_ref().map(|next| &next.plan);
        for plan in [Some(&subscription.plan), next].into_iter().flatten() {
            let mut count = self.plans.entry(Arc::clone(plan)).or_insert(0);
            *count = count.saturating_add_signed(change);
        }
    }
}
