//! TLS before a scripted upstream: a server that makes the handshake and passes on what both sides say.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::Upstream;

/// A server within TLS.
pub(crate) struct Front {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Result<Handshake, String>>>>,
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

/// What a handshake told.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    pub(crate) kind: HandshakeKind,
    pub(crate) version: ProtocolVersion,
    /// The host that was asked for.
    pub(crate) name: Option<String>,
    /// The protocol that was agreed on.
    pub(crate) protocol: Option<Vec<u8>>,
    /// The exchange of keys.
    pub(crate) group: Option<String>,
    /// The certificate that the client has shown.
    pub(crate) shown: Option<Vec<u8>>,
}

impl Front {
    /// Starts one before an upstream.
    pub(crate) fn start(config: ServerConfig, upstream: &Upstream) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let front = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            config: Arc::new(Mutex::new(Arc::new(config))),
        };
        let (seen, config) = (Arc::clone(&front.seen), Arc::clone(&front.config));
        let behind = upstream.address();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // The thread waits for connections until the process ends.
        std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let config = Arc::clone(&config.lock().unwrap());
                    tokio::spawn(serve(stream, config, behind, Arc::clone(&seen)));
                }
            });
        });
        front
    }

    /// Has further connections see another configuration.
    pub(crate) fn set(&self, config: ServerConfig) {
        *self.config.lock().unwrap() = Arc::new(config);
    }

    /// Gives its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the handshakes so far, or why there was none.
    pub(crate) fn seen(&self) -> Vec<Result<Handshake, String>> {
        self.seen.lock().unwrap().clone()
    }

    /// Gives the handshakes that were made.
    pub(crate) fn handshakes(&self) -> Vec<Handshake> {
        self.seen().into_iter().filter_map(Result::ok).collect()
    }
}

async fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    behind: SocketAddr,
    seen: Arc<Mutex<Vec<Result<Handshake, String>>>>,
) {
    stream.set_nodelay(true).unwrap();
    let mut stream = match TlsAcceptor::from(config).accept(stream).await {
        Ok(stream) => stream,
        Err(error) => return seen.lock().unwrap().push(Err(error.to_string())),
    };
    let (_, session) = stream.get_ref();
    seen.lock().unwrap().push(Ok(Handshake {
        kind: session.handshake_kind().unwrap(),
        version: session.protocol_version().unwrap(),
        name: session.server_name().map(ToOwned::to_owned),
        protocol: session.alpn_protocol().map(ToOwned::to_owned),
        group: session.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name())),
        shown: session.peer_certificates().map(|shown| shown[0].to_vec()),
    }));
    let mut behind = TcpStream::connect(behind).await.unwrap();
    behind.set_nodelay(true).unwrap();
    // It ends with either side, which may break off.
    let _ = copy_bidirectional(&mut stream, &mut behind).await;
}
