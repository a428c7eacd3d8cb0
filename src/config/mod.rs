//! The configuration in its checked form: what the program runs on.
//!
//! A file becomes a [`Config`] in two steps: `file` reads each value where it stands, `check`
//! compares them with one another. Both report every problem, so that one look shows all.

mod check;
mod describe;
mod excerpt;
mod file;
mod load;
mod online;
mod report;
mod secret;
mod wording;

#[cfg(test)]
mod tests;

pub use describe::describe;
pub use load::{LoadError, Loaded, admin_listen, find, load, load_online};
pub use report::{Colour, Problem, Purpose, Report, Severity, Span};

use std::{
    collections::HashMap, net::SocketAddr, num::NonZeroU64, path::PathBuf, sync::Arc,
    time::Duration,
};

use http::{HeaderName, StatusCode};
use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::{
    answer::Code,
    guesses::GuessLimit,
    model::{ApiKey, CustomerTerms, Durability, Plan, Route, Upstream},
    pay::{mpp, x402::Terms},
    server::tls::Tls,
    store::Database,
    telemetry::{access_log, level::Level, messages, traces::Traces},
    tls::TlsVersion,
    webhooks::Endpoint,
};

/// A whole configuration without mistakes.
#[derive(Debug)]
pub struct Config {
    /// The data listener.
    pub server: Server,
    /// The admin listener.
    pub admin: Admin,
    /// Where usage is kept.
    pub store: Store,
    /// For how long what is told about the past is kept.
    pub retention: Retention,
    /// What is written about requests and about the gateway itself.
    pub log: Log,
    /// Where a key may stand in a request.
    pub key_locations: Vec<KeyLocation>,
    /// Which pages of other origins may use the API; `None` leaves that to the upstreams.
    pub cors: Option<Cors>,
    /// How many keys may fail from one address; `None` means any number.
    pub guesses: Option<GuessLimit>,
    /// Another status for a code.
    pub status_by_code: HashMap<Code, StatusCode>,
    /// What is told by webhook, and where to.
    pub webhooks: Webhooks,
    /// Which requests are traced, and where that goes; `None` when none is.
    pub traces: Option<Arc<Traces>>,
    /// What payments with requests go by; `None` takes none.
    pub x402: Option<Arc<Terms>>,
    /// What payments by the scheme `Payment` go by beside that; `None` takes none.
    pub mpp: Option<Arc<mpp::Terms>>,
    /// Upstreams by id, in the file's order.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Routes in the file's order; no two overlap.
    pub routes: Vec<Arc<Route>>,
    /// Plans in the file's order.
    pub plans: Vec<Arc<Plan>>,
    /// Customers in the file's order.
    pub customers: Vec<Arc<CustomerTerms>>,
    /// Their keys; no two have one digest or one id.
    pub keys: Vec<Arc<ApiKey>>,
}

/// The data listener.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// Its address.
    pub listen: SocketAddr,
    /// How callers reach it, without a slash at the end; `None` means the request's Host.
    pub public_url: Option<Arc<str>>,
    /// The paths the gateway answers itself; no slash at the end.
    pub reserved_prefix: Arc<str>,
    /// How long a stop waits for requests in flight.
    pub drain_timeout: Duration,
    /// Threads that serve requests; `None` means one per processor.
    pub workers: Option<usize>,
    /// What TLS is spoken by; `None` means in clear.
    pub tls: Option<ServerTls>,
    /// The networks of proxies that are believed about whom they forward for.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether each connection comes from one of these and begins with a header of the PROXY
    /// protocol.
    pub proxy_protocol: bool,
    /// Further addresses at which the same is served.
    pub listeners: Vec<Listener>,
    /// What one request and one connection may take.
    pub limits: ServerLimits,
}

/// A further address of the data listener, and what is spoken there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    /// The address.
    pub listen: SocketAddr,
    /// What TLS is spoken by; `None` means in clear.
    pub tls: Option<ServerTls>,
    /// Whether each connection begins with a header of the PROXY protocol, as in [`Server`].
    pub proxy_protocol: bool,
}

impl Server {
    /// Lists what is spoken at each address: by what TLS, and whether a header of the PROXY protocol comes first.
    /// The first is that of `[server]` itself.
    pub fn spoken(&self) -> impl Iterator<Item = (Option<&ServerTls>, bool)> {
        let further = self.listeners.iter().map(|of| (of.tls.as_ref(), of.proxy_protocol));
        std::iter::once((self.tls.as_ref(), self.proxy_protocol)).chain(further)
    }
}

/// TLS of the data listener.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerTls {
    /// The files of the certificates; the first is shown to whoever asks for no host of the others.
    pub certificates: Vec<Certificate>,
    /// The file of those who vouch for clients.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show certificates; `None` where nobody vouches for them.
    pub client_auth: Option<ClientAuth>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// How long browsers remember to come by TLS alone.
    pub hsts: Option<Duration>,
    /// A listener in clear that sends its callers here.
    pub redirect: Option<SocketAddr>,
    /// What was read from the files.
    pub ready: Arc<Tls>,
}

