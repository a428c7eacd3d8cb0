//! The secret that binds challenges: whoever has it can tell those that were made with it, and make others.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::base64url;

/// How many bytes a secret has that is used as it is.
const BYTES_MIN: usize = 32;

/// How often a shorter one is hashed: so much dearer it is to try all that somebody may have thought of.
const ROUNDS: u32 = 100_000;

/// A secret. It does not print.
#[derive(Clone)]
pub(crate) struct Secret(Hmac<Sha256>);

impl Secret {
    /// Tells whether a secret is so short that it may be guessed.
    pub(crate) fn is_short(text: &str) -> bool {
        text.len() < BYTES_MIN
    }

    /// Makes it of a text; a short one is stretched.
    pub(crate) fn new(text: &str) -> Self {
        if !Self::is_short(text) {
            return Self::of_key(text.as_bytes());
        }
        let mut key = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(text)));
        let given = Self::of_key(text.as_bytes());
        for _ in 0..ROUNDS {
            *key = given.mac(&[&*key]).finalize().into_bytes().into();
        }
        Self::of_key(&*key)
    }

    /// Makes it of a key.
    pub(super) fn of_key(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes any key length"))
    }

    /// Gives the text by which some parts, one behind the other, are known again.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> String {
        base64url::encode(self.mac(parts).finalize().into_bytes())
    }

    /// Tells whether a text was made of these parts, in a time that does not depend on how much of it is right.
    pub(super) fn has_signed(&self, text: &str, parts: &[&[u8]]) -> bool {
        self.sign(parts).as_bytes().ct_eq(text.as_bytes()).into()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}
