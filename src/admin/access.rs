//! Who may make which call: the tokens, and which pages of a browser may not.
//!
//! A browser can be made to send requests to a listener on its own machine, by a form or by a name
//! that resolves to it. It cannot be made to send the token; the checks of Host and Origin refuse
//! such requests all the same, before the token is looked at.

use std::net::IpAddr;

use axum::{
    extract::{Request, State as Shared},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{State, problem::Problem};
use crate::{config::Secret, model::KeyDigest};

/// The tokens, as digests: they are compared in constant time.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    admin: KeyDigest,
    read: Option<KeyDigest>,
}

/// What a token permits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// Every call.
    Admin,
    /// Calls that change nothing.
    Read,
}

/// Calls that change nothing although their method might: what they ask is too much for a path.
const READING: [&str; 1] = ["/v1/explain"];

impl Tokens {
    pub(super) fn new(admin: &Secret, read: Option<&Secret>) -> Self {
        let digest = |secret: &Secret| KeyDigest::of(secret.expose().as_bytes());
        Self { admin: digest(admin), read: read.map(digest) }
    }

    fn role(&self, token: &[u8]) -> Option<Role> {
        let given = KeyDigest::of(token);
        if given.matches(&self.admin) {
            return Some(Role::Admin);
        }
        self.read.filter(|read| given.matches(read)).map(|_| Role::Read)
    }
}

/// Lets through who brings a token that permits the call.
pub(super) async fn authorise(
    Shared(state): Shared<State>,
    request: Request,
    next: Next,
) -> Response {
    let authority = request.uri().authority().cloned();
    if let Some(refused) = foreign(request.headers(), authority.as_ref(), &state.hosts) {
        return refused.into_response();
    }
    let token = bearer(request.headers());
    let role = token.and_then(|token| state.tokens.role(token));
    let reads = [Method::GET, Method::HEAD].contains(request.method())
        || READING.contains(&request.uri().path());
    match role {
        Some(Role::Read) if !reads => {
            let detail = "The read-only token changes nothing; use the admin token.";
            Problem::new(StatusCode::FORBIDDEN, "read_only_token", detail).into_response()
        }
        Some(_) => next.run(request).await,
        None => challenge(token.is_some()),
    }
}

fn challenge(is_given: bool) -> Response {
    let (code, challenge) = if is_given {
        ("invalid_token", "Bearer realm=\"faregate-admin\", error=\"invalid_token\"")
    } else {
        ("missing_token", "Bearer realm=\"faregate-admin\"")
    };
    let detail = "Send the admin token as `Authorization: Bearer TOKEN`.";
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, code, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Refuses a request that a page of another site may have caused.
fn foreign(headers: &HeaderMap, target: Option<&Authority>, hosts: &[String]) -> Option<Problem> {
    let given = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = target.map(Authority::as_str).or(given).unwrap_or_default();
    if !is_ours(host, hosts) {
        let detail = "This name is not the admin listener's; add it to `hosts` in [admin], or use \
                      the address.";
        return Some(Problem::new(StatusCode::FORBIDDEN, "host_not_allowed", detail));
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let same = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    };
    if origins.all(same) {
        return None;
    }
    let detail = "Pages of other sites may not call the admin listener.";
    Some(Problem::new(StatusCode::FORBIDDEN, "origin_not_allowed", detail))
}

/// Tells whether a Host names this listener in a way that no foreign page can bring about: by
/// address, which no name resolution stands behind, as `localhost`, or by a configured name.
fn is_ours(host: &str, hosts: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_localhost_and_configured_names_are_ours() {
        let hosts = ["faregate.internal".to_owned()];
        for (host, expected) in [
            ("127.0.0.1:8403", true),
            ("127.0.0.1", true),
            ("[::1]:8403", true),
            ("[::1]", true),
            ("10.0.0.7:80", true),
            ("localhost:8403", true),
            ("LOCALHOST", true),
            ("faregate.internal:8403", true),
            ("Faregate.Internal", true),
            ("", false),
            ("evil.example", false),
            ("evil.example:8403", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:8403", false),
            ("faregate.internal.evil.example", false),
        ] {
            assert_eq!(is_ours(host, &hosts), expected, "{host}");
        }
    }

    #[test]
    fn an_origin_must_be_the_host() {
        let check = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8403"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            foreign(&headers, None, &[]).is_none()
        };
        assert!(check(None));
        assert!(check(Some("http://127.0.0.1:8403")));
        for origin in ["null", "http://127.0.0.1", "http://evil.example", "127.0.0.1:8403", ""] {
            assert!(!check(Some(origin)), "{origin}");
        }
    }
}
