//! Statements and their rows: what cannot be read is named by table, row and column.

use std::error::Error;

use jiff::Timestamp;
use rusqlite::{
    Connection, Params, Row,
    types::{FromSql, ValueRef},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned, de::IntoDeserializer, de::value};

use crate::store::{StoreError, instant};

/// How much of a row's id an error repeats.
const ID_MAX: usize = 80;

/// Runs a statement that writes; gives the number of rows.
pub(super) fn write(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, StoreError> {
    let written = connection.prepare_cached(sql).and_then(|mut s| s.execute(params));
    written.map_err(write_failed)
}

/// Calls `each` for every row until it answers `false`.
pub(super) fn each(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    params: impl Params,
    mut each: impl FnMut(Cells<'_, '_>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(read_failed)?;
    let mut rows = statement.query(params).map_err(read_failed)?;
    while let Some(row) = rows.next().map_err(read_failed)? {
        if !each(Cells::new(row, table))? {
            break;
        }
    }
    Ok(())
}

/// Reads all rows.
pub(super) fn all<T>(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    params: impl Params,
    read: impl Fn(&mut Cells<'_, '_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    each(connection, table, sql, params, |mut cells| {
        found.push(read(&mut cells)?);
        Ok(true)
    })?;
    Ok(found)
}

/// Reads the first row, if there is one.
pub(super) fn one<T>(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    params: impl Params,
    read: impl Fn(&mut Cells<'_, '_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut found = None;
    each(connection, table, sql, params, |mut cells| {
        found = Some(read(&mut cells)?);
        Ok(false)
    })?;
    Ok(found)
}

/// A row that is read from left to right. Its first column names it in errors.
pub(super) struct Cells<'r, 's> {
    row: &'r Row<'s>,
    table: &'static str,
    next: usize,
}

/// A row that somebody else wrote or changed.
#[derive(Debug, thiserror::Error)]
#[error("table {table}, row {row}: {column} cannot be understood: {cause}")]
struct Damaged {
    table: &'static str,
    row: String,
    column: String,
    cause: Box<dyn Error + Send + Sync>,
}

impl<'r, 's> Cells<'r, 's> {
    pub(super) fn new(row: &'r Row<'s>, table: &'static str) -> Self {
        Self { row, table, next: 0 }
    }

    /// Goes on with the columns of another table, in a join.
    pub(super) fn enter(&mut self, table: &'static str) {
        self.table = table;
    }

    /// Leaves out columns.
    pub(super) fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    pub(super) fn get<T: FromSql>(&mut self) -> Result<T, StoreError> {
        let value = self.row.get(self.next);
        self.understood(value)
    }

    /// A count, which is never negative.
    pub(super) fn count(&mut self) -> Result<u64, StoreError> {
        let value: i64 = self.row.get(self.next).map_err(|error| self.damaged(error))?;
        self.understood(u64::try_from(value))
    }

    /// A count of fewer bits.
    pub(super) fn small<T>(&mut self) -> Result<T, StoreError>
    where
        T: TryFrom<i64, Error: Error + Send + Sync + 'static>,
    {
        let value: i64 = self.row.get(self.next).map_err(|error| self.damaged(error))?;
        self.understood(T::try_from(value))
    }

    pub(super) fn optional_small<T>(&mut self) -> Result<Option<T>, StoreError>
    where
        T: TryFrom<i64, Error: Error + Send + Sync + 'static>,
    {
        let value: Option<i64> = self.row.get(self.next).map_err(|error| self.damaged(error))?;
        self.understood(value.map(T::try_from).transpose())
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        let ms = self.row.get(self.next).map_err(|error| self.damaged(error))?;
        self.understood(Timestamp::from_millisecond(ms))
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let ms: Option<i64> = self.row.get(self.next).map_err(|error| self.damaged(error))?;
        self.understood(ms.map(Timestamp::from_millisecond).transpose())
    }

    /// A window's start, which may be the first or the last instant that there is.
    pub(super) fn instant(&mut self) -> Result<Timestamp, StoreError> {
        self.get().map(instant)
    }

    /// A window's end.
    pub(super) fn optional_instant(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.get::<Option<i64>>()?.map(instant))
    }

    /// One of a closed set of names.
    pub(super) fn name<'de, T: Deserialize<'de>>(&mut self) -> Result<T, StoreError> {
        let text: String = self.row.get(self.next).map_err(|error| self.damaged(error))?;
        self.understood(from_name(&text))
    }

    pub(super) fn optional_name<'de, T: Deserialize<'de>>(
        &mut self,
    ) -> Result<Option<T>, StoreError> {
        let text: Option<String> = self.row.get(self.next).map_err(|error| self.damaged(error))?;
        self.understood(text.as_deref().map(from_name).transpose())
    }

    /// A document; `None` where the column is NULL.
    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        let row = self.row;
        let text = row.get_ref(self.next).and_then(|value| Ok(value.as_str_or_null()?));
        let text = text.map_err(|error| self.damaged(error))?;
        self.understood(text.map(serde_json::from_str).transpose())
    }

    fn understood<T, E: Into<Box<dyn Error + Send + Sync>>>(
        &mut self,
        value: Result<T, E>,
    ) -> Result<T, StoreError> {
        let value = value.map_err(|error| self.damaged(error));
        self.next += 1;
        value
    }

    fn damaged(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        let row = match self.row.get_ref(0) {
            Ok(ValueRef::Text(text)) => {
                String::from_utf8_lossy(text).chars().take(ID_MAX).collect()
            }
            Ok(ValueRef::Integer(number)) => number.to_string(),
            _ => "without a readable id".to_owned(),
        };
        let column = self.row.as_ref().column_name(self.next).unwrap_or("a column").to_owned();
        let cause = cause.into();
        StoreError::new("understand", Damaged { table: self.table, row, column, cause })
    }
}

fn from_name<'de, T: Deserialize<'de>>(name: &str) -> Result<T, value::Error> {
    // Owned, so that the borrow of a row does not bind the type.
    T::deserialize(name.to_owned().into_deserializer())
}

/// Gives the name that a value of a closed set is stored by.
pub(super) fn name_of(value: impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        Ok(_) => Err(StoreError::new("write to", "a name is not a text")),
        Err(error) => Err(StoreError::new("write to", error)),
    }
}

/// Writes a document.
pub(super) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::new("write to", error))
}

/// Writes a document, or nothing for one that says nothing.
pub(super) fn json_unless(
    is_empty: bool,
    value: &impl Serialize,
) -> Result<Option<String>, StoreError> {
    if is_empty { Ok(None) } else { json(value).map(Some) }
}

/// A time as it is kept.
pub(super) fn ms(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// How many rows at most.
pub(super) fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

/// SQLite's integers are signed. What does not fit stays at the largest: far above any limit.
pub(super) fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

pub(super) fn read_failed(error: rusqlite::Error) -> StoreError {
    StoreError::new("read", error)
}

pub(super) fn write_failed(error: rusqlite::Error) -> StoreError {
    StoreError::new("write to", error)
}
