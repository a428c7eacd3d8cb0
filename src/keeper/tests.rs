//! Changes: how they share transactions, what each is answered, and that folds and they take turns.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64},
    mpsc,
};

use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{
    answer::Ending,
    journal::{Journal, NodeId, Origin, Writer},
    ledger::{AccountId, AccountSet, Taken, Window},
    model::Durability,
    store::{Commit, OpenReservation, Position, Reader, Sqlite, Verdict},
};

/// What the store is told to do, and what it was asked for.
#[derive(Clone, Default)]
struct Switch {
    fail_commits: Arc<AtomicBool>,
    fail_transactions: Arc<AtomicBool>,
    commits: Arc<AtomicU64>,
    transactions: Arc<AtomicU64>,
}

struct Counting {
    store: Sqlite,
    switch: Switch,
}

impl Store for Counting {
    fn commit(
        &mut self,
        commit: &Commit<'_>,
        after: &mut dyn FnMut(&mut dyn Records) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.switch.fail_commits.load(Ordering::SeqCst) {
            return Err(StoreError::new("write to", "told to fail"));
        }
        self.switch.commits.fetch_add(1, Ordering::SeqCst);
        self.store.commit(commit, after)
    }

    fn transact(
        &mut self,
        next: &mut dyn FnMut(&mut dyn Records) -> Verdict,
    ) -> Result<(), StoreError> {
        self.switch.transactions.fetch_add(1, Ordering::SeqCst);
        if !self.switch.fail_transactions.load(Ordering::SeqCst) {
            return self.store.transact(next);
        }
        // Fails where a full disk does: at its end.
        let mut works = 0;
        self.store.transact(&mut |records| {
            if next(records) == Verdict::Done {
                return Verdict::Done;
            }
            works += 1;
            Verdict::Undo
        })?;
        Err(StoreError::new("write to", format!("told to fail after {works}")))
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

struct Place {
    _temp: TempDir,
    switch: Switch,
    writer: Writer,
    keeper: Keeper,
    reader: Box<dyn Reader>,
}

fn start(watch: Option<Box<dyn Watch>>) -> Place {
    let temp = tempfile::tempdir().unwrap();
    let switch = Switch::default();
    let store = Sqlite::open(&temp.path().join("faregate.db")).unwrap();
    let mut store = Counting { store, switch: switch.clone() };
    let (journal, _) = Journal::open(&temp.path().join("journal"), &mut store).unwrap();
    let (mut writers, follower) = journal.start(&store, 1, Durability::Normal).unwrap();
    let reader = store.reader().unwrap();
    let keeper =
        Keeper::start(follower, Box::new(store), Arc::new(Clock::system()), watch).unwrap();
    Place { _temp: temp, switch, writer: writers.pop().unwrap(), keeper, reader }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

impl Place {
    /// Has a request of 2 units in the journal.
    fn request(&mut self) {
        self.request_on("p");
    }

    /// The same, with a plan whose name is so long that the journal is long.
    fn request_on(&mut self, plan: &str) {
        let window = Window { start: at(0), end: None };
        let account = AccountId { scope: "".into(), quota: "q".into(), window };
        let set = AccountSet { id: 1, customer: "acme".into(), accounts: vec![account] }.into();
        let (key_id, plan, route) = ("k".into(), plan.into(), "r".into());
        let origin = Origin {
            key_uid: 1,
            key_id: &key_id,
            application: None,
            plan: Some(&plan),
            route_uid: 1,
            route: &route,
            marks: None,
        };
        let (writer, taken) = (&mut self.writer, Taken::units(&set, 2));
        let ticket = writer.reserve(taken, &origin, Uuid::nil(), at(1)).unwrap();
        writer.write().unwrap();
        writer.settle(&ticket, Ending::Completed, at(2));
        writer.flush().unwrap();
    }

    /// Holds the thread in a change until the sender is dropped.
    fn hold(&self) -> mpsc::Sender<()> {
        let (held, is_held) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        drop(self.keeper.submit::<_, StoreError>(
            move |_| {
                held.send(()).unwrap();
                let _ = released.recv();
                Ok(())
            },
            |()| (),
        ));
        is_held.recv().unwrap();
        release
    }

    fn put(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.keeper.call(move |records| records.put_setting(&name, "x"))
    }

    fn has(&self, name: &str) -> bool {
        self.reader.setting(name).unwrap().is_some()
    }
}

#[test]
fn a_change_is_in_the_store_and_in_memory_before_it_is_answered() {
    let place = start(None);
    let (told, is_told) = mpsc::channel();
    let answer = place.keeper.submit::<_, StoreError>(
        |records| {
            records.put_setting("a", "x")?;
            Ok(7)
        },
        move |value| told.send(*value).unwrap(),
    );
    assert_eq!(answer.blocking_recv().unwrap().unwrap(), 7);
    assert_eq!(is_told.try_recv(), Ok(7));
    assert!(place.has("a"));
}

#[test]
fn changes_that_wait_share_few_transactions_and_fail_alone() {
    let place = start(None);
    let release = place.hold();
    let before = place.switch.transactions.load(Ordering::SeqCst);
    let order = Arc::new(Mutex::new(Vec::new()));
    let answers: Vec<_> = (0..100)
        .map(|number| {
            let order = Arc::clone(&order);
            place.keeper.submit(
                move |records| {
                    records.put_setting(&number.to_string(), "x")?;
                    match number {
                        50 => Err(StoreError::new("write to", "refused")),
                        60 => panic!("told to"),
                        _ => Ok(number),
                    }
                },
                move |number: &i32| order.lock().unwrap().push(*number),
            )
        })
        .collect();
    drop(release);
    let answers: Vec<_> =
        answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect();
    for (number, answer) in answers.iter().enumerate() {
        let is_kept = number != 50 && number != 60;
        assert_eq!(answer.is_ok(), is_kept, "{number}");
        assert_eq!(place.has(&number.to_string()), is_kept, "{number}");
    }
    let transactions = place.switch.transactions.load(Ordering::SeqCst) - before;
    assert!(transactions <= 5, "{transactions}");
    let expected: Vec<_> = (0..100).filter(|number| ![50, 60].contains(number)).collect();
    assert_eq!(*order.lock().unwrap(), expected);
    place.put("still there").unwrap();
}

#[test]
fn a_commit_that_fails_is_told_to_everyone_and_changes_nothing() {
    let place = start(None);
    place.switch.fail_transactions.store(true, Ordering::SeqCst);
    let release = place.hold();
    let (told, is_told) = mpsc::channel();
    let answers: Vec<_> = (0..3)
        .map(|number| {
            let told = told.clone();
            place.keeper.submit::<(), StoreError>(
                move |records| records.put_setting(&number.to_string(), "x"),
                move |()| told.send(()).unwrap(),
            )
        })
        .collect();
    drop(release);
    for answer in answers {
        let error = answer.blocking_recv().unwrap().unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("told to fail"), "{cause}");
    }
    drop(told);
    assert!(is_told.try_recv().is_err());
    assert!(!place.has("0"));
    place.switch.fail_transactions.store(false, Ordering::SeqCst);
    place.put("0").unwrap();
}

#[test]
fn too_many_are_refused_and_a_panic_afterwards_is_answered() {
    let place = start(None);
    let release = place.hold();
    let put = |name: String| {
        place
            .keeper
            .submit::<(), StoreError>(move |records| records.put_setting(&name, "x"), |()| ())
    };
    let waiting: Vec<_> = (0..WAITING_MAX).map(|number| put(number.to_string())).collect();
    let error = put("one more".into()).blocking_recv().unwrap().unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("too many"));
    drop(release);
    assert!(waiting.into_iter().all(|answer| answer.blocking_recv().unwrap().is_ok()));
    assert!(!place.has("one more"));
    // More than one group.
    assert!(place.switch.transactions.load(Ordering::SeqCst) >= 4);

    let answer = place.keeper.submit::<(), StoreError>(
        |records| records.put_setting("written", "x"),
        |()| panic!("told to"),
    );
    answer.blocking_recv().unwrap().unwrap_err();
    assert!(place.has("written"));
    place.put("still there").unwrap();
}

#[test]
fn changes_are_made_while_folds_fail_and_folds_while_changes_come_without_end() {
    let mut place = start(None);
    place.switch.fail_commits.store(true, Ordering::SeqCst);
    place.request();
    place.keeper.fold_now().unwrap_err();
    place.put("a").unwrap();
    assert!(!place.keeper.is_healthy());
    place.switch.fail_commits.store(false, Ordering::SeqCst);
    place.switch.fail_transactions.store(true, Ordering::SeqCst);
    let stop = AtomicBool::new(false);
    let keeper = &place.keeper;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let put = |records: &mut dyn Records| records.put_setting("b", "x");
                keeper.call::<(), StoreError>(put).unwrap_err();
            }
        });
        keeper.fold_now().unwrap();
        stop.store(true, Ordering::SeqCst);
    });
    assert!(place.keeper.is_healthy());
    let window = Window { start: at(0), end: None };
    let (customer, scope, quota) = ("acme", "", "q");
    let account = crate::store::records::AccountKey { customer, scope, quota, window };
    assert_eq!(place.reader.used(&account).unwrap(), 2);
}

