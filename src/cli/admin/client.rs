//! The connection: one for each call, with a time for everything that is waited for.

use std::{
    env,
    future::Future,
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::cli::{
    admin::{Call, CallError, refusal::Refusal, token::Token},
    print::plain,
};

/// How long a call with one document may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a transfer may stand still.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest document that is read whole.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// The longest name that the gateway takes for its audit.
const ACTOR_BYTES_MAX: usize = 128;

/// Who is called, and by whom.
pub(in crate::cli) struct Client {
    authority: String,
    token: Option<Token>,
    actor: String,
    runtime: Runtime,
    call_timeout: Duration,
    idle_timeout: Duration,
}

impl Client {
    pub(super) fn new(authority: String, token: Option<Token>) -> anyhow::Result<Self> {
        let user = env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_default();
        Ok(Self {
            authority,
            token,
            actor: actor(&user),
            runtime: Builder::new_current_thread().enable_all().build()?,
            call_timeout: CALL_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
        })
    }

    /// Gives whom it calls.
    pub(in crate::cli) fn authority(&self) -> &str {
        &self.authority
    }

    /// Shortens every wait, so that a test sees its end.
    #[cfg(test)]
    pub(in crate::cli) fn impatient(self, timeout: Duration) -> Self {
        Self { call_timeout: timeout, idle_timeout: timeout, ..self }
    }

    /// Makes a call and gives its document; null when there is none.
    pub(in crate::cli) fn json(&self, call: &Call) -> Result<Value, CallError> {
        self.block_on(self.json_later(call))
    }

    /// Makes a call and gives status and body, whatever they are.
    pub(in crate::cli) fn raw(&self, path: &str) -> Result<(StatusCode, Bytes), CallError> {
        let body = Full::new(Bytes::new());
        self.block_on(self.in_time(async {
            let mut answer = self.send(Request::get(path), body).await?;
            Ok((answer.status, answer.whole().await?))
        }))
    }

    /// Makes a call from within another one.
    pub(in crate::cli) async fn json_later(&self, call: &Call) -> Result<Value, CallError> {
        let mut request = Request::builder().method(&call.method).uri(&call.path);
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
        self.in_time(async {
            let mut answer = self.send(request, Full::new(Bytes::from(body))).await?;
            let body = answer.whole().await?;
            self.document(answer.status, &body, call.about.as_deref())
        })
        .await
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let silent = |_| self.silent(self.call_timeout);
        timeout(self.call_timeout, call).await.map_err(silent).flatten()
    }

    /// Runs something to its end, or until the user interrupts it; what it holds is dropped then.
    pub(in crate::cli) fn block_on<T, E: From<CallError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done,
                Ok(()) = tokio::signal::ctrl_c() => Err(CallError::Interrupted.into()),
            }
        })
    }

    /// Sends a request on a connection of its own and waits for the head of the answer, without a
    /// limit of time: the caller has one.
    pub(in crate::cli) async fn send<B>(
        &self,
        request: request::Builder,
        body: B,
    ) -> Result<Answer, CallError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let authority = &self.authority;
        let request = request.header(header::HOST, authority).header("faregate-actor", &self.actor);
        let request = match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, &token.field),
            None => request,
        };
        let wrong = |error: http::Error| self.not_ours(error.to_string());
        let request = request.body(body).map_err(wrong)?;
        let connecting = timeout(self.call_timeout, TcpStream::connect(authority));
        let connected = connecting.await.map_err(|_| self.silent(self.call_timeout))?;
        let stream = connected
            .map_err(|cause| CallError::Unreachable { authority: authority.clone(), cause })?;
        let cut = |error| self.cut(error);
        let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(cut)?;
        let driver = Driver(tokio::spawn(driver));
        let (head, body) = sender.send_request(request).await.map_err(cut)?.into_parts();
        let (status, headers) = (head.status, head.headers);
        Ok(Answer { status, headers, body, authority: authority.clone(), _driver: driver })
    }

    /// Gives the document of an answer, or why there is none.
    pub(in crate::cli) fn document(
        &self,
        status: StatusCode,
        body: &[u8],
        about: Option<&str>,
    ) -> Result<Value, CallError> {
        if status.is_success() && body.is_empty() {
            return Ok(Value::Null);
        }
        let found = |_| self.not_ours(format!("status {}, and no JSON", status.as_u16()));
        let document: Value = serde_json::from_slice(body).map_err(found)?;
        if status.is_success() {
            return Ok(document);
        }
        let origin = self.token.as_ref().map(|token| &*token.origin);
        let refusal = Refusal::read(status, &document, about, origin);
        Err(CallError::Refused(Box::new(refusal)))
    }

    /// Reads the problem that an answer is, where another body than a document was expected.
    pub(in crate::cli) async fn refusal(&self, mut answer: Answer) -> CallError {
        let status = answer.status;
        let body = match timeout(self.call_timeout, answer.whole()).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return error,
            Err(_) => return self.silent(self.call_timeout),
        };
        match self.document(status, &body, None) {
            Ok(_) => self.not_ours(format!("status {}, unexpected here", status.as_u16())),
            Err(error) => error,
        }
    }

    /// Waits for something as long as what is watched moves.
    pub(in crate::cli) async fn unless_idle<T>(
        &self,
        watched: &Watched,
        work: impl Future<Output = T>,
    ) -> Result<T, CallError> {
        let mut work = pin!(work);
        loop {
            let until = watched.last() + self.idle_timeout;
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep_until(until) => {
                    if watched.last() + self.idle_timeout <= Instant::now() {
                        return Err(self.silent(self.idle_timeout));
                    }
                }
            }
        }
    }

    /// Gives the error of an answer that says something else than was agreed.
    pub(in crate::cli) fn not_ours(&self, found: String) -> CallError {
        CallError::NotOurs { authority: self.authority.clone(), found }
    }

    /// Gives the error of an answer that ended early though the connection did not notice.
    pub(in crate::cli) fn ended_early(&self) -> CallError {
        CallError::Cut { authority: self.authority.clone(), cause: None }
    }

    fn silent(&self, waited: Duration) -> CallError {
        CallError::Silent { authority: self.authority.clone(), waited }
    }

    fn cut(&self, error: hyper::Error) -> CallError {
        CallError::Cut { authority: self.authority.clone(), cause: Some(Box::new(error)) }
    }
}

