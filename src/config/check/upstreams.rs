//! Upstreams: where they are and what is sent to them.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};

use super::{
    host::Host,
    names::{Unique, check_id},
    number::positive,
    url::Url,
};
use crate::{
    config::{
        file::{Field, Named, Spanned, UpstreamTable, not_available},
        report::{Problem, Problems, Span},
        secret::HeaderSource,
        wording::quote,
    },
    model::Upstream,
};

/// An upstream that is declared, right or wrong.
#[derive(Debug)]
pub(super) struct Declared {
    /// Its id.
    pub(super) id: String,
    /// Its checked form; `None` when something was wrong, which is reported.
    pub(super) checked: Option<Arc<Upstream>>,
}

/// The gateway's own addresses, where no upstream can be.
#[derive(Debug)]
pub(super) struct Listeners {
    /// The data listener's.
    pub(super) server: Option<SocketAddr>,
    /// The admin listener's.
    pub(super) admin: SocketAddr,
}

/// Checks all upstreams.
pub(super) fn check(
    field: &Field<Vec<Named<UpstreamTable>>>,
    listeners: &Listeners,
    directory: &Path,
    problems: &mut Problems,
) -> Vec<Declared> {
    let tables = field.value().map_or(&[][..], Vec::as_slice);
    let declare = |entry: &Named<UpstreamTable>| {
        check_id(&entry.name, "an upstream", problems);
        let table = entry.value.as_ref();
        let checked = table
            .and_then(|table| check_one(&entry.name, &table.value, listeners, directory, problems));
        Declared { id: entry.name.value.clone(), checked: checked.map(Arc::new) }
    };
    tables.iter().map(declare).collect()
}

fn check_one(
    id: &Spanned<String>,
    table: &UpstreamTable,
    listeners: &Listeners,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Upstream> {
    let UpstreamTable {
        url,
        urls,
        connect_timeout,
        response_timeout,
        idle_timeout,
        keepalive_timeout,
        host,
        set_headers,
    } = table;
    let place =
        choose_url(id, url, urls, problems).and_then(|url| check_url(url, listeners, problems));
    let connect_timeout = positive(connect_timeout, Duration::from_secs(2), problems);
    let response_timeout = positive(response_timeout, Duration::from_secs(60), problems);
    let idle_timeout = positive(idle_timeout, Duration::from_secs(60), problems);
    let keepalive_timeout = positive(keepalive_timeout, Duration::from_secs(4), problems);
    let set_headers = check_headers(set_headers, directory, problems);
    let Place { host: dialled, port, authority, base_path } = place?;
    Some(Upstream {
        id: id.value.as_str().into(),
        host: dialled,
        port,
        authority,
        base_path,
        connect_timeout,
        response_timeout,
        idle_timeout,
        keepalive_timeout,
        set_headers,
        host_header: host.value().copied().unwrap_or_default(),
    })
}

/// Finds the one URL among `url` and `urls`.
fn choose_url<'f>(
    id: &Spanned<String>,
    url: &'f Field<String>,
    urls: &'f Field<Vec<Spanned<String>>>,
    problems: &mut Problems,
) -> Option<&'f Spanned<String>> {
    let help = "write url = \"http://HOST:PORT\"";
    match (url, urls) {
        (Field::Given(url), Field::Given(urls)) => {
            let problem = Problem::error(urls.span, "an upstream has either `url` or `urls`")
                .related(url.span, "`url` is here");
            problems.add(problem.help("leave out `urls`"));
            None
        }
        (Field::Given(url), _) => Some(url),
        (Field::Absent, Field::Given(Spanned { value, span })) => match value.as_slice() {
            [url] => Some(url),
            [] => {
                problems.add(Problem::error(*span, "the list of URLs is empty").help(help));
                None
            }
            [_, second, ..] => {
                let message = "a second URL is not available in this version";
                let problem = Problem::error(second.span, message);
                problems.add(problem.help("write one URL, perhaps of a load balancer"));
                None
            }
        },
        (Field::Absent, Field::Absent) => {
            let message = format!("upstream {} has no `url`", quote(&id.value));
            problems.add(Problem::error(id.span, message).help(help));
            None
        }
        (Field::Wrong, _) | (_, Field::Wrong) => None,
    }
}

