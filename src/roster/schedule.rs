//! Changes of plan: what they make of the terms, and those that come due.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;

use super::resolve;
use crate::{
    ledger::Limits,
    model::{ChangeRule, CustomerTerms, Plan, PlanChange, SubscriptionTerms},
    snapshot::Snapshot,
};

/// Gives a customer's subscription with the scheduled change of plan made, if that is due.
pub fn due(
    terms: &CustomerTerms,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Option<Box<SubscriptionTerms>> {
    let held = terms.subscription.as_deref()?;
    let next = held.next.as_deref().filter(|next| next.at <= now)?;
    let plan = snapshot.plan(&next.plan)?;
    Some(Box::new(changed(terms, snapshot, plan, next.rule, next.at)))
}

/// Gives a customer's subscription after a change to another plan, by this rule and at this instant.
///
/// A rule that cannot be followed gives way to the one that keeps what was used: a window is begun
/// anew once, lest who goes up and down is never refused.
pub fn changed(
    terms: &CustomerTerms,
    snapshot: &Snapshot,
    plan: &Arc<Plan>,
    rule: ChangeRule,
    at: Timestamp,
) -> SubscriptionTerms {
    let mut after = match terms.subscription.as_deref() {
        Some(held) => held.clone(),
        None => SubscriptionTerms::new(Arc::clone(&plan.id)),
    };
    // Without what is scheduled: this may be the change that was.
    let held = terms.subscription.as_deref();
    let old = held.and_then(|held| snapshot.plan(&held.plan));
    let (before, _) = resolve::limits(terms, held, old.map(|plan| &**plan), at);
    after.plan = Arc::clone(&plan.id);
    after.next = None;
    let rule = match rule {
        ChangeRule::Restart if was_restarted(&after, plan, at) => ChangeRule::Carry,
        // Whoever defers has chosen the instant already.
        ChangeRule::Defer => ChangeRule::Carry,
        rule => rule,
    };
    if rule == ChangeRule::Restart {
        after.restarted = Some(at);
    }
    let quotas = before.quotas.iter().filter(|quota| quota.scope.is_empty());
    let before = match rule {
        ChangeRule::Prorate => {
            quotas.map(|quota| (Arc::clone(&quota.account), quota.limit)).collect()
        }
        ChangeRule::Carry | ChangeRule::Defer | ChangeRule::Restart => Default::default(),
    };
    after.changed = Some(Box::new(PlanChange { rule, at, before }));
    after
}

/// Gives a customer's own limits at an instant.
pub fn limits(terms: &CustomerTerms, snapshot: &Snapshot, at: Timestamp) -> Limits {
    let held = match due(terms, snapshot, at) {
        Some(due) => Some(Cow::Owned(*due)),
        None => terms.subscription.as_deref().map(Cow::Borrowed),
    };
    let plan = held.as_ref().and_then(|held| snapshot.plan(&held.plan));
    resolve::limits(terms, held.as_deref(), plan.map(|plan| &**plan), at).0
}

/// Tells whether a window that would begin anew has begun anew before.
fn was_restarted(held: &SubscriptionTerms, plan: &Plan, at: Timestamp) -> bool {
    let Some(before) = held.restarted else { return false };
    let windows = plan.quotas.iter().map(|quota| {
        let whole = SubscriptionTerms { restarted: None, ..held.clone() };
        resolve::place(quota, Arc::default(), Some(&whole)).window.window_at(at)
    });
    windows.into_iter().any(|window| window.contains(before))
}
