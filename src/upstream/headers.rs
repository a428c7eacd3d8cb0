//! The fields of forwarded requests and answers: what is taken off and what is put on.
//!
//! The fields that the client's `Connection` names are left out of the client's alone, so that no client
//! can make the gateway leave out its own.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, uri::PathAndQuery};

use crate::{
    chain::{
        origin::{Origin, Scheme},
        target::Host,
    },
    config::KeyLocation,
    http1::{push_field, trailers},
    model::{HostHeader, Upstream},
    pay::{mpp, x402},
    roster::Identity,
    telemetry::traces::Trace,
};

/// Tells fields that concern one connection only (RFC 9110 section 7.6.1), those that replace the
/// method behind the gateway's back, and those that only the gateway may say. `Expect` is answered
/// here and not sent on; `Host` is always set anew.
fn is_dropped_from_request(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "content-length"
            | "upgrade"
            | "http2-settings"
            | "expect"
            | "forwarded"
            | "x-real-ip"
            | "x-request-id"
            | "x-http-method-override"
            | "x-http-method"
            | "x-method-override"
    ) || name.starts_with(FORWARDED)
}

/// Tells fields of an answer that concern one connection only, frame its body, or are for the gateway to
/// say, in whatever case. Some take an underscore for a dash.
pub(crate) fn is_dropped_from_answer(name: &str) -> bool {
    const LONGEST: usize = "proxy-authenticate".len();
    let mut plain = [0; LONGEST];
    for (to, byte) in plain.iter_mut().zip(name.bytes()) {
        *to = if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    }
    if plain.starts_with(OURS.as_bytes()) {
        return true;
    }
    let plain = plain.get(..name.len()).unwrap_or_default();
    matches!(
        plain,
        b"connection"
            | b"content-length"
            | b"keep-alive"
            | b"proxy-connection"
            | b"proxy-authenticate"
            | b"te"
            | b"transfer-encoding"
            | b"upgrade"
            | b"ratelimit"
            | b"ratelimit-policy"
            | b"x-request-id"
    )
}

/// The prefix of the fields that tell where a request comes from.
const FORWARDED: &str = "x-forwarded-";

/// The prefix of the fields that tell who calls and what it cost.
const OURS: &str = "faregate-";

