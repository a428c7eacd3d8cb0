//! A subscription: which plan a customer holds, and since when and until when.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::model::Plan;

/// What a customer bought, in its checked form.
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
