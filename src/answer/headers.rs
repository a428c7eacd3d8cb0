//! Header fields of answers: the RateLimit fields (IETF httpapi draft) and the challenges.

use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use crate::{
    answer::{
        policy,
        quota::{seconds_until, whole_seconds},
    },
    http1::Fields,
    ledger::{Standing, UNITS_MAX},
};

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

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

/// Writes the fields `RateLimit-Policy` and `RateLimit`, unless there are no limits.
pub(crate) fn push_rate_limit(standing: &Standing, fields: &mut Fields) {
    fields.push_written(&RATE_LIMIT_POLICY, |value| push_policies(standing, value));
    fields.push_written(&RATE_LIMIT, |value| push_standing(standing, value));
}

/// Writes each limit by name, with its size and the length of its window.
fn push_policies(standing: &Standing, value: &mut Vec<u8>) {
    let mut list = List::begin(value);
    let limits = &standing.limits;
    for (quota, state) in limits.quotas.iter().zip(&standing.quotas) {
        list.member(&quota.name);
        list.parameter("q", quota.limit);
        if let Some(end) = state.window.end {
            list.parameter("w", seconds_until(end, state.window.start));
        }
    }
    for rate in &limits.rates {
        list.member(policy::rate(rate.level()));
        list.parameter("q", rate.limit.limit.min(UNITS_MAX));
        list.parameter("w", whole_seconds(rate.limit.window));
    }
    for limit in &limits.concurrency {
        list.member(policy::concurrency(limit.level()));
        list.parameter("q", limit.limit);
        list.text.extend_from_slice(b";qu=\"concurrent-requests\"");
    }
}

/// Writes what is left of each limit, and the seconds until there is more.
fn push_standing(standing: &Standing, value: &mut Vec<u8>) {
    let mut list = List::begin(value);
    let limits = &standing.limits;
    for (quota, state) in limits.quotas.iter().zip(&standing.quotas) {
        list.member(&quota.name);
        list.parameter("r", state.remaining(quota.limit));
        if let Some(end) = state.window.end {
            list.parameter("t", seconds_until(end, standing.at));
        }
    }
    for (rate, state) in limits.rates.iter().zip(standing.rates.iter()) {
        list.member(policy::rate(rate.level()));
        // A burst may exceed the policy's q; what is told never does.
        list.parameter("r", state.remaining.min(rate.limit.limit).min(UNITS_MAX));
        if !state.next.is_zero() {
            list.parameter("t", whole_seconds(state.next));
        }
    }
    for (limit, in_flight) in limits.concurrency.iter().zip(standing.concurrency.iter()) {
        list.member(policy::concurrency(limit.level()));
        let own = standing.portion.of_flights(limit.limit);
        list.parameter("r", own.saturating_sub(*in_flight));
    }
}

/// A list of strings with parameters whose values are integers (RFC 9651 sections 3.1 and 3.1.2).
/// Every served answer has two of them, so the numbers are not formatted by std.
struct List<'a> {
    text: &'a mut Vec<u8>,
    before: &'static [u8],
}

impl<'a> List<'a> {
    fn begin(text: &'a mut Vec<u8>) -> Self {
        Self { text, before: b"\"" }
    }

    /// Begins a member. Names are lower-case letters, digits, `-` and `_`, so nothing needs escaping.
    fn member(&mut self, name: &str) {
        self.text.extend_from_slice(std::mem::replace(&mut self.before, b", \""));
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(b'"');
    }

    fn parameter(&mut self, name: &str, value: impl itoa::Integer) {
        self.text.push(b';');
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(b'=');
        self.text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}
