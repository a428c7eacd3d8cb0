//! Where frames begin and end, in bytes that pass as they are.

use bytes::Bytes;

/// The gateway goes down (RFC 6455 section 7.4.1).
pub const GOING_AWAY: u16 = 1001;

/// The caller may not go on.
pub const POLICY_VIOLATION: u16 = 1008;

/// The longest head: two bytes, the longest length, a mask.
const HEAD_MAX: usize = 14;

/// The longest reason that a close frame has room for, beside its code.
const REASON_MAX: usize = 123;

/// Follows the frames of one direction (RFC 6455 section 5.2).
#[derive(Debug, Default)]
pub struct Frames {
    /// What came of a head that is not whole.
    head: [u8; HEAD_MAX],
    have: usize,
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
            if let Some(room) = self.head.get_mut(self.have) {
                *room = *next;
                self.have += 1;
            }
            if let Some(length) = self.payload() {
                (self.have, self.left) = (0, length);
            }
        }
    }

    /// Tells whether no frame is begun: another may be put in here.
    pub fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Reads the length of the payload; `None` while the head is not whole.
    fn payload(&self) -> Option<u64> {
        let head = self.head.get(..self.have)?;
        let second = *head.get(1)?;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let (length, digits) = match second & 0x7f {
            126 => (head.get(2..4)?, 2),
            127 => (head.get(2..10)?, 8),
            _ => (&[][..], 0),
        };
        if head.len() < 2 + digits + mask {
            return None;
        }
        match digits {
            0 => Some(u64::from(second & 0x7f)),
            _ => Some(length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))),
        }
    }
}

/// Makes the frame by which a server closes (RFC 6455 section 5.5.1).
pub fn close(code: u16, reason: &str) -> Bytes {
    let reason = reason.as_bytes().get(..REASON_MAX).unwrap_or(reason.as_bytes());
    let mut frame = vec![0x88, u8::try_from(2 + reason.len()).unwrap_or(2)];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason);
    frame.into()
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
    }
}
