//! A server, or a network before it, that fails: nothing is lost, nothing counts twice, and what is not known is
//! found out.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::{
    postgres::{Place, server, url},
    relay::{Mode, Relay},
    *,
};

/// A place that is reached by a relay.
struct Scene {
    place: Place,
    relay: Relay,
    store: Postgres,
}

/// Gives where the tests' server is.
fn address() -> SocketAddr {
    let url = url();
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.parse().unwrap()
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let relay = Relay::start(address());
        let store = Postgres::open(Self::server(&place, &relay)).unwrap();
        Self { place, relay, store }
    }

    fn server(place: &Place, relay: &Relay) -> Server {
        let url = url().replace(&address().to_string(), &relay.address.to_string());
        let url = format!("{url}?options=-csearch_path%3D{}", place.name());
        Server::parse(&url, std::path::Path::new("/")).unwrap()
    }

    fn used(&self) -> Vec<u64> {
        loaded(&self.place.store, 0).into_values().map(|(_, used)| used).collect()
    }

    /// Writes a setting in a transaction of its own.
    fn put_setting(&mut self, value: &str) -> Result<(), StoreError> {
        let mut is_done = false;
        self.store.transact(&mut |records| {
            if mem::replace(&mut is_done, true) {
                return Verdict::Done;
            }
            match records.put_setting("a", value) {
                Ok(()) => Verdict::Keep,
                Err(_) => Verdict::Undo,
            }
        })
    }

    fn setting(&self) -> Option<String> {
        self.place.store.reads().setting("a").unwrap()
    }
}

fn fold(sequence: u64) -> Commit<'static> {
    Commit { usage: vec![row("q", 0, None, 3)], ..empty(sequence) }
}

#[test]
fn a_fold_whose_commit_arrived_without_an_answer_counts_once() {
    let mut scene = Scene::new();
    scene.store.put(&fold(1)).unwrap();
    scene.relay.set(Mode::LoseAnswerToCommit);
    let error = scene.store.put(&fold(2)).unwrap_err();
    assert!(told(&error).contains("the connection ended"), "{}", told(&error));
    let began = Instant::now();
    while scene.used() != [6] {
        assert!(began.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(5));
    }
    // While it is away, and when it is back.
    scene.relay.set(Mode::Down);
    scene.store.put(&fold(2)).unwrap_err();
    scene.relay.set(Mode::Pass);
    scene.store.put(&fold(2)).unwrap();
    assert_eq!(scene.used(), [6]);
    // It was known once; what comes behind it is another.
    scene.store.put(&fold(2)).unwrap_err();
    scene.store.put(&fold(3)).unwrap();
    assert_eq!(scene.used(), [9]);
}

#[test]
fn a_fold_whose_commit_did_not_arrive_is_made_with_the_next_attempt() {
    let mut scene = Scene::new();
    scene.relay.set(Mode::CutBeforeCommit);
    scene.store.put(&fold(1)).unwrap_err();
    assert!(scene.used().is_empty());
    scene.relay.set(Mode::Pass);
    scene.store.put(&fold(1)).unwrap();
    assert_eq!(scene.used(), [3]);
}

#[test]
fn what_became_of_changes_is_found_out() {
    let mut scene = Scene::new();
    scene.put_setting("1").unwrap();
    scene.relay.set(Mode::LoseAnswerToCommit);
    scene.put_setting("2").unwrap();
    assert_eq!(scene.setting().as_deref(), Some("2"));
    scene.relay.set(Mode::CutBeforeCommit);
    scene.put_setting("3").unwrap_err();
    assert_eq!(scene.setting().as_deref(), Some("2"));
    scene.relay.set(Mode::Pass);
    scene.put_setting("4").unwrap();
    assert_eq!(scene.setting().as_deref(), Some("4"));
}

#[test]
fn a_server_that_is_frozen_is_given_up_in_time_and_its_late_answers_are_nobodys() {
    let mut scene = Scene::new();
    scene.put_setting("1").unwrap();
    let reader = scene.store.reader().unwrap();
    assert_eq!(reader.setting("a").unwrap().as_deref(), Some("1"));
    scene.relay.set(Mode::Frozen);
    let began = Instant::now();
    let error = reader.setting("a").unwrap_err();
    assert!(told(&error).contains("no answer within 3 s"), "{}", told(&error));
    let error = scene.store.put(&fold(1)).unwrap_err();
    assert!(told(&error).contains("no answer within"), "{}", told(&error));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    scene.relay.set(Mode::Pass);
    scene.put_setting("2").unwrap();
    assert_eq!(reader.setting("a").unwrap().as_deref(), Some("2"));
    assert_eq!(reader.setting("b").unwrap(), None);
    scene.store.put(&fold(1)).unwrap();
    assert_eq!(scene.used(), [3]);
}

#[test]
fn a_connection_that_ended_while_it_was_idle_is_made_anew() {
    let mut scene = Scene::new();
    let reader = scene.store.reader().unwrap();
    assert_eq!(reader.setting("a").unwrap(), None);
    scene.relay.set(Mode::Down);
    let error = reader.setting("a").unwrap_err();
    assert!(told(&error).contains("see that it runs"), "{}", told(&error));
    scene.relay.set(Mode::Pass);
    reader.setting("a").unwrap();
    // Now it ends and is there again before somebody notices.
    scene.relay.set(Mode::Down);
    scene.relay.set(Mode::Pass);
    scene.put_setting("1").unwrap();
    assert_eq!(reader.setting("a").unwrap().as_deref(), Some("1"));
    let count =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()
        AND application_name = 'idle test'";
    let url = format!(
        "{}?application_name=idle%20test&options=-csearch_path%3D{}",
        url(),
        scene.place.name()
    );
    let mut own = Postgres::open(Server::parse(&url, std::path::Path::new("/")).unwrap()).unwrap();
    Postgres::run_by_hand(server("public"), count).unwrap();
    own.put(&fold(1)).unwrap();
}

