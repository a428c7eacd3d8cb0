//! The store in one SQLite file.
//!
//! Invariant: what `commit` answered is on the disk (`synchronous=FULL`), so a journal may be
//! deleted behind it.

mod backup;
mod cache;
mod database;
mod entries;
mod fold;
mod ids;
mod ledger;
mod many;
mod minutes;
mod open;
mod owners;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    mem,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rusqlite::{
    Connection, ErrorCode, Params, Row, Transaction, TransactionBehavior, params,
    types::FromSqlError,
};
use uuid::Uuid;

use crate::{
    ledger::Window,
    model::Nanos,
    store::{
        Commit, MinuteRow, NodeId, OpenReservation, Position, Reader, ReservationId, Store,
        StoreError, UsageRow, Verdict, instant,
        records::{Reads, Records},
        sql::{Database, pseudonyms, reads::Rows, writes::Writer},
        sqlite::{
            cache::Cache,
            database::{read_failed, write_failed},
            ids::Ids,
        },
    },
};

pub use open::OpenError;

/// A database file, open for this process alone or for reading.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    ids: Ids,
    cache: Cache,
    /// Held as long as this process may write.
    _lock: Option<File>,
}

impl Sqlite {
    /// Fails for a file without contents, which would be taken for a new database.
    pub fn refuse_emptied(path: &Path) -> Result<(), OpenError> {
        open::refuse_emptied(path)
    }

