//! Faults: what is ours or the upstream's, never the caller's.

use crate::answer::Code;

/// Why a request that the caller may make is not served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// A panic of ours.
    Internal,
    /// A stop is under way, or there is no room.
    Overloaded,
    /// Nobody can be asked to settle a payment. Nothing moved.
    PaymentUnavailable,
    /// The journal cannot be written, so nothing may be served that must be counted.
    QuotaUnavailable,
    /// The upstream cannot be reached, or cut the exchange before its head.
    UpstreamError,
    /// The upstream answered 402: it is the operator who has to pay it.
    UpstreamPaymentRequired,
    /// The upstream took too long to answer.
    UpstreamTimeout,
}

impl Fault {
    /// Gives the fault's code.
    pub fn code(self) -> Code {
        match self {
            Self::Internal => Code::InternalError,
            Self::Overloaded => Code::Overloaded,
            Self::PaymentUnavailable => Code::PaymentUnavailable,
            Self::QuotaUnavailable => Code::QuotaUnavailable,
            Self::UpstreamError => Code::UpstreamError,
            Self::UpstreamPaymentRequired => Code::UpstreamPaymentRequired,
            Self::UpstreamTimeout => Code::UpstreamTimeout,
        }
    }

    /// Tells what happened this time, without naming anything inside.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Internal => "The gateway failed to handle the request.",
            Self::Overloaded => "The gateway cannot take the request now.",
            Self::PaymentUnavailable => "The payment cannot be settled now, so nothing was paid.",
            Self::QuotaUnavailable => "The request cannot be counted now, so it was not forwarded.",
            Self::UpstreamError => "The upstream could not be reached or gave no valid answer.",
            Self::UpstreamPaymentRequired => "The upstream refused the operator's own account.",
            Self::UpstreamTimeout => "The upstream did not answer in time.",
        }
    }

    /// Gives the seconds after which trying again is sensible; `None` when nothing is known.
    pub fn retry_after(self) -> Option<i64> {
        match self {
            Self::Overloaded | Self::QuotaUnavailable => Some(1),
            Self::PaymentUnavailable => Some(5),
            Self::Internal
            | Self::UpstreamError
            | Self::UpstreamPaymentRequired
            | Self::UpstreamTimeout => None,
        }
    }
}
