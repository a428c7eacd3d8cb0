//! The key that a request carries: where it may stand, and how it is taken off what is forwarded.
//!
//! A malformed key, an unknown one and a deleted one take one path: whatever stands in a place for a
//! key is hashed and looked up, so that nothing tells a guesser which of them it was.

use std::borrow::Cow;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderValue, header, request::Parts};

use crate::{answer::Denial, chain::query, config::KeyLocation, model::KeyDigest};

/// Finds the one key that a request carries. Equal keys in several places are one.
pub fn find(head: &Parts, locations: &[KeyLocation]) -> Result<KeyDigest, Denial> {
    let mut found: Option<Cow<'_, [u8]>> = None;
    let mut is_one = true;
    for location in in_use(&head.headers, locations) {
        each(head, location, &mut |key| match &found {
            None => found = Some(key),
            Some(other) => is_one &= *other == key,
        });
    }
    match found {
        None => Err(Denial::MissingApiKey),
        Some(_) if !is_one => Err(Denial::AmbiguousCredentials),
        Some(key) => Ok(KeyDigest::of(&key)),
    }
}

/// Takes keys out of the fields of what is forwarded, from every place where one may stand. What is
/// in the query is taken out of the target (`chain/target.rs`).
pub fn remove(fields: &mut HeaderMap, locations: &[KeyLocation]) {
    for location in in_use(fields, locations) {
        match location {
            KeyLocation::Basic => remove_scheme(fields, BASIC),
            KeyLocation::Bearer => remove_scheme(fields, BEARER),
            KeyLocation::Cookie(name) => remove_cookie(fields, name),
            KeyLocation::Header(name) => drop(fields.remove(name)),
            KeyLocation::Query(_) => {}
        }
    }
}

/// Leaves out places in a field that is not there, which is then looked for once.
fn in_use<'a>(
    fields: &HeaderMap,
    locations: &'a [KeyLocation],
) -> impl Iterator<Item = &'a KeyLocation> + use<'a> {
    let is_authorized = fields.contains_key(header::AUTHORIZATION);
    locations.iter().filter(move |location| match location {
        KeyLocation::Basic | KeyLocation::Bearer => is_authorized,
        KeyLocation::Cookie(_) | KeyLocation::Header(_) | KeyLocation::Query(_) => true,
    })
}

/// Gives the query parameters that may hold a key.
pub fn query_names(locations: &[KeyLocation]) -> Vec<&str> {
    let names = locations.iter().filter_map(|location| match location {
        KeyLocation::Query(name) => Some(&**name),
        _ => None,
    });
    names.collect()
}

/// Shows the keys that stand in one place.
fn each<'a>(head: &'a Parts, location: &KeyLocation, show: &mut dyn FnMut(Cow<'a, [u8]>)) {
    let fields = &head.headers;
    match location {
        KeyLocation::Basic => schemes(fields, BASIC).for_each(|value| show(user(value).into())),
        KeyLocation::Bearer => schemes(fields, BEARER).for_each(|value| show(value.into())),
        KeyLocation::Cookie(name) => pairs(fields)
            .filter(|(found, _)| *found == name.as_bytes())
            .for_each(|(_, value)| show(value.into())),
        KeyLocation::Header(name) => {
            fields.get_all(name).iter().for_each(|value| show(value.as_bytes().into()));
        }
        KeyLocation::Query(name) => query::pairs(head.uri.query().unwrap_or_default())
            .filter(|pair| pair.is_named(name))
            .for_each(|pair| show(pair.value().into())),
    }
}

const BASIC: &[u8] = b"basic";
const BEARER: &[u8] = b"bearer";

fn schemes<'a>(fields: &'a HeaderMap, scheme: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let values = fields.get_all(header::AUTHORIZATION).iter();
    values.filter_map(move |value| credentials(value.as_bytes(), scheme))
}

/// Takes the credentials out of `SCHEME CREDENTIALS`; the scheme's case does not matter (RFC 9110
/// section 11.1). Another scheme is not ours.
fn credentials<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    if !name.eq_ignore_ascii_case(scheme) {
        return None;
    }
    match rest.first() {
        None => Some(rest),
        Some(b' ' | b'\t') => Some(rest.trim_ascii()),
        Some(_) => None,
    }
}

/// Gives the user of Basic credentials (RFC 7617 section 2): what stands before the first colon.
/// What is no base64 is a key that nobody has.
fn user(encoded: &[u8]) -> Vec<u8> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(&STANDARD, LENIENT).decode(encoded);
    let Ok(mut user) = decoded else { return encoded.to_vec() };
    if let Some(colon) = user.iter().position(|byte| *byte == b':') {
        user.truncate(colon);
    }
    user
}

/// Gives names and values of all cookies (RFC 6265 section 4.2.1), values without their quotes.
fn pairs(fields: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pieces = fields
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii));
    pieces.filter_map(|piece| {
        let equals = piece.iter().position(|byte| *byte == b'=')?;
        let (name, value) = piece.split_at_checked(equals)?;
        let value = value.get(1..)?;
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some((name, bare.unwrap_or(value)))
    })
}

fn remove_scheme(fields: &mut HeaderMap, scheme: &'static [u8]) {
    // All lines go: beside a key another line cannot be meant for the upstream alone.
    if schemes(fields, scheme).next().is_some() {
        fields.remove(header::AUTHORIZATION);
    }
}

fn remove_cookie(fields: &mut HeaderMap, name: &str) {
    if !pairs(fields).any(|(found, _)| found == name.as_bytes()) {
        return;
    }
    let others: Vec<&[u8]> = fields
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii))
        .filter(|piece| piece.split(|byte| *byte == b'=').next() != Some(name.as_bytes()))
        .filter(|piece| !piece.is_empty())
        .collect();
    let left = HeaderValue::from_bytes(&others.join(&b"; "[..]));
    fields.remove(header::COOKIE);
    if let Some(left) = left.ok().filter(|left| !left.is_empty()) {
        fields.insert(header::COOKIE, left);
    }
}

#[cfg(test)]
mod tests;
