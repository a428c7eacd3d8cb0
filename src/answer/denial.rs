//! Denials: what the caller did, has not bought or has used up.

use std::{sync::Arc, time::Duration};

use http::Method;
use jiff::Timestamp;

use crate::{
    answer::{Code, Fault},
    ledger::{Shortage, Standing, Violation, WindowKind},
};

/// Why a request is refused; each is the caller's doing and charges nothing.
#[derive(Debug)]
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
    /// The body is declared, or was found, larger than allowed.
    BodyTooLarge {
        /// The largest body in bytes.
        max: u64,
    },
    /// `Expect` with another value than `100-continue`.
    ExpectationFailed,
    /// No plan on sale opens the route.
    FeatureNotAvailable,
    /// Request line and fields are larger than allowed.
    HeadersTooLarge {
        /// The largest head in bytes.
        max: usize,
    },
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
    /// The route does not answer the method.
    MethodNotAllowed {
        /// The methods that some route at this path answers.
        allowed: Vec<Method>,
    },
    /// The request carries no key.
    MissingApiKey,
    /// A method that a gateway does not serve.
    NotImplemented,
    /// The first payment is not done.
    PaymentIncomplete,
    /// The key may not be used from this network.
    OriginNotAllowed,
    /// A renewal is not paid and the grace is over.
    PaymentOverdue,
    /// The route is not in the plan, but in one on sale.
    PlanUpgradeRequired,
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
    /// The trial is over.
    TrialExpired,
    /// The request line alone is larger than a head may be.
    UriTooLong {
        /// The largest head in bytes.
        max: usize,
    },
}

/// What the ledger refused, and for how many units.
#[derive(Debug)]
pub struct QuotaDenial {
    /// The limits, what is left of them, and which are violated.
    pub shortage: Shortage,
    /// Units that the request would have taken.
    pub cost: u64,
}

/// The limit that a quota denial is about, when several are violated: the one that matters most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Binding {
    /// Too many requests at once.
    Concurrency,
    /// A quota of this index is used up.
    Quota(usize),
    /// A quota of this index is smaller than the cost.
    QuotaTooSmall(usize),
    /// Too many requests in a short time.
    Rate,
}

impl QuotaDenial {
    /// Chooses the violated limit to tell about: the throttles first, so that a burst is not taken
    /// for an empty quota; then a quota that no waiting helps; then the one that renews last.
    pub fn binding(&self) -> Binding {
        let violations = &self.shortage.violations;
        if violations.contains(&Violation::Rate) {
            return Binding::Rate;
        }
        if violations.contains(&Violation::Concurrency) {
            return Binding::Concurrency;
        }
        let too_small = violations.iter().find_map(|violation| match violation {
            Violation::QuotaTooSmall(index) => Some(Binding::QuotaTooSmall(*index)),
            _ => None,
        });
        let last = self.used_up().max_by_key(|index| {
            let end = self.standing().quotas.get(*index).and_then(|quota| quota.window.end);
            end.unwrap_or(Timestamp::MAX)
        });
        too_small.or(last.map(Binding::Quota)).unwrap_or(Binding::Concurrency)
    }

    /// Gives the indexes of the quotas that have no room now but may have it later.
    fn used_up(&self) -> impl Iterator<Item = usize> {
        self.shortage.violations.iter().filter_map(|violation| match violation {
            Violation::Quota(index) => Some(*index),
            Violation::Concurrency | Violation::QuotaTooSmall(_) | Violation::Rate => None,
        })
    }

    /// Gives the limits and what is left of them.
    pub fn standing(&self) -> &Standing {
        &self.shortage.standing
    }

    /// Gives the names of all violated limits.
    pub fn violated_policies(&self) -> Vec<&str> {
        let quotas = &self.standing().limits.quotas;
        let name = |violation: &Violation| match violation {
            Violation::Concurrency => Some("concurrency"),
            Violation::Rate => Some("rate"),
            Violation::Quota(index) | Violation::QuotaTooSmall(index) => {
                quotas.get(*index).map(|quota| &*quota.name)
            }
        };
        self.shortage.violations.iter().filter_map(name).collect()
    }

