//! Second step: who calls.
//!
//! A malformed key, an unknown one and a deleted one get one answer, after the same work: each is
//! hashed and looked up. Nothing tells a guesser which of them it was.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, header, request::Parts};
use jiff::Timestamp;

use crate::{
    answer::Denial,
    chain::route::Routed,
    config::KeyLocation,
    model::{Access, ApiKey, KeyDigest, KeyState},
    snapshot::{Caller, Snapshot},
};

/// A request by a caller who may be served, as far as the key and the customer decide.
#[derive(Debug)]
pub struct Authenticated {
    routed: Routed,
    caller: Option<Arc<Caller>>,
}

/// Finds the caller of a routed request. `None` is a caller of a public route, who needs no key.
pub fn caller(
    snapshot: &Snapshot,
    routed: &Routed,
    head: &Parts,
) -> Result<Option<Arc<Caller>>, Denial> {
    match routed.route().access {
        Access::Public => Ok(None),
        Access::Key => {
            let digest = credential(&head.headers, &snapshot.key_locations)?;
            let caller = snapshot.caller(&digest).ok_or(Denial::InvalidApiKey)?;
            Ok(Some(Arc::clone(caller)))
        }
    }
}

/// Checks the state of the key, then that of the customer, then the scopes.
pub fn authenticate(
    routed: Routed,
    caller: Option<Arc<Caller>>,
    peer: IpAddr,
    now: Timestamp,
) -> Result<Authenticated, Denial> {
    if let Some(caller) = &caller {
        usable(&caller.key, peer, now)?;
        if caller.customer.suspended {
            return Err(Denial::AccountSuspended);
        }
        let required = &routed.route().scopes;
        if !required.iter().all(|scope| caller.key.scopes.contains(scope)) {
            return Err(Denial::InsufficientScope { required: required.clone() });
        }
    }
    Ok(Authenticated { routed, caller })
}

impl Authenticated {
    /// Gives the caller; `None` on a public route.
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    /// Hands its parts to the next step.
    pub(super) fn into_parts(self) -> (Routed, Option<Arc<Caller>>) {
        (self.routed, self.caller)
    }
}

/// Checks what the key itself decides. An expired key is told before a network that is not allowed:
/// a new key is needed in any case.
pub fn usable(key: &ApiKey, peer: IpAddr, now: Timestamp) -> Result<(), Denial> {
    match key.state {
        KeyState::Active => {}
        KeyState::Disabled => return Err(Denial::ApiKeyDisabled),
        KeyState::Revoked => return Err(Denial::ApiKeyRevoked),
    }
    if key.expires.is_some_and(|expires| expires <= now) {
        return Err(Denial::ApiKeyExpired);
    }
    let peer = peer.to_canonical();
    if !key.allow_from.is_empty() && !key.allow_from.iter().any(|net| net.contains(&peer)) {
        return Err(Denial::OriginNotAllowed);
    }
    Ok(())
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Finds the one key that a request carries. Equal keys in several places are one.
pub fn credential(headers: &HeaderMap, locations: &[KeyLocation]) -> Result<KeyDigest, Denial> {
    let mut found: Option<&[u8]> = None;
    for location in locations {
        let (name, scheme) = match location {
            KeyLocation::Bearer => (header::AUTHORIZATION, true),
            KeyLocation::XApiKey => (X_API_KEY, false),
        };
        for value in headers.get_all(name) {
            let key = if scheme { bearer(value.as_bytes()) } else { Some(value.as_bytes()) };
            match (key, found) {
                (None, _) => {}
                (Some(key), None) => found = Some(key),
                (Some(key), Some(other)) if key == other => {}
                (Some(_), Some(_)) => return Err(Denial::AmbiguousCredentials),
            }
        }
    }
    match found {
        None => Err(Denial::MissingApiKey),
        Some(key) => Ok(KeyDigest::of(key)),
    }
}

/// Takes the key out of `Bearer KEY`; the scheme's case does not matter (RFC 9110 section 11.1).
/// Another scheme is not ours.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    match rest.first() {
        None => Some(rest),
        Some(b' ' | b'\t') => Some(rest.trim_ascii()),
        Some(_) => None,
    }
}

