//! A store is copied from SQLite to PostgreSQL: all of it, once, however often it is broken off.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{
    relay::{Mode, Relay},
    *,
};
use crate::store::{
    copy::TABLES,
    sql::{self, Amount, Value, params},
};

/// Tables of SQLite alone: where to find rows that PostgreSQL finds by an index.
const SQLITE_ALONE: [&str; 2] = ["entry_hours", "usage_hours"];

/// Tables of PostgreSQL alone: versions and what nodes say of themselves, nothing that a store with one node has.
const POSTGRES_ALONE: [&str; 8] =
    ["change_head", "changes", "faregate", "lead", "leases", "node_usage", "nodes", "pools"];

/// Columns of SQLite alone: where rows of one customer lie together.
const COLUMNS_OF_SQLITE: [(&str, &str); 2] =
    [("usage_minutes", "place"), ("usage_series", "place")];

/// Columns that SQLite finds elsewhere.
const COLUMNS_OF_POSTGRES: [(&str, &str); 1] = [("ledger", "entered")];

/// A row or more of each table, with what is hard to write: U+0000 and U+0001, nothing, bytes, negative numbers and
/// the ends of their range. It adds up.
const ROWS: &str = r#"
INSERT INTO customers VALUES
    ('acme', 'Acme' || char(0) || char(1) || 'é', '{"a":"b"}', 0, NULL, NULL, NULL, NULL, 1, 2, '50.00 USD'),
    ('b', NULL, NULL, 1, '{}', 'https://b.example', 'secret', 'why', 3, 4, NULL);
INSERT INTO subscriptions VALUES
    ('acme', 'pro', 'active', 5, NULL, 6, NULL, NULL, 7, 8, 0, 9, '{}', NULL, '{}'),
    ('b', 'pro', 'paused', NULL, 1, NULL, 2, 3, NULL, NULL, 1, NULL, NULL, 4, NULL);
INSERT INTO applications VALUES ('acme', 'mobile', NULL, 1), ('acme', 'web', '{}', -1);
INSERT INTO keys VALUES
    ('k1', 'acme', NULL, NULL, x'0001ff', NULL, NULL, NULL, NULL, NULL, 'active', NULL, NULL, 'k1', NULL, 1),
    ('k2', 'b', 'web', 'n', x'', 'h', 'live', '["a"]', '[]', 9, 'revoked', 8, 'k3', 'k1', '{}', 2);
INSERT INTO key_hours VALUES ('k1', 3600000), ('k2', -3600000);
INSERT INTO pseudonyms VALUES ('gone', 'deleted-1');
INSERT INTO settings VALUES ('enforcement', '{}');
INSERT INTO idempotency VALUES (x'00', x'01', 201, '{}', 5);
INSERT INTO audit VALUES (41, 1, 'admin', 'customer.create', 'acme', 'acme', NULL, '{}'), (43, 2, 'x', 'y', NULL, 'z', '{}', NULL);
INSERT INTO adjustments VALUES (3, 'adj_1', 1, 'acme', '', 'month', 0, NULL, -5, 7, 'a gift', 'admin');
INSERT INTO outbox (id, endpoint, customer, kind, body, at, state, attempts) VALUES
    ('evt_1', '', 'acme', 'k', '{}', 1, 'pending', 0), ('evt_2', 'e', 'acme', 'k', '{}', 1, 'pending', 0);
DELETE FROM outbox WHERE id = 'evt_2';
INSERT INTO thresholds VALUES ('acme', '', 'month', 0, 10, 80, 100), ('acme', '', 'ever', 0, NULL, 80, 100);
INSERT INTO positions VALUES ('00000000-0000-0000-0000-000000000005', 1, 2, 64, 5, 5000),
    ('00000000-0000-0000-0000-000000000005', 2, 1, 0, 0, 0);