    /// Gives the seconds after which time alone lifts the binding limit; `None` when it does not.
    pub fn retry_after(&self) -> Option<i64> {
        let standing = self.standing();
        match self.binding() {
            Binding::Concurrency => Some(1),
            Binding::Rate => standing.rate.as_ref().map(|rate| whole_seconds(rate.next)),
            Binding::Quota(_) => {
                let end =
                    |index: usize| standing.quotas.get(index).and_then(|quota| quota.window.end);
                let ends: Option<Vec<Timestamp>> = self.used_up().map(end).collect();
                ends?.into_iter().max().map(|end| seconds_until(end, standing.at))
            }
            Binding::QuotaTooSmall(_) => None,
        }
    }

    fn code(&self) -> Code {
        match self.binding() {
            Binding::Concurrency => Code::TooManyConcurrent,
            Binding::Quota(_) => Code::QuotaExceeded,
            Binding::QuotaTooSmall(_) => Code::CostExceedsAllowance,
            Binding::Rate => Code::RateLimited,
        }
    }

    fn detail(&self) -> String {
        let standing = self.standing();
        let limits = &standing.limits;
        match self.binding() {
            Binding::Concurrency => {
                let limit = limits.concurrency.unwrap_or(0);
                format!("At most {} may be in flight at once.", requests(limit.into()))
            }
            Binding::Rate => {
                let rate = limits.rate.as_ref();
                let (limit, window) = rate.map_or((0, 0.0), |r| (r.limit, r.window.as_secs_f64()));
                format!("At most {} per {window} s are allowed.", requests(limit))
            }
            Binding::QuotaTooSmall(index) => {
                let quota = limits.quotas.get(index);
                let (name, limit) = quota.map_or(("", 0), |quota| {
                    (adjective(&quota.name, quota.window.kind), quota.limit)
                });
                let cost = requests(self.cost);
                format!("One call costs {cost}, the whole {name} allowance is {limit}.")
            }
            Binding::Quota(index) => self.quota_detail(index),
        }
    }

    fn quota_detail(&self, index: usize) -> String {
        let standing = self.standing();
        let (Some(quota), Some(state)) =
            (standing.limits.quotas.get(index), standing.quotas.get(index))
        else {
            return String::new();
        };
        let (name, limit, remaining) = (&quota.name, quota.limit, state.remaining(quota.limit));
        let name = adjective(name, quota.window.kind);
        let cost = self.cost;
        let mut text = if remaining == 0 {
            format!("The {name} allowance of {} is used up.", requests(limit))
        } else {
            let allowance = requests(limit);
            format!(
                "The {name} allowance of {allowance} has {remaining} left, and this call costs {cost}."
            )
        };
        match state.window.end {
            Some(end) => text.push_str(&format!(" It renews on {end}.")),
            None => text.push_str(" It does not renew."),
        }
        text
    }
}

/// Counts units of the meter.
fn requests(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} request{plural}")
}

/// Gives a quota's name as it reads before "allowance": one that is called by its window is so.
fn adjective(name: &str, window: WindowKind) -> &str {
    if name != window.name() {
        return name;
    }
    match window {
        WindowKind::Hour => "hourly",
        WindowKind::Day => "daily",
        WindowKind::Week => "weekly",
        WindowKind::Month => "monthly",
        WindowKind::Year => "yearly",
        WindowKind::Lifetime => "lifetime",
    }
}

/// Gives the whole seconds from `now` to `at`, rounded up and at least 1.
pub(crate) fn seconds_until(at: Timestamp, now: Timestamp) -> i64 {
    let nanoseconds = at.as_nanosecond().saturating_sub(now.as_nanosecond());
    let seconds = nanoseconds.saturating_add(999_999_999) / 1_000_000_000;
    i64::try_from(seconds).unwrap_or(i64::MAX).max(1)
}

