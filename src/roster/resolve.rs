//! From what is known of a customer to what decides about its requests.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    ledger::{Limits, Quota, WindowKind, WindowSpec},
    model::{
        Align, ApiKey, Customer, CustomerTerms, Plan, QuotaTerms, Status, Subscription,
        SubscriptionTerms, TermsError,
    },
    snapshot::Snapshot,
};

/// Puts a customer's terms and the plan they name together, as they are at an instant.
pub(super) fn customer(
    terms: &Arc<CustomerTerms>,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Customer {
    let _ = now;
    let held = terms.subscription.as_deref().and_then(|held| {
        let plan = snapshot.plan(&held.plan)?;
        Some((held, plan))
    });
    let subscription = held.map(|(held, plan)| subscription(held, plan));
    Customer {
        id: Arc::clone(&terms.id),
        suspended: terms.suspended,
        limits: Arc::new(limits(terms, held.map(|(_, plan)| &**plan))),
        subscription,
        terms: Arc::clone(terms),
        generation: snapshot.generation,
        until: None,
    }
}

/// Gives everything that requests by a key must fit.
pub(super) fn limits_of_key(customer: &Customer, key: &ApiKey) -> Arc<Limits> {
    let _ = key;
    Arc::clone(&customer.limits)
}

fn subscription(held: &SubscriptionTerms, plan: &Arc<Plan>) -> Subscription {
    held.resolve(plan).unwrap_or_else(|error| Subscription {
        plan: Arc::clone(plan),
        // The plan lost the trial that this one counted on: what cannot be computed is over.
        status: match error {
            TermsError::PastDueSince => Status::Unpaid,
            TermsError::TrialEnd => Status::Trialing { end: Timestamp::MIN },
        },
        anchor: held.anchor,
        starts: held.starts,
        cancel_at: held.cancel_at,
    })
}

fn limits(terms: &CustomerTerms, plan: Option<&Plan>) -> Limits {
    let own = terms.limits.as_deref();
    let anchor = terms.subscription.as_deref().and_then(|held| held.anchor);
    let quotas = own.and_then(|own| own.quotas.as_deref());
    let quotas = quotas.or(plan.map(|plan| &*plan.quotas)).unwrap_or_default();
    Limits {
        quotas: quotas.iter().map(|quota| place(quota, anchor)).collect(),
        rate: own.and_then(|own| own.rate).or(plan.and_then(|plan| plan.rate)),
        concurrency: own.and_then(|own| own.concurrency).or(plan.and_then(|plan| plan.concurrency)),
    }
}

/// Decides where the windows of a quota count from.
fn place(terms: &QuotaTerms, anchor: Option<Timestamp>) -> Quota {
    let QuotaTerms { name, limit, window, align } = terms;
    let anchor = match (align, window) {
        (_, WindowKind::Lifetime) | (Some(Align::Calendar), _) => None,
        (None, WindowKind::Hour | WindowKind::Day | WindowKind::Week) => None,
        (Some(Align::Anchor), _) | (None, WindowKind::Month | WindowKind::Year) => anchor,
    };
    Quota { name: Arc::clone(name), limit: *limit, window: WindowSpec { kind: *window, anchor } }
}
