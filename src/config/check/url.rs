//! Absolute http and https URLs.

use super::{
    host::{Host, NotHost},
    path::{BadPath, Pattern},
};
use crate::config::report::{Problem, Span};

/// A URL's parts.
#[derive(Debug)]
pub(super) struct Url<'t> {
    pub(super) is_https: bool,
    pub(super) host: Host,
    pub(super) port: Option<u16>,
    /// The path, as written.
    pub(super) path: &'t str,
    /// The query or fragment with its mark, or nothing.
    pub(super) tail: &'t str,
}

/// What is wrong with a URL, and what to do.
#[derive(Debug)]
pub(super) struct BadUrl {
    message: &'static str,
    help: String,
    /// Whether there may be a password in it.
    has_secret: bool,
}

impl BadUrl {
    fn new(message: &'static str, help: impl Into<String>) -> Self {
        Self { message, help: help.into(), has_secret: false }
    }

    /// Makes the problem, which does not show a password.
    pub(super) fn into_problem(self, span: Span) -> Problem {
        let Self { message, help, has_secret } = self;
        let problem = Problem::error(span, message).help(help);
        if has_secret { problem.hidden() } else { problem }
    }
}

impl<'t> Url<'t> {
    /// Reads a URL with the scheme http or https.
    pub(super) fn parse(text: &'t str) -> Result<Self, BadUrl> {
        // A password can have any character in it, so with an `@` no part is surely none.
        Self::parse_parts(text).map_err(|bad| BadUrl { has_secret: text.contains('@'), ..bad })
    }

    /// Gives the path in its normal form, without the slash at its end.
    pub(super) fn base_path(&self) -> Result<&'t str, BadPath> {
        base_path(self.path)
    }

    fn parse_parts(text: &'t str) -> Result<Self, BadUrl> {
        let example = "write a whole URL, such as \"http://HOST:PORT/PATH\"";
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| BadUrl::new("this is not a URL", example))?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(BadUrl::new("the URL's scheme is not http or https", example)),
        };
        let (authority, rest) = split_before(rest, &['/', '?', '#']);
        let (path, tail) = split_before(rest, &['?', '#']);
        if authority.contains('@') {
            let help = "leave out the user name and password; an upstream's credentials go into \
                        set_headers = { authorization = { env = \"NAME\" } }";
            return Err(BadUrl::new("the URL has a user name or a password", help));
        }
        let (host, port) = split_port(authority)?;
        Ok(Self { is_https, host: parse_host(host)?, port, path, tail })
    }
}

/// Gives the path that is put before others in its normal form, without the slash at its end.
pub(super) fn base_path(path: &str) -> Result<&str, BadPath> {
    let base = path.strip_suffix('/').unwrap_or(path);
    if base.is_empty() {
        return Ok("");
    }
    Pattern::parse_prefix(base).map(|_| base)
}

fn split_before<'t>(text: &'t str, marks: &[char]) -> (&'t str, &'t str) {
    text.split_at(text.find(marks).unwrap_or(text.len()))
}

/// Splits a port off, which is not what stands behind a colon within brackets.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), BadUrl> {
    let end_of_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority.get(end_of_host..).and_then(|rest| rest.find(':')) {
        Some(colon) => authority.split_at(end_of_host + colon),
        None => return Ok((authority, None)),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    match digits.parse() {
        Ok(port @ 1..) if digits.bytes().all(|c| c.is_ascii_digit()) => Ok((host, Some(port))),
        _ => Err(BadUrl::new(
            "the URL's port is not a number from 1 to 65535",
            "write it behind the host, such as \"http://127.0.0.1:9000\"; an IPv6 address stands \
             in brackets",
        )),
    }
}

fn parse_host(host: &str) -> Result<Host, BadUrl> {
    Host::parse(host).map_err(|not_host| match not_host {
        NotHost::Bad => BadUrl::new(
            "the URL has no valid host",
            "write a name, an IPv4 address, or an IPv6 address in brackets",
        ),
        NotHost::Differs(normal) => {
            BadUrl::new("the URL's host is not in its normal form", format!("write `{normal}`"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls() {
        for (text, host, port, path) in [
            ("http://a", "a", None, ""),
            ("HTTP://a/", "a", None, "/"),
            ("https://a.b:8443/c/d", "a.b", Some(8443), "/c/d"),
            ("http://[::1]", "::1", None, ""),
            ("http://[2001:db8::1]:80/x", "2001:db8::1", Some(80), "/x"),
            ("http://127.0.0.1:9000", "127.0.0.1", Some(9000), ""),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host.dialled().as_str(), url.port, url.path), (host, port, path));
        }
    }

    #[test]
    fn bad_urls() {
        for text in [
            "",
            "127.0.0.1:9000",
            "localhost:9000",
            "/path",
            "ftp://a",
            "http://",
            "http:///path",
            "http://:80",
            "http://a:",
            "http://a:0",
            "http://a:+80",
            "http://a::80",
            "http://a:65536",
            "http://::1",
            "http://[::1",
            "http://[::1]x",
            "http://A",
            "http://user:password@a",
            "http://a b",
            "http://a\\b@c",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn base_paths() {
        let base = |text| Url::parse(text).unwrap().base_path();
        assert_eq!(base("http://a"), Ok(""));
        assert_eq!(base("http://a/"), Ok(""));
        assert_eq!(base("http://a/b/c/"), Ok("/b/c"));
        for bad in ["http://a//", "http://a/../b", "http://a/{b}", "http://a/b//", "http://a/%2f"] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }
}
