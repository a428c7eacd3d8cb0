//! The addresses of an upstream, one or several of one kind.

use std::{net::SocketAddr, path::Path, sync::Arc};

use http::HeaderValue;

use super::{
    host::Host,
    upstreams::Listeners,
    url::{self, Url},
};
use crate::{
    config::{
        file::Spanned,
        report::{Problem, Problems, Span},
    },
    model::{Address, Endpoint, Endpoints},
};

/// How an address is spoken to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    Clear,
    Socket,
    Tls,
}

/// The endpoints of an upstream, and what they share.
pub(super) struct Checked {
    pub(super) endpoints: Endpoints,
    pub(super) base_path: Arc<str>,
    pub(super) reach: Reach,
}

/// An address, and the path in front of each request's.
struct Place {
    endpoint: Endpoint,
    base_path: Arc<str>,
    reach: Reach,
    span: Span,
}

/// Checks the URLs of an upstream.
pub(super) fn check(
    urls: &[Spanned<String>],
    listeners: &Listeners,
    problems: &mut Problems,
) -> Option<Checked> {
    let mut places: Vec<Place> = Vec::with_capacity(urls.len());
    for Spanned { value, span } in urls {
        let checked = parse_place(value, *span, listeners).and_then(|place| {
            places.iter().try_for_each(|other| fits(&place, other)).map(|()| place)
        });
        match checked {
            Ok(place) => places.push(place),
            Err(problem) => problems.add(problem),
        }
    }
    if places.len() < urls.len() {
        return None;
    }
    let first = places.first()?;
    let (base_path, reach) = (Arc::clone(&first.base_path), first.reach);
    let mut endpoints = places.into_iter().map(|place| place.endpoint);
    let endpoints = Endpoints::new(endpoints.next()?, endpoints.collect());
    Some(Checked { endpoints, base_path, reach })
}

/// Tells why an address cannot stand beside another. A path is put before the request's once,
/// whichever endpoint takes it; and what stands twice would get twice its share.
fn fits(place: &Place, other: &Place) -> Result<(), Problem> {
    let Place { endpoint, base_path, reach, span } = place;
    if (*reach == Reach::Tls) != (other.reach == Reach::Tls) {
        let message = "the URLs of an upstream are all https, or none is";
        let problem = Problem::error(*span, message).related(other.span, "another one is here");
        let help = "write https:// in all of them, lest a part of the calls passes in clear";
        return Err(problem.help(help));
    }
    if *base_path != other.base_path {
        let message = "all URLs of an upstream have the same path";
        let problem = Problem::error(*span, message).related(other.span, "another path is here");
        return Err(problem.help("make it an upstream of its own, or write the same path"));
    }
    if endpoint.address == other.endpoint.address {
        let problem = Problem::error(*span, "this address stands twice")
            .related(other.span, "the first is here");
        return Err(problem.help("leave one out"));
    }
    Ok(())
}

fn parse_place(text: &str, span: Span, listeners: &Listeners) -> Result<Place, Problem> {
    if let Some(rest) = text.strip_prefix("unix:") {
        return parse_socket(rest, span);
    }
    let url = Url::parse(text).map_err(|bad| bad.into_problem(span))?;
    if !url.tail.is_empty() {
        let help = "leave it out; each request brings its own";
        return Err(Problem::error(span, "the URL has a query or fragment").help(help));
    }
    let base_path =
        url.base_path().map_err(|bad| Problem::error(span, bad.message).help(bad.help))?;
    let (reach, default) = if url.is_https { (Reach::Tls, 443) } else { (Reach::Clear, 80) };
    let port = url.port.unwrap_or(default);
    if leads_to(&url.host, port, listeners.admin) {
        let message = "this is the admin listener's own address";
        let help = "callers would reach the admin API through the gateway; write the address of \
                    the API, or move `admin.listen`";
        return Err(Problem::error(span, message).help(help));
    }
    if listeners.server.is_some_and(|server| leads_to(&url.host, port, server)) {
        let message = "this is the data listener's own address";
        let help = "each request would come back to the gateway without end; write the address \
                    of the API, or move `server.listen`";
        return Err(Problem::error(span, message).help(help));
    }
    let authority =
        if port == default { url.host.to_string() } else { format!("{}:{port}", url.host) };
    let authority = HeaderValue::from_str(&authority)
        .map_err(|_| Problem::error(span, "the URL has no valid host"))?;
    let address = Address::Tcp { host: url.host.dialled().into(), port };
    let endpoint = Endpoint::new(address, authority);
    Ok(Place { endpoint, base_path: base_path.into(), reach, span })
}

/// How long the path of a socket is at most: `sun_path` of Linux, with the zero that ends it.
const SOCKET_PATH_MAX: usize = 107;

/// Reads what stands behind `unix:`: the path of a socket and, behind another colon, the path that is
/// put before each request's.
fn parse_socket(text: &str, span: Span) -> Result<Place, Problem> {
    let wrong = |message: &str, help: &str| Problem::error(span, message).help(help);
    let (socket, base) = match text.split_once(":/") {
        Some((socket, base)) => (socket, text.get(text.len() - base.len() - 1..)),
        None => (text, None),
    };
    if !socket.starts_with('/') || socket.ends_with('/') || socket.contains("//") {
        let help =
            "write \"unix:/PATH\" with the whole path of the socket, one slash at its beginning";
        return Err(wrong("this is not the path of a socket", help));
    }
    if socket.len() > SOCKET_PATH_MAX || socket.contains('\0') {
        let help = format!("it has at most {SOCKET_PATH_MAX} bytes; the system takes no more");
        return Err(wrong("no socket can have this path", &help));
    }
    let base = url::base_path(base.unwrap_or_default());
    let base = base.map_err(|bad| wrong(&bad.message, &bad.help))?;
    let address = Address::Unix(Path::new(socket).into());
    let endpoint = Endpoint::new(address, HeaderValue::from_static("localhost"));
    Ok(Place { endpoint, base_path: base.into(), reach: Reach::Socket, span })
}

/// Tells whether a connection to host and port would meet the listener. One that is bound to a
/// single outer address leaves the same port of the loopback to an upstream beside it.
pub(super) fn leads_to(host: &Host, port: u16, listener: SocketAddr) -> bool {
    let ip = listener.ip().to_canonical();
    let is_equal = match host {
        Host::Address(address) => address.to_canonical() == ip,
        Host::Name(_) => false,
    };
    let is_any_local = |host: &Host| match host {
        Host::Address(address) => address.is_unspecified(),
        Host::Name(_) => true,
    };
    port == listener.port()
        && (is_equal
            || host.is_local() && ip.is_unspecified()
            || host.is_local() && ip.is_loopback() && is_any_local(host))
}
