//! The whole store, from an SQLite file to a database on a PostgreSQL server.
//!
//! Invariant: rows and the place up to which is copied change in one transaction, and the source does not change in
//! between, which its digest tells. So a copy that is broken off anywhere goes on as if it had not been. Only when
//! both ends have the same rows and add up does the database become one that a gateway starts on.

mod digest;
mod tables;

use sha2::{Digest as _, Sha256};

use self::digest::Digest;
pub(in crate::store) use self::tables::{TABLES, Table};
use crate::store::{
    PostgresError, Sqlite, StoreError,
    postgres::copying::{Destination, Target},
    records::{Difference, Reads, Verified},
    sql::{Amount, Database, Row, Value, params},
};

/// What is under way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Rows are read back and compared.
    Comparing,
    /// Rows are written.
    Copying,
    /// The source is read as a whole.
    Reading,
    /// The ledger is added up.
    Verifying,
}

/// Who is told how it goes on.
pub trait Watcher {
    /// Something begins that goes through so many rows, of which some are done; `None` where that is not known.
    fn begin(&mut self, step: Step, rows: Option<u64>, done: u64);

    /// So many more rows are done.
    fn moved(&mut self, rows: u64);
}

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Copied {
    /// Each table's rows.
    pub tables: Vec<(&'static str, u64)>,
    /// What both ends add up to.
    pub verified: Verified,
    /// Rows that an earlier call had copied.
    pub earlier: u64,
    /// An earlier call had done all of it, and nothing was done now.
    pub was_done: bool,
}

impl Copied {
    /// Gives how many rows there are in all.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| *rows).fold(0, u64::saturating_add)
    }
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The two are not the same.
    #[error(
        "the table {table} has other rows in the copy ({there}) than in the store ({here}); drop the database, make it \
         anew (`dropdb`, `createdb`) and copy again"
    )]
    Differs {
        /// Which.
        table: &'static str,
        /// Rows of the store.
        here: u64,
        /// Rows of the copy.
        there: u64,
    },
    /// The database cannot be copied to.
    #[error(transparent)]
    Target(#[from] PostgresError),
    /// A table could not be read or written.
    #[error("the table {table} is not copied whole; copy again, which goes on where this ended")]
    Table {
        /// Which.
        table: &'static str,
        /// Why.
        source: StoreError,
    },
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Source(#[source] StoreError),
    /// The database cannot be read or written behind the copy.
    #[error("the copy cannot be looked at; copy again, which goes on where this ended")]
    Looking(#[source] StoreError),
    /// Somebody else writes it.
    #[error("somebody else goes on with this copy; wait until that has ended, and copy again")]
    Taken,
    /// The books do not add up.
    #[error(
        "{end} does not add up: {differences} differences, the first of {customer:?}: {subject}, the entries say \
         {expected} and {found} stands there; see what `faregate verify` says of it"
    )]
    Unbalanced {
        /// Which of both.
        end: &'static str,
        /// How many.
        differences: u64,
        /// Whose is the first.
        customer: String,
        /// What it is about.
        subject: String,
        /// What the entries say.
        expected: i128,
        /// What is there.
        found: i128,
    },
}

/// Copies everything to a database without tables, or goes on with a copy of the same store.
pub fn copy(
    source: &Sqlite,
    destination: Destination,
    watcher: &mut dyn Watcher,
) -> Result<Copied, CopyError> {
    let from = source.database();
    watcher.begin(Step::Verifying, None, 0);
    let verified = verify(&source.reads(), "the store", CopyError::Source)?;
    let digests = read(from, watcher).map_err(CopyError::Source)?;
    let total = digests.iter().map(|digest| digest.rows).fold(0, u64::saturating_add);
    let mut copied = Copied {
        tables: TABLES.iter().map(|table| table.name).zip(digests.iter().map(|d| d.rows)).collect(),
        verified,
        earlier: 0,
        was_done: false,
    };
    let Some(mut target) = Target::open(destination, &fingerprint(&digests))? else {
        return Ok(Copied { earlier: total, was_done: true, ..copied });
    };
    let place = target.place();
    let finished = digests.iter().take(place.table).map(|digest| digest.rows);
    copied.earlier = finished.fold(place.rows, u64::saturating_add);
    watcher.begin(Step::Copying, Some(total), copied.earlier);
    write(from, &mut target, &digests, watcher)?;
    let numbers = numbers(from).map_err(CopyError::Source)?;
    target.count_on(&numbers).map_err(CopyError::Looking)?;
    watcher.begin(Step::Comparing, Some(total), 0);
    compare(&target, &digests, watcher)?;
    watcher.begin(Step::Verifying, None, 0);
    verify(&target.reads(), "the copy", CopyError::Looking)?;
    target.finish().map_err(CopyError::Looking)?;
    Ok(copied)
}

/// Adds up the ledger of one end; fails where it does not come to what stands there.
fn verify(
    reads: &dyn Reads,
    end: &'static str,
    failed: fn(StoreError) -> CopyError,
) -> Result<Verified, CopyError> {
    let mut first = None;
    let mut each = |difference| {
        first.get_or_insert(difference);
    };
    let verified = reads.verify(&mut each).map_err(failed)?;
    let Some(Difference { customer, subject, expected, found }) = first else {
        return Ok(verified);
    };
    let differences = verified.differences;
    Err(CopyError::Unbalanced { end, differences, customer, subject, expected, found })
}

