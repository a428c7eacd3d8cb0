//! A journal in a directory of its own, and what is written to it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use faregate::{
    answer::Ending,
    journal::{Follower, Journal, Origin, Writer},
    ledger::Hold,
    model::Durability,
    store::Sqlite,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::limits;

/// The directory of a journal. The journal is gone with it.
#[derive(Debug)]
pub(crate) struct Place {
    directory: TempDir,
    /// Brings the journal to the disk, and is asked for nothing else.
    _follower: Follower,
}

impl Place {
    /// Gives the path.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Makes a journal in a directory of its own, with the writer of its only worker. Nothing is folded in it.
pub(crate) fn open() -> (Place, Writer) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store_in(directory.path());
    let (journal, _) = Journal::open(&journal_in(directory.path()), &mut store).unwrap();
    let (mut writers, follower) = journal.start(&store, 1, Durability::Normal).unwrap();
    (Place { directory, _follower: follower }, writers.pop().unwrap())
}

/// Gives where the segments are.
pub(crate) fn journal_in(directory: &Path) -> PathBuf {
    directory.join("journal")
}

/// Opens the store, or makes one.
pub(crate) fn store_in(directory: &Path) -> Sqlite {
    Sqlite::open(&directory.join("faregate.db")).unwrap()
}

/// Writes that units were taken, and that all of them are charged. The second record waits for the
/// next pair, as it does while requests come.
pub(crate) fn append_pair(writer: &mut Writer, hold: &Hold, key_uid: u64) {
    static KEY_ID: LazyLock<Arc<str>> = LazyLock::new(|| "key_0123456789ab".into());
    static PLAN: LazyLock<Arc<str>> = LazyLock::new(|| "pro".into());
    static ROUTE: LazyLock<Arc<str>> = LazyLock::new(|| "forecast".into());
    let origin = Origin {
        key_uid,
        key_id: &KEY_ID,
        application: None,
        plan: Some(&PLAN),
        route_uid: 1,
        route: &ROUTE,
        marks: None,
    };
    let (taken, now) = (hold.taken(), limits::noon());
    let ticket = writer.reserve(taken, &origin, Uuid::from_u128(7), now).unwrap();
    writer.write().unwrap();
    writer.settle(&ticket, Ending::Completed, now);
}