/// Submits a change that submits the next one when it is made, and so on up to the first commit of a
/// fold. Counts them.
fn submit_in_turn(shared: &Arc<Shared>, switch: &Switch, made: &Arc<AtomicU64>) {
    let (again, switch, made) = (Arc::clone(shared), switch.clone(), Arc::clone(made));
    let (change, _) = Change::new(
        |_| Ok::<_, StoreError>(()),
        move |()| {
            if switch.commits.load(Ordering::SeqCst) == 0 {
                made.fetch_add(1, Ordering::SeqCst);
                submit_in_turn(&again, &switch, &made);
            }
        },
    );
    shared.push(Box::new(change));
}

/// A change waits for a mebibyte to be read, and not for all that is read for one commit.
#[test]
fn changes_have_their_turn_while_a_long_journal_is_read() {
    let mut place = start(None);
    let release = place.hold();
    for number in 0..40 {
        place.request_on(&format!("{number}{}", "x".repeat(250_000)));
    }
    let mebibytes = place.writer.figures().bytes.get() >> 20;
    assert!(mebibytes >= 8, "{mebibytes}");
    let (keeper, made) = (&place.keeper, Arc::default());
    std::thread::scope(|scope| {
        let fold = scope.spawn(|| keeper.fold_now());
        while keeper.shared.lock().asked == 0 {
            std::thread::yield_now();
        }
        submit_in_turn(&keeper.shared, &place.switch, &made);
        drop(release);
        fold.join().unwrap().unwrap();
    });
    assert_eq!(place.switch.commits.load(Ordering::SeqCst), 1);
    let made = made.load(Ordering::SeqCst);
    assert!(made >= mebibytes, "{made} changes while {mebibytes} MiB were read");
}

