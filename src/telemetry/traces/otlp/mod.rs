//! Records as OTLP spans: what a collector is sent, and what it says of it.
//!
//! The numbers are those of the fields in `opentelemetry/proto/trace/v1/trace.proto` and the files
//! that it imports; they never change.

use jiff::Timestamp;

use super::{
    context::{SpanId, TraceId},
    record::{Call, OTHER_METHOD, Outcome, Record, Spans},
};
use crate::{
    model::Address,
    protobuf::{self, Message, Value},
};

/// The kinds of a span.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// The status of a span that failed; without one it is unset.
const ERROR: u64 = 2;

/// A span's flags: sampled, and that it is said whether the parent is another process's.
const SAMPLED: u32 = 0x001;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Endings that a caller or an operator would call a failure though the status may say otherwise.
const FAILED: [&str; 4] = ["expired", "failed", "faulted", "truncated"];

/// Writes the message that carries the spans of some requests.
pub(super) fn request(service: &str, records: &[Record]) -> Vec<u8> {
    let mut message = Message::default();
    message.message(1, |resource_spans| {
        resource_spans.message(1, |resource| {
            text(resource, 1, "service.name", service);
            text(resource, 1, "service.version", env!("CARGO_PKG_VERSION"));
        });
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| {
                scope.text(1, env!("CARGO_PKG_NAME"));
                scope.text(2, env!("CARGO_PKG_VERSION"));
            });
            for record in records {
                scope_spans.message(2, |span| server_span(span, record));
                if let Some(call) = &record.spans.call {
                    scope_spans.message(2, |span| client_span(span, record, call));
                }
            }
        });
    });
    message.into_bytes()
}

/// Gives how many spans a collector refused of those that it took, by its answer.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let Some(Value::Bytes(partial)) = protobuf::find(answer, 1) else { return 0 };
    match protobuf::find(partial, 1) {
        Some(Value::Number(rejected)) => rejected,
        _ => 0,
    }
}

fn server_span(span: &mut Message, record: &Record) {
    let Record { trace_id, spans, time, duration, method, .. } = record;
    let Spans { server, parent, linked, route, .. } = &**spans;
    let verb = if *method == OTHER_METHOD { "HTTP" } else { method };
    let name = match route {
        Some(route) => format!("{verb} {}", route.name),
        None => verb.to_owned(),
    };
    ids(span, *trace_id, *server, *parent);
    span.text(5, &name);
    span.varint(6, SERVER);
    span.fixed64(7, nanoseconds(*time, std::time::Duration::ZERO));
    span.fixed64(8, nanoseconds(*time, *duration));
    server_attributes(span, record);
    if let Some((trace_id, span_id)) = linked {
        span.message(13, |link| {
            link.bytes(1, &trace_id.0);
            link.bytes(2, &span_id.0);
            link.fixed32(6, HAS_IS_REMOTE | IS_REMOTE);
        });
    }
    if error_of(record).is_some() {
        status_error(span);
    }
    let remote = if parent.is_some() { IS_REMOTE } else { 0 };
    span.fixed32(16, SAMPLED | HAS_IS_REMOTE | remote);
}

fn server_attributes(span: &mut Message, record: &Record) {
    let Record {
        spans,
        request_id,
        client,
        method,
        path,
        customer,
        application,
        key_id,
        plan,
        status,
        code,
        shadow,
        ending,
        charged,
        ..
    } = record;
    let mut text = |key, value: &str| text(span, 9, key, value);
    text("http.request.method", method);
    text("url.path", path);
    text("url.scheme", "http");
    text("client.address", &client.to_canonical().to_string());
    let version = match spans.version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2",
        _ => "1.1",
    };
    text("network.protocol.version", version);
    text("faregate.request_id", &request_id.to_string());
    let given = [
        ("http.route", spans.route.as_ref().map(|route| &*route.path)),
        ("faregate.customer", customer.as_deref()),
        ("faregate.application", application.as_deref()),
        ("faregate.key_id", key_id.as_deref()),
        ("faregate.plan", plan.as_deref()),
        ("faregate.code", *code),
        ("faregate.shadow", *shadow),
        ("faregate.ending", *ending),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            text(key, value);
        }
    }
    let error = error_of(record);
    if let Some(error) = &error {
        text("error.type", error);
    }
    if let Some(authority) = &spans.authority {
        let (host, port) = split_port(authority);
        text("server.address", host);
        if let Some(port) = port {
            number(span, 9, "server.port", port.into());
        }
    }
    // None was given to a caller who had left.
    if *status != 0 {
        number(span, 9, "http.response.status_code", (*status).into());
    }
    number(span, 9, "faregate.units", *charged);
}

