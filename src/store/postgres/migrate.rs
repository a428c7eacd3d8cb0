//! The schema: how a database gets it, and whose it is.

use std::time::Duration;

use super::{
    connection::{Connection, Uncommitted},
    copying,
    value::{integer, text},
};
use crate::store::{StoreError, postgres::failure::ConnectError};

/// Why a database on a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There are tables of another program.
    #[error(
        "the schema {schema} of the database at {server} has tables of another program; give faregate a \
         database of its own in `url` of [store]"
    )]
    Foreign {
        /// The server and the database.
        server: String,
        /// The schema.
        schema: String,
    },
    /// A copy needs a database without tables.
    #[error(
        "the database at {server} has a store already, which a copy never touches; name one without tables \
         (`createdb` makes it)"
    )]
    HasStore {
        /// The server and the database.
        server: String,
    },
    /// Written by a newer version of the program.
    #[error(
        "the database at {server} has schema version {found} and this program knows version {VERSION}; \
         run the newer program"
    )]
    Newer {
        /// The server and the database.
        server: String,
        /// Its version.
        found: i64,
    },
    /// A server that lacks what is needed.
    #[error("PostgreSQL at {server} is of version {found}; 13 is the oldest that can be used")]
    OldServer {
        /// The server and the database.
        server: String,
        /// Its version.
        found: i64,
    },
    /// Another store was to be copied here.
    #[error(
        "the database at {server} has a part of another copy: of another store, of this one before something \
         changed in it, or by another version of this program; drop the database, make it anew (`dropdb`, \
         `createdb`) and copy again"
    )]
    OtherCopy {
        /// The server and the database.
        server: String,
    },
    /// The server, or what is between us and it.
    #[error("the database cannot be opened: {}", in_full(.0))]
    Server(#[from] StoreError),
    /// A store is being copied here, or was not copied to the end.
    #[error(
        "the database at {server} has a part of a store only: `faregate store copy` has not ended; call it again with \
         the same store, and start the gateway when it is done"
    )]
    Unfinished {
        /// The server and the database.
        server: String,
    },
    /// No connection is possible.
    #[error("the database cannot be opened: {0}")]
    Unconnected(String),
}

fn in_full(error: &StoreError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

impl From<ConnectError> for OpenError {
    fn from(error: ConnectError) -> Self {
        Self::Unconnected(error.to_string())
    }
}

/// What brings a database from each version to the next; the first one begins without tables. Released ones are
/// never changed.
pub(super) const MIGRATIONS: [&str; 6] = [
    include_str!("migrations/0001_all.sql"),
    include_str!("migrations/0002_nodes.sql"),
    include_str!("migrations/0003_leases.sql"),
    include_str!("migrations/0004_lead.sql"),
    include_str!("migrations/0005_payments.sql"),
    include_str!("migrations/0006_answers.sql"),
];

/// The schema's version: how many migrations it has behind it.
pub(super) const VERSION: i64 = 6;
const _: () = assert!(VERSION as usize == MIGRATIONS.len(), "each migration is a version");

/// How long a migration may take, and the wait for another node that makes it.
const MIGRATION: Duration = Duration::from_secs(3600);

/// The oldest version of the server: it tells what became of a transaction (`pg_xact_status`).
const OLDEST: i64 = 130_000;

/// Makes the tables, or brings them up to date. Of several nodes that start at once one does it, and the others
/// wait for it.
pub(super) fn prepare(connection: &Connection) -> Result<(), OpenError> {
    alone(connection, |found| match found {
        Found::Nothing => bring(connection, 0),
        Found::Store { is_copy: true, .. } if copying::is_unfinished(connection)? => {
            Err(OpenError::Unfinished { server: connection.server().to_string() })
        }
        Found::Store { version, .. } => bring(connection, version),
    })
}

/// Lets `work` see to the tables while nobody else does.
pub(super) fn alone<T>(
    connection: &Connection,
    work: impl FnOnce(Found) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    check_server(connection)?;
    connection.begin(MIGRATION)?;
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended('faregate:' || current_schema(), 0))";
    let locked = connection.batch("write to", sql).map_err(OpenError::from);
    match locked.and_then(|_| find(connection)).and_then(work) {
        Ok(done) => match connection.commit() {
            Ok(()) => Ok(done),
            Err(Uncommitted::InDoubt(error) | Uncommitted::Undone(error)) => {
                Err(OpenError::Server(error))
            }
        },
        Err(error) => {
            connection.roll_back();
            Err(error)
        }
    }
}

