//! A subscription: which plan a customer holds, and since when and until when.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Plan;

/// What a customer bought, as it was stated by the file, the admin API or an import.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct SubscriptionTerms {
    /// The plan's id.
    pub plan: Arc<str>,
    /// The state.
    pub status: StatusName,
    /// Where anchored windows count from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Timestamp>,
    /// Not served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Timestamp>,
    /// The first instant after the trial; `None` means the anchor plus the plan's trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_end: Option<Timestamp>,
    /// The first failed payment of this episode; the grace counts from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past_due_since: Option<Timestamp>,
    /// Served until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_at: Option<Timestamp>,
    /// The billing provider's current period, which windows of the kind `period` follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_start: Option<Timestamp>,
    /// The first instant after that period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_end: Option<Timestamp>,
    /// The provider pauses invoices; the customer is served all the same.
    #[serde(default)]
    pub pause_collection: bool,
    /// How long an overdue customer is still served, instead of the plan's time.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub grace: Option<Duration>,
    /// The last change of plan, as far as it still bears on a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Box<PlanChange>>,
    /// When a change of plan last began a new window; windows do not reach back before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted: Option<Timestamp>,
    /// A change of plan that is still to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<NextPlan>>,
}

/// A change of plan that was made.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct PlanChange {
    /// By which rule.
    pub rule: ChangeRule,
    /// When.
    pub at: Timestamp,
    /// The limits of the quotas right before it, by name: what a proration starts from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub before: BTreeMap<Arc<str>, u64>,
}

/// A change of plan that is to come.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct NextPlan {
    /// The plan's id.
    pub plan: Arc<str>,
    /// The first instant under it.
    pub at: Timestamp,
    /// By which rule it is made then.
    pub rule: ChangeRule,
}

/// What a change of plan in the middle of a window does to what was used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeRule {
    /// Use is kept and the new limit holds at once.
    #[default]
    Carry,
    /// The old plan is kept until its window ends.
    Defer,
    /// Use is kept, and in this window the limit is the old one's and the new one's, each for its
    /// share of the time.
    Prorate,
    /// A new window begins with nothing used.
    Restart,
}

impl ChangeRule {
    /// Every rule with the name used in file and API.
    pub const ALL: [(&'static str, Self); 4] = [
        ("carry", Self::Carry),
        ("restart", Self::Restart),
        ("prorate", Self::Prorate),
        ("defer", Self::Defer),
    ];
}

/// The name of a subscription's state, without the instants that some states need.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusName {
    /// Paid, or will renew.
    #[default]
    Active,
    /// Over for good.
    Canceled,
    /// The first payment is not done.
    Incomplete,
    /// The first payment never came.
    IncompleteExpired,
    /// A renewal was not paid; served while the grace lasts.
    PastDue,
    /// A trial ended without a means of payment.
    Paused,
    /// Free until the end of the trial.
    Trialing,
    /// All attempts at payment are used up.
    Unpaid,
}

impl StatusName {
    /// Every state with its name in file, API and usage document.
    pub const ALL: [(&'static str, Self); 8] = [
        ("trialing", Self::Trialing),
        ("active", Self::Active),
        ("past_due", Self::PastDue),
        ("unpaid", Self::Unpaid),
        ("incomplete", Self::Incomplete),
        ("incomplete_expired", Self::IncompleteExpired),
        ("paused", Self::Paused),
        ("canceled", Self::Canceled),
    ];

    /// Finds a state by its name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, status)| *status)
    }
}

/// Why terms do not make a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TermsError {
    /// `past_due` without the date that the grace counts from.
    #[error("`past_due` needs `past_due_since`, the date of the first failed payment")]
    PastDueSince,
    /// `trialing` without an end, given or computed.
    #[error("`trialing` needs `trial_end`, or an `anchor` and a plan with a `trial`")]
    TrialEnd,
}

impl SubscriptionTerms {
    /// Begins with a plan alone: active, without dates.
    pub fn new(plan: Arc<str>) -> Self {
        Self {
            plan,
            status: StatusName::Active,
            anchor: None,
            starts: None,
            trial_end: None,
            past_due_since: None,
            cancel_at: None,
            period_start: None,
            period_end: None,
            pause_collection: false,
            grace: None,
            changed: None,
            restarted: None,
            next: None,
        }
    }

    /// Puts the terms and the plan they name together.
    pub fn resolve(&self, plan: &Arc<Plan>) -> Result<Subscription, TermsError> {
        Ok(Subscription {
            plan: Arc::clone(plan),
            status: self.state(plan)?,
            anchor: self.anchor,
            starts: self.starts,
            cancel_at: self.cancel_at,
        })
    }

    fn state(&self, plan: &Plan) -> Result<Status, TermsError> {
        Ok(match self.status {
            StatusName::Active => Status::Active,
            StatusName::Canceled => Status::Canceled,
            StatusName::Incomplete => Status::Incomplete,
            StatusName::IncompleteExpired => Status::IncompleteExpired,
            StatusName::PastDue => Status::PastDue {
                since: self.past_due_since.ok_or(TermsError::PastDueSince)?,
                grace: self.grace.unwrap_or(plan.grace),
            },
            StatusName::Paused => Status::Paused,
            StatusName::Trialing => {
                let computed = || self.anchor?.checked_add(plan.trial?).ok();
                let end = self.trial_end.or_else(computed).ok_or(TermsError::TrialEnd)?;
                Status::Trialing { end }
            }
            StatusName::Unpaid => Status::Unpaid,
        })
    }
}

/// What a customer holds, in its checked form.
#[derive(Debug)]
pub struct Subscription {
    /// The plan held.
    pub plan: Arc<Plan>,
    /// The state, with the instants that decide about it.
    pub status: Status,
    /// Where anchored windows count from.
    pub anchor: Option<Timestamp>,
    /// Not served before.
    pub starts: Option<Timestamp>,
    /// Served until then.
    pub cancel_at: Option<Timestamp>,
}

/// The state of a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// Paid, or will renew.
    Active,
    /// Over for good.
    Canceled,
    /// The first payment is not done.
    Incomplete,
    /// The first payment never came.
    IncompleteExpired,
    /// A renewal was not paid; served while the grace lasts.
    PastDue {
        /// The first failure of this episode.
        since: Timestamp,
        /// How long after it the customer is still served.
        grace: Duration,
    },
    /// A trial ended without a means of payment.
    Paused,
    /// Free until the end of the trial.
    Trialing {
        /// The first instant after the trial.
        end: Timestamp,
    },
    /// All attempts at payment are used up.
    Unpaid,
}

impl Status {
    /// Gives the name used in the file, the API and the usage document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Canceled => "canceled",
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::PastDue { .. } => "past_due",
            Self::Paused => "paused",
            Self::Trialing { .. } => "trialing",
            Self::Unpaid => "unpaid",
        }
    }
}

/// An optional duration as text.
mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::duration::as_text;

    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => as_text::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Text(#[serde(with = "as_text")] Duration);
        Option::<Text>::deserialize(deserializer).map(|text| text.map(|Text(duration)| duration))
    }
}
