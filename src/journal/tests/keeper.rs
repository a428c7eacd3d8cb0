//! The thread: what it answers, and what it does when the store fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use super::*;
use crate::{
    clock::Clock,
    keeper::Keeper,
    store::{Commit, OpenReservation, Position, Reader, StoreError, Verdict, records::Records},
};

/// A store that can be told to fail or to panic.
#[derive(Clone, Default)]
struct Switch {
    fail: Arc<AtomicBool>,
    panic: Arc<AtomicBool>,
    commits: Arc<AtomicU64>,
}

struct Flaky {
    store: Sqlite,
    switch: Switch,
}

impl Store for Flaky {
    fn commit(
        &mut self,
        commit: &Commit<'_>,
        after: &mut dyn FnMut(&mut dyn Records) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        assert!(!self.switch.panic.load(Ordering::SeqCst), "told to");
        if self.switch.fail.load(Ordering::SeqCst) {
            return Err(StoreError::new("write to", "told to fail"));
        }
        self.switch.commits.fetch_add(1, Ordering::SeqCst);
        self.store.commit(commit, after)
    }

    fn transact(
        &mut self,
        next: &mut dyn FnMut(&mut dyn Records) -> Verdict,
    ) -> Result<(), StoreError> {
        self.store.transact(next)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.store.reader()
    }

    fn caught_up(&mut self) -> Result<(), StoreError> {
        self.store.caught_up()
    }

    fn positions(&self, node: NodeId) -> Result<Vec<Position>, StoreError> {
        self.store.positions(node)
    }

    fn open_reservations(&self, node: NodeId) -> Result<Vec<OpenReservation>, StoreError> {
        self.store.open_reservations(node)
    }

    fn lost_nodes(&self, node: NodeId) -> Result<Vec<NodeId>, StoreError> {
        self.store.lost_nodes(node)
    }

