//! What an operator's change brings about: a threshold that a lower limit reaches, an end that is near
//! now. Told in the transaction of the change.

use std::sync::Arc;

use super::{
    ends::{self, End, Reason, Slice},
    measure::Subject,
    tell::{Audience, Teller},
};
use crate::{
    ledger::{AccountId, Quota},
    model::{ApiKey, CustomerTerms, StatusName},
    provisioning::{Correction, Effect},
    store::StoreError,
};

/// Tells what a change brings about whose effects are not in memory yet.
pub(crate) fn tell_change(teller: &mut Teller<'_>, effects: &[Effect]) -> Result<(), StoreError> {
    let removed = effects.iter().filter_map(|effect| match effect {
        Effect::RemoveCustomer(id) => Some(id),
        _ => None,
    });
    removed.into_iter().try_for_each(|id| teller.give_up_own(id))?;
    let is_own = |effect: &Effect| matches!(effect, Effect::PutCustomer { has_webhook: true, .. });
    if !Teller::is_heard(teller.gateway, teller.snapshot) && !effects.iter().any(is_own) {
        return Ok(());
    }
    for effect in effects {
        match effect {
            Effect::Adjust(Correction { customer, account, units, .. }) => {
                let charged = u64::try_from(units.saturating_neg()).unwrap_or(0);
                adjusted(teller, customer, account, charged)?;
            }
            Effect::PutCustomer { terms, has_webhook } => {
                let terms = Arc::new(terms.clone());
                Changed { terms: &terms, effects, has_webhook: *has_webhook }.tell(teller)?;
            }
            Effect::PutKey(key) => key_changed(teller, key, effects)?,
            Effect::Enforce(_)
            | Effect::Grant { .. }
            | Effect::Level(_)
            | Effect::Owe { .. }
            | Effect::RemoveCustomer(_)
            | Effect::Repay(_)
            | Effect::TakeFromGrant { .. } => {}
        }
    }
    Ok(())
}

/// A customer that was changed.
struct Changed<'a> {
    /// What it will be.
    terms: &'a Arc<CustomerTerms>,
    /// Everything that the change makes.
    effects: &'a [Effect],
    /// Whether its own webhook is on.
    has_webhook: bool,
}

impl Changed<'_> {
    fn tell(&self, teller: &mut Teller<'_>) -> Result<(), StoreError> {
        let customer = &*self.terms.id;
        let audience = Audience { own: self.has_webhook, ..teller.audience(customer) };
        if audience.is_empty() {
            return Ok(());
        }
        self.measure(teller, audience)?;
        let Some(held) = self.terms.subscription.as_deref() else { return Ok(()) };
        let slice = Slice { from: teller.now, to: teller.horizon() };
        teller.tell_ending(customer, audience, held, slice)?;
        match self.ended(teller) {
            Some(end) => teller.tell_end(customer, audience, held, end),
            None => Ok(()),
        }
    }

    /// Measures all quotas by the limits that come of the change.
    fn measure(&self, teller: &mut Teller<'_>, audience: Audience) -> Result<(), StoreError> {
        let changed = self.effects.iter().filter_map(|effect| match effect {
            Effect::PutKey(key) if key.customer == self.terms.id => Some(key),
            _ => None,
        });
        let changed: Vec<&ApiKey> = changed.collect();
        let lookup = teller.gateway.lookup(teller.snapshot, teller.now);
        let limits = lookup.limits_of(self.terms, &changed);
        let plan = self.terms.subscription.as_ref().map(|held| &*held.plan);
        teller.measure_all(&Subject { customer: &self.terms.id, plan, audience }, &limits)
    }

    /// Gives the end that the change itself made: a subscription was served until now and is cancelled,
    /// or was given a date that has passed.
    fn ended(&self, teller: &Teller<'_>) -> Option<End> {
        let lookup = teller.gateway.lookup(teller.snapshot, teller.now);
        let before = lookup.customer(&self.terms.id)?;
        let before = before.terms.subscription.as_deref()?;
        let was_served = match before.status {
            StatusName::Active | StatusName::PastDue | StatusName::Trialing => {
                ends::end(before, teller.snapshot).is_none_or(|end| teller.now < end.at)
            }
            _ => false,
        };
        let after = self.terms.subscription.as_deref().filter(|_| was_served)?;
        if after.status == StatusName::Canceled {
            return Some(End { at: teller.now, reason: Reason::Canceled });
        }
        ends::end(after, teller.snapshot).filter(|end| end.at <= teller.now)
    }
}

/// Tells that a key that was made or changed expires soon, and what its own limits bring about.
fn key_changed(
    teller: &mut Teller<'_>,
    key: &ApiKey,
    effects: &[Effect],
) -> Result<(), StoreError> {
    let slice = Slice { from: teller.now, to: teller.horizon() };
    teller.tell_key(key, slice)?;
    let is_owner = |effect: &Effect| matches!(effect, Effect::PutCustomer { terms, .. } if terms.id == key.customer);
    let audience = teller.audience(&key.customer);
    if key.limits.is_none() || audience.is_empty() || effects.iter().any(is_owner) {
        return Ok(());
    }
    let lookup = teller.gateway.lookup(teller.snapshot, teller.now);
    let Some(owner) = lookup.customer(&key.customer) else { return Ok(()) };
    Changed { terms: &owner.terms, effects, has_webhook: audience.own }.measure(teller, audience)
}

/// Tells the thresholds that a correction of an account reaches.
fn adjusted(
    teller: &mut Teller<'_>,
    customer: &str,
    account: &AccountId,
    charged: u64,
) -> Result<(), StoreError> {
    let audience = teller.audience(customer);
    let lookup = teller.gateway.lookup(teller.snapshot, teller.now);
    let (Some(limits), Some(found)) = (lookup.all_limits(customer), lookup.customer(customer))
    else {
        return Ok(());
    };
    if audience.is_empty() {
        return Ok(());
    }
    let plan = found.subscription.as_ref().map(|held| &*held.plan.id);
    let subject = Subject { customer, plan, audience };
    let is_it = |quota: &&Quota| quota.scope == account.scope && quota.account == account.quota;
    let quotas = limits.quotas.iter().filter(is_it);
    quotas
        .into_iter()
        .try_for_each(|quota| teller.measure(&subject, quota, account.window, charged))
}
