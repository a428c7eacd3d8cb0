//! What the journal promises, against a real directory and a real database.

mod faults;
mod keeper;
mod power;
mod simulation;
mod syncs;
mod torn;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    segment::{Disk, Files, SegmentId},
    *,
};
use crate::{
    answer::Ending,
    ledger::{AccountId, AccountSet, Charge, Taken, Window},
    store::{Sqlite, UsageRow},
};

/// A directory and a database, reopened as often as a test likes.
struct Place {
    temp: TempDir,
    segment_bytes: u64,
}

/// One process on it, without the thread: folds happen when the test says so.
struct Process {
    writers: Vec<Writer>,
    follower: Follower,
    store: Sqlite,
    recovery: Recovery,
}

impl Place {
    fn new() -> Self {
        // In memory where possible: a kill is acted by going on without a flush, and for that the
        // disk's syncs are only slow.
        let memory = Path::new("/dev/shm");
        let temp = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { temp: temp.unwrap(), segment_bytes: SEGMENT_BYTES }
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.temp.path().join("journal")
    }

    fn database(&self) -> PathBuf {
        self.temp.path().join("faregate.db")
    }

    fn start(&self) -> Process {
        self.start_with(|_| Box::new(Disk(Durability::Normal)))
    }

    pub(super) fn start_with(&self, files: impl FnMut(u16) -> Box<dyn Files>) -> Process {
        let mut store = Sqlite::open(&self.database()).unwrap();
        let (journal, recovery) = Journal::open(&self.journal(), &mut store).unwrap();
        let journal = journal.with_segment_bytes(self.segment_bytes);
        let (writers, follower) = journal.split(&store, 2, files).unwrap();
        Process { writers, follower, store, recovery }
    }

    /// Starts, expecting a refusal.
    pub(super) fn refusal(&self) -> ReplayError {
        let mut store = Sqlite::open(&self.database()).unwrap();
        Journal::open(&self.journal(), &mut store).unwrap_err()
    }

    pub(super) fn segments(&self) -> Vec<PathBuf> {
        let list = segment::list(&self.journal()).unwrap();
        list.into_iter().map(|id| id.path(&self.journal())).collect()
    }

    pub(super) fn usage(&self) -> BTreeMap<(String, String), u64> {
        usage(&Sqlite::open_to_read(&self.database()).unwrap())
    }
}

/// Units by customer and scope, over all windows.
pub(super) fn usage(store: &Sqlite) -> BTreeMap<(String, String), u64> {
    let mut found = BTreeMap::new();
    let mut each = |row: UsageRow<'_>| {
        *found.entry((row.customer.into(), row.scope.into())).or_default() += row.used;
    };
    store.load_usage(Timestamp::MIN, &mut each).unwrap();
    found
}

/// Requests and units by ending, of one customer.
pub(super) fn endings(store: &Sqlite, customer: &str) -> BTreeMap<String, (u64, u64)> {
    let mut found = BTreeMap::new();
    let ever = Window { start: Timestamp::MIN, end: None };
    let mut each = |row: crate::store::MinuteRow<'_>| {
        let (requests, units) = found.entry(row.ending.to_owned()).or_insert((0, 0));
        *requests += row.requests;
        *units += row.units;
    };
    store.minutes_of(customer, ever, &mut each).unwrap();
    found
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// A customer's set: the customer as a whole and one key.
pub(super) fn set(id: u64, customer: &str) -> Arc<AccountSet> {
    let window = Window { start: at(0), end: Some(at(86_400)) };
    let account = |scope: &str| AccountId { scope: scope.into(), quota: "daily".into(), window };
    let accounts = vec![account(""), account(&format!("key/{id}"))];
    Arc::new(AccountSet { id, customer: customer.into(), accounts })
}

pub(super) fn origin(set: &AccountSet) -> Origin<'static> {
    static KEY_ID: LazyLock<Arc<str>> = LazyLock::new(|| "key-1".into());
    static PLAN: LazyLock<Arc<str>> = LazyLock::new(|| "pro".into());
    static ROUTE: LazyLock<Arc<str>> = LazyLock::new(|| "forecast".into());
    Origin {
        key_uid: set.id,
        key_id: &KEY_ID,
        application: None,
        plan: Some(&PLAN),
        route_uid: 1,
        route: &ROUTE,
        marks: Some(marks(set.id)),
    }
}

