//! A journal in a directory of its own, and what is written to it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use faregate::{
    answer::Ending,
    journal::{Journal, Origin, Writer},
    ledger::Hold,
    store::Sqlite,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::limits;

/// Makes a journal in a directory of its own, with the writer of its only worker. Nothing is folded in
/// it, and it is gone with the directory.
pub(crate) fn open() -> (TempDir, Writer) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store_in(directory.path());
    let (journal, _) = Journal::open(&journal_in(directory.path()), &mut store).unwrap();
    let (mut writers, _) = journal.start(&store, 1).unwrap();
    (directory, writers.pop().unwrap())
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
    };
    let (set, cost, now) = (hold.set(), hold.cost(), limits::noon());
    let ticket = writer.reserve(set, &origin, cost, Uuid::from_u128(7), now).unwrap();
    writer.write().unwrap();
    writer.settle(&ticket, set, &origin, Ending::Completed, cost, now).unwrap();
}