INSERT INTO open_reservations VALUES ('00000000-0000-0000-0000-000000000005', 1, 4, '', 'acme', x'00ff', 3, 7000, 9);
INSERT INTO usage VALUES (7, 'acme', '', 'month', 0, 10, 12), (9, 'acme', 'key/k1', 'ever', -62135596800000, NULL, 3);
INSERT INTO usage_series VALUES (1, 1, 'acme', 'k1', 'r', 'completed', ''), (2, 1, 'acme', 'k1', 'r', 'completed', 'USD');
INSERT INTO usage_minutes VALUES (-60000, 1, 1, 1, 2, 0), (60000, 1, 1, 3, 4, 0), (60000, 1, 2, 5, 0, 9223372036854775807);
INSERT INTO usage_hours VALUES ('acme', -3600000, 1), ('acme', 0, 1);
INSERT INTO purses VALUES (4, 'acme', 'USD', 25);
INSERT INTO grants VALUES (6, 'grant_1', 4, 1000, 900, 0, 'purchase', 0, NULL, NULL, 'admin', 1);
INSERT INTO payments VALUES
    (3, x'03', 'p' || char(1), 'x402', 'acme', '0x1', 'r', 'q', 7, 'USD', 'n', '9', 's', 'settled', 5, 1, 2, NULL, '0x2', NULL, 7, 3, 'i', 'k'),
    (5, x'05', 'q', 'x402', '0x1', '0x1', 'r', 'q', 7, 'USD', 'n', '9', NULL, 'unknown', 3, 1, 2, 9, NULL, 'why', 0, NULL, NULL, NULL);
INSERT INTO payment_tasks VALUES (3, '{}'), (5, '[' || char(10) || ']');
INSERT INTO paid_answers VALUES (700, 3, 9, x'00', 200, x'41', NULL, x'00ff'), (1300, 5, 10, x'01', 204, x'', 5, x'');
INSERT INTO names VALUES (1, 'r'), (2, 's');
INSERT INTO consumption VALUES (180000, 0, 7, 0, 1, 2, 2), (180000, 1, 4, 6, 1, 1, 60), (180000, 1, 4, 0, 1, 1, 25);
INSERT INTO entries VALUES (120000, 0, 7, 1, 'consumed', 0, 60000, 1, 2, 9, 10, NULL),
    (120000, 1, 4, 2, 'granted', 6, NULL, NULL, NULL, 1000, 1000, 'grant_1'),
    (180000, 1, 4, 3, 'consumed', 6, 120000, 1, 1, -40, 960, NULL),
    (180000, 0, 9, 4, 'consumed', 0, 120000, 2, 1, 3, 3, NULL),
    (180000, 2, 3, 5, 'paid', 0, NULL, NULL, NULL, 7, 7, '0x2');
INSERT INTO carried VALUES (0, 7, 0, 1);
UPDATE ledger SET number = 5, carried = 60000;
"#;

fn source() -> (TempSource, Sqlite) {
    let temp = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&temp.path().join("faregate.db")).unwrap();
    let source = TempSource(temp);
    source.by_hand(ROWS);
    (source, store)
}

struct TempSource(tempfile::TempDir);

impl TempSource {
    fn by_hand(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.0.path().join("faregate.db")).unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

/// A schema without tables.
struct Schema(String);

impl Schema {
    fn new() -> Self {
        let name = format!("copy_{}", Uuid::now_v7().simple());
        Postgres::run_by_hand(postgres::server("public"), &format!("CREATE SCHEMA {name}"))
            .unwrap();
        Self(name)
    }

    fn server(&self) -> Server {
        postgres::server(&self.0)
    }

    fn by_hand(&self, sql: &str) {
        Postgres::run_by_hand(self.server(), sql).unwrap();
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.0);
        let _ = Postgres::run_by_hand(postgres::server("public"), &drop);
    }
}

/// Watches nothing, or breaks off when so much was told.
struct Watch {
    told: usize,
    until: usize,
}

fn nobody() -> Watch {
    Watch { told: 0, until: usize::MAX }
}

impl Watcher for Watch {
    fn begin(&mut self, _: CopyStep, _: Option<u64>, _: u64) {
        self.moved(0);
    }

    fn moved(&mut self, _: u64) {
        self.told += 1;
        assert!(self.told < self.until, "broken off on purpose");
    }
}

fn copied(store: &Sqlite, server: Server, watcher: &mut dyn Watcher) -> Result<Copied, CopyError> {
    copy(store, Destination::find(server)?, watcher)
}

