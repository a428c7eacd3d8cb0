//! Writes that fail, whole or in part.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{self, Write},
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::*;
use crate::journal::segment::{Created, OnDisk, SegmentFile};

/// What happens to the next calls; nothing special when there is no more.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) writes: Arc<Mutex<VecDeque<Fault>>>,
    /// Whether cutting fails.
    pub(super) cuts_fail: Arc<Mutex<bool>>,
    /// The write calls so far.
    pub(super) calls: Arc<Mutex<Vec<usize>>>,
    /// Whether syncs fail.
    pub(super) syncs_fail: Arc<Mutex<bool>>,
    /// The segments that were synced so far.
    pub(super) synced: Arc<Mutex<Vec<PathBuf>>>,
    /// What the disk has of each: its length.
    pub(super) on_disk: Arc<Mutex<BTreeMap<PathBuf, u64>>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The call works.
    None,
    /// So many bytes are written, then the disk is full.
    Short(usize),
}

impl Files for Script {
    fn create(&mut self, path: &Path) -> io::Result<Created> {
        let file = File::options().append(true).create_new(true).open(path)?;
        let file = Box::new(Scripted { file, script: self.clone() });
        Ok(Created { file, on_disk: Box::new(Noted { path: path.into(), script: self.clone() }) })
    }
}

/// A segment whose syncs are only noted.
#[derive(Debug)]
struct Noted {
    path: PathBuf,
    script: Script,
}

impl OnDisk for Noted {
    fn sync(&mut self) -> io::Result<()> {
        if *self.script.syncs_fail.lock().unwrap() {
            return Err(io::Error::other("scripted"));
        }
        self.script.synced.lock().unwrap().push(self.path.clone());
        let length = fs::metadata(&self.path)?.len();
        self.script.on_disk.lock().unwrap().insert(self.path.clone(), length);
        Ok(())
    }
}