/// Gives those of a key that has the set's number, the same each time, as a caller has.
fn marks(id: u64) -> &'static Marks {
    thread_local!(static MARKS: RefCell<HashMap<u64, &'static Marks>> = RefCell::default());
    MARKS.with_borrow_mut(|all| *all.entry(id).or_insert_with(|| Box::leak(Box::default())))
}

/// A reservation in an append of its own.
pub(super) fn reserve(
    writer: &mut Writer,
    set: &Arc<AccountSet>,
    origin: &Origin<'_>,
    cost: u64,
) -> io::Result<Ticket> {
    let ticket = writer.reserve(Taken::units(set, cost), origin, Uuid::from_u128(9), at(1))?;
    writer.write().map(|()| ticket)
}

/// A settle that is charged so many units.
pub(super) fn settle(
    writer: &mut Writer,
    ticket: &Ticket,
    set: &Arc<AccountSet>,
    (ending, charge): (Ending, u64),
    now: Timestamp,
) -> io::Result<()> {
    let (taken, charge) = (Taken::units(set, 0), Charge::units(charge));
    let taken = Taken { cost: ticket.cost(), ..taken };
    if charge == taken.cost {
        writer.settle(ticket, ending, now);
        return Ok(());
    }
    writer.settle_changed(ticket, taken, &origin(set), ending, charge, now)
}

impl Process {
    pub(super) fn reserve(&mut self, set: &Arc<AccountSet>, cost: u64) -> Ticket {
        reserve(&mut self.writers[0], set, &origin(set), cost).unwrap()
    }

    pub(super) fn settle(
        &mut self,
        ticket: Ticket,
        set: &Arc<AccountSet>,
        ending: Ending,
        charge: u64,
    ) {
        settle(&mut self.writers[0], &ticket, set, (ending, charge), at(70)).unwrap();
    }

    pub(super) fn flush(&mut self) {
        self.writers[0].flush().unwrap();
    }

    pub(super) fn sync(&mut self) {
        self.writers[0].unsynced().sync().unwrap().unwrap();
    }

    pub(super) fn fold(&mut self) {
        self.follower.fold(&mut self.store, &mut ()).unwrap();
    }

    pub(super) fn open_reservations(&self) -> usize {
        self.store.open_reservations(self.follower.node()).unwrap().len()
    }
}

#[test]
fn a_request_is_counted_once_whatever_its_charge() {
    let place = Place::new();
    let mut process = place.start();
    let acme = set(1, "acme");
    for (cost, ending, charge) in [
        (3, Ending::Completed, 3),
        (5, Ending::Failed, 0),
        (7, Ending::Completed, 100),
        (11, Ending::Aborted, 11),
        (0, Ending::Completed, 0),
    ] {
        let ticket = process.reserve(&acme, cost);
        assert_eq!(ticket.cost(), Charge::units(cost));
        process.settle(ticket, &acme, ending, charge);
    }
    process.flush();
    process.fold();
    let whole = BTreeMap::from([
        (("acme".to_owned(), String::new()), 114),
        (("acme".to_owned(), "key/1".to_owned()), 114),
    ]);
    assert_eq!(place.usage(), whole);
    let by_ending = [("aborted", (1, 11)), ("completed", (3, 103)), ("failed", (1, 0))];
    let by_ending = by_ending.map(|(name, figures)| (name.to_owned(), figures));
    assert_eq!(endings(&process.store, "acme"), BTreeMap::from(by_ending));

    drop(process);
    let process = place.start();
    assert_eq!(process.recovery, Recovery { segments: 1, ..Recovery::default() });
    assert_eq!(place.usage(), whole);
    assert!(place.segments().is_empty());
}

