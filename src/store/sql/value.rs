//! What columns and parameters are.

use std::{borrow::Cow, error::Error, sync::Arc};

/// A value of a column or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Value<'a> {
    Bool(bool),
    Bytes(&'a [u8]),
    Integer(i64),
    Null,
    Text(Cow<'a, str>),
}

/// The parameters of a statement, in order.
pub(in crate::store) type Params<'a> = &'a [&'a dyn Parameter];

/// What can stand for a parameter.
pub(in crate::store) trait Parameter {
    /// Gives the value.
    fn value(&self) -> Value<'_>;
}

/// Lists the parameters of a statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::store::sql::Parameter),*]
    };
}
pub(in crate::store) use params;

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Parameter for $type {
            fn value(&self) -> Value<'_> {
                Value::Integer((*self).into())
            }
        }
    )*};
}
integers!(i64 u8 u16 u32);

impl Parameter for bool {
    fn value(&self) -> Value<'_> {
        Value::Bool(*self)
    }
}

impl Parameter for str {
    fn value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl Parameter for String {
    fn value(&self) -> Value<'_> {
        self.as_str().value()
    }
}

impl Parameter for Arc<str> {
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

impl Parameter for [u8; 32] {
    fn value(&self) -> Value<'_> {
        Value::Bytes(self)
    }
}

impl Parameter for Vec<u8> {
    fn value(&self) -> Value<'_> {
        Value::Bytes(self)
    }
}

impl<T: Parameter + ?Sized> Parameter for &T {
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

impl<T: Parameter> Parameter for Option<T> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, Parameter::value)
    }
}

/// A value that is of another type than what is asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0} stands there")]
pub(in crate::store) struct WrongType(&'static str);

impl WrongType {
    fn of(value: &Value<'_>) -> Self {
        Self(match value {
            Value::Bool(_) => "a truth value",
            Value::Bytes(_) => "a sequence of bytes",
            Value::Integer(_) => "an integer",
            Value::Null => "nothing",
            Value::Text(_) => "a text",
        })
    }
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What can be read of a column.
pub(in crate::store) trait FromValue: Sized {
    /// Takes the value.
    fn from_value(value: Value<'_>) -> Result<Self>;
}

impl FromValue for i64 {
    fn from_value(value: Value<'_>) -> Result<Self> {
        match value {
            Value::Integer(number) => Ok(number),
            other => Err(WrongType::of(&other).into()),
        }
    }
}

/// SQLite has integers for it.
impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Result<Self> {
        match value {
            Value::Bool(truth) => Ok(truth),
            Value::Integer(number) => Ok(number != 0),
            other => Err(WrongType::of(&other).into()),
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Result<Self> {
        match value {
            Value::Text(text) => Ok(text.into_owned()),
            other => Err(WrongType::of(&other).into()),
        }
    }
}

impl FromValue for Arc<str> {
    fn from_value(value: Value<'_>) -> Result<Self> {
        match value {
            Value::Text(text) => Ok(text.into()),
            other => Err(WrongType::of(&other).into()),
        }
    }
}

impl FromValue for [u8; 32] {
    fn from_value(value: Value<'_>) -> Result<Self> {
        match value {
            Value::Bytes(bytes) => Ok(bytes.try_into()?),
            other => Err(WrongType::of(&other).into()),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Result<Self> {
        match value {
            Value::Bytes(bytes) => Ok(bytes.to_owned()),
            other => Err(WrongType::of(&other).into()),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Result<Self> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}
