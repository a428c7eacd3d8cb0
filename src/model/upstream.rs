//! An upstream: the paid API behind the gateway.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};

/// An upstream in its checked form.
#[derive(Debug)]
pub struct Upstream {
    /// The upstream's key in the file.
    pub id: Arc<str>,
    /// Where it is.
    pub endpoints: Endpoints,
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
}

/// An upstream's addresses: at least one.
#[derive(Debug)]
pub struct Endpoints {
    first: Endpoint,
    others: Box<[Endpoint]>,
}

/// One address of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    /// Host name or address, as it is dialled; an IPv6 address without brackets.
    pub host: Arc<str>,
    /// The port, the scheme's default filled in.
    pub port: u16,
    /// The `Host` that stands for its own: host, and the port unless it is the scheme's default.
    pub authority: HeaderValue,
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

/// Which `Host` an upstream sees.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HostHeader {
    /// The caller's.
    Preserve,
    /// The upstream's own.
    #[default]
    Upstream,
}
