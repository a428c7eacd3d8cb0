//! TLS of the data listener: which certificate a client is shown, and what it shows of its own.
//!
//! Invariant: a connection keeps what it was accepted by. A reload makes everything anew, so that no
//! connection sees half of a change, and a pair that does not fit never takes the place of one that does.

mod certificates;
mod handshake;
mod trust;

use std::{fmt, path::PathBuf, sync::Arc};

use http::HeaderValue;
use rustls::{
    ServerConfig, SupportedCipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, NoServerSessionStorage, ProducesTickets, WantsServerCert},
};

use self::certificates::Certificates;
pub(super) use self::handshake::{Failure, accept};
pub use self::{handshake::Secured, trust::Trust};
use crate::tls::{Pair, TlsVersion, Validity, provider};

/// The protocols that a client may choose from, the preferred one first.
const PROTOCOLS: [&[u8]; 3] = [HTTP_2, b"http/1.1", b"http/1.0"];

/// The name of HTTP/2 (RFC 9113 section 3.2).
const HTTP_2: &[u8] = b"h2";

/// What TLS connections of a listener are accepted by.
pub struct Tls {
    config: Arc<ServerConfig>,
    /// The same in the client's order of suites.
    in_client_order: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    hsts: Option<HeaderValue>,
    files: Vec<PathBuf>,
    validities: Vec<Validity>,
}

/// What it is made of.
#[derive(Debug)]
pub struct Terms {
    /// At least one; a client that names none of their hosts is shown the first.
    pub pairs: Vec<Pair>,
    /// Whom clients must be vouched for by; `None` where they show no certificate.
    pub trust: Option<Trust>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// What browsers are told to remember (RFC 6797).
    pub hsts: Option<HeaderValue>,
    /// The files that it was read from.
    pub files: Vec<PathBuf>,
}

impl Tls {
    /// Makes it.
    pub fn new(terms: Terms) -> Result<Self, rustls::Error> {
        let Terms { pairs, trust, min_version, hsts, files } = terms;
        let validities = pairs.iter().map(|pair| pair.validity().clone()).collect();
        let builder = ServerConfig::builder_with_provider(cheapest_first())
            .with_protocol_versions(min_version.and_newer())?;
        let tickets = tickets(trust.is_some())?;
        let builder = match trust {
            Some(trust) => builder.with_client_cert_verifier(trust.verifier),
            None => builder.with_no_client_auth(),
        };
        let certificates = Arc::new(Certificates::new(&pairs));
        let in_client_order = configured(builder, Arc::clone(&certificates), tickets);
        let mut config = in_client_order.clone();
        config.ignore_client_order = true;
        let (config, in_client_order) = (Arc::new(config), Arc::new(in_client_order));
        Ok(Self { config, in_client_order, certificates, hsts, files, validities })
    }

    /// Gives what a client is accepted by. The order of suites is ours; but who would rather have ChaCha20
    /// than all others has no AES in its hardware, and for that the two differ by far more than for us.
    fn config_for(&self, hello: &ClientHello<'_>) -> &Arc<ServerConfig> {
        let first = hello.cipher_suites().first().and_then(|suite| suite.as_str());
        if first.is_some_and(|name| name.contains("CHACHA20")) {
            &self.in_client_order
        } else {
            &self.config
        }
    }

    /// Tells whether a host has a certificate of its own, and it is not the one that was shown to who asked
    /// for `name`: the request may be meant for somebody else (RFC 9110 section 7.4).
    pub fn is_misdirected(&self, name: Option<&str>, host: &str) -> bool {
        self.certificates.is_of_another(name, host)
    }

    /// Gives what browsers are told to remember.
    pub fn hsts(&self) -> Option<&HeaderValue> {
        self.hsts.as_ref()
    }

    /// Gives the files that it was read from: a change of one is a reason to read them again.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Gives until when its certificates hold.
    pub fn validities(&self) -> &[Validity] {
        &self.validities
    }
}

fn configured(
    builder: rustls::ConfigBuilder<ServerConfig, WantsServerCert>,
    certificates: Arc<Certificates>,
    tickets: Arc<dyn ProducesTickets>,
) -> ServerConfig {
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // Sessions are resumed by what the client keeps. Nothing grows here with the number of clients.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = tickets;
    // One serves the client's next connection, and each costs a record on every full handshake.
    config.send_tls13_tickets = 1;
    // A request that came early could be sent again by who saw it go by (RFC 8446 section 8).
    config.max_early_data_size = 0;
    config
}

/// Gives the provider with AES-128 before AES-256: neither can be broken, and with it come SHA-256, which
/// processors compute themselves, and not SHA-384, which was a fifteenth of a handshake where they do not.
fn cheapest_first() -> Arc<CryptoProvider> {
    let mut provider = CryptoProvider::clone(&provider());
    let is_small = |suite: &SupportedCipherSuite| {
        suite.suite().as_str().is_some_and(|name| name.contains("AES_128"))
    };
    provider.cipher_suites.sort_by_key(|suite| !is_small(suite));
    provider.into()
}

/// Gives what makes tickets. It is the process's, so that sessions outlive a reload; but a resumed session
/// has a certificate of the client's that nobody looks at again, so where clients show one the tickets end
/// with the trust that they were given under.
fn tickets(has_client_certificates: bool) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    static SHARED: std::sync::OnceLock<Arc<dyn ProducesTickets>> = std::sync::OnceLock::new();
    if has_client_certificates {
        return aws_lc_rs::Ticketer::new();
    }
    if let Some(shared) = SHARED.get() {
        return Ok(Arc::clone(shared));
    }
    let made = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::clone(SHARED.get_or_init(|| made)))
}

/// What was read twice may differ in ways that nobody can see: only one and the same is equal.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}
