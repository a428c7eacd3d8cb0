//! On PostgreSQL.

#[expect(clippy::duplicate_mod, reason = "both stores are to pass the same tests")]
#[path = "suite/mod.rs"]
mod suite;

use super::*;

/// A schema of its own in the database of the tests.
pub(in crate::store) struct Place {
    pub(in crate::store) store: Postgres,
    name: String,
}

/// Gives the URL of a server that the tests may do with as they like.
pub(super) fn url() -> String {
    std::env::var("FAREGATE_TEST_POSTGRES").expect(
        "the tests of PostgreSQL need a server: run scripts/test, or scripts/postgres cargo nextest run",
    )
}

/// Gives the server, with the search path set to a schema.
pub(in crate::store) fn server(schema: &str) -> Server {
    let url = format!("{}?options=-csearch_path%3D{schema}", url());
    Server::parse(&url, std::path::Path::new("/")).unwrap()
}

impl Place {
    /// Whether other processes may be at work.
    pub(in crate::store) const IS_SHARED: bool = true;
    /// How many cases a property is tried with.
    pub(in crate::store) const CASES: u32 = 24;
    /// How long a text may be by which rows are told apart: it has to go into a page of an index.
    pub(in crate::store) const LONG: usize = 500;

    pub(in crate::store) fn new() -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        Postgres::run_by_hand(server("public"), &format!("CREATE SCHEMA {name}")).unwrap();
        Self { store: Postgres::open(server(&name)).unwrap(), name }
    }

    pub(in crate::store) fn name(&self) -> &str {
        &self.name
    }

    /// Writes in a transaction of its own.
    pub(in crate::store) fn write<T>(
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

    /// Runs statements as somebody with another program would. They are written for SQLite.
    pub(in crate::store) fn by_hand(&self, sql: &str) -> Result<(), String> {
        let sql = sql
            .replace("_are_not_changed;", "_are_not_changed ON entries;")
            .replace("_are_not_removed;", "_are_not_removed ON entries;")
            .replace("x'00'", r"'\x00'");
        Postgres::run_by_hand(server(&self.name), &sql)
    }

    /// Ends the process and starts another.
    pub(in crate::store) fn reopen(&mut self) {
        self.store = Postgres::open(server(&self.name)).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The server goes with the tests, so it does not matter whether this can be done.
        let _ =
            Postgres::run_by_hand(server("public"), &format!("DROP SCHEMA {} CASCADE", self.name));
    }
}
