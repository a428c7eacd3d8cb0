//! What fuzzing asks of the journal's reader.

use std::{fs, path::PathBuf};

use uuid::Uuid;

use super::{
    definition::{Definition, Payload},
    reader::{ReadError, Reader, Step, Until},
    record::{BLOCK, Salt},
    segment::SegmentId,
    table::Table,
};
use crate::store::NodeId;

const NODE: NodeId = NodeId(Uuid::from_u128(7));
const ID: SegmentId = SegmentId { worker: 1, number: 2 };

/// A segment of any bytes is read or refused, and nothing of it counts whose checksum is wrong: with one
/// bit changed at most the end is missing. The checksums are put right first where the first byte says so,
/// or little would be read.
pub(crate) fn segment(data: &[u8]) {
    let (control, bytes) = data.split_at(data.len().min(3));
    let [mode, high, low] = *control else { return };
    let mut bytes = bytes.to_vec();
    if mode & 1 == 1 {
        seal(&mut bytes, Salt::new(NODE, ID.worker, ID.number));
    }
    let folder = Folder::new();
    let (step, entries) = folder.read(&bytes);
    match &step {
        Ok(Step::Torn(torn)) => {
            assert_eq!(torn.offset + torn.bytes, bytes.len() as u64);
            assert!(torn.bytes > 0);
        }
        Ok(Step::More) => panic!("it was not read to the end"),
        Ok(Step::Done) | Err(_) => {}
    }
    let bit = usize::from(u16::from_be_bytes([high, low])) % (bytes.len().max(1) * 8);
    let Some(byte) = bytes.get_mut(bit / 8) else { return };
    *byte ^= 1 << (bit % 8);
    let (_, fewer) = folder.read(&bytes);
    assert!(entries.starts_with(&fewer), "{fewer:?} of {entries:?}");
}

/// A definition that is read is written as it is read.
pub(crate) fn definition(data: &[u8]) {
    let Some(read) = Definition::decode(data) else { return };
    let told = format!("{read:?}");
    let encoded = read.encode();
    assert_eq!(Definition::decode(&encoded).map(|again| format!("{again:?}")), Some(told.clone()));
    if let Ok(Payload { bytes, blocks }) = Payload::new(&read) {
        assert_eq!(bytes.len(), usize::from(blocks) * BLOCK);
        assert_eq!(Definition::decode(&bytes).map(|again| format!("{again:?}")), Some(told));
    }
}

/// A directory with one segment, for as long as it is looked at.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("faregate-fuzz-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("there is room for a directory");
        Self(path)
    }

    /// Reads bytes as a segment; gives what it came to and what counts of it.
    fn read(&self, bytes: &[u8]) -> (Result<Step, ReadError>, Vec<String>) {
        fs::write(ID.path(&self.0), bytes).expect("there is room for a file");
        let (mut entries, mut table) = (Vec::new(), Table::default());
        let mut each = |entry| entries.push(format!("{entry:?}"));
        let step = Reader::open(&self.0, NODE, ID, 0).and_then(|mut reader| {
            loop {
                match reader.read(Until::End, 0, &mut table, &mut each)? {
                    Step::More => {}
                    step => return Ok(step),
                }
            }
        });
        (step, entries)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Puts the checksums of all records right, as far as they can be told apart; those of records that are
/// kept within another go by their own segment.
fn seal(mut bytes: &mut [u8], salt: Salt) {
    /// What tells a record with others within.
    const KEPT: u8 = 7;

    while let Some(head) = bytes.first_chunk::<BLOCK>() {
        let blocks = u16::from_le_bytes(number(head, 6));
        let segment = u64::from_le_bytes(number(head, 16));
        let is_kept = number::<1>(head, 4) == [KEPT];
        let length = BLOCK + usize::from(blocks) * BLOCK;
        let Some((record, rest)) = bytes.split_at_mut_checked(length) else { return };
        if let Some(payload) = record.get_mut(BLOCK..).filter(|_| is_kept) {
            seal(payload, Salt::new(NODE, ID.worker, segment));
        }
        if let Some((crc, covered)) = record.split_first_chunk_mut() {
            *crc = salt.checksum(covered).to_le_bytes();
        }
        bytes = rest;
    }
}

/// Gives the bytes at a place of a record, which are there.
fn number<const N: usize>(head: &[u8; BLOCK], at: usize) -> [u8; N] {
    head.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}
