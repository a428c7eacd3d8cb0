//! Subscriptions: set, changed, cancelled, now or at a date; and what a change of plan does.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Change, Rejection,
    input::{InputDate, InputDuration, Patch},
    load,
    valid::Errors,
};
use crate::{
    ledger::{AccountId, Limits, Quota, QuotaStanding, Window, WindowKind},
    model::{Align, ChangeRule, NextPlan, Plan, StatusName, SubscriptionTerms, TermsError},
    roster,
    store::records::EntryKind,
};

/// What a customer buys. Of a subscription that is there, what is left out stays; null removes.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionInput {
    /// The plan; required for a new subscription.
    pub plan: Option<String>,
    /// The state: trialing, active, past_due, unpaid, incomplete, incomplete_expired, paused or
    /// canceled; default: active.
    #[schema(value_type = Option<String>)]
    pub status: Option<StatusName>,
    /// Where anchored windows count from.
    #[schema(value_type = Option<InputDate>)]
    #[serde(default)]
    pub anchor: Patch<InputDate>,
    /// Not served before.
    #[schema(value_type = Option<InputDate>)]
    #[serde(default)]
    pub starts: Patch<InputDate>,
    /// The first instant after the trial; default: the anchor plus the plan's trial.
    #[schema(value_type = Option<InputDate>)]
    #[serde(default)]
    pub trial_end: Patch<InputDate>,
    /// The first failed payment; required by `past_due`.
    #[schema(value_type = Option<InputDate>)]
    #[serde(default)]
    pub past_due_since: Patch<InputDate>,
    /// Served until then.
    #[schema(value_type = Option<InputDate>)]
    #[serde(default)]
    pub cancel_at: Patch<InputDate>,
    /// The billing provider's current period.
    #[schema(value_type = Option<InputDate>)]
    #[serde(default)]
    pub period_start: Patch<InputDate>,
    /// The first instant after it.
    #[schema(value_type = Option<InputDate>)]
    #[serde(default)]
    pub period_end: Patch<InputDate>,
    /// The provider pauses invoices; the customer is served all the same.
    pub pause_collection: Option<bool>,
    /// How long an overdue customer is still served, instead of the plan's time.
    #[schema(value_type = Option<InputDuration>)]
    #[serde(default)]
    pub grace: Patch<InputDuration>,
    /// When the plan changes; default: now.
    pub at: Option<InputDate>,
    /// What the change does to what was used: carry, restart, prorate or defer; default: the new
    /// plan's rule.
    #[schema(value_type = Option<String>)]
    pub change: Option<ChangeRule>,
}