#[test]
fn a_statement_that_failed_and_that_nobody_minded_writes_nothing() {
    let mut place = Place::new();
    place.by_hand("ALTER TABLE settings ADD CHECK (name <> '2')").unwrap();
    let mut number = 0;
    let result = place.store.transact(&mut |records| {
        number += 1;
        let written = records.put_setting(&number.to_string(), "x");
        assert_eq!(written.is_err(), number == 2);
        if number > 2 { Verdict::Done } else { Verdict::Keep }
    });
    result.unwrap_err();
    assert_eq!(place.store.reads().setting("1").unwrap(), None);
    // A fold goes on without it.
    let mut after = |records: &mut dyn Records| {
        records.put_setting("1", "x")?;
        let _ = records.put_setting("2", "x");
        Ok(())
    };
    place.store.commit(&fold(1), &mut after).unwrap();
    assert_eq!(place.store.reads().setting("1").unwrap(), None);
    assert_eq!(loaded(&place.store, 0).len(), 1);
}

#[test]
fn nodes_that_start_at_once_make_the_tables_once() {
    let place = Place::new();
    let name = format!("{}_new", place.name());
    Postgres::run_by_hand(server("public"), &format!("CREATE SCHEMA {name}")).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| Postgres::open(server(&name)).unwrap());
        }
    });
    Postgres::run_by_hand(server("public"), &format!("DROP SCHEMA {name} CASCADE")).unwrap();
}

#[test]
fn databases_of_others_and_of_newer_programs_are_refused_and_left_as_they_are() {
    let place = Place::new();
    place.by_hand("UPDATE faregate SET version = 99").unwrap();
    let error = Postgres::open(server(place.name())).unwrap_err();
    assert!(matches!(error, PostgresError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("schema version 99"), "{error}");

    place.by_hand("DROP TABLE faregate").unwrap();
    let error = Postgres::open(server(place.name())).unwrap_err();
    assert!(matches!(error, PostgresError::Foreign { .. }), "{error}");
    place.by_hand("CREATE TABLE faregate (version BIGINT)").unwrap();

    let error = Postgres::open(server("no_such_schema")).unwrap_err();
    assert!(error.to_string().contains("names no schema"), "{error}");
}

#[test]
fn errors_name_the_server_and_never_the_password() {
    let address = address().to_string();
    for (url, word) in [
        (url().replace("not-to-be-told", "also-not-to-be-told"), "see user and password"),
        (url().replace("/postgres", "/nowhere").replace("postgres:/n", "postgres://n"), "createdb"),
        (url().replace(&address, "127.0.0.1:1"), "see that it runs"),
    ] {
        let error = Postgres::open(Server::parse(&url, std::path::Path::new("/")).unwrap());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(word), "{url}: {error}");
        assert!(error.contains("PostgreSQL at 127.0.0.1:"), "{error}");
        assert!(!error.contains("to-be-told"), "{error}");
    }
}

#[test]
fn tls_is_verified() {
    let open = |options: &str| {
        let url = format!("{}?{options}", url());
        let server = Server::parse(&url, std::path::Path::new("/")).unwrap();
        // It fails behind the handshake, for the schema is that of others.
        Postgres::open(server).map(drop).unwrap_err().to_string()
    };
    let file = std::env::var("FAREGATE_TEST_POSTGRES_CERTIFICATE").unwrap();
    let nowhere = "options=-csearch_path%3Dnowhere";
    let error = open(&format!("sslmode=verify-full&sslrootcert={file}&{nowhere}"));
    assert!(error.contains("names no schema"), "{error}");
    // The system knows nothing of it.
    let error = open(&format!("sslmode=verify-full&{nowhere}"));
    assert!(error.contains("TLS") && error.contains("certificate"), "{error}");
}

#[test]
fn what_is_only_appended_to_cannot_be_emptied() {
    let place = Place::new();
    for table in ["audit", "adjustments", "entries", "grants"] {
        let error = place.by_hand(&format!("TRUNCATE {table}")).unwrap_err();
        assert!(error.contains("only appended to"), "{table}: {error}");
    }
}

#[test]
fn copies_are_made_by_other_means_and_usage_of_many_is_loaded_in_pieces() {
    let mut place = Place::new();
    let error = place.store.reader().unwrap().backup(std::path::Path::new("copy.db")).unwrap_err();
    assert!(told(&error).contains("pg_dump"), "{}", told(&error));
    let quotas: Vec<_> = (0..2500).map(|number| number.to_string()).collect();
    let window = Window { start: at(0), end: None };
    let row = |quota| UsageRow { customer: "acme", scope: "", quota, window, used: 1 };
    let usage = quotas.iter().map(|quota| row(quota.as_str())).collect();
    place.store.put(&Commit { usage, ..empty(1) }).unwrap();
    assert_eq!(loaded(&place.store, 0).len(), 2500);
}
