//! TLS to upstreams: whom to believe, what is shown, and the handshake.
//!
//! Invariant: a connection keeps what it was made by, and serves nobody who asks for something else. Whether that
//! is so is told by an [`Identity`], so that a reload that changes nothing of it leaves connections in use.

mod failure;

use std::{fmt, io, path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, HandshakeKind, client::Resumption, pki_types::ServerName, sign::SingleCertAndKey,
};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(super) use self::failure::{InWords, in_words};
use crate::{
    http1::{Socket, Stream},
    model::{Address, HttpVersion},
    tls::{Pair, Roots, TlsVersion, Validity, provider},
};

/// Gives the name of the protocol that is offered.
fn protocol(version: HttpVersion) -> &'static [u8] {
    match version {
        HttpVersion::Http1 => b"http/1.1",
        HttpVersion::Http2 => b"h2",
    }
}

/// How many sessions are kept to be resumed, for all workers: eight of each of 64 names.
const SESSIONS_MAX: usize = 8 * 64;

/// What TLS connections to an upstream are made by.
pub struct Tls {
    config: Arc<ClientConfig>,
    identity: Identity,
    settings: Settings,
    /// Of what is shown.
    validity: Option<Validity>,
}

/// What it is made of.
#[derive(Debug)]
pub struct Terms {
    /// Those who vouch for the upstream.
    pub roots: Roots,
    /// What is shown to who asks for it.
    pub pair: Option<Pair>,
    /// What the configuration says.
    pub settings: Settings,
}

/// What the configuration says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// The file of those who vouch for the upstream; `None` where the system says who does.
    pub ca: Option<PathBuf>,
    /// The file of the certificate that is shown.
    pub cert: Option<PathBuf>,
    /// The file of its key.
    pub key: Option<PathBuf>,
    /// What is asked for and verified; `None` is the host that is dialled.
    pub server_name: Option<ServerName<'static>>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Which HTTP is spoken within it.
    pub version: HttpVersion,
}

/// Tells connections apart by what they were made by: a digest of everything that decides whom is believed,
/// and what is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity([u8; 32]);

impl Tls {
    /// Makes it.
    pub fn new(terms: Terms) -> Result<Self, rustls::Error> {
        let Terms { roots, pair, settings } = terms;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(settings.min_version.and_newer())?
            .with_root_certificates(Arc::clone(roots.store()));
        let mut config = match &pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let shown = SingleCertAndKey::from(Arc::clone(pair.key()));
                builder.with_client_cert_resolver(Arc::new(shown))
            }
        };
        config.alpn_protocols = vec![protocol(settings.version).to_vec()];
        // They end with this, so that none outlives the trust that it was begun under.
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        // A request that went early could be sent again by who saw it go by (RFC 8446 section 8).
        config.enable_early_data = false;
        Ok(Self {
            config: Arc::new(config),
            identity: identity(&roots, pair.as_ref(), &settings),
            validity: pair.map(|pair| pair.validity().clone()),
            settings,
        })
    }

    /// Makes the handshake on an open connection to this address.
    pub(super) async fn connect(
        &self,
        stream: Stream,
        address: &Address,
    ) -> io::Result<(Stream, Handshake)> {
        let (Stream::Tcp(stream), Some(name)) = (stream, self.name(address)) else {
            let message = "TLS is spoken to hosts alone";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, stream).await.map_err(|error| in_words(&error))?;
        let made = Handshake::of(&stream);
        let is_agreed = stream.get_ref().1.alpn_protocol() == Some(protocol(HttpVersion::Http2));
        // Who speaks it says so (RFC 9113 section 3.2).
        if self.settings.version == HttpVersion::Http2 && !is_agreed {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it does not speak HTTP/2"));
        }
        Ok((Socket::secured(stream).into_stream(), made))
    }

    /// Gives the name that is asked for and verified.
    fn name(&self, address: &Address) -> Option<ServerName<'static>> {
        match (&self.settings.server_name, address) {
            (Some(name), _) => Some(name.clone()),
            (None, Address::Tcp { host, .. }) => ServerName::try_from(host.to_string()).ok(),
            (None, Address::Unix(_)) => None,
        }
    }

    /// Gives what tells its connections from others.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Gives what the configuration says.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Gives until when the certificate holds that is shown.
    pub fn validity(&self) -> Option<&Validity> {
        self.validity.as_ref()
    }

    /// Gives the files that it was read from: a change of one is a reason to read them again.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let Settings { ca, cert, key, server_name: _, min_version: _, version: _ } = &self.settings;
        [ca, cert, key].into_iter().flatten()
    }
}

fn identity(roots: &Roots, pair: Option<&Pair>, settings: &Settings) -> Identity {
    let Settings { ca: _, cert: _, key: _, server_name, min_version, version } = settings;
    let mut hash = Sha256::new();
    hash.update(roots.digest());
    hash.update([*min_version as u8, *version as u8]);
    let name = server_name.as_ref().map(ServerName::to_str).unwrap_or_default();
    hash.update(name.as_bytes());
    // No name has it in it.
    hash.update([0]);
    // The key is that of the first.
    pair.into_iter().flat_map(|pair| &pair.key().cert).for_each(|shown| hash.update(shown));
    Identity(hash.finalize().into())
}

impl fmt::Debug for Tls {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Handshake {
    /// There is no connection.
    Failed,
    /// The upstream has shown its certificate.
    Full,
    /// It has done so before.
    Resumed,
}

impl Handshake {
    /// Each as it is shown.
    pub const NAMES: [&'static str; 3] = ["failed", "full", "resumed"];

    fn of(stream: &TlsStream<TcpStream>) -> Self {
        match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Resumed) => Self::Resumed,
            _ => Self::Full,
        }
    }
}
