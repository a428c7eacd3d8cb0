//! What is sent: an event in its envelope, written once so that every attempt sends the same bytes.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// The id of a message, the same at each attempt and at each endpoint: receivers drop what they
/// have seen by it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct MessageId(String);

/// An event as it is stored and sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Sent as `webhook-id`.
    pub id: MessageId,
    /// The envelope in JSON; what is signed is these bytes.
    pub body: Bytes,
}

#[derive(Serialize)]
struct Envelope<'a> {
    r#type: &'a str,
    timestamp: Timestamp,
    data: &'a serde_json::Value,
}

impl Event {
    /// Puts data into an envelope under a new id. The type is dotted words, such as
    /// `quota.exhausted`, and the time is when it happened.
    pub fn new(r#type: &str, data: &serde_json::Value, now: Timestamp) -> std::io::Result<Self> {
        let envelope = Envelope { r#type, timestamp: now, data };
        let body = serde_json::to_vec(&envelope).map_err(std::io::Error::other)?;
        Ok(Self { id: MessageId::new(now)?, body: body.into() })
    }
}

impl MessageId {
    /// Makes an id that sorts by time.
    fn new(now: Timestamp) -> std::io::Result<Self> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid();
        Ok(Self(format!("msg_{}", Uuid::simple(id))))
    }

    /// Takes an id that was made before and kept.
    pub fn from_stored(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Gives the id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelope_has_its_three_members() {
        let now: Timestamp = "2026-11-20T10:00:00.5Z".parse().unwrap();
        let data = serde_json::json!({"customer": "acme", "quota": {"limit": 1000, "used": 800}});
        let event = Event::new("quota.threshold_reached", &data, now).unwrap();
        let expected = concat!(
            r#"{"type":"quota.threshold_reached","timestamp":"2026-11-20T10:00:00.5Z","#,
            r#""data":{"customer":"acme","quota":{"limit":1000,"used":800}}}"#
        );
        assert_eq!(event.body, expected);
    }

    #[test]
    fn ids_differ_and_sort_by_time() {
        let early: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let late: Timestamp = "2026-11-20T00:00:01Z".parse().unwrap();
        let made: std::collections::HashSet<MessageId> =
            (0..1000).map(|_| MessageId::new(early).unwrap()).collect();
        assert_eq!(made.len(), 1000);
        let after = MessageId::new(late).unwrap();
        for id in made {
            let digits = id.as_str().strip_prefix("msg_").unwrap();
            assert!(digits.len() == 32 && digits.bytes().all(|c| c.is_ascii_hexdigit()), "{id}");
            assert_eq!(Uuid::parse_str(digits).unwrap().get_version_num(), 7);
            assert!(id.as_str() < after.as_str());
        }
    }
}
