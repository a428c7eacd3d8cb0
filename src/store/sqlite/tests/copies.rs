//! Copies made while the database is written, and what must not stand in the files.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{model::KeyDigest, store::records::KeyRecord};

#[test]
fn a_copy_is_whole_and_made_while_a_transaction_is_open() {
    let mut place = Place::new();
    place.write(|records| records.put_customer(&customer("acme"))).unwrap();
    let reader = place.store.reader().unwrap();
    let to = place.temp.path().join("copy's.db");
    let target = to.clone();
    place
        .write(|records| {
            records.put_customer(&customer("later"))?;
            reader.backup(&target)
        })
        .unwrap();
    let mode = fs::metadata(&to).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let copy = Connection::open(&to).unwrap();
    let number = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA application_id"), 0x6661_7265);
    assert_eq!(number("PRAGMA user_version"), open::VERSION);
    let check: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    drop(copy);
    let copy = Sqlite::open(&to).unwrap();
    assert!(copy.reads().customer("acme").unwrap().is_some());
    assert!(copy.reads().customer("later").unwrap().is_none());
    drop(copy);

    let before = fs::read(&to).unwrap();
    let error = reader.backup(&to).unwrap_err();
    assert!(told(&error).contains("is there already"), "{}", told(&error));
    assert_eq!(fs::read(&to).unwrap(), before);
    let nowhere = place.temp.path().join("missing/copy.db");
    let error = reader.backup(&nowhere).unwrap_err();
    assert!(told(&error).contains("missing/copy.db"), "{}", told(&error));
}

#[test]
fn the_text_of_a_key_is_nowhere_in_the_files() {
    let mut place = Place::new();
    let secret = "fg_live_0123456789abcdefghijklmnopqrstuvwxyz";
    let record = KeyRecord { digest: KeyDigest::of(secret.as_bytes()), ..key("k", "acme") };
    place.write(|records| records.put_key(&record)).unwrap();
    assert!(
        place.store.reads().key_by_digest(&KeyDigest::of(secret.as_bytes())).unwrap().is_some()
    );
    for entry in fs::read_dir(place.temp.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(20).any(|part| part == &secret.as_bytes()[8..28]));
    }
}

#[test]
fn a_transaction_that_was_undone_below_is_not_taken_for_written() {
    let mut place = Place::new();
    // What SQLite does by itself when the disk is full.
    place
        .by_hand(
            "CREATE TRIGGER t BEFORE INSERT ON settings WHEN new.name = '2'
             BEGIN SELECT RAISE(ROLLBACK, 'undone'); END",
        )
        .unwrap();
    let mut number = 0;
    let result = place.store.transact(&mut |records| {
        number += 1;
        let written = records.put_setting(&number.to_string(), "x");
        assert_eq!(written.is_err(), number == 2);
        // A work that does not mind the error.
        if number > 2 { Verdict::Done } else { Verdict::Keep }
    });
    result.unwrap_err();
    assert_eq!(number, 2);
    assert_eq!(place.store.reads().setting("1").unwrap(), None);
    let mut after = |records: &mut dyn Records| records.put_setting("2", "x");
    let commit = Commit { usage: vec![row("q", 0, None, 3)], ..empty(1) };
    place.store.commit(&commit, &mut after).unwrap_err();
    assert!(loaded(&place.store, 0).is_empty());
    place.by_hand("DROP TRIGGER t").unwrap();
    place.store.commit(&commit, &mut after).unwrap();
    assert_eq!(place.store.reads().setting("2").unwrap().as_deref(), Some("x"));
}
