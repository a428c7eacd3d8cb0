//! From what is known of a customer to what decides about its requests.

use std::sync::Arc;

use jiff::Timestamp;

use super::schedule;
use crate::{
    ledger::{Limits, Overage, Quota, Scoped, Window, WindowKind},
    model::{
        Align, ApiKey, ChangeRule, Customer, CustomerTerms, OwnLimits, Plan, QuotaTerms, Status,
        Subscription, SubscriptionTerms, TermsError,
    },
    snapshot::Snapshot,
};

/// Puts a customer's terms and the plan they name together, as they are at an instant.
pub(super) fn customer(
    terms: &Arc<CustomerTerms>,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Customer {
    let due = schedule::due(terms, snapshot, now);
    let held = due.as_deref().or(terms.subscription.as_deref());
    let held = held.and_then(|held| Some((held, snapshot.plan(&held.plan)?)));
    let plan = held.map(|(_, plan)| &**plan);
    let (limits, window_ends) = limits(terms, held.map(|(held, _)| held), plan, now);
    let next = held.and_then(|(held, _)| held.next.as_ref()).map(|next| next.at);
    Customer {
        id: Arc::clone(&terms.id),
        suspended: terms.suspended,
        subscription: held.map(|(held, plan)| subscription(held, plan)),
        limits: Arc::new(limits),
        terms: Arc::clone(terms),
        generation: snapshot.generation,
        until: [next, window_ends].into_iter().flatten().min(),
    }
}

/// Gives everything that requests by a key must fit: the customer's limits, and in addition those of
/// its application and its own.
pub(super) fn limits_of_key(customer: &Customer, key: &ApiKey) -> Arc<Limits> {
    let terms = &customer.terms;
    let application = key.application.as_ref().and_then(|name| {
        let (name, own) = terms.applications.iter().find(|(known, _)| known == name)?;
        Some((format!("application/{name}"), own))
    });
    let key = key.limits.as_deref().map(|own| (format!("key/{}", key.lineage), own));
    if application.is_none() && key.is_none() {
        return Arc::clone(&customer.limits);
    }
    let mut limits = Limits::clone(&customer.limits);
    for (scope, own) in [application, key].into_iter().flatten() {
        add(&mut limits, &scope.into(), own, terms.subscription.as_deref());
    }
    Arc::new(limits)
}

/// Gives the limits of a customer and of everything that it has, for a document about all of it.
pub(super) fn all_limits<'k>(
    customer: &Customer,
    keys: impl Iterator<Item = &'k ApiKey>,
) -> Limits {
    let held = customer.terms.subscription.as_deref();
    let mut limits = Limits::clone(&customer.limits);
    for (name, own) in &customer.terms.applications {
        add(&mut limits, &format!("application/{name}").into(), own, held);
    }
    let mut lines = Vec::new();
    for key in keys {
        // Keys of one line share one count.
        let Some(own) = key.limits.as_deref().filter(|_| !lines.contains(&&*key.lineage)) else {
            continue;
        };
        lines.push(&*key.lineage);
        add(&mut limits, &format!("key/{}", key.lineage).into(), own, held);
    }
    limits
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

/// Puts a customer's limits together: its own replace the plan's, each kind by itself. Beside them
/// the instant at which a limit that holds for one window only ends.
pub(super) fn limits(
    terms: &CustomerTerms,
    held: Option<&SubscriptionTerms>,
    plan: Option<&Plan>,
    now: Timestamp,
) -> (Limits, Option<Timestamp>) {
    let own = terms.limits.as_deref();
    let of_plan = plan.map(|plan| &*plan.quotas);
    let own_quotas = own.and_then(|own| own.quotas.as_deref());
    let quotas = own_quotas.or(of_plan).unwrap_or_default();
    let mut quotas: Vec<Quota> =
        quotas.iter().map(|quota| place(quota, Arc::default(), held)).collect();
    let mut ends = None;
    for quota in &mut quotas {
        if let (Some(overage), Some(cap)) = (&mut quota.overage, &terms.spend_cap) {
            **overage = Overage::new(overage.price(), Some(**cap));
        }
        if let Some((limit, end)) = prorated(quota, held, now) {
            quota.limit = limit;
            ends = Some(ends.map_or(end, |known: Timestamp| known.min(end)));
        }
    }
    let rate = own.and_then(|own| own.rate).or(plan.and_then(|plan| plan.rate));
    let of_plan = plan.and_then(|plan| plan.concurrency);
    let concurrency = own.and_then(|own| own.concurrency).or(of_plan);
    let limits = Limits {
        quotas,
        rates: rate.map(Scoped::whole).into_iter().collect(),
        concurrency: concurrency.map(Scoped::whole).into_iter().collect(),
    };
    (limits, ends)
}

fn add(limits: &mut Limits, scope: &Arc<str>, own: &OwnLimits, held: Option<&SubscriptionTerms>) {
    let OwnLimits { quotas, rate, concurrency } = own;
    let scope = || Arc::clone(scope);
    let quotas = quotas.iter().flatten().map(|quota| place(quota, scope(), held));
    limits.quotas.extend(quotas);
    limits.rates.extend(rate.map(|limit| Scoped { scope: scope(), limit }));
    limits.concurrency.extend(concurrency.map(|limit| Scoped { scope: scope(), limit }));
}

/// Decides where the windows of a quota count from.
pub(super) fn place(
    terms: &QuotaTerms,
    scope: Arc<str>,
    held: Option<&SubscriptionTerms>,
) -> Quota {
    let anchor = held.and_then(|held| held.anchor);
    let anchor = match (terms.align, terms.window) {
        (_, WindowKind::Lifetime) | (Some(Align::Calendar), _) => None,
        (None, WindowKind::Hour | WindowKind::Day | WindowKind::Week) => None,
        (Some(Align::Anchor), _)
        | (None, WindowKind::Month | WindowKind::Year | WindowKind::Period) => anchor,
    };
    let of_customer = scope.is_empty();
    let mut quota = terms.quota(scope, anchor);
    let ends = held.and_then(|held| Some((held.period_start?, held.period_end?)));
    quota.window.period = ends.map(|(start, end)| Window { start, end: Some(end) });
    // A plan is the customer's; what an application or a key has used is not of its making.
    quota.window.floor = held.and_then(|held| held.restarted).filter(|_| of_customer);
    quota
}

/// Gives the limit of a quota in the window in which the plan was changed by the rule `prorate`, and
/// the end of that window: the old limit and the new one, each for its share of the time, rounded
/// down.
fn prorated(
    quota: &Quota,
    held: Option<&SubscriptionTerms>,
    now: Timestamp,
) -> Option<(u64, Timestamp)> {
    let change = held?.changed.as_deref()?;
    if change.rule != ChangeRule::Prorate {
        return None;
    }
    let before = *change.before.get(&quota.account)?;
    let window = quota.window.window_at(now);
    let end = window.end.filter(|_| window.contains(change.at))?;
    let share = |from: Timestamp, to: Timestamp| {
        let length = to.as_nanosecond().saturating_sub(from.as_nanosecond());
        u128::try_from(length).unwrap_or(0)
    };
    // Below 2^50 units times 2^70 nanoseconds: it fits.
    let old = u128::from(before).saturating_mul(share(window.start, change.at));
    let new = u128::from(quota.limit).saturating_mul(share(change.at, end));
    let limit = old.saturating_add(new).checked_div(share(window.start, end))?;
    Some((u64::try_from(limit).unwrap_or(u64::MAX), end))
}
