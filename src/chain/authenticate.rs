//! Second step: who calls.
//!
//! A malformed key, an unknown one and a deleted one get one answer, after the same work: each is
//! hashed and looked up. Nothing tells a guesser which of them it was.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::request::Parts;
use jiff::Timestamp;

use crate::{
    answer::Denial,
    chain::{
        credential,
        exchange::Exchange,
        payer::{About, Payer},
        payment,
        route::Routed,
    },
    guesses::{GuessLimit, Guesses},
    model::{Access, ApiKey, KeyState, Route},
    roster::Caller,
};

/// A request whose key is known, if its route asks for one.
#[derive(Debug)]
pub struct Identified {
    routed: Routed,
    /// [`Payer::Nobody`] on a public route and nowhere else, [`Payer::Stranger`] where the request can be paid for as it is
    /// made: only [`identify`] makes it so.
    payer: Payer,
}

/// A request by a caller who may be served, as far as the key and the customer decide.
#[derive(Debug)]
pub struct Authenticated {
    routed: Routed,
    payer: Payer,
}

/// Finds the caller of a routed request; a public route needs none.
pub fn identify(routed: Routed, head: &Parts, exchange: &Exchange) -> Result<Identified, Denial> {
    let payer = match routed.route().access {
        Access::Public => Payer::Nobody,
        Access::Key | Access::Payment => match find_caller(head, exchange) {
            Err(Denial::MissingApiKey) => without_key(&routed, head)?,
            found => Payer::of(found, routed.is_enforced())?,
        },
    };
    Ok(Identified { routed, payer })
}

/// Decides about a request without a key: where it can be paid for as it is made, that is asked later.
fn without_key(routed: &Routed, head: &Parts) -> Result<Payer, Denial> {
    match payment::offer(routed.route(), head) {
        Some(_) if routed.is_enforced() => Ok(Payer::Stranger),
        Some(_) => Payer::of(Err(payment::required(routed.route())), false),
        None => Payer::of(Err(Denial::MissingApiKey), routed.is_enforced()),
    }
}

/// Finds the caller by the key that a request carries. From an address where too many keys failed
/// nothing is looked up, so that a guess that is right tells nothing.
pub(super) fn find_caller(head: &Parts, exchange: &Exchange) -> Result<Arc<Caller>, Denial> {
    unless_guessing(exchange, Guesses::wait)?;
    let lookup = exchange.lookup();
    let digest = credential::find(head, &lookup.snapshot.key_locations)?;
    if let Some(caller) = lookup.caller(&digest) {
        return Ok(caller);
    }
    unless_guessing(exchange, Guesses::fail)?;
    Err(Denial::InvalidApiKey)
}

/// Asks whether the client's address must wait, where the configuration limits guesses.
fn unless_guessing(
    exchange: &Exchange,
    ask: fn(&Guesses, IpAddr, GuessLimit, Timestamp) -> Option<Duration>,
) -> Result<(), Denial> {
    let Some(limit) = exchange.snapshot().guesses else { return Ok(()) };
    match ask(exchange.guesses(), exchange.peer(), limit, exchange.now()) {
        None => Ok(()),
        Some(wait) => Err(Denial::TooManyGuesses { wait }),
    }
}

/// Checks the state of the key, then that of the customer, then the scopes.
pub fn authenticate(
    identified: Identified,
    peer: IpAddr,
    now: Timestamp,
) -> Result<Authenticated, Denial> {
    let Identified { routed, payer } = identified;
    let decide = |caller: &Arc<Caller>| permits(caller, routed.route(), Some(peer), now);
    let (payer, _) = payer.judge(routed.is_enforced(), About::Key, decide)?;
    Ok(Authenticated { routed, payer })
}

impl Identified {
    /// Gives who pays, as far as that is decided.
    pub fn payer(&self) -> &Payer {
        &self.payer
    }
}

impl Authenticated {
    /// Hands its parts to the next step.
    pub(super) fn into_parts(self) -> (Routed, Payer) {
        (self.routed, self.payer)
    }
}

/// Decides by the key, its owner and its scopes. Without an address the networks that the key may be
/// used from are not looked at.
pub fn permits(
    caller: &Caller,
    route: &Route,
    peer: Option<IpAddr>,
    now: Timestamp,
) -> Result<(), Denial> {
    in_use(&caller.key, now)?;
    peer.map_or(Ok(()), |peer| allowed_from(&caller.key, peer))?;
    if caller.customer.suspended {
        return Err(Denial::AccountSuspended);
    }
    has_scopes(&caller.key, route)
}

/// Checks what the key itself decides. An expired key is told before a network that is not allowed:
/// a new key is needed in any case.
pub fn usable(key: &ApiKey, peer: IpAddr, now: Timestamp) -> Result<(), Denial> {
    in_use(key, now)?;
    allowed_from(key, peer)
}

fn in_use(key: &ApiKey, now: Timestamp) -> Result<(), Denial> {
    match key.state {
        KeyState::Active => {}
        KeyState::Disabled => return Err(Denial::ApiKeyDisabled),
        KeyState::Revoked => return Err(Denial::ApiKeyRevoked),
    }
    if key.expires.is_some_and(|expires| expires <= now) {
        return Err(Denial::ApiKeyExpired);
    }
    Ok(())
}

fn allowed_from(key: &ApiKey, peer: IpAddr) -> Result<(), Denial> {
    let peer = peer.to_canonical();
    if !key.allow_from.is_empty() && !key.allow_from.iter().any(|net| net.contains(&peer)) {
        return Err(Denial::OriginNotAllowed);
    }
    Ok(())
}

fn has_scopes(key: &ApiKey, route: &Route) -> Result<(), Denial> {
    let required = &route.scopes;
    if required.iter().all(|scope| key.scopes.contains(scope)) {
        Ok(())
    } else {
        Err(Denial::InsufficientScope { required: required.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KeyDigest;

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
            lineage: "k".into(),
            limits: None,
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