/// What the upstream is told beside the client's own fields.
#[derive(Debug)]
pub struct Told<'a> {
    /// The caller; `None` on a public route.
    pub identity: Option<&'a Identity>,
    /// The request's id.
    pub request_id: HeaderValue,
    /// The protocol that it came by.
    pub version: Version,
    /// The client takes fields behind the answer's body.
    pub takes_trailers: bool,
    /// The client asks for a WebSocket.
    pub is_switch: bool,
    /// What a trusted proxy says of the request; of anybody else's it is said by the gateway alone.
    pub origin: Option<&'a Origin>,
    /// The address of whoever connected.
    pub peer: &'a HeaderValue,
    /// How the client speaks to the outermost proxy, or to the gateway.
    pub scheme: Scheme,
    /// The certificate that the client has shown to the gateway.
    pub client_cert: Option<&'a HeaderValue>,
    /// The host that the client asked for.
    pub host: Option<HeaderValue>,
    /// The authority of the endpoint that it goes to.
    pub authority: &'a HeaderValue,
    /// Where a key may stand; nothing goes up that could be taken for one.
    pub key_locations: &'a [KeyLocation],
    /// Payments that come with requests are taken, and are nothing for an upstream.
    pub takes_payments: bool,
    /// Its place in a trace; without one the client's own `traceparent` and `tracestate` pass.
    pub trace: Option<&'a Trace>,
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
static REQUEST_ID: HeaderName = HeaderName::from_static("faregate-request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static CUSTOMER: HeaderName = HeaderName::from_static("faregate-customer");
static KEY_ID: HeaderName = HeaderName::from_static("faregate-key-id");
static APPLICATION: HeaderName = HeaderName::from_static("faregate-application");
static PLAN: HeaderName = HeaderName::from_static("faregate-plan");

/// How many bytes most heads take at most.
const HEAD_BYTES: usize = 1024;

/// Writes the head of the forwarded request, but for what frames its body and the line that ends it:
/// the client's fields, its key already taken off, without those that are not for the upstream, and
/// what it is told.
pub fn forward(
    method: &Method,
    target: &PathAndQuery,
    fields: &HeaderMap,
    upstream: &Upstream,
    told: &Told<'_>,
) -> Vec<u8> {
    let mut head = Head { text: Vec::with_capacity(HEAD_BYTES), set: &upstream.set_headers };
    head.text.extend_from_slice(method.as_str().as_bytes());
    head.text.extend_from_slice(b" ");
    head.text.extend_from_slice(target.as_str().as_bytes());
    head.text.extend_from_slice(b" HTTP/1.1\r\n");
    write_host(&mut head, upstream, told);
    write_passed(&mut head, fields, told);
    write_told(&mut head, told);
    for (name, value) in head.set {
        head.write(name, value);
    }
    head.text
}

/// Puts another endpoint's authority in the place of the one in a head that was written. The `Host` is
/// the first field.
pub(super) fn set_host(head: &mut Vec<u8>, authority: &HeaderValue) {
    let find = |head: &[u8], from: usize| {
        let rest = head.get(from..).unwrap_or_default();
        rest.windows(2).position(|two| two == b"\r\n").map(|at| from + at)
    };
    let Some(line) = find(head, 0).map(|end| end + 2) else { return };
    let Some(end) = find(head, line) else { return };
    let mut field = Vec::with_capacity(authority.len() + 8);
    push_field(&mut field, header::HOST.as_str(), authority.as_bytes());
    debug_assert!(head.get(line..).is_some_and(|rest| rest.starts_with(b"host: ")));
    head.splice(line..end + 2, field);
}

/// The head of a request as it is written.
struct Head<'a> {
    text: Vec<u8>,
    set: &'a [(HeaderName, HeaderValue)],
}

impl Head<'_> {
    /// Writes a field, unless the operator sets it.
    fn tell(&mut self, name: &HeaderName, value: &HeaderValue) {
        if self.set.iter().all(|(set, _)| set != name) {
            self.write(name, value);
        }
    }

    fn write(&mut self, name: &HeaderName, value: &HeaderValue) {
        push_field(&mut self.text, name.as_str(), value.as_bytes());
    }
}

/// Takes off what follows an answer's body what is not for the caller.
pub fn trailers_of_answer(fields: &mut HeaderMap) {
    trailers::retain(fields, |name| is_dropped_from_answer(name.as_str()));
}

/// Takes off what follows a request's body what is not for the upstream.
pub fn trailers_of_request(fields: &mut HeaderMap) {
    trailers::retain(fields, |name| is_unwanted(name, is_dropped_from_request, |_| false));
}

fn write_host(head: &mut Head<'_>, upstream: &Upstream, told: &Told<'_>) {
    let host = match (upstream.host_header, &told.host) {
        (HostHeader::Preserve, Some(host)) => host,
        (HostHeader::Preserve, None) | (HostHeader::Upstream, _) => told.authority,
    };
    head.tell(&header::HOST, host);
    let given = told.origin.and_then(Origin::host).map(Host::value);
    if let Some(host) = given.as_ref().or(told.host.as_ref()) {
        head.tell(&X_FORWARDED_HOST, host);
    }
}