/// Reads the whole source.
fn read(from: &dyn Database, watcher: &mut dyn Watcher) -> Result<Vec<Digest>, StoreError> {
    watcher.begin(Step::Reading, None, 0);
    let mut digests = Vec::with_capacity(TABLES.len());
    from.still(&mut |state| {
        for table in &TABLES {
            let sql = table.sqlite_rows();
            digests.push(Digest::read(state, table, &sql, &mut |rows| watcher.moved(rows))?);
        }
        Ok(())
    })?;
    Ok(digests)
}

/// Gives what stands for a store: another one, or this one after any change, has another.
fn fingerprint(digests: &[Digest]) -> String {
    let mut hash = Sha256::new();
    for (table, digest) in TABLES.iter().zip(digests) {
        hash.update(table.name);
        hash.update([0]);
        hash.update(table.list());
        hash.update([0]);
        digest.put(&mut hash);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many rows, and about how many bytes, share a transaction at most.
const ROWS: usize = if cfg!(test) { 7 } else { 5_000 };
const BYTES: usize = 8 << 20;

/// Rows that are read and not written yet.
#[derive(Default)]
struct Batch {
    cells: Vec<Owned>,
    bytes: usize,
}

/// A value that outlives its row.
#[derive(Debug)]
pub(in crate::store) enum Owned {
    Bool(bool),
    Bytes(Box<[u8]>),
    Integer(i64),
    Null,
    Text(Box<str>),
}

impl Owned {
    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Bool(truth) => Self::Bool(truth),
            Value::Bytes(bytes) => Self::Bytes(bytes.into()),
            Value::Integer(number) => Self::Integer(number),
            Value::Null => Self::Null,
            Value::Text(text) => Self::Text(text.into()),
        }
    }

    /// Gives the value.
    pub(in crate::store) fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Integer(number) => Value::Integer(*number),
            Self::Null => Value::Null,
            Self::Text(text) => Value::Text(text.as_ref().into()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Bool(_) | Self::Integer(_) | Self::Null => 8,
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        }
    }
}

impl Batch {
    fn push(&mut self, row: &dyn Row, columns: usize) -> Result<(), StoreError> {
        for at in 0..columns {
            let cell = Owned::of(row.column(at)?);
            self.bytes = self.bytes.saturating_add(cell.bytes());
            self.cells.push(cell);
        }
        Ok(())
    }

    fn is_full(&self, columns: usize) -> bool {
        self.cells.len() >= ROWS * columns || self.bytes >= BYTES
    }
}

/// Writes all rows behind the target's place.
fn write(
    from: &dyn Database,
    target: &mut Target,
    digests: &[Digest],
    watcher: &mut dyn Watcher,
) -> Result<(), CopyError> {
    let begun = target.place();
    let tables = TABLES.iter().zip(digests).enumerate().skip(begun.table);
    for (number, (table, digest)) in tables {
        let there = if number == begun.table { begun.rows } else { 0 };
        if there < digest.rows {
            let mut writing =
                Writing { target: &mut *target, number, table, watcher: &mut *watcher };
            let written = writing.table(from, there);
            let failed = |source| CopyError::Table { table: table.name, source };
            if !written.map_err(failed)? {
                return Err(CopyError::Taken);
            }
        }
    }
    Ok(())
}

/// A table that is written.
struct Writing<'a> {
    target: &'a mut Target,
    number: usize,
    table: &'static Table,
    watcher: &'a mut dyn Watcher,
}

impl Writing<'_> {
    /// Writes its rows behind those that are there; tells whether nobody else did.
    fn table(&mut self, from: &dyn Database, there: u64) -> Result<bool, StoreError> {
        let (columns, mut skip) = (self.table.width(), there);
        let (mut batch, mut is_ours) = (Batch::default(), true);
        from.each(&self.table.sqlite_rows(), params![], Amount::Many, &mut |row| {
            if skip > 0 {
                skip -= 1;
                return Ok(true);
            }
            batch.push(row, columns)?;
            if batch.is_full(columns) {
                is_ours = self.flush(&mut batch)?;
            }
            Ok(is_ours)
        })?;
        Ok(is_ours && self.flush(&mut batch)?)
    }

    fn flush(&mut self, batch: &mut Batch) -> Result<bool, StoreError> {
        let Batch { cells, bytes: _ } = std::mem::take(batch);
        if cells.is_empty() {
            return Ok(true);
        }
        let is_ours = self.target.write(self.number, self.table, &cells)?;
        self.watcher.moved((cells.len() / self.table.width()) as u64);
        Ok(is_ours)
    }
}

/// Gives the highest number that each table ever gave, also to rows that are gone.
fn numbers(from: &dyn Database) -> Result<Vec<(&'static Table, &'static str, i64)>, StoreError> {
    let mut found = Vec::new();
    for table in &TABLES {
        let Some(column) = table.number else { continue };
        let sql = format!(
            "SELECT max(coalesce((SELECT max({column}) FROM {name}), 0),
                coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = '{name}'), 0))",
            name = table.name
        );
        from.each(&sql, params![], Amount::Few, &mut |row| {
            if let Value::Integer(number) = row.column(0)? {
                found.push((table, column, number));
            }
            Ok(false)
        })?;
    }
    Ok(found)
}

/// Reads back what was written.
fn compare(
    target: &Target,
    digests: &[Digest],
    watcher: &mut dyn Watcher,
) -> Result<(), CopyError> {
    for (table, here) in TABLES.iter().zip(digests) {
        let moved = &mut |rows| watcher.moved(rows);
        let there = Digest::read(target.database(), table, &table.postgres_rows(), moved);
        let there = there.map_err(CopyError::Looking)?;
        if there != *here {
            let (table, here, there) = (table.name, here.rows, there.rows);
            return Err(CopyError::Differs { table, here, there });
        }
    }
    Ok(())
}
