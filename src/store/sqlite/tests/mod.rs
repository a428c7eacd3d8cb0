//! The store against real files.

mod events;
mod ids;
mod ledger;
mod migration;
mod odd_texts;
mod records;
mod removal;
mod report;
mod transactions;

use std::{collections::BTreeMap, fs, sync::mpsc, thread};

use tempfile::TempDir;

use super::*;
use crate::{
    model::{Environment, KeyDigest, KeyState, OwnLimits, SubscriptionTerms},
    store::records::*,
};

/// A database in a directory of its own.
struct Place {
    temp: TempDir,
    store: Sqlite,
}

impl Place {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&temp.path().join("faregate.db")).unwrap();
        Self { temp, store }
    }

    fn path(&self) -> PathBuf {
        self.temp.path().join("faregate.db")
    }

    /// Writes in a transaction of its own.
    fn write<T>(
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

    /// Runs a statement as somebody with another program would.
    fn by_hand(&self, sql: &str) -> rusqlite::Result<()> {
        Connection::open(self.path())?.execute_batch(sql)
    }
}

fn customer(id: &str) -> CustomerRecord {
    CustomerRecord {
        id: id.into(),
        name: None,
        metadata: BTreeMap::new(),
        suspended: false,
        limits: OwnLimits::default(),
        spend_cap: None,
        webhook: None,
        created_at: at(1),
        updated_at: at(1),
    }
}

fn key(id: &str, customer: &str) -> KeyRecord {
    KeyRecord {
        id: id.into(),
        customer: customer.into(),
        application: None,
        name: None,
        digest: KeyDigest::of(id.as_bytes()),
        hint: None,
        env: None,
        scopes: Vec::new(),
        allow_from: Vec::new(),
        expires: None,
        status: KeyState::Active,
        revoked_at: None,
        replaced_by: None,
        lineage: id.into(),
        limits: OwnLimits::default(),
        created_at: at(1),
        last_used: None,
    }
}

/// An error with its cause, as it is logged.
fn told(error: &StoreError) -> String {
    format!("{error}: {}", std::error::Error::source(error).unwrap())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn node() -> NodeId {
    NodeId(Uuid::from_u128(5))
}

fn empty(sequence: u64) -> Commit<'static> {
    let latest = at(sequence.try_into().unwrap());
    let position = Position { worker: 1, segment: 2, offset: 64, sequence, latest };
    Commit {
        node: node(),
        now: at(0),
        usage: Vec::new(),
        credits: Vec::new(),
        consumed: Vec::new(),
        minutes: Vec::new(),
        opened: Vec::new(),
        closed: Vec::new(),
        positions: vec![position],
    }
}

/// A commit with nothing that goes along.
trait Put {
    fn put(&mut self, commit: &Commit<'_>) -> Result<(), StoreError>;
}

impl Put for Sqlite {
    fn put(&mut self, commit: &Commit<'_>) -> Result<(), StoreError> {
        self.commit(commit, &mut |_| Ok(()))
    }
}

fn row(quota: &'static str, start: i64, end: Option<i64>, used: u64) -> UsageRow<'static> {
    let window = Window { start: at(start), end: end.map(at) };
    UsageRow { customer: "acme", scope: "", quota, window, used }
}

fn loaded(store: &Sqlite, now: i64) -> BTreeMap<(String, Timestamp), (Option<Timestamp>, u64)> {
    let mut found = BTreeMap::new();
    let mut each = |row: UsageRow<'_>| {
        found.insert((row.quota.to_owned(), row.window.start), (row.window.end, row.used));
    };
    store.load_usage(at(now), &mut each).unwrap();
    found
}

#[test]
fn usage_adds_up_and_survives() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("faregate.db");
    let mut store = Sqlite::open(&path).unwrap();
    let first = vec![row("day", 0, Some(10), 3), row("ever", 0, None, 5)];
    store.put(&Commit { usage: first, ..empty(1) }).unwrap();
    let second = vec![row("day", 0, Some(10), 4), row("day", 10, Some(20), 1)];
    store.put(&Commit { usage: second, ..empty(2) }).unwrap();
    drop(store);

    let store = Sqlite::open(&path).unwrap();
    let key = |quota: &str, start| (quota.to_owned(), at(start));
    let all = BTreeMap::from([
        (key("day", 0), (Some(at(10)), 7)),
        (key("day", 10), (Some(at(20)), 1)),
        (key("ever", 0), (None, 5)),
    ]);
    assert_eq!(loaded(&store, 9), all);
    // A window is over at its end.
    assert_eq!(loaded(&store, 10).len(), 2);
    assert_eq!(loaded(&store, 20).into_keys().collect::<Vec<_>>(), [key("ever", 0)]);
    assert_eq!(store.latest_time().unwrap(), Some(at(2)));
    let mut of_customer = 0;
    store.usage_of("acme", &mut |_| of_customer += 1).unwrap();
    store.usage_of("other", &mut |_| of_customer += 100).unwrap();
    assert_eq!(of_customer, 3);
}

