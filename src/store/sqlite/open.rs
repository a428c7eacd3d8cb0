//! Opens a database file: the lock, the checks, the schema.

use std::{
    error::Error,
    fs::{self, File, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};

use super::cache::Cache;

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another program has it locked.
    #[error("the database {path} is locked by another program; close it there")]
    Busy {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Its file is not what was written.
    #[error(
        "the database {path} is damaged; put a backup in its place, without the journal, or repair a \
         copy with `sqlite3 {path} .recover`: see \"Backup and restoration\" in docs/operating.md"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another program's database, or no database.
    #[error(
        "{path} is not a database of faregate; give another `url` in [store], or put a backup in its \
         place if it was one"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another faregate has it.
    #[error(
        "the database {path} is in use by another faregate; stop that one, or give this one \
         another `url` in [store]"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Written by an older version of the program, and not to be written now.
    #[error(
        "the database {path} has schema version {found} and this program reads version {VERSION}; \
         start the gateway with this program once, which brings it up to date"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Written by a newer version of the program.
    #[error(
        "the database {path} has schema version {found} and this program knows version {VERSION}; \
         run the newer program"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// SQLite failed otherwise.
    #[error("cannot open the database {path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The directory, the database or its lock cannot be written.
    #[error("cannot write {path}; it and its directory must be writable for this user")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What brings a database from each version to the next; the first one begins with an empty file.
/// Released ones are never changed.
pub(super) const MIGRATIONS: [&str; 9] = [
    include_str!("migrations/0001_usage.sql"),
    include_str!("migrations/0002_customers.sql"),
    include_str!("migrations/0003_minutes.sql"),
    include_str!("migrations/0004_series.sql"),
    include_str!("migrations/0005_key_hours.sql"),
    include_str!("migrations/0006_spend_cap.sql"),
    include_str!("migrations/0007_ledger.sql"),
    include_str!("migrations/0008_payments.sql"),
    include_str!("migrations/0009_answers.sql"),
];

/// The schema's version: how many migrations it has behind it.
pub(super) const VERSION: i64 = 9;
const _: () = assert!(VERSION as usize == MIGRATIONS.len(), "each migration is a version");

/// "fare", by which a database of another program is told.
const APPLICATION: i64 = 0x6661_7265;

/// How long to wait for a program that has the database locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many prepared statements are kept; there are fewer than this.
const STATEMENTS: usize = 128;

/// Takes the lock beside the database. Not in it, so that operators can read the database
/// meanwhile.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let opened = File::options().create(true).truncate(false).write(true).open(&lock_path);
    let locked = opened.map_err(TryLockError::Error).and_then(|file| {
        file.try_lock()?;
        Ok(file)
    });
    locked.map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse { path: path.into() },
        TryLockError::Error(source) => OpenError::Unwritable { path: lock_path, source },
    })
}

/// Opens the database for writing; makes it where it is not there.
pub(super) fn to_write(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    check_length(path)?;
    let mut connection = connect(path, flags)?;
    match schema(&connection).map_err(|source| failed(path, source))? {
        Schema::Ours(1..=VERSION) | Schema::None => {}
        Schema::Ours(found) => return Err(OpenError::Newer { path: path.into(), found }),
        Schema::Foreign => return Err(OpenError::Foreign { path: path.into() }),
    }
    prepare(&mut connection).map_err(|source| failed(path, source))?;
    Ok(connection)
}

/// Opens a database for reading, beside the process that has it.
pub(super) fn to_read(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    match schema(&connection).map_err(|source| failed(path, source))? {
        Schema::Ours(VERSION) => Ok(connection),
        Schema::Ours(found) if found < VERSION => {
            Err(OpenError::Older { path: path.into(), found })
        }
        Schema::Ours(found) => Err(OpenError::Newer { path: path.into(), found }),
        Schema::Foreign | Schema::None => Err(OpenError::Foreign { path: path.into() }),
    }
}

pub(super) fn refuse_emptied(path: &Path) -> Result<(), OpenError> {
    if fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        let source = "it is empty, and its journal is not".into();
        return Err(OpenError::Damaged { path: path.into(), source });
    }
    Ok(())
}

/// SQLite reads what is missing of the last page as zeros. Only beside a write-ahead log, which has that page
/// whole, may a file have been cut there.
fn check_length(path: &Path) -> Result<(), OpenError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Ok(());
    }
    let mut head = [0; 18];
    // What cannot be read here SQLite cannot read either, and says so.
    let length = File::open(path).and_then(|mut file| {
        file.read_exact(&mut head)?;
        Ok(file.metadata()?.len())
    });
    if !head.starts_with(b"SQLite format 3\0") {
        return Ok(());
    }
    let [.., high, low] = head;
    // 65536 does not go into two bytes and stands there as 1.
    let page = match u64::from(u16::from_be_bytes([high, low])) {
        1 => 65_536,
        bytes => bytes,
    };
    match length {
        Ok(length) if page > 0 && length % page > 0 => {
            let source = "its last page is not whole".into();
            Err(OpenError::Damaged { path: path.into(), source })
        }
        _ => Ok(()),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let opened = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = opened.map_err(|source| failed(path, source))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|source| failed(path, source))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else a statement with `LIMIT ?` is prepared anew each time.
    let stable = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    stable.map_err(|source| failed(path, source))?;
    Ok(connection)
}

enum Schema {
    /// An empty file.
    None,
    /// Of this version.
    Ours(i64),
    /// Of another program.
    Foreign,
}

/// Looks before anything is written, so that another program's database stays as it is.
fn schema(connection: &Connection) -> rusqlite::Result<Schema> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    Ok(match number("PRAGMA application_id")? {
        APPLICATION => match number("PRAGMA user_version")? {
            // Both are written in one transaction, so this is not of our making.
            ..1 => Schema::Foreign,
            version => Schema::Ours(version),
        },
        0 if number("SELECT count(*) FROM sqlite_schema")? == 0 => Schema::None,
        _ => Schema::Foreign,
    })
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What a savepoint may have to undo: some pages for each change, in a file else.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A fold with many customers writes thousands of pages, most of them again by the next one: what
    // is carried over less often is carried over fewer times. 32 MiB of write-ahead log.
    connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
    Cache::for_migration(connection)?;
    migrate(connection)?;
    Cache::narrow(connection).map(drop)
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = match schema(&transaction)? {
        Schema::None => 0,
        Schema::Ours(version) => version,
        // Another program was there in between; it is told by the next look.
        Schema::Foreign => return transaction.rollback(),
    };
    let missing = MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX));
    for migration in missing.clone() {
        transaction.execute_batch(migration)?;
    }
    if missing.len() > 0 {
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

fn failed(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            OpenError::Busy { path, source }
        }
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, source: source.into() },
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { path },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            OpenError::Unwritable { path, source: io::Error::other(source) }
        }
        _ => OpenError::Sqlite { path, source },
    }
}
