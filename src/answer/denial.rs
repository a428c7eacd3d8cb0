//! Denials: what the caller did, has not bought or has used up.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::Method;
use jiff::Timestamp;

use crate::answer::{
    Code, CreditDenial, CreditShortage, Fault, QuotaDenial,
    quota::{seconds_until, whole_seconds},
};
use crate::model::Money;

/// When it is worth asking again what became of a payment.
const PENDING_SECONDS: i64 = 5;

/// Why a request is refused; each is the caller's doing and charges nothing.
#[derive(Clone, Debug)]
pub enum Denial {
    /// The operator stopped the customer.
    AccountSuspended,
    /// The request carries two different keys.
    AmbiguousCredentials,
    /// The key is switched off.
    ApiKeyDisabled,
    /// The key's time is over.
    ApiKeyExpired,
    /// The key was taken back.
    ApiKeyRevoked,
    /// Calls in flight hold the money that this one needs.
    BalanceInFlight(CreditShortage),
    /// The body is declared, or was found, larger than allowed.
    BodyTooLarge {
        /// The largest body in bytes.
        max: u64,
    },
    /// The body came too slowly, or stopped to come.
    BodyTooSlow,
    /// Neither the plan nor the money covers the request.
    CreditExceeded(Box<CreditDenial>),
    /// `Expect` with another value than `100-continue`.
    ExpectationFailed,
    /// No plan on sale opens the route.
    FeatureNotAvailable,
    /// Request line and fields are larger than allowed.
    HeadersTooLarge {
        /// The largest head in bytes.
        max: usize,
    },
    /// The Idempotency-Key came with another request that was paid for.
    IdempotencyKeyReused,
    /// The key lacks a scope of the route.
    InsufficientScope {
        /// The scopes that the route demands.
        required: Vec<Arc<str>>,
    },
    /// The key is unknown or malformed; the two are told apart nowhere.
    InvalidApiKey,
    /// The path has an encoded slash, backslash, NUL or dot segment.
    InvalidPath,
    /// The request is malformed in the way told.
    InvalidRequest(&'static str),
    /// The connection was opened for a host with another certificate.
    MisdirectedRequest,
    /// The request asks for a version of WebSocket that is not spoken here.
    WebSocketVersion,
    /// The route does not answer the method.
    MethodNotAllowed {
        /// The methods that some route at this path answers.
        allowed: Vec<Method>,
    },
    /// The request carries no key.
    MissingApiKey,
    /// A method that a gateway does not serve.
    NotImplemented,
    /// The payment that came with the request opened one already, or pays for another.
    PaymentAlreadyUsed,
    /// The time of the payment is over.
    PaymentExpired,
    /// The payment did not move, and will not.
    PaymentFailed {
        /// What was said of it, for programs.
        reason: String,
    },
    /// The first payment is not done.
    PaymentIncomplete,
    /// The payment pays for something else, or is not good.
    PaymentInvalid {
        /// Why, for programs.
        reason: Cow<'static, str>,
    },
    /// What should be a payment is none, in the way told.
    PaymentMalformed(&'static str),
    /// What became of the payment is not known yet.
    PaymentPending,
    /// The request comes without a key and without a payment.
    PaymentRequired {
        /// What the call costs.
        price: Option<Money>,
        /// Whether a key would do as well.
        takes_keys: bool,
    },
    /// The key may not be used from this network.
    OriginNotAllowed,
    /// Pages of this origin may not use the API.
    PageNotAllowed,
    /// A renewal is not paid and the grace is over.
    PaymentOverdue,
    /// The route is not in the plan, but in one on sale.
    PlanUpgradeRequired,
    /// As many payments of the payer are under way as may be.
    PayerCrowded,
    /// A quota, the rate or the concurrency has no room.
    QuotaExceeded(Box<QuotaDenial>),
    /// No route takes the request.
    RouteNotFound,
    /// The subscription was cancelled or its end is reached.
    SubscriptionEnded,
    /// The subscription starts later.
    SubscriptionNotStarted {
        /// When it starts.
        starts: Timestamp,
    },
    /// The trial ended without a means of payment.
    SubscriptionPaused,
    /// Nothing is bought.
    SubscriptionRequired,
    /// Too many keys failed from the client's address.
    TooManyGuesses {
        /// The time until one more may be tried.
        wait: Duration,
    },
    /// Too many payments from the client's address were not good, and of this one only the chain can tell.
    TooManyPayments {
        /// The time until one more may be tried.
        wait: Duration,
    },
    /// The trial is over.
    TrialExpired,
    /// The request line alone is larger than a head may be.
    UriTooLong {
        /// The largest head in bytes.
        max: usize,
    },
}

impl Denial {
    /// Gives the denial's code.
    pub fn code(&self) -> Code {
        match self {
            Self::AccountSuspended => Code::AccountSuspended,
            Self::AmbiguousCredentials => Code::AmbiguousCredentials,
            Self::ApiKeyDisabled => Code::ApiKeyDisabled,
            Self::ApiKeyExpired => Code::ApiKeyExpired,
            Self::ApiKeyRevoked => Code::ApiKeyRevoked,
            Self::BalanceInFlight(_) => Code::BalanceInFlight,
            Self::BodyTooLarge { .. } => Code::BodyTooLarge,
            Self::BodyTooSlow => Code::RequestTimeout,
            Self::CreditExceeded(denial) => denial.code(),
            Self::ExpectationFailed => Code::ExpectationFailed,
            Self::FeatureNotAvailable => Code::FeatureNotAvailable,
            Self::HeadersTooLarge { .. } => Code::HeadersTooLarge,
            Self::InsufficientScope { .. } => Code::InsufficientScope,
            Self::InvalidApiKey => Code::InvalidApiKey,
            Self::InvalidPath => Code::InvalidPath,
            Self::InvalidRequest(_) | Self::WebSocketVersion => Code::InvalidRequest,
            Self::MethodNotAllowed { .. } => Code::MethodNotAllowed,
            Self::MisdirectedRequest => Code::MisdirectedRequest,
            Self::MissingApiKey => Code::MissingApiKey,
            Self::NotImplemented => Code::NotImplemented,
            Self::OriginNotAllowed => Code::OriginNotAllowed,
            Self::PageNotAllowed => Code::OriginNotAllowed,
            Self::IdempotencyKeyReused => Code::IdempotencyKeyReused,
            Self::PayerCrowded => Code::TooManyConcurrent,
            Self::PaymentAlreadyUsed => Code::PaymentAlreadyUsed,
            Self::PaymentExpired => Code::PaymentExpired,
            Self::PaymentFailed { .. } => Code::PaymentFailed,
            Self::PaymentIncomplete => Code::PaymentIncomplete,
            Self::PaymentInvalid { .. } => Code::PaymentInvalid,
            Self::PaymentMalformed(_) => Code::PaymentMalformed,
            Self::PaymentOverdue => Code::PaymentOverdue,
            Self::PaymentPending => Code::PaymentPending,
            Self::PaymentRequired { .. } => Code::PaymentRequired,
            Self::PlanUpgradeRequired => Code::PlanUpgradeRequired,
            Self::QuotaExceeded(denial) => denial.code(),
            Self::RouteNotFound => Code::RouteNotFound,
            Self::SubscriptionEnded => Code::SubscriptionEnded,
            Self::SubscriptionNotStarted { .. } => Code::SubscriptionNotStarted,
            Self::SubscriptionPaused => Code::SubscriptionPaused,
            Self::SubscriptionRequired => Code::SubscriptionRequired,
            Self::TooManyGuesses { .. } | Self::TooManyPayments { .. } => Code::RateLimited,
            Self::TrialExpired => Code::TrialExpired,
            Self::UriTooLong { .. } => Code::UriTooLong,
        }
    }

    /// Tells what happened this time, for people. It repeats nothing that the caller sent.
    pub fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::AccountSuspended => "The account is suspended.".into(),
            Self::AmbiguousCredentials => "The request carries two different API keys.".into(),
            Self::ApiKeyDisabled => "The API key is disabled.".into(),
            Self::ApiKeyExpired => "The API key has expired.".into(),
            Self::ApiKeyRevoked => "The API key was revoked.".into(),
            Self::BalanceInFlight(shortage) => shortage.held_detail().into(),
            Self::BodyTooLarge { max } => format!("A request body may have {max} bytes.").into(),
            Self::BodyTooSlow => "The request's body did not arrive in time.".into(),
            Self::CreditExceeded(denial) => denial.detail().into(),
            Self::ExpectationFailed => "Only `Expect: 100-continue` is understood.".into(),
            Self::FeatureNotAvailable => "No plan on sale includes this route.".into(),
            Self::HeadersTooLarge { max } => {
                format!("Request line and header fields together may have {max} bytes.").into()
            }
            Self::InsufficientScope { required } => {
                format!("The route needs a key with the scope {}.", required.join(", ")).into()
            }
            Self::InvalidApiKey => "The API key is not valid.".into(),
            Self::InvalidPath => {
                "The path has an encoded slash, backslash, NUL or dot segment, or is malformed."
                    .into()
            }
            Self::InvalidRequest(why) => (*why).into(),
            Self::WebSocketVersion => "The version of WebSocket must be 13.".into(),
            Self::MethodNotAllowed { .. } => "The route does not answer this method.".into(),
            Self::MisdirectedRequest => {
                "The connection was opened for a host that has another certificate.".into()
            }
            Self::MissingApiKey => "The request carries no API key.".into(),
            Self::NotImplemented => "The method is not served here.".into(),
            Self::OriginNotAllowed => "The API key may not be used from this address.".into(),
            Self::PageNotAllowed => "Pages of this origin may not call the API.".into(),
            Self::IdempotencyKeyReused => {
                "The Idempotency-Key came with another request, which was paid for.".into()
            }
            Self::PayerCrowded => "Too many payments of this payer are under way.".into(),
            Self::PaymentAlreadyUsed => {
                "The payment opened a request before, or was made for another route.".into()
            }
            Self::PaymentExpired => "The time in which the payment could be settled is over.".into(),
            Self::PaymentFailed { .. } => "The payment could not be settled; nothing was paid.".into(),
            Self::PaymentIncomplete => "The first payment is not complete.".into(),
            Self::PaymentInvalid { .. } => {
                "The payment is not good for this call; nothing was paid.".into()
            }
            Self::PaymentMalformed(why) => (*why).into(),
            Self::PaymentOverdue => "A payment is overdue.".into(),
            Self::PaymentPending => {
                "What became of the payment is not known yet. Do not pay again: send the same payment later.".into()
            }
            Self::PaymentRequired { price, .. } => {
                let price = price.map_or_else(String::new, |price| format!(" It costs {price}."));
                format!("The call must be paid for.{price}").into()
            }
            Self::PlanUpgradeRequired => "Your plan does not include this route.".into(),
            Self::QuotaExceeded(denial) => denial.detail().into(),
            Self::RouteNotFound => "No route takes this host and path.".into(),
            Self::SubscriptionEnded => "The subscription has ended.".into(),
            Self::SubscriptionNotStarted { starts } => {
                format!("The subscription starts on {starts}.").into()
            }
            Self::SubscriptionPaused => "The subscription is paused.".into(),
            Self::SubscriptionRequired => "There is no subscription in force.".into(),
            Self::TooManyGuesses { .. } => {
                "Too many attempts with invalid API keys from this address.".into()
            }
            Self::TooManyPayments { .. } => {
                "Too many payments from this address that are not signed by the payer's own key \
                 were not good."
                    .into()
            }
            Self::TrialExpired => "The trial is over.".into(),
            Self::UriTooLong { max } => format!("A request line may have {max} bytes.").into(),
        }
    }

