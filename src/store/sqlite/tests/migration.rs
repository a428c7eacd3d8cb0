//! From every version to this one.

use super::*;
use crate::store::sqlite::open::{MIGRATIONS, VERSION};

/// The schema as version 0.1.0 was released with.
const RELEASED: &str = r#"
CREATE TABLE usage (
    customer     TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    quota        TEXT    NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER,
    used         INTEGER NOT NULL,
    PRIMARY KEY (customer, scope, quota, window_start)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_minutes (
    customer TEXT    NOT NULL,
    minute   INTEGER NOT NULL,
    key_id   TEXT    NOT NULL,
    route    TEXT    NOT NULL,
    ending   TEXT    NOT NULL,
    requests INTEGER NOT NULL,
    units    INTEGER NOT NULL,
    PRIMARY KEY (customer, minute, key_id, route, ending)
) STRICT, WITHOUT ROWID;
CREATE TABLE open_reservations (
    node       TEXT    NOT NULL,
    worker     INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    request_id TEXT    NOT NULL,
    customer   TEXT    NOT NULL,
    definition BLOB    NOT NULL,
    cost       INTEGER NOT NULL,
    opened_at  INTEGER NOT NULL,
    PRIMARY KEY (node, worker, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE positions (
    node     TEXT    NOT NULL,
    worker   INTEGER NOT NULL,
    segment  INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    latest   INTEGER NOT NULL,
    PRIMARY KEY (node, worker)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = 1717662309;
PRAGMA user_version = 1;
"#;

const ROWS: &str = "
INSERT INTO usage VALUES ('acme', '', 'day', 0, 10000, 7), ('acme', 'key/k', 'ever', 0, NULL, 8);
INSERT INTO usage_minutes VALUES
    ('acme', -60000, 'k', 'r', 'completed', 1, 2), ('acme', 60000, 'k', 'r', 'completed', 3, 9),
    ('acme', 60000, 'k', 'r', 'failed', 1, 0), ('acme', 7200000, 'j', 's', 'completed', 5, 6),
    ('other', 60000, 'l', 'r', 'completed', 7, 8);
INSERT INTO open_reservations VALUES
    ('00000000-0000-0000-0000-000000000005', 1, 4, '', 'acme', x'00', 3, 7000);
INSERT INTO positions VALUES ('00000000-0000-0000-0000-000000000005', 1, 2, 64, 5, 5000);
";

fn version_1(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.execute_batch(RELEASED).unwrap();
    connection.execute_batch(ROWS).unwrap();
    connection
}

fn schema(path: &Path) -> Vec<(String, Option<String>)> {
    let connection = Connection::open(path).unwrap();
    let mut statement =
        connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The minutes of a customer, with requests and units.
fn minutes(store: &Sqlite, customer: &str) -> Vec<(i64, u64, u64)> {
    let mut found = Vec::new();
    let ever = Window { start: Timestamp::MIN, end: None };
    let mut each = |row: MinuteRow<'_>| {
        found.push((row.minute.as_second(), row.requests, row.units));
    };
    store.minutes_of(customer, ever, &mut each).unwrap();
    found
}

#[test]
fn a_released_database_is_brought_up_to_date_with_its_usage() {
    let temp = tempfile::tempdir().unwrap();
    let old = temp.path().join("old.db");
    drop(version_1(&old));
    let error = Sqlite::open_to_read(&old).unwrap_err();
    assert!(matches!(error, OpenError::Older { found: 1, .. }), "{error}");

    let mut store = Sqlite::open(&old).unwrap();
    assert_eq!(loaded(&store, 0).into_values().map(|(_, used)| used).sum::<u64>(), 15);
    assert_eq!(minutes(&store, "acme"), [(-60, 1, 2), (60, 3, 9), (60, 1, 0), (7200, 5, 6)]);
    assert_eq!(minutes(&store, "other"), [(60, 7, 8)]);
    assert_eq!(store.open_reservations(node()).unwrap().len(), 1);
    assert_eq!(store.positions(node()).unwrap()[0].sequence, 5);
    assert_eq!(store.latest_time().unwrap(), Some(at(5)));
    store.put(&Commit { usage: vec![row("day", 0, Some(10), 1)], ..empty(6) }).unwrap();
    assert_eq!(loaded(&store, 0)[&("day".into(), at(0))].1, 8);
    drop(store);
    // What came by migration is what a new database has.
    let new = temp.path().join("new.db");
    drop(Sqlite::open(&new).unwrap());
    assert_eq!(schema(&old), schema(&new));
    Sqlite::open_to_read(&old).unwrap();
}

/// Several keys, routes and endings of each, and hours apart.
const NAMED: &str = "
INSERT INTO usage VALUES ('b', '', 'day', 0, 10000, 7), ('a', 'key/k', 'ever', 0, NULL, 8),
    ('a', '', 'ever', 0, NULL, 9);
INSERT INTO usage_minutes VALUES
    (-60000, 'b', 'k', 'r', 'completed', 1, 2), (60000, 'a', 'k', 'r', 'failed', 3, 0),
    (60000, 'a', 'j', 's', 'completed', 4, 5), (60000, 'b', 'j', 's', 'completed', 6, 7),
    (7200000, 'a', 'j', 's', 'completed', 8, 9), (7200000, 'b', 'k', 'r', 'completed', 10, 11);
INSERT INTO usage_hours VALUES ('a', 0), ('a', 7200000), ('b', -3600000), ('b', 0), ('b', 7200000);
INSERT INTO key_uses VALUES ('k', 60000), ('without minutes', 7260000);
PRAGMA application_id = 1717662309;
PRAGMA user_version = 3;
";

#[test]
fn usage_by_name_is_given_numbers_and_last_uses_are_found() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("named.db");
    let connection = Connection::open(&path).unwrap();
    for sql in MIGRATIONS.iter().take(3).chain([&NAMED]) {
        connection.execute_batch(sql).unwrap();
    }
    drop(connection);
    let mut store = Sqlite::open(&path).unwrap();
    let used = |store: &Sqlite, customer: &str| {
        let mut found = Vec::new();
        let mut each = |row: UsageRow<'_>| found.push((row.scope.to_owned(), row.used));
        store.usage_of(customer, &mut each).unwrap();
        found
    };
    assert_eq!(used(&store, "a"), [(String::new(), 9), ("key/k".into(), 8)]);
    assert_eq!(used(&store, "b"), [(String::new(), 7)]);
    assert_eq!(minutes(&store, "a"), [(60, 4, 5), (60, 3, 0), (7200, 8, 9)]);
    assert_eq!(minutes(&store, "b"), [(-60, 1, 2), (60, 6, 7), (7200, 10, 11)]);
    let reads = store.reads();
    assert_eq!(reads.last_used("a", "k").unwrap(), Some(at(60)));
    assert_eq!(reads.last_used("a", "without minutes").unwrap(), Some(at(7200)));
    drop(reads);
    // What comes now is added to what was there.
    let more = MinuteRow {
        customer: "a",
        key_id: "j",
        route: "s",
        minute: at(7200),
        ending: "completed",
        requests: 1,
        currency: None,
        nanos: crate::model::Nanos::ZERO,
        units: 1,
    };
    let usage = vec![UsageRow { customer: "a", ..row("ever", 0, None, 1) }];
    store.put(&Commit { usage, minutes: vec![more], ..empty(1) }).unwrap();
    assert_eq!(used(&store, "a")[0].1, 10);
    assert_eq!(minutes(&store, "a"), [(60, 4, 5), (60, 3, 0), (7200, 9, 10)]);
    drop(store);
    let new = temp.path().join("new.db");
    drop(Sqlite::open(&new).unwrap());
    assert_eq!(schema(&path), schema(&new));
}

#[test]
fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("old.db");
    let connection = version_1(&path);
    // The last table of the migration is there already.
    connection.execute_batch("CREATE TABLE thresholds (a)").unwrap();
    let before = schema(&path);
    Sqlite::open(&path).unwrap_err();
    assert_eq!(schema(&path), before);
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
    connection.execute_batch("DROP TABLE thresholds").unwrap();
    Sqlite::open(&path).unwrap();
}

#[test]
fn every_file_is_a_version() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite/migrations");
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(i64::try_from(files.len()).unwrap(), VERSION);
    for (number, (file, migration)) in files.iter().zip(MIGRATIONS).enumerate() {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("{:04}_", number + 1)), "{name}");
        assert_eq!(fs::read_to_string(file).unwrap(), migration, "{name}");
    }
}
