//! Upstreams: where they are and what is sent to them.

use std::{net::SocketAddr, ops::RangeInclusive, path::Path, slice, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};

use super::{
    endpoints, health,
    names::{Unique, check_id},
    number::{integer, positive, within},
    upstream_tls,
};
use crate::{
    config::{
        file::{Field, Named, QueueTable, Spanned, UpstreamTable},
        report::{Problem, Problems},
        secret::HeaderSource,
        wording::quote,
    },
    model::{Endpoints, Limit, Upstream},
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

/// What every upstream is checked beside.
struct Around<'a> {
    listeners: &'a Listeners,
    system: upstream_tls::System,
    directory: &'a Path,
}

/// Checks all upstreams.
pub(super) fn check(
    field: &Field<Vec<Named<UpstreamTable>>>,
    listeners: &Listeners,
    directory: &Path,
    problems: &mut Problems,
) -> Vec<Declared> {
    let tables = field.value().map_or(&[][..], Vec::as_slice);
    let around = Around { listeners, system: upstream_tls::System::default(), directory };
    let declare = |entry: &Named<UpstreamTable>| {
        check_id(&entry.name, "an upstream", problems);
        let table = entry.value.as_ref();
        let checked =
            table.and_then(|table| check_one(&entry.name, &table.value, &around, problems));
        Declared { id: entry.name.value.clone(), checked: checked.map(Arc::new) }
    };
    tables.iter().map(declare).collect()
}

fn check_one(
    id: &Spanned<String>,
    table: &UpstreamTable,
    around: &Around<'_>,
    problems: &mut Problems,
) -> Option<Upstream> {
    let Around { listeners, system, directory } = around;
    let UpstreamTable {
        url,
        urls,
        http_version,
        connect_timeout,
        response_timeout,
        idle_timeout,
        keepalive_timeout,
        host,
        set_headers,
        health,
        connections,
        queue,
        retries,
        tls,
    } = table;
    let urls = choose_urls(id, url, urls, problems);
    let span = urls.and_then(<[_]>::first).map_or(id.span, |url| url.span);
    let place = urls.and_then(|urls| endpoints::check(urls, listeners, problems));
    let reach = place.as_ref().map(|place| place.reach);
    let version = http_version.value().copied().unwrap_or_default();
    let tls = upstream_tls::check(tls, version, reach, span, system, directory, problems);
    let connect_timeout = positive(connect_timeout, Duration::from_secs(2), problems);
    let response_timeout = positive(response_timeout, Duration::from_secs(60), problems);
    let idle_timeout = positive(idle_timeout, Duration::from_secs(60), problems);
    let keepalive_timeout = positive(keepalive_timeout, Duration::from_secs(4), problems);
    let set_headers = check_headers(set_headers, directory, problems);
    let health = health.value().and_then(|table| health::check(table, http_version, problems));
    let limit = check_limit(connections, queue, problems);
    let retries = integer(retries, 0..=RETRIES_MAX, 0, problems);
    let endpoints::Checked { endpoints, base_path, reach: _ } = place?;
    Some(Upstream {
        id: id.value.as_str().into(),
        endpoints,
        version,
        base_path,
        connect_timeout,
        response_timeout,
        idle_timeout,
        keepalive_timeout,
        set_headers,
        host_header: host.value().copied().unwrap_or_default(),
        health,
        limit,
        retries,
        tls: tls?,
    })
}

/// How many times a request is made again at most: each is one more at an upstream that does not do well.
const RETRIES_MAX: u32 = 3;

/// How many connections to an endpoint, and how many who wait for one, can be asked for.
const CONNECTIONS: RangeInclusive<usize> = 1..=65_535;
const QUEUE: RangeInclusive<usize> = 0..=65_535;

fn check_limit(
    connections: &Field<i64>,
    queue: &Field<QueueTable>,
    problems: &mut Problems,
) -> Option<Limit> {
    let (mut queue_length, mut queue_timeout) = (100, Duration::from_secs(1));
    if let Some(Spanned { value: QueueTable { length, timeout }, span }) = queue.given() {
        if connections.is_absent() {
            let message = "nobody waits where there may be any number of connections";
            let help = "write `connections = N` beside it, or leave it out";
            problems.add(Problem::error(*span, message).help(help));
        }
        queue_length = integer(length, QUEUE, queue_length, problems);
        queue_timeout = positive(timeout, queue_timeout, problems);
    }
    let connections = within(connections.given()?, CONNECTIONS, problems)?;
    Some(Limit { connections, queue_length, queue_timeout })
}

/// Finds the URLs, of `url` or of `urls`: at least one.
fn choose_urls<'f>(
    id: &Spanned<String>,
    url: &'f Field<String>,
    urls: &'f Field<Vec<Spanned<String>>>,
    problems: &mut Problems,
) -> Option<&'f [Spanned<String>]> {
    let help = "write url = \"http://HOST:PORT\"";
    match (url, urls) {
        (Field::Given(url), Field::Given(urls)) => {
            let problem = Problem::error(urls.span, "an upstream has either `url` or `urls`")
                .related(url.span, "`url` is here");
            problems.add(problem.help("leave one of them out; `urls` takes several addresses"));
            None
        }
        (Field::Given(url), _) => Some(slice::from_ref(url)),
        (Field::Absent, Field::Given(Spanned { value, span })) => {
            if value.is_empty() {
                problems.add(Problem::error(*span, "the list of URLs is empty").help(help));
            } else if value.len() > Endpoints::MAX {
                let message = format!("an upstream has at most {} URLs", Endpoints::MAX);
                let help = "put a load balancer before them and write its address";
                problems.add(Problem::error(*span, message).help(help));
            } else {
                return Some(value);
            }
            None
        }
        (Field::Absent, Field::Absent) => {
            let message = format!("upstream {} has no `url`", quote(&id.value));
            problems.add(Problem::error(id.span, message).help(help));
            None
        }
        (Field::Wrong, _) | (_, Field::Wrong) => None,
    }
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