/// Gives the duration in whole seconds, rounded up and at least 1.
pub(crate) fn whole_seconds(duration: Duration) -> i64 {
    let seconds = duration.as_nanos().div_ceil(1_000_000_000);
    i64::try_from(seconds).unwrap_or(i64::MAX).max(1)
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
            Self::BodyTooLarge { .. } => Code::BodyTooLarge,
            Self::ExpectationFailed => Code::ExpectationFailed,
            Self::FeatureNotAvailable => Code::FeatureNotAvailable,
            Self::HeadersTooLarge { .. } => Code::HeadersTooLarge,
            Self::InsufficientScope { .. } => Code::InsufficientScope,
            Self::InvalidApiKey => Code::InvalidApiKey,
            Self::InvalidPath => Code::InvalidPath,
            Self::InvalidRequest(_) => Code::InvalidRequest,
            Self::MethodNotAllowed { .. } => Code::MethodNotAllowed,
            Self::MissingApiKey => Code::MissingApiKey,
            Self::NotImplemented => Code::NotImplemented,
            Self::OriginNotAllowed => Code::OriginNotAllowed,
            Self::PaymentIncomplete => Code::PaymentIncomplete,
            Self::PaymentOverdue => Code::PaymentOverdue,
            Self::PlanUpgradeRequired => Code::PlanUpgradeRequired,
            Self::QuotaExceeded(denial) => denial.code(),
            Self::RouteNotFound => Code::RouteNotFound,
            Self::SubscriptionEnded => Code::SubscriptionEnded,
            Self::SubscriptionNotStarted { .. } => Code::SubscriptionNotStarted,
            Self::SubscriptionPaused => Code::SubscriptionPaused,
            Self::SubscriptionRequired => Code::SubscriptionRequired,
            Self::TooManyGuesses { .. } => Code::RateLimited,
            Self::TrialExpired => Code::TrialExpired,
            Self::UriTooLong { .. } => Code::UriTooLong,
        }
    }

    /// Tells what happened this time, for people. It repeats nothing that the caller sent.
    pub fn detail(&self) -> String {
        match self {
            Self::AccountSuspended => "The account is suspended.".into(),
            Self::AmbiguousCredentials => "The request carries two different API keys.".into(),
            Self::ApiKeyDisabled => "The API key is disabled.".into(),
            Self::ApiKeyExpired => "The API key has expired.".into(),
            Self::ApiKeyRevoked => "The API key was revoked.".into(),
            Self::BodyTooLarge { max } => format!("A request body may have {max} bytes."),
            Self::ExpectationFailed => "Only `Expect: 100-continue` is understood.".into(),
            Self::FeatureNotAvailable => "No plan on sale includes this route.".into(),
            Self::HeadersTooLarge { max } => {
                format!("Request line and header fields together may have {max} bytes.")
            }
            Self::InsufficientScope { required } => {
                format!("The route needs a key with the scope {}.", required.join(", "))
            }
            Self::InvalidApiKey => "The API key is not valid.".into(),
            Self::InvalidPath => {
                "The path has an encoded slash, backslash, NUL or dot segment, or is malformed."
                    .into()
            }
            Self::InvalidRequest(why) => (*why).into(),
            Self::MethodNotAllowed { .. } => "The route does not answer this method.".into(),
            Self::MissingApiKey => "The request carries no API key.".into(),
            Self::NotImplemented => "The method is not served here.".into(),
            Self::OriginNotAllowed => "The API key may not be used from this address.".into(),
            Self::PaymentIncomplete => "The first payment is not complete.".into(),
            Self::PaymentOverdue => "A payment is overdue.".into(),
            Self::PlanUpgradeRequired => "Your plan does not include this route.".into(),
            Self::QuotaExceeded(denial) => denial.detail(),
            Self::RouteNotFound => "No route takes this host and path.".into(),
            Self::SubscriptionEnded => "The subscription has ended.".into(),
            Self::SubscriptionNotStarted { starts } => {
                format!("The subscription starts on {starts}.")
            }
            Self::SubscriptionPaused => "The subscription is paused.".into(),
            Self::SubscriptionRequired => "There is no subscription in force.".into(),
            Self::TooManyGuesses { .. } => {
                "Too many attempts with invalid API keys from this address.".into()
            }
            Self::TrialExpired => "The trial is over.".into(),
            Self::UriTooLong { max } => format!("A request line may have {max} bytes."),
        }
    }

    /// Gives the seconds after which waiting alone helps; `None` when it does not.
    pub fn retry_after(&self, now: Timestamp) -> Option<i64> {
        match self {
            Self::QuotaExceeded(denial) => denial.retry_after(),
            Self::SubscriptionNotStarted { starts } => Some(seconds_until(*starts, now)),
            Self::TooManyGuesses { wait } => Some(whole_seconds(*wait)),
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
