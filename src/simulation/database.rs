//! The database, which outlives runs: opening one takes longer than most of them.

use std::{cell::RefCell, fs, path::PathBuf, sync::LazyLock};

use rusqlite::Connection;
use tempfile::TempDir;

use super::random::Random;
use crate::store::Sqlite;

/// A database without rows, and its files.
pub(super) struct Database {
    pub(super) place: TempDir,
    /// `None` while a process has it, and where the last one has closed it.
    store: Option<Sqlite>,
}

thread_local! {
    static DATABASE: RefCell<Option<Database>> = const { RefCell::new(None) };
}

impl Database {
    /// Gives the thread's, without rows.
    pub(super) fn take() -> Self {
        if let Some(known) = DATABASE.take() {
            known.clear();
            return known;
        }
        let place = new_place();
        fs::write(place.path().join("faregate.db"), &*EMPTY).unwrap();
        Self { place, store: None }
    }

    /// Keeps it for the next run.
    pub(super) fn give_back(self) {
        DATABASE.set(Some(self));
    }

    /// Opens it for a process.
    pub(super) fn open(&mut self) -> Sqlite {
        self.store.take().unwrap_or_else(|| Sqlite::open(&self.path()).unwrap())
    }

    /// Takes it from a process that has ended. Now and then it is closed in fact.
    pub(super) fn close(&mut self, mut store: Sqlite, random: &mut Random) {
        store.forget();
        self.store = (!random.happens(5)).then_some(store);
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("faregate.db")
    }

    fn clear(&self) {
        let connection = Connection::open(self.path()).unwrap();
        connection.execute_batch(&CLEAR).unwrap();
    }
}

/// A database of ours whose rows may be removed.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let place = new_place();
    let path = place.path().join("faregate.db");
    drop(Sqlite::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    for trigger in names(&connection, "type = 'trigger' AND name LIKE '%_not_removed'") {
        connection.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    drop(connection);
    fs::read(&path).unwrap()
});

/// What removes all rows.
static CLEAR: LazyLock<String> = LazyLock::new(|| {
    let place = new_place();
    let path = place.path().join("faregate.db");
    fs::write(&path, &*EMPTY).unwrap();
    let tables = names(&Connection::open(&path).unwrap(), "type = 'table' AND name <> 'ledger'");
    let mut text = String::from("PRAGMA foreign_keys = off; BEGIN; UPDATE ledger SET number = 0,");
    text += " carried = -9223372036854775808;";
    tables.iter().for_each(|table| text += &format!("DELETE FROM {table};"));
    text + "COMMIT;"
});

fn names(connection: &Connection, which: &str) -> Vec<String> {
    let sql = format!("SELECT name FROM sqlite_schema WHERE {which}");
    let mut statement = connection.prepare(&sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// In memory where possible: what a power cut takes is decided here.
pub(super) fn new_place() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    place.unwrap()
}