/// All rows, as texts, in the order of the texts.
fn rows(database: &dyn sql::Database, sql: &str, columns: usize) -> Vec<String> {
    let mut found = Vec::new();
    database
        .each(sql, params![], Amount::Few, &mut |row| {
            let values: Vec<_> = (0..columns)
                .map(|at| match row.column(at).unwrap() {
                    Value::Bool(truth) => Value::Integer(truth.into()),
                    other => other,
                })
                .collect();
            found.push(format!("{values:?}"));
            Ok(true)
        })
        .unwrap();
    found.sort();
    found
}

fn assert_same(store: &Sqlite, copy: &Postgres) {
    for table in &TABLES {
        let list = format!("SELECT {} FROM \"{}\"", table.list(), table.name);
        let here = match table.name {
            // The minute of the last entry.
            "ledger" => "SELECT number, 180000, carried FROM ledger",
            _ => &list,
        };
        let columns = table.width();
        let here = rows(store.database(), here, columns);
        assert!(!here.is_empty(), "no row of {} is tested", table.name);
        assert_eq!(here, rows(copy.database(), &list, columns), "{}", table.name);
    }
}

#[test]
fn every_table_and_column_is_copied() {
    let place = postgres::Place::new();
    let sql = "SELECT t.table_name::text, c.column_name::text FROM information_schema.tables AS t
        JOIN information_schema.columns AS c USING (table_schema, table_name)
        WHERE t.table_schema = current_schema() AND t.table_type = 'BASE TABLE'";
    let there = catalogue(place.store.database(), sql);
    let (_, store) = source();
    let sql = "SELECT t.name, c.name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'";
    let here = catalogue(store.database(), sql);
    let known = |alone: &[&'static str]| -> BTreeSet<&str> {
        TABLES.iter().map(|table| table.name).chain(alone.iter().copied()).collect()
    };
    let names = |found: &BTreeMap<String, BTreeSet<String>>| -> BTreeSet<String> {
        found.keys().cloned().collect()
    };
    let advice = "a table that both stores have goes into src/store/copy/tables.rs, others into the lists above";
    assert!(names(&here).iter().eq(known(&SQLITE_ALONE)), "{advice}: {:?}", names(&here));
    assert!(names(&there).iter().eq(known(&POSTGRES_ALONE)), "{advice}: {:?}", names(&there));
    for table in &TABLES {
        let of = |alone: &[(&'static str, &'static str)]| -> BTreeSet<String> {
            let of_table = alone.iter().filter(|(name, _)| *name == table.name);
            of_table.map(|(_, column)| (*column).to_owned()).collect()
        };
        let copied: BTreeSet<_> = table.columns().map(str::to_owned).collect();
        assert_eq!(copied, there[table.name], "columns of {} in PostgreSQL", table.name);
        let copied = &(&copied - &of(&COLUMNS_OF_POSTGRES)) | &of(&COLUMNS_OF_SQLITE);
        assert_eq!(copied, here[table.name], "columns of {} in SQLite", table.name);
    }
}

/// Gives the columns of tables.
fn catalogue(database: &dyn sql::Database, sql: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    database
        .each(sql, params![], Amount::Few, &mut |row| {
            let text = |at| match row.column(at).unwrap() {
                Value::Text(text) => text.into_owned(),
                other => panic!("{other:?}"),
            };
            found.entry(text(0)).or_default().insert(text(1));
            Ok(true)
        })
        .unwrap();
    found
}

