//! The files of the journal: `w001-0000000007.seg` is worker 1's seventh.
//!
//! Invariant: a number is never used again, also not after its file is gone.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    journal::{ahead::Ahead, handover::Handover, record::BLOCK},
    model::Durability,
};

/// Which segment of a node.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct SegmentId {
    /// Whose journal.
    pub worker: u16,
    /// Which of its segments; from 1.
    pub number: u64,
}

impl SegmentId {
    /// Gives the file's path.
    pub(super) fn path(self, directory: &Path) -> PathBuf {
        directory.join(format!("w{:03}-{:010}.seg", self.worker, self.number))
    }

    fn parse(name: &str) -> Option<Self> {
        let (worker, number) = name.strip_prefix('w')?.strip_suffix(".seg")?.split_once('-')?;
        let id = Self { worker: worker.parse().ok()?, number: number.parse().ok()? };
        // Only the one spelling, so that a copy such as `w1-7.seg` is not taken for a second file.
        (id.path(Path::new("")).as_os_str() == name).then_some(id)
    }
}

/// Lists the segments in the directory, each worker's in order.
pub(super) fn list(directory: &Path) -> io::Result<Vec<SegmentId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        found.extend(entry?.file_name().to_str().and_then(SegmentId::parse));
    }
    found.sort_unstable();
    Ok(found)
}

/// Deletes a segment; one that is gone already is no error.
pub(super) fn delete(directory: &Path, id: SegmentId) -> io::Result<()> {
    match fs::remove_file(id.path(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// A segment being written.
pub(crate) trait SegmentFile: Write + Send {
    /// Shortens the file to what is good of it.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Tells whether zeros stand behind what was written.
    fn has_room(&self) -> bool {
        false
    }
}

impl SegmentFile for Arc<File> {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// The same segment for who brings it to the disk.
pub(crate) trait OnDisk: fmt::Debug + Send {
    /// Waits until the disk has all that was written before.
    fn sync(&mut self) -> io::Result<()>;
}

/// A segment that was made.
pub(crate) struct Created {
    pub(crate) file: Box<dyn SegmentFile>,
    pub(crate) on_disk: Box<dyn OnDisk>,
}

/// Where new segments come from: the disk, or in tests something that fails.
pub(crate) trait Files: Send {
    /// Makes the file, which must not be there yet.
    fn create(&mut self, path: &Path) -> io::Result<Created>;
}

/// The disk, for appends that are to survive something.
#[derive(Debug)]
pub(super) struct Disk(pub(super) Durability);

impl Files for Disk {
    fn create(&mut self, path: &Path) -> io::Result<Created> {
        let directory = path.parent().map(File::open).transpose()?;
        // Appending, so that after a cut the next write goes where the file ends.
        let is_appended = self.0 == Durability::Normal;
        let mut options = File::options();
        options.write(true).append(is_appended).create_new(true);
        // The last that may fail, because the file is in the way of the next attempt.
        let file = Arc::new(options.open(path)?);
        let on_disk = Box::new(Whole { file: Arc::clone(&file), directory });
        let file: Box<dyn SegmentFile> = match self.0 {
            Durability::Normal => Box::new(file),
            Durability::Strict => Box::new(Ahead::new(file)),
        };
        Ok(Created { file, on_disk })
    }
}

/// A segment's contents and its name.
#[derive(Debug)]
struct Whole {
    file: Arc<File>,
    /// Until the disk has the name.
    directory: Option<File>,
}

impl OnDisk for Whole {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if let Some(directory) = &self.directory {
            directory.sync_all()?;
            self.directory = None;
        }
        Ok(())
    }
}

/// How far a worker's journal reaches: the segment in use and its length up to the last whole
/// append. Beside it, what need not be decoded of it.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// One word holds both, so that a reader never pairs one segment with another's length: 40 bits
    /// of segment, 24 bits of length in blocks.
    reached: AtomicU64,
    /// The first segment of which the disk may lack something.
    needed: AtomicU64,
    /// Definitions that the reader has not come to.
    handover: Arc<Handover>,
}

const LENGTH_BITS: u32 = 24;

impl Published {
    /// Tells readers of an append. Release: whoever sees it finds the bytes in the file.
    pub(super) fn set(&self, segment: u64, length: u64) {
        let blocks = length / BLOCK as u64;
        debug_assert!(segment < 1 << (u64::BITS - LENGTH_BITS) && blocks < 1 << LENGTH_BITS);
        self.reached.store(segment << LENGTH_BITS | blocks, Ordering::Release);
    }

    /// Tells that no segment before one is needed for what the disk may lose. Relaxed: it only grows.
    pub(super) fn need(&self, segment: u64) {
        self.needed.store(segment, Ordering::Relaxed);
    }

    /// Gives the first segment that is needed for what the disk may lose.
    pub(super) fn needed(&self) -> u64 {
        self.needed.load(Ordering::Relaxed)
    }

    /// Gives the way of definitions from writer to reader.
    pub(super) fn handover(&self) -> &Arc<Handover> {
        &self.handover
    }

    /// Gives segment and length; segment 0 when nothing was appended yet.
    pub(super) fn read(&self) -> (u64, u64) {
        let word = self.reached.load(Ordering::Acquire);
        (word >> LENGTH_BITS, (word & ((1 << LENGTH_BITS) - 1)) * BLOCK as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_in_one_spelling_only() {
        for (worker, number) in [(0, 1), (7, 12), (65535, 99_999_999_999)] {
            let id = SegmentId { worker, number };
            let path = id.path(Path::new("/x"));
            assert_eq!(SegmentId::parse(path.file_name().unwrap().to_str().unwrap()), Some(id));
        }
        assert_eq!(
            SegmentId { worker: 1, number: 7 }.path(Path::new("j")),
            Path::new("j/w001-0000000007.seg")
        );
        for other in ["lock", "node-id", "w1-7.seg", "w001-0000000007.seg~", "w+01-0000000007.seg"]
        {
            assert_eq!(SegmentId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn published_keeps_segment_and_length_apart() {
        let published = Published::default();
        assert_eq!(published.read(), (0, 0));
        for (segment, length) in [(1, 0), (1, 64), ((1 << 40) - 1, ((1 << 24) - 1) * 64)] {
            published.set(segment, length);
            assert_eq!(published.read(), (segment, length));
        }
    }
}
