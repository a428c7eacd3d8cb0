//! What is written together, what is undone alone, and copies made meanwhile.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn refuse() -> StoreError {
    StoreError::new("write to", "told to")
}

#[test]
fn what_goes_with_a_fold_is_undone_alone() {
    let mut place = Place::new();
    let usage = || vec![row("q", 0, None, 3)];
    let mut after = |records: &mut dyn Records| {
        // It sees the fold.
        let window = Window { start: at(0), end: None };
        let account = AccountKey { customer: "acme", scope: "", quota: "q", window };
        assert_eq!(records.used(&account)?, 3);
        records.put_setting("a", "1")
    };
    place.store.commit(&Commit { usage: usage(), ..empty(1) }, &mut after).unwrap();
    let mut after = |records: &mut dyn Records| {
        records.put_setting("a", "2")?;
        Err(refuse())
    };
    place.store.commit(&Commit { usage: usage(), ..empty(2) }, &mut after).unwrap();
    assert_eq!(place.store.reads().setting("a").unwrap().as_deref(), Some("1"));
    assert_eq!(loaded(&place.store, 0).into_values().collect::<Vec<_>>(), [(None, 6)]);
    // And with a fold that is refused it is not written either.
    let mut after = |records: &mut dyn Records| records.put_setting("a", "3");
    place.store.commit(&empty(2), &mut after).unwrap_err();
    assert_eq!(place.store.reads().setting("a").unwrap().as_deref(), Some("1"));
}

#[test]
fn works_share_a_transaction_and_are_undone_one_by_one() {
    let mut place = Place::new();
    let mut number = 0;
    place
        .store
        .transact(&mut |records| {
            number += 1;
            let name = number.to_string();
            records.put_setting(&name, "x").unwrap();
            match number {
                2 => Verdict::Undo,
                1 | 3 => Verdict::Keep,
                // Also what the call that found nothing wrote.
                _ => Verdict::Done,
            }
        })
        .unwrap();
    let reads = place.store.reads();
    let found = ["1", "2", "3", "4"].map(|name| reads.setting(name).unwrap().is_some());
    assert_eq!(found, [true, false, true, false]);
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

#[test]
fn readers_see_each_commit_and_cannot_write() {
    let mut place = Place::new();
    let reader = place.store.reader().unwrap();
    assert_eq!(reader.setting("a").unwrap(), None);
    place
        .write(|records| {
            records.put_setting("a", "1")?;
            assert_eq!(reader.setting("a")?, None);
            Ok(())
        })
        .unwrap();
    assert_eq!(reader.setting("a").unwrap().as_deref(), Some("1"));
    thread::spawn(move || reader.setting("a").unwrap()).join().unwrap();
}

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