#[test]
fn minutes_are_those_of_the_reservation() {
    let place = Place::new();
    let mut process = place.start();
    let acme = set(1, "acme");
    for (ending, charge) in [(Ending::Completed, 2), (Ending::Failed, 0)] {
        let ticket = process.reserve(&acme, 2);
        process.settle(ticket, &acme, ending, charge);
    }
    let _open = process.reserve(&acme, 2);
    process.flush();
    drop(process);
    let process = place.start();
    let mut minutes = Vec::new();
    let ever = Window { start: Timestamp::MIN, end: None };
    process.store.minutes_of("acme", ever, &mut |row| minutes.push(row.minute)).unwrap();
    let minute = at(1).as_second().div_euclid(60) * 60;
    assert_eq!(minutes, [Timestamp::from_second(minute).unwrap(); 3]);
}

#[test]
fn what_is_open_at_a_crash_is_charged_in_full_as_unknown() {
    let place = Place::new();
    let mut process = place.start();
    let acme = set(1, "acme");
    let before_fold = process.reserve(&acme, 3);
    let _never = process.reserve(&acme, 5);
    process.fold();
    assert_eq!(process.open_reservations(), 2);
    assert!(place.usage().is_empty());
    let not_flushed = process.reserve(&acme, 7);
    process.settle(before_fold, &acme, Ending::Completed, 3);
    process.flush();
    process.settle(not_flushed, &acme, Ending::Completed, 7);
    drop(process);

    let process = place.start();
    let Recovery { settled, unknown, unknown_units, orphans, .. } = process.recovery;
    assert_eq!((settled, unknown, unknown_units, orphans), (1, 2, 12, 0));
    assert_eq!(process.open_reservations(), 0);
    assert_eq!(place.usage()[&("acme".into(), String::new())], 15);
    assert_eq!(endings(&process.store, "acme")["unknown"], (2, 12));
}

#[test]
fn a_settle_may_come_in_a_later_segment() {
    let mut place = Place::new();
    place.segment_bytes = 64;
    let mut process = place.start();
    let acme = set(1, "acme");
    let full = process.reserve(&acme, 3);
    let less = process.reserve(&acme, 5);
    let _ = process.reserve(&set(2, "other"), 1);
    process.settle(full, &acme, Ending::Completed, 3);
    process.fold();
    // What is rotated away and folded stays until the disk has it.
    assert_eq!(place.segments().len(), 3);
    process.sync();
    process.settle(less, &acme, Ending::Failed, 0);
    assert_eq!(place.segments().len(), 4);
    process.fold();
    assert_eq!(place.segments().len(), 1);
    assert_eq!(place.usage()[&("acme".into(), String::new())], 3);
    assert_eq!(process.open_reservations(), 1);
}

/// The next would begin with the same definitions.
#[test]
fn a_segment_that_is_mostly_definitions_goes_on() {
    const BYTES: u64 = 8192;
    for (sets, lengths) in [(1, 1), (2, 1), (300, 4)] {
        let place = Place { segment_bytes: BYTES, ..Place::new() };
        let mut process = place.start();
        let sets: Vec<_> = (0..sets).map(|n| set(n, "acme")).collect();
        for set in sets.iter().cycle().take(300) {
            let ticket = process.reserve(set, 1);
            process.settle(ticket, set, Ending::Completed, 1);
        }
        process.flush();
        let length = |path: &PathBuf| fs::metadata(path).unwrap().len();
        let found: Vec<_> = place.segments().iter().map(length).collect();
        let (_, closed) = found.split_last().unwrap();
        let expected = BYTES * lengths..BYTES * lengths + 512;
        assert!(closed.len() > 1 && closed.iter().all(|one| expected.contains(one)), "{found:?}");
    }
}

#[test]
fn numbers_are_not_used_again() {
    let place = Place::new();
    let acme = set(1, "acme");
    let mut names = Vec::new();
    for _ in 0..3 {
        let mut process = place.start();
        let ticket = process.reserve(&acme, 1);
        process.settle(ticket, &acme, Ending::Failed, 0);
        names.extend(place.segments());
    }
    let name = |number| SegmentId { worker: 0, number }.path(&place.journal());
    assert_eq!(names, [name(1), name(2), name(3)]);
    // Also when nothing but the database knows of them.
    drop(place.start());
    let mut process = place.start();
    let _ = process.reserve(&acme, 1);
    assert_eq!(place.segments(), [name(4)]);
}

