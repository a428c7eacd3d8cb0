//! On SQLite.

#[path = "suite/mod.rs"]
mod suite;

use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// A database in a directory of its own.
pub(in crate::store) struct Place {
    pub(in crate::store) temp: TempDir,
    pub(in crate::store) store: Sqlite,
}

impl Place {
    /// Whether other processes may be at work.
    pub(in crate::store) const IS_SHARED: bool = false;
    /// How many cases a property is tried with.
    pub(in crate::store) const CASES: u32 = 96;
    /// How long a text may be by which rows are told apart.
    pub(in crate::store) const LONG: usize = 1 << 20;

    pub(in crate::store) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&temp.path().join("faregate.db")).unwrap();
        Self { temp, store }
    }

    pub(in crate::store) fn path(&self) -> PathBuf {
        self.temp.path().join("faregate.db")
    }

    /// Writes in a transaction of its own.
    pub(in crate::store) fn write<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Records) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut work = Some(work);
        let mut outcome = None;
        self.store.transact(&mut |records| {
            let Some(work) = work.take() else { return Verdict::Done };
            let result = work(records);
            let verdict = if result.is_ok() { Verdict::Keep } else { Verdict::Undo };
            outcome = Some(result);
            verdict
        })?;
        outcome.unwrap()
    }

    /// Runs statements as somebody with another program would.
    pub(in crate::store) fn by_hand(&self, sql: &str) -> Result<(), String> {
        let done = Connection::open(self.path()).and_then(|c| c.execute_batch(sql));
        done.map_err(|error| error.to_string())
    }

    /// Ends the process and starts another.
    pub(in crate::store) fn reopen(&mut self) {
        let (elsewhere, other) = (tempfile::tempdir().unwrap(), "other.db");
        // Its lock goes with it.
        self.store = Sqlite::open(&elsewhere.path().join(other)).unwrap();
        self.store = Sqlite::open(&self.path()).unwrap();
    }
}
