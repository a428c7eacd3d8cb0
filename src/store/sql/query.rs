//! Statements and their rows: what cannot be read is named by table, row and column.

use std::error::Error;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned, de::IntoDeserializer, de::value};

use crate::store::{
    StoreError, instant,
    sql::{
        Amount, Database, Params, Row,
        value::{FromValue, Value},
    },
};

/// How much of a row's id an error repeats.
const ID_MAX: usize = 80;

/// Runs a statement that writes; gives the number of rows.
pub(in crate::store) fn write(
    database: &dyn Database,
    sql: &str,
    params: Params<'_>,
) -> Result<usize, StoreError> {
    database.write(sql, params)
}

/// Calls `each` for every row until it answers `false`, however many there are.
pub(in crate::store) fn each(
    database: &dyn Database,
    table: &'static str,
    sql: &str,
    params: Params<'_>,
    mut each: impl FnMut(Cells<'_>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    database.each(sql, params, Amount::Many, &mut |row| each(Cells::new(row, table)))
}

/// Reads all rows, which are few.
pub(in crate::store) fn all<T>(
    database: &dyn Database,
    table: &'static str,
    sql: &str,
    params: Params<'_>,
    read: impl Fn(&mut Cells<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    database.each(sql, params, Amount::Few, &mut |row| {
        found.push(read(&mut Cells::new(row, table))?);
        Ok(true)
    })?;
    Ok(found)
}

/// Reads the first row, if there is one.
pub(in crate::store) fn one<T>(
    database: &dyn Database,
    table: &'static str,
    sql: &str,
    params: Params<'_>,
    read: impl Fn(&mut Cells<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut found = None;
    database.each(sql, params, Amount::Few, &mut |row| {
        found = Some(read(&mut Cells::new(row, table))?);
        Ok(false)
    })?;
    Ok(found)
}

/// A row that is read from left to right. Its first column names it in errors.
pub(in crate::store) struct Cells<'r> {
    row: &'r dyn Row,
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

impl<'r> Cells<'r> {
    pub(in crate::store) fn new(row: &'r dyn Row, table: &'static str) -> Self {
        Self { row, table, next: 0 }
    }

    /// Goes on with the columns of another table, in a join.
    pub(in crate::store) fn enter(&mut self, table: &'static str) {
        self.table = table;
    }

    /// Leaves out columns.
    pub(in crate::store) fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    pub(in crate::store) fn get<T: FromValue>(&mut self) -> Result<T, StoreError> {
        self.read(T::from_value)
    }

    /// A count, which is never negative.
    pub(in crate::store) fn count(&mut self) -> Result<u64, StoreError> {
        self.read(|value| Ok(u64::try_from(i64::from_value(value)?)?))
    }

    /// A count of fewer bits.
    pub(in crate::store) fn small<T>(&mut self) -> Result<T, StoreError>
    where
        T: TryFrom<i64, Error: Error + Send + Sync + 'static>,
    {
        self.read(|value| Ok(T::try_from(i64::from_value(value)?)?))
    }

    pub(in crate::store) fn optional_small<T>(&mut self) -> Result<Option<T>, StoreError>
    where
        T: TryFrom<i64, Error: Error + Send + Sync + 'static>,
    {
        self.read(|value| Ok(Option::<i64>::from_value(value)?.map(T::try_from).transpose()?))
    }

    pub(in crate::store) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.read(|value| Ok(Timestamp::from_millisecond(i64::from_value(value)?)?))
    }

    pub(in crate::store) fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|value| {
            let ms = Option::<i64>::from_value(value)?;
            Ok(ms.map(Timestamp::from_millisecond).transpose()?)
        })
    }

    /// A window's start, which may be the first or the last instant that there is.
    pub(in crate::store) fn instant(&mut self) -> Result<Timestamp, StoreError> {
        self.get().map(instant)
    }

    /// A window's end.
    pub(in crate::store) fn optional_instant(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.get::<Option<i64>>()?.map(instant))
    }

    /// One of a closed set of names.
    pub(in crate::store) fn name<'de, T: Deserialize<'de>>(&mut self) -> Result<T, StoreError> {
        self.read(|value| Ok(from_name(String::from_value(value)?)?))
    }

    pub(in crate::store) fn optional_name<'de, T: Deserialize<'de>>(
        &mut self,
    ) -> Result<Option<T>, StoreError> {
        self.read(|value| Ok(Option::<String>::from_value(value)?.map(from_name).transpose()?))
    }

    /// A document; `None` where the column is NULL.
    pub(in crate::store) fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        self.read(|value| match value {
            Value::Text(text) => Ok(Some(serde_json::from_str(&text)?)),
            // Nothing, or something of another type.
            other => Ok(Option::<String>::from_value(other)?.and(None)),
        })
    }

    fn read<T>(
        &mut self,
        read: impl FnOnce(Value<'_>) -> Result<T, Box<dyn Error + Send + Sync>>,
    ) -> Result<T, StoreError> {
        let row = self.row;
        let value = read(row.column(self.next)?).map_err(|error| self.damaged(error));
        self.next += 1;
        value
    }

    fn damaged(&self, cause: Box<dyn Error + Send + Sync>) -> StoreError {
        let row = match self.row.column(0) {
            Ok(Value::Text(text)) => text.chars().take(ID_MAX).collect(),
            Ok(Value::Integer(number)) => number.to_string(),
            _ => "without a readable id".to_owned(),
        };
        let column = self.row.name(self.next).to_owned();
        StoreError::new("understand", Damaged { table: self.table, row, column, cause })
    }
}

fn from_name<'de, T: Deserialize<'de>>(name: String) -> Result<T, value::Error> {
    // Owned, so that the borrow of a row does not bind the type.
    T::deserialize(name.into_deserializer())
}

/// Gives the name that a value of a closed set is stored by.
pub(in crate::store) fn name_of(value: impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        Ok(_) => Err(StoreError::new("write to", "a name is not a text")),
        Err(error) => Err(StoreError::new("write to", error)),
    }
}

/// Writes a document.
pub(in crate::store) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::new("write to", error))
}

/// Writes a document, or nothing for one that says nothing.
pub(in crate::store) fn json_unless(
    is_empty: bool,
    value: &impl Serialize,
) -> Result<Option<String>, StoreError> {
    if is_empty { Ok(None) } else { json(value).map(Some) }
}

/// A time as it is kept.
pub(in crate::store) fn ms(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// How many rows at most.
pub(in crate::store) fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

/// Integers in a database are signed. What does not fit stays at the largest: far above any limit.
pub(in crate::store) fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}
