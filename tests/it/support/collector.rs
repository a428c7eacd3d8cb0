//! A collector that takes OTLP over HTTP and keeps the spans. It reads protobuf on its own, by the
//! numbers of the published files.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr};

use serde_json::{Value, json};

use super::{Exchange, Then, Upstream, wait_for};

/// A collector.
pub(crate) struct Collector(Upstream);

/// A span as it came.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    /// Empty for the first of its trace.
    pub(crate) parent: String,
    pub(crate) name: String,
    /// 2 for a server's, 3 for a client's.
    pub(crate) kind: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, Value>,
    /// Trace and span.
    pub(crate) links: Vec<(String, String)>,
    pub(crate) is_error: bool,
}

impl Collector {
    /// Starts one that takes everything.
    pub(crate) fn start() -> Self {
        Self::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned())
    }

    /// Starts one that answers by the number of the request, from 0.
    pub(crate) fn answering(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        let count = std::sync::atomic::AtomicUsize::new(0);
        Self(Upstream::start(move |exchange: &mut Exchange<'_>| {
            exchange.read_body()?;
            let index = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            exchange.send(answer(index))?;
            Ok(Then::Close)
        }))
    }

    /// Starts one that reads and never answers.
    pub(crate) fn silent() -> Self {
        Self(Upstream::start(|exchange: &mut Exchange<'_>| {
            exchange.read_body()?;
            Ok(Then::Silence)
        }))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Gives what was received, requests and all.
    pub(crate) fn requests(&self) -> Vec<super::upstream::Received> {
        self.0.requests()
    }

    /// Gives every span that was received.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.requests();
        requests.iter().filter(|request| request.body_bytes > 0).flat_map(spans_of).collect()
    }

    /// Waits for this many spans and gives them.
    pub(crate) fn wait_spans(&self, count: usize) -> Vec<Span> {
        wait_for("spans", || Some(self.spans()).filter(|spans| spans.len() >= count))
    }

    /// Waits for this many requests.
    pub(crate) fn wait_requests(&self, count: usize) {
        self.0.wait_for(count);
    }
}

impl Span {
    /// Gives an attribute; `Null` when there is none.
    pub(crate) fn attribute(&self, key: &str) -> Value {
        self.attributes.get(key).cloned().unwrap_or_default()
    }
}

fn spans_of(request: &super::upstream::Received) -> Vec<Span> {
    assert_eq!(request.line, "POST /v1/traces HTTP/1.1");
    assert_eq!(request.field("content-type"), Some("application/x-protobuf"));
    assert_eq!(request.body.len() as u64, request.body_bytes, "too long to be kept");
    let resources = all(&request.body, 1);
    let scopes = resources.iter().flat_map(|resource| all(resource, 2));
    let spans =
        scopes.flat_map(|scope| all(scope, 2).into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
    spans.map(|span| read_span(&span)).collect()
}

fn read_span(bytes: &[u8]) -> Span {
    let id = |number| all(bytes, number).first().map(|id| hex(id)).unwrap_or_default();
    let links = all(bytes, 13);
    let link = |link: &&[u8]| (hex(all(link, 1)[0]), hex(all(link, 2)[0]));
    let status = all(bytes, 15);
    Span {
        trace_id: id(1),
        span_id: id(2),
        parent: id(4),
        name: text(all(bytes, 5)[0]),
        kind: number(bytes, 6).unwrap(),
        start: number(bytes, 7).unwrap(),
        end: number(bytes, 8).unwrap(),
        attributes: all(bytes, 9).into_iter().map(read_attribute).collect(),
        links: links.iter().map(link).collect(),
        is_error: status.iter().any(|status| number(status, 3) == Some(2)),
    }
}

fn read_attribute(bytes: &[u8]) -> (String, Value) {
    let value = all(bytes, 2)[0];
    let read = match (all(value, 1).first(), number(value, 3)) {
        (Some(string), None) => json!(text(string)),
        (None, Some(number)) => json!(number),
        other => panic!("an attribute of another type: {other:?}"),
    };
    (text(all(bytes, 1)[0]), read)
}

/// Gives the name and version of the service that sent a message.
pub(crate) fn resource(body: &[u8]) -> BTreeMap<String, Value> {
    let resource = all(all(body, 1)[0], 1)[0];
    all(resource, 1).into_iter().map(read_attribute).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Gives all values of a field that are bytes.
fn all(message: &[u8], wanted: u64) -> Vec<&[u8]> {
    let of = |(number, value)| match value {
        Field::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    };
    fields(message).into_iter().filter_map(of).collect()
}

fn number(message: &[u8], wanted: u64) -> Option<u64> {
    fields(message).into_iter().find_map(|(number, value)| match value {
        Field::Number(value) if number == wanted => Some(value),
        _ => None,
    })
}

#[derive(Debug)]
enum Field<'b> {
    Bytes(&'b [u8]),
    Number(u64),
}

fn fields(mut rest: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let value = match tag & 7 {
            0 => Field::Number(varint(&mut rest)),
            1 => Field::Number(u64::from_le_bytes(take(&mut rest, 8).try_into().unwrap())),
            2 => {
                let length = usize::try_from(varint(&mut rest)).unwrap();
                Field::Bytes(take(&mut rest, length))
            }
            5 => Field::Number(u32::from_le_bytes(take(&mut rest, 4).try_into().unwrap()).into()),
            wire => panic!("no such wire type: {wire}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> &'b [u8] {
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = take(rest, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
