//! What a client's connection begins with.

use bytes::BytesMut;
use http::Method;

use super::{
    input::first,
    letter::{Body, Head as Letter},
};
use crate::{
    http1::{Decoder, Framing},
    server::{
        http1::request::{self, Head, Unparsable},
        proxy_protocol,
    },
};

/// How many fields a request has by default.
pub(super) const FIELDS_MAX: usize = 100;
const BYTES_MAX: usize = 64 * 1024;

/// What is taken for a request is one to the letter, and the same one however its bytes come.
pub(super) fn head(data: &[u8]) {
    let (cut, data) = first(data);
    let read = parse(data, FIELDS_MAX);
    let (begin, _) = data.split_at(data.len() * usize::from(cut) / 256);
    match (parse(begin, FIELDS_MAX), &read) {
        (Ok(None), _) | (Err(_), Err(_)) => {}
        (Ok(Some((early, length))), Ok(Some((whole, other)))) => {
            assert_eq!(length, *other);
            assert_eq!(format!("{early:?}"), format!("{whole:?}"));
        }
        (early, whole) => panic!("{early:?} of a part and {whole:?} of the whole"),
    }
    if let Ok(Some((head, length))) = read {
        agree(&head, length, data);
    }
}

/// Reads a head; gives how many bytes it took too.
pub(super) fn parse(data: &[u8], fields_max: usize) -> Result<Option<(Head, usize)>, Unparsable> {
    let mut buffer = BytesMut::from(data);
    let head = request::parse(&mut buffer, fields_max, BYTES_MAX)?;
    Ok(head.map(|head| (head, data.len() - buffer.len())))
}

fn agree(head: &Head, length: usize, data: &[u8]) {
    let Head { parts, framing, .. } = head;
    let letter = Letter::of_request(data).expect("what is taken is well formed");
    assert_eq!(letter.length, length);
    assert_eq!(letter.start.first(), Some(&parts.method.as_str().as_bytes()));
    if let Some(target @ [b'/', ..]) = letter.start.get(1).copied() {
        // What stands behind a `#` is no part of it, and goes no further.
        let target = target.split(|byte| *byte == b'#').next();
        let read = parts.uri.path_and_query().map(|target| target.as_str().as_bytes());
        assert!(parts.method == Method::CONNECT || read == target);
    }
    assert_eq!(letter.fields.len(), parts.headers.len());
    for name in parts.headers.keys() {
        let values: Vec<_> =
            parts.headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
        assert_eq!(values, letter.values(name.as_str()));
    }
    let expected = match letter.body().expect("a body has one end") {
        Body::Chunked => Framing::Chunked(Decoder::BEGIN),
        Body::Length(length) => Framing::Length(length),
        Body::Untold => Framing::NONE,
    };
    assert_eq!(*framing, expected);
}

/// The header of a proxy is the same however it comes, and lies within what came.
pub(super) fn proxy_protocol(data: &[u8]) {
    let whole = proxy_protocol::parse(data);
    for end in 0..data.len().min(300) {
        let (part, _) = data.split_at(end);
        match proxy_protocol::parse(part) {
            Ok(None) => {}
            early => assert_eq!(early, whole),
        }
    }
    if let Ok(Some(header)) = whole {
        assert!(header.length <= data.len());
        let (alone, _) = data.split_at(header.length);
        assert_eq!(proxy_protocol::parse(alone), whole);
    }
}
