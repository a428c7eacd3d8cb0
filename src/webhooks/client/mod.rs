//! One attempt: a signed POST, and what the answer means.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use jiff::Timestamp;

use crate::{
    outgoing::{self, Resolver, Roots, RootsError, Target, Timing, retry_after},
    webhooks::{event::Event, outbox::Failure, sign::Secrets},
};

/// Posts events.
pub struct Client(outgoing::Client);

/// What came of an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The receiver has it: a 2xx.
    Delivered {
        /// Which.
        status: u16,
    },
    /// Anything else.
    Failed {
        /// What went wrong.
        failure: Failure,
        /// How long the receiver wants to be left alone, as it says.
        retry_after: Option<Duration>,
    },
    /// The receiver wants no more: a 410.
    Gone,
}

/// The longest reason that is kept: a certificate can name thousands of hosts.
const REASON_CHARS_MAX: usize = 300;

impl Client {
    /// Makes a client. The roots are read once, now. On a machine without any the client is good for
    /// http alone, and the log says so.
    pub fn new(
        resolver: Arc<dyn Resolver>,
        roots: Roots,
        timing: Timing,
    ) -> Result<Self, RootsError> {
        outgoing::Client::new(resolver, roots, timing).map(Self)
    }

    /// Signs an event and posts it. The time is the decision time of the attempt.
    pub async fn post(
        &self,
        target: &Target,
        secrets: &Secrets,
        event: &Event,
        now: Timestamp,
    ) -> Outcome {
        let request = match request(target, secrets, event, now) {
            Ok(request) => request,
            Err(error) => {
                return failed(None, &format!("the message cannot be written: {error}"), None);
            }
        };
        match self.0.send(target, request).await {
            Ok(answer) => judge(answer.status, &answer.headers, now),
            Err(fault) => failed(None, &fault.to_string(), None),
        }
    }
}

fn request(
    target: &Target,
    secrets: &Secrets,
    event: &Event,
    now: Timestamp,
) -> http::Result<Request<Full<Bytes>>> {
    outgoing::request(target)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", event.id.as_str())
        .header("webhook-timestamp", now.as_second())
        .header("webhook-signature", secrets.sign(&event.id, now, &event.body))
        .body(Full::new(event.body.clone()))
}

fn judge(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Outcome {
    if status.is_success() {
        return Outcome::Delivered { status: status.as_u16() };
    }
    if status == StatusCode::GONE {
        return Outcome::Gone;
    }
    let code = status.as_u16();
    let reason = if status.is_redirection() {
        format!("the receiver answered {code}, and redirects are not followed; set its final URL")
    } else {
        format!("the receiver answered {code}")
    };
    failed(Some(code), &reason, retry_after::parse(headers, now))
}

fn failed(status: Option<u16>, reason: &str, retry_after: Option<Duration>) -> Outcome {
    let reason = reason.chars().take(REASON_CHARS_MAX).collect();
    Outcome::Failed { failure: Failure { status, reason }, retry_after }
}

#[cfg(test)]
mod tests;
