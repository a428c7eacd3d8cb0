//! `[cors]`, as written.

use std::time::Duration;

use super::table::{Field, FromToml, Spanned, Table, Value};
use crate::config::report::{Problems, Span};

/// `[cors]`.
#[derive(Debug)]
pub(in crate::config) struct CorsTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) origins: Field<Vec<Spanned<String>>>,
    pub(in crate::config) headers: Field<Vec<Spanned<String>>>,
    pub(in crate::config) expose: Field<Vec<Spanned<String>>>,
    pub(in crate::config) credentials: Field<bool>,
    pub(in crate::config) max_age: Field<Duration>,
}

impl FromToml for CorsTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[cors]`", problems)?;
        let read = Self {
            span: table.span,
            origins: table.field("origins"),
            headers: table.field("headers"),
            expose: table.field("expose"),
            credentials: table.field("credentials"),
            max_age: table.field("max_age"),
        };
        table.finish();
        Some(read)
    }
}