/// The files of a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// The certificate and those that it was issued by.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientAuth {
    /// Who has none is served all the same.
    Optional,
    /// Who has none gets no connection.
    Required,
}

impl ClientAuth {
    /// Each with its name in the file.
    pub const ALL: [(&'static str, Self); 2] =
        [("required", Self::Required), ("optional", Self::Optional)];
}

/// What one request and one connection may take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerLimits {
    /// Open connections in total.
    pub connections: usize,
    /// TLS handshakes that are under way at once.
    pub handshakes: usize,
    /// Requests under way at once on one connection of HTTP/2.
    pub streams: u32,
    /// Open connections of one address; `None` means any number.
    pub connections_per_address: Option<usize>,
    /// Request line and header fields together.
    pub header_bytes: usize,
    /// Number of header fields.
    pub headers: usize,
    /// A request's body.
    pub body_bytes: u64,
    /// From the first byte of a request to the end of its header.
    pub header_timeout: Duration,
    /// No progress in either direction.
    pub idle_timeout: Duration,
    /// The whole request; `None` means without end.
    pub request_timeout: Option<Duration>,
    /// Bytes per second of a body while the client is waited for; `None` is as slow as it likes.
    pub minimum_rate: Option<NonZeroU64>,
    /// The memory above which work is turned away.
    pub memory: MemoryLimit,
}

/// The memory above which work is turned away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MemoryLimit {
    /// So many bytes of the process's own.
    Bytes(u64),
    /// None, however much it takes.
    None,
    /// By the limit of the control group, where there is one.
    OfGroup,
}

/// The admin listener.
#[derive(Debug)]
pub struct Admin {
    /// Its address.
    pub listen: SocketAddr,
    /// The bearer token; `None` means the one in the journal directory.
    pub token: Option<Secret>,
    /// A second token, which changes nothing.
    pub read_token: Option<Secret>,
    /// Names by which the listener may be called, beside addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// Where usage is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Store {
    /// The database.
    pub database: Database,
    /// The directory of the journal.
    pub journal: PathBuf,
    /// What a request's record survives.
    pub durability: Durability,
}

/// For how long what is told about the past is kept. Apart from [`Store`], because a reload may change
/// it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retention {
    /// What is known of single requests; zero keeps none of it.
    pub requests: Duration,
    /// The most bytes that this may take; what is oldest goes first.
    pub requests_size: u64,
    /// Entries of the ledger.
    pub entries: Duration,
    /// Answers that a payment with the request paid for; zero keeps none of them.
    pub answers: Duration,
}

/// What is written about requests and about the gateway itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// Where the line of each request goes.
    pub access: AccessLog,
    /// How these lines are written.
    pub access_format: access_log::Format,
    /// How the gateway's own messages are written.
    pub format: messages::Format,
    /// The least important of these messages that are written, in all and by module.
    pub level: Level,
}

/// Where the line of each request goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AccessLog {
    /// Appended to a file.
    File(PathBuf),
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
}

/// What is told by webhook, and where to.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// The operator's endpoint; without one only customers with endpoints of their own are told.
    pub endpoint: Option<Arc<Endpoint>>,
    /// The parts of a quota, in percent, whose use is told; ascending.
    pub thresholds: Arc<[u8]>,
    /// How long before it an end is told.
    pub ahead: Duration,
}

impl Default for Webhooks {
    fn default() -> Self {
        let ahead = Duration::from_secs(7 * 24 * 3600);
        Self { endpoint: None, thresholds: [50, 80, 100].into(), ahead }
    }
}

/// Which pages of other origins may use the API, and what they may send and read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cors {
    /// Origins as browsers write them, or `*` alone for any.
    pub origins: Vec<Arc<str>>,
    /// Fields that a page may send, beside those that any page may.
    pub headers: Vec<HeaderName>,
    /// Fields of answers that a page may read, beside the gateway's own.
    pub expose: Vec<HeaderName>,
    /// Whether a page may send cookies.
    pub credentials: bool,
    /// How long a browser may remember a preflight; whole seconds.
    pub max_age: Duration,
}

/// Where a key may stand in a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyLocation {
    /// The user of `Authorization: Basic`.
    Basic,
    /// `Authorization: Bearer`.
    Bearer,
    /// A cookie of this name.
    Cookie(Arc<str>),
    /// A header field of this name; `X-API-Key` is one.
    Header(HeaderName),
    /// A query parameter of this name.
    Query(Arc<str>),
}

impl KeyLocation {
    /// Gives `X-API-Key`.
    pub fn x_api_key() -> Self {
        Self::Header(HeaderName::from_static("x-api-key"))
    }

    /// Gives the places where a key is looked for if none is named.
    pub fn defaults() -> Vec<Self> {
        vec![Self::Bearer, Self::x_api_key(), Self::Basic]
    }
}

/// A secret's value, which is not printed and is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// Gives the value, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
