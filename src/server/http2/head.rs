//! The head of a request: what h2 leaves to be checked before it may go on as HTTP/1.1.
//!
//! h2 resets what has a name in upper case or with bytes that no name has, a value with line breaks or NUL, a
//! field that is about a connection, a `TE` beside `trailers`, a pseudo-header that is unknown, repeated, missing or
//! behind a field, two lengths, or a path that is none.

use h2::ext::Protocol;
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};

use crate::server::http1::Unparsable;

/// Checks a head, and joins the cookies that HTTP/2 lets a client send one by one (RFC 9113 section 8.2.3).
pub(super) fn check(head: &mut Parts, fields_max: usize) -> Result<(), Unparsable> {
    // Each cookie is counted.
    if head.headers.len() > fields_max {
        return Err(Unparsable::TooLarge);
    }
    let scheme = head.uri.scheme_str();
    if scheme.is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return Err(Unparsable::Malformed("The scheme is neither http nor https."));
    }
    if head.headers.values().any(is_padded) {
        return Err(Unparsable::Malformed("A field's value begins or ends with a space."));
    }
    join_cookies(&mut head.headers)
}

/// Tells whether a stream asks to become a WebSocket (RFC 8441 section 5). Other protocols are CONNECT as any.
pub(super) fn opens_websocket(head: &Parts) -> bool {
    let protocol = head.extensions.get::<Protocol>();
    head.method == Method::CONNECT && protocol.is_some_and(|asked| asked.as_str() == "websocket")
}

/// Tells whether a value begins or ends with what HTTP/1.1 would take for no part of it (RFC 9113 section 8.2.1).
fn is_padded(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.as_bytes().first()) || is_space(value.as_bytes().last())
}

fn join_cookies(fields: &mut HeaderMap) -> Result<(), Unparsable> {
    const BAD: Unparsable = Unparsable::Malformed("The cookies are malformed.");
    let cookies = fields.get_all(header::COOKIE);
    if cookies.iter().nth(1).is_none() {
        return Ok(());
    }
    let cookies: Vec<_> = cookies.iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::try_from(cookies.join(&b"; "[..])).map_err(|_| BAD)?;
    fields.insert(header::COOKIE, joined);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(request: http::request::Builder) -> Result<Parts, Unparsable> {
        let mut head = request.body(()).unwrap().into_parts().0;
        check(&mut head, 4).map(|()| head)
    }

    #[test]
    fn cookies_are_joined_in_their_order() {
        let request = http::Request::get("/").header("cookie", "a=1").header("x", "y");
        let head = checked(request.header("cookie", "b=2; c=3").header("cookie", "d")).unwrap();
        assert_eq!(head.headers["cookie"], "a=1; b=2; c=3; d");
        assert_eq!((head.headers.len(), &head.headers["x"]), (2, &HeaderValue::from_static("y")));
    }

    #[test]
    fn fields_are_counted_before_they_are_joined() {
        let with = |count: usize| {
            (0..count).fold(http::Request::get("/"), |request, _| request.header("cookie", "a"))
        };
        assert!(checked(with(4)).is_ok());
        assert_eq!(checked(with(5)).unwrap_err(), Unparsable::TooLarge);
    }

    #[test]
    fn what_http1_would_read_otherwise_is_refused() {
        for value in [" a", "a ", "\ta", "a\t", " "] {
            assert!(checked(http::Request::get("/").header("x", value)).is_err(), "{value:?}");
        }
        assert!(checked(http::Request::get("/").header("x", "a b").header("y", "")).is_ok());
        assert!(checked(http::Request::get("ftp://a.example/")).is_err());
        assert!(checked(http::Request::get("http://a.example/")).is_ok());
    }
}
