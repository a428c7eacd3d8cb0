//! Which store it is: the one place that knows all of them.

use std::path::PathBuf;

use crate::store::{Postgres, PostgresError, Server, Sqlite, SqliteError, Store};

/// Where usage is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Database {
    /// On a PostgreSQL server, which several nodes may share.
    Postgres(Box<Server>),
    /// In a file, which one process has for itself.
    Sqlite(PathBuf),
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// SQLite.
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
}

/// Opens a store for writing; makes it where it is not there.
pub fn open(database: &Database) -> Result<Box<dyn Store>, OpenError> {
    Ok(match database {
        Database::Postgres(server) => Box::new(Postgres::open((**server).clone())?),
        Database::Sqlite(path) => Box::new(Sqlite::open(path)?),
    })
}

/// Fails for a store that was emptied and would be taken for a new one.
pub fn refuse_emptied(database: &Database) -> Result<(), OpenError> {
    match database {
        // What a server has is not emptied by a copy that went wrong.
        Database::Postgres(_) => Ok(()),
        Database::Sqlite(path) => Ok(Sqlite::refuse_emptied(path)?),
    }
}
