//! Cross-origin requests (the CORS protocol of the Fetch standard): which pages a browser lets use the
//! API. It is no access control: whoever is no browser sends what it likes, and the key decides.
//!
//! Invariant: where it is configured, each answer says `Vary: Origin`, whether or not the request had an
//! origin, lest a cache give a page the answer that was made for another.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};

use crate::{
    answer::headers::field_value,
    config,
    http1::Fields,
    pay::{mpp, x402},
};

/// The fields of the gateway's own answers that a page may read, beside those that any page may.
const EXPOSED: &str = "ratelimit, ratelimit-policy, retry-after, link, www-authenticate, allow, \
                       x-request-id, faregate-cost, faregate-price, faregate-shadow, \
                       faregate-subscription-ends, faregate-grace-ends, grpc-status, grpc-message, \
                       faregate-code, payment-required, payment-response, payment-receipt, \
                       x-payment-response";

/// How the names of the fields begin that only the gateway may say.
const PREFIX: &[u8] = b"access-control-";

/// Who may call from a page, and what a browser is told of that.
#[derive(Debug)]
pub struct Policy {
    allowed: Allowed,
    /// Fields that a page may send.
    headers: HeaderValue,
    max_age: HeaderValue,
}

/// The fields of an answer, as they are written, for each origin that is allowed.
#[derive(Debug)]
enum Allowed {
    Any(Box<[u8]>),
    Listed(HashMap<Box<[u8]>, Box<[u8]>>),
}

impl Policy {
    /// Makes the policy of a checked configuration. Where payments come with requests a page may send one.
    pub fn new(cors: &config::Cors, takes_payments: bool) -> Self {
        let config::Cors { origins, headers, expose, credentials, max_age } = cors;
        let mut headers = headers.clone();
        let payments = [x402::SIGNATURE, x402::SIGNATURE_V1, mpp::CREDENTIAL, mpp::ACCEPT];
        let payments = payments.map(HeaderName::from_static);
        for payment in payments.into_iter().filter(|_| takes_payments) {
            if !headers.contains(&payment) {
                headers.push(payment);
            }
        }
        let lines = |origin: &str| lines(origin, expose, *credentials);
        let allowed = match origins.as_slice() {
            [any] if &**any == "*" => Allowed::Any(lines("*")),
            listed => Allowed::Listed(
                listed.iter().map(|origin| (origin.as_bytes().into(), lines(origin))).collect(),
            ),
        };
        Self {
            allowed,
            headers: field_value(&list(&headers)),
            max_age: HeaderValue::from(max_age.as_secs()),
        }
    }

    /// Tells a browser whether the page that asked may read an answer.
    pub fn tell(&self, request: &HeaderMap, answer: &mut Fields) {
        answer.push(&header::VARY, &HeaderValue::from_static("Origin"));
        if let Some(lines) = self.lines_for(request) {
            answer.lines.extend_from_slice(lines);
        }
    }

    /// Tells whether the page that asked may.
    pub fn allows(&self, request: &HeaderMap) -> bool {
        self.lines_for(request).is_some()
    }

    /// Writes what the answer to a preflight has beside the fields of every answer.
    pub fn answer_preflight(&self, methods: &[Method], answer: &mut HeaderMap) {
        let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, field_value(&methods.join(", ")));
        if !self.headers.is_empty() {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
        }
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
    }

    fn lines_for(&self, request: &HeaderMap) -> Option<&[u8]> {
        let mut origins = request.get_all(header::ORIGIN).iter();
        let origin = origins.next()?;
        // Browsers send one.
        if origins.next().is_some() {
            return None;
        }
        match &self.allowed {
            Allowed::Any(lines) => Some(lines),
            Allowed::Listed(lines) => lines.get(origin.as_bytes()).map(AsRef::as_ref),
        }
    }
}

/// Takes out what an upstream says of pages: a browser would find two answers and believe neither.
pub fn drop_said(answer: &mut Fields) {
    answer.remove_beginning(PREFIX);
}

/// Tells whether a request is a preflight: a browser that asks whether a page may make another one.
pub fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(header::ORIGIN)
        && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Gives the method that a preflight asks for; `None` when it is none, or one that no browser sends.