    /// Opens the database for this process alone; makes it where it is not there.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = open::lock(path)?;
        let connection = open::to_write(path)?;
        let (ids, cache) = Default::default();
        Ok(Self { connection, path: path.into(), ids, cache, _lock: Some(lock) })
    }

    /// Opens a database for reading, beside the process that has it.
    pub fn open_to_read(path: &Path) -> Result<Self, OpenError> {
        let connection = open::to_read(path)?;
        let (ids, cache) = Default::default();
        Ok(Self { connection, path: path.into(), ids, cache, _lock: None })
    }

    /// Forgets what it remembers of rows, as the end of a process does.
    #[cfg(test)]
    pub(crate) fn forget(&mut self) {
        self.ids = Ids::default();
    }

    fn name_damage(&self, error: StoreError) -> StoreError {
        let Some(cause) = error.cause().downcast_ref::<rusqlite::Error>() else { return error };
        match cause.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                let source = cause.to_string().into();
                let damaged = OpenError::Damaged { path: self.path.clone(), source };
                StoreError::new(error.action, damaged)
            }
            _ => error,
        }
    }

    /// Gives what an operator made and changed.
    pub fn reads(&self) -> impl Reads + '_ {
        Rows::new(&self.connection)
    }

    /// Gives the nodes of whose journals something is folded here or open.
    pub fn nodes(&self) -> Result<Vec<NodeId>, StoreError> {
        let sql = "SELECT node FROM positions UNION SELECT node FROM open_reservations ORDER BY 1";
        self.all(sql, [], |row| {
            let id = row.get_ref(0)?.as_str()?.parse();
            id.map(NodeId).map_err(|error| FromSqlError::other(error).into())
        })
    }

    /// Gives the connection, for statements that both stores understand.
    pub(in crate::store) fn database(&self) -> &dyn Database {
        &self.connection
    }

    /// Calls `each` for every account of a customer.
    pub fn usage_of(
        &self,
        customer: &str,
        each: &mut dyn FnMut(UsageRow<'_>),
    ) -> Result<(), StoreError> {
        let sql = "SELECT customer, scope, quota, window_start, window_end, used FROM usage
                   WHERE customer = ?1 ORDER BY scope, quota, window_start";
        self.each_usage(sql, params![customer], each).map_err(read_failed)
    }

    /// Calls `each` for every minute of a customer that begins in the window, in order of time.
    pub fn minutes_of(
        &self,
        customer: &str,
        window: Window,
        each: &mut dyn FnMut(MinuteRow<'_>),
    ) -> Result<(), StoreError> {
        self.each_minute(customer, window, each).map_err(read_failed)
    }

    fn each_usage(
        &self,
        sql: &str,
        params: impl Params,
        each: &mut dyn FnMut(UsageRow<'_>),
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            let end: Option<i64> = row.get(4)?;
            each(UsageRow {
                customer: row.get_ref(0)?.as_str()?,
                scope: row.get_ref(1)?.as_str()?,
                quota: row.get_ref(2)?.as_str()?,
                window: Window { start: instant(row.get(3)?), end: end.map(instant) },
                used: unsigned(row.get(5)?),
            });
        }
        Ok(())
    }

    fn each_minute(
        &self,
        customer: &str,
        window: Window,
        each: &mut dyn FnMut(MinuteRow<'_>),
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT customer, minute, key_id, route, ending, requests, units, currency, nanos
             FROM customer_minutes
             WHERE customer = ?1 AND hour > ?2 - 3600000 AND hour < ?3
                 AND minute >= ?2 AND minute < ?3
             ORDER BY minute, key_id, route, ending, currency",
        )?;
        let start = window.start.as_millisecond();
        let end = window.end.map_or(i64::MAX, Timestamp::as_millisecond);
        let mut rows = statement.query(params![customer, start, end])?;
        while let Some(row) = rows.next()? {
            each(MinuteRow {
                customer: row.get_ref(0)?.as_str()?,
                minute: instant(row.get(1)?),
                key_id: row.get_ref(2)?.as_str()?,
                route: row.get_ref(3)?.as_str()?,
                ending: row.get_ref(4)?.as_str()?,
                requests: unsigned(row.get(5)?),
                units: unsigned(row.get(6)?),
                currency: row.get_ref(7)?.as_str()?.parse().ok(),
                nanos: Nanos(row.get(8)?),
            });
        }
        Ok(())
    }

    fn write(
        &mut self,
        commit: &Commit<'_>,
        after: &mut dyn FnMut(&mut dyn Records) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let rows = commit.usage.len().saturating_add(commit.minutes.len());
        self.cache.before_fold(&self.connection, rows).map_err(write_failed)?;
        let mut ids = mem::take(&mut self.ids);
        let mut transaction = self.begin()?;
        let over = fold::write(&transaction, &mut ids, commit)?;
        entries::enter(&transaction, commit.now, over, &mut ids.noted)?;
        let savepoint = transaction.savepoint().map_err(write_failed)?;
        let mut rows = Rows::new(Writer::new(&*savepoint));
        let result = after(&mut rows);
        let has_renamed = rows.has_renamed();
        match result {
            Ok(()) => savepoint.commit().map_err(write_failed)?,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "what goes with the usage is not written");
                savepoint.finish().map_err(write_failed)?;
            }
        }
        transaction.commit().map_err(write_failed)?;
        if !has_renamed {
            self.ids = ids;
        }
        Ok(())
    }

    fn write_works(
        &mut self,
        next: &mut dyn FnMut(&mut dyn Records) -> Verdict,
    ) -> Result<(), StoreError> {
        self.cache.before_changes(&self.connection).map_err(write_failed)?;
        let ids = mem::take(&mut self.ids);
        let mut transaction = self.begin()?;
        let mut has_renamed = false;
        loop {
            // An error may have undone the whole transaction, and the savepoint with it: then this
            // fails, and nothing that was written before is taken for kept.
            let savepoint = transaction.savepoint().map_err(write_failed)?;
            let mut rows = Rows::new(Writer::new(&*savepoint));
            let verdict = next(&mut rows);
            has_renamed |= rows.has_renamed();
            match verdict {
                Verdict::Keep => savepoint.commit().map_err(write_failed)?,
                Verdict::Undo => savepoint.finish().map_err(write_failed)?,
                Verdict::Done => {
                    savepoint.finish().map_err(write_failed)?;
                    transaction.commit().map_err(write_failed)?;
                    if !has_renamed {
                        self.ids = ids;
                    }
                    return Ok(());
                }
            }
        }
    }

    fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        let behavior = TransactionBehavior::Immediate;
        self.connection.transaction_with_behavior(behavior).map_err(write_failed)
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_map(params, |row| read(row))?.collect()
        };
        rows().map_err(read_failed).map_err(|error| self.name_damage(error))
    }
}

