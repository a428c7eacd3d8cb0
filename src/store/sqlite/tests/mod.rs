//! The store against real files.

mod copies;
mod ids;
mod migration;
mod plans;

use std::{fs, sync::mpsc, thread};

use super::*;
use crate::store::tests::{sqlite::Place, *};

#[test]
fn the_database_is_synced_and_can_be_read_beside_its_owner() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("faregate.db");
    let mut store = Sqlite::open(&path).unwrap();
    let pragma = |name: &str| {
        store
            .connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma("synchronous"), 2_i64.into());
    assert_eq!(pragma("foreign_keys"), 1_i64.into());
    let mut reader = Sqlite::open_to_read(&path).unwrap();
    store.put(&Commit { usage: vec![row("q", 0, None, 3)], ..empty(1) }).unwrap();
    assert_eq!(loaded(&reader, 0).len(), 1);
    reader.put(&empty(2)).unwrap_err();
}

#[test]
fn a_second_owner_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("faregate.db");
    let first = Sqlite::open(&path).unwrap();
    assert!(matches!(Sqlite::open(&path), Err(OpenError::InUse { .. })));
    drop(first);
    Sqlite::open(&path).unwrap();
}

#[test]
fn databases_that_are_not_ours_are_refused_and_left_as_they_are() {
    let temp = tempfile::tempdir().unwrap();
    let newer = temp.path().join("newer.db");
    drop(Sqlite::open(&newer).unwrap());
    let connection = Connection::open(&newer).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = Sqlite::open(&newer).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("schema version 99"), "{error}");
    assert!(matches!(Sqlite::open_to_read(&newer), Err(OpenError::Newer { .. })));

    let other = temp.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let text = temp.path().join("text.db");
    fs::write(&text, "this is a text, and a rather long one, so that it is not empty".repeat(20))
        .unwrap();
    for path in [other, text] {
        let before = fs::read(&path).unwrap();
        assert!(matches!(Sqlite::open(&path), Err(OpenError::Foreign { .. })), "{path:?}");
        assert!(matches!(Sqlite::open_to_read(&path), Err(OpenError::Foreign { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn files_that_are_cut_off_are_named() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("faregate.db");
    drop(Sqlite::open(&path).unwrap());
    let whole = fs::read(&path).unwrap();
    for length in [100, 4096, whole.len() / 4096 / 2 * 4096, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Sqlite::open(&path).unwrap_err();
        assert!(matches!(&error, OpenError::Damaged { .. }), "{length}: {error}");
        assert!(error.to_string().contains("faregate.db is damaged"), "{error}");
    }
    fs::write(&path, "").unwrap();
    let error = Sqlite::refuse_emptied(&path).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    fs::write(&path, &whole).unwrap();
    Sqlite::refuse_emptied(&path).unwrap();
    Sqlite::open(&path).unwrap();
}

#[test]
fn damage_within_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("faregate.db");
    let store = Sqlite::open(&path).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'positions'";
    let root: u32 = store.connection.query_row(sql, [], |row| row.get(0)).unwrap();
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let root = root as usize * 4096;
    bytes[root - 4096..root].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let error = Sqlite::open(&path).unwrap().latest_time().unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("faregate.db is damaged; put a backup in its place"), "{cause}");
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let temp = tempfile::tempdir().unwrap();
    let missing = temp.path().join("missing/faregate.db");
    let error = Sqlite::open(&missing).unwrap_err();
    assert!(
        matches!(&error, OpenError::Unwritable { path, .. } if path.ends_with("faregate.db.lock"))
    );
    let error = Sqlite::open_to_read(&missing).unwrap_err();
    assert!(matches!(error, OpenError::Unwritable { .. }), "{error}");
    let directory = temp.path().join("directory.db");
    fs::create_dir(&directory).unwrap();
    let error = Sqlite::open(&directory).unwrap_err();
    assert!(matches!(error, OpenError::Unwritable { .. }), "{error}");
}

#[test]
fn a_reader_that_holds_the_database_is_waited_for() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("faregate.db");
    let mut store = Sqlite::open(&path).unwrap();
    let (locked, is_locked) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let other = Connection::open(&path).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            locked.send(()).unwrap();
            thread::park_timeout(std::time::Duration::from_millis(50));
            other.execute_batch("COMMIT").unwrap();
        });
        is_locked.recv().unwrap();
        store.put(&Commit { usage: vec![row("q", 0, None, 3)], ..empty(1) }).unwrap();
    });
    assert_eq!(loaded(&store, 0).len(), 1);
}
