//! Webhooks from an outbox to scripted receivers.

mod bench;
mod delivery;
mod failures;
mod outbox;
mod refused;
mod tls;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use faregate::webhooks::MessageId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::support::upstream::Received;
use bench::{Bench, Names, client, endpoint};
use outbox::MemoryOutbox;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Verifies a message as a receiver does, and gives its id and the second it was signed in.
pub(crate) fn verify(received: &Received) -> (MessageId, i64) {
    let field = |name: &str| received.field(name).unwrap();
    let (id, timestamp) = (field("webhook-id"), field("webhook-timestamp"));
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&received.body);
    let signature = STANDARD.decode(field("webhook-signature").strip_prefix("v1,").unwrap());
    mac.verify_slice(&signature.unwrap()).unwrap();
    assert_eq!(field("content-type"), "application/json");
    (MessageId::from_stored(id), timestamp.parse().unwrap())
}

/// Gives the ids of messages in the order they came, each one verified.
fn ids(received: &[Received]) -> Vec<MessageId> {
    received.iter().map(|message| verify(message).0).collect()
}

/// Gives whose event a message is.
fn customer(received: &Received) -> String {
    let body: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    body["data"]["customer"].as_str().unwrap().to_owned()
}
