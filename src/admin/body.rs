//! The bodies of calls: JSON, bounded, and clear about what is wrong in it.

use axum::{
    body::to_bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{State, call::Call, problem::Problem};
use crate::provisioning::FieldError;

/// The largest body of a call, but for an import.
const BODY_MAX: usize = 1 << 20;

/// A call with a JSON body. An empty body is an empty object.
#[derive(Debug)]
pub(super) struct Body<T> {
    /// Who calls, and whether it may be a repetition.
    pub(super) call: Call,
    /// What the body says.
    pub(super) value: T,
}

impl<T: DeserializeOwned> FromRequest<State> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &State) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let bytes = to_bytes(body, BODY_MAX).await.map_err(|_| too_large())?;
        if !bytes.is_empty() {
            check_type(&head.headers)?;
        }
        let call = Call::of(&head, &bytes)?;
        Ok(Self { call, value: parse(&bytes)? })
    }
}

/// A call without a body. One that comes all the same is part of what a repetition must repeat.
impl FromRequest<State> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &State) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let bytes = to_bytes(body, BODY_MAX).await.map_err(|_| too_large())?;
        Self::of(&head, &bytes)
    }
}

fn too_large() -> Problem {
    let detail = format!("A body may have {BODY_MAX} bytes; for many customers use an import.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// Refuses a body that says it is something else. JSON by another name is JSON.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let media = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let media = media.trim().to_ascii_lowercase();
    // What curl sends with `-d` and no type.
    let is_curl = media == "application/x-www-form-urlencoded";
    if media == "application/json" || media.ends_with("+json") || is_curl {
        return Ok(());
    }
    let detail = "Send the body as `Content-Type: application/json`.";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}" } else { &**bytes };
    // serde takes a list for an object whose fields come in order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let message = "the body is an object, `{…}`".to_owned();
        return Err(Problem::fields(vec![FieldError { field: String::new(), message }]));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut reader);
    let value = parsed.map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            Problem::fields(vec![field_error(&path, &inner)])
        } else {
            malformed(&inner)
        }
    })?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Problem {
    let place = format!("line {}, column {}", error.line(), error.column());
    let detail = format!("The body is not JSON: {} at {place}.", kind(error));
    Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
}

fn kind(error: &serde_json::Error) -> &'static str {
    if error.is_eof() { "it ends too early" } else { "something is out of place" }
}

/// Names the field, and says what is wrong without the place in the text, which the field tells.
fn field_error(path: &str, error: &serde_json::Error) -> FieldError {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    // serde tells the name of an unknown or missing field in its message alone.
    let named = message.split('`').nth(1).filter(|_| message.contains(" field `"));
    let field = match (path, named) {
        ("." | "", Some(name)) => name.to_owned(),
        ("." | "", None) => String::new(),
        // The path of an unknown field ends with it already.
        (path, Some(name)) if path == name || path.ends_with(&format!(".{name}")) => {
            path.to_owned()
        }
        (path, Some(name)) => format!("{path}.{name}"),
        (path, None) => path.to_owned(),
    };
    FieldError { field, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provisioning::{NewCustomer, SubscriptionInput};

    fn told<T: DeserializeOwned + std::fmt::Debug>(text: &'static str) -> String {
        let problem = parse::<T>(&Bytes::from_static(text.as_bytes())).unwrap_err();
        serde_json::to_value(problem).unwrap()["detail"].as_str().unwrap().to_owned()
    }

    #[test]
    fn what_is_wrong_is_named() {
        insta::assert_snapshot!(
            [
                told::<NewCustomer>("{"),
                told::<NewCustomer>("[]"),
                told::<NewCustomer>("{} {}"),
                told::<NewCustomer>("{}"),
                told::<NewCustomer>(r#"{"id": 1}"#),
                told::<NewCustomer>(r#"{"id": "a", "colour": "red"}"#),
                told::<NewCustomer>(r#"{"id": "a", "quotas": [{"limit": -1, "window": "day"}]}"#),
                told::<NewCustomer>(r#"{"id": "a", "quotas": [{"limit": 1, "window": "moth"}]}"#),
                told::<NewCustomer>(r#"{"id": "a", "quotas": [{"limit": 1}]}"#),
                told::<NewCustomer>(r#"{"id": "a", "rate": {"limit": 1, "window": "1"}}"#),
                told::<NewCustomer>(r#"{"id": "a", "subscription": {"plam": "x"}}"#),
                told::<SubscriptionInput>(r#"{"status": "gone"}"#),
                told::<SubscriptionInput>(r#"{"anchor": "yesterday"}"#),
            ]
            .join("\n")
        );
    }
}
