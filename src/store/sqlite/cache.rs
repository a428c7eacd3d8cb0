//! How much of the database is held in memory: much for folds that write many rows, and little for changes. SQLite goes
//! through all pages that are held at the end of each transaction in which an index was balanced, which costs changes,
//! of which there may be hundreds in a second, more than it spares them.

use rusqlite::Connection;

/// What is held for folds of many rows: what does not fit is written in the middle of a transaction, and often once more.
const WIDE_KIB: i64 = 32 << 10;

/// What is held else: more than a group of changes writes.
const NARROW_KIB: i64 = 4 << 10;

/// What is held for a migration.
const MIGRATION_KIB: i64 = 256 << 10;

/// How many rows a fold has that is given more. Each may touch some pages anywhere.
const MANY: usize = 100;

/// How many transactions of changes go by before what a fold was given is taken back: the next one reads it again.
const PATIENCE: u32 = 1000;

/// What is held, and since when.
#[derive(Debug, Default)]
pub(super) struct Cache {
    is_wide: bool,
    /// How many transactions of changes there were since the last fold of many rows.
    changes: u32,
}

impl Cache {
    /// Holds what a migration goes through, which may bring a large table into another order.
    pub(super) fn for_migration(connection: &Connection) -> rusqlite::Result<()> {
        hold(connection, MIGRATION_KIB)
    }

    /// Holds little.
    pub(super) fn narrow(connection: &Connection) -> rusqlite::Result<Self> {
        hold(connection, NARROW_KIB)?;
        Ok(Self::default())
    }

    /// Holds what a fold of so many rows needs.
    pub(super) fn before_fold(
        &mut self,
        connection: &Connection,
        rows: usize,
    ) -> rusqlite::Result<()> {
        if rows < MANY {
            return Ok(());
        }
        self.changes = 0;
        if !self.is_wide {
            hold(connection, WIDE_KIB)?;
            self.is_wide = true;
        }
        Ok(())
    }

    /// Holds little again, once no fold of many rows has come for some time.
    pub(super) fn before_changes(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.changes = self.changes.saturating_add(1);
        if self.is_wide && self.changes > PATIENCE {
            *self = Self::narrow(connection)?;
        }
        Ok(())
    }
}

fn hold(connection: &Connection, kib: i64) -> rusqlite::Result<()> {
    // Negative numbers are KiB, others pages.
    connection.pragma_update(None, "cache_size", kib.saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_of_many_rows_have_more_until_there_are_only_changes() {
        let connection = Connection::open_in_memory().unwrap();
        let held = || connection.query_row("PRAGMA cache_size", [], |row| row.get::<_, i64>(0));
        let mut cache = Cache::narrow(&connection).unwrap();
        assert_eq!(held(), Ok(-4096));
        cache.before_fold(&connection, MANY - 1).unwrap();
        assert_eq!(held(), Ok(-4096));
        for _ in 0..2 {
            cache.before_fold(&connection, MANY).unwrap();
            assert_eq!(held(), Ok(-32_768));
            // A fold in between begins it anew.
            for _ in 0..PATIENCE {
                cache.before_changes(&connection).unwrap();
            }
        }
        assert_eq!(held(), Ok(-32_768));
        cache.before_changes(&connection).unwrap();
        assert_eq!(held(), Ok(-4096));
    }
}
