//! Frames as they pass: where each begins, what it costs, and whether a head is open. Nothing of a payload is read.

use super::preface::PREFACE;

/// What some bytes held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Read {
    /// What the frames that began in them cost.
    pub(crate) cost: u32,
    /// How many heads ended in them.
    pub(crate) heads: u32,
}

/// What frames take of the sender's allowance. A client may answer each piece of a body with two updates of windows; of the others
/// few are ever needed, and a reset ends work that was begun.
pub(crate) const COST_OF_UPDATE: u32 = 1;
pub(crate) const COST_OF_OTHERS: u32 = 4;
pub(crate) const COST_OF_RESET: u32 = 20;

/// Follows frames as they come, however they are cut into pieces.
#[derive(Debug)]
pub(crate) struct Reader {
    /// What is left of the preface, and then of the payload of a frame.
    left: usize,
    head: [u8; HEAD_BYTES],
    head_length: usize,
    /// The head of a request was begun and is not whole.
    is_in_head: bool,
    /// It is whole when the payload under way is.
    ends_head: bool,
}

/// The bytes of a frame's head (RFC 9113 section 4.1).
const HEAD_BYTES: usize = 9;

/// The types of frames that are told apart, and the flag that ends a head.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            left: PREFACE.len(),
            head: [0; HEAD_BYTES],
            head_length: 0,
            is_in_head: false,
            ends_head: false,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) -> Read {
        let mut read = Read::default();
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                self.note_end(&mut read);
                continue;
            }
            let room = self.head.get_mut(self.head_length..).unwrap_or_default();
            let count = room.len().min(bytes.len());
            let (taken, rest) = bytes.split_at(count);
            for (to, byte) in room.iter_mut().zip(taken) {
                *to = *byte;
            }
            bytes = rest;
            self.head_length += count;
            if self.head_length == HEAD_BYTES {
                self.begin_frame(&mut read);
            }
        }
        read
    }

    /// Tells whether the head of a request was begun and is not whole.
    pub(crate) fn is_in_head(&self) -> bool {
        self.is_in_head
    }

    /// Begins the payload of a frame.
    fn begin_frame(&mut self, read: &mut Read) {
        self.head_length = 0;
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.left = usize::try_from(length).unwrap_or(usize::MAX);
        if matches!(kind, HEADERS | CONTINUATION) {
            self.is_in_head = true;
            self.ends_head = flags & END_HEADERS != 0;
        }
        self.note_end(read);
        read.cost = read.cost.saturating_add(match kind {
            // How many there may be is for h2 to say, and of pieces that are empty or small too.
            HEADERS | CONTINUATION | DATA => 0,
            WINDOW_UPDATE => COST_OF_UPDATE,
            RST_STREAM => COST_OF_RESET,
            _ => COST_OF_OTHERS,
        });
    }

    fn note_end(&mut self, read: &mut Read) {
        if self.left == 0 && std::mem::take(&mut self.ends_head) {
            self.is_in_head = false;
            read.heads = read.heads.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn reader() -> Reader {
        let mut reader = Reader::new();
        assert_eq!(reader.follow(PREFACE), Read::default());
        reader
    }

    #[test]
    fn frames_cost_by_what_they_are() {
        for (kind, cost) in
            [(0, 0), (1, 0), (2, 4), (3, 20), (4, 4), (6, 4), (7, 4), (8, 1), (9, 0), (99, 4)]
        {
            assert_eq!(reader().follow(&frame(kind, 0, b"payload")).cost, cost, "{kind}");
        }
    }

    #[test]
    fn head_is_open_until_it_is_whole() {
        let mut reader = reader();
        let mut after = |bytes: &[u8]| {
            reader.follow(bytes);
            reader.is_in_head
        };
        let whole = frame(HEADERS, END_HEADERS, b"abc");
        assert!(!after(&whole));
        assert!(after(&whole[..10]));
        assert!(!after(&whole[10..]));
        assert!(after(&frame(HEADERS, 0, b"abc")));
        assert!(after(&frame(CONTINUATION, 0, b"")));
        assert!(!after(&frame(CONTINUATION, END_HEADERS, b"")));
        assert!(!after(&frame(DATA, END_HEADERS, b"abc")));
    }

    proptest! {
        /// However the bytes come, the frames are the same.
        #[test]
        fn pieces_make_no_difference(
            frames in prop::collection::vec((0..12_u8, 0..6_u8, 0..40_usize), 0..20),
            cuts in prop::collection::vec(1..30_usize, 1..20),
        ) {
            let bytes: Vec<u8> = frames
                .iter()
                .flat_map(|(kind, flags, length)| frame(*kind, *flags, &vec![6; *length]))
                .collect();
            let mut whole = reader();
            let read = whole.follow(&bytes);
            let (mut pieces, mut sum, mut rest) = (reader(), Read::default(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                let Read { cost, heads } = pieces.follow(piece);
                sum = Read { cost: sum.cost + cost, heads: sum.heads + heads };
                rest = behind;
            }
            prop_assert_eq!((sum, pieces.is_in_head), (read, whole.is_in_head));
        }
    }
}
