//! A database that another store is copied to.
//!
//! Invariant: the row of `copy_of` says how much of which store is here, and rows are written together with it. Until
//! it says that the copy is finished no gateway starts on the database.

use std::sync::Arc;

use tokio_postgres::Row;

use super::{
    OpenError, Server,
    connection::{Connection, LONG, Role, Uncommitted},
    migrate::{self, Found},
    value::{integer, text},
};
use crate::store::{
    StoreError,
    copy::{Owned, TABLES, Table},
    records::Reads,
    sql::{Database, query::signed, reads::Rows},
};

/// The database, while a copy to it is not finished.
#[derive(Debug)]
pub(in crate::store) struct Target {
    connection: Connection,
    /// As `copy_of` has it, unless somebody else writes.
    place: Place,
}

/// How far it is copied: all tables before this one, and so many rows of this one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) struct Place {
    pub(in crate::store) table: usize,
    pub(in crate::store) rows: u64,
}

const TABLE: &str = r#"CREATE TABLE copy_of (
    source   TEXT    NOT NULL COLLATE "C",
    place    BIGINT  NOT NULL,
    rows     BIGINT  NOT NULL,
    finished BOOLEAN NOT NULL
)"#;

/// A database that was found fit for a copy.
#[derive(Debug)]
pub struct Destination {
    connection: Connection,
}

impl Destination {
    /// Finds out whether a copy can go there, so that nothing is begun where it cannot.
    pub fn find(server: Server) -> Result<Self, OpenError> {
        let connection = Connection::new(Arc::new(server), Role::Writer)?;
        match migrate::look(&connection)? {
            Found::Nothing | Found::Store { is_copy: true, .. } => Ok(Self { connection }),
            Found::Store { is_copy: false, .. } => {
                Err(OpenError::HasStore { server: connection.server().to_string() })
            }
        }
    }
}

impl Target {
    /// Makes the tables where there are none; finds the place of an earlier copy of the same source. `None` where that
    /// was finished.
    pub(in crate::store) fn open(
        destination: Destination,
        source: &str,
    ) -> Result<Option<Self>, OpenError> {
        let Destination { connection } = destination;
        // Of another version of the tables it is another copy.
        let source = format!("{}:{source}", migrate::VERSION);
        let place = migrate::alone(&connection, |found| prepare(&connection, found, &source))?;
        Ok(place.map(|place| Self { connection, place }))
    }

    /// Gives how far it is copied.
    pub(in crate::store) fn place(&self) -> Place {
        self.place
    }

    /// Writes rows of a table, of which those before are there. Tells whether nobody else has written meanwhile;
    /// otherwise nothing is written.
    pub(in crate::store) fn write(
        &mut self,
        number: usize,
        table: &Table,
        cells: &[Owned],
    ) -> Result<bool, StoreError> {
        let connection = &self.connection;
        connection.begin(LONG)?;
        match write(connection, self.place, number, table, cells) {
            Ok(Some(next)) => {
                connection.commit().map_err(why)?;
                self.place = next;
                Ok(true)
            }
            Ok(None) => {
                connection.roll_back();
                Ok(false)
            }
            Err(error) => {
                connection.roll_back();
                Err(error)
            }
        }
    }

    /// Lets columns that count by themselves go on behind the highest number that was ever given, and lets the
    /// server learn what is in the tables.
    pub(in crate::store) fn count_on(
        &self,
        numbers: &[(&Table, &str, i64)],
    ) -> Result<(), StoreError> {
        for (table, column, number) in numbers.iter().filter(|(_, _, number)| *number > 0) {
            let sql = "SELECT setval(pg_get_serial_sequence($1, $2), $3)";
            self.connection.rows("write to", sql, &[&table.name, column, number])?;
        }
        self.connection.begin(LONG)?;
        for table in &TABLES {
            if let Err(error) = self.connection.batch("read", &format!("ANALYZE {}", table.name)) {
                self.connection.roll_back();
                return Err(error);
            }
        }
        self.connection.commit().map_err(why)
    }

    /// Makes it a store like any other.
    pub(in crate::store) fn finish(&self) -> Result<(), StoreError> {
        self.connection.write("UPDATE copy_of SET finished = true", &[]).map(drop)
    }

    /// Gives what it has.
    pub(in crate::store) fn reads(&self) -> impl Reads + '_ {
        Rows::new(&self.connection)
    }

    /// Gives the connection, for statements that both stores understand.
    pub(in crate::store) fn database(&self) -> &dyn Database {
        &self.connection
    }
}

/// Tells whether a copy is here that is not finished.
pub(super) fn is_unfinished(connection: &Connection) -> Result<bool, StoreError> {
    let rows = connection.rows("read", "SELECT 1 FROM copy_of WHERE NOT finished", &[])?;
    Ok(!rows.is_empty())
}

/// Gives the place to go on from; `None` where everything is done.
fn prepare(
    connection: &Connection,
    found: Found,
    source: &str,
) -> Result<Option<Place>, OpenError> {
    let server = || connection.server().to_string();
    match found {
        Found::Nothing => {
            migrate::bring(connection, 0)?;
            connection.batch("write to", TABLE)?;
            let sql = "INSERT INTO copy_of VALUES ($1, 0, 0, false)";
            connection.write(sql, &[&source])?;
            // Its row is the source's.
            connection.batch("write to", "DELETE FROM ledger")?;
            Ok(Some(Place { table: 0, rows: 0 }))
        }
        Found::Store { is_copy: false, .. } => Err(OpenError::HasStore { server: server() }),
        Found::Store { is_copy: true, .. } => {
            let sql = "SELECT place, rows, source, finished FROM copy_of";
            let rows = connection.rows("read", sql, &[])?;
            let Some(row) = rows.first() else {
                return Err(OpenError::HasStore { server: server() });
            };
            let (is_same, is_finished): (bool, bool) = (text(row, 2)? == source, row.get(3));
            match (is_same, is_finished) {
                (true, true) => Ok(None),
                (true, false) => Ok(Some(place(row)?)),
                (false, true) => Err(OpenError::HasStore { server: server() }),
                (false, false) => Err(OpenError::OtherCopy { server: server() }),
            }
        }
    }
}

/// Writes rows and gives the place behind them.
fn write(
    connection: &Connection,
    known: Place,
    number: usize,
    table: &Table,
    cells: &[Owned],
) -> Result<Option<Place>, StoreError> {
    // What an earlier process left behind on a server that was slow is committed or gone behind this.
    let sql = "SELECT place, rows FROM copy_of WHERE NOT finished FOR UPDATE";
    let rows = connection.rows("write to", sql, &[])?;
    if rows.first().map(place).transpose()? != Some(known) {
        return Ok(None);
    }
    let before = if known.table == number { known.rows } else { 0 };
    let rows = before.saturating_add(connection.copy_in(table, cells)?);
    let sql = "UPDATE copy_of SET place = $1, rows = $2";
    connection.write(sql, &[&signed(number as u64), &signed(rows)])?;
    Ok(Some(Place { table: number, rows }))
}

fn place(row: &Row) -> Result<Place, StoreError> {
    let number = |at| -> Result<u64, StoreError> {
        u64::try_from(integer(row, at)?).map_err(|error| StoreError::new("understand", error))
    };
    let table = usize::try_from(number(0)?).unwrap_or(usize::MAX);
    Ok(Place { table, rows: number(1)? })
}

/// Where it is not known whether something was committed, the next call finds out.
fn why(error: Uncommitted) -> StoreError {
    match error {
        Uncommitted::InDoubt(error) | Uncommitted::Undone(error) => error,
    }
}
