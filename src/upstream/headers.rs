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

/// Fields that concern one connection only (RFC 9110 section 7.6.1), and those that replace the
/// method behind the gateway's back. `Expect` is answered here and not sent on.
const REQUEST_DROPPED: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "http2-settings",
    "expect",
    "host",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-real-ip",
    "x-request-id",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Fields of an answer that concern one connection only, or that only the gateway may say.
const ANSWER_DROPPED: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "transfer-encoding",
    "upgrade",
    "ratelimit",
    "ratelimit-policy",
    "x-request-id",
];

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

/// Turns a client's fields, its key already taken off, into those of the forwarded request.
pub fn forward(fields: &mut HeaderMap, upstream: &Upstream, told: &Told<'_>) {
    remove_named_by_connection(fields);
    REQUEST_DROPPED.iter().for_each(|name| drop(fields.remove(*name)));
    remove_ours(fields);
    remove_lookalikes(fields, REQUEST_DROPPED);
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
    ANSWER_DROPPED.iter().for_each(|name| drop(fields.remove(*name)));
    remove_ours(fields);
    remove_lookalikes(fields, ANSWER_DROPPED);
}

fn set_host(fields: &mut HeaderMap, upstream: &Upstream, told: &Told<'_>) {
    let host = match (upstream.host_header, &told.host) {
        (HostHeader::Preserve, Some(host)) => host.clone(),
        (HostHeader::Preserve, None) | (HostHeader::Upstream, _) => upstream.authority.clone(),
    };
    fields.insert(header::HOST, host);
    if let Some(host) = &told.host {
        fields.insert("x-forwarded-host", host.clone());
    }
}

fn set_told(fields: &mut HeaderMap, told: &Told<'_>) {
    fields.insert("x-forwarded-for", told.peer.clone());
    fields.insert("x-forwarded-proto", HeaderValue::from_static("http"));
    fields.insert("faregate-request-id", told.request_id.clone());
    let Some(identity) = told.identity else { return };
    fields.insert("faregate-customer", identity.customer.clone());
    fields.insert("faregate-key-id", identity.key_id.clone());
    if let Some(application) = &identity.application {
        fields.insert("faregate-application", application.clone());
    }
    if let Some(plan) = &identity.plan {
        fields.insert("faregate-plan", plan.clone());
    }
}

fn remove_named_by_connection(fields: &mut HeaderMap) {
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

/// Removes everything under our prefix.
fn remove_ours(fields: &mut HeaderMap) {
    remove_where(fields, |name| name.starts_with(OURS));
}

/// Removes names that some servers take for one of ours or of the removed ones, because to them an
/// underscore is a dash.
fn remove_lookalikes(fields: &mut HeaderMap, removed: &[&str]) {
    remove_where(fields, |name| {
        name.contains('_') && {
            let dashed = name.replace('_', "-");
            dashed.starts_with(OURS) || removed.contains(&dashed.as_str())
        }
    });
}

fn remove_where(fields: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let unwanted = |name: &&HeaderName| unwanted(name.as_str());
    let found: Vec<HeaderName> = fields.keys().filter(unwanted).cloned().collect();
    for name in found {
        fields.remove(name);
    }
}
