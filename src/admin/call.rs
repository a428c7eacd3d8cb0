//! A call that changes something: who makes it, and whether it was made before.
//!
//! A repeated call with the same Idempotency-Key gets the first answer again; the answer is written
//! in the transaction of the change, so there is never one without the other. The secret of a new
//! key is not written: it is in memory for some minutes, for whoever lost the answer on the way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{State, problem::Problem};
use crate::{
    provisioning::{Applied, Change, Rejection},
    store::{
        StoreError,
        records::{IdempotencyRecord, Records},
    },
};

/// How long an answer is kept for a repetition.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// How long a secret is kept for one, in memory alone.
const SECRET_KEPT: Duration = Duration::from_secs(600);

/// How many secrets are.
const SECRETS_MAX: usize = 10_000;

/// The longest Idempotency-Key, and the longest name of who calls.
const KEY_MAX: usize = 255;
const ACTOR_MAX: usize = 128;

/// Who makes a call, and whether it may be a repetition.
#[derive(Clone, Debug)]
pub(super) struct Call {
    actor: String,
    repetition: Option<Repetition>,
}

/// What tells a repetition: digests of the Idempotency-Key and of the request.
#[derive(Clone, Copy, Debug)]
struct Repetition {
    key: [u8; 32],
    request: [u8; 32],
}

/// Secrets that were answered not long ago, by the Idempotency-Key's digest.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<[u8; 32], Kept>>);

/// An answer with its secret, and since when it is kept.
#[derive(Debug)]
struct Kept {
    at: Instant,
    body: Zeroizing<String>,
}

impl Call {
    /// Reads what a call says of itself.
    pub(super) fn of(head: &Parts, body: &[u8]) -> Result<Self, Problem> {
        let actor = match text(head, "faregate-actor", ACTOR_MAX)? {
            Some(actor) => actor,
            None => "admin".to_owned(),
        };
        // Of the methods that change something only POST is not idempotent by itself.
        let key = match head.method {
            axum::http::Method::POST => text(head, "idempotency-key", KEY_MAX)?,
            _ => None,
        };
        let repetition = key.map(|key| Repetition {
            key: Sha256::digest(key.as_bytes()).into(),
            request: request_digest(head, body),
        });
        Ok(Self { actor, repetition })
    }

    /// Gives who makes it.
    pub(super) fn into_actor(self) -> String {
        self.actor
    }
}

fn text(head: &Parts, name: &'static str, longest: usize) -> Result<Option<String>, Problem> {
    let Some(value) = head.headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| !text.is_empty() && text.len() <= longest);
    text.map(|text| Some(text.to_owned())).ok_or_else(|| {
        let detail = format!("{name} is 1 to {longest} visible ASCII characters.");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_header", detail)
    })
}

fn request_digest(head: &Parts, body: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    for part in [head.method.as_str().as_bytes(), target.as_bytes(), body] {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// The answer to a call.
#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    /// `None` for an answer without a body.
    body: Option<Value>,
    is_repeated: bool,
}

/// Why a call is refused.
enum Refused {
    /// The Idempotency-Key came with another request before.
    Reused,
    /// The change was refused.
    Change(Rejection),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Change(error.into())
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self::Change(rejection)
    }
}

