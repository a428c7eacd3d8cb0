//! Fields behind a body, which nobody may take for fields of the head (RFC 9110 section 6.5).

use http::{HeaderMap, HeaderName};

/// Tells whether a field may stand behind a body: not what frames it, says where the message goes, what
/// is allowed or paid, or how the body is to be read (RFC 9110 section 6.5.1). Some take an underscore for a dash.
pub(crate) fn is_allowed(name: &str) -> bool {
    let plain;
    let name = if name.contains('_') {
        plain = name.replace('_', "-");
        &plain
    } else {
        name
    };
    !FORBIDDEN.contains(&name) && !FORBIDDEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Takes out what may not stand behind a body, or not by another rule.
pub(crate) fn retain(fields: &mut HeaderMap, is_dropped: impl Fn(&HeaderName) -> bool) {
    let unwanted = fields.keys().filter(|name| !is_allowed(name.as_str()) || is_dropped(name));
    let unwanted: Vec<_> = unwanted.cloned().collect();
    for name in unwanted {
        fields.remove(name);
    }
}

const FORBIDDEN_PREFIXES: [&str; 7] =
    ["access-control-", "faregate-", "if-", "payment-", "proxy-", "sec-", "x-forwarded-"];

const FORBIDDEN: [&str; 46] = [
    "accept-ranges",
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "origin",
    "payment",
    "pragma",
    "range",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-api-key",
    "x-http-method-override",
    "x-method-override",
    "x-payment",
    "x-real-ip",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_heads_are_for_stands_in_heads() {
        for name in [
            "content-length",
            "host",
            "authorization",
            "x_api_key",
            "x-forwarded-for",
            "faregate_cost",
            "payment-signature",
            "if-match",
        ] {
            assert!(!is_allowed(name), "{name}");
        }
        for name in ["x-sum", "grpc-status", "server-timing", "digest", "iffy"] {
            assert!(is_allowed(name), "{name}");
        }
        assert!(FORBIDDEN.is_sorted());
        let mut fields = HeaderMap::new();
        for name in ["x-sum", "te", "x-own"] {
            fields.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        retain(&mut fields, |name| name == "x-own");
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["x-sum"]);
    }
}
