//! TLS to the server: always verified, with the name that was dialled.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect},
};
use tokio_rustls::{TlsConnector, client};

use crate::{
    store::postgres::server::Trust,
    tls::{Roots, RootsError, TlsVersion, provider},
};

/// Makes connections by TLS.
#[derive(Clone)]
pub(super) struct Connector(Arc<ClientConfig>);

/// Why it cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustError {
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Connector {
    /// Reads the certificates of those who are believed.
    pub(super) fn new(trust: &Trust) -> Result<Self, TrustError> {
        let roots = match trust {
            Trust::File(path) => Roots::read(path)?,
            Trust::System => Roots::system()?,
        };
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(TlsVersion::default().and_newer())?
            .with_root_certificates(Arc::clone(roots.store()))
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Handshake> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Handshake { connector: TlsConnector::from(Arc::clone(&self.0)), name })
    }
}

/// What makes one handshake.
pub(super) struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move { self.connector.connect(self.name, socket).await.map(Stream) })
    }
}

/// A connection by TLS.
pub(super) struct Stream(client::TlsStream<Socket>);

impl tokio_postgres::tls::TlsStream for Stream {
    /// The certificate is verified, which says as much of who is on the other side.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