/// Makes a change and answers with what `work` gives.
pub(super) async fn change<T: Serialize + Send>(
    state: &State,
    call: Call,
    status: StatusCode,
    work: impl FnOnce(&mut Change<'_>) -> Result<T, Rejection> + Send + 'static,
) -> Response {
    change_as(state, call, move |change| Ok((status, work(change)?))).await
}

/// Makes a change that itself tells the status of its answer.
pub(super) async fn change_as<T: Serialize + Send>(
    state: &State,
    call: Call,
    work: impl FnOnce(&mut Change<'_>) -> Result<(StatusCode, T), Rejection> + Send + 'static,
) -> Response {
    let (gateway, recent) = (Arc::clone(&state.gateway), Arc::clone(&state.recent));
    let in_transaction = {
        let gateway = Arc::clone(&gateway);
        move |records: &mut dyn Records| -> Result<(Answer, Option<Applied>), Refused> {
            let now = gateway.clock().now();
            if let Some(answer) = before(&*records, &call, &recent, now)? {
                return Ok((answer, None));
            }
            let mut change = Change::new(records, &gateway, &call.actor);
            let (status, value) = work(&mut change)?;
            let applied = change.finish()?;
            let body = serde_json::to_value(value).ok().filter(|body| !body.is_null());
            let answer = Answer { status, body, is_repeated: false };
            keep(records, &call, &recent, &answer, now)?;
            Ok((answer, Some(applied)))
        }
    };
    let after = move |(_, applied): &(Answer, Option<Applied>)| {
        if let Some(applied) = applied {
            applied.apply(&gateway);
        }
    };
    match state.keeper.submit(in_transaction, after).await {
        Ok(Ok((answer, _))) => answer.into_response(),
        Ok(Err(Refused::Change(rejection))) => Problem::from(rejection).into_response(),
        Ok(Err(Refused::Reused)) => {
            let detail = "This Idempotency-Key came with another request before; use a new one.";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Problem::new(status, "idempotency_key_reused", detail).into_response()
        }
        Err(_) => Problem::internal().into_response(),
    }
}

/// Gives the first answer to a call that is repeated.
fn before(
    records: &dyn Records,
    call: &Call,
    recent: &Recent,
    now: Timestamp,
) -> Result<Option<Answer>, Refused> {
    let Some(Repetition { key, request }) = call.repetition else { return Ok(None) };
    let Some(known) = records.idempotent(&key)? else { return Ok(None) };
    if known.at < forget_before(now) {
        return Ok(None);
    }
    if known.request != request {
        return Err(Refused::Reused);
    }
    let status = StatusCode::from_u16(known.status).unwrap_or(StatusCode::OK);
    let body = recent.find(&key).or_else(|| serde_json::from_str(&known.body).ok());
    Ok(Some(Answer { status, body: body.filter(|body| !body.is_null()), is_repeated: true }))
}

/// Keeps an answer for a repetition.
fn keep(
    records: &mut dyn Records,
    call: &Call,
    recent: &Recent,
    answer: &Answer,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(Repetition { key, request }) = call.repetition else { return Ok(()) };
    let mut body = answer.body.clone().unwrap_or_default();
    if take_secrets(&mut body) {
        recent.insert(key, answer.body.as_ref());
    }
    let entry = IdempotencyRecord {
        key,
        request,
        status: answer.status.as_u16(),
        body: body.to_string(),
        at: now,
    };
    records.put_idempotent(&entry, forget_before(now))
}

fn forget_before(now: Timestamp) -> Timestamp {
    now.checked_sub(KEPT).unwrap_or(Timestamp::MIN)
}

/// Takes out what must not be at rest; tells whether there was any.
fn take_secrets(body: &mut Value) -> bool {
    let mut found = false;
    for place in ["/secret", "/webhook/secret"] {
        if let Some(secret) = body.pointer_mut(place).filter(|secret| !secret.is_null()) {
            *secret = Value::Null;
            found = true;
        }
    }
    found
}

impl Recent {
    fn find(&self, key: &[u8; 32]) -> Option<Value> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { at, body } = recent.get(key)?;
        (at.elapsed() < SECRET_KEPT).then(|| serde_json::from_str(body).ok()).flatten()
    }

    fn insert(&self, key: [u8; 32], body: Option<&Value>) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, kept| kept.at.elapsed() < SECRET_KEPT);
        if let Some(body) = body.filter(|_| recent.len() < SECRETS_MAX) {
            let body = Zeroizing::new(body.to_string());
            recent.insert(key, Kept { at: Instant::now(), body });
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self { status, body, is_repeated } = self;
        let mut response = match body {
            Some(body) => super::json(status, &body),
            None => status.into_response(),
        };
        let fields = response.headers_mut();
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if is_repeated {
            fields.insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}