    /// Gives the limits that it is about.
    pub(super) fn quota(&self) -> Option<&QuotaDenial> {
        match self {
            Self::QuotaExceeded(quota) => Some(quota),
            Self::CreditExceeded(denial) => denial.quota(),
            _ => None,
        }
    }

    /// Gives the money that it is about.
    pub(super) fn credit(&self) -> Option<&CreditShortage> {
        match self {
            Self::BalanceInFlight(shortage) => Some(shortage),
            Self::CreditExceeded(denial) => Some(&denial.shortage),
            _ => None,
        }
    }

    /// Tells whether a payment with the next request would help. Never while it is not known what became of one, and not
    /// where a limit stands in the way of whoever pays.
    pub(super) fn asks_for_payment(&self) -> bool {
        matches!(
            self,
            Self::CreditExceeded(_)
                | Self::PaymentExpired
                | Self::PaymentFailed { .. }
                | Self::PaymentInvalid { .. }
                | Self::PaymentMalformed(_)
                | Self::PaymentRequired { .. }
        )
    }

    /// Gives what programs are told of the payment that came.
    pub(super) fn payment_reason(&self) -> Option<&str> {
        match self {
            Self::PaymentExpired => Some("invalid_exact_evm_payload_authorization_valid_before"),
            Self::PaymentFailed { reason } => Some(reason),
            Self::PaymentInvalid { reason } => Some(reason),
            Self::PaymentMalformed(_) => Some("invalid_payload"),
            _ => None,
        }
    }

    /// Gives the seconds after which waiting alone helps; `None` when it does not.
    pub fn retry_after(&self, now: Timestamp) -> Option<i64> {
        match self {
            Self::BalanceInFlight(_) | Self::PayerCrowded => Some(1),
            Self::CreditExceeded(denial) => denial.reason.retry_after(now),
            Self::PaymentPending => Some(PENDING_SECONDS),
            Self::QuotaExceeded(denial) => denial.retry_after(),
            Self::SubscriptionNotStarted { starts } => Some(seconds_until(*starts, now)),
            Self::TooManyGuesses { wait } | Self::TooManyPayments { wait } => {
                Some(whole_seconds(*wait))
            }
            _ => None,
        }
    }
}

/// Everything that keeps a request from being served.
#[derive(Debug)]
pub enum Refusal {
    /// The caller's doing.
    Denial(Denial),
    /// Ours or the upstream's.
    Fault(Fault),
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denial(denial)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
