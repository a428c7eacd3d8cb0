//! What fuzzing asks of the reader of recent requests.

use super::{
    CallerFacts, Record, RouteFacts,
    frame::{self, HEAD_BYTES, Head, Kind},
    record,
    wire::Bytes,
};
use crate::explain::ExplanationDocument;

/// Any bytes are a record or none; what is read is written as it is read, and can be explained.
pub(crate) fn records(data: &[u8]) {
    let Some((length, data)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes(*length));
    let (definition, request) = data.split_at(length.min(data.len()));
    let route = RouteFacts::read(&mut Bytes(definition));
    if let Some(route) = &route {
        let mut out = Vec::new();
        route.put(&mut out);
        assert_eq!(RouteFacts::read(&mut Bytes(&out)).as_ref(), Some(route));
    }
    let caller = CallerFacts::read(&mut Bytes(definition));
    if let Some(caller) = &caller {
        let mut out = Vec::new();
        caller.put(&mut out);
        assert_eq!(CallerFacts::read(&mut Bytes(&out)).as_ref(), Some(caller));
    }
    if let Some(unresolved) = record::read(request) {
        explain(&unresolved.resolve(route, caller));
    }
    framed(request);
}

/// What is told of a request is a document.
fn explain(record: &Record) {
    let document = serde_json::to_value(ExplanationDocument::of(record));
    let document = document.expect("it has no maps but by texts");
    assert!(document.get("detail").is_some_and(|detail| detail != ""), "{document}");
}

/// A record is known by its checksum, and other bytes are counted at most.
fn framed(payload: &[u8]) {
    assert!(frame::requests(payload) <= payload.len() as u64 / HEAD_BYTES as u64);
    let mut out = Vec::new();
    frame::put(Kind::Request, &mut out, |out| out.extend_from_slice(payload));
    let (head, rest) = out.split_first_chunk().expect("it has a head");
    let head = Head::read(*head).expect("it is one that was written");
    assert!(head.length == payload.len() && head.fits(rest));
    if let Some(last) = out.last_mut().filter(|_| !payload.is_empty()) {
        *last ^= 1;
        assert!(!head.fits(out.get(HEAD_BYTES..).unwrap_or_default()));
    }
}
