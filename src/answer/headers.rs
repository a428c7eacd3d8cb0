//! Header fields of answers: the RateLimit fields (IETF httpapi draft) and the challenges.

use http::HeaderValue;
use uuid::Uuid;

use crate::{
    answer::{
        policy,
        quota::{seconds_until, whole_seconds},
    },
    ledger::{Standing, UNITS_MAX},
};

/// Makes a field's value from text. What cannot stand in a field is replaced, so that no name from a
/// file or a store can break a head open.
pub(crate) fn field_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| {
        let clean: String =
            text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
        HeaderValue::from_str(&clean).unwrap_or_else(|_| HeaderValue::from_static("?"))
    })
}

/// Writes a request's id.
pub(crate) fn request_id_value(request_id: Uuid) -> HeaderValue {
    field_value(request_id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

/// Writes `RateLimit-Policy`: each limit by name, with its size and the length of its window.
pub(crate) fn rate_limit_policy(standing: &Standing) -> Option<String> {
    let mut list = List::new();
    let limits = &standing.limits;
    for (quota, state) in limits.quotas.iter().zip(&standing.quotas) {
        list.begin(&quota.name);
        list.parameter("q", quota.limit);
        if let Some(end) = state.window.end {
            list.parameter("w", seconds_until(end, state.window.start));
        }
    }
    for rate in &limits.rates {
        list.begin(policy::rate(rate.level()));
        list.parameter("q", rate.limit.limit.min(UNITS_MAX));
        list.parameter("w", whole_seconds(rate.limit.window));
    }
    for limit in &limits.concurrency {
        list.begin(policy::concurrency(limit.level()));
        list.parameter("q", limit.limit);
        list.0.push_str(";qu=\"concurrent-requests\"");
    }
    list.value()
}

/// Writes `RateLimit`: what is left of each limit, and the seconds until there is more.
pub(crate) fn rate_limit(standing: &Standing) -> Option<String> {
    let mut list = List::new();
    let limits = &standing.limits;
    for (quota, state) in limits.quotas.iter().zip(&standing.quotas) {
        list.begin(&quota.name);
        list.parameter("r", state.remaining(quota.limit));
        if let Some(end) = state.window.end {
            list.parameter("t", seconds_until(end, standing.at));
        }
    }
    for (rate, state) in limits.rates.iter().zip(standing.rates.iter()) {
        list.begin(policy::rate(rate.level()));
        // A burst may exceed the policy's q; what is told never does.
        list.parameter("r", state.remaining.min(rate.limit.limit).min(UNITS_MAX));
        if !state.next.is_zero() {
            list.parameter("t", whole_seconds(state.next));
        }
    }
    for (limit, in_flight) in limits.concurrency.iter().zip(standing.concurrency.iter()) {
        list.begin(policy::concurrency(limit.level()));
        list.parameter("r", limit.limit.saturating_sub(*in_flight));
    }
    list.value()
}

/// A list of strings with parameters whose values are integers (RFC 9651 sections 3.1 and 3.1.2).
/// Every served answer has two of them, so the numbers are not formatted by std.
struct List(String);

impl List {
    fn new() -> Self {
        Self(String::with_capacity(64))
    }

    /// Begins a member. Names are lower-case letters, digits, `-` and `_`, so nothing needs escaping.
    fn begin(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push('"');
    }

    fn parameter(&mut self, name: &str, value: impl itoa::Integer) {
        self.0.push(';');
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    fn value(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}
