//! The request to speak WebSocket from here on (RFC 6455 section 4.2.1).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, Method, Version, header, request::Parts};

use crate::{
    answer::Denial,
    http1::{is_member, values_of},
};

/// Tells whether a request asks for WebSocket. Other protocols are none that the gateway changes to, so it
/// passes over what asks for them (RFC 9110 section 7.8).
pub fn asks_for(head: &Parts) -> Result<bool, Denial> {
    let fields = &head.headers;
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
