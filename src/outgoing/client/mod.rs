//! One request: a connection, the request, and the answer, all within a bounded time.
//!
//! Redirects are never followed: the URL behind one was never checked.

mod kept;

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode,
    header::{CONNECTION, HOST, USER_AGENT},
    request,
};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;

use crate::outgoing::{
    guard::{self, Forbidden},
    resolver::Resolver,
    target::{Host, Target, Trust},
    tls::{self, Roots, RootsError},
};

pub(crate) use self::kept::{Kept, Repeat};
use self::kept::{Open, Place, Sent};

/// Posts to receivers.
pub struct Client {
    resolver: Arc<dyn Resolver>,
    /// Nothing where nobody can vouch for receivers.
    tls: Option<TlsConnector>,
    timing: Timing,
}

/// How long an attempt may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// To an open connection: look-up, connecting and TLS.
    pub open: Duration,
    /// In all.
    pub whole: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { open: Duration::from_secs(5), whole: Duration::from_secs(15) }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The header fields.
    pub(crate) headers: HeaderMap,
    /// The body; nothing of it when it was late, cut off or too long.
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no connection: {0}")]
    Connect(io::ErrorKind),
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("no valid answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("no answer within {} s", .0.as_secs_f32())]
    LateAnswer(Duration),
    #[error("no connection within {} s", .0.as_secs_f32())]
    LateConnection(Duration),
    #[error("the host's name could not be looked up: {0}")]
    Lookup(io::Error),
    #[error("the host's name has no address")]
    NoAddress,
    #[error("the message cannot be written: {0}")]
    Request(#[from] http::Error),
    #[error("this gateway has no CA certificates to check an https receiver by")]
    Roots,
    #[error("no TLS connection: {0}")]
    Tls(io::Error),
}

impl Fault {
    /// Tells whether nothing was sent.
    pub(crate) fn is_unsent(&self) -> bool {
        match self {
            Self::Connect(_)
            | Self::Forbidden(_)
            | Self::LateConnection(_)
            | Self::Lookup(_)
            | Self::NoAddress
            | Self::Request(_)
            | Self::Roots
            | Self::Tls(_) => true,
            Self::Http(_) | Self::LateAnswer(_) => false,
        }
    }
}

/// How much of an answer is read, head and body each.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 8;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("faregate/", env!("CARGO_PKG_VERSION")));

impl Client {
    /// Makes a client. The roots are read once, now. On a machine without any the client is good for
    /// http alone, and the log says so.
    pub fn new(
        resolver: Arc<dyn Resolver>,
        roots: Roots,
        timing: Timing,
    ) -> Result<Self, RootsError> {
        let tls = match tls::client_config(roots) {
            Ok(config) => Some(TlsConnector::from(Arc::new(config))),
            Err(error @ RootsError::System(_)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "nothing can be sent to https URLs");
                None
            }
            Err(error @ RootsError::Given(_)) => return Err(error),
        };
        Ok(Self { resolver, tls, timing })
    }

    /// Sends a request and gives the answer.
    pub(crate) async fn send(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Fault> {
        let deadline = Instant::now() + self.timing.whole;
        let answering = converse(self.open(target).await?, request, deadline).await;
        answering?.ok_or(Fault::LateAnswer(self.timing.whole))
    }

    /// Sends a request over a connection that is kept, or over a new one that is kept then, and gives the answer.
    pub(crate) async fn send_kept(
        &self,
        kept: &Kept,
        repeat: Repeat,
        target: &Target,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Answer, Fault> {
        let deadline = Instant::now() + self.timing.whole;
        request.headers_mut().remove(CONNECTION);
        let place = Place::of(target);
        if let Some(open) = kept.take(&place, repeat) {
            let copy = (repeat == Repeat::Freely).then(|| request.clone());
            match (open.send(request, deadline).await, copy) {
                (Sent::Unsent(given_back, _), _) => request = given_back,
                (Sent::Broken(_), Some(copy)) => request = copy,
                (sent, _) => return self.answered(kept, place, sent),
            }
        }
        let open = Open::begin(self.open(target).await?).await?;
        self.answered(kept, place, open.send(request, deadline).await)
    }

    fn answered(&self, kept: &Kept, place: Place, sent: Sent) -> Result<Answer, Fault> {
        match sent {
            Sent::Answered(answer, open) => {
                if let Some(open) = open {
                    kept.put(place, open);
                }
                Ok(answer)
            }
            Sent::Broken(error) | Sent::Unsent(_, error) => Err(error.into()),
            Sent::Late => Err(Fault::LateAnswer(self.timing.whole)),
        }
    }

    /// Opens a connection.
    async fn open(&self, target: &Target) -> Result<Box<dyn Stream>, Fault> {
        let deadline = Instant::now() + self.timing.open.min(self.timing.whole);
        let tls = match target.is_https {
            true => Some(self.tls.as_ref().ok_or(Fault::Roots)?),
            false => None,
        };
        let late = |_| Fault::LateConnection(self.timing.open);
        let opening = async {
            let addresses = self.addresses(target).await?;
            connect(&addresses, deadline).await?.ok_or_else(|| late(()))
        };
        let stream = timeout_at(deadline, opening).await.map_err(|_| late(()))??;
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        let opening = tls.connect(server_name(&target.host)?, stream);
        let stream = timeout_at(deadline, opening).await.map_err(|_| late(()))?;
        Ok(Box::new(stream.map_err(Fault::Tls)?))
    }

    /// Gives the addresses to connect to. A customer's host is refused when any of its addresses is
    /// forbidden: the others would only be there to get it past.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, Fault> {
        let mut addresses = match &target.host {
            Host::Address(address) => vec![SocketAddr::new(*address, target.port)],
            Host::Name(name) => {
                self.resolver.resolve(name, target.port).await.map_err(Fault::Lookup)?
            }
        };
        if target.trust == Trust::Tenant {
            let checked = addresses.iter().try_for_each(|address| guard::check(address.ip()));
            checked.inspect_err(|Forbidden { kind }| {
                tracing::warn!(?target, kind, "webhook not sent to an address that is not public");
            })?;
        }
        if addresses.is_empty() {
            return Err(Fault::NoAddress);
        }
        addresses.truncate(ADDRESSES_MAX);
        Ok(addresses)
    }
}

/// What a connection carries, in clear or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects to the first address that takes it. Each has its share of the time, so that one that
/// does not answer leaves some to the others. Gives nothing when the last one was too slow.
async fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<Option<TcpStream>, Fault> {
    let mut last = None;
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let time = deadline.saturating_duration_since(Instant::now());
        let share = time / u32::try_from(left).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(Some(stream)),
            Ok(Err(error)) => last = Some(Fault::Connect(error.kind())),
            Err(_) => last = None,
        }
    }
    last.map_or(Ok(None), Err)
}