#[test]
fn a_copy_is_the_same_to_the_row_and_numbers_go_on() {
    let (_temp, store) = source();
    let schema = Schema::new();
    let copied = copied(&store, schema.server(), &mut nobody()).unwrap();
    assert_eq!((copied.earlier, copied.was_done, copied.verified.differences), (0, false, 0));
    assert_eq!(copied.tables.len(), TABLES.len());
    let target = Postgres::open(schema.server()).unwrap();
    assert_same(&store, &target);
    assert_eq!(target.reads().customer("acme").unwrap(), store.reads().customer("acme").unwrap());
    assert_eq!(target.positions(node()).unwrap(), store.positions(node()).unwrap());
    assert_eq!(target.open_reservations(node()).unwrap(), store.open_reservations(node()).unwrap());
    assert_eq!(target.latest_time().unwrap(), Some(at(5)));
    // Each fails by a division by zero where the number is another.
    for (insert, table, column, number) in [
        ("(at, actor, action, subject) VALUES (1, '', '', '')", "audit", "number", 44),
        (
            "(id, at, customer, scope, quota, window_start, amount, used, reason, actor)
                VALUES ('', 1, '', '', '', 1, 1, 1, '', '')",
            "adjustments",
            "number",
            4,
        ),
        // Behind one that is gone.
        (
            "(id, endpoint, customer, kind, body, at, state, attempts) VALUES ('', '', '', '', '', 1, '', 1)",
            "outbox",
            "sequence",
            3,
        ),
        (
            "(customer, scope, quota, window_start, used) VALUES ('', '', '', 1, 1)",
            "usage",
            "id",
            10,
        ),
        (
            "(customer, key_id, route, ending, currency) VALUES ('', '', '', '', '')",
            "usage_series",
            "id",
            3,
        ),
        ("(customer, currency, owed) VALUES ('', '', 1)", "purses", "id", 5),
        (
            "(id, purse, amount, \"left\", priority, source, effective, actor, created_at)
                VALUES ('', 1, 1, 1, 1, '', 1, '', 1)",
            "grants",
            "number",
            7,
        ),
        ("(name) VALUES ('')", "names", "id", 3),
    ] {
        let sql = format!(
            "INSERT INTO {table} {insert}; SELECT 1 / (max({column}) = {number})::int FROM {table}"
        );
        schema.by_hand(&sql);
    }
    // The triggers are there.
    Postgres::run_by_hand(schema.server(), "DELETE FROM audit").unwrap_err();
}

#[test]
fn a_copy_that_was_broken_off_anywhere_goes_on() {
    let (_temp, store) = source();
    let mut until = 1;
    let mut places = BTreeSet::new();
    loop {
        let schema = Schema::new();
        let mut watch = Watch { told: 0, until };
        let first = catch_unwind(AssertUnwindSafe(|| copied(&store, schema.server(), &mut watch)));
        let Err(_) = first else { break };
        // Until it is done nobody takes it for a store.
        let unfinished = Postgres::open(schema.server());
        if let Err(error) = unfinished {
            assert!(matches!(error, PostgresError::Unfinished { .. }), "{error}");
            assert!(error.to_string().contains("faregate store copy"), "{error}");
            let copied = copied(&store, schema.server(), &mut nobody()).unwrap();
            places.insert(copied.earlier);
            assert_same(&store, &Postgres::open(schema.server()).unwrap());
        } else {
            assert!(places.is_empty(), "nothing was begun only before the copy");
        }
        until += 1;
    }
    assert!(places.len() > TABLES.len(), "{places:?}");
}

#[test]
fn copying_again_changes_nothing() {
    let (temp, store) = source();
    let schema = Schema::new();
    let first = copied(&store, schema.server(), &mut nobody()).unwrap();
    let again = copied(&store, schema.server(), &mut nobody()).unwrap();
    assert!(again.was_done);
    assert_eq!((again.tables, again.verified), (first.tables, first.verified));
    // A store that went on is another one.
    temp.by_hand("INSERT INTO settings VALUES ('a', 'b')");
    let error = copied(&store, schema.server(), &mut nobody()).unwrap_err();
    assert!(matches!(error, CopyError::Target(PostgresError::HasStore { .. })), "{error}");
    assert_eq!(
        rows(Postgres::open(schema.server()).unwrap().database(), "SELECT name FROM settings", 1)
            .len(),
        1
    );
}

#[test]
fn a_part_of_another_copy_is_left_as_it_is() {
    let (temp, store) = source();
    let schema = Schema::new();
    let mut watch = Watch { told: 0, until: 40 };
    catch_unwind(AssertUnwindSafe(|| copied(&store, schema.server(), &mut watch))).unwrap_err();
    temp.by_hand("INSERT INTO settings VALUES ('a', 'b')");
    let error = copied(&store, schema.server(), &mut nobody()).unwrap_err();
    assert!(matches!(error, CopyError::Target(PostgresError::OtherCopy { .. })), "{error}");
    assert!(error.to_string().contains("createdb"), "{error}");
    temp.by_hand("DELETE FROM settings WHERE name = 'a'");
    copied(&store, schema.server(), &mut nobody()).unwrap();
}

