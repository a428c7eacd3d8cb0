//! The store in one SQLite file.
//!
//! Invariant: what `commit` answered is on the disk (`synchronous=FULL`), so a journal may be
//! deleted behind it.

mod open;
#[cfg(test)]
mod tests;

use std::{fs::File, path::Path};

use jiff::Timestamp;
use rusqlite::{Connection, Params, Row, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use crate::{
    ledger::Window,
    store::{
        Commit, MinuteRow, NodeId, OpenReservation, Position, ReservationId, Store, StoreError,
        UsageRow, instant,
    },
};

pub use open::OpenError;

/// A database file, open for this process alone or for reading.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    /// Held as long as this process may write.
    _lock: Option<File>,
}

impl Sqlite {
    /// Opens the database for this process alone; makes it where it is not there.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = open::lock(path)?;
        Ok(Self { connection: open::to_write(path)?, _lock: Some(lock) })
    }

    /// Opens a database for reading, beside the process that has it.
    pub fn open_to_read(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { connection: open::to_read(path)?, _lock: None })
    }

    /// Calls `each` for every account of a customer.
    pub fn usage_of(
        &self,
        customer: &str,
        each: &mut dyn FnMut(UsageRow<'_>),
    ) -> Result<(), StoreError> {
        let sql = "SELECT customer, scope, quota, window_start, window_end, used FROM usage
                   WHERE customer = ?1";
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
            "SELECT customer, minute, key_id, route, ending, requests, units FROM usage_minutes
             WHERE customer = ?1 AND minute >= ?2 AND minute < ?3
             ORDER BY minute, key_id, route, ending",
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
            });
        }
        Ok(())
    }

    fn write(&mut self, commit: &Commit<'_>) -> rusqlite::Result<()> {
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let Commit { node, usage, minutes, opened, closed, positions } = commit;
        let node = node.to_string();
        set_positions(&transaction, &node, positions)?;
        add_usage(&transaction, usage)?;
        add_minutes(&transaction, minutes)?;
        insert_open(&transaction, &node, opened)?;
        delete_closed(&transaction, &node, closed)?;
        transaction.commit()
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
        rows().map_err(read_failed)
    }
}

impl Store for Sqlite {
    fn commit(&mut self, commit: &Commit<'_>) -> Result<(), StoreError> {
        self.write(commit).map_err(|error| StoreError::new("write to", error))
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
        let sql = "SELECT worker, sequence, request_id, customer, definition, cost, opened_at
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
                opened_at: instant(row.get(6)?),
            })
        })
    }

    fn load_usage(
        &self,
        now: Timestamp,
        each: &mut dyn FnMut(UsageRow<'_>),
    ) -> Result<(), StoreError> {
        let sql = "SELECT customer, scope, quota, window_start, window_end, used FROM usage
                   WHERE window_end IS NULL OR window_end > ?1";
        self.each_usage(sql, params![now.as_millisecond()], each).map_err(read_failed)
    }

    fn latest_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT max(latest) FROM positions";
        let latest = self.connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        Ok(latest.map_err(read_failed)?.map(instant))
    }
}

fn add_usage(transaction: &Transaction<'_>, rows: &[UsageRow<'_>]) -> rusqlite::Result<()> {
    // The larger end: a quota whose window was lengthened within it must be found until that ends.
    let mut statement = transaction.prepare_cached(
        "INSERT INTO usage (customer, scope, quota, window_start, window_end, used)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (customer, scope, quota, window_start) DO UPDATE SET
             window_end = max(window_end, excluded.window_end),
             used = min(used + excluded.used, 9223372036854775807)",
    )?;
    for UsageRow { customer, scope, quota, window: Window { start, end }, used } in rows {
        let (start, end) = (start.as_millisecond(), end.map(Timestamp::as_millisecond));
        statement.execute(params![customer, scope, quota, start, end, signed(*used)])?;
    }
    Ok(())
}

fn add_minutes(transaction: &Transaction<'_>, rows: &[MinuteRow<'_>]) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO usage_minutes (customer, minute, key_id, route, ending, requests, units)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (customer, minute, key_id, route, ending) DO UPDATE SET
             requests = requests + excluded.requests,
             units = min(units + excluded.units, 9223372036854775807)",
    )?;
    for MinuteRow { customer, key_id, route, minute, ending, requests, units } in rows {
        let minute = minute.as_millisecond();
        let (requests, units) = (signed(*requests), signed(*units));
        statement.execute(params![customer, minute, key_id, route, ending, requests, units])?;
    }
    Ok(())
}

fn insert_open(
    transaction: &Transaction<'_>,
    node: &str,
    rows: &[OpenReservation],
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO open_reservations
             (node, worker, sequence, request_id, customer, definition, cost, opened_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for OpenReservation { id, request_id, customer, definition, cost, opened_at } in rows {
        let request_id = request_id.to_string();
        let (sequence, cost) = (signed(id.sequence), signed(*cost));
        let opened_at = opened_at.as_millisecond();
        let params =
            params![node, id.worker, sequence, request_id, customer, definition, cost, opened_at];
        statement.execute(params)?;
    }
    Ok(())
}

fn delete_closed(
    transaction: &Transaction<'_>,
    node: &str,
    ids: &[ReservationId],
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "DELETE FROM open_reservations WHERE node = ?1 AND worker = ?2 AND sequence = ?3",
    )?;
    for ReservationId { worker, sequence } in ids {
        statement.execute(params![node, worker, signed(*sequence)])?;
    }
    Ok(())
}

fn set_positions(
    transaction: &Transaction<'_>,
    node: &str,
    rows: &[Position],
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        r#"INSERT INTO positions (node, worker, segment, "offset", sequence, latest)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6)
           ON CONFLICT (node, worker) DO UPDATE SET
               segment = excluded.segment,
               "offset" = excluded."offset",
               sequence = excluded.sequence,
               latest = max(latest, excluded.latest)
           WHERE excluded.sequence > sequence"#,
    )?;
    for Position { worker, segment, offset, sequence, latest } in rows {
        let (segment, offset, sequence) = (signed(*segment), signed(*offset), signed(*sequence));
        let latest = latest.as_millisecond();
        // A position that is not ahead: the store has this part of the journal already.
        if statement.execute(params![node, worker, segment, offset, sequence, latest])? != 1 {
            return Err(rusqlite::Error::StatementChangedRows(0));
        }
    }
    Ok(())
}

fn read_failed(error: rusqlite::Error) -> StoreError {
    StoreError::new("read", error)
}

/// SQLite's integers are signed. What does not fit stays at the largest: far above any limit.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// Only [`signed`] writes these columns; a negative number is somebody else's, and counts nothing.
fn unsigned(units: i64) -> u64 {
    u64::try_from(units).unwrap_or(0)
}