impl Change<'_> {
    /// Sets what a customer holds; tells whether it held nothing before.
    pub fn put_subscription(
        &mut self,
        customer: &str,
        input: &SubscriptionInput,
    ) -> Result<(SubscriptionTerms, bool), Rejection> {
        self.stored_customer(customer)?;
        let before = self.records.subscription(customer)?;
        let mut errors = Errors::default();
        let mut after = match (&before, &input.plan) {
            (Some(before), _) => self.in_force(customer, before)?,
            (None, Some(plan)) => SubscriptionTerms::new(plan.as_str().into()),
            (None, None) => {
                return Err(Rejection::field("plan", "a new subscription needs a plan"));
            }
        };
        fill(&mut after, input, self.now);
        self.change_plan(customer, &mut after, before.is_some(), input, &mut errors)?;
        self.check_terms(&after, &mut errors);
        errors.finish()?;
        if before.as_ref() == Some(&after) {
            return Ok((after, false));
        }
        self.store_subscription(customer, before.as_ref(), &after, "subscription.set")?;
        Ok((after, before.is_none()))
    }

    /// Cancels a subscription at once.
    pub fn cancel_subscription(&mut self, customer: &str) -> Result<SubscriptionTerms, Rejection> {
        self.stored_customer(customer)?;
        let before = self.records.subscription(customer)?;
        let before = before.ok_or_else(|| Rejection::not_found("subscription", customer))?;
        if before.status == StatusName::Canceled {
            return Ok(before);
        }
        let mut after = self.in_force(customer, &before)?;
        after.status = StatusName::Canceled;
        after.next = None;
        self.store_subscription(customer, Some(&before), &after, "subscription.cancel")?;
        Ok(after)
    }

    /// Gives the terms as they are by now: a scheduled change that is due is made.
    fn in_force(
        &mut self,
        customer: &str,
        stored: &SubscriptionTerms,
    ) -> Result<SubscriptionTerms, Rejection> {
        let terms = self.terms_with(customer, stored.clone())?;
        Ok(roster::due(&terms, &self.snapshot, self.now).map_or_else(|| stored.clone(), |due| *due))
    }

    fn terms_with(
        &mut self,
        customer: &str,
        subscription: SubscriptionTerms,
    ) -> Result<crate::model::CustomerTerms, Rejection> {
        let record = self.stored_customer(customer)?;
        let applications = self.records.applications(customer)?;
        Ok(load::terms(record, Some(subscription), applications))
    }

    fn limits_with(
        &mut self,
        customer: &str,
        terms: &SubscriptionTerms,
    ) -> Result<Limits, Rejection> {
        let terms = self.terms_with(customer, terms.clone())?;
        Ok(roster::limits(&terms, &self.snapshot, self.now))
    }

    /// Makes or schedules the change of plan that the input asks for, if it does.
    fn change_plan(
        &mut self,
        customer: &str,
        terms: &mut SubscriptionTerms,
        is_held: bool,
        input: &SubscriptionInput,
        errors: &mut Errors,
    ) -> Result<(), Rejection> {
        let Some(wanted) = &input.plan else {
            if input.at.is_some() || input.change.is_some() {
                errors
                    .add("plan", "`at` and `change` say how a plan changes; write the `plan` too");
            }
            return Ok(());
        };
        let Some(plan) = self.find_plan(wanted, is_held.then_some(&*terms.plan), errors) else {
            return Ok(());
        };
        if !is_held || *terms.plan == **wanted {
            if input.at.is_some_and(|at| at.0 > self.now) {
                errors.add("at", "the customer has this plan now, or none yet; use `starts`");
            }
            // To ask for the plan that is held takes back a change that was to come.
            terms.next = None;
            return Ok(());
        }
        let rule = input.change.unwrap_or(plan.change);
        let at = match input.at {
            Some(InputDate(at)) if at > self.now => Some(at),
            _ if rule == ChangeRule::Defer => self.end_of_window(customer, terms)?,
            _ => None,
        };
        // A deferred change comes with a window of its own: nothing is left to carry over.
        let rule = if rule == ChangeRule::Defer { ChangeRule::Carry } else { rule };
        match at {
            Some(at) => {
                terms.next = Some(Box::new(NextPlan { plan: plan.id.clone(), at, rule }));
            }
            None => {
                let now = self.now;
                let known = self.terms_with(customer, terms.clone())?;
                *terms = roster::changed(&known, &self.snapshot, &plan, rule, now);
            }
        }
        Ok(())
    }

    fn find_plan(&self, id: &str, held: Option<&str>, errors: &mut Errors) -> Option<Arc<Plan>> {
        let Some(plan) = self.snapshot.plan(id) else {
            let known: Vec<&str> = self.snapshot.plans.iter().map(|plan| &*plan.id).collect();
            errors.add("plan", format!("there is no such plan; there are: {}", known.join(", ")));
            return None;
        };
        if plan.archived && held != Some(id) {
            errors.add("plan", "the plan is archived: who has it keeps it, nobody new gets it");
            return None;
        }
        Some(Arc::clone(plan))
    }

    /// Gives the end of the window that a deferred change waits for: the provider's period, else the
    /// longest window of the customer's quotas. `None` when there is none to wait for.
    fn end_of_window(
        &mut self,
        customer: &str,
        terms: &SubscriptionTerms,
    ) -> Result<Option<Timestamp>, Rejection> {
        if let Some(end) = terms.period_end.filter(|end| *end > self.now) {
            return Ok(Some(end));
        }
        let limits = self.limits_with(customer, terms)?;
        let windows = limits.quotas.iter().map(|quota| quota.window.window_at(self.now));
        let longest = windows
            .filter_map(|window| Some((window.end?, window.start)))
            .max_by_key(|(end, start)| end.as_nanosecond().saturating_sub(start.as_nanosecond()));
        Ok(longest.map(|(end, _)| end))
    }

    fn check_terms(&self, terms: &SubscriptionTerms, errors: &mut Errors) {
        let ends = (terms.period_start, terms.period_end);
        match ends {
            (Some(start), Some(end)) if start >= end => {
                errors.add("period_end", "the period ends before it begins");
            }
            (Some(_), None) => errors.add("period_end", "a period needs both its ends"),
            (None, Some(_)) => errors.add("period_start", "a period needs both its ends"),
            _ => {}
        }
        let plans = [Some(&terms.plan), terms.next.as_ref().map(|next| &next.plan)];
        for plan in plans.into_iter().flatten().filter_map(|id| self.snapshot.plan(id)) {
            match terms.resolve(plan) {
                Ok(_) => {}
                Err(error @ TermsError::PastDueSince) => {
                    errors.add("past_due_since", error.to_string());
                }
                Err(error @ TermsError::TrialEnd) => errors.add("trial_end", error.to_string()),
            }
            let anchored = |quota: &crate::model::QuotaTerms| {
                quota.align == Some(Align::Anchor) && quota.window != WindowKind::Lifetime
            };
            if terms.anchor.is_none() && plan.quotas.iter().any(anchored) {
                let message = format!("the quotas of the plan `{}` count from it", plan.id);
                errors.add("anchor", message);
            }
        }
    }

    fn store_subscription(
        &mut self,
        customer: &str,
        before: Option<&SubscriptionTerms>,
        after: &SubscriptionTerms,
        action: &str,
    ) -> Result<(), Rejection> {
        self.claim_plans(before, after)?;
        self.records.put_subscription(customer, after)?;
        if let Some(before) = before {
            self.merge_periods(customer, before, after)?;
        }
        self.audit(action, Some(customer), customer, before, Some(after))?;
        self.touched.insert(customer.to_owned());
        Ok(())
    }

    /// Claims the plans that a subscription did not name before. What it names already keeps them.
    fn claim_plans(
        &mut self,
        before: Option<&SubscriptionTerms>,
        after: &SubscriptionTerms,
    ) -> Result<(), Rejection> {
        let known: Vec<_> = before.into_iter().flat_map(plans_of).collect();
        let gateway = self.gateway;
        for plan in plans_of(after).filter(|plan| !known.contains(plan)) {
            // The snapshot of this moment, not of the change's beginning: see `roster::Claim`.
            let declared = || gateway.snapshot().plan(plan).is_some();
            let claim = gateway.live().claim_plan(declared, plan).ok_or_else(|| {
                Rejection::field("plan", "there is no such plan since the last reload")
            })?;
            self.applied.claims.push(claim);
        }
        Ok(())
    }

    /// Moves what was used in a period that was assumed, because the provider was late, to the
    /// period that the provider then gave. What is in flight is charged where it was reserved.
    fn merge_periods(
        &mut self,
        customer: &str,
        before: &SubscriptionTerms,
        after: &SubscriptionTerms,
    ) -> Result<(), Rejection> {
        if before.period_end.is_none_or(|end| self.now < end) {
            return Ok(());
        }
        let old = Arc::new(self.limits_with(customer, before)?);
        let new = self.limits_with(customer, after)?;
        let standing = self.gateway.ledger().customer(customer).standing(&old, self.now);
        let is_period = |quota: &&Quota| quota.window.kind == WindowKind::Period;
        for quota in new.quotas.iter().filter(is_period) {
            let mut assumed = old.quotas.iter().zip(&standing.quotas);
            let Some((_, QuotaStanding { used, window, .. })) =
                assumed.find(|(known, _)| is_period(known) && known.account == quota.account)
            else {
                continue;
            };
            let to = quota.window.window_at(self.now);
            if window.start != to.start {
                let from = account(quota, *window);
                let used = self.gateway.corrections().used(customer, &from, *used);
                let units = i64::try_from(used).unwrap_or(i64::MAX);
                let why = (EntryKind::Moved, None);
                self.correct(customer, from, units, why)?;
                self.correct(customer, account(quota, to), units.saturating_neg(), why)?;
            }
        }
        Ok(())
    }
}

