//! The checks in the order of the chain, and at which of them a code is given.

use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Code;

/// A check, in the order in which they are made.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[schema(as = CheckName)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// The head can be read in one way; listed where it cannot.
    Request,
    /// A route takes host and path.
    Route,
    /// Pages of the origin that a browser asks for may call; listed where they may not.
    Preflight,
    /// It answers the method.
    Method,
    /// A key came with it, and is known.
    Credential,
    /// The key is in use, for this address too.
    Key,
    /// Its owner is not suspended.
    Customer,
    /// It has the route's scopes.
    Scope,
    /// A subscription is in force.
    Subscription,
    /// The plan opens the route.
    Feature,
    /// The body is not too large; listed where it is.
    Body,
    /// Requests do not come too fast.
    Rate,
    /// Not too many are in flight.
    Concurrency,
    /// Units are left.
    Quota,
    /// The customer's money pays what the plan does not cover; listed where the route has a price.
    Credit,
    /// The payment that came with the request is good, settled and not spent yet; listed where it is not.
    Payment,
    /// What was taken is written down; listed where it could not be.
    Journal,
}

impl Step {
    /// The checks that are listed for every request.
    pub(super) const LISTED: [Self; 11] = [
        Self::Route,
        Self::Method,
        Self::Credential,
        Self::Key,
        Self::Customer,
        Self::Scope,
        Self::Subscription,
        Self::Feature,
        Self::Rate,
        Self::Concurrency,
        Self::Quota,
    ];

    /// Gives the check that refuses with a code; `None` when none does. Whether it came so far that it
    /// was measured tells a rate from too many guesses.
    pub(super) fn of(code: Code, is_measured: bool) -> Option<Self> {
        Some(match code {
            Code::ExpectationFailed
            | Code::MisdirectedRequest
            | Code::HeadersTooLarge
            | Code::InvalidPath
            | Code::InvalidRequest
            | Code::UriTooLong => Self::Request,
            Code::RouteNotFound => Self::Route,
            Code::MethodNotAllowed | Code::NotImplemented => Self::Method,
            Code::AmbiguousCredentials | Code::InvalidApiKey | Code::MissingApiKey => {
                Self::Credential
            }
            Code::ApiKeyDisabled
            | Code::ApiKeyExpired
            | Code::ApiKeyRevoked
            | Code::OriginNotAllowed => Self::Key,
            Code::AccountSuspended => Self::Customer,
            Code::InsufficientScope => Self::Scope,
            Code::PaymentIncomplete
            | Code::PaymentOverdue
            | Code::SubscriptionEnded
            | Code::SubscriptionNotStarted
            | Code::SubscriptionPaused
            | Code::SubscriptionRequired
            | Code::TrialExpired => Self::Subscription,
            Code::FeatureNotAvailable | Code::PlanUpgradeRequired => Self::Feature,
            Code::BodyTooLarge => Self::Body,
            Code::RateLimited if is_measured => Self::Rate,
            Code::RateLimited => Self::Credential,
            Code::TooManyConcurrent => Self::Concurrency,
            Code::CostExceedsAllowance | Code::QuotaExceeded | Code::SpendCapReached => Self::Quota,
            Code::BalanceInFlight | Code::InsufficientCredits | Code::PaymentRequired => {
                Self::Credit
            }
            Code::IdempotencyKeyReused
            | Code::PaymentAlreadyUsed
            | Code::PaymentExpired
            | Code::PaymentFailed
            | Code::PaymentInvalid
            | Code::PaymentMalformed
            | Code::PaymentPending
            | Code::PaymentUnavailable => Self::Payment,
            Code::QuotaUnavailable => Self::Journal,
            Code::InternalError
            | Code::Overloaded
            | Code::RequestTimeout
            | Code::UpstreamError
            | Code::UpstreamPaymentRequired
            | Code::UpstreamTimeout => return None,
        })
    }
}
