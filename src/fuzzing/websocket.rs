//! What is read of a WebSocket.

use super::{
    input::pieces,
    letter::Head as Letter,
    request::{FIELDS_MAX, parse},
};
use crate::websocket::{Frames, asks_for};

/// A handshake that is taken is one to the letter (RFC 6455 section 4.2.1).
pub(super) fn handshake(data: &[u8]) {
    let Ok(Some((head, _))) = parse(data, FIELDS_MAX) else { return };
    let Ok(true) = asks_for(&head.parts) else { return };
    let letter = Letter::of_request(data).expect("what is taken is well formed");
    assert_eq!(letter.start.first(), Some(&&b"GET"[..]));
    assert_eq!(letter.start.get(2), Some(&&b"HTTP/1.1"[..]));
    assert_eq!(letter.values("sec-websocket-version"), [b"13"]);
    let key = letter.values("sec-websocket-key");
    assert!(matches!(key.as_slice(), [key] if key.len() == 24 && key.ends_with(b"==")), "{key:?}");
    assert!(letter.values("transfer-encoding").is_empty());
    for (name, member) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        let members = letter.values(name);
        let mut members = members.iter().flat_map(|value| value.split(|byte| *byte == b','));
        assert!(members.any(|found| found.trim_ascii().eq_ignore_ascii_case(member.as_bytes())));
    }
}

/// The places between frames are the same however bytes come, and those that the lengths say.
pub(super) fn frames(data: &[u8]) {
    let (data, parts) = pieces(data);
    let ends = ends(data);
    let (mut whole, mut followed, mut at) = (Frames::default(), Frames::default(), 0);
    whole.follow(data);
    for part in parts {
        followed.follow(part);
        at += part.len();
        assert_eq!(followed.is_between(), ends.contains(&at), "{at}");
    }
    assert_eq!(whole.is_between(), ends.contains(&data.len()));
}

/// Gives the places between frames (RFC 6455 section 5.2).
fn ends(data: &[u8]) -> Vec<usize> {
    let (mut at, mut ends) = (0_usize, vec![0]);
    while let Some(length) = data.get(at..).and_then(frame) {
        let Some(end) = at.checked_add(length).filter(|end| *end <= data.len()) else { break };
        at = end;
        ends.push(at);
    }
    ends
}

/// Gives the length of the frame at the start of the bytes.
fn frame(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let mask = usize::from(second >> 7) * 4;
    let (head, payload) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        length => (2, length.into()),
    };
    bytes.get(..head + mask)?;
    // One without end has none here.
    Some(usize::try_from(payload).ok()?.saturating_add(head + mask))
}