#[test]
fn a_store_that_is_there_and_tables_of_others_are_left_as_they_are() {
    let (_temp, store) = source();
    let mut place = postgres::Place::new();
    place.write(|records| records.put_customer(&customer("mine"))).unwrap();
    let error = copied(&store, postgres::server(place.name()), &mut nobody()).unwrap_err();
    assert!(matches!(error, CopyError::Target(PostgresError::HasStore { .. })), "{error}");
    assert!(place.store.reads().customer("mine").unwrap().is_some());
    assert!(place.store.reads().customer("acme").unwrap().is_none());
    let schema = Schema::new();
    schema.by_hand("CREATE TABLE theirs (a INT)");
    let error = copied(&store, schema.server(), &mut nobody()).unwrap_err();
    assert!(matches!(error, CopyError::Target(PostgresError::Foreign { .. })), "{error}");
}

#[test]
fn books_that_do_not_add_up_are_not_copied() {
    let (temp, store) = source();
    temp.by_hand("UPDATE usage SET used = used + 1 WHERE id = 7");
    let schema = Schema::new();
    let error = copied(&store, schema.server(), &mut nobody()).unwrap_err();
    let CopyError::Unbalanced { end, differences: 1, customer, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((*end, &**customer), ("the store", "acme"));
    // Nothing was begun there.
    Postgres::open(schema.server()).unwrap();
}

#[test]
fn what_changed_on_the_way_is_told() {
    let (_temp, store) = source();
    // Somebody writes behind a part of the copy.
    for (sql, table) in [
        ("UPDATE customers SET name = 'Other' WHERE id = 'acme'", "customers"),
        ("DELETE FROM customers WHERE id = 'b'", "customers"),
        ("INSERT INTO settings VALUES ('a', 'b')", "settings"),
    ] {
        let schema = Schema::new();
        let mut watch = Watch { told: 0, until: 40 };
        catch_unwind(AssertUnwindSafe(|| copied(&store, schema.server(), &mut watch))).unwrap_err();
        schema.by_hand(sql);
        let error = copied(&store, schema.server(), &mut nobody()).unwrap_err();
        assert!(
            matches!(&error, CopyError::Differs { table: found, .. } if *found == table),
            "{error}"
        );
        // It is no store still.
        assert!(matches!(Postgres::open(schema.server()), Err(PostgresError::Unfinished { .. })));
    }
}

/// Of two that copy at once one goes on.
#[test]
fn nobody_writes_beside_a_copy() {
    let (_temp, store) = source();
    let schema = Schema::new();
    struct Beside<'a>(&'a Schema, bool);
    impl Watcher for Beside<'_> {
        fn begin(&mut self, step: CopyStep, _: Option<u64>, _: u64) {
            self.1 |= step == CopyStep::Copying;
        }

        fn moved(&mut self, _: u64) {
            if std::mem::take(&mut self.1) {
                self.0.by_hand("UPDATE copy_of SET rows = rows + 1");
            }
        }
    }
    let error = copied(&store, schema.server(), &mut Beside(&schema, false)).unwrap_err();
    assert!(matches!(error, CopyError::Taken), "{error}");
}

#[test]
fn a_server_that_goes_away_is_told_and_the_copy_goes_on() {
    let (_temp, store) = source();
    let schema = Schema::new();
    let url = postgres::url();
    let (_, rest) = url.split_once('@').unwrap();
    let (address, _) = rest.split_once('/').unwrap();
    let relay = Relay::start(address.parse().unwrap());
    let url = url.replace(address, &relay.address.to_string());
    let url = format!("{url}?options=-csearch_path%3D{}", schema.0);
    let server = || Server::parse(&url, std::path::Path::new("/")).unwrap();
    struct Cut<'a>(&'a Relay, usize);
    impl Watcher for Cut<'_> {
        fn begin(&mut self, _: CopyStep, _: Option<u64>, _: u64) {}

        fn moved(&mut self, _: u64) {
            self.1 += 1;
            if self.1 == 40 {
                self.0.set(Mode::Down);
            }
        }
    }
    let error = copied(&store, server(), &mut Cut(&relay, 0)).unwrap_err();
    assert!(matches!(error, CopyError::Table { .. }), "{error}");
    assert!(error.to_string().contains("goes on where this ended"), "{error}");
    relay.set(Mode::Pass);
    let copied = copied(&store, server(), &mut nobody()).unwrap();
    assert!(copied.earlier > 0);
    assert_same(&store, &Postgres::open(schema.server()).unwrap());
}
