//! The request target in its one normal form, which is matched, priced and forwarded.
//!
//! Literal `.` and `..` are resolved and `//` is collapsed; percent-encoding of unreserved characters
//! is taken off, put on what may not stand bare, and written in upper case (RFC 3986 sections 3.3 and
//! 6.2.2); a query stays as it is, but for bytes beyond ASCII. What an upstream might read in another way, an encoded slash, backslash, NUL or dot
//! segment, is refused.

use std::borrow::Cow;

use http::{
    HeaderValue, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery},
};

use crate::{
    answer::Denial,
    chain::query,
    model::{is_segment_byte, normal_segment},
};

/// Where a request goes, in normal form.
#[derive(Clone, Debug)]
pub struct Target {
    path_and_query: PathAndQuery,
    host: Option<Host>,
}

/// A host in normal form: lower case, without the dot that may end a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// Host and port as a `Host` field has them, all ASCII; that of the request itself where it is in
    /// normal form, which is almost always.
    value: HeaderValue,
    /// The length of the host without the port.
    name: usize,
}

impl Target {
    /// Reads the target and the host of a request.
    pub fn parse(head: &Parts) -> Result<Self, Denial> {
        let host = host(head)?;
        let Some(given) = head.uri.path_and_query() else {
            return Err(Denial::InvalidRequest("The request target has no path."));
        };
        if !given.path().starts_with('/') {
            return Err(Denial::InvalidRequest("The request target is not a path."));
        }
        let (path, query) = (normal_path(given.path())?, given.query().and_then(normal_query));
        // Of `http://host?query` only the path by itself has the slash (RFC 9112 section 3.2.1).
        let is_whole = given.as_str().starts_with('/');
        let path_and_query = match (path, query) {
            (None, None) if is_whole => given.clone(),
            (path, query) => with_query(
                path.unwrap_or_else(|| given.path().to_owned()),
                query.as_deref().or(given.query()),
            )?,
        };
        Ok(Self { path_and_query, host })
    }

    /// Gives the path.
    pub fn path(&self) -> &str {
        self.path_and_query.path()
    }

    /// Gives the target without the query parameters of some names.
    pub fn without_parameters(&self, names: &[&str]) -> Result<Cow<'_, Self>, Denial> {
        if names.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let query = self.path_and_query.query().unwrap_or_default();
        if !query::pairs(query).any(|pair| names.iter().any(|name| pair.is_named(name))) {
            return Ok(Cow::Borrowed(self));
        }
        let left = query::without(query, names);
        let left = Some(left.as_str()).filter(|left| !left.is_empty());
        let path_and_query = with_query(self.path().to_owned(), left)?;
        Ok(Cow::Owned(Self { path_and_query, host: self.host.clone() }))
    }

    /// Gives path and query, as they are forwarded when nothing is stripped.
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.path_and_query
    }

    /// Gives the host; `None` for an HTTP/1.0 request without one.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }
}

impl Host {
    /// Reads a `Host` field.
    pub fn of(value: &HeaderValue) -> Result<Self, Denial> {
        let bytes = value.as_bytes();
        let name = bytes.iter().take_while(|byte| is_plain(**byte)).count();
        let (_, rest) = bytes.split_at_checked(name).unwrap_or_default();
        // No port, or one that reads back the same.
        let is_normal = match rest {
            [] => true,
            [b':', digits @ ..] => is_port(digits),
            _ => false,
        };
        if is_normal && bytes.get(..name).is_some_and(|name| !matches!(name, [] | [.., b'.'])) {
            return Ok(Self { value: value.clone(), name });
        }
        let malformed = |_| Denial::InvalidRequest("The host is malformed.");
        Self::parse(value.to_str().map_err(malformed)?)
    }

    /// Reads an authority.
    fn parse(text: &str) -> Result<Self, Denial> {
        const BAD: Denial = Denial::InvalidRequest("The host is malformed.");
        let authority: Authority = text.parse().map_err(|_| BAD)?;
        if authority.as_str().contains('@') {
            return Err(BAD);
        }
        let name = authority.host().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let valid = match inner {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
        };
        // `http` takes a port of any digits; one that is no port is an error, not another host.
        let rest = authority.as_str().get(authority.host().len()..).unwrap_or_default();
        let port = match rest.strip_prefix(':') {
            None | Some("") => None,
            Some(digits) => Some(digits.parse::<u16>().map_err(|_| BAD)?),
        };
        // One dot may end it; another would be left to end what is no normal form then.
        if name.is_empty() || name.ends_with('.') || !valid {
            return Err(BAD);
        }
        let authority = match port {
            None => name.to_owned(),
            Some(port) => format!("{name}:{port}"),
        };
        let value = HeaderValue::try_from(authority).map_err(|_| BAD)?;
        Ok(Self { value, name: name.len() })
    }

    /// Gives the name or address alone.
    pub fn name(&self) -> &str {
        self.authority().get(..self.name).unwrap_or_default()
    }

