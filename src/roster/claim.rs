//! What a change is about to take, so that a reload cannot take the same, or take it away.
//!
//! Race: a change looks whether the file declares the id, and is in memory only once it is
//! committed; meanwhile a reload could look whether the id is in memory, and declare it. So a change
//! claims the id first, under the lock under which a reload looks and swaps: whoever comes second
//! sees the first. In the same way it claims the plan that a subscription is to name, which a reload
//! could drop meanwhile.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::model::KeyDigest;

/// What is claimed.
#[derive(Debug, Default)]
pub(super) struct Claims {
    taken: Mutex<Taken>,
}

/// What stands under the lock.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) customers: Counted<String>,
    pub(super) keys: Counted<String>,
    pub(super) digests: Counted<KeyDigest>,
    /// Plans that a change is about to use: a reload must not drop them.
    pub(super) plans: Counted<String>,
}

/// How many claims there are on each. Of two changes that claim the same the second is refused later,
/// and when it gives up its claim the first still has its own.
#[derive(Debug)]
pub(super) struct Counted<T>(HashMap<T, usize>);

/// A claim on some identifiers; dropping it gives them up.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Claims>,
    on: On,
}

/// What a claim is on.
#[derive(Debug)]
enum On {
    Customer(String),
    Key(String, KeyDigest),
    Plan(String),
}

impl Claims {
    pub(super) fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn customer(self: &Arc<Self>, taken: &mut Taken, id: &str) -> Claim {
        self.claim(taken, On::Customer(id.to_owned()))
    }

    pub(super) fn key(self: &Arc<Self>, taken: &mut Taken, id: &str, digest: KeyDigest) -> Claim {
        self.claim(taken, On::Key(id.to_owned(), digest))
    }

    pub(super) fn plan(self: &Arc<Self>, taken: &mut Taken, id: &str) -> Claim {
        self.claim(taken, On::Plan(id.to_owned()))
    }

    fn claim(self: &Arc<Self>, taken: &mut Taken, on: On) -> Claim {
        match &on {
            On::Customer(id) => taken.customers.add(id),
            On::Key(id, digest) => {
                taken.keys.add(id);
                taken.digests.add(digest);
            }
            On::Plan(id) => taken.plans.add(id),
        }
        Claim { claims: Arc::clone(self), on }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut taken = self.claims.lock();
        match &self.on {
            On::Customer(id) => taken.customers.remove(id),
            On::Key(id, digest) => {
                taken.keys.remove(id);
                taken.digests.remove(digest);
            }
            On::Plan(id) => taken.plans.remove(id),
        }
    }
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone + Eq + Hash> Counted<T> {
    fn add(&mut self, what: &T) {
        let count = self.0.entry(what.clone()).or_insert(0);
        *count = count.saturating_add(1);
    }

    fn remove(&mut self, what: &T) {
        let Some(count) = self.0.get_mut(what) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.0.remove(what);
        }
    }

    pub(super) fn contains<Q: Eq + Hash + ?Sized>(&self, what: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        self.0.contains_key(what)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.keys()
    }
}
