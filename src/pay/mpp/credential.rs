//! A credential of the scheme `Payment`: the challenge that it answers, given back, and what pays.

use serde_json::{Map, Value};

use super::{
    base64url,
    challenge::{Challenge, SCHEME},
};
use crate::pay::x402::strict;

/// The longest value of a field that is read.
const FIELD_BYTES_MAX: usize = 16 * 1024;

/// Why what a request brings is no credential, for people. It repeats nothing of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed(pub(super) &'static str);

/// A credential, as it was read. Nothing of it is believed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Credential {
    /// The challenge that it gives back.
    pub(super) echo: Echo,
    /// Who says that it pays.
    pub(super) source: Option<String>,
    /// What pays, in the method's own form.
    pub(super) payload: Map<String, Value>,
}

/// A challenge that is given back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Echo {
    pub(super) id: String,
    realm: String,
    method: String,
    intent: String,
    request: String,
    expires: Option<String>,
    digest: Option<String>,
    opaque: Option<String>,
    header: Option<String>,
}

/// Gives what stands behind the scheme of a field's value, if that is `Payment`.
pub(crate) fn token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let is_ours = scheme.eq_ignore_ascii_case(SCHEME.as_bytes());
    let is_apart = rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    (is_ours && is_apart).then(|| rest.trim_ascii())
}

/// Reads the value of the field that brings it.
pub(super) fn decode(value: &[u8]) -> Result<Credential, Malformed> {
    if value.len() > FIELD_BYTES_MAX {
        return Err(Malformed("The payment is too large."));
    }
    let token = token(value).ok_or(Malformed("The payment is not of the scheme `Payment`."))?;
    let text = base64url::decode(token);
    let text = text.ok_or(Malformed("The payment is not in base64 for URLs."))?;
    let Some(Value::Object(mut credential)) = strict::parse(&text) else {
        return Err(Malformed("The payment is not a JSON object, or not strictly one."));
    };
    let (Some(Value::Object(challenge)), Some(Value::Object(payload))) =
        (credential.remove("challenge"), credential.remove("payload"))
    else {
        return Err(Malformed("The payment lacks `challenge` or `payload`."));
    };
    let source = optional(&credential, "source")?;
    Ok(Credential { echo: echo(&challenge)?, source, payload })
}

fn echo(challenge: &Map<String, Value>) -> Result<Echo, Malformed> {
    let required = |name| {
        let text = optional(challenge, name)?.filter(|text| !text.is_empty());
        text.ok_or(Malformed("A part of the challenge is missing."))
    };
    Ok(Echo {
        id: required("id")?,
        realm: required("realm")?,
        method: required("method")?,
        intent: required("intent")?,
        request: required("request")?,
        expires: optional(challenge, "expires")?,
        digest: optional(challenge, "digest")?,
        opaque: optional(challenge, "opaque")?,
        header: optional(challenge, "header")?,
    })
}

fn optional(object: &Map<String, Value>, name: &str) -> Result<Option<String>, Malformed> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Malformed("A part of the payment is no text.")),
    }
}

impl Echo {
    /// Gives what it says beside its id.
    pub(super) fn challenge(&self) -> Challenge<'_> {
        Challenge {
            realm: &self.realm,
            method: &self.method,
            intent: &self.intent,
            request: &self.request,
            expires: self.expires.as_deref(),
            digest: self.digest.as_deref(),
            description: None,
            opaque: self.opaque.as_deref(),
            header: self.header.as_deref(),
        }
    }
}
