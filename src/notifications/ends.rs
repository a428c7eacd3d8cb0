//! Ends: of subscriptions, by a date or with a trial, and of keys.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::tell::{Audience, Teller};
use crate::{
    gateway::Gateway,
    model::{ApiKey, CustomerTerms, KeyState, StatusName, SubscriptionTerms},
    snapshot::Snapshot,
    store::StoreError,
};

/// When a subscription that is served will no longer be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct End {
    pub(super) at: Timestamp,
    pub(super) reason: Reason,
}

/// Why a subscription ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    /// It was cancelled for a date.
    CancelAt,
    /// It was cancelled at once.
    Canceled,
    /// Its trial ends.
    TrialEnd,
}

/// A stretch of time, half-open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Slice {
    pub(super) fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

impl End {
    fn is_in(self, slices: [Slice; 2]) -> bool {
        slices.iter().any(|slice| slice.contains(self.at))
    }
}

/// Gives the first end of a subscription that is served; what is not served for another reason, such
/// as a payment that never came, does not end.
pub(super) fn end(held: &SubscriptionTerms, snapshot: &Snapshot) -> Option<End> {
    let cancel = held.cancel_at.map(|at| End { at, reason: Reason::CancelAt });
    let trial = match held.status {
        StatusName::Active | StatusName::PastDue => None,
        StatusName::Trialing => {
            let computed = || {
                let trial = snapshot.plan(&held.plan)?.trial?;
                held.anchor?.checked_add(trial).ok()
            };
            let at = held.trial_end.or_else(computed);
            at.map(|at| End { at, reason: Reason::TrialEnd })
        }
        StatusName::Canceled
        | StatusName::Incomplete
        | StatusName::IncompleteExpired
        | StatusName::Paused
        | StatusName::Unpaid => return None,
    };
    [cancel, trial].into_iter().flatten().min_by_key(|end| end.at)
}

/// Gives the customers whom the file declares and whose subscriptions end in one of several stretches of time.
pub(super) fn declared(snapshot: &Snapshot, slices: [Slice; 2]) -> Vec<Arc<CustomerTerms>> {
    let ends_so = |terms: &Arc<CustomerTerms>| {
        let held = terms.subscription.as_deref();
        held.and_then(|held| end(held, snapshot)).is_some_and(|end| end.is_in(slices))
    };
    let declared = &snapshot.declared;
    declared.customer_ids().filter_map(|id| declared.terms(id)).filter(ends_so).collect()
}

/// Gives the customers in memory whose trials end so, where no column of the store has the end because the plan tells
/// it.
pub(super) fn computed(gateway: &Gateway, slices: [Slice; 2]) -> Vec<Arc<CustomerTerms>> {
    let snapshot = gateway.snapshot();
    let mut found = Vec::new();
    gateway.live().each_customer(&mut |terms| {
        let held = terms.subscription.as_deref();
        let is_computed = |held: &&SubscriptionTerms| {
            held.status == StatusName::Trialing && held.trial_end.is_none()
        };
        let end = held.filter(is_computed).and_then(|held| end(held, &snapshot));
        if end.is_some_and(|end| end.is_in(slices)) {
            found.push(Arc::clone(terms));
        }
    });
    found
}

impl Teller<'_> {
    /// Gives the instant up to which ends are near.
    pub(super) fn horizon(&self) -> Timestamp {
        self.now.checked_add(self.snapshot.webhooks.ahead).unwrap_or(Timestamp::MAX)
    }

    /// Tells the end of a subscription if it is near, and in the stretch of time asked for.
    pub(super) fn tell_ending(
        &mut self,
        customer: &str,
        audience: Audience,
        held: &SubscriptionTerms,
        slice: Slice,
    ) -> Result<(), StoreError> {
        let near = |end: &End| slice.contains(end.at) && self.now < end.at;
        let Some(End { at, reason }) = end(held, self.snapshot).filter(near) else { return Ok(()) };
        let plan = &*held.plan;
        let data = json!({ "customer": customer, "plan": plan, "ends": at, "reason": reason });
        let mark = format!("subscription.ending/{customer}/{}", at.as_millisecond());
        self.tell(customer, audience, "subscription.ending", &data, Some(&mark))
    }

    /// Tells that a subscription has ended, if it did in the stretch of time asked for.
    pub(super) fn tell_ended(
        &mut self,
        customer: &str,
        audience: Audience,
        held: &SubscriptionTerms,
        slice: Slice,
    ) -> Result<(), StoreError> {
        match end(held, self.snapshot).filter(|end| slice.contains(end.at)) {
            Some(end) => self.tell_end(customer, audience, held, end),
            None => Ok(()),
        }
    }

    /// Tells that a subscription has ended.
    pub(super) fn tell_end(
        &mut self,
        customer: &str,
        audience: Audience,
        held: &SubscriptionTerms,
        End { at, reason }: End,
    ) -> Result<(), StoreError> {
        let plan = &*held.plan;
        let data = json!({ "customer": customer, "plan": plan, "ended": at, "reason": reason });
        let mark = format!("subscription.ended/{customer}/{}", at.as_millisecond());
        self.tell(customer, audience, "subscription.ended", &data, Some(&mark))
    }

    /// Tells that a key expires, if that is near and in the stretch of time asked for.
    pub(super) fn tell_expiring(
        &mut self,
        key_id: &str,
        customer: &str,
        expires: Timestamp,
        slice: Slice,
    ) -> Result<(), StoreError> {
        let audience = self.audience(customer);
        if audience.is_empty() || !slice.contains(expires) || expires <= self.now {
            return Ok(());
        }
        let data = json!({ "customer": customer, "key_id": key_id, "expires": expires });
        let mark = format!("key.expiring/{key_id}/{}", expires.as_millisecond());
        self.tell(customer, audience, "key.expiring", &data, Some(&mark))
    }

    /// Tells the same of a key as memory has it.
    pub(super) fn tell_key(&mut self, key: &ApiKey, slice: Slice) -> Result<(), StoreError> {
        match (key.state, key.expires) {
            (KeyState::Active, Some(expires)) => {
                self.tell_expiring(&key.id, &key.customer, expires, slice)
            }
            _ => Ok(()),
        }
    }

    /// Tells the ends of a customer's subscription as memory has it: those near in the one stretch of
    /// time, those that have come in the other.
    pub(super) fn tell_ends(
        &mut self,
        terms: &CustomerTerms,
        near: Slice,
        come: Slice,
    ) -> Result<(), StoreError> {
        let audience = self.audience(&terms.id);
        let Some(held) = terms.subscription.as_deref().filter(|_| !audience.is_empty()) else {
            return Ok(());
        };
        self.tell_ending(&terms.id, audience, held, near)?;
        self.tell_ended(&terms.id, audience, held, come)
    }
}
