//! Where a request comes from, as the trusted proxy says that sent it.
//!
//! One family of fields is read: `X-Forwarded-*`, or `Forwarded` where that is there and
//! `X-Forwarded-For` is not. A proxy that writes one of them may pass the other on as its client
//! sent it, so they are never mixed.
//!
//! Invariant: the client is the right-most address that is no trusted proxy's. Each hop adds to the
//! right, so what stands further left is hearsay; and so is all that stands left of what cannot be
//! read.

mod forwarded;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::{answer::headers::field_value, chain::target::Host};

/// What a trusted proxy says of a request.
#[derive(Debug)]
pub struct Origin {
    client: IpAddr,
    chain: HeaderValue,
    scheme: Scheme,
    host: Option<Host>,
    request_id: Option<HeaderValue>,
}

/// How the client speaks to the outermost proxy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scheme {
    /// Also where no proxy says it.
    #[default]
    Http,
    /// By TLS.
    Https,
}

static FORWARDED: HeaderName = http::header::FORWARDED;
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Tells whether an address is that of a trusted proxy.
pub fn is_trusted(trusted: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

impl Origin {
    /// Reads the fields of a request that came from this peer; `None` unless the peer is trusted.
    pub fn read(fields: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Option<Self> {
        if !is_trusted(trusted, peer) {
            return None;
        }
        let peer = peer.to_canonical();
        let request_id = request_id(fields);
        let is_standard = fields.contains_key(&FORWARDED) && !fields.contains_key(&X_FORWARDED_FOR);
        Some(match is_standard {
            true => Self { request_id, ..Self::by_standard(fields, peer, trusted) },
            false => Self { request_id, ..Self::by_custom(fields, peer, trusted) },
        })
    }

    /// Reads `Forwarded` (RFC 7239).
    fn by_standard(fields: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Self {
        let nodes = forwarded::elements(fields).map(|element| node(&element?.node?));
        let hops = believed(nodes, trusted);
        let mut chain: String = hops.iter().rev().map(|hop| format!("{hop}, ")).collect();
        chain.push_str(&peer.to_string());
        let nearest = forwarded::elements(fields).next().flatten().unwrap_or_default();
        Self {
            client: hops.last().copied().unwrap_or(peer),
            chain: field_value(&chain),
            scheme: nearest.proto.and_then(|proto| Scheme::parse(&proto)).unwrap_or_default(),
            host: nearest.host.and_then(|host| parse_host(&host)),
            request_id: None,
        }
    }

    /// Reads `X-Forwarded-For`, `-Proto` and `-Host`.
    fn by_custom(fields: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Self {
        let hops = believed(from_right(fields, &X_FORWARDED_FOR).map(node), trusted);
        let nearest = |name| from_right(fields, name).next();
        Self {
            client: hops.last().copied().unwrap_or(peer),
            chain: chain(fields, peer),
            scheme: nearest(&X_FORWARDED_PROTO).and_then(Scheme::parse).unwrap_or_default(),
            host: nearest(&X_FORWARDED_HOST).and_then(parse_host),
            request_id: None,
        }
    }

    /// Gives the client's address.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Gives the addresses that the request came by, as `X-Forwarded-For` has them, the peer's
    /// last.
    pub fn chain(&self) -> &HeaderValue {
        &self.chain
    }

    /// Gives the client's scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Gives the host that the client asked for; `None` where the proxy does not say it.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// Gives the id that the request has outside of the gateway.
    pub fn request_id(&self) -> Option<&HeaderValue> {
        self.request_id.as_ref()
    }
}

impl Scheme {
    /// Gives its name, as fields have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Reads its name, whose case does not matter; other schemes are none of a gateway's callers.
    fn parse(name: &[u8]) -> Option<Self> {
        [Self::Http, Self::Https]
            .into_iter()
            .find(|scheme| name.eq_ignore_ascii_case(scheme.name().as_bytes()))
    }
}

/// Follows hops from the nearest to the first that is not trusted, or as far as they can be read.
fn believed(nodes: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> Vec<IpAddr> {
    let mut hops = Vec::new();
    for address in nodes.map_while(|node| node) {
        hops.push(address);
        if !is_trusted(trusted, address) {
            break;
        }
    }
    hops
}

/// Gives the members of a list, the last one first.
fn from_right<'a>(
    fields: &'a HeaderMap,
    name: &'static HeaderName,
) -> impl Iterator<Item = &'a [u8]> {
    let values = fields.get_all(name).iter().rev();
    let members = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    members.map(<[u8]>::trim_ascii)
}

/// Writes all of `X-Forwarded-For`, as it came, and the peer.
fn chain(fields: &HeaderMap, peer: IpAddr) -> HeaderValue {
    let peer = peer.to_string();
    let mut text = Vec::new();
    for value in fields.get_all(&X_FORWARDED_FOR) {
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(peer.as_bytes());
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| field_value(&peer))
}

/// Reads the address of a hop, which may have a port behind it (RFC 7239 section 6). A name,
/// `unknown` and what is obfuscated are no addresses.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let is_whole = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return is_whole.then(|| IpAddr::from(address).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = text.split_once(':')?;
    let address: Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(address.into())
}

/// Tells a port, which may be obfuscated.
fn is_port(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(is_name),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn parse_host(text: &[u8]) -> Option<Host> {
    Host::of(&HeaderValue::from_bytes(text).ok()?).ok()
}

/// Reads the id that a proxy gave the request, or passed on. It goes into an answer and the log, so
/// it is short and without anything that is not visible; of several none is the right one.
fn request_id(fields: &HeaderMap) -> Option<HeaderValue> {
    const BYTES_MAX: usize = 128;
    let mut values = fields.get_all(&X_REQUEST_ID).iter();
    let (Some(only), None) = (values.next(), values.next()) else { return None };
    let bytes = only.as_bytes();
    let is_sane = (1..=BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    is_sane.then(|| only.clone())
}

#[cfg(test)]
mod tests;
