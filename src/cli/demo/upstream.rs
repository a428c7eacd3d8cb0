//! The sample API: a small server of its own, which knows nothing of keys and quotas.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{
    sync::{Semaphore, oneshot},
    time::Interval,
};

use crate::cli::demo::statistics::{BadNumbers, Numbers};

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 256;

/// Bytes of a request's body.
const BODY_MAX: usize = 256 * 1024;

/// Events of a stream.
const EVENTS: u32 = 5;

/// Time between two of them.
const EVENT_EVERY: Duration = Duration::from_millis(300);

/// The longest that a slow answer takes, in seconds.
const SLOW_MAX: f64 = 10.0;

/// The server, on a thread of its own.
#[derive(Debug)]
pub(super) struct Sample {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Sample {
    /// Starts it on a free port of this machine's own address.
    pub(super) fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    served = serve(listener) => {
                        if let Err(error) = served {
                            tracing::error!(%error, "the sample API failed");
                        }
                    }
                    _ = stopped => {}
                }
            });
            // The runtime ends here, and every connection with it.
        };
        let thread = std::thread::Builder::new().name("sample-api".into()).spawn(run)?;
        Ok(Self { address, stop, thread })
    }

    /// Gives its address.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it.
    pub(super) fn stop(self) {
        let Self { address: _, stop, thread } = self;
        drop(stop);
        if thread.join().is_err() {
            tracing::error!("the sample API ended by a panic");
        }
    }
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let received = Arc::new(AtomicU64::new(0));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, _) = listener.accept().await?;
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let received = received.fetch_add(1, Ordering::Relaxed) + 1;
                async move { Ok::<_, Infallible>(answer(request, received).await) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new());
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "connection to the sample API ended");
            }
            drop(permit);
        });
    }
}

/// Answers a request, the `received`th.
async fn answer(request: Request<Incoming>, received: u64) -> Response<Answer> {
    let (head, body) = request.into_parts();
    let given = query(&head, "numbers").unwrap_or_default();
    match (&head.method, head.uri.path()) {
        (_, "/status") => json(StatusCode::OK, &Status { status: "ok", received }),
        (&Method::POST, "/v1/stats") => match posted(body).await {
            Ok(text) => summary(&head, &text),
            Err(error) => json(StatusCode::PAYLOAD_TOO_LARGE, &Failure { error }),
        },
        (_, "/v1/stats") => summary(&head, given),
        (_, "/v1/report") => match Numbers::parse(given) {
            Ok(numbers) => json(StatusCode::OK, &numbers.report()),
            Err(error) => bad_numbers(error),
        },
        (_, "/v1/stream") => events(),
        (_, "/v1/slow") => slow(&head).await,
        (_, "/v1/fail") => failure(&head),
        _ => json(StatusCode::NOT_FOUND, &Failure { error: "there is nothing here".into() }),
    }
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
    /// What a gateway refuses does not show here.
    #[serde(rename = "requests_received")]
    received: u64,
}

#[derive(Serialize)]
struct Failure {
    error: String,
}

#[derive(Serialize)]
struct Told<'a, T> {
    /// Whom the gateway names: the sample API itself checks no key.
    customer: Option<&'a str>,
    #[serde(flatten)]
    result: T,
}

fn summary(head: &Parts, numbers: &str) -> Response<Answer> {
    let customer = head.headers.get("faregate-customer").and_then(|value| value.to_str().ok());
    match Numbers::parse(numbers) {
        Ok(numbers) => json(StatusCode::OK, &Told { customer, result: numbers.summary() }),
        Err(error) => bad_numbers(error),
    }
}

fn bad_numbers(error: BadNumbers) -> Response<Answer> {
    json(StatusCode::BAD_REQUEST, &Failure { error: error.to_string() })
}

/// Reads a body of numbers.
async fn posted(body: Incoming) -> Result<String, String> {
    let body = Limited::new(body, BODY_MAX).collect().await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// Answers with the status that is asked for.
fn failure(head: &Parts) -> Response<Answer> {
    let status = query(head, "status").unwrap_or("503").parse().ok();
    let status = status.filter(|status| (400..=599).contains(status));
    match status.and_then(|status: u16| StatusCode::from_u16(status).ok()) {
        Some(status) => json(status, &Failure { error: "failed, as asked".into() }),
        None => {
            let error = "status must be from 400 to 599".into();
            json(StatusCode::BAD_REQUEST, &Failure { error })
        }
    }
}

/// Answers after the seconds that are asked for.
async fn slow(head: &Parts) -> Response<Answer> {
    #[derive(Serialize)]
    struct Slept {
        seconds: f64,
    }
    let seconds = query(head, "seconds").unwrap_or("1").parse().ok();
    match seconds.filter(|seconds| (0.0..=SLOW_MAX).contains(seconds)) {
        Some(seconds) => {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            json(StatusCode::OK, &Slept { seconds })
        }
        None => {
            let error = format!("seconds must be from 0 to {SLOW_MAX}");
            json(StatusCode::BAD_REQUEST, &Failure { error })
        }
    }
}

/// Gives the first value of a name in the query.
fn query<'h>(head: &'h Parts, name: &str) -> Option<&'h str> {
    let mut pairs = head.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

fn json(status: StatusCode, document: &impl Serialize) -> Response<Answer> {
    let mut text = serde_json::to_vec(document).unwrap_or_default();
    text.push(b'\n');
    let mut response = Response::new(Answer::Whole(Some(text.into())));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Begins a stream of server-sent events.
fn events() -> Response<Answer> {
    let events = Answer::Events { told: 0, every: tokio::time::interval(EVENT_EVERY) };
    let mut response = Response::new(events);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The body of an answer.
#[derive(Debug)]
enum Answer {
    /// A stream of events.
    Events {
        /// Events sent so far.
        told: u32,
        /// When the next one is due.
        every: Interval,
    },
    /// One piece.
    Whole(Option<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Events { told, .. } if *told >= EVENTS => Poll::Ready(None),
            Self::Events { told, every } => {
                ready!(every.poll_tick(context));
                *told += 1;
                let event = format!("data: {{\"event\":{told},\"of\":{EVENTS}}}\n\n");
                Poll::Ready(Some(Ok(Frame::data(event.into()))))
            }
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Events { told, .. } => *told >= EVENTS,
            Self::Whole(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Events { .. } => http_body::SizeHint::default(),
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                http_body::SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}
