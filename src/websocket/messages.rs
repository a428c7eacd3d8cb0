//! What a client says, message by message: where each begins, and that nothing is said in a way that
//! another reader could take for more messages, or for fewer.

use bytes::Bytes;

use super::head::{Head, Partial};

/// Opcodes (RFC 6455 section 5.2).
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PONG: u8 = 10;

/// The longest payload of a control frame.
const CONTROL_BYTES_MAX: u64 = 125;

/// Follows the frames of a client, to the letter.
///
/// Extensions may use the reserved bits, which change nothing of where frames and messages begin.
#[derive(Debug, Default)]
pub struct Messages {
    head: Partial,
    /// What is left of the frame's payload.
    left: u64,
    /// A message is begun whose last frame has not come.
    is_open: bool,
    /// The client has closed.
    is_closed: bool,
}

/// What comes next of what a client says.
#[derive(Debug, Eq, PartialEq)]
pub enum Step {
    /// The head of the first frame of a message.
    Message(Bytes),
    /// The head of another frame, or some of a payload.
    Rest(Bytes),
    /// Nothing before more is read.
    More,
}

impl Messages {
    /// Takes the next step out of what came; an error says what is wrong with it.
    pub fn step(&mut self, bytes: &mut Bytes) -> Result<Step, &'static str> {
        if self.left > 0 && !bytes.is_empty() {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left = self.left.saturating_sub(u64::try_from(most).unwrap_or(u64::MAX));
            return Ok(Step::Rest(bytes.split_to(most)));
        }
        while !bytes.is_empty() {
            let first = bytes.split_to(1);
            if let Some(head) = first.first().and_then(|byte| self.head.push(*byte)) {
                let begins = self.begin(&head)?;
                let head = Bytes::copy_from_slice(head.bytes());
                return Ok(if begins { Step::Message(head) } else { Step::Rest(head) });
            }
        }
        Ok(Step::More)
    }

    /// Tells whether no frame is begun of which something was given: another may be put in here.
    pub fn is_between(&self) -> bool {
        self.left == 0
    }

    /// Begins a frame; tells whether it is the first of a message.
    fn begin(&mut self, head: &Head) -> Result<bool, &'static str> {
        if self.is_closed {
            return Err("a frame behind the close frame");
        }
        if !head.is_masked() {
            return Err("a frame that is not masked");
        }
        if !head.is_minimal() {
            return Err("a length that is not in its shortest form");
        }
        let begins = match head.opcode() {
            CONTINUATION if !self.is_open => return Err("a continuation of no message"),
            CONTINUATION => false,
            TEXT | BINARY if self.is_open => return Err("a message within a message"),
            TEXT | BINARY => true,
            CLOSE..=PONG if !head.is_last() => return Err("a control frame in pieces"),
            CLOSE..=PONG if head.length > CONTROL_BYTES_MAX => {
                return Err("a control frame that is too long");
            }
            opcode @ CLOSE..=PONG => {
                self.is_closed = opcode == CLOSE;
                self.left = head.length;
                return Ok(false);
            }
            _ => return Err("a frame of no known kind"),
        };
        self.is_open = !head.is_last();
        self.left = head.length;
        Ok(begins)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Makes a masked frame.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match u64::try_from(length).unwrap() {
            length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length @ 126..65536 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend(vec![0xaa; 4 + length]);
        frame
    }

    /// What passed, and what is wrong behind it.
    type Refused = (Vec<u8>, &'static str);

    /// Takes all steps of what comes in pieces; gives the messages and what passed, or what is wrong.
    fn read(bytes: &[u8], piece: usize) -> Result<(usize, Vec<u8>), Refused> {
        let (mut messages, mut count, mut passed) = (Messages::default(), 0, Vec::new());
        for piece in bytes.chunks(piece) {
            let mut piece = Bytes::copy_from_slice(piece);
            loop {
                match messages.step(&mut piece) {
                    Ok(Step::Message(head)) => {
                        count += 1;
                        passed.extend(head);
                    }
                    Ok(Step::Rest(bytes)) => passed.extend(bytes),
                    Ok(Step::More) => break,
                    Err(wrong) => return Err((passed, wrong)),
                }
            }
        }
        assert!(messages.is_between());
        Ok((count, passed))
    }

    proptest! {
        /// Whatever the frames and however their bytes come, all of them pass and each message is counted once.
        #[test]
        fn messages_are_counted_however_they_come(
            messages in prop::collection::vec(
                (
                    prop_oneof![Just(1_u8), Just(2)],
                    prop::collection::vec(
                        prop_oneof![0..3_usize, 120..130_usize, 65530..65540_usize], 1..4,
                    ),
                    prop::option::of(9..11_u8),
                ),
                0..5,
            ),
            piece in 1_usize..70_000,
        ) {
            let mut bytes = Vec::new();
            let count = messages.len();
            for (opcode, fragments, control) in messages {
                let last = fragments.len() - 1;
                for (index, length) in fragments.into_iter().enumerate() {
                    let opcode = if index == 0 { opcode } else { 0 };
                    let fin = if index == last { 0x80 } else { 0 };
                    bytes.extend(frame(fin | opcode, length));
                    if let Some(control) = control {
                        bytes.extend(frame(0x80 | control, 5));
                    }
                }
            }
            let (counted, passed) = read(&bytes, piece).unwrap();
            prop_assert_eq!(counted, count);
            prop_assert!(passed == bytes, "all of it passes as it is");
        }

        /// Whatever comes, it is decided alike in one piece and byte by byte.
        #[test]
        fn nonsense_is_decided_alike_however_it_comes(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x81), Just(0x80)], 0..60),
        ) {
            let step = |piece| {
                let mut messages = Messages::default();
                let mut steps = Vec::new();
                for piece in bytes.chunks(piece) {
                    let mut piece = Bytes::copy_from_slice(piece);
                    loop {
                        match messages.step(&mut piece) {
                            Ok(Step::More) => break,
                            Ok(Step::Message(head) | Step::Rest(head)) => steps.extend(head),
                            Err(wrong) => return (steps, Some(wrong)),
                        }
                    }
                }
                (steps, None)
            };
            prop_assert_eq!(step(100), step(1));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let good = frame(0x81, 3);
        let begun = frame(0x01, 3);
        for (before, bad, expected) in [
            (&[][..], &b"\x81\x00"[..], "a frame that is not masked"),
            (&good, b"\x82\x7e\x01\x00", "a frame that is not masked"),
            (&[], b"\x83\x80aaaa", "a frame of no known kind"),
            (&[], b"\x87\x80aaaa", "a frame of no known kind"),
            (&[], b"\x8b\x80aaaa", "a frame of no known kind"),
            (&[], b"\x8f\x80aaaa", "a frame of no known kind"),
            (&good, b"\x80\x80aaaa", "a continuation of no message"),
            (&begun, b"\x81\x80aaaa", "a message within a message"),
            (&begun, b"\x02\x80aaaa", "a message within a message"),
            (&[], b"\x09\x80aaaa", "a control frame in pieces"),
            (&[], b"\x89\xfe\x00\x7eaaaa", "a control frame that is too long"),
            (&[], b"\x81\xfe\x00\x7daaaa", "a length that is not in its shortest form"),
            (&[], b"\x81\xff\0\0\0\0\0\0\xff\xffaaaa", "a length that is not in its shortest form"),
            (&[], b"\x81\xff\x80\0\0\0\0\x01\0\0aaaa", "a length that is not in its shortest form"),
            (b"\x88\x80aaaa", b"\x81\x80aaaa", "a frame behind the close frame"),
            (b"\x88\x82aaaa\x03\xe8", b"\x89\x80aaaa", "a frame behind the close frame"),
        ] {
            let all = [before, bad].concat();
            for piece in [1, 1000] {
                let refused = read(&all, piece).unwrap_err();
                assert_eq!(refused, (before.to_vec(), expected), "{bad:?}");
            }
        }
    }
}
