//! What a refusal says where the payment came by the scheme `Payment`: a status and a type of its own.
//!
//! The scheme answers what is none, and what is not good, with a new challenge, and a proof that was used before without one, so
//! that nobody pays again for what is paid.

use http::StatusCode;

use crate::answer::Denial;

/// Where the scheme's problems are explained.
const BASE: &str = "https://paymentauth.org/problems/";

/// Gives the type of a refusal of a payment, in two parts; `None` where it is about something else.
pub(crate) fn type_of(denial: &Denial) -> Option<[&'static str; 2]> {
    let name = match denial {
        Denial::PaymentAlreadyUsed | Denial::PaymentFailed { .. } => "verification-failed",
        Denial::PaymentExpired => "payment-expired",
        Denial::PaymentInvalid { reason } if reason == INVALID_CHALLENGE => "invalid-challenge",
        Denial::PaymentInvalid { .. } => "verification-failed",
        Denial::PaymentMalformed(_) => "malformed-credential",
        _ => return None,
    };
    Some([BASE, name])
}

/// Gives the scheme's own status of a refusal.
pub(crate) fn status_of(denial: &Denial) -> Option<StatusCode> {
    match denial {
        Denial::PaymentAlreadyUsed => Some(StatusCode::FORBIDDEN),
        Denial::PaymentMalformed(_) => Some(StatusCode::PAYMENT_REQUIRED),
        _ => None,
    }
}

/// Why a payment is not good whose challenge is none of ours, or is for something else.
pub(super) const INVALID_CHALLENGE: &str = "invalid-challenge";