    /// Gives host and port as a `Host` field has them.
    pub fn authority(&self) -> &str {
        self.value.to_str().unwrap_or_default()
    }

    /// Gives them as a field's value.
    pub fn value(&self) -> HeaderValue {
        self.value.clone()
    }
}

/// Tells whether digits are a port without zeros before it.
fn is_port(digits: &[u8]) -> bool {
    let add =
        |port: u32, digit: &u8| digit.is_ascii_digit().then(|| port * 10 + u32::from(digit - b'0'));
    let port = || digits.iter().try_fold(0, add);
    matches!(digits, [b'1'..=b'9', ..] if digits.len() <= 5)
        && port().is_some_and(|port| port <= u16::MAX.into())
}

/// Tells what stands in a name in normal form.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')
}

/// Finds the host. On HTTP/1.1 an absolute target's wins over the `Host` field (RFC 9112 section 3.2.2); on
/// HTTP/2 the two must name the same (RFC 9113 section 8.3.1).
fn host(head: &Parts) -> Result<Option<Host>, Denial> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(Denial::InvalidRequest("The request has more than one Host field."));
    }
    let authority = head.uri.authority();
    match (field, head.version) {
        (None, Version::HTTP_11) => {
            return Err(Denial::InvalidRequest("The request has no Host field."));
        }
        (None, Version::HTTP_2) if authority.is_none() => {
            return Err(Denial::InvalidRequest("The request names no host."));
        }
        _ => {}
    }
    let field = match field {
        None => None,
        Some(value) if value.is_empty() => None,
        Some(value) => Some(Host::of(value)?),
    };
    let Some(authority) = authority else { return Ok(field) };
    let host = Host::parse(authority.as_str())?;
    if head.version == Version::HTTP_2
        && let Some(value) = head.headers.get(header::HOST)
        && Host::of(value)? != host
    {
        return Err(Denial::InvalidRequest("The request names two hosts."));
    }
    Ok(Some(host))
}

/// Checks the host of a request whose target is no path.
pub(super) fn check_host(head: &Parts) -> Result<(), Denial> {
    host(head).map(drop)
}

fn with_query(mut path: String, query: Option<&str>) -> Result<PathAndQuery, Denial> {
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    PathAndQuery::try_from(path).map_err(|_| Denial::InvalidPath)
}

/// Brings a path into normal form; `None` when it is so already.
pub fn normal_path(path: &str) -> Result<Option<String>, Denial> {
    if is_plainly_normal(path) {
        return Ok(None);
    }
    if !path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Err(Denial::InvalidPath);
    }
    let mut kept: Vec<String> = Vec::new();
    // What follows the last slash: a segment that resolves to nothing leaves the slash before it.
    let mut ends_in_slash = false;
    for raw in path.split('/').skip(1) {
        let segment = visible_segment(raw)?;
        ends_in_slash = matches!(segment.as_str(), "" | "." | "..");
        match segment.as_str() {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len());
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if ends_in_slash || normal.is_empty() {
        normal.push('/');
    }
    Ok((normal != path).then_some(normal))
}

/// Puts percent-encoding on the bytes of a query that are none of a target (RFC 3986 section 3.4), which many
/// clients send bare and some servers refuse; `None` when there are none.
fn normal_query(query: &str) -> Option<String> {
    if query.is_ascii() {
        return None;
    }
    let mut normal = String::with_capacity(query.len() * 2);
    for byte in query.bytes() {
        match byte {
            0x80.. => normal.push_str(&format!("%{byte:02X}")),
            _ => normal.push(char::from(byte)),
        }
    }
    Some(normal)
}

/// Tells in one pass that there is nothing to do, as for almost every path.
fn is_plainly_normal(path: &str) -> bool {
    let mut last = 0;
    path.bytes().all(|byte| {
        let is_plain = match byte {
            b'/' | b'.' => last != b'/',
            _ => is_segment_byte(byte),
        };
        last = byte;
        is_plain
    })
}

/// Brings a segment into normal form, and refuses a dot segment that hides.
fn visible_segment(raw: &str) -> Result<String, Denial> {
    let segment = normal_segment(raw).map_err(|_| Denial::InvalidPath)?;
    // Some servers drop `;parameters` before they resolve dots, and some decode first: any such form
    // of a dot segment would be another path to them.
    let bare = segment.split(';').next().unwrap_or_default();
    let bare = bare.split("%3B").next().unwrap_or_default();
    if matches!(bare, "." | "..") && raw != bare {
        return Err(Denial::InvalidPath);
    }
    Ok(segment)
}

