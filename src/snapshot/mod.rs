//! Everything that a reload replaces at once: routes, plans, declared customers and their keys.
//!
//! Invariant: a snapshot never changes. A request loads one and keeps it, so that no request sees
//! half of a reload. Counters live in the ledger, which a snapshot only points into.

pub mod table;
mod uid;

use std::{collections::HashMap, sync::Arc};

use http::{HeaderValue, StatusCode};

use self::table::RouteTable;
use crate::{
    answer::{Code, headers::field_value, problem},
    config::{Config, KeyLocation, Server},
    guesses::GuessLimit,
    ledger::{Accounts, Ledger},
    model::{ApiKey, Customer, KeyDigest, Plan},
};

/// What one request is decided by.
#[derive(Debug)]
pub struct Snapshot {
    /// The data listener's settings.
    pub server: Server,
    /// Where a key may stand in a request.
    pub key_locations: Vec<KeyLocation>,
    /// How many keys may fail from one address; `None` means any number.
    pub guesses: Option<GuessLimit>,
    /// The operator's own statuses.
    pub status_by_code: HashMap<Code, StatusCode>,
    /// The realm of challenges.
    pub realm: Arc<str>,
    /// The table of routes.
    pub routes: RouteTable,
    /// All plans, for upgrades.
    pub plans: Vec<Arc<Plan>>,
    keys: HashMap<KeyDigest, Arc<Caller>>,
    customers: HashMap<Arc<str>, Arc<Customer>>,
}

/// A key with everything that a request by it needs.
#[derive(Debug)]
pub struct Caller {
    /// The key.
    pub key: Arc<ApiKey>,
    /// Its owner.
    pub customer: Arc<Customer>,
    /// The owner's accounts; they outlive the snapshot.
    pub accounts: Arc<Accounts>,
    /// Unique within the process, so that the journal finds what it knows of the key by a number.
    pub uid: u64,
    /// The values of the identity fields, made once.
    pub identity: Identity,
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

impl Snapshot {
    /// Makes the snapshot of a checked configuration.
    pub fn new(config: &Config, ledger: &Ledger) -> Self {
        let customers: HashMap<_, _> = config
            .customers
            .iter()
            .map(|customer| (Arc::clone(&customer.id), Arc::clone(customer)))
            .collect();
        let caller = |key: &Arc<ApiKey>| {
            let customer = customers.get(&key.customer)?;
            Some((key.digest, Arc::new(Caller::new(key, customer, ledger))))
        };
        Self {
            server: config.server.clone(),
            key_locations: config.key_locations.clone(),
            guesses: config.guesses,
            status_by_code: config.status_by_code.clone(),
            realm: problem::realm(config.server.public_url.as_deref()),
            routes: RouteTable::new(&config.routes),
            plans: config.plans.clone(),
            keys: config.keys.iter().filter_map(caller).collect(),
            customers,
        }
    }

    /// Finds a key by its digest. The comparison that decides takes the same time for every digest.
    pub fn caller(&self, digest: &KeyDigest) -> Option<&Arc<Caller>> {
        self.keys.get(digest).filter(|caller| caller.key.digest.matches(digest))
    }

    /// Finds a customer by its id.
    pub fn customer(&self, id: &str) -> Option<&Arc<Customer>> {
        self.customers.get(id)
    }
}

impl Caller {
    fn new(key: &Arc<ApiKey>, customer: &Arc<Customer>, ledger: &Ledger) -> Self {
        let plan = customer.subscription.as_ref().map(|subscription| &subscription.plan);
        Self {
            accounts: ledger.customer(&customer.id),
            uid: uid::next(),
            identity: Identity {
                customer: field_value(&customer.id),
                application: key.application.as_deref().map(field_value),
                key_id: field_value(&key.id),
                plan: plan.map(|plan| field_value(&plan.id)),
            },
            key: Arc::clone(key),
            customer: Arc::clone(customer),
        }
    }

    /// Gives the plan that the customer holds, in force or not.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.customer.subscription.as_ref().map(|subscription| &subscription.plan)
    }
}
