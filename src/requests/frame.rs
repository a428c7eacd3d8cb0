//! A record in a file: its checksum, its length and kind, its bytes.
//!
//! Invariant: a file is whole records from its first byte on. What a crash or a full disk left behind
//! the last whole one is not read.

use super::wire::Bytes;

/// What a record tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// What a number stands for: a caller.
    Caller = 2,
    /// A request.
    Request = 3,
    /// What a number stands for: a route.
    Route = 1,
}

impl Kind {
    fn find(number: u8) -> Option<Self> {
        [Self::Caller, Self::Request, Self::Route].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// The length of what stands before a record's bytes.
pub(super) const HEAD_BYTES: usize = 8;

/// The longest record. A caller with a hundred quotas has some 4 KiB.
pub(super) const PAYLOAD_MAX: usize = 1 << 20;

/// What stands before a record's bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    /// What it tells.
    pub(super) kind: Kind,
    /// How many bytes follow.
    pub(super) length: usize,
    checksum: u32,
}

impl Head {
    /// Reads what [`put`] wrote; `None` for anything else.
    pub(super) fn read(bytes: [u8; HEAD_BYTES]) -> Option<Self> {
        let mut bytes = Bytes(&bytes);
        let checksum = u32::from_le_bytes(bytes.array()?);
        let word = u32::from_le_bytes(bytes.array()?);
        let [kind, ..] = word.to_le_bytes();
        let length = usize::try_from(word >> 8).ok().filter(|length| *length <= PAYLOAD_MAX)?;
        Some(Self { kind: Kind::find(kind)?, length, checksum })
    }

    /// Tells whether these are the bytes that were written.
    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        word(self.kind, payload.len()).is_some_and(|word| checksum(word, payload) == self.checksum)
    }
}

/// Puts a record, whose bytes `write` puts. One that is too long is left out.
pub(super) fn put(kind: Kind, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let before = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    write(out);
    let written = out.get_mut(before..).and_then(<[u8]>::split_first_chunk_mut);
    let Some((head, payload)) = written else { return };
    let Some(word) = word(kind, payload.len()) else { return out.truncate(before) };
    let checksum = checksum(word, payload);
    *head = (u64::from(word) << 32 | u64::from(checksum)).to_le_bytes();
}

fn word(kind: Kind, length: usize) -> Option<u32> {
    let length = u32::try_from(length).ok().filter(|_| length <= PAYLOAD_MAX)?;
    Some(length << 8 | u32::from(kind as u8))
}

/// The length and the kind are under it too: a length that is wrong leads astray.
fn checksum(word: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&word.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Counts the requests among whole records.
pub(super) fn requests(mut records: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((head, rest)) = records.split_first_chunk() {
        let Some(head) = Head::read(*head) else { break };
        count += u64::from(head.kind == Kind::Request);
        records = rest.get(head.length..).unwrap_or_default();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_known_by_its_checksum() {
        let mut out = b"before".to_vec();
        put(Kind::Request, &mut out, |out| out.extend_from_slice(b"payload"));
        let head = Head::read(*out[6..].first_chunk().unwrap()).unwrap();
        assert_eq!((head.kind, head.length), (Kind::Request, 7));
        assert!(head.fits(b"payload"));
        assert!(!head.fits(b"payloaD") && !head.fits(b"payload\0") && !head.fits(b""));
        // Any bit of the head.
        for bit in 0..64 {
            let mut bytes: [u8; HEAD_BYTES] = *out[6..].first_chunk().unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let fits =
                Head::read(bytes).is_some_and(|head| head.length == 7 && head.fits(b"payload"));
            assert!(!fits, "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(Head::read([0; HEAD_BYTES]), None);
    }

    #[test]
    fn requests_are_counted() {
        let mut out = Vec::new();
        for kind in [Kind::Route, Kind::Request, Kind::Caller, Kind::Request, Kind::Request] {
            put(kind, &mut out, |out| out.push(7));
        }
        assert_eq!(requests(&out), 3);
        put(Kind::Request, &mut out, |out| out.resize(PAYLOAD_MAX + 100, 0));
        assert_eq!(requests(&out), 3, "one that is too long is left out");
        out.extend_from_slice(&[0; 20]);
        assert_eq!(requests(&out), 3);
    }
}
