//! Where frames begin and end, in bytes that pass as they are.

use bytes::Bytes;

use super::head::Partial;

/// The gateway goes down (RFC 6455 section 7.4.1).
pub const GOING_AWAY: u16 = 1001;

/// What was said is no WebSocket.
pub const PROTOCOL_ERROR: u16 = 1002;

/// The caller may not go on.
pub const POLICY_VIOLATION: u16 = 1008;

/// The gateway failed.
pub const INTERNAL_ERROR: u16 = 1011;

/// The first byte of a whole close frame.
const CLOSE: u8 = 0x88;

/// The longest reason that a close frame has room for, beside its code.
const REASON_MAX: usize = 123;

/// Follows the frames of one direction (RFC 6455 section 5.2).
#[derive(Debug, Default)]
pub struct Frames {
    /// What came of a head that is not whole.
    head: Partial,
    /// What is left of the frame's payload.
    left: u64,
}

impl Frames {
    /// Follows bytes that pass.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passed = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left = self.left.saturating_sub(u64::try_from(passed).unwrap_or(u64::MAX));
            let rest = bytes.get(passed..).unwrap_or_default();
            let Some((next, rest)) = rest.split_first() else { return };
            bytes = rest;
            if let Some(head) = self.head.push(*next) {
                self.left = head.length;
            }
        }
    }

    /// Tells whether no frame is begun: another may be put in here.
    pub fn is_between(&self) -> bool {
        self.head.is_empty() && self.left == 0
    }
}

/// Makes the frame by which a server closes (RFC 6455 section 5.5.1).
pub fn close(code: u16, reason: &str) -> Bytes {
    let payload = close_payload(code, reason);
    let mut frame = vec![CLOSE, u8::try_from(payload.len()).unwrap_or_default()];
    frame.extend(payload);
    frame.into()
}

/// Makes the frame by which a client closes, which is masked (RFC 6455 section 5.3).
pub fn close_masked(code: u16, reason: &str, mask: [u8; 4]) -> Bytes {
    let payload = close_payload(code, reason);
    let mut frame = vec![CLOSE, 0x80 | u8::try_from(payload.len()).unwrap_or_default()];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame.into()
}

fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let reason = reason.as_bytes();
    let reason = reason.get(..REASON_MAX).unwrap_or(reason);
    [&code.to_be_bytes(), reason].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(length: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(u8::try_from(length).unwrap() | mask),
            126..65536 => {
                frame.push(126 | mask);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(127 | mask);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![0xaa; length + if is_masked { 4 } else { 0 }]);
        frame
    }

    proptest! {
        /// Whatever the frames and however their bytes come, the places between them are found, and no others.
        #[test]
        fn places_between_frames_are_found(
            frames in prop::collection::vec(
                (prop_oneof![0..3_usize, 120..130_usize, 65530..65540_usize], any::<bool>()),
                1..5,
            ),
            piece in 1_usize..70_000,
        ) {
            let (mut bytes, mut ends) = (Vec::new(), vec![0]);
            for (length, is_masked) in frames {
                bytes.extend(frame(length, is_masked));
                ends.push(bytes.len());
            }
            let (mut followed, mut at) = (Frames::default(), 0);
            prop_assert!(followed.is_between());
            for piece in bytes.chunks(piece) {
                followed.follow(piece);
                at += piece.len();
                prop_assert_eq!(followed.is_between(), ends.contains(&at), "{}", at);
            }
        }
    }

    #[test]
    fn close_has_code_and_reason() {
        assert_eq!(close(GOING_AWAY, ""), &b"\x88\x02\x03\xe9"[..]);
        assert_eq!(close(POLICY_VIOLATION, "no"), &b"\x88\x04\x03\xf0no"[..]);
        assert_eq!(close(1000, &"x".repeat(200)).len(), 127);
        let masked = close_masked(POLICY_VIOLATION, "no", [1, 2, 3, 4]);
        assert_eq!(masked, &b"\x88\x84\x01\x02\x03\x04\x02\xf2mk"[..]);
        assert_eq!(close_masked(1000, &"x".repeat(200), [0; 4]).len(), 131);
    }
}
