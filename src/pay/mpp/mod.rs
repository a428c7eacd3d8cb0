//! The rail of the scheme `Payment` (Machine Payments Protocol, draft-httpauth-payment-01): a challenge says what is asked, and a
//! credential answers it. One method is spoken, `evm` with the intent `charge`, which moves what x402 moves.
//!
//! Invariant: what is signed by this rail and by x402 has one proof, so it opens one request, whichever brings it.

mod accept;
mod base64url;
mod canonical;
mod challenge;
mod credential;
mod digest;
mod evm;
#[cfg(any(test, fuzzing))]
pub(crate) mod example;
mod params;
mod problem;
mod receipt;
mod secret;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use uuid::{Uuid, fmt::Hyphenated};

use self::{
    challenge::{Challenge, SCHEME},
    credential::{Credential, Malformed},
    problem::INVALID_CHALLENGE,
};
pub(crate) use self::{
    credential::token,
    digest::BodyDigest,
    problem::{status_of, type_of},
    receipt::receipt,
    secret::Secret,
};
use super::{Answered, Place, Presented, Rail, Wrong, x402};

/// The field of a credential where `Authorization` is for keys.
pub(crate) const CREDENTIAL: &str = "payment-authorization";

/// The same, as challenges write it.
const CREDENTIAL_WRITTEN: &str = "Payment-Authorization";

/// The field by which a client says what it can pay by.
pub(crate) const ACCEPT: &str = "accept-payment";

/// The field of what became of a payment.
pub(crate) const RECEIPT: &str = "payment-receipt";

/// What is spoken.
const METHOD: &str = "evm";
const INTENT: &str = "charge";

/// How what only the gateway reads begins.
const OPAQUE_START: &str = "{\"id\":\"";

/// How long a challenge is good.
const LIFE: SignedDuration = SignedDuration::from_mins(5);

/// What the operator says of payments by this rail, in its checked form.
#[derive(Debug)]
pub struct Terms {
    /// Binds challenges.
    pub(crate) secret: Secret,
    /// The protection space, if it is not the host of the request.
    pub(crate) realm: Option<Arc<str>>,
    /// Whether callers may send keys in `Authorization`, so that credentials have a field of their own.
    pub(crate) is_beside_keys: bool,
}

/// What one call over a route costs by this rail.
#[derive(Debug)]
pub struct Offer {
    terms: Arc<Terms>,
    /// What is asked: a document of JSON, and the same as challenges have it.
    document: String,
    request: String,
    /// What only the gateway reads in challenges, behind the request's id: the route, so that what is for one does not
    /// open another that costs as much.
    opaque_end: String,
    /// The price, for people.
    description: String,
}

impl Offer {
    /// Makes the offer of a route.
    pub(crate) fn new(terms: &Arc<Terms>, x402: &x402::Offer, route: &str) -> Self {
        let document = canonical::write(&evm::request(x402));
        Self {
            terms: Arc::clone(terms),
            request: base64url::encode(&document),
            document,
            opaque_end: format!("\",\"route\":{}}}", canonical::write(&route.into())),
            description: x402.price.to_string(),
        }
    }

    /// Gives what is asked, as a document of JSON.
    pub(crate) fn document(&self) -> &str {
        &self.document
    }