/// Gives the name for the audit: the user's, as far as a header field can carry it.
fn actor(user: &str) -> String {
    let mut actor: String = user.chars().filter(char::is_ascii_graphic).collect();
    actor.truncate(ACTOR_BYTES_MAX);
    if actor.is_empty() { "cli".to_owned() } else { actor }
}

/// The task that drives a connection; it ends with the answer.
struct Driver(JoinHandle<Result<(), hyper::Error>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer whose body is still to be read.
pub(in crate::cli) struct Answer {
    pub(in crate::cli) status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    authority: String,
    _driver: Driver,
}

impl Answer {
    /// Gives the next piece of the body; `None` at its end.
    pub(in crate::cli) async fn chunk(&mut self) -> Result<Option<Bytes>, CallError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| CallError::Cut {
                authority: self.authority.clone(),
                cause: Some(Box::new(error)),
            })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Goes on with an answer that has a body of this type and tells its end; one that ends with
    /// its connection may be cut anywhere.
    pub(in crate::cli) async fn expect(
        answer: Self,
        client: &Client,
        media_type: &str,
    ) -> Result<Self, CallError> {
        if !answer.status.is_success() {
            return Err(client.refusal(answer).await);
        }
        let field = answer.headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str);
        let found = field.and_then(Result::ok).unwrap_or("nothing");
        if !found.starts_with(media_type) {
            let found = format!("it sent {}, not {media_type}", plain(found));
            return Err(client.not_ours(found));
        }
        let headers = &answer.headers;
        if headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING)
        {
            return Ok(answer);
        }
        Err(client.not_ours("an answer that does not tell its end".to_owned()))
    }

    async fn whole(&mut self) -> Result<Bytes, CallError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > DOCUMENT_BYTES_MAX {
                let found = format!("a document of more than {DOCUMENT_BYTES_MAX} bytes");
                return Err(CallError::NotOurs { authority: self.authority.clone(), found });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }
}

/// When a transfer last moved, in either direction.
#[derive(Debug)]
pub(in crate::cli) struct Watched(Mutex<State>);

#[derive(Debug)]
struct State {
    moved: Instant,
    /// It is our own side that is waited for, which is no fault of the gateway's.
    is_ours: bool,
}

impl Watched {
    /// Begins now.
    pub(in crate::cli) fn new() -> Self {
        Self(Mutex::new(State { moved: Instant::now(), is_ours: false }))
    }

    /// Notes that something moved.
    pub(in crate::cli) fn moved(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            State { moved: Instant::now(), is_ours: false };
    }

    /// Notes that there is nothing to send yet.
    pub(in crate::cli) fn waits_for_us(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_ours = true;
    }

    fn last(&self) -> Instant {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_ours { Instant::now() } else { state.moved }
    }
}

#[cfg(test)]
mod tests;
