//! Identifiers that are about to be taken, so that a reload and a change cannot both take one.
//!
//! Race: a change looks whether the file declares the id, and is in memory only once it is
//! committed; meanwhile a reload could look whether the id is in memory, and declare it. So a change
//! claims the id first, under the lock under which a reload looks and swaps: whoever comes second
//! sees the first.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::model::KeyDigest;

/// The identifiers that are claimed.
#[derive(Debug, Default)]
pub(super) struct Claims {
    taken: Mutex<Taken>,
}

/// What stands under the lock.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) customers: HashSet<String>,
    pub(super) keys: HashSet<String>,
    pub(super) digests: HashSet<KeyDigest>,
}

/// A claim on some identifiers; dropping it gives them up.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Claims>,
    customer: Option<String>,
    key: Option<(String, KeyDigest)>,
}

impl Claims {
    pub(super) fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn customer(self: &Arc<Self>, taken: &mut Taken, id: &str) -> Claim {
        taken.customers.insert(id.to_owned());
        Claim { claims: Arc::clone(self), customer: Some(id.to_owned()), key: None }
    }

    pub(super) fn key(self: &Arc<Self>, taken: &mut Taken, id: &str, digest: KeyDigest) -> Claim {
        taken.keys.insert(id.to_owned());
        taken.digests.insert(digest);
        Claim { claims: Arc::clone(self), customer: None, key: Some((id.to_owned(), digest)) }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut taken = self.claims.lock();
        if let Some(id) = &self.customer {
            taken.customers.remove(id);
        }
        if let Some((id, digest)) = &self.key {
            taken.keys.remove(id);
            taken.digests.remove(digest);
        }
    }
}