/// Gives the plans that a subscription names, now and as the next one.
fn plans_of(terms: &SubscriptionTerms) -> impl Iterator<Item = &Arc<str>> {
    std::iter::once(&terms.plan).chain(terms.next.as_ref().map(|next| &next.plan))
}

fn account(quota: &Quota, window: Window) -> AccountId {
    AccountId { scope: Arc::clone(&quota.scope), quota: Arc::clone(&quota.account), window }
}

/// Fills in what the input gives beside the plan.
fn fill(terms: &mut SubscriptionTerms, input: &SubscriptionInput, now: Timestamp) {
    let date = |patch: &Patch<InputDate>| patch.clone().map(|date| date.0);
    let is_over = matches!(terms.status, StatusName::Canceled | StatusName::IncompleteExpired);
    if let Some(status) = input.status {
        terms.status = status;
    } else if is_over && input.plan.is_some() {
        // What is over never comes back: to name a plan is to subscribe again.
        terms.status = StatusName::Active;
        terms.cancel_at = terms.cancel_at.filter(|end| *end > now);
    }
    date(&input.anchor).apply(&mut terms.anchor);
    date(&input.starts).apply(&mut terms.starts);
    date(&input.trial_end).apply(&mut terms.trial_end);
    date(&input.past_due_since).apply(&mut terms.past_due_since);
    date(&input.cancel_at).apply(&mut terms.cancel_at);
    date(&input.period_start).apply(&mut terms.period_start);
    date(&input.period_end).apply(&mut terms.period_end);
    if let Some(pause) = input.pause_collection {
        terms.pause_collection = pause;
    }
    input.grace.clone().map(|grace| grace.0).apply(&mut terms.grace);
}
