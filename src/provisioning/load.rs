//! From what is stored to what memory keeps of it.

use std::sync::Arc;

use super::announced;
use crate::{
    gateway::Gateway,
    model::{ApiKey, CustomerTerms, SubscriptionTerms},
    store::{
        StoreError,
        records::{ApplicationRecord, CustomerRecord, KeyRecord, Reads},
    },
};

/// Gives what decides about a stored customer.
pub fn terms(
    customer: CustomerRecord,
    subscription: Option<SubscriptionTerms>,
    applications: Vec<ApplicationRecord>,
) -> CustomerTerms {
    let limited = applications.into_iter().filter(|application| !application.limits.is_empty());
    CustomerTerms {
        id: customer.id.into(),
        suspended: customer.suspended,
        subscription: subscription.map(Box::new),
        limits: (!customer.limits.is_empty()).then(|| Box::new(customer.limits)),
        spend_cap: customer.spend_cap.map(Box::new),
        applications: limited.map(|one| (Arc::from(one.name), one.limits)).collect(),
    }
}

/// Gives what decides about a stored key.
pub fn api_key(key: KeyRecord) -> ApiKey {
    let id: Arc<str> = key.id.into();
    ApiKey {
        lineage: if key.lineage == *id { Arc::clone(&id) } else { key.lineage.into() },
        id,
        digest: key.digest,
        customer: key.customer.into(),
        application: key.application.map(Into::into),
        expires: key.expires,
        scopes: key.scopes.into_iter().map(Into::into).collect(),
        allow_from: key.allow_from,
        state: key.status,
        limits: (!key.limits.is_empty()).then(|| Box::new(key.limits)),
    }
}

/// Puts everything that is stored into memory, at start.
pub fn load(gateway: &Gateway, reads: &dyn Reads) -> Result<(), StoreError> {
    let live = gateway.live();
    reads.load_customers(&mut |customer, subscription, applications| {
        if customer.has_webhook() {
            gateway.notifications().set_own(&customer.id, true);
        }
        live.put_customer(terms(customer, subscription, applications));
    })?;
    reads.load_keys(&mut |key| live.put_key(api_key(key)))?;
    let ledger = gateway.ledger();
    reads.load_owed(&mut |customer, owed| {
        ledger.customer(customer).owe(owed.currency, owed.nanos);
    })?;
    reads.load_grants(&mut |grant| announced::learn_grant(gateway, &grant))?;
    if reads.setting(super::ENFORCEMENT)?.as_deref() == Some("off") {
        gateway.set_enforcing(false);
    }
    Ok(())
}
