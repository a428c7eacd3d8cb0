//! What an upstream answers.

use bytes::BytesMut;

use super::{
    input::first,
    letter::{Body, Head as Letter},
};
use crate::{
    http1::{Decoder, Framing, Malformed},
    upstream::http1::{Head, parse},
};

/// What is taken for an answer is one to the letter and the same one however its bytes come; and of its
/// fields none passes that is about the connection or is the gateway's to say.
pub(super) fn head(data: &[u8]) {
    let (cut, data) = first(data);
    let is_answer_to_head = cut & 1 == 1;
    let read = |data: &[u8]| -> Result<Option<(Head, usize)>, Malformed> {
        let mut buffer = BytesMut::from(data);
        let head = parse(&mut buffer, is_answer_to_head)?;
        Ok(head.map(|head| (head, data.len() - buffer.len())))
    };
    let whole = read(data);
    let (begin, _) = data.split_at(data.len() * usize::from(cut) / 256);
    match (read(begin), &whole) {
        (Ok(None), _) | (Err(_), Err(_)) => {}
        (Ok(Some(early)), Ok(Some(whole))) => {
            assert_eq!(format!("{early:?}"), format!("{whole:?}"))
        }
        (early, whole) => panic!("{early:?} of a part and {whole:?} of the whole"),
    }
    if let Ok(Some((head, length))) = whole {
        agree(&head, length, data, is_answer_to_head);
    }
}

fn agree(head: &Head, length: usize, data: &[u8], is_answer_to_head: bool) {
    let letter = Letter::of_answer(data).expect("what is taken is well formed");
    assert_eq!(letter.length, length);
    assert_eq!(letter.start.get(1), Some(&head.status.as_str().as_bytes()));
    let is_empty = is_answer_to_head || matches!(head.status.as_u16(), 100..200 | 204 | 304);
    let expected = match letter.body().expect("a body has one end") {
        _ if is_empty => Framing::NONE,
        Body::Chunked => Framing::Chunked(Decoder::BEGIN),
        Body::Length(length) => Framing::Length(length),
        Body::Untold => Framing::UntilClose,
    };
    assert_eq!(head.framing, expected);
    passed(head, &letter);
}

/// What passes is as it came, in its order.
fn passed(head: &Head, letter: &Letter<'_>) {
    let written = [b"HTTP/1.1 200 OK\r\n", &head.fields.lines[..], b"\r\n"].concat();
    let passed = Letter::of_answer(&written).expect("what passes is well formed");
    assert_eq!(passed.length, written.len());
    let options: Vec<String> = letter
        .values("connection")
        .iter()
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase())
        .collect();
    let mut came = letter.fields.iter();
    for field @ (name, _) in &passed.fields {
        assert!(came.any(|other| other == field), "{name} was not said, or not there");
        let dashed = name.replace('_', "-");
        let is_own = OWN.contains(&&*dashed) || dashed.starts_with("faregate-");
        assert!(!is_own, "{name} passed");
        // 426 has the field that says to what (RFC 9110 section 15.5.22).
        assert!(!options.contains(name) || name == "upgrade", "{name} is about the connection");
    }
}

/// What is about the connection, frames the body or is the gateway's to say.
const OWN: [&str; 6] = [
    "connection",
    "content-length",
    "ratelimit",
    "ratelimit-policy",
    "transfer-encoding",
    "x-request-id",
];
