//! The fields of forwarded requests and answers: what is taken off and what is put on.
//!
//! Order: the fields that the client's `Connection` names go first, ours are set after, so that no
//! client can make the gateway delete its own.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    model::{HostHeader, Upstream},
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
            | "trailer"
            | "transfer-encoding"
            | "content-length"
            | "upgrade"
            | "http2-settings"
            | "expect"
            | "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-proto"
            | "x-forwarded-port"
            | "x-forwarded-prefix"
            | "x-forwarded-server"
            | "x-real-ip"
            | "x-request-id"
            | "x-http-method-override"
            | "x-http-method"
            | "x-method-override"
    )
}

/// Tells fields of an answer that concern one connection only, or that only the gateway may say.
fn is_dropped_from_answer(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "ratelimit"
            | "ratelimit-policy"
            | "x-request-id"
    )
}

/// The prefix of the fields that tell who calls and what it cost.
const OURS: &str = "faregate-";

/// What the upstream is told beside the client's own fields.
#[derive(Debug)]
pub struct Told<'a> {
    /// The caller; `None` on a public route.
    pub identity: Option<&'a Identity>,
    /// The request's id.
    pub request_id: HeaderValue,
    /// The client's address.
    pub peer: &'a HeaderValue,
    /// The host that the client asked for.
    pub host: Option<HeaderValue>,
    /// Its place in a trace; without one the client's own `traceparent` and `tracestate` pass.
    pub trace: Option<&'a Trace>,
}

/// How many fields are set at most, beside the upstream's own.
const FIELDS_SET: usize = 8;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static REQUEST_ID: HeaderName = HeaderName::from_static("faregate-request-id");
static CUSTOMER: HeaderName = HeaderName::from_static("faregate-customer");
static KEY_ID: HeaderName = HeaderName::from_static("faregate-key-id");
static APPLICATION: HeaderName = HeaderName::from_static("faregate-application");
static PLAN: HeaderName = HeaderName::from_static("faregate-plan");

/// Turns a client's fields, its key already taken off, into those of the forwarded request.
pub fn forward(fields: &mut HeaderMap, upstream: &Upstream, told: &Told<'_>) {
    remove_named_by_connection(fields);
    remove_unwanted(fields, is_dropped_from_request);
    fields.reserve(FIELDS_SET + upstream.set_headers.len());
    set_host(fields, upstream, told);
    set_told(fields, told);
    if let Some(trace) = told.trace {
        trace.forward(fields);
    }
    for (name, value) in &upstream.set_headers {
        fields.insert(name, value.clone());
    }
}

/// Takes off an answer what concerns the upstream's connection or is for the gateway to say.
pub fn answer(fields: &mut HeaderMap) {
    remove_named_by_connection(fields);
    remove_unwanted(fields, is_dropped_from_answer);
}

fn set_host(fields: &mut HeaderMap, upstream: &Upstream, told: &Told<'_>) {
    let host = match (upstream.host_header, &told.host) {
        (HostHeader::Preserve, Some(host)) => host.clone(),
        (HostHeader::Preserve, None) | (HostHeader::Upstream, _) => upstream.authority.clone(),
    };
    fields.insert(header::HOST, host);
    if let Some(host) = &told.host {
        fields.insert(&X_FORWARDED_HOST, host.clone());
    }
}

fn set_told(fields: &mut HeaderMap, told: &Told<'_>) {
    fields.insert(&X_FORWARDED_FOR, told.peer.clone());
    fields.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    fields.insert(&REQUEST_ID, told.request_id.clone());
    let Some(identity) = told.identity else { return };
    fields.insert(&CUSTOMER, identity.customer.clone());
    fields.insert(&KEY_ID, identity.key_id.clone());
    if let Some(application) = &identity.application {
        fields.insert(&APPLICATION, application.clone());
    }
    if let Some(plan) = &identity.plan {
        fields.insert(&PLAN, plan.clone());
    }
}

fn remove_named_by_connection(fields: &mut HeaderMap) {
    // What most senders say names nothing beside what is dropped anyway.
    let is_usual = |value: &HeaderValue| {
        let value = value.as_bytes();
        value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
    };
    if fields.get_all(header::CONNECTION).iter().all(is_usual) {
        return;
    }
    let named: Vec<HeaderName> = fields
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        fields.remove(name);
    }
}

/// Removes what is dropped, everything under our prefix, and names that some servers take for one of
/// these, because to them an underscore is a dash. One pass over the fields that are there: most
/// requests have few, and none of what is looked for.
fn remove_unwanted(fields: &mut HeaderMap, is_dropped: fn(&str) -> bool) {
    let is_unwanted = |name: &str| is_dropped(name) || name.starts_with(OURS);
    let found: Vec<HeaderName> = fields
        .keys()
        .filter(|name| {
            let name = name.as_str();
            is_unwanted(name)
                || (name.bytes().any(|byte| byte == b'_') && {
                    let dashed = name.replace('_', "-");
                    // `Host` is set anew, but not what only looks like it.
                    is_unwanted(&dashed) || dashed == "host"
                })
        })
        .cloned()
        .collect();
    for name in found {
        fields.remove(name);
    }
}