    /// Gives the protection space of a request to a host.
    pub(crate) fn realm<'a>(&'a self, host: Option<&'a str>, otherwise: &'a str) -> &'a str {
        self.terms.realm.as_deref().or(host).unwrap_or(otherwise)
    }

    /// Gives the challenges that are made for a request, for whatever it says that it takes and for the body that it has.
    pub(crate) fn challenges(
        &self,
        place: Place<'_>,
        accepted: Option<&HeaderValue>,
        digest: Option<&str>,
    ) -> Vec<Vec<u8>> {
        let mut expires = Vec::with_capacity(24);
        crate::json::push_second(place.now.saturating_add(LIFE).unwrap_or(place.now), &mut expires);
        expires.push(b'Z');
        let expires = str::from_utf8(&expires).ok();
        let opaque = self.opaque(place.request_id);
        let challenge = Challenge {
            realm: place.realm,
            method: METHOD,
            intent: INTENT,
            request: &self.request,
            expires,
            digest,
            description: Some(&self.description),
            opaque: Some(&opaque),
            header: self.terms.is_beside_keys.then_some(CREDENTIAL_WRITTEN),
        };
        let offered = [challenge];
        let named = offered.each_ref().map(|one| (one.method, one.intent));
        let order = accept::order(accepted.map(HeaderValue::as_bytes), &named);
        let written = |challenge: &Challenge<'_>| {
            let mut text = Vec::with_capacity(1024);
            challenge.push(&challenge.id(&self.terms.secret), &mut text);
            text
        };
        order.into_iter().filter_map(|index| offered.get(index)).map(written).collect()
    }

    /// Writes what only the gateway reads. With the request's id no two challenges are alike: whoever answers two has signed
    /// two orders, though they were made in the same second.
    fn opaque(&self, request_id: Uuid) -> String {
        let mut id = Uuid::encode_buffer();
        let id = request_id.hyphenated().encode_lower(&mut id);
        base64url::encode([OPAQUE_START, id, &self.opaque_end].concat())
    }

    fn is_for_route(&self, opaque: &str) -> bool {
        let decoded = base64url::decode(opaque.as_bytes()).unwrap_or_default();
        let id = OPAQUE_START.len()..OPAQUE_START.len() + Hyphenated::LENGTH;
        decoded.get(id.end..) == Some(self.opaque_end.as_bytes())
    }

    /// Reads a credential and compares it with what is asked. Nobody is asked. What does not fit is no reason yet to
    /// refuse it: one that was settled stays good, and one that is being settled is not asked for again.
    pub(crate) fn read(
        &self,
        x402: &x402::Offer,
        brought: Brought<'_>,
        place: Place<'_>,
    ) -> Result<Presented, Wrong> {
        let malformed = |Malformed(detail)| Wrong::Malformed(detail);
        let credential = credential::decode(brought.value).map_err(malformed)?;
        let challenge = credential.echo.challenge();
        let is_selected = match challenge.header {
            Some(name) => name == CREDENTIAL_WRITTEN && brought.is_in_own_field,
            None => !brought.is_in_own_field,
        };
        if !is_selected {
            let detail = "The payment stands in another field than its challenge says.";
            return Err(Wrong::Malformed(detail));
        }
        if (challenge.method, challenge.intent) != (METHOD, INTENT) {
            return Err(invalid(INVALID_CHALLENGE));
        }
        let (order, signature) = evm::read(&credential.payload).map_err(malformed)?;
        let fit = self.fits(&credential, &order, x402, place);
        let url = place.resource.concat();
        let presented = x402.present(Rail::Mpp, &order, &signature, &url, fit)?;
        // What somebody else wrote into a challenge is no digest to hold a body against.
        let is_ours = presented.fit != Err(invalid(INVALID_CHALLENGE));
        let answered = Answered {
            challenge: credential.echo.id.clone(),
            digest: challenge.digest.filter(|_| is_ours).map(str::to_owned),
        };
        Ok(Presented { answered: Some(answered), ..presented })
    }

    /// Tells whether a credential pays what is asked here.
    fn fits(
        &self,
        credential: &Credential,
        order: &x402::Authorization,
        x402: &x402::Offer,
        place: Place<'_>,
    ) -> Result<(), Wrong> {
        let (echo, challenge) = (&credential.echo, credential.echo.challenge());
        if !challenge.is_bound_by(&echo.id, &self.terms.secret) {
            return Err(invalid(INVALID_CHALLENGE));
        }
        // It is one of ours, so it has an end.
        let expires = challenge.expires.and_then(|text| text.parse::<Timestamp>().ok());
        if expires.is_none_or(|expires| expires < place.now) {
            return Err(Wrong::Expired);
        }
        let is_for_this = challenge.realm == place.realm
            && challenge.request == self.request
            && challenge.opaque.is_some_and(|opaque| self.is_for_route(opaque));
        if !is_for_this {
            return Err(invalid(INVALID_CHALLENGE));
        }
        let chain = x402.terms().chain;
        let is_payer = |source: &String| evm::is_source(source, chain, &order.from.to_string());
        if !credential.source.as_ref().is_none_or(is_payer) {
            return Err(invalid("another source"));
        }
        if !evm::nonces(&echo.id, challenge.realm).contains(&order.nonce) {
            return Err(invalid("another nonce"));
        }
        x402.fits_order(order)
    }
}

/// A credential as a request brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought<'a> {
    /// The value of its field.
    pub(crate) value: &'a [u8],
    /// Whether that is the field for credentials alone.
    pub(crate) is_in_own_field: bool,
}

/// Gives the credentials that a request brings, in either field. What else stands in `Authorization` is none.
pub(crate) fn brought(fields: &HeaderMap) -> impl Iterator<Item = Brought<'_>> {
    let values = |name: &str, is_in_own_field| {
        let values = fields.get_all(name).iter().map(HeaderValue::as_bytes);
        values.map(move |value| Brought { value, is_in_own_field })
    };
    let beside = values(header::AUTHORIZATION.as_str(), false);
    values(CREDENTIAL, true).chain(beside.filter(|brought| token(brought.value).is_some()))
}

fn invalid(reason: &'static str) -> Wrong {
    Wrong::Invalid(Cow::Borrowed(reason))
}

/// Gives a list of challenges without those of this scheme, which are the gateway's to make; `None` where none is left.
pub(crate) fn without_ours(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let is_suspect = |at: usize| {
        let part = value.get(at..at.saturating_add(SCHEME.len()));
        part.is_some_and(|part| part.eq_ignore_ascii_case(SCHEME.as_bytes()))
    };
    if !(0..value.len()).any(is_suspect) {
        return Some(Cow::Borrowed(value));
    }
    // Of a list that cannot be read nobody knows whether one of ours is in it.
    let listed = params::list(str::from_utf8(value).ok()?)?;
    let others: Vec<&[u8]> = listed
        .iter()
        .filter(|listed| !listed.scheme.eq_ignore_ascii_case(SCHEME))
        .map(|listed| listed.text.as_bytes())
        .collect();
    (!others.is_empty()).then(|| Cow::Owned(others.join(&b", "[..])))
}
