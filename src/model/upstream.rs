//! An upstream: the paid API behind the gateway.

use std::{fmt, ops::RangeInclusive, path::Path, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};

use crate::upstream::tls::{Identity, Tls};

/// An upstream in its checked form.
#[derive(Debug)]
pub struct Upstream {
    /// The upstream's key in the file.
    pub id: Arc<str>,
    /// Where it is.
    pub endpoints: Endpoints,
    /// Which HTTP it speaks.
    pub version: HttpVersion,
    /// What is put before each path; empty, or starting with a slash and not ending in one.
    pub base_path: Arc<str>,
    /// Time to an open connection.
    pub connect_timeout: Duration,
    /// Time from the last byte sent to the head of the answer.
    pub response_timeout: Duration,
    /// Time between two pieces of the answer's body.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept.
    pub keepalive_timeout: Duration,
    /// Fields set on each request; the values are secrets and marked sensitive.
    pub set_headers: Vec<(HeaderName, HeaderValue)>,
    /// Which `Host` the upstream sees.
    pub host_header: HostHeader,
    /// How its endpoints are checked; `None` where requests alone tell how they do.
    pub health: Option<Health>,
    /// How many connections each endpoint has at most; `None` where there may be any number.
    pub limit: Option<Limit>,
    /// How many times a request that may be made again is.
    pub retries: u32,
    /// What TLS is spoken by; `None` means in clear.
    pub tls: Option<Arc<Tls>>,
}

impl Upstream {
    /// Gives what tells its connections from those that were made otherwise; `None` is in clear.
    pub fn tls_identity(&self) -> Option<Identity> {
        self.tls.as_deref().map(Tls::identity)
    }
}

/// Requests of the gateway's own that tell whether an endpoint can take others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Health {
    /// What is asked, and which answers pass.
    pub question: Question,
    /// From the end of a check to the next one.
    pub interval: Duration,
    /// For a whole check, from the connection on.
    pub timeout: Duration,
    /// How many failures in succession leave an endpoint out.
    pub fails: u32,
    /// How many successes in succession bring it back.
    pub passes: u32,
}

/// What a check asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Question {
    /// A GET.
    Get {
        /// What is asked for, as it is sent.
        path: Arc<str>,
        /// Which statuses pass.
        status: RangeInclusive<u16>,
    },
    /// A call of gRPC's own health service, which passes when that is serving.
    Grpc {
        /// Which service; empty for the whole server.
        service: Arc<str>,
    },
}

/// How many connections an endpoint has at most, and who waits for one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// Of all workers together, those that no request uses too.
    pub connections: usize,
    /// How many requests wait at most.
    pub queue_length: usize,
    /// And for how long.
    pub queue_timeout: Duration,
}

/// An upstream's addresses: at least one.
#[derive(Debug)]
pub struct Endpoints {
    first: Endpoint,
    others: Box<[Endpoint]>,
}

/// One address of an upstream.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it is dialled.
    pub address: Address,
    /// What it is called in metrics and messages.
    pub name: Arc<str>,
    /// The `Host` that stands for its own: host, and the port unless it is the scheme's default.
    pub authority: HeaderValue,
}

/// Where an endpoint is dialled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// By TCP.
    Tcp {
        /// Host name or address; an IPv6 address without brackets.
        host: Arc<str>,
        /// The port, the scheme's default filled in.
        port: u16,
    },
    /// On the same machine, by a socket in the file system.
    Unix(Arc<Path>),
}

impl Endpoint {
    /// Makes one.
    pub fn new(address: Address, authority: HeaderValue) -> Self {
        let name = address.to_string().into();
        Self { address, name, authority }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Endpoints {
    /// How many an upstream has at most; their numbers are bits of one word.
    pub const MAX: usize = 64;

    /// Makes them of the first and all others, in the order of the file.
    pub fn new(first: Endpoint, others: Vec<Endpoint>) -> Self {
        Self { first, others: others.into() }
    }

    /// Tells whether there is nothing to choose.
    pub fn is_single(&self) -> bool {
        self.others.is_empty()
    }

    /// Gives the first.
    pub fn first(&self) -> &Endpoint {
        &self.first
    }

    /// Gives one by its number.
    pub fn get(&self, index: usize) -> Option<&Endpoint> {
        match index.checked_sub(1) {
            None => Some(&self.first),
            Some(index) => self.others.get(index),
        }
    }

    /// Gives all, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// Which HTTP an upstream speaks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HttpVersion {
    /// HTTP/1.1, one request at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2, known beforehand (RFC 9113 section 3.3).
    Http2,
}

/// Which `Host` an upstream sees.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HostHeader {
    /// The caller's.
    Preserve,
    /// The upstream's own.
    #[default]
    Upstream,
}
