//! The stable codes: each with its status, its title and what to do about it.
//!
//! A code is part of the contract: once listed, it is never renamed and never used for anything else.

use http::StatusCode;

/// A row of the table: the code's text, status, title and advice.
struct Row(&'static str, u16, &'static str, &'static str);

macro_rules! codes {
    ($($variant:ident => $name:literal, $status:literal, $title:literal, $advice:literal;)*) => {
        /// Why a request was not served, in a word that programs can rely on.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row($name, $status, $title, $advice),)*
                }
            }
        }
    };
}

// A macro, so that a code, its status and its words stand on one line and none can be forgotten.
codes! {
    InvalidRequest => "invalid_request", 400, "Invalid request", "Correct the request as the detail says. Nothing was charged.";
    InvalidPath => "invalid_path", 400, "Invalid path", "Send the path without encoded slashes, backslashes, NULs or dot segments.";
    MissingApiKey => "missing_api_key", 401, "API key missing", "Send an API key, as `Authorization: Bearer KEY` or in a place that the operator names.";
    InvalidApiKey => "invalid_api_key", 401, "API key invalid", "Check the key for typing errors, or ask for a new one.";
    ApiKeyExpired => "api_key_expired", 401, "API key expired", "Use a newer key.";
    ApiKeyRevoked => "api_key_revoked", 401, "API key revoked", "Use another key; this one was taken back.";
    AmbiguousCredentials => "ambiguous_credentials", 401, "Two different API keys", "Send one API key, in one place.";
    PaymentMalformed => "payment_malformed", 400, "Payment malformed", "Correct the payment as the detail says. Nothing was paid.";
    PaymentRequired => "payment_required", 402, "Payment required", "Pay for the call: buy credit, or a plan.";
    SubscriptionRequired => "subscription_required", 402, "Subscription required", "Subscribe to a plan.";
    SubscriptionNotStarted => "subscription_not_started", 402, "Subscription not started", "Wait for the start of the subscription.";
    PaymentOverdue => "payment_overdue", 402, "Payment overdue", "Pay the open invoice; service resumes at once.";
    PaymentIncomplete => "payment_incomplete", 402, "First payment incomplete", "Complete the first payment.";
    SubscriptionPaused => "subscription_paused", 402, "Subscription paused", "Add a means of payment and resume the subscription.";
    SubscriptionEnded => "subscription_ended", 402, "Subscription ended", "Subscribe again.";
    TrialExpired => "trial_expired", 402, "Trial over", "Subscribe to go on.";
    PlanUpgradeRequired => "plan_upgrade_required", 402, "Not in this plan", "Change to a plan that includes it.";
    QuotaExceeded => "quota_exceeded", 402, "Quota exceeded", "Wait for the quota to renew, if it does, or change to a larger plan.";
    CostExceedsAllowance => "cost_exceeds_allowance", 402, "Costs more than the whole allowance", "Change to a larger plan; waiting does not help.";
    InsufficientCredits => "insufficient_credits", 402, "Credit too low", "Buy credit, or a plan that includes the route.";
    SpendCapReached => "spend_cap_reached", 402, "Spend cap reached", "Wait for the quota to renew, if it does, raise the spend cap, or change to a larger plan.";
    PaymentInvalid => "payment_invalid", 402, "Payment not good", "Pay again, by the offer of this answer. Nothing was paid.";
    PaymentExpired => "payment_expired", 402, "Payment too late", "Pay again, by the offer of this answer. Nothing was paid.";
    PaymentFailed => "payment_failed", 402, "Payment failed", "See that the wallet holds enough, and pay again by the offer of this answer. Nothing was paid.";
    ApiKeyDisabled => "api_key_disabled", 403, "API key disabled", "Ask the operator to enable the key.";
    AccountSuspended => "account_suspended", 403, "Account suspended", "Ask the operator; a payment does not help.";
    OriginNotAllowed => "origin_not_allowed", 403, "Not allowed from here", "Call from a network that the key is allowed for; a page, from an origin that the operator lists.";
    InsufficientScope => "insufficient_scope", 403, "Scope missing", "Use a key that has the scope.";
    FeatureNotAvailable => "feature_not_available", 403, "Not available", "No plan on sale includes it; ask the operator.";
    RouteNotFound => "route_not_found", 404, "No such route", "Check the host and the path.";
    MethodNotAllowed => "method_not_allowed", 405, "Method not allowed", "Use a method that the Allow field lists.";
    RequestTimeout => "request_timeout", 408, "Request too slow", "Send the request again, and its body without long pauses. Nothing was charged.";
    PaymentAlreadyUsed => "payment_already_used", 409, "Payment already used", "Ask without a payment for a new offer, and pay that.";
    PaymentPending => "payment_pending", 409, "Payment not settled yet", "Send the same payment again as Retry-After says. Do not pay again.";
    BodyTooLarge => "body_too_large", 413, "Request body too large", "Send a smaller body.";
    UriTooLong => "uri_too_long", 414, "Request target too long", "Send a shorter path and query.";
    ExpectationFailed => "expectation_failed", 417, "Expectation not supported", "Send no Expect field, or `100-continue`.";
    MisdirectedRequest => "misdirected_request", 421, "Not this connection's host", "Send the request on a connection of its own, for its own host.";
    IdempotencyKeyReused => "idempotency_key_reused", 422, "Idempotency-Key of another request", "Send another request with another key. Nothing was paid.";
    HeadersTooLarge => "headers_too_large", 431, "Header fields too large", "Send fewer or smaller header fields.";
    RateLimited => "rate_limited", 429, "Too many requests", "Wait as long as Retry-After says.";
    TooManyConcurrent => "too_many_concurrent", 429, "Too many requests at once", "Wait until one of your requests has ended.";
    BalanceInFlight => "balance_in_flight", 429, "Credit is held by calls in flight", "Wait until one of your requests has ended.";
    InternalError => "internal_error", 500, "Internal error", "Try again; if it stays, report the request id. Nothing was charged.";
    NotImplemented => "not_implemented", 501, "Not implemented", "Send another method.";
    UpstreamError => "upstream_error", 502, "Upstream failed", "Try again later. Nothing was charged.";
    UpstreamPaymentRequired => "upstream_payment_required", 502, "Upstream asks its operator for payment", "Report it to the operator: it is their account, not yours. Nothing was charged.";
    QuotaUnavailable => "quota_unavailable", 503, "Counting is unavailable", "Try again shortly. Nothing was charged.";
    PaymentUnavailable => "payment_unavailable", 503, "Payments cannot be taken", "Send the same payment again shortly. Nothing was paid.";
    Overloaded => "overloaded", 503, "Overloaded", "Try again shortly. Nothing was charged.";
    UpstreamTimeout => "upstream_timeout", 504, "Upstream too slow", "Try again later. Nothing was charged.";
}

impl Code {
    /// Finds a code by its text.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// Gives the text that stands in answers.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Gives the status that goes with it, unless the operator maps it to another.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Gives the title, the same for every occurrence.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// Tells what the caller can do about it.
    pub fn advice(self) -> &'static str {
        self.row().3
    }

    /// Gives the `error.type` that API SDKs sort errors by.
    pub fn error_type(self) -> &'static str {
        match self.status().as_u16() {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_found_by_name() {
        for code in Code::ALL {
            assert_eq!(Code::find(code.name()), Some(*code));
            assert_eq!(code.status().as_u16(), code.row().1);
            assert!(!code.title().ends_with('.') && code.advice().ends_with('.'), "{code:?}");
        }
        assert_eq!(Code::find("quota"), None);
    }
}
