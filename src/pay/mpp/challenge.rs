//! A challenge of the scheme `Payment`: what is asked for, and an id that nobody else could have made for it.
//!
//! Invariant: nothing is kept of a challenge. It is known again by its id, which is made of all else that it says.

use super::secret::Secret;

/// The scheme.
pub(super) const SCHEME: &str = "Payment";

/// What a challenge says beside its id; as it is made, or as a credential gives it back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Challenge<'a> {
    pub(super) realm: &'a str,
    pub(super) method: &'a str,
    pub(super) intent: &'a str,
    /// What is asked, as the method says it, in base64.
    pub(super) request: &'a str,
    pub(super) expires: Option<&'a str>,
    /// The digest of the body that it is for.
    pub(super) digest: Option<&'a str>,
    /// For people; not bound.
    pub(super) description: Option<&'a str>,
    /// What only the gateway reads.
    pub(super) opaque: Option<&'a str>,
    /// The field that brings the credential, if not `Authorization`.
    pub(super) header: Option<&'a str>,
}

impl<'a> Challenge<'a> {
    /// Gives its id.
    pub(super) fn id(&self, secret: &Secret) -> String {
        let (parts, count) = self.bound();
        secret.sign(parts.get(..count).unwrap_or_default())
    }

    /// Tells whether it has an id that the secret gave it.
    pub(super) fn is_bound_by(&self, id: &str, secret: &Secret) -> bool {
        let (parts, count) = self.bound();
        secret.has_signed(id, parts.get(..count).unwrap_or_default())
    }

    /// Gives what the id is made of: seven places, and an eighth where a field is named. No `|` stands in a realm of
    /// ours or in base64, so that no two challenges of ours have one text.
    fn bound(&self) -> ([&'a [u8]; 15], usize) {
        let Self {
            realm,
            method,
            intent,
            request,
            expires,
            digest,
            description: _,
            opaque,
            header,
        } = *self;
        let text = |part: Option<&'a str>| part.unwrap_or_default().as_bytes();
        let between: &[u8] = b"|";
        let parts = [
            realm.as_bytes(),
            between,
            method.as_bytes(),
            between,
            intent.as_bytes(),
            between,
            request.as_bytes(),
            between,
            text(expires),
            between,
            text(digest),
            between,
            text(opaque),
            between,
            text(header),
        ];
        (parts, if header.is_some() { 15 } else { 13 })
    }

    /// Writes it as the value of `WWW-Authenticate`.
    pub(super) fn push(&self, id: &str, text: &mut Vec<u8>) {
        let Self { realm, method, intent, request, expires, digest, description, opaque, header } =
            *self;
        let required = [
            ("Payment id=\"", id),
            ("\", realm=\"", realm),
            ("\", method=\"", method),
            ("\", intent=\"", intent),
            ("\", request=\"", request),
        ];
        let optional = [
            ("\", expires=\"", expires),
            ("\", digest=\"", digest),
            ("\", description=\"", description),
            ("\", opaque=\"", opaque),
            ("\", header=\"", header),
        ];
        let optional = optional.into_iter().filter_map(|(before, value)| Some((before, value?)));
        for (before, value) in required.into_iter().chain(optional) {
            text.extend_from_slice(before.as_bytes());
            push_quoted(value.as_bytes(), text);
        }
        text.push(b'"');
    }
}

/// Writes what stands within quotation marks (RFC 9110 section 5.6.4).
fn push_quoted(value: &[u8], text: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let (plain, behind) = rest.split_at_checked(at).unwrap_or_default();
        text.extend_from_slice(plain);
        text.push(b'\\');
        text.extend(behind.first());
        rest = behind.get(1..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
}