#[test]
fn a_window_keeps_its_latest_end_and_usage_stays_in_range() {
    let temp = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(&temp.path().join("faregate.db")).unwrap();
    for (sequence, end, used) in
        [(1, Some(30), u64::MAX), (2, Some(10), 1), (3, Some(40), u64::MAX)]
    {
        let usage = vec![row("q", 0, end, used)];
        store.put(&Commit { usage, ..empty(sequence) }).unwrap();
    }
    let most = i64::MAX.try_into().unwrap();
    assert_eq!(loaded(&store, 0).into_values().collect::<Vec<_>>(), [(Some(at(40)), most)]);
    for (sequence, end) in [(4, None), (5, Some(10))] {
        store.put(&Commit { usage: vec![row("q", 0, end, 0)], ..empty(sequence) }).unwrap();
        assert_eq!(loaded(&store, 0).into_values().collect::<Vec<_>>(), [(None, most)]);
    }
}

#[test]
fn open_reservations_come_and_go() {
    let temp = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(&temp.path().join("faregate.db")).unwrap();
    let open = |sequence| OpenReservation {
        id: ReservationId { worker: 1, sequence },
        request_id: Uuid::from_u128(sequence.into()),
        customer: "acme".into(),
        definition: vec![0, 1, 255],
        cost: 3,
        nanos: crate::model::Nanos::ZERO,
        opened_at: at(7),
    };
    store.put(&Commit { opened: vec![open(1), open(2)], ..empty(2) }).unwrap();
    assert_eq!(store.open_reservations(node()).unwrap(), [open(1), open(2)]);
    assert_eq!(store.open_reservations(NodeId(Uuid::nil())).unwrap(), []);
    let closed = vec![open(1).id];
    store.put(&Commit { closed, opened: vec![open(4)], ..empty(4) }).unwrap();
    assert_eq!(store.open_reservations(node()).unwrap(), [open(2), open(4)]);
}

#[test]
fn the_same_part_of_a_journal_is_not_taken_twice() {
    let temp = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(&temp.path().join("faregate.db")).unwrap();
    let commit = Commit { usage: vec![row("q", 0, None, 3)], ..empty(7) };
    store.put(&commit).unwrap();
    store.put(&commit).unwrap_err();
    assert_eq!(loaded(&store, 0).into_values().collect::<Vec<_>>(), [(None, 3)]);
    assert_eq!(store.positions(node()).unwrap(), commit.positions);
    assert_eq!(store.positions(NodeId(Uuid::nil())).unwrap(), []);
}

#[test]
fn a_commit_that_fails_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("faregate.db");
    let mut store = Sqlite::open(&path).unwrap();
    let twice = OpenReservation {
        id: ReservationId { worker: 1, sequence: 1 },
        request_id: Uuid::nil(),
        customer: "acme".into(),
        definition: Vec::new(),
        cost: 1,
        nanos: crate::model::Nanos::ZERO,
        opened_at: at(1),
    };
    let opened = vec![twice.clone(), twice];
    store.put(&Commit { usage: vec![row("q", 0, None, 3)], opened, ..empty(1) }).unwrap_err();
    assert!(loaded(&store, 0).is_empty());
    assert_eq!(store.positions(node()).unwrap(), []);
    assert_eq!(store.latest_time().unwrap(), None);
}

#[test]
fn minutes_add_up_and_come_in_order() {
    let temp = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(&temp.path().join("faregate.db")).unwrap();
    let minute = |start, ending| MinuteRow {
        customer: "acme",
        key_id: "k",
        route: "r",
        minute: at(start),
        ending,
        requests: 1,
        currency: None,
        nanos: crate::model::Nanos::ZERO,
        units: 5,
    };
    let minutes = vec![minute(60, "completed"), minute(0, "failed"), minute(120, "completed")];
    for sequence in 1..=2 {
        store.put(&Commit { minutes: minutes.clone(), ..empty(sequence) }).unwrap();
    }
    let mut found = Vec::new();
    let window = Window { start: at(0), end: Some(at(120)) };
    let mut each = |row: MinuteRow<'_>| {
        found.push((row.minute, row.ending.to_owned(), row.requests, row.units));
    };
    store.minutes_of("acme", window, &mut each).unwrap();
    let expected = [(at(0), "failed".to_owned(), 2, 10), (at(60), "completed".to_owned(), 2, 10)];
    assert_eq!(found, expected);
}

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
