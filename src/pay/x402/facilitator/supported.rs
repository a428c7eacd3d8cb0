//! What facilitators say that they settle.
//!
//! It is kept for a while, and longer where one cannot be asked anew: what it settled it will settle again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tokio::time::Instant;

use super::{Asked, Asking};
use crate::{
    outgoing,
    pay::x402::{Service, is_v1, strict, terms::SCHEME, v1_name},
};

/// What facilitators say, by their names.
#[derive(Default)]
pub(super) struct Supported {
    known: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Known>>>>,
}

/// What one says, as far as it is known.
#[derive(Debug, Default)]
struct Known {
    kinds: Option<Vec<Kind>>,
    /// When it is asked again.
    until: Option<Instant>,
}

/// A kind of payments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Kind {
    pub(crate) version: u64,
    pub(crate) scheme: String,
    pub(crate) network: String,
}

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(300);

/// How long one that gave none is left alone.
const LEFT: Duration = Duration::from_secs(10);

/// How many kinds of one are looked at.
const KINDS_MAX: usize = 1000;

impl Supported {
    /// Tells whether one says that it settles payments of the kind that is asked about.
    pub(super) async fn has(&self, asking: &Asking, service: &Service, asked: &Asked) -> bool {
        let known = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(service.name.clone()).or_default())
        };
        // Those who come meanwhile wait for the one answer.
        let mut known = known.lock().await;
        if known.until.is_none_or(|until| until <= Instant::now()) {
            let told = ask(asking, service).await;
            let pause = if told.is_some() { KEPT } else { LEFT };
            known.until = Some(Instant::now() + pause);
            known.kinds = told.or(known.kinds.take());
        }
        let kinds = known.kinds.iter().flatten();
        Kind::of(asked).is_some_and(|kind| kinds.into_iter().any(|told| told.covers(&kind)))
    }
}

async fn ask(asking: &Asking, service: &Service) -> Option<Vec<Kind>> {
    let request = outgoing::request(&service.supported).method(Method::GET);
    let request = request.body(Full::default()).ok()?;
    let facilitator = service.origin();
    match asking.ask(&service.supported, request).await {
        Ok(answer) => {
            let kinds = kinds(answer.status, &answer.body);
            if kinds.is_none() {
                let status = answer.status.as_u16();
                tracing::warn!(status, facilitator, "the facilitator does not say what it settles");
            }
            kinds
        }
        Err(fault) => {
            tracing::warn!(%fault, facilitator, "the facilitator cannot be asked what it settles");
            None
        }
    }
}

/// Reads the kinds that an answer tells.
pub(crate) fn kinds(status: StatusCode, body: &[u8]) -> Option<Vec<Kind>> {
    if !status.is_success() {
        return None;
    }
    let answer = strict::parse(body)?;
    let told = answer.get("kinds")?.as_array()?;
    let kind = |kind: &Value| {
        Some(Kind {
            version: kind.get("x402Version")?.as_u64()?,
            scheme: kind.get("scheme")?.as_str()?.to_owned(),
            network: kind.get("network")?.as_str()?.to_owned(),
        })
    };
    // What is not understood is of another kind.
    Some(told.iter().take(KINDS_MAX).filter_map(kind).collect())
}

impl Kind {
    /// Gives that of a payment.
    fn of(asked: &Asked) -> Option<Self> {
        let number = || asked.network.strip_prefix("eip155:")?.parse().ok();
        let (version, network) = match is_v1(&asked.order) {
            true => (1, number().and_then(v1_name)?.to_owned()),
            false => (2, asked.network.clone()),
        };
        Some(Self { version, scheme: SCHEME.to_owned(), network })
    }

    /// Tells whether it has another in it: a facilitator may name all networks of a family at once.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let family = self.network.strip_suffix('*').filter(|family| family.ends_with(':'));
        let has_network = self.network == other.network
            || family.is_some_and(|family| other.network.starts_with(family));
        self.version == other.version && self.scheme == other.scheme && has_network
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_read_and_what_is_none_is_passed_over() {
        let body = json!({"kinds": [
            {"x402Version": 2, "scheme": "exact", "network": "eip155:*", "extra": {"a": 1}},
            {"x402Version": 1, "scheme": "exact", "network": "base"},
            {"x402Version": "2", "scheme": "exact", "network": "eip155:1"},
            {"scheme": "exact"}, 7], "extensions": [], "signers": {}});
        let told = kinds(StatusCode::OK, body.to_string().as_bytes()).unwrap();
        assert_eq!(told.len(), 2);
        let kind = |version, network: &str| Kind {
            version,
            scheme: "exact".to_owned(),
            network: network.to_owned(),
        };
        for (asked, expected) in [
            (kind(2, "eip155:8453"), true),
            (kind(2, "solana:x"), false),
            (kind(2, "base"), false),
            (kind(1, "base"), true),
            (kind(1, "base-sepolia"), false),
            (Kind { scheme: "upto".to_owned(), ..kind(2, "eip155:1") }, false),
        ] {
            assert_eq!(told.iter().any(|told| told.covers(&asked)), expected, "{asked:?}");
        }
        for (status, body) in [(200, "{}"), (200, "x"), (500, "{\"kinds\":[]}"), (200, "[]")] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(kinds(status, body.as_bytes()), None, "{body}");
        }
    }
}
