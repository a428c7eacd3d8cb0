//! Targets, hosts and queries.

use http::{Request, Uri, request::Parts};

use super::input::{first, lines};
use crate::chain::{
    query,
    target::{self, Target},
};

/// A path in normal form has one reading, also to who decodes before or after it resolves dots; and the
/// normal form of it, and of its host, is itself.
pub(super) fn path_and_host(data: &[u8]) {
    let mut lines = lines(data);
    let (Some(target), host) = (lines.next(), lines.next()) else { return };
    let Some(target) = parse(target, host) else { return };
    one_reading(target.path());
    let host = target.host().map_or("", |host| host.authority());
    let again = parse(target.path_and_query().as_str(), Some(host));
    let again = again.expect("what is normal is taken");
    assert_eq!(again.path_and_query().as_str(), target.path_and_query().as_str());
    assert_eq!(again.host(), target.host());
    if let Some(host) = target.host() {
        let (name, authority) = (host.name(), host.authority());
        assert!(!name.is_empty() && !name.ends_with('.') && authority.starts_with(name), "{name}");
        assert!(
            !authority.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii_graphic())
        );
    }
    // A route's prefix is whole segments of its path.
    let strip = (target.path() == "/v1" || target.path().starts_with("/v1/")).then_some("/v1");
    for (strip, base) in [(strip, ""), (None, "/base"), (strip, "/base")] {
        let forwarded =
            target::forwarded(&target, strip, base).expect("a prefix changes no other part");
        assert!(forwarded.path().starts_with(&format!("{base}/")));
        assert_eq!(forwarded.query(), target.path_and_query().query());
        one_reading(forwarded.path());
    }
}

fn parse(target: &str, host: Option<&str>) -> Option<Target> {
    let uri: Uri = target.parse().ok()?;
    let mut request = Request::builder().uri(uri);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    Target::parse(&head(request)?).ok()
}

fn head(request: http::request::Builder) -> Option<Parts> {
    request.body(()).ok().map(|request| request.into_parts().0)
}

fn one_reading(path: &str) {
    assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()), "{path}");
    let segments = path.split('/').skip(1);
    let last = segments.clone().count().saturating_sub(1);
    for (at, segment) in segments.enumerate() {
        assert!(at == last || !segment.is_empty(), "{path}");
        let decoded = decoded(segment);
        assert!(!decoded.iter().any(|byte| b"/\\\0".contains(byte)), "{path}");
        let bare = decoded.split(|byte| *byte == b';').next().unwrap_or_default();
        assert!(!matches!(bare, b"." | b".."), "{path}");
    }
}

/// Takes percent-encoding off, which must be whole and in upper case.
fn decoded(segment: &str) -> Vec<u8> {
    let mut pieces = segment.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at(2);
        assert!(!digits.bytes().any(|digit| digit.is_ascii_lowercase()), "{segment}");
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits follow"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

/// Of a query without the parameters of a name nothing is left that is called so, and all else.
pub(super) fn query(data: &[u8]) {
    let (cut, data) = first(data);
    let Ok(query) = std::str::from_utf8(data) else { return };
    let names = ["key", "api_key", "k\u{e9}y"];
    let names = names.get(..=usize::from(cut % 3)).unwrap_or_default();
    let is_named = |pair: &query::Pair<'_>| names.iter().any(|name| pair.is_named(name));
    let left = query::without(query, names);
    assert!(!query::pairs(&left).any(|pair| is_named(&pair)));
    assert_eq!(query::without(&left, names), left);
    let kept = query
        .split('&')
        .filter(|raw| !raw.is_empty() && !query::pairs(raw).any(|pair| is_named(&pair)));
    assert_eq!(left, kept.collect::<Vec<_>>().join("&"));
    for pair in query::pairs(query) {
        assert!(pair.value().len() <= query.len());
    }
}
