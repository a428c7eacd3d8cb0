//! Bodies in chunks, and the fields behind them.

use bytes::BytesMut;
use http::HeaderMap;

use super::{input::pieces, letter};
use crate::http1::{Decoder, Framing, Malformed, Step, push_field, trailers};

type Decoded = (Vec<u8>, HeaderMap, usize);

/// A body in chunks is the same however its bytes come, and one to the letter.
pub(super) fn body(data: &[u8]) {
    let (data, parts) = pieces(data);
    let whole = decode(&[data]);
    match (&whole, decode(&parts)) {
        // That it is none may be seen earlier.
        (Err(_), Err(_)) => {}
        (whole, parts) => assert_eq!(*whole, parts),
    }
    if let Ok(Some((body, _, length))) = whole {
        assert_eq!(letter::chunks(data), Some((body, length)));
    }
}

/// Fields that go on behind a body are none that only heads may have, and are read as they were.
pub(super) fn trailers(data: &[u8]) {
    let text = [b"0\r\n", data].concat();
    let Ok(Some((_, mut fields, _))) = decode(&[&text]) else { return };
    trailers::retain(&mut fields, |_| false);
    let mut written = b"0\r\n".to_vec();
    for (name, value) in &fields {
        let dashed = name.as_str().replace('_', "-");
        let is_alone = |part: &&str| match part.ends_with('-') {
            true => dashed.starts_with(part),
            false => dashed == *part,
        };
        assert!(!HEADS_ALONE.iter().any(is_alone), "{name}");
        push_field(&mut written, name.as_str(), value.as_bytes());
    }
    written.extend_from_slice(b"\r\n");
    assert_eq!(letter::chunks(&written), Some((Vec::new(), written.len())));
    assert_eq!(decode(&[&written]), Ok(Some((Vec::new(), fields, written.len()))));
}

/// Names that must not stand behind a body; with a dash at the end, how they begin.
const HEADS_ALONE: [&str; 10] = [
    "access-control-",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "faregate-",
    "host",
    "transfer-encoding",
    "x-api-key",
    "x-forwarded-",
];

/// Decodes what comes in pieces; gives the data, the fields behind it, and how many bytes it took.
fn decode(parts: &[&[u8]]) -> Result<Option<Decoded>, Malformed> {
    let (mut framing, mut buffer) = (Framing::Chunked(Decoder::BEGIN), BytesMut::new());
    let (mut body, mut fields, mut came) = (Vec::new(), HeaderMap::new(), 0);
    let mut parts = parts.iter();
    loop {
        match framing.step(&mut buffer)? {
            Step::Data(data) => body.extend_from_slice(&data),
            Step::Trailers(trailers) => fields = trailers,
            Step::End => return Ok(Some((body, fields, came - buffer.len()))),
            Step::More => {
                let Some(part) = parts.next() else { return Ok(None) };
                buffer.extend_from_slice(part);
                came += part.len();
            }
        }
    }
}
