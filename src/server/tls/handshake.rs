//! The handshake, and what is known of a connection behind it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Buf as _, BytesMut};
use http::HeaderValue;
use rustls::{
    Error, HandshakeKind, ProtocolVersion, ServerConnection, pki_types::CertificateDer,
    server::Acceptor,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, server::TlsStream};

use super::{HTTP_2, Tls};
use crate::{answer::headers::field_value, http1::Socket, telemetry::metrics::handshakes::Unmade};

/// What is known of a connection by its handshake.
#[derive(Debug)]
pub struct Secured {
    tls: Arc<Tls>,
    /// The host that the client asked for, in lower case.
    name: Option<Box<str>>,
    version: Option<ProtocolVersion>,
    is_resumed: bool,
    client: Option<HeaderValue>,
    is_http2: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum Failure {
    /// It broke, or the two do not agree.
    #[error("no TLS connection: {0}")]
    Handshake(#[source] io::Error),
    /// What came is HTTP in clear, which whoever sends it can be told.
    #[error("a request in clear on a listener with TLS")]
    InClear(Socket),
}

/// Makes the handshake; `received` is what came already.
pub(in crate::server) async fn accept(
    tls: Arc<Tls>,
    stream: TcpStream,
    received: BytesMut,
) -> Result<(Socket, Secured), Failure> {
    let first = match received.first() {
        Some(first) => *first,
        None => peek(&stream).await.map_err(Failure::Handshake)?,
    };
    // A record of a handshake begins with 22 (RFC 8446 section 5.1), a request with a method's name.
    if first.is_ascii_uppercase() {
        return Err(Failure::InClear(Socket::new(stream)));
    }
    let start = hello(Begun { received, stream }).await.map_err(Failure::Handshake)?;
    let StartHandshake { accepted, io: Begun { mut received, stream }, .. } = start;
    let config = Arc::clone(tls.config_for(&accepted.client_hello()));
    let start = StartHandshake::from_parts(accepted, stream);
    let accepting = start.into_stream_with(config, |session| feed(session, &mut received));
    let stream = accepting.await.map_err(Failure::Handshake)?;
    let secured = Secured::new(tls, &stream);
    Ok((Socket::secured(stream), secured))
}

/// Reads the first message, by which is chosen what answers it.
async fn hello(beginning: Begun) -> io::Result<StartHandshake<Begun>> {
    let mut reading = LazyConfigAcceptor::new(Acceptor::default(), beginning);
    let error = match (&mut reading).await {
        Ok(start) => return Ok(start),
        Err(error) => error,
    };
    // rustls has no alert for a message that is no hello. It is written where there is room, which there is.
    if let Some(Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. }) =
        cause(&error)
        && let Some(beginning) = reading.take_io()
    {
        let _ = beginning.stream.try_write(&UNEXPECTED_MESSAGE);
    }
    Err(error)
}

/// A record of an alert, fatal: `unexpected_message` (RFC 8446 section 6).
const UNEXPECTED_MESSAGE: [u8; 7] = [21, 3, 3, 0, 2, 2, 10];

fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|within| within.downcast_ref())
}

async fn peek(stream: &TcpStream) -> io::Result<u8> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0]),
    }
}

/// A connection of which some was read: that comes first.
struct Begun {
    received: BytesMut,
    stream: TcpStream,
}

impl AsyncRead for Begun {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { received, stream } = self.get_mut();
        if received.is_empty() {
            return Pin::new(stream).poll_read(context, buffer);
        }
        buffer.put_slice(&received.split_to(received.len().min(buffer.remaining())));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Gives a session what was read before it began. What is wrong with that is seen when the handshake
/// goes on.
fn feed(session: &mut ServerConnection, received: &mut BytesMut) {
    while received.has_remaining() {
        let read = session.read_tls(&mut received.reader());
        if !matches!(read, Ok(1..)) || session.process_new_packets().is_err() {
            return;
        }
    }
}

impl Secured {
    fn new(tls: Arc<Tls>, stream: &TlsStream<TcpStream>) -> Self {
        let (_, session) = stream.get_ref();
        Self {
            name: session.server_name().map(|name| name.to_ascii_lowercase().into()),
            version: session.protocol_version(),
            is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            is_http2: session.alpn_protocol() == Some(HTTP_2),
            client: session.peer_certificates().and_then(<[_]>::first).map(client_cert),
            tls,
        }
    }

    /// Gives what it was accepted by.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Tells whether a request for this host may be meant for somebody else.
    pub fn is_misdirected(&self, host: &str) -> bool {
        self.tls.is_misdirected(self.name.as_deref(), host)
    }

    /// Gives the certificate that the client has shown, as a field's value.
    pub fn client(&self) -> Option<&HeaderValue> {
        self.client.as_ref()
    }

    /// Tells whether it goes on with a session of before.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Tells whether HTTP/2 is spoken.
    pub fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// Gives the version that is spoken, as logs have it.
    pub fn version(&self) -> &'static str {
        match self.version {
            Some(ProtocolVersion::TLSv1_2) => "1.2",
            _ => "1.3",
        }
    }
}

impl Failure {
    /// Gives the class that it is counted in.
    pub(in crate::server) fn class(&self) -> Unmade {
        let Self::Handshake(error) = self else { return Unmade::Clear };
        match cause(error) {
            None => Unmade::Closed,
            Some(Error::AlertReceived(_)) => Unmade::Refused,
            Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => {
                Unmade::Certificate
            }
            // Of no certificate that the client can use there is but a sentence.
            Some(Error::General(_) | Error::PeerIncompatible(_)) => Unmade::Incompatible,
            Some(_) => Unmade::Malformed,
        }
    }
}

/// Writes a certificate as an upstream is told it (RFC 9440 section 2.1).
fn client_cert(certificate: &CertificateDer<'_>) -> HeaderValue {
    field_value(&format!(":{}:", BASE64_STANDARD.encode(certificate)))
}