/// Joins an upstream's base path, the path with its prefix taken off, and the query.
pub fn forwarded(target: &Target, strip: Option<&str>, base: &str) -> Result<PathAndQuery, Denial> {
    if strip.is_none() && base.is_empty() {
        return Ok(target.path_and_query.clone());
    }
    let path = target.path();
    let rest = strip.and_then(|prefix| path.strip_prefix(prefix)).unwrap_or(path);
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let joined = format!("{base}{slash}{rest}");
    with_query(joined, target.path_and_query.query())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> Result<String, ()> {
        normal_path(path).map(|new| new.unwrap_or_else(|| path.to_owned())).map_err(|_| ())
    }

    #[test]
    fn paths_have_one_form() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/", "/a/"),
            ("//a///b//", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../..", "/"),
            ("/%61%2D%7e", "/a-~"),
            ("/%c3%a9", "/%C3%A9"),
            ("/a%20b", "/a%20b"),
            ("/a|b^c\"{d}[e]", "/a%7Cb%5Ec%22%7Bd%7D%5Be%5D"),
            ("/a!$&'()*+,;=:@b", "/a!$&'()*+,;=:@b"),
            ("/file%2etxt", "/file.txt"),
            ("/%252e%252e/x", "/%252e%252e/x"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a;v=1/b", "/a;v=1/b"),
        ] {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn hiding_paths_are_refused() {
        for path in [
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00b",
            "/%2e%2e/a",
            "/.%2e/a",
            "/%2e/a",
            "/a/%2E%2E",
            "/..;/a",
            "/a/..;x=1/b",
            "/.;/",
            "/a/..%3bx",
            "/a%2",
            "/a%",
            "/a%zz",
            "/a%+1",
            "/é",
        ] {
            assert_eq!(normal(path), Err(()), "{path}");
        }
    }

    proptest! {
        /// A normal form is its own normal form, and has nothing left to resolve.
        #[test]
        fn normal_form_is_stable(path in "(/|%2e|%61|%41|%C3|\\.|a|;|%3b){0,12}") {
            let path = format!("/{path}");
            if let Ok(once) = normal(&path) {
                prop_assert_eq!(normal(&once), Ok(once.clone()));
                prop_assert!(once.starts_with('/') && !once.contains("//"));
                prop_assert!(!once.split('/').any(|s| s == "." || s == ".."));
            }
        }

        #[test]
        fn any_path_is_handled(path in "\\PC*") {
            let _ = normal(&format!("/{path}"));
        }
    }

    fn target(uri: &str, host: &[&str]) -> Result<Target, Denial> {
        let mut request = http::Request::builder().uri(uri);
        for value in host {
            request = request.header("host", *value);
        }
        Target::parse(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn hosts_have_one_form() {
        let name = |uri: &str, host: &[&str]| {
            target(uri, host).ok().map(|t| t.host().unwrap().authority().to_owned())
        };
        assert_eq!(name("/", &["API.Example.com."]).as_deref(), Some("api.example.com"));
        assert_eq!(name("/", &["a.example:8080"]).as_deref(), Some("a.example:8080"));
        assert_eq!(name("/", &["[::1]:80"]).as_deref(), Some("[::1]:80"));
        assert_eq!(name("http://b.example/x", &["a.example"]).as_deref(), Some("b.example"));
        for (given, expected) in [
            ("a:1", "a:1"),
            ("a:9999", "a:9999"),
            ("a:65535", "a:65535"),
            ("a:080", "a:80"),
            ("a:0", "a:0"),
            ("a:", "a"),
            ("a.:80", "a:80"),
            ("A", "a"),
        ] {
            let host = target("/", &[given]).unwrap().host().unwrap().clone();
            assert_eq!((host.authority(), host.name()), (expected, "a"), "{given}");
            assert_eq!(host.value(), expected, "{given}");
        }
        for bad in [
            &[][..],
            &["."],
            &["a.."],
            &["a..:80"],
            &[":80"],
            &["a", "b"],
            &["a b"],
            &["u@a"],
            &["a:99999"],
            &["a/b"],
            &["[::1"],
        ] {
            assert!(target("/", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn targets_begin_with_their_path() {
        let form = |uri| target(uri, &["a"]).unwrap().path_and_query().to_string();
        assert_eq!(form("http://b.example?x=/y"), "/?x=/y");
        assert_eq!(form("http://b.example"), "/");
        assert_eq!(form("/?x"), "/?x");
        assert_eq!(form("/x?\u{e9}=%e9#z"), "/x?%C3%A9=%e9");
    }

    #[test]
    fn forwarded_path_loses_the_prefix_and_gains_the_base() {
        let given = target("/v1/forecast/x?q=1", &["a"]).unwrap();
        let to = |strip, base| forwarded(&given, strip, base).unwrap().to_string();
        assert_eq!(to(None, ""), "/v1/forecast/x?q=1");
        assert_eq!(to(Some("/v1"), ""), "/forecast/x?q=1");
        assert_eq!(to(Some("/v1"), "/base"), "/base/forecast/x?q=1");
        let whole = target("/v1", &["a"]).unwrap();
        assert_eq!(forwarded(&whole, Some("/v1"), "").unwrap().to_string(), "/");
    }
}