pub fn asked_method(head: &Parts) -> Option<Method> {
    let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let asked = Method::from_bytes(asked.as_bytes()).ok()?;
    (![Method::CONNECT, Method::TRACE].contains(&asked)).then_some(asked)
}

/// Writes the fields that an answer to an origin has.
fn lines(origin: &str, expose: &[HeaderName], credentials: bool) -> Box<[u8]> {
    let mut fields = Fields::default();
    fields.push_text(&header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if credentials {
        fields.push_text(&header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    let own = |name: &&HeaderName| !EXPOSED.split(", ").any(|exposed| exposed == name.as_str());
    let further = expose.iter().filter(own).map(HeaderName::as_str);
    let exposed: Vec<&str> = std::iter::once(EXPOSED).chain(further).collect();
    fields.push_text(&header::ACCESS_CONTROL_EXPOSE_HEADERS, &exposed.join(", "));
    fields.lines.into_boxed_slice()
}

fn list(names: &[HeaderName]) -> String {
    names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn policy(origins: &[&str], credentials: bool) -> Policy {
        Policy::new(
            &config::Cors {
                origins: origins.iter().map(|origin| (*origin).into()).collect(),
                headers: vec![header::AUTHORIZATION, header::CONTENT_TYPE],
                expose: vec![HeaderName::from_static("link"), HeaderName::from_static("x-own")],
                credentials,
                max_age: Duration::from_secs(60),
            },
            false,
        )
    }

    fn request(origins: &[&'static str]) -> HeaderMap {
        let pair = |origin: &&'static str| (Some(header::ORIGIN), HeaderValue::from_static(origin));
        HeaderMap::from_iter(origins.iter().map(pair).map(|(name, value)| (name.unwrap(), value)))
    }

    fn told(policy: &Policy, origins: &[&'static str]) -> String {
        let mut fields = Fields::default();
        fields.lines.extend_from_slice(b"vary: Accept\r\nAccess-Control-Allow-Origin: *\r\n");
        drop_said(&mut fields);
        policy.tell(&request(origins), &mut fields);
        String::from_utf8(fields.lines).unwrap()
    }

    #[test]
    fn listed_origins_are_compared_whole() {
        let policy = policy(&["https://a.example", "https://b.example:8443"], true);
        let text = told(&policy, &["https://a.example"]);
        let expected = format!(
            "vary: Accept\r\nvary: Origin\r\naccess-control-allow-origin: https://a.example\r\n\
             access-control-allow-credentials: true\r\n\
             access-control-expose-headers: {EXPOSED}, x-own\r\n"
        );
        assert_eq!(text, expected);
        for origins in [
            &[][..],
            &["null"],
            &["*"],
            &["https://a.example."],
            &["https://a.example.evil.example"],
            &["http://a.example"],
            &["https://A.example"],
            &["https://a.example:443"],
            &["https://b.example"],
            &["https://a.example", "https://a.example"],
            &["https://a.example, https://b.example:8443"],
        ] {
            assert_eq!(told(&policy, origins), "vary: Accept\r\nvary: Origin\r\n", "{origins:?}");
            assert!(!policy.allows(&request(origins)), "{origins:?}");
        }
    }

    #[test]
    fn any_origin_is_answered_by_a_star() {
        let policy = policy(&["*"], false);
        for origin in ["https://a.example", "null"] {
            let text = told(&policy, &[origin]);
            assert!(text.contains("\r\naccess-control-allow-origin: *\r\n"), "{text}");
            assert!(!text.contains("credentials"), "{text}");
        }
        assert_eq!(told(&policy, &[]), "vary: Accept\r\nvary: Origin\r\n");
    }

    #[test]
    fn preflights_are_options_with_both_fields() {
        let is_one = |method: &str, fields: &[&str]| {
            let mut request = http::Request::builder().method(method);
            for name in fields {
                request = request.header(*name, "PUT");
            }
            is_preflight(&request.body(()).unwrap().into_parts().0)
        };
        let both = ["origin", "access-control-request-method"];
        assert!(is_one("OPTIONS", &both));
        assert!(!is_one("GET", &both));
        assert!(!is_one("OPTIONS", &["origin"]));
        assert!(!is_one("OPTIONS", &["access-control-request-method"]));
    }
}