    fn load_usage(
        &self,
        now: Timestamp,
        each: &mut dyn FnMut(UsageRow<'_>),
    ) -> Result<(), StoreError> {
        self.store.load_usage(now, each)
    }

    fn latest_time(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.latest_time()
    }
}

fn start(place: &Place, switch: &Switch) -> (Vec<Writer>, Keeper) {
    let store = Sqlite::open(&place.database()).unwrap();
    let mut store = Flaky { store, switch: switch.clone() };
    let (journal, _) = Journal::open(&place.journal(), &mut store).unwrap();
    let journal = journal.with_segment_bytes(place.segment_bytes);
    let (writers, follower) = journal.start(&store, 2, Durability::Normal).unwrap();
    (writers, Keeper::start(follower, Box::new(store), Arc::new(Clock::system()), None).unwrap())
}

fn request(writer: &mut Writer, set: &Arc<AccountSet>) {
    let ticket = reserve(writer, set, &origin(set), 2).unwrap();
    super::settle(writer, &ticket, set, (Ending::Completed, 2), at(2)).unwrap();
    writer.flush().unwrap();
}

fn used(place: &Place) -> u64 {
    place.usage().get(&("acme".into(), String::new())).copied().unwrap_or(0)
}

#[test]
fn fold_now_has_everything_before_it() {
    let place = Place::new();
    let (mut writers, keeper) = start(&place, &Switch::default());
    let acme = set(1, "acme");
    for round in 1..=5 {
        writers.iter_mut().for_each(|writer| request(writer, &acme));
        keeper.fold_now().unwrap();
        assert_eq!(used(&place), round * 4);
    }
    assert!(keeper.is_healthy());
}

#[test]
fn writers_and_folds_run_beside_each_other() {
    let mut place = Place::new();
    place.segment_bytes = 4096;
    let (writers, keeper) = start(&place, &Switch::default());
    thread::scope(|scope| {
        for mut writer in writers {
            scope.spawn(move || {
                let acme = set(1, "acme");
                (0..2000).for_each(|_| request(&mut writer, &acme));
            });
        }
        for _ in 0..20 {
            keeper.fold_now().unwrap();
        }
    });
    keeper.stop().unwrap();
    assert_eq!(used(&place), 8000);
    assert!(place.segments().is_empty());
}

#[test]
fn stop_keeps_the_segment_of_a_writer_that_is_still_there() {
    let place = Place::new();
    let (mut writers, keeper) = start(&place, &Switch::default());
    let acme = set(1, "acme");
    writers.iter_mut().for_each(|writer| request(writer, &acme));
    writers.pop();
    keeper.stop().unwrap();
    assert_eq!(used(&place), 4);
    assert_eq!(place.segments().len(), 1);
    request(&mut writers[0], &acme);
    drop(writers);
    assert_eq!(place.start().recovery.settled, 1);
    assert_eq!(used(&place), 6);
}

#[test]
fn a_store_that_fails_is_tried_again_and_counts_once() {
    let place = Place::new();
    let switch = Switch::default();
    let (mut writers, keeper) = start(&place, &switch);
    let acme = set(1, "acme");
    request(&mut writers[0], &acme);
    switch.fail.store(true, Ordering::SeqCst);
    let error = keeper.fold_now().unwrap_err();
    assert!(matches!(*error, FoldError::Store(_)), "{error}");
    assert!(!keeper.is_healthy());
    request(&mut writers[1], &acme);
    keeper.fold_now().unwrap_err();
    assert_eq!(used(&place), 0);
    switch.fail.store(false, Ordering::SeqCst);
    keeper.fold_now().unwrap();
    assert!(keeper.is_healthy());
    assert_eq!(used(&place), 4);
}

#[test]
fn the_thread_folds_by_itself_and_rests_when_nothing_is_new() {
    let place = Place::new();
    let switch = Switch::default();
    let (mut writers, keeper) = start(&place, &switch);
    request(&mut writers[0], &set(1, "acme"));
    let deadline = 500;
    for _ in 0..deadline {
        if switch.commits.load(Ordering::SeqCst) > 0 {
            break;
        }
        thread::park_timeout(std::time::Duration::from_millis(10));
    }
    keeper.fold_now().unwrap();
    keeper.fold_now().unwrap();
    assert_eq!(used(&place), 2);
    // One for the past of the directory would be one more; there was none.
    assert_eq!(switch.commits.load(Ordering::SeqCst), 1);
}

#[test]
fn dropping_the_keeper_is_like_a_kill() {
    let place = Place::new();
    let switch = Switch::default();
    let (mut writers, keeper) = start(&place, &switch);
    switch.fail.store(true, Ordering::SeqCst);
    request(&mut writers[0], &set(1, "acme"));
    keeper.fold_now().unwrap_err();
    drop((keeper, writers));
    assert_eq!(used(&place), 0);
    assert_eq!(place.start().recovery.settled, 1);
    assert_eq!(used(&place), 2);
}

#[test]
fn a_stop_that_cannot_fold_says_so_and_keeps_the_journal() {
    let place = Place::new();
    let switch = Switch::default();
    let (mut writers, keeper) = start(&place, &switch);
    switch.fail.store(true, Ordering::SeqCst);
    request(&mut writers[0], &set(1, "acme"));
    drop(writers);
    keeper.stop().unwrap_err();
    assert_eq!(place.start().recovery.settled, 1);
}

#[test]
fn a_panic_in_the_thread_leaves_nobody_waiting() {
    let place = Place::new();
    let switch = Switch::default();
    let (mut writers, keeper) = start(&place, &switch);
    switch.panic.store(true, Ordering::SeqCst);
    request(&mut writers[0], &set(1, "acme"));
    assert!(matches!(*keeper.fold_now().unwrap_err(), FoldError::Ended));
    assert!(!keeper.is_healthy());
    keeper.stop().unwrap_err();
}

#[test]
fn a_journal_that_shrinks_under_the_thread_is_reported() {
    let place = Place::new();
    let mut process = place.start();
    let acme = set(1, "acme");
    request(&mut process.writers[0], &acme);
    request(&mut process.writers[1], &acme);
    let path = &place.segments()[0];
    fs::File::options().write(true).open(path).unwrap().set_len(70).unwrap();
    let error = process.follower.fold(&mut process.store, &mut ()).unwrap_err();
    assert!(matches!(error, FoldError::Read(ReadError::Damaged { .. })), "{error}");
    // The other worker's journal is folded all the same.
    assert_eq!(used(&place), 2);
}