#[test]
fn a_kill_between_commit_and_deletion_counts_nothing_twice() {
    let mut place = Place::new();
    place.segment_bytes = 64;
    let mut process = place.start();
    let acme = set(1, "acme");
    for cost in 1..=9 {
        let ticket = process.reserve(&acme, cost);
        process.settle(ticket, &acme, Ending::Completed, cost);
    }
    let _open = process.reserve(&acme, 100);
    drop(process);
    let copies: Vec<_> =
        place.segments().into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    assert!(copies.len() > 2);
    for _ in 0..2 {
        drop(place.start());
        assert!(place.segments().is_empty());
        assert_eq!(place.usage()[&("acme".into(), String::new())], 145);
        for (bytes, path) in &copies {
            fs::write(path, bytes).unwrap();
        }
    }
}

#[test]
fn a_fold_of_nothing_new_changes_nothing() {
    let place = Place::new();
    let mut process = place.start();
    let acme = set(1, "acme");
    let ticket = process.reserve(&acme, 2);
    process.settle(ticket, &acme, Ending::Completed, 2);
    process.flush();
    for _ in 0..3 {
        process.fold();
        assert_eq!(place.usage()[&("acme".into(), String::new())], 2);
    }
}

#[test]
fn a_change_of_plan_is_defined_anew() {
    let place = Place::new();
    let mut process = place.start();
    let acme = set(1, "acme");
    let written = |process: &mut Process, origin: &Origin<'_>| {
        let before = fs::metadata(&place.segments()[0]).unwrap().len();
        let _ = reserve(&mut process.writers[0], &acme, origin, 1).unwrap();
        fs::metadata(&place.segments()[0]).unwrap().len() - before
    };
    let _ = process.reserve(&acme, 1);
    assert_eq!(written(&mut process, &origin(&acme)), 64);
    let plan = "starter".into();
    let starter = Origin { plan: Some(&plan), marks: None, ..origin(&acme) };
    assert!(written(&mut process, &starter) > 64);
    assert_eq!(written(&mut process, &starter), 64);
    let none = Origin { plan: None, marks: None, ..origin(&acme) };
    assert!(written(&mut process, &none) > 64);
    assert_eq!(written(&mut process, &none), 64);
    process.fold();
}

#[test]
fn a_definition_is_shared_with_the_reader_and_let_go_with_its_segment() {
    let mut place = Place::new();
    place.segment_bytes = 64;
    let mut process = place.start();
    let (acme, other) = (set(1, "acme"), set(2, "other"));
    let pay = |process: &mut Process, set| {
        let ticket = process.reserve(set, 1);
        process.sync();
        process.settle(ticket, set, Ending::Failed, 0);
        process.sync();
        process.fold();
    };
    pay(&mut process, &acme);
    // Decoded, it would be a set of its own.
    assert_eq!(Arc::strong_count(&acme), 2);
    pay(&mut process, &other);
    pay(&mut process, &other);
    assert_eq!((Arc::strong_count(&acme), place.segments().len()), (1, 1));
    assert_eq!(endings(&process.store, "other")["failed"], (2, 0));
}

#[test]
fn what_a_journal_that_is_gone_left_open_is_charged_in_full() {
    let place = Place::new();
    let mut process = place.start();
    let done = process.reserve(&set(1, "acme"), 1);
    process.settle(done, &set(1, "acme"), Ending::Completed, 1);
    let _ = process.reserve(&set(1, "acme"), 2);
    let _ = process.reserve(&set(2, "other"), 4);
    process.flush();
    process.fold();
    drop(process);
    let mut store = Sqlite::open(&place.database()).unwrap();
    let other = place.temp.path().join("other");
    let (journal, recovery) = Journal::open(&other, &mut store).unwrap();
    assert_eq!(recovery, Recovery { unknown: 2, unknown_units: 6, ..Recovery::default() });
    assert_eq!(usage(&store)[&("acme".into(), String::new())], 3);
    assert_eq!(endings(&store, "acme")["unknown"], (1, 2));
    assert_eq!(endings(&store, "other")["unknown"], (1, 4));
    drop(journal);
    let (_journal, recovery) = Journal::open(&other, &mut store).unwrap();
    assert_eq!(recovery, Recovery::default());
    assert_eq!(usage(&store)[&("acme".into(), String::new())], 3);
}

