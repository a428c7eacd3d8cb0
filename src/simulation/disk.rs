//! The disk under the journal: writes that fail, whole or in part, and what a power cut takes.
//!
//! What it has it reads by itself, by the documented layout of the records, so that what the journal's
//! own reader believes is held to something else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use super::random::Random;
use crate::journal::{Created, Files, OnDisk, SegmentFile};

/// A disk, by a handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Of the next write of a worker only so many bytes are written.
    short: BTreeMap<u16, usize>,
    cuts_fail: bool,
    creations_fail: bool,
    sync: Sync,
    /// How much of each file a power cut leaves.
    safe: BTreeMap<PathBuf, u64>,
    /// Where what a power cut left of a file ends to be what was written.
    good: BTreeMap<PathBuf, u64>,
}

/// What the next sync does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Sync {
    #[default]
    Works,
    /// It writes nothing.
    Fails,
    /// It says that it failed, and has written all.
    Lies,
}

/// What stands in the journal: records by worker and number.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Reservations.
    pub(super) reserved: BTreeSet<(u16, u64)>,
    /// Reservations of which a record says by itself what they are charged, with that record's number.
    pub(super) changed: BTreeMap<(u16, u64), u64>,
}

impl Disk {
    /// Gives where a worker's segments come from.
    pub(super) fn files(&self, worker: u16) -> Box<dyn Files> {
        Box::new(Own { disk: self.clone(), worker })
    }

    /// Lets the next write of a worker end early, with an error.
    pub(super) fn shorten(&self, worker: u16, bytes: usize) {
        self.lock().short.insert(worker, bytes);
    }

    /// Sets whether cutting files fails.
    pub(super) fn set_cuts_fail(&self, fail: bool) {
        self.lock().cuts_fail = fail;
    }

    /// Sets whether making files fails.
    pub(super) fn set_creations_fail(&self, fail: bool) {
        self.lock().creations_fail = fail;
    }

    /// Sets what the next syncs do.
    pub(super) fn set_sync(&self, sync: Sync) {
        self.lock().sync = sync;
    }

    /// Ends all faults.
    pub(super) fn mend(&self) {
        let mut state = self.lock();
        state.short.clear();
        (state.cuts_fail, state.creations_fail, state.sync) = (false, false, Sync::Works);
    }

    /// Cuts the power: of what was not synced anything may be gone.
    pub(super) fn lose(&self, directory: &Path, random: &mut Random) {
        for path in segments(directory) {
            let known = self.lock().safe.get(&path).copied();
            let (safe, length) = (known.unwrap_or(0), fs::metadata(&path).unwrap().len());
            if known.is_none() && random.happens(30) {
                fs::remove_file(&path).unwrap();
                continue;
            }
            let good = damage(&path, (safe, length), random);
            let mut state = self.lock();
            let good = good.min(state.good.get(&path).copied().unwrap_or(u64::MAX));
            state.good.insert(path.clone(), good);
            let length = fs::metadata(&path).unwrap().len();
            state.safe.insert(path, length);
        }
    }

    /// Reads what stands there, up to where it was damaged.
    pub(super) fn read(&self, directory: &Path) -> Found {
        let mut found = Found::default();
        for path in segments(directory) {
            let bytes = fs::read(&path).unwrap();
            let good = self.lock().good.get(&path).copied().unwrap_or(u64::MAX);
            let good = usize::try_from(good).unwrap_or(usize::MAX).min(bytes.len());
            let name = path.file_name().unwrap().to_str().unwrap();
            let worker = name[1..4].parse().unwrap();
            found.add(worker, &bytes[..good]);
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

/// Damages a file behind what is safe; gives up to where it is what was written.
fn damage(path: &Path, (safe, length): (u64, u64), random: &mut Random) -> u64 {
    let some = safe + random.below(length.abs_diff(safe) + 1);
    let mut file = File::options().write(true).open(path).unwrap();
    let mut fill = |from: u64, to: u64, byte: u8| {
        file.seek(SeekFrom::Start(from)).unwrap();
        file.write_all(&vec![byte; usize::try_from(to - from).unwrap()]).unwrap();
        from
    };
    match random.below(6) {
        // All of it was written, though nobody said so.
        0 => length,
        1 => {
            file.set_len(safe).unwrap();
            safe
        }
        2 => {
            file.set_len(some).unwrap();
            some
        }
        3 => fill(safe, length, 0),
        // A hole, behind which there is more.
        4 if some > safe => fill(safe, some, 0),
        _ if some < length => fill(some, length, 0xa5),
        _ => length,
    }
}

/// Lists the files, in order.
pub(super) fn segments(directory: &Path) -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "seg"));
    paths.sort();
    paths
}

const RESERVE: u8 = 3;
const SETTLE_CHANGED: u8 = 5;
const KEPT: u8 = 7;

impl Found {
    /// Adds what another has with numbers up to one of its worker.
    pub(super) fn add_through(&mut self, other: &Self, worker: u16, through: u64) {
        let is_meant = |of: u16, number: u64| of == worker && number <= through;
        let reserved = other.reserved.iter().filter(|(of, number)| is_meant(*of, *number));
        self.reserved.extend(reserved);
        let changed = other.changed.iter().filter(|((of, _), number)| is_meant(*of, **number));
        self.changed.extend(changed);
    }

    /// Adds whole records.
    fn add(&mut self, worker: u16, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(record) = rest.get(..64) {
            let number = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap());
            let blocks = usize::from(u16::from_le_bytes([record[6], record[7]]));
            let Some(payload) = rest.get(64..64 + blocks * 64) else { return };
            match record[4] {
                RESERVE => _ = self.reserved.insert((worker, number(8))),
                SETTLE_CHANGED => _ = self.changed.insert((worker, number(16)), number(8)),
                KEPT => self.add(worker, payload),
                _ => {}
            }
            rest = &rest[64 + blocks * 64..];
        }
    }
}

struct Own {
    disk: Disk,
    worker: u16,
}

impl Files for Own {
    fn create(&mut self, path: &Path) -> io::Result<Created> {
        if self.disk.lock().creations_fail {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = File::options().append(true).create_new(true).open(path)?;
        // A file of that name may have been there, which a power cut took whole.
        let mut state = self.disk.lock();
        state.safe.remove(path);
        state.good.remove(path);
        drop(state);
        let (disk, worker) = (self.disk.clone(), self.worker);
        let on_disk = Box::new(Segment { path: path.into(), disk: disk.clone() });
        Ok(Created { file: Box::new(Failing { file, disk, worker }), on_disk })
    }
}

struct Failing {
    file: File,
    disk: Disk,
    worker: u16,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.disk.lock().short.remove(&self.worker) {
            Some(length) => {
                // Never the whole: then it would not have failed.
                self.file.write_all(&bytes[..length.min(bytes.len() - 1)])?;
                Err(io::ErrorKind::StorageFull.into())
            }
            None => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SegmentFile for Failing {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.disk.lock().cuts_fail {
            return Err(io::Error::other("simulated"));
        }
        self.file.set_len(length)
    }
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    disk: Disk,
}

impl OnDisk for Segment {
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.lock();
        if !matches!(state.sync, Sync::Fails) {
            let length = fs::metadata(&self.path)?.len();
            state.safe.insert(self.path.clone(), length);
        }
        match state.sync {
            Sync::Works => Ok(()),
            Sync::Fails | Sync::Lies => Err(io::Error::other("simulated")),
        }
    }
}
