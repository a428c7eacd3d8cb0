//! The request to speak WebSocket from here on (RFC 6455 section 4.2.1), on a connection of HTTP/1.1 or on one
//! stream of HTTP/2 (RFC 8441).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request::Parts};
use sha1::{Digest, Sha1};

use crate::{
    answer::Denial,
    http1::{is_member, values_of},
};

/// Stands among the extensions of a head by which a stream of HTTP/2 is to become a WebSocket: what the upstream
/// has to accept it with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OnStream {
    accept: Accept,
}

/// A value of `Sec-WebSocket-Accept`: a SHA-1 in base64.
pub type Accept = [u8; 28];

/// Makes an extended CONNECT the request that opens a WebSocket by HTTP/1.1 (RFC 8441 section 5). There it has a
/// key, which proves that the upstream knows what it is asked for, and whose answer is the gateway's to check.
pub fn open_on_stream(head: &mut Parts, nonce: u128) {
    let key = STANDARD.encode(nonce.to_be_bytes());
    let accept = accept(key.as_bytes());
    // Base64 is always a field's value.
    let key = HeaderValue::try_from(key).unwrap_or_else(|_| HeaderValue::from_static(""));
    head.method = Method::GET;
    head.headers.insert(header::SEC_WEBSOCKET_KEY, key);
    head.extensions.insert(OnStream { accept });
}

/// Tells whether a stream of HTTP/2 is to become a WebSocket.
pub fn is_on_stream(head: &Parts) -> bool {
    head.extensions.get::<OnStream>().is_some()
}

/// Tells whether an answer accepts a WebSocket whose key is the gateway's; one whose key is the client's is
/// for that to check.
pub fn is_accepted(head: &Parts, accept: Option<&Accept>) -> bool {
    head.extensions.get::<OnStream>().is_none_or(|asked| accept == Some(&asked.accept))
}

/// Gives what accepts a key (RFC 6455 section 4.2.2).
fn accept(key: &[u8]) -> Accept {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    // A hash of 20 bytes takes 28.
    let _ = STANDARD.encode_slice(hash, &mut accept);
    accept
}

/// Tells whether a request asks for WebSocket. Other protocols are none that the gateway changes to, so it
/// passes over what asks for them (RFC 9110 section 7.8).
pub fn asks_for(head: &Parts) -> Result<bool, Denial> {
    let fields = &head.headers;
    if is_on_stream(head) {
        return check(head).map(|()| true);
    }
    let is_asked = head.version == Version::HTTP_11
        && fields.contains_key(header::UPGRADE)
        && is_member(values_of(fields, &header::UPGRADE), "websocket")
        && is_member(values_of(fields, &header::CONNECTION), "upgrade");
    if !is_asked {
        return Ok(false);
    }
    check(head).map(|()| true)
}

fn check(head: &Parts) -> Result<(), Denial> {
    let fields = &head.headers;
    if head.method != Method::GET {
        return Err(Denial::InvalidRequest("A WebSocket is opened by GET."));
    }
    let has_body = fields.contains_key(header::TRANSFER_ENCODING)
        || fields.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        return Err(Denial::InvalidRequest("A request for a WebSocket has no body."));
    }
    if only(fields, &header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Denial::WebSocketVersion);
    }
    let nonce = only(fields, &header::SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key).ok());
    if nonce.is_none_or(|nonce| nonce.len() != 16) {
        return Err(Denial::InvalidRequest("Sec-WebSocket-Key must be 16 bytes in base64."));
    }
    Ok(())
}

/// Gives the value of a field that stands there once.
fn only<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = fields.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks with the usual fields, of which some are replaced.
    fn verdict(method: &str, version: Version, replaced: &[(&str, &str)]) -> Option<bool> {
        let mut request = http::Request::builder().method(method).version(version);
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            if replaced.iter().all(|(other, _)| *other != name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in replaced.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        asks_for(&request.body(()).unwrap().into_parts().0).ok()
    }

    /// The example of RFC 6455 section 1.3.
    #[test]
    fn key_is_accepted_by_its_hash() {
        assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn stream_asks_with_a_key_of_the_gateways_own() {
        let request = http::Request::connect("https://a.example/chat").version(Version::HTTP_2);
        let request = request.header("sec-websocket-version", "13");
        let request = request.header("sec-websocket-key", "the client's");
        let mut head = request.body(()).unwrap().into_parts().0;
        assert_eq!(asks_for(&head).ok(), Some(false));
        open_on_stream(&mut head, 7);
        assert_eq!((&head.method, asks_for(&head).ok()), (&Method::GET, Some(true)));
        let key = &head.headers[header::SEC_WEBSOCKET_KEY];
        assert_eq!(key, "AAAAAAAAAAAAAAAAAAAABw==");
        let right = accept(key.as_bytes());
        assert!(is_accepted(&head, Some(&right)));
        assert!(!is_accepted(&head, Some(&[b'x'; 28])) && !is_accepted(&head, None));
        head.headers.insert("sec-websocket-version", HeaderValue::from_static("8"));
        assert!(asks_for(&head).is_err());
    }

    #[test]
    fn only_whole_handshakes_are_taken() {
        let of = |replaced: &[(&str, &str)]| verdict("GET", Version::HTTP_11, replaced);
        assert_eq!(of(&[]), Some(true));
        assert_eq!(of(&[("upgrade", "h2c, websocket")]), Some(true));
        assert_eq!(of(&[("content-length", "0")]), Some(true));
        for none in
            [("upgrade", "h2c"), ("upgrade", ""), ("connection", "close"), ("connection", "")]
        {
            assert_eq!(of(&[none]), Some(false), "{none:?}");
        }
        assert_eq!(verdict("GET", Version::HTTP_10, &[]), Some(false));
        for bad in [
            ("sec-websocket-version", "8"),
            ("sec-websocket-version", ""),
            ("sec-websocket-key", ""),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25j"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
        ] {
            assert_eq!(of(&[bad]), None, "{bad:?}");
        }
        let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(of(&[key, key]), None);
        assert_eq!(verdict("POST", Version::HTTP_11, &[]), None);
    }
}
