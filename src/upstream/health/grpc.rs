//! gRPC's own health service: what it is asked, and what its answers mean (`grpc/health/v1/health.proto`).

use bytes::Bytes;
use http::header;

use crate::{
    answer::grpc::{STATUS, is_type},
    protobuf::{Message, Value, find},
    upstream::http2::Whole,
};

/// The head of a question, but for the fields that every check has.
pub(super) const HEAD: &str = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\n\
                               content-type: application/grpc\r\nte: trailers\r\n";

/// The number of the one field, of questions (`service`) and of answers (`status`).
const FIELD: u32 = 1;

/// A service that takes calls.
const SERVING: u64 = 1;

/// Why an answer does not pass.
#[derive(Debug, thiserror::Error, Eq, PartialEq)]
pub(super) enum Failure {
    #[error("its answer is none to a call of gRPC")]
    Foreign,
    #[error("its answer ends without a gRPC status")]
    Unended,
    #[error("it answered with the gRPC status {0} ({words})", words = words_of(.0))]
    Ended(String),
    #[error("its answer is no single message")]
    Unframed,
    #[error("its message cannot be understood")]
    Unread,
    #[error("it says {0}")]
    NotServing(&'static str),
}

/// Writes the message that asks for a service.
pub(super) fn question(service: &str) -> Bytes {
    let mut message = Message::default();
    if !service.is_empty() {
        message.text(FIELD, service);
    }
    let message = message.into_bytes();
    // Not compressed, and its length.
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(message);
    framed.into()
}

/// Tells what an answer with the status 200 means.
pub(super) fn judge(answer: &Whole) -> Result<(), Failure> {
    let Whole { status: _, fields, body, trailers } = answer;
    let kind = fields.get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| is_type(kind.as_bytes())) {
        return Err(Failure::Foreign);
    }
    // Without a message it may stand in the head.
    let ended = trailers.get(&STATUS).or_else(|| fields.get(&STATUS)).ok_or(Failure::Unended)?;
    if ended != "0" {
        let text = String::from_utf8_lossy(ended.as_bytes());
        return Err(Failure::Ended(text.chars().take(10).collect()));
    }
    match status_of(message_of(body).ok_or(Failure::Unframed)?).ok_or(Failure::Unread)? {
        SERVING => Ok(()),
        2 => Err(Failure::NotServing("that the service is not serving")),
        // It is told to watchers; whoever asks is told that there is none by the call's status.
        3 => Err(Failure::NotServing("that it does not know the service")),
        0 => Err(Failure::NotServing("that it does not know how the service does")),
        _ => Err(Failure::NotServing("what no health service says")),
    }
}

/// Finds the message in a body that is one, in one frame.
fn message_of(body: &[u8]) -> Option<&[u8]> {
    let ([0, length @ ..], message) = body.split_first_chunk::<5>()? else { return None };
    let is_whole = usize::try_from(u32::from_be_bytes(*length)) == Ok(message.len());
    is_whole.then_some(message)
}

fn status_of(message: &[u8]) -> Option<u64> {
    // A field with its default, which is that the status is unknown, is not written.
    if message.is_empty() {
        return Some(0);
    }
    match find(message, FIELD.into()) {
        Some(Value::Number(status)) => Some(status),
        Some(Value::Bytes(_)) | None => None,
    }
}

fn words_of(status: &str) -> &'static str {
    match status {
        "5" => "it does not know the service",
        "7" | "16" => "it does not let the gateway ask",
        "12" => "it has no health service",
        _ => "it did not tell how the service does",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn answer(kind: &str, body: &[u8], status: Option<&str>) -> Whole {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let mut trailers = HeaderMap::new();
        if let Some(status) = status {
            trailers.insert(&STATUS, status.parse().unwrap());
        }
        Whole { status: 200, fields, body: Bytes::copy_from_slice(body), trailers }
    }

    #[test]
    fn question_names_the_service() {
        assert_eq!(&*question(""), b"\0\0\0\0\0");
        assert_eq!(&*question("a.B"), b"\0\0\0\0\x05\x0a\x03a.B");
    }

    #[test]
    fn who_is_serving_passes() {
        for kind in ["application/grpc", "application/grpc+proto"] {
            let body = b"\0\0\0\0\x02\x08\x01";
            assert_eq!(judge(&answer(kind, body, Some("0"))), Ok(()));
        }
        // With a field of some later version.
        let body = b"\0\0\0\0\x04\x08\x01\x10\x07";
        assert_eq!(judge(&answer("application/grpc", body, Some("0"))), Ok(()));
    }

    #[test]
    fn whatever_else_is_said_does_not_pass() {
        let serving = b"\0\0\0\0\x02\x08\x01";
        let reasons: Vec<String> = [
            answer("application/grpc-web", serving, Some("0")),
            answer("application/grpc", serving, None),
            answer("application/grpc", serving, Some("5")),
            answer("application/grpc", b"", Some("12")),
            answer("application/grpc", b"", Some("14")),
            answer("application/grpc", serving, Some("00")),
            answer("application/grpc", b"", Some("0")),
            answer("application/grpc", b"\x01\0\0\0\x02\x08\x01", Some("0")),
            answer("application/grpc", b"\0\0\0\0\x03\x08\x01", Some("0")),
            answer("application/grpc", &[&serving[..], serving].concat(), Some("0")),
            answer("application/grpc", b"\0\0\0\0\x01\x08", Some("0")),
            answer("application/grpc", b"\0\0\0\0\x03\x0a\x01x", Some("0")),
            answer("application/grpc", b"\0\0\0\0\x02\x08\x02", Some("0")),
            answer("application/grpc", b"\0\0\0\0\x02\x08\x03", Some("0")),
            answer("application/grpc", b"\0\0\0\0\x02\x08\x09", Some("0")),
            answer("application/grpc", b"\0\0\0\0\0", Some("0")),
        ]
        .iter()
        .map(|answer| judge(answer).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(reasons.join("\n"), @r"
        its answer is none to a call of gRPC
        its answer ends without a gRPC status
        it answered with the gRPC status 5 (it does not know the service)
        it answered with the gRPC status 12 (it has no health service)
        it answered with the gRPC status 14 (it did not tell how the service does)
        it answered with the gRPC status 00 (it did not tell how the service does)
        its answer is no single message
        its answer is no single message
        its answer is no single message
        its answer is no single message
        its message cannot be understood
        its message cannot be understood
        it says that the service is not serving
        it says that it does not know the service
        it says what no health service says
        it says that it does not know how the service does
        ");
    }

    #[test]
    fn status_in_the_head_is_one_too() {
        let mut answer = answer("application/grpc", b"", None);
        answer.fields.insert(&STATUS, "12".parse().unwrap());
        assert_eq!(judge(&answer), Err(Failure::Ended("12".into())));
    }
}
