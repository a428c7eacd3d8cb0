//! What is brought to the disk, and when.

use std::{path::PathBuf, time::Duration};

use tokio::time::Instant;

use super::{
    faults::{Fault, Script},
    *,
};
use crate::telemetry::figures::Distribution;

/// Names the segments that were synced since the last time.
fn synced(script: &Script) -> Vec<PathBuf> {
    std::mem::take(&mut *script.synced.lock().unwrap())
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn segments_are_synced_as_long_as_they_are_written() {
    let mut place = Place::new();
    place.segment_bytes = 1;
    let script = Script::default();
    let mut process = place.start_with(|_| Box::new(script.clone()));
    let unsynced = process.writers[0].unsynced();
    let acme = set(1, "acme");
    assert!(unsynced.sync().is_none());
    let first = process.reserve(&acme, 1);
    // Each append begins a segment here.
    let second = process.reserve(&acme, 1);
    let segments = place.segments();
    unsynced.sync().unwrap().unwrap();
    assert_eq!(synced(&script), segments[..2]);
    assert!(unsynced.sync().is_none() && synced(&script).is_empty());
    // The second may have been written since; the first may not.
    process.settle(first, &acme, Ending::Failed, 0);
    unsynced.sync().unwrap().unwrap();
    assert_eq!(synced(&script), place.segments()[1..3]);
    process.settle(second, &acme, Ending::Completed, 1);
    assert!(unsynced.sync().is_none());
    process.flush();
    unsynced.sync().unwrap().unwrap();
    assert_eq!(synced(&script), place.segments()[2..4]);
}

#[test]
fn nothing_is_taken_between_a_failed_sync_and_one_that_brings_all_of_it() {
    let place = Place::new();
    let script = Script::default();
    let mut process = place.start_with(|_| Box::new(script.clone()));
    let (unsynced, figures) = (process.writers[0].unsynced(), process.writers[0].figures());
    let acme = set(1, "acme");
    let ticket = process.reserve(&acme, 2);
    *script.syncs_fail.lock().unwrap() = true;
    unsynced.sync().unwrap().unwrap_err();
    assert!(unsynced.sync().is_none());
    // What ends meanwhile is written down, in the next segment.
    process.settle(ticket, &acme, Ending::Completed, 1);
    *script.syncs_fail.lock().unwrap() = false;
    for _ in 0..2 {
        reserve(&mut process.writers[0], &acme, &origin(&acme), 3).unwrap_err();
    }
    unsynced.sync().unwrap().unwrap();
    let _ = process.reserve(&acme, 4);
    unsynced.sync().unwrap().unwrap();
    let segments = place.segments();
    assert_eq!((segments.len(), synced(&script)), (2, vec![segments[1].clone(); 2]));
    assert_eq!((figures.sync_failures.get(), figures.segments.get()), (1, 2));
    process.fold();
    assert_eq!(endings(&process.store, "acme")["completed"], (1, 1));
    drop(process);
    assert_eq!(place.start().recovery.unknown_units, 4);
}

/// Each of them has what the first one's sync may have lost, and begins no other for that.
#[test]
fn a_segment_that_cannot_be_written_is_tried_again() {
    let place = Place::new();
    let script = Script::default();
    let mut process = place.start_with(|_| Box::new(script.clone()));
    let acme = set(1, "acme");
    let _ = process.reserve(&acme, 2);
    *script.syncs_fail.lock().unwrap() = true;
    process.writers[0].unsynced().sync().unwrap().unwrap_err();
    *script.syncs_fail.lock().unwrap() = false;
    for _ in 0..3 {
        script.writes.lock().unwrap().push_back(Fault::Short(100));
        reserve(&mut process.writers[0], &acme, &origin(&acme), 3).unwrap_err();
        assert!(process.writers[0].unsynced().has_failed());
    }
    reserve(&mut process.writers[0], &acme, &origin(&acme), 3).unwrap_err();
    process.writers[0].unsynced().sync().unwrap().unwrap();
    let _ = process.reserve(&acme, 4);
    assert_eq!(place.segments().len(), 2);
    fs::remove_file(&place.segments()[0]).unwrap();
    drop(process);
    assert_eq!(place.start().recovery.unknown_units, 6);
}

#[test]
fn the_thread_syncs_what_is_written_and_then_rests() {
    let place = Place::new();
    let mut store = Sqlite::open(&place.database()).unwrap();
    let (journal, _) = Journal::open(&place.journal(), &mut store).unwrap();
    let (mut writers, follower) = journal.start(&store, 2, Durability::Normal).unwrap();
    let figures = writers.iter().map(Writer::figures).collect::<Vec<_>>();
    let syncs = |of: &Figures| {
        let mut syncs = Distribution::default();
        of.syncs.add_to(&mut syncs);
        syncs.count()
    };
    let acme = set(1, "acme");
    for round in 1..=3 {
        let before = syncs(&figures[1]);
        let _ = reserve(&mut writers[1], &acme, &origin(&acme), round).unwrap();
        wait_until("what was appended is synced", || syncs(&figures[1]) > before);
    }
    let after = syncs(&figures[1]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!((syncs(&figures[0]), syncs(&figures[1])), (0, after));
    assert_eq!(figures[1].sync_failures.get(), 0);
    // It ends with its reader, and nobody is kept waiting by that.
    drop(follower);
    let _ = reserve(&mut writers[1], &acme, &origin(&acme), 1).unwrap();
    assert_eq!(syncs(&figures[1]), after);
}