impl Store for Sqlite {
    fn commit(
        &mut self,
        commit: &Commit<'_>,
        after: &mut dyn FnMut(&mut dyn Records) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.write(commit, after).map_err(|error| self.name_damage(error))
    }

    fn transact(
        &mut self,
        next: &mut dyn FnMut(&mut dyn Records) -> Verdict,
    ) -> Result<(), StoreError> {
        self.write_works(next).map_err(|error| self.name_damage(error))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        let connection = open::to_read(&self.path);
        let connection = connection.map_err(|error| StoreError::new("read", error))?;
        Ok(Box::new(Rows::new(connection)))
    }

    fn caught_up(&mut self) -> Result<(), StoreError> {
        pseudonyms::forget_all(&self.connection).map_err(|error| self.name_damage(error))
    }

    fn positions(&self, node: NodeId) -> Result<Vec<Position>, StoreError> {
        let sql = r#"SELECT worker, segment, "offset", sequence, latest FROM positions
                     WHERE node = ?1 ORDER BY worker"#;
        self.all(sql, params![node.to_string()], |row| {
            Ok(Position {
                worker: row.get(0)?,
                segment: unsigned(row.get(1)?),
                offset: unsigned(row.get(2)?),
                sequence: unsigned(row.get(3)?),
                latest: instant(row.get(4)?),
            })
        })
    }

    fn open_reservations(&self, node: NodeId) -> Result<Vec<OpenReservation>, StoreError> {
        let sql =
            "SELECT worker, sequence, request_id, customer, definition, cost, opened_at, nanos
                   FROM open_reservations WHERE node = ?1 ORDER BY worker, sequence";
        self.all(sql, params![node.to_string()], |row| {
            let request_id = row.get_ref(2)?.as_str()?;
            Ok(OpenReservation {
                id: ReservationId { worker: row.get(0)?, sequence: unsigned(row.get(1)?) },
                // Only for the eye; what cannot be read as an id does not keep the units from
                // counting.
                request_id: request_id.parse().unwrap_or(Uuid::nil()),
                customer: row.get(3)?,
                definition: row.get(4)?,
                cost: unsigned(row.get(5)?),
                nanos: Nanos(row.get(7)?),
                opened_at: instant(row.get(6)?),
            })
        })
    }

    /// This process alone has the database, so whoever else is in it has ended.
    fn lost_nodes(&self, node: NodeId) -> Result<Vec<NodeId>, StoreError> {
        let sql = "SELECT DISTINCT node FROM open_reservations WHERE node <> ?1 ORDER BY node";
        self.all(sql, params![node.to_string()], |row| {
            let id = row.get_ref(0)?.as_str()?.parse();
            id.map(NodeId).map_err(|error| FromSqlError::other(error).into())
        })
    }

    fn load_usage(
        &self,
        now: Timestamp,
        each: &mut dyn FnMut(UsageRow<'_>),
    ) -> Result<(), StoreError> {
        let sql = "SELECT customer, scope, quota, window_start, window_end, used FROM usage
                   WHERE window_end IS NULL OR window_end > ?1";
        self.each_usage(sql, params![now.as_millisecond()], each)
            .map_err(|error| self.name_damage(read_failed(error)))
    }

    fn latest_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT max(latest) FROM positions";
        let latest = self.connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        Ok(latest.map_err(|error| self.name_damage(read_failed(error)))?.map(instant))
    }

    fn named(&self, error: StoreError) -> StoreError {
        self.name_damage(error)
    }
}

/// Only [`crate::store::sql::query::signed`] writes these columns; a negative number is somebody else's, and counts
/// nothing.
fn unsigned(units: i64) -> u64 {
    u64::try_from(units).unwrap_or(0)
}