#[test]
fn segments_of_another_node_and_renamed_ones_are_refused() {
    let place = Place::new();
    let mut process = place.start();
    let _ = process.reserve(&set(1, "acme"), 2);
    drop(process);
    let path = place.segments().remove(0);
    let renamed = SegmentId { worker: 0, number: 2 }.path(&place.journal());
    fs::rename(&path, &renamed).unwrap();
    let error = place.refusal();
    assert!(matches!(error, ReplayError::Read(ReadError::Foreign { .. })), "{error}");
    fs::rename(&renamed, &path).unwrap();
    let id = place.journal().join("node-id");
    let own = fs::read(&id).unwrap();
    fs::write(&id, Uuid::nil().to_string()).unwrap();
    let error = place.refusal();
    assert!(matches!(error, ReplayError::Read(ReadError::Foreign { .. })), "{error}");
    fs::write(&id, own).unwrap();
    assert_eq!(place.start().recovery.unknown, 1);
}

#[test]
fn a_newer_format_is_refused() {
    let place = Place::new();
    let mut process = place.start();
    let _ = process.reserve(&set(1, "acme"), 2);
    drop(process);
    let path: &Path = &place.segments()[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[36] = 9;
    fs::write(path, bytes).unwrap();
    let error = place.refusal();
    assert!(matches!(error, ReplayError::Read(ReadError::Version { found: 9, .. })), "{error}");
}

#[test]
fn two_journals_on_one_directory_are_refused() {
    let place = Place::new();
    let first = place.start();
    let mut other = Sqlite::open(&place.temp.path().join("other.db")).unwrap();
    let error = Journal::open(&place.journal(), &mut other).unwrap_err();
    assert!(matches!(error, ReplayError::Directory(DirectoryError::InUse(_))), "{error}");
    // A writer alone keeps the lock: it may still write.
    let Process { writers, follower, store, .. } = first;
    drop((follower, store));
    Journal::open(&place.journal(), &mut other).unwrap_err();
    drop(writers);
    Journal::open(&place.journal(), &mut other).unwrap();
}

#[test]
fn a_large_backlog_is_folded_in_several_transactions() {
    let mut place = Place::new();
    place.segment_bytes = 5 << 20;
    let mut process = place.start();
    let acme = set(1, "acme");
    // Large, and different each time, so that each request defines it anew.
    let plans: Vec<_> = (0..300).map(|n| format!("{n}{}", "x".repeat(250_000)).into()).collect();
    for plan in &plans {
        let origin = Origin { plan: Some(plan), marks: None, ..origin(&acme) };
        let writer = &mut process.writers[0];
        let ticket = reserve(writer, &acme, &origin, 1).unwrap();
        writer.settle(&ticket, Ending::Completed, at(2));
        writer.unsynced().sync().unwrap().unwrap();
    }
    process.flush();
    drop(process);
    let lengths = place.segments().into_iter().map(|path| fs::metadata(path).unwrap().len());
    assert!(lengths.sum::<u64>() > fold::BATCH_BYTES);
    let process = place.start();
    assert_eq!(process.recovery.settled, 300);
    assert_eq!(usage(&process.store)[&("acme".into(), String::new())], 300);
}

#[test]
fn many_definitions_are_kept_apart() {
    let place = Place::new();
    let mut process = place.start();
    // Of many lengths, so that some lie across the end of what is read at once.
    let name = |n: u64| format!("{}-{n}", "customer".repeat(n as usize % 40));
    let sets: Vec<_> = (0..20_000).map(|n| set(n, &name(n))).collect();
    for (cost, set) in sets.iter().enumerate() {
        let ticket = process.reserve(set, cost as u64);
        process.settle(ticket, set, Ending::Completed, cost as u64);
    }
    process.flush();
    process.fold();
    let usage = place.usage();
    // A charge of nothing makes no row.
    assert_eq!(usage.len(), 2 * 19_999);
    assert!((1..20_000).all(|n| usage[&(name(n), format!("key/{n}"))] == n));
}
