//! Values as they are sent and received.

use std::{borrow::Cow, error::Error, str};

use bytes::BytesMut;
use tokio_postgres::{
    Row,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use super::text;
use crate::store::{
    StoreError,
    sql::{self, Value},
};

type Failed = Box<dyn Error + Sync + Send>;

/// A parameter of a statement.
#[derive(Debug)]
pub(super) struct Sent<'a>(pub(super) Value<'a>);

impl ToSql for Sent<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        match &self.0 {
            Value::Bool(truth) => truth.to_sql_checked(of, out),
            Value::Bytes(bytes) => bytes.to_sql_checked(of, out),
            // SQLite has integers for it.
            Value::Integer(number) if *of == Type::BOOL => (*number != 0).to_sql(of, out),
            Value::Integer(number) if *of == Type::INT4 => i32::try_from(*number)?.to_sql(of, out),
            Value::Integer(number) => number.to_sql_checked(of, out),
            Value::Null => Ok(IsNull::Yes),
            Value::Text(text) => text::encode(text).to_sql_checked(of, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value of a column.
struct Received<'a>(Value<'a>);

impl<'a> FromSql<'a> for Received<'a> {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        Ok(Self(match *of {
            Type::BOOL => Value::Bool(bool::from_sql(of, raw)?),
            Type::INT2 => Value::Integer(i16::from_sql(of, raw)?.into()),
            Type::INT4 => Value::Integer(i32::from_sql(of, raw)?.into()),
            Type::INT8 => Value::Integer(i64::from_sql(of, raw)?),
            Type::NAME | Type::TEXT | Type::UNKNOWN | Type::VARCHAR => {
                Value::Text(text::decode(str::from_utf8(raw)?))
            }
            _ => Value::Bytes(raw),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failed> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl sql::Row for Row {
    fn column(&self, at: usize) -> Result<Value<'_>, StoreError> {
        let read = self.try_get::<_, Received<'_>>(at);
        read.map(|received| received.0).map_err(|error| StoreError::new("read", error))
    }

    fn name(&self, at: usize) -> &str {
        self.columns().get(at).map_or("a column", |column| column.name())
    }
}

/// Gives a column that is an integer.
pub(super) fn integer(row: &Row, at: usize) -> Result<i64, StoreError> {
    row.try_get(at).map_err(|error| StoreError::new("read", error))
}

/// Gives a column that is a text.
pub(super) fn text(row: &Row, at: usize) -> Result<Cow<'_, str>, StoreError> {
    let read: Result<&str, _> = row.try_get(at);
    read.map(text::decode).map_err(|error| StoreError::new("read", error))
}