/// A server that does not sync loses with its power what we have deleted of the journal by then.
fn check_server(connection: &Connection) -> Result<(), OpenError> {
    let sql = "SELECT current_setting('server_version_num')::bigint, current_setting('fsync'),
        current_setting('full_page_writes')";
    let rows = connection.rows("read", sql, &[])?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (version, server) = (integer(row, 0)?, connection.server().to_string());
    if version < OLDEST {
        return Err(OpenError::OldServer { server, found: version / 10_000 });
    }
    for (at, setting) in [(1, "fsync"), (2, "full_page_writes")] {
        if text(row, at)? == "off" {
            tracing::warn!(
                server,
                setting,
                "a setting of PostgreSQL is off: a power cut there loses what is charged"
            );
        }
    }
    Ok(())
}

/// Looks what is there, and leaves it so.
pub(super) fn look(connection: &Connection) -> Result<Found, OpenError> {
    check_server(connection)?;
    connection.begin(MIGRATION)?;
    let found = find(connection);
    connection.roll_back();
    found
}

/// Brings tables of a version up to date; version 0 has none.
pub(super) fn bring(connection: &Connection, version: i64) -> Result<(), OpenError> {
    if version > VERSION {
        let server = connection.server().to_string();
        return Err(OpenError::Newer { server, found: version });
    }
    let missing = MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX));
    for migration in missing.clone() {
        connection.batch("write to", migration)?;
    }
    if missing.len() > 0 {
        connection.write("UPDATE faregate SET version = $1", &[&VERSION])?;
    }
    Ok(())
}

/// What is in the schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// No tables, but for the one that has their version, which is made by whoever looks.
    Nothing,
    /// A store of this version, or a part of it.
    Store {
        /// How many migrations it has behind it.
        version: i64,
        /// It was copied here, or is being copied.
        is_copy: bool,
    },
}

/// Looks for the tables, and makes the one that has their version.
fn find(connection: &Connection) -> Result<Found, OpenError> {
    // What extensions brought is nobody's program.
    let sql = "SELECT coalesce(current_schema()::text, ''), count(c.oid),
            coalesce(bool_or(c.relname = 'faregate' AND c.relkind = 'r'), false),
            coalesce(bool_or(c.relname = 'copy_of' AND c.relkind = 'r'), false)
        FROM pg_namespace AS n LEFT JOIN pg_class AS c ON c.relnamespace = n.oid
            AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
            AND NOT EXISTS (SELECT FROM pg_depend AS d
                WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
        WHERE n.nspname = current_schema()";
    let rows = connection.rows("read", sql, &[])?;
    let server = connection.server().to_string();
    let Some(row) = rows.first() else { return Err(no_schema(&server)) };
    let (schema, tables) = (text(row, 0)?.into_owned(), integer(row, 1)?);
    let (is_ours, is_copy): (bool, bool) = (row.get(2), row.get(3));
    match (schema.as_str(), tables, is_ours) {
        ("", _, _) => Err(no_schema(&server)),
        (_, 0, _) => {
            let sql =
                "CREATE TABLE faregate (version BIGINT NOT NULL); INSERT INTO faregate VALUES (0)";
            connection.batch("write to", sql)?;
            Ok(Found::Nothing)
        }
        (_, _, false) => Err(OpenError::Foreign { server, schema }),
        (_, _, true) => {
            let rows = connection.rows("read", "SELECT version FROM faregate", &[])?;
            let version = rows.first().map_or(Ok(0), |row| integer(row, 0))?;
            Ok(Found::Store { version, is_copy })
        }
    }
}

fn no_schema(server: &str) -> OpenError {
    let what = "the search path names no schema that is there";
    OpenError::Unconnected(format!("PostgreSQL at {server}: {what}"))
}