#[test]
fn the_end_is_told_to_whoever_waits() {
    let place = start(None);
    let release = place.hold();
    let waiting = place.keeper.submit::<(), StoreError>(|_| Ok(()), |()| ());
    let Place { keeper, reader, .. } = place;
    // A stop makes what waits.
    drop(release);
    keeper.stop().unwrap();
    waiting.blocking_recv().unwrap().unwrap();
    drop(reader);

    let place = start(None);
    place.keeper.shared.tell_end();
    let late = place.keeper.submit::<(), StoreError>(|_| Ok(()), |()| ());
    let error = late.blocking_recv().unwrap().unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("has ended"));
}

#[test]
fn a_keeper_that_is_dropped_answers_what_waits() {
    let place = start(None);
    let release = place.hold();
    let waiting = place.keeper.submit::<(), StoreError>(|_| Ok(()), |()| ());
    place.keeper.shared.lock().order = Order::Abandon;
    drop(release);
    // It may still be taken into the transaction that was open; in any case it is answered.
    let _answer: Result<(), StoreError> = waiting.blocking_recv().unwrap();
    drop(place.keeper);
}

struct Noting {
    seen: mpsc::Sender<u64>,
    fail: bool,
}

impl Watch for Noting {
    fn folded(
        &mut self,
        records: &mut dyn Records,
        usage: &[UsageRow<'_>],
    ) -> Result<(), StoreError> {
        self.seen.send(usage.iter().map(|row| row.used).sum()).unwrap();
        records.put_setting("watched", "x")?;
        assert!(!self.fail, "told to");
        Ok(())
    }
}

#[test]
fn the_watch_sees_each_fold_in_its_transaction() {
    let (seen, is_seen) = mpsc::channel();
    let mut place = start(Some(Box::new(Noting { seen, fail: false })));
    place.request();
    place.request();
    place.keeper.fold_now().unwrap();
    assert!(place.has("watched"));
    // The thread may have folded by itself between the two.
    assert_eq!(is_seen.try_iter().sum::<u64>(), 4);
}

#[test]
fn a_watch_that_panics_does_not_keep_usage_from_counting() {
    let (seen, is_seen) = mpsc::channel();
    let mut place = start(Some(Box::new(Noting { seen, fail: true })));
    place.request();
    place.keeper.fold_now().unwrap();
    assert_eq!(is_seen.try_iter().sum::<u64>(), 2);
    assert!(!place.has("watched"));
    assert!(place.keeper.is_healthy());
    place.request();
    place.keeper.fold_now().unwrap();
    assert!(place.switch.commits.load(Ordering::SeqCst) >= 2);
}