struct Scripted {
    file: File,
    script: Script,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.script.calls.lock().unwrap().push(bytes.len());
        match self.script.writes.lock().unwrap().pop_front() {
            Some(Fault::Short(length)) => {
                // Never the whole: then it would not have failed.
                self.file.write_all(&bytes[..length.min(bytes.len() - 1)])?;
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(Fault::None) | None => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SegmentFile for Scripted {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        if *self.script.cuts_fail.lock().unwrap() {
            return Err(io::Error::other("scripted"));
        }
        self.file.set_len(length)
    }
}

#[test]
fn an_append_is_one_write() {
    let place = Place::new();
    let script = Script::default();
    let mut process = place.start_with(|_| Box::new(script.clone()));
    let acme = set(1, "acme");
    let first = process.reserve(&acme, 1);
    let second = process.reserve(&acme, 1);
    process.settle(first, &acme, Ending::Completed, 1);
    process.settle(second, &acme, Ending::Completed, 1);
    assert!(process.writers[0].is_waiting());
    let third = process.reserve(&acme, 1);
    process.settle(third, &acme, Ending::Failed, 0);
    process.flush();
    assert!(!process.writers[0].is_waiting());
    let calls = script.calls.lock().unwrap().clone();
    assert_eq!(calls[1..], [64, 3 * 64, 64]);
    assert_eq!(calls.len(), 4);
}

#[test]
fn reservations_share_an_append() {
    let place = Place::new();
    let script = Script::default();
    let mut process = place.start_with(|_| Box::new(script.clone()));
    let (acme, other) = (set(1, "acme"), set(2, "other"));
    let writer = &mut process.writers[0];
    let mut tickets = Vec::new();
    for set in [&acme, &other, &acme, &other] {
        tickets
            .push(writer.reserve(Taken::units(set, 3), &origin(set), Uuid::nil(), at(1)).unwrap());
    }
    assert!(script.calls.lock().unwrap().is_empty() && writer.put_bytes() > 0);
    writer.write().unwrap();
    writer.write().unwrap();
    assert_eq!((script.calls.lock().unwrap().len(), writer.put_bytes()), (1, 0));
    // Each was defined once, so that the next one finds it.
    let again =
        writer.reserve(Taken::units(&other, 3), &origin(&other), Uuid::nil(), at(1)).unwrap();
    assert_eq!(writer.put_bytes(), 64);
    // What is settled with less is written at once, with all that was put before.
    super::settle(writer, &again, &other, (Ending::Failed, 0), at(1)).unwrap();
    assert_eq!(script.calls.lock().unwrap()[1..], [2 * 64]);
    for (ticket, set) in tickets.into_iter().zip([&acme, &other, &acme, &other]) {
        process.settle(ticket, set, Ending::Completed, 3);
    }
    process.flush();
    process.fold();
    assert_eq!(endings(&process.store, "acme")["completed"], (2, 6));
    assert_eq!(endings(&process.store, "other")["completed"], (2, 6));
    assert_eq!(endings(&process.store, "other")["failed"], (1, 0));
}

/// Where its append cannot be cut away, a reservation that was refused is settled like one that was not
/// sent, or the next start would charge it.
#[test]
fn what_a_torn_append_leaves_behind_is_settled_elsewhere() {
    let acme = set(1, "acme");
    for is_settled in [true, false] {
        let place = Place::new();
        let script = Script::default();
        let mut process = place.start_with(|_| Box::new(script.clone()));
        let _open = process.reserve(&acme, 3);
        *script.cuts_fail.lock().unwrap() = true;
        script.writes.lock().unwrap().push_back(Fault::Short(64));
        let writer = &mut process.writers[0];
        let put = [5, 7]
            .map(|cost| Taken::units(&acme, cost))
            .map(|taken| writer.reserve(taken, &origin(&acme), Uuid::nil(), at(1)).unwrap());
        writer.write().unwrap_err();
        assert!(writer.is_torn());
        for ticket in put.iter().filter(|_| is_settled) {
            super::settle(writer, ticket, &acme, (Ending::Unsent, 0), at(1)).unwrap();
        }
        assert_eq!(writer.is_torn(), !is_settled);
        drop(process);
        let charged = if is_settled { 3 } else { 3 + 5 };
        assert_eq!(place.start().recovery.unknown_units, charged);
    }
}

#[test]
fn a_failed_reserve_leaves_nothing_behind() {
    let acme = set(1, "acme");
    for cuts_fail in [false, true] {
        for length in [0, 1, 64, 100, 10_000] {
            let place = Place::new();
            let script = Script::default();
            let mut process = place.start_with(|_| Box::new(script.clone()));
            let paid = process.reserve(&acme, 3);
            process.settle(paid, &acme, Ending::Completed, 3);
            *script.cuts_fail.lock().unwrap() = cuts_fail;
            script.writes.lock().unwrap().push_back(Fault::Short(length));
            let other = set(2, "other");
            let writer = &mut process.writers[0];
            let error = reserve(writer, &other, &origin(&other), 9).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            process.fold();
            // The settle that waited is still there, and later appends are sound.
            assert!(process.writers[0].is_waiting());
            let again = process.reserve(&other, 4);
            process.sync();
            process.settle(again, &other, Ending::Failed, 0);
            process.fold();
            assert_eq!(place.segments().len(), 1);
            assert_eq!(place.usage().values().collect::<Vec<_>>(), [&3, &3]);
            assert_eq!(endings(&process.store, "acme")["completed"], (1, 3));
            assert_eq!(endings(&process.store, "other")["failed"], (1, 0));
            drop(process);
            let recovery = place.start().recovery;
            assert_eq!(recovery, Recovery { segments: 1, ..Recovery::default() });
        }
    }
}

#[test]
fn a_failed_settle_can_be_repeated() {
    let acme = set(1, "acme");
    for cuts_fail in [false, true] {
        let place = Place::new();
        let script = Script::default();
        let mut process = place.start_with(|_| Box::new(script.clone()));
        let full = process.reserve(&acme, 3);
        let less = process.reserve(&acme, 5);
        process.settle(full, &acme, Ending::Completed, 3);
        *script.cuts_fail.lock().unwrap() = cuts_fail;
        // The first of the two records stays whole where it cannot be cut away.
        script.writes.lock().unwrap().push_back(Fault::Short(64));
        for works in [false, true] {
            let writer = &mut process.writers[0];
            let result = super::settle(writer, &less, &acme, (Ending::Completed, 1), at(3));
            assert_eq!(result.is_ok(), works);
        }
        process.fold();
        assert_eq!(endings(&process.store, "acme")["completed"], (2, 4));
        drop(process);
        assert_eq!(place.start().recovery.unknown, 0);
        assert_eq!(place.usage()[&("acme".into(), String::new())], 4);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_and_heals() {
    struct Full(bool);
    impl Files for Full {
        fn create(&mut self, path: &Path) -> io::Result<Created> {
            let created = Disk(Durability::Normal).create(path)?;
            if !mem::take(&mut self.0) {
                return Ok(created);
            }
            // Cannot be cut either, so that the next append opens a segment of its own.
            let full = File::options().append(true).open("/dev/full")?;
            Ok(Created { file: Box::new(Arc::new(full)), ..created })
        }
    }
    let place = Place::new();
    let mut process = place.start_with(|_| Box::new(Full(true)));
    let acme = set(1, "acme");
    let error = reserve(&mut process.writers[0], &acme, &origin(&acme), 2).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    process.fold();
    let ticket = process.reserve(&acme, 3);
    process.settle(ticket, &acme, Ending::Completed, 3);
    process.flush();
    process.fold();
    assert_eq!(place.usage()[&("acme".into(), String::new())], 3);
}

#[test]
fn a_directory_that_is_gone_is_reported() {
    let place = Place::new();
    let mut process = place.start();
    fs::remove_dir_all(place.journal()).unwrap();
    let acme = set(1, "acme");
    reserve(&mut process.writers[0], &acme, &origin(&acme), 2).unwrap_err();
    fs::create_dir(place.journal()).unwrap();
    let _ = process.reserve(&acme, 2);
}

#[test]
fn a_definition_that_is_too_large_is_refused_alone() {
    let place = Place::new();
    let mut process = place.start();
    let acme = set(1, "acme");
    let huge = set(2, &"x".repeat(1 << 20));
    let error = reserve(&mut process.writers[0], &huge, &origin(&huge), 2).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let _ = process.reserve(&acme, 2);
    drop(process);
    assert_eq!(place.start().recovery.unknown_units, 2);
}
