//! The head of a frame (RFC 6455 section 5.2).

/// The longest head: two bytes, the longest length, a mask.
const HEAD_MAX: usize = 14;

/// A head of which all that came is here.
#[derive(Debug, Default)]
pub(super) struct Partial {
    bytes: [u8; HEAD_MAX],
    have: usize,
}

/// A whole head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    bytes: [u8; HEAD_MAX],
    size: usize,
    /// How long the payload is.
    pub(super) length: u64,
}

impl Partial {
    /// Takes the next byte; gives the head once that is whole, and begins anew.
    pub(super) fn push(&mut self, byte: u8) -> Option<Head> {
        if let Some(room) = self.bytes.get_mut(self.have) {
            *room = byte;
            self.have += 1;
        }
        let length = self.length()?;
        let size = std::mem::take(&mut self.have);
        Some(Head { bytes: self.bytes, size, length })
    }

    /// Tells whether nothing of a head has come.
    pub(super) fn is_empty(&self) -> bool {
        self.have == 0
    }

    /// Reads the length of the payload; `None` while the head is not whole.
    fn length(&self) -> Option<u64> {
        let head = self.bytes.get(..self.have)?;
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

impl Head {
    /// Gives it as it came.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.size).unwrap_or_default()
    }

    /// Tells whether no other frame of its message follows.
    pub(super) fn is_last(&self) -> bool {
        self.bytes[0] & 0x80 != 0
    }

    /// Gives what kind of frame it begins.
    pub(super) fn opcode(&self) -> u8 {
        self.bytes[0] & 0x0f
    }

    /// Tells whether the payload is masked.
    pub(super) fn is_masked(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    /// Tells whether the length has the one form that it may have, the shortest.
    pub(super) fn is_minimal(&self) -> bool {
        match self.bytes[1] & 0x7f {
            126 => self.length > 125,
            127 => self.length > 0xffff && self.length >> 63 == 0,
            _ => true,
        }
    }
}
