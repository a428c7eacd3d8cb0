//! Writes many rows with few statements: one for each costs two or three times as much.

use rusqlite::{Connection, Statement, ToSql};

/// How many rows share a statement. More gain nothing.
const TOGETHER: usize = 64;

/// An insertion of rows that are alike.
pub(super) struct Insertion {
    /// The table, behind the verb.
    pub(super) into: &'static str,
    pub(super) columns: usize,
    /// What stands behind the values.
    pub(super) then: &'static str,
}

/// Takes the values of rows, one after the other.
pub(super) struct Values<'s, 'c> {
    statement: &'s mut Statement<'c>,
    next: usize,
}

impl Values<'_, '_> {
    pub(super) fn put(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.next += 1;
        self.statement.raw_bind_parameter(self.next, value)
    }
}

impl Insertion {
    /// Inserts all of them in their order; `put` gives the values of one.
    pub(super) fn run<R>(
        &self,
        connection: &Connection,
        rows: &[R],
        put: impl Fn(&R, &mut Values<'_, '_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let (many, rest) = rows.as_chunks::<TOGETHER>();
        let run = |sql: &str, rows: &mut dyn Iterator<Item = &[R]>| {
            let mut statement = connection.prepare_cached(sql)?;
            for rows in rows {
                let mut values = Values { statement: &mut statement, next: 0 };
                rows.iter().try_for_each(|row| put(row, &mut values))?;
                statement.raw_execute()?;
            }
            Ok(())
        };
        if !many.is_empty() {
            run(&self.sql(TOGETHER), &mut many.iter().map(<[R; TOGETHER]>::as_slice))?;
        }
        run(&self.sql(1), &mut rest.chunks(1))
    }

    fn sql(&self, rows: usize) -> String {
        let Self { into, columns, then } = self;
        let row = format!("({})", vec!["?"; *columns].join(", "));
        format!("{into} VALUES {} {then}", vec![row; rows].join(", "))
    }
}
