//! A key as the roster holds it, and what a request by it needs.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::HeaderValue;

use super::{Lookup, holder::Holder, resolve};
use crate::{
    answer::headers::field_value,
    journal::Marks,
    ledger::{Accounts, Level, Limits},
    model::{ApiKey, Customer, Plan},
    snapshot::uid,
};

/// A key's place in the roster. A change of the key makes another one.
#[derive(Debug)]
pub(super) struct KeyCell {
    key: Arc<ApiKey>,
    owner: Arc<Holder>,
    /// Made on the first request. Two threads may make it at once; either is right.
    caller: ArcSwapOption<Caller>,
}

/// A key with everything that a request by it needs.
#[derive(Debug)]
pub struct Caller {
    /// The key.
    pub key: Arc<ApiKey>,
    /// Its owner.
    pub customer: Arc<Customer>,
    /// Everything that its requests must fit: the owner's limits, the application's, its own.
    pub limits: Arc<Limits>,
    /// The same without the owner's allowances, for what money pays; made when it is asked for.
    limits_of_money: OnceLock<Arc<Limits>>,
    /// The owner's accounts; they outlive every change.
    pub accounts: Arc<Accounts>,
    /// Unique within the process, so that the journal finds what it knows of the key by a number.
    pub uid: u64,
    /// What the journals have of it.
    pub marks: Marks,
    /// The values of the identity fields, made once.
    pub identity: Identity,
    /// How many changes the roster had seen when all of this was last known to be right.
    checked: AtomicU64,
}

/// Values of the fields that tell the upstream who calls.
#[derive(Debug)]
pub struct Identity {
    /// `Faregate-Customer`.
    pub customer: HeaderValue,
    /// `Faregate-Application`.
    pub application: Option<HeaderValue>,
    /// `Faregate-Key-Id`.
    pub key_id: HeaderValue,
    /// `Faregate-Plan`.
    pub plan: Option<HeaderValue>,
}

impl KeyCell {
    pub(super) fn new(key: Arc<ApiKey>, owner: Arc<Holder>) -> Self {
        Self { key, owner, caller: ArcSwapOption::empty() }
    }

    /// Gives the key.
    pub(super) fn key(&self) -> &Arc<ApiKey> {
        &self.key
    }

    /// Gives what a request by the key needs now; `None` when its owner is removed.
    ///
    /// Race: a request that found the key just before its owner was removed may ask the ledger for
    /// accounts just after, and would get those of whoever has the id next. The mark is set before the
    /// accounts go, so who sees none got them before.
    pub(super) fn caller(&self, lookup: &Lookup<'_>) -> Option<Arc<Caller>> {
        // Asked before anything is looked at: what changes meanwhile is seen next time.
        let changes = lookup.live.changes();
        let known = self.caller.load();
        // Most requests end here: their owner's place is not looked at, which lies elsewhere in memory.
        if let Some(known) = &*known
            && known.checked.load(Ordering::Relaxed) == changes
            && known.customer.is_current(lookup.snapshot.generation, lookup.now)
        {
            return Some(Arc::clone(known));
        }
        let customer = self.owner.customer(lookup);
        if let Some(known) = &*known
            && Arc::ptr_eq(&known.customer, &customer)
        {
            known.checked.store(changes, Ordering::Relaxed);
            return Some(Arc::clone(known));
        }
        let caller = Arc::new(Caller::new(&self.key, customer, lookup));
        if self.owner.is_removed() {
            return None;
        }
        self.caller.store(Some(Arc::clone(&caller)));
        Some(caller)
    }
}

impl Caller {
    fn new(key: &Arc<ApiKey>, customer: Arc<Customer>, lookup: &Lookup<'_>) -> Self {
        let plan = customer.subscription.as_ref().map(|subscription| &subscription.plan);
        Self {
            accounts: lookup.ledger.customer(&customer.id),
            uid: uid::next(),
            marks: Marks::default(),
            identity: Identity::new(
                &customer.id,
                key.application.as_deref(),
                &key.id,
                plan.map(|plan| &*plan.id),
            ),
            limits: resolve::limits_of_key(&customer, key),
            limits_of_money: OnceLock::new(),
            key: Arc::clone(key),
            customer,
            // Checked by the next request: the owner may change while this is made.
            checked: AtomicU64::new(u64::MAX),
        }
    }

