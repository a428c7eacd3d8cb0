//! Signatures of Standard Webhooks: HMAC-SHA-256 over id, time and body.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::webhooks::event::MessageId;

/// A key that sender and receiver share. It does not print and is not compared, and it is wiped
/// when it is dropped.
#[derive(Clone)]
pub struct SigningSecret(Zeroizing<Vec<u8>>);

/// The secrets of an endpoint, at least one. While a secret is replaced there are several, so that
/// a receiver with either verifies what comes.
#[derive(Clone, Debug)]
pub struct Secrets(Vec<SigningSecret>);

/// Why a text is no secret, or some secrets are no set of them. It never repeats the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SecretError {
    /// It has another beginning.
    #[error("a webhook secret begins with `whsec_`; copy the whole of it")]
    Prefix,
    /// What follows is not base64.
    #[error("what follows `whsec_` is not base64 with its padding; copy the whole secret")]
    Encoding,
    /// The key is too short or too long.
    #[error(
        "a webhook secret holds {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes and this one {0}; \
         have a new one made"
    )]
    Length(usize),
    /// Nothing would be signed, or with more than a header has room for.
    #[error("an endpoint has 1 to {SECRETS_MAX} secrets and not {0}")]
    Count(usize),
}

const PREFIX: &str = "whsec_";

/// The bounds that the standard sets.
const KEY_BYTES_MIN: usize = 24;
const KEY_BYTES_MAX: usize = 64;

/// Bytes of a key that is made here: as many as the hash gives.
const KEY_BYTES_NEW: usize = 32;

/// How many secrets sign one message: more than two only when rotations overlap.
const SECRETS_MAX: usize = 8;

impl SigningSecret {
    /// Makes a secret from the system's random numbers.
    pub fn generate() -> std::io::Result<Self> {
        let mut key = Zeroizing::new(vec![0; KEY_BYTES_NEW]);
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        Ok(Self(key))
    }

    /// Reads a secret in its usual form, `whsec_` and base64.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        // Room for any length at once: a buffer that grows leaves copies behind.
        let mut key = Zeroizing::new(Vec::with_capacity(encoded.len()));
        STANDARD.decode_vec(encoded, &mut key).map_err(|_| SecretError::Encoding)?;
        if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len()) {
            return Err(SecretError::Length(key.len()));
        }
        Ok(Self(key))
    }

    /// Gives the secret in its usual form, to be shown once or stored.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(128));
        text.push_str(PREFIX);
        STANDARD.encode_string(&*self.0, &mut text);
        text
    }

    fn signature(&self, id: &MessageId, seconds: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key length");
        for part in [id.as_str().as_bytes(), b".", seconds.to_string().as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(hidden)")
    }
}

impl Secrets {
    /// Makes the set of an endpoint's secrets, the newest first.
    pub fn new(secrets: Vec<SigningSecret>) -> Result<Self, SecretError> {
        match secrets.len() {
            1..=SECRETS_MAX => Ok(Self(secrets)),
            count => Err(SecretError::Count(count)),
        }
    }

    /// Counts the secrets.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Gives the value of `webhook-signature`: one signature for each secret. The time is that of
    /// the attempt, not of the event, because receivers refuse what is older than minutes.
    pub fn sign(&self, id: &MessageId, attempted: Timestamp, body: &[u8]) -> String {
        let seconds = attempted.as_second();
        let signatures: Vec<String> =
            self.0.iter().map(|secret| secret.signature(id, seconds, body)).collect();
        signatures.join(" ")
    }
}

impl From<SigningSecret> for Secrets {
    fn from(secret: SigningSecret) -> Self {
        Self(vec![secret])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn sign(secret: &str, id: &str, seconds: i64, body: &str) -> String {
        let secrets = Secrets::from(SigningSecret::parse(secret).unwrap());
        let at = Timestamp::from_second(seconds).unwrap();
        secrets.sign(&MessageId::from_stored(id), at, body.as_bytes())
    }

    #[test]
    fn published_examples() {
        let text = include_str!("testdata/standard-webhooks.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let secret = file["secret"].as_str().unwrap();
        let example = &file["published_example"];
        let signature = sign(
            secret,
            example["id"].as_str().unwrap(),
            example["timestamp"].as_i64().unwrap(),
            example["payload"].as_str().unwrap(),
        );
        assert_eq!(signature, example["signature"]);
        let body = r#"{"type":"quota.threshold_reached"}"#;
        let expected = "v1,MhEr+gNuRTFKlBoFK9qz40bfUpyYsVUf/kq5WhOgNJs=";
        assert_eq!(sign(SECRET, "msg_1", 1_700_000_000, body), expected);
    }

    /// What the official library accepts or refuses is what equals our signature or does not.
    #[test]
    fn signatures_are_the_official_ones() {
        let text = include_str!("testdata/standard-webhooks.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let (mut equal, mut different) = (0, 0);
        for case in file["cases"].as_array().unwrap() {
            let field = |name: &str| case["headers"][name].as_str().unwrap();
            let Ok(seconds) = field("webhook-timestamp").parse::<i64>() else { continue };
            let payload = case["payload"].as_str().unwrap();
            let ours =
                sign(file["secret"].as_str().unwrap(), field("webhook-id"), seconds, payload);
            let found = field("webhook-signature").split(' ').any(|theirs| theirs == ours);
            let in_time = (seconds - file["now"].as_i64().unwrap()).abs() <= 300;
            let has_id = !field("webhook-id").is_empty();
            assert_eq!(found && in_time && has_id, case["valid"], "{}", case["name"]);
            if found {
                equal += 1;
            } else {
                different += 1;
            }
        }
        assert_eq!((equal, different), (5, 9));
    }

    #[test]
    fn rotation_signs_with_each_secret() {
        let (new, old) =
            (SigningSecret::generate().unwrap(), SigningSecret::parse(SECRET).unwrap());
        let id = MessageId::from_stored("msg_1");
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let alone = |secret: &SigningSecret| Secrets::from(secret.clone()).sign(&id, at, b"{}");
        let both = Secrets::new(vec![new.clone(), old.clone()]).unwrap().sign(&id, at, b"{}");
        assert_eq!(both, format!("{} {}", alone(&new), alone(&old)));
        assert_eq!(Secrets::new(Vec::new()).unwrap_err(), SecretError::Count(0));
        assert_eq!(Secrets::new(vec![new; 9]).unwrap_err(), SecretError::Count(9));
    }

    #[test]
    fn secrets_are_read_or_refused() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for good in [24, 25, 32, 64] {
            let text = of(good);
            assert_eq!(*SigningSecret::parse(&text).unwrap().expose(), text);
        }
        for (text, error) in [
            (String::new(), SecretError::Prefix),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), SecretError::Prefix),
            ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), SecretError::Prefix),
            ("whsec_".to_owned(), SecretError::Length(0)),
            (of(23), SecretError::Length(23)),
            (of(65), SecretError::Length(65)),
            (format!("{SECRET}\n"), SecretError::Encoding),
            (format!("{SECRET}="), SecretError::Encoding),
            ("whsec_*".to_owned(), SecretError::Encoding),
        ] {
            assert_eq!(SigningSecret::parse(&text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn new_secrets_differ_and_do_not_print() {
        let (one, other) = (SigningSecret::generate().unwrap(), SigningSecret::generate().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(SigningSecret::parse(&one.expose()).unwrap().0.len(), 32);
        let printed = format!("{:?}", Secrets::from(one));
        assert_eq!(printed, "Secrets([SigningSecret(hidden)])");
    }
}
