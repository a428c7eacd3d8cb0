//! Subscriptions.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    chain::subscription::in_force,
    gateway::Gateway,
    model::{ChangeRule, NextPlan, PlanChange, StatusName, SubscriptionTerms, duration_text},
};

/// What a customer holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SubscriptionDocument {
    /// The customer.
    customer: String,
    /// The plan.
    plan: String,
    /// The state.
    #[schema(value_type = String, examples("active"))]
    status: StatusName,
    /// Whether calls are served now, as far as the subscription decides.
    in_force: bool,
    /// The code that they are refused with otherwise.
    #[schema(examples("payment_overdue"))]
    code: Option<&'static str>,
    /// Where anchored windows count from.
    anchor: Option<Timestamp>,
    /// Not served before.
    starts: Option<Timestamp>,
    /// The first instant after the trial.
    trial_end: Option<Timestamp>,
    /// The first failed payment.
    past_due_since: Option<Timestamp>,
    /// Served until then.
    cancel_at: Option<Timestamp>,
    /// The billing provider's period.
    period_start: Option<Timestamp>,
    /// The first instant after it.
    period_end: Option<Timestamp>,
    /// The provider pauses invoices; the customer is served all the same.
    pause_collection: bool,
    /// How long an overdue customer is still served, instead of the plan's time.
    #[schema(examples("3d"))]
    grace: Option<String>,
    /// The last change of plan.
    changed: Option<ChangeDocument>,
    /// The change of plan that is to come.
    next: Option<NextDocument>,
}

/// A change of plan that was made.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ChangeDocument {
    /// By which rule.
    #[schema(value_type = String, examples("carry"))]
    rule: ChangeRule,
    /// When.
    at: Timestamp,
}

/// A change of plan that is to come.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct NextDocument {
    /// The plan.
    plan: String,
    /// The first instant under it.
    at: Timestamp,
    /// By which rule.
    #[schema(value_type = String, examples("carry"))]
    rule: ChangeRule,
}

impl SubscriptionDocument {
    /// Makes the document of what is stored or declared, as it is now.
    pub(crate) fn of(gateway: &Gateway, customer: &str, stored: SubscriptionTerms) -> Self {
        let (snapshot, now) = (gateway.snapshot(), gateway.clock().now());
        let held = due(gateway, customer, &stored).unwrap_or(stored);
        let resolved = snapshot.plan(&held.plan).and_then(|plan| held.resolve(plan).ok());
        let denial = resolved.map(|held| in_force(&held, now).err());
        let code = match denial {
            Some(denial) => denial.map(|denial| denial.code().name()),
            None => Some("subscription_required"),
        };
        let SubscriptionTerms {
            plan,
            status,
            anchor,
            starts,
            trial_end,
            past_due_since,
            cancel_at,
            period_start,
            period_end,
            pause_collection,
            grace,
            changed,
            restarted: _,
            next,
        } = held;
        Self {
            customer: customer.to_owned(),
            plan: plan.to_string(),
            status,
            in_force: code.is_none(),
            code,
            anchor,
            starts,
            trial_end,
            past_due_since,
            cancel_at,
            period_start,
            period_end,
            pause_collection,
            grace: grace.map(duration_text),
            changed: changed.map(|changed| {
                let PlanChange { rule, at, before: _ } = *changed;
                ChangeDocument { rule, at }
            }),
            next: next.map(|next| {
                let NextPlan { plan, at, rule } = *next;
                NextDocument { plan: plan.to_string(), at, rule }
            }),
        }
    }
}

/// Gives the terms after a scheduled change that is due, if one is.
fn due(gateway: &Gateway, customer: &str, stored: &SubscriptionTerms) -> Option<SubscriptionTerms> {
    let terms = crate::model::CustomerTerms {
        id: customer.into(),
        suspended: false,
        subscription: Some(Box::new(stored.clone())),
        limits: None,
        spend_cap: None,
        applications: Vec::new(),
    };
    let snapshot = gateway.snapshot();
    crate::roster::due(&terms, &snapshot, gateway.clock().now()).map(|due| *due)
}
