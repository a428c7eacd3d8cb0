//! What is written together, what is undone alone.

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
