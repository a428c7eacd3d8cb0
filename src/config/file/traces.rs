//! `[traces]`, as written.

use toml::de::DeValue;

use super::table::{Field, FromToml, Named, Table, Value};
use crate::{
    config::{
        report::{Problem, Problems, Span},
        secret::HeaderSource,
        wording::quote,
    },
    telemetry::traces::{Parent, Share},
};

/// `[traces]`.
#[derive(Debug)]
pub(in crate::config) struct TracesTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) endpoint: Field<String>,
    pub(in crate::config) headers: Field<Vec<Named<HeaderSource>>>,
    pub(in crate::config) sample: Field<Share>,
    pub(in crate::config) parent: Field<Parent>,
    pub(in crate::config) service: Field<String>,
}

impl FromToml for TracesTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[traces]`", problems)?;
        let read = Self {
            span: table.span,
            endpoint: table.field("endpoint"),
            headers: table.field("headers"),
            sample: table.field("sample"),
            parent: table.field("parent"),
            service: table.field("service"),
        };
        table.finish();
        Some(read)
    }
}

impl FromToml for Share {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        const HELP: &str = "write a percentage, such as \"10%\" or \"0.5%\", up to four decimals";
        let DeValue::String(text) = value.toml else {
            super::value::expected(value, "a percentage, such as \"10%\"", problems);
            return None;
        };
        let share = Self::parse(text);
        if share.is_none() {
            let message = format!("{} is not a percentage from 0% to 100%", quote(text));
            problems.add(Problem::error(value.span, message).help(HELP));
        }
        share
    }
}