fn write_passed(head: &mut Head<'_>, fields: &HeaderMap, told: &Told<'_>) {
    let Told { trace, key_locations, takes_payments, .. } = *told;
    let is_dropped = |name: &str| match name {
        "host" => true,
        "traceparent" => trace.is_some(),
        "tracestate" => trace.is_some_and(|trace| !trace.keeps_state()),
        x402::SIGNATURE | x402::SIGNATURE_V1 | mpp::CREDENTIAL | mpp::ACCEPT => takes_payments,
        "client-cert" | "client-cert-chain" => told.origin.is_none(),
        _ => is_dropped_from_request(name),
    };
    let set = head.set;
    let is_taken = |name: &HeaderName| {
        let is_key = |location: &KeyLocation| match location {
            KeyLocation::Header(key) => is_alike(key, name),
            _ => false,
        };
        set.iter().any(|(set, _)| is_alike(set, name)) || key_locations.iter().any(is_key)
    };
    let named = named_by_connection(fields);
    let is_payment = |name: &HeaderName, value: &HeaderValue| {
        takes_payments && *name == header::AUTHORIZATION && mpp::token(value.as_bytes()).is_some()
    };
    for (name, value) in fields {
        let is_unwanted = is_unwanted(name, is_dropped, is_taken) || is_payment(name, value);
        if !is_unwanted && !named.contains(name) {
            head.tell(name, value);
        }
    }
}

fn write_told(head: &mut Head<'_>, told: &Told<'_>) {
    head.tell(&X_FORWARDED_FOR, told.origin.map_or(told.peer, Origin::chain));
    head.tell(&X_FORWARDED_PROTO, &HeaderValue::from_static(told.scheme.name()));
    // A trusted proxy tells of its own client (RFC 9440 section 2.4), which passed.
    if let Some(certificate) = told.client_cert.filter(|_| told.origin.is_none()) {
        head.tell(&CLIENT_CERT, certificate);
    }
    if let Some(id) = told.origin.and_then(Origin::request_id) {
        head.tell(&X_REQUEST_ID, id);
    }
    head.tell(&REQUEST_ID, &told.request_id);
    // Behind those that the client's own has (RFC 9110 section 7.6.3).
    let version = match told.version {
        Version::HTTP_10 => "1.0 faregate",
        Version::HTTP_2 => "2 faregate",
        _ => "1.1 faregate",
    };
    head.tell(&header::VIA, &HeaderValue::from_static(version));
    if told.is_switch {
        push_field(&mut head.text, "connection", b"upgrade");
        push_field(&mut head.text, "upgrade", b"websocket");
    } else if told.takes_trailers {
        push_field(&mut head.text, "te", b"trailers");
        push_field(&mut head.text, "connection", b"te");
    }
    if let Some(trace) = told.trace {
        head.tell(&TRACEPARENT, &trace.parent_value());
    }
    let Some(identity) = told.identity else { return };
    head.tell(&CUSTOMER, &identity.customer);
    head.tell(&KEY_ID, &identity.key_id);
    if let Some(application) = &identity.application {
        head.tell(&APPLICATION, application);
    }
    if let Some(plan) = &identity.plan {
        head.tell(&PLAN, plan);
    }
}

/// Gives the fields that `Connection` names beside what is dropped anyway.
fn named_by_connection(fields: &HeaderMap) -> Vec<HeaderName> {
    // What most senders say names nothing.
    let is_usual = |value: &HeaderValue| {
        let value = value.as_bytes();
        value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
    };
    let values = fields.get_all(header::CONNECTION).iter();
    values
        .filter(|value| !is_usual(value))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

/// Tells what is dropped, everything under our prefix, and names that some servers take for one of
/// these, or for one that is taken, because to them an underscore is a dash.
fn is_unwanted(
    name: &HeaderName,
    is_dropped: impl Fn(&str) -> bool,
    is_taken: impl Fn(&HeaderName) -> bool,
) -> bool {
    let text = name.as_str();
    let is_unwanted = |name: &str| is_dropped(name) || name.starts_with(OURS);
    is_unwanted(text)
        || (text.bytes().any(|byte| byte == b'_')
            && (is_unwanted(&text.replace('_', "-")) || is_taken(name)))
}

/// Tells whether two names are one where an underscore is a dash.
fn is_alike(one: &HeaderName, other: &HeaderName) -> bool {
    let dashed = |byte| if byte == b'_' { b'-' } else { byte };
    one.as_str().bytes().map(dashed).eq(other.as_str().bytes().map(dashed))
}