fn server_name(host: &Host) -> Result<ServerName<'static>, Fault> {
    match host {
        Host::Address(address) => Ok(ServerName::from(*address)),
        Host::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|error| Fault::Tls(io::Error::other(error)))
        }
    }
}

/// Begins a request with what all of them say.
pub(crate) fn request(target: &Target) -> request::Builder {
    Request::builder()
        .method(Method::POST)
        .uri(&*target.path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
}

/// Sends the request and reads the answer. Gives nothing when its head is not there in time; a body
/// that is late, cut off or too long changes nothing.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    deadline: Instant,
) -> Result<Option<Answer>, Fault> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(ANSWER_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await?;
    let exchange = async {
        let Ok(answer) = timeout_at(deadline, sender.send_request(request)).await else {
            return Ok(None);
        };
        let (head, body) = answer?.into_parts();
        let body = timeout_at(deadline, collect(body)).await.ok().flatten().unwrap_or_default();
        Ok(Some(Answer { status: head.status, headers: head.headers, body }))
    };
    let mut exchange = pin!(exchange);
    // The connection is driven here and not by a task, so that it ends with the attempt.
    tokio::select! {
        result = &mut exchange => result,
        _ = connection => exchange.await,
    }
}

/// Reads a body to its end, so that a receiver can finish writing it. Gives nothing when it is cut off
/// or too long.
async fn collect(mut body: Incoming) -> Option<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if data.len() > ANSWER_BYTES_MAX - bytes.len() {
            return None;
        }
        bytes.extend_from_slice(&data);
    }
    Some(bytes.freeze())
}

#[cfg(test)]
mod tests;
