//! An API key as the gateway knows it: by its digest, never by its text.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::model::OwnLimits;

/// What a key is and may do.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The identifier that logs, headers and the upstream see.
    pub id: Arc<str>,
    /// What is compared with the digest of the caller's key.
    pub digest: KeyDigest,
    /// The owner's customer id.
    pub customer: Arc<str>,
    /// The application that the key belongs to, if any.
    pub application: Option<Arc<str>>,
    /// The first instant at which the key is no longer good.
    pub expires: Option<Timestamp>,
    /// The scopes it has; a route may demand some of them.
    pub scopes: Vec<Arc<str>>,
    /// The networks it may be used from; empty means any.
    pub allow_from: Vec<IpNet>,
    /// Whether it is in use.
    pub state: KeyState,
    /// The id of the first key of the line that rotations made; the key's own quotas are kept under
    /// it.
    pub lineage: Arc<str>,
    /// Limits that come in addition to the customer's and the application's.
    pub limits: Option<Box<OwnLimits>>,
}

/// Whether a key is in use.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// In use.
    #[default]
    Active,
    /// Switched off by the operator: 403.
    Disabled,
    /// Taken back for good: 401.
    Revoked,
}

/// The SHA-256 digest of a whole key string.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Computes the digest of a key as the caller sent it.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Compares in constant time, so that the answer's time tells nothing of the stored digest.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Gives the bytes, for a store.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Gives the first `digits` hexadecimal digits; enough of them name a key without telling it.
    pub fn short(&self, digits: usize) -> String {
        let mut hex = self.to_string();
        hex.drain(..PREFIX.len());
        hex.truncate(digits);
        hex
    }
}

impl From<[u8; 32]> for KeyDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Digests are spread evenly already, so a table needs no hash of them. Nobody can choose keys that
/// collide in a table in which only the operator's keys are.
pub type DigestTable<V> = HashMap<KeyDigest, V, BuildHasherDefault<DigestHasher>>;

/// Takes the first bytes of a digest for its hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Hash for KeyDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Not as an array: that would tell the hasher its length as well.
        state.write(&self.0);
    }
}

const PREFIX: &str = "sha256:";

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}…", self.short(8))
    }
}

/// Why a text is not a digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a key digest is `sha256:` and 64 hexadecimal digits")]
pub struct ParseDigestError;

impl FromStr for KeyDigest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let hex = text.strip_prefix(PREFIX).ok_or(ParseDigestError)?;
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
            return Err(ParseDigestError);
        };
        let bytes: Option<Vec<u8>> = pairs
            .iter()
            .map(|[high, low]| {
                let digit = |c: u8| char::from(c).to_digit(16);
                u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
            })
            .collect();
        let bytes = bytes.ok_or(ParseDigestError)?;
        bytes.try_into().map(Self).map_err(|_| ParseDigestError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_the_sha256_of_the_whole_key() {
        // FIPS 180-2, appendix B.1.
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyDigest::of(b"abc").to_string(), text);
        assert!(KeyDigest::of(b"abc").matches(&text.parse().unwrap()));
        assert!(!KeyDigest::of(b"abd").matches(&text.parse().unwrap()));
    }

    #[test]
    fn digest_refuses_other_texts() {
        let good = KeyDigest::of(b"abc").to_string();
        for bad in ["", "sha256:", "abc", &good[7..], &good[..70], &format!("{good}0"), "sha256:zz"]
        {
            assert_eq!(bad.parse::<KeyDigest>(), Err(ParseDigestError), "{bad}");
        }
        let upper = format!("sha256:{}", good[7..].to_uppercase());
        assert_eq!(upper.parse::<KeyDigest>().unwrap().to_string(), good);
    }

    #[test]
    fn debug_does_not_tell_the_digest() {
        assert_eq!(format!("{:?}", KeyDigest::of(b"abc")), "sha256:ba7816bf…");
    }
}