fn client_span(span: &mut Message, record: &Record, call: &Call) {
    let Record { trace_id, upstream_span, spans, time, duration, method, .. } = record;
    let Call { begun, endpoint, ended } = call;
    let over = ended.map_or(*duration, |(over, _)| over);
    // A request that ended before its answer: nobody waited for it any more.
    let outcome = ended.map_or(Outcome::Failed("canceled"), |(_, outcome)| outcome);
    ids(span, *trace_id, *upstream_span, Some(spans.server));
    span.text(5, if *method == OTHER_METHOD { "HTTP" } else { method });
    span.varint(6, CLIENT);
    span.fixed64(7, nanoseconds(*time, *begun));
    span.fixed64(8, nanoseconds(*time, over));
    text(span, 9, "http.request.method", method);
    text(span, 9, "network.protocol.version", "1.1");
    if let Some(route) = &spans.route {
        let endpoint = route.upstream.endpoints.get(*endpoint);
        let endpoint = endpoint.unwrap_or_else(|| route.upstream.endpoints.first());
        match &endpoint.address {
            Address::Tcp { host, port } => {
                text(span, 9, "server.address", host);
                number(span, 9, "server.port", (*port).into());
            }
            Address::Unix(path) => {
                text(span, 9, "server.address", &path.display().to_string());
                text(span, 9, "network.transport", "unix");
            }
        }
    }
    let error = match outcome {
        Outcome::Failed(code) => Some(code.to_owned()),
        Outcome::Status(status) => {
            number(span, 9, "http.response.status_code", status.into());
            (status >= 400).then(|| status.to_string())
        }
    };
    if let Some(error) = error {
        text(span, 9, "error.type", &error);
        status_error(span);
    }
    span.fixed32(16, SAMPLED | HAS_IS_REMOTE);
}

/// Tells what failed, if it is not the caller's doing.
fn error_of(record: &Record) -> Option<String> {
    let Record { status, code, ending, .. } = record;
    let failed = ending.filter(|ending| FAILED.contains(ending));
    if *status >= 500 {
        return Some(code.map_or_else(|| status.to_string(), str::to_owned));
    }
    failed.map(str::to_owned)
}

fn ids(span: &mut Message, trace_id: TraceId, span_id: SpanId, parent: Option<SpanId>) {
    span.bytes(1, &trace_id.0);
    span.bytes(2, &span_id.0);
    if let Some(parent) = parent {
        span.bytes(4, &parent.0);
    }
}

fn status_error(span: &mut Message) {
    span.message(15, |status| status.varint(3, ERROR));
}

fn text(message: &mut Message, field: u32, key: &str, value: &str) {
    message.message(field, |pair| {
        pair.text(1, key);
        pair.message(2, |any| any.text(1, value));
    });
}

fn number(message: &mut Message, field: u32, key: &str, value: u64) {
    message.message(field, |pair| {
        pair.text(1, key);
        pair.message(2, |any| any.varint(3, value));
    });
}

/// Splits the port off a host, and the brackets off an IPv6 address.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    let split = authority.rsplit_once(':');
    let split = split.and_then(|(host, port)| Some((host, Some(port.parse().ok()?))));
    let (host, port) = split.unwrap_or((authority, None));
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    (bare.unwrap_or(host), port)
}

fn nanoseconds(time: Timestamp, later: std::time::Duration) -> u64 {
    let start = u64::try_from(time.as_nanosecond()).unwrap_or(0);
    start.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
