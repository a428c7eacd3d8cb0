//! What a table has, in few bytes, whichever store it is in and in whatever order it is read.

use sha2::{Digest as _, Sha256};

use crate::store::{
    StoreError,
    copy::tables::Table,
    sql::{Amount, Database, Row, Value, params},
};

/// The number of its rows, and the sum of the heads of their SHA-256. Two tables that differ in anything differ here:
/// nobody chooses what stands in them to deceive who copies his own store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Digest {
    pub(super) rows: u64,
    sum: u128,
}

/// How many rows are read before that is told.
const TOLD: u64 = 4096;

impl Digest {
    /// Reads a table by a statement.
    pub(super) fn read(
        database: &dyn Database,
        table: &Table,
        sql: &str,
        moved: &mut dyn FnMut(u64),
    ) -> Result<Self, StoreError> {
        let (mut digest, width) = (Self::default(), table.width());
        database.each(sql, params![], Amount::Many, &mut |row| {
            digest.add(row, width)?;
            if digest.rows % TOLD == 0 {
                moved(TOLD);
            }
            Ok(true)
        })?;
        moved(digest.rows % TOLD);
        Ok(digest)
    }

    fn add(&mut self, row: &dyn Row, columns: usize) -> Result<(), StoreError> {
        let mut hash = Sha256::new();
        for at in 0..columns {
            put(&mut hash, &row.column(at)?);
        }
        let head = hash.finalize().first_chunk().copied().unwrap_or_default();
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(head));
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    /// Adds it to what stands for a whole store.
    pub(super) fn put(&self, hash: &mut Sha256) {
        let Self { rows, sum } = self;
        hash.update(rows.to_le_bytes());
        hash.update(sum.to_le_bytes());
    }
}

/// Each value with its kind and length, so that no two rows are written alike.
fn put(hash: &mut Sha256, value: &Value<'_>) {
    let mut bytes = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    match value {
        // SQLite has integers for it.
        Value::Bool(truth) => bytes(b'i', &i64::from(*truth).to_le_bytes()),
        Value::Bytes(raw) => bytes(b'b', raw),
        Value::Integer(number) => bytes(b'i', &number.to_le_bytes()),
        Value::Null => bytes(b'n', &[]),
        Value::Text(text) => bytes(b't', text.as_bytes()),
    }
}