    /// Gives the limits that a call must fit which money pays: all but the owner's allowances.
    pub fn limits_of_money(&self) -> &Arc<Limits> {
        self.limits_of_money.get_or_init(|| {
            let mut limits = Limits::clone(&self.limits);
            limits.quotas.retain(|quota| quota.level() != Level::Customer);
            if limits == *self.limits { Arc::clone(&self.limits) } else { Arc::new(limits) }
        })
    }

    /// Gives the plan that the customer holds, in force or not.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.customer.subscription.as_ref().map(|subscription| &subscription.plan)
    }
}

impl Identity {
    /// Writes the values into one piece of memory, which they share: a request by one of many keys
    /// finds them all at one place.
    fn new(customer: &str, application: Option<&str>, key_id: &str, plan: Option<&str>) -> Self {
        let texts = [Some(customer), application, Some(key_id), plan];
        let whole: String = texts.into_iter().flatten().collect();
        let whole = Bytes::from(whole);
        let mut at = 0;
        let mut value = |text: &str| {
            let slice = whole.slice(at..at + text.len());
            at += text.len();
            HeaderValue::from_maybe_shared(slice).unwrap_or_else(|_| field_value(text))
        };
        Self {
            customer: value(customer),
            application: application.map(&mut value),
            key_id: value(key_id),
            plan: plan.map(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;

    use super::*;
    use crate::{
        config::Loaded,
        ledger::Ledger,
        model::{CustomerTerms, KeyDigest, KeyState},
        roster::Live,
        snapshot::Snapshot,
    };

    /// A roster with one customer that has one key.
    struct Scene {
        snapshot: Snapshot,
        live: Live,
        ledger: Ledger,
        digest: KeyDigest,
    }

    impl Scene {
        fn new() -> Self {
            let live = Live::default();
            let digest = KeyDigest::of(b"k");
            live.put_customer(terms(false));
            live.put_key(ApiKey {
                id: "k".into(),
                digest,
                customer: "acme".into(),
                application: None,
                expires: None,
                scopes: Vec::new(),
                allow_from: Vec::new(),
                state: KeyState::Active,
                lineage: "k".into(),
                limits: None,
            });
            let ledger = Ledger::new(Timestamp::UNIX_EPOCH);
            Self { snapshot: snapshot(), live, ledger, digest }
        }

        fn lookup(&self) -> Lookup<'_> {
            let Self { snapshot, live, ledger, .. } = self;
            Lookup { snapshot, live, ledger, now: Timestamp::UNIX_EPOCH }
        }

        fn caller(&self) -> Option<Arc<Caller>> {
            self.lookup().caller(&self.digest)
        }
    }

    fn snapshot() -> Snapshot {
        let minimal = include_str!("../../config/minimal.toml");
        let config = Loaded::parse(minimal, Path::new("minimal.toml")).into_config().unwrap();
        Snapshot::new(&config)
    }

    fn terms(suspended: bool) -> CustomerTerms {
        CustomerTerms {
            id: "acme".into(),
            suspended,
            subscription: None,
            limits: None,
            spend_cap: None,
            applications: Vec::new(),
        }
    }

    #[test]
    fn caller_is_made_once_and_again_after_each_change() {
        let mut scene = Scene::new();
        let first = scene.caller().unwrap();
        for _ in 0..3 {
            assert!(Arc::ptr_eq(&first, &scene.caller().unwrap()));
        }
        for suspended in [true, false, true] {
            scene.live.put_customer(terms(suspended));
            assert_eq!(scene.caller().unwrap().customer.suspended, suspended);
            assert_eq!(scene.caller().unwrap().customer.suspended, suspended);
        }
        let generation = |scene: &Scene| scene.caller().unwrap().customer.generation;
        let before = generation(&scene);
        scene.snapshot = snapshot();
        assert_ne!(generation(&scene), before);
        assert_eq!(generation(&scene), scene.snapshot.generation);
    }

    #[test]
    fn key_of_a_removed_customer_gets_no_accounts() {
        let scene = Scene::new();
        // As a request that found the key just before.
        let cell = scene.live.key(&scene.digest).unwrap();
        scene.live.remove_customer("acme");
        scene.ledger.remove("acme");
        assert!(cell.caller(&scene.lookup()).is_none());
        assert!(scene.caller().is_none());
    }
}