/// Takes the key out of what is forwarded, from every place where one may stand.
pub fn remove_credential(headers: &mut HeaderMap, locations: &[KeyLocation]) {
    for location in locations {
        match location {
            KeyLocation::XApiKey => drop(headers.remove(X_API_KEY)),
            KeyLocation::Bearer => {
                let ours = |value: &http::HeaderValue| bearer(value.as_bytes()).is_some();
                if headers.get_all(header::AUTHORIZATION).iter().any(ours) {
                    headers.remove(header::AUTHORIZATION);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[KeyLocation] = &[KeyLocation::Bearer, KeyLocation::XApiKey];

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())
        };
        let mut map = HeaderMap::new();
        for (name, value) in fields.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    fn key(fields: &[(&str, &str)]) -> String {
        match credential(&headers(fields), BOTH) {
            Ok(digest) if digest == KeyDigest::of(b"k1") => "k1".into(),
            Ok(_) => "other".into(),
            Err(denial) => denial.code().name().into(),
        }
    }

    #[test]
    fn one_key_is_found_wherever_it_stands() {
        for (fields, expected) in [
            (&[][..], "missing_api_key"),
            (&[("authorization", "Bearer k1")], "k1"),
            (&[("authorization", "bearer  k1 ")], "k1"),
            (&[("authorization", "BEARER\tk1")], "k1"),
            (&[("x-api-key", "k1")], "k1"),
            (&[("authorization", "Bearer k1"), ("x-api-key", "k1")], "k1"),
            (&[("authorization", "Bearer k1"), ("authorization", "Bearer k1")], "k1"),
            (&[("authorization", "Bearer k1"), ("x-api-key", "k2")], "ambiguous_credentials"),
            (&[("x-api-key", "k1"), ("x-api-key", "k2")], "ambiguous_credentials"),
            (&[("authorization", "Basic azE6"), ("x-api-key", "k1")], "k1"),
            (&[("authorization", "Basic azE6")], "missing_api_key"),
            (&[("authorization", "Bearer")], "other"),
            (&[("authorization", "Bearer ")], "other"),
            (&[("authorization", "Bearerk1")], "missing_api_key"),
            (&[("x-api-key", "")], "other"),
            (&[("x-api-key", "k1 ")], "other"),
        ] {
            assert_eq!(key(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn places_that_are_not_listed_are_left_alone() {
        let fields = headers(&[("authorization", "Bearer k2"), ("x-api-key", "k1")]);
        let found = credential(&fields, &[KeyLocation::XApiKey]).unwrap();
        assert_eq!(found, KeyDigest::of(b"k1"));
        let mut left = fields;
        remove_credential(&mut left, &[KeyLocation::XApiKey]);
        assert_eq!(left, headers(&[("authorization", "Bearer k2")]));
    }

    #[test]
    fn only_our_credential_is_removed() {
        let mut fields =
            headers(&[("authorization", "Basic azE6"), ("x-api-key", "k1"), ("accept", "*/*")]);
        remove_credential(&mut fields, BOTH);
        assert_eq!(fields, headers(&[("authorization", "Basic azE6"), ("accept", "*/*")]));
        let mut fields = headers(&[("authorization", "bearer k1")]);
        remove_credential(&mut fields, BOTH);
        assert!(fields.is_empty());
    }

    fn api_key() -> ApiKey {
        ApiKey {
            id: "k".into(),
            digest: KeyDigest::of(b"k1"),
            customer: "acme".into(),
            application: None,
            expires: Some("2026-12-01T00:00:00Z".parse().unwrap()),
            scopes: Vec::new(),
            allow_from: vec!["192.0.2.0/24".parse().unwrap()],
            state: KeyState::Active,
        }
    }

    fn verdict(key: &ApiKey, peer: &str, now: &str) -> &'static str {
        let checked = usable(key, peer.parse().unwrap(), now.parse().unwrap());
        checked.map_or_else(|denial| denial.code().name(), |()| "good")
    }

    #[test]
    fn key_state_expiry_and_network_decide() {
        let mut key = api_key();
        assert_eq!(verdict(&key, "192.0.2.7", "2026-11-30T23:59:59.999Z"), "good");
        assert_eq!(verdict(&key, "::ffff:192.0.2.7", "2026-11-30T00:00:00Z"), "good");
        assert_eq!(verdict(&key, "192.0.2.7", "2026-12-01T00:00:00Z"), "api_key_expired");
        assert_eq!(verdict(&key, "192.0.3.7", "2026-11-30T00:00:00Z"), "origin_not_allowed");
        key.state = KeyState::Disabled;
        assert_eq!(verdict(&key, "192.0.2.7", "2026-11-30T00:00:00Z"), "api_key_disabled");
        key.state = KeyState::Revoked;
        assert_eq!(verdict(&key, "192.0.2.7", "2026-11-30T00:00:00Z"), "api_key_revoked");
    }
}
