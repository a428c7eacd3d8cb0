//! `[webhooks]`, as written.

use std::time::Duration;

use super::table::{Field, FromToml, Spanned, Table, Value, conceal_strings};
use crate::config::{
    report::{Problems, Span},
    secret::SecretSource,
};

/// `[webhooks]`.
#[derive(Debug)]
pub(in crate::config) struct WebhooksTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) url: Field<Receiver>,
    pub(in crate::config) secret: Field<SecretSource>,
    pub(in crate::config) previous_secret: Field<SecretSource>,
    pub(in crate::config) thresholds: Field<Vec<Spanned<i64>>>,
    pub(in crate::config) ahead: Field<Duration>,
}

impl FromToml for WebhooksTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[webhooks]`", problems)?;
        let read = Self {
            span: table.span,
            url: table.field("url"),
            secret: table.field("secret"),
            previous_secret: table.field("previous_secret"),
            thresholds: table.field("thresholds"),
            ahead: table.field("ahead"),
        };
        table.finish();
        Some(read)
    }
}

/// A receiver's URL. It is not shown in a report: many receivers put a secret into the path.
#[derive(Debug)]
pub(in crate::config) struct Receiver(pub(in crate::config) String);

impl FromToml for Receiver {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        conceal_strings(value, problems);
        String::from_toml(value, problems).map(Self)
    }
}