/// Where an upstream is.
struct Place {
    host: Arc<str>,
    port: u16,
    authority: HeaderValue,
    base_path: Arc<str>,
}

fn check_url(
    url: &Spanned<String>,
    listeners: &Listeners,
    problems: &mut Problems,
) -> Option<Place> {
    let Spanned { value: text, span } = url;
    let problem = match parse_place(text, *span, listeners) {
        Ok(place) => return Some(place),
        Err(problem) => problem,
    };
    problems.add(problem);
    None
}

fn parse_place(text: &str, span: Span, listeners: &Listeners) -> Result<Place, Problem> {
    let url = Url::parse(text).map_err(|bad| bad.into_problem(span))?;
    if url.is_https {
        let help = "write an http URL, perhaps of a local TLS proxy";
        return Err(not_available(span, "https:").help(help));
    }
    if !url.tail.is_empty() {
        let help = "leave it out; each request brings its own";
        return Err(Problem::error(span, "the URL has a query or fragment").help(help));
    }
    let base_path =
        url.base_path().map_err(|bad| Problem::error(span, bad.message).help(bad.help))?;
    let port = url.port.unwrap_or(80);
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
    let authority = if port == 80 { url.host.to_string() } else { format!("{}:{port}", url.host) };
    Ok(Place {
        host: url.host.dialled().into(),
        port,
        authority: HeaderValue::from_str(&authority)
            .map_err(|_| Problem::error(span, "the URL has no valid host"))?,
        base_path: base_path.into(),
    })
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

/// Fields that are about one connection, or that the gateway writes itself.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that hold credentials by definition.
const SECRET_HEADERS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-api-key"];

pub(super) fn check_headers(
    field: &Field<Vec<Named<HeaderSource>>>,
    directory: &Path,
    problems: &mut Problems,
) -> Vec<(HeaderName, HeaderValue)> {
    let entries = field.value().map_or(&[][..], Vec::as_slice);
    let mut names = Unique::new("headers", "upper and lower case are the same; set it once");
    let mut headers = Vec::new();
    for entry in entries {
        let name = check_header_name(&entry.name, problems);
        let value = entry.value.as_ref();
        if let (Some(name), Some(Spanned { value: HeaderSource::Plain(_), span })) = (&name, value)
            && SECRET_HEADERS.contains(&name.as_str())
        {
            let message = "a secret does not stand in the configuration";
            let help = format!("write {name} = {{ env = \"NAME\" }} or {{ file = \"PATH\" }}");
            problems.add(Problem::error(*span, message).help(help).hidden());
            continue;
        }
        let value = value.and_then(|value| check_header_value(value, directory, problems));
        let (Some(name), Some(value)) = (name, value) else { continue };
        if names.claim(&name.as_str().into(), entry.name.span, problems) {
            headers.push((name, value));
        }
    }
    headers
}

fn check_header_name(name: &Spanned<String>, problems: &mut Problems) -> Option<HeaderName> {
    let Spanned { value: text, span } = name;
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        let message = format!("{} is not the name of a header", quote(text));
        let help = "a name is letters, digits and `-`";
        problems.add(Problem::error(*span, message).help(help));
        return None;
    };
    if OWN_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("faregate-") {
        let message = format!("the gateway sets {} itself", quote(name.as_str()));
        let problem = Problem::error(*span, message);
        problems.add(if name == http::header::HOST {
            problem.help("`host = \"upstream\"` or `host = \"preserve\"` chooses the Host")
        } else {
            problem.help("leave it out")
        });
        return None;
    }
    Some(name)
}

fn check_header_value(
    source: &Spanned<HeaderSource>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<HeaderValue> {
    let Spanned { value, span } = source;
    let made = match value {
        HeaderSource::Plain(text) => HeaderValue::from_str(text),
        HeaderSource::Secret(source) => {
            HeaderValue::from_str(&source.read(*span, directory, problems)?)
        }
    };
    let Ok(mut made) = made else {
        let message = "the value cannot stand in a header";
        let help = "a header's value is one line of ASCII characters";
        problems.add(Problem::error(*span, message).help(help));
        return None;
    };
    made.set_sensitive(true);
    Some(made)
}
