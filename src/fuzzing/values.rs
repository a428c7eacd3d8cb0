//! Single values as people and programs write them.

use std::net::{IpAddr, SocketAddr};

use super::input::lines;
use crate::{
    model::{
        DURATION_MAX, KeyDigest, Money, Nanos, duration_text, is_id, is_scope, looks_like_a_key,
        normal_segment, parse_duration,
    },
    outgoing::{Target, Trust, retry_after},
    provisioning::InputDate,
    telemetry::{level::Level, traces::context},
    webhooks::SigningSecret,
};

/// Money that is read is written as it is read, and its arithmetic ends at the ends.
pub(super) fn money(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(money) = text.parse::<Money>() {
        assert_eq!(money.to_string().parse(), Ok(money));
        for units in [0, 1, 3, u64::MAX] {
            let product = i128::from(money.nanos.0) * i128::from(units);
            let Nanos(nanos) = money.nanos.saturating_mul(units);
            assert_eq!(i128::from(nanos), product.clamp(i64::MIN.into(), i64::MAX.into()));
        }
    }
    if let Ok(nanos) = text.parse::<Nanos>() {
        assert_eq!(nanos.to_string().parse(), Ok(nanos));
    }
}

/// Other values are written as they were read, or lie within their bounds.
pub(super) fn texts(data: &[u8]) {
    for text in lines(data) {
        if let Some(duration) = parse_duration(text) {
            assert!(duration <= DURATION_MAX);
            assert_eq!(parse_duration(&duration_text(duration)), Some(duration));
        }
        if let Ok(digest) = text.parse::<KeyDigest>() {
            assert_eq!(digest.to_string(), text.to_ascii_lowercase());
        }
        if let Some(InputDate(date)) = InputDate::parse(text) {
            assert_eq!(date.as_nanosecond() % 1_000_000, 0);
            assert_eq!(InputDate::parse(&date.to_string()), Some(InputDate(date)));
        }
        if let Ok(segment) = normal_segment(text) {
            assert_eq!(normal_segment(&segment).as_ref(), Ok(&segment));
        }
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(is_plain || !(is_id(text) || is_scope(text)));
        let _ = (looks_like_a_key(text), Level::parse(text), SigningSecret::parse(text));
        receiver(text);
        retry(text);
    }
}

/// A customer's URL that names an address names a public one.
fn receiver(text: &str) {
    let Ok(target) = Target::parse(text, Trust::Tenant) else { return };
    assert!(target.port() > 0);
    let origin = target.origin();
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    assert!(!authority.contains('@') && authority.bytes().all(|byte| byte.is_ascii_graphic()));
    let address: Option<IpAddr> = authority
        .parse()
        .ok()
        .or_else(|| authority.parse().map(|address: SocketAddr| address.ip()).ok())
        .or_else(|| authority.trim_matches(['[', ']']).parse().ok());
    let is_private = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local(),
    };
    assert!(!address.is_some_and(is_private), "{text}");
    let again = Target::parse(&origin, Trust::Tenant).expect("an origin is a URL");
    assert_eq!(again.origin(), origin);
}

fn retry(text: &str) {
    let mut fields = http::HeaderMap::new();
    fields.extend(text.parse().map(|value| (http::header::RETRY_AFTER, value)));
    let _ = retry_after::parse(&fields, jiff::Timestamp::UNIX_EPOCH);
}

/// A place in a trace that is read is written as it was, and what is handed on is within the bounds.
pub(super) fn trace_context(data: &[u8]) {
    let fields = super::input::fields(data);
    if let Some(context) = context::Context::of(&fields) {
        let mut written = http::HeaderMap::new();
        written.insert("traceparent", context.value());
        assert_eq!(context::Context::of(&written), Some(context));
    }
    if context::is_state_valid(&fields) {
        let values = fields.get_all("tracestate").iter().map(|value| value.len());
        assert!(values.sum::<usize>() <= 512);
    }
}
