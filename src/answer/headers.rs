//! Header fields of answers: the RateLimit fields (IETF httpapi draft) and the challenges.

use std::fmt::Write;

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
pub(crate) fn rate_limit_policy(standing: &Standing) -> Option<HeaderValue> {
    let mut text = String::with_capacity(64);
    let limits = &standing.limits;
    for (quota, state) in limits.quotas.iter().zip(&standing.quotas) {
        push_name(&mut text, &quota.name);
        let _ = write!(text, ";q={}", quota.limit);
        if let Some(end) = state.window.end {
            let _ = write!(text, ";w={}", seconds_until(end, state.window.start));
        }
    }
    for rate in &limits.rates {
        push_name(&mut text, policy::rate(rate.level()));
        let (limit, window) = (rate.limit.limit.min(UNITS_MAX), whole_seconds(rate.limit.window));
        let _ = write!(text, ";q={limit};w={window}");
    }
    for limit in &limits.concurrency {
        push_name(&mut text, policy::concurrency(limit.level()));
        let _ = write!(text, ";q={};qu=\"concurrent-requests\"", limit.limit);
    }
    (!text.is_empty()).then(|| field_value(&text))
}

/// Writes `RateLimit`: what is left of each limit, and the seconds until there is more.
pub(crate) fn rate_limit(standing: &Standing) -> Option<HeaderValue> {
    let mut text = String::with_capacity(64);
    let limits = &standing.limits;
    for (quota, state) in limits.quotas.iter().zip(&standing.quotas) {
        push_name(&mut text, &quota.name);
        let _ = write!(text, ";r={}", state.remaining(quota.limit));
        if let Some(end) = state.window.end {
            let _ = write!(text, ";t={}", seconds_until(end, standing.at));
        }
    }
    for (rate, state) in limits.rates.iter().zip(standing.rates.iter()) {
        push_name(&mut text, policy::rate(rate.level()));
        // A burst may exceed the policy's q; what is told never does.
        let _ = write!(text, ";r={}", state.remaining.min(rate.limit.limit).min(UNITS_MAX));
        if !state.next.is_zero() {
            let _ = write!(text, ";t={}", whole_seconds(state.next));
        }
    }
    for (limit, in_flight) in limits.concurrency.iter().zip(standing.concurrency.iter()) {
        push_name(&mut text, policy::concurrency(limit.level()));
        let _ = write!(text, ";r={}", limit.limit.saturating_sub(*in_flight));
    }
    (!text.is_empty()).then(|| field_value(&text))
}

/// Begins a list member. Names are lower-case letters, digits, `-` and `_`, so nothing needs escaping.
fn push_name(text: &mut String, name: &str) {
    if !text.is_empty() {
        text.push_str(", ");
    }
    text.push('"');
    text.push_str(name);
    text.push('"');
}
