//! Customers, their applications and their keys, as written.

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use toml::de::DeValue;

use super::{
    plans::LimitFields,
    table::{Field, FromToml, Named, Spanned, Table, Value},
};
use crate::{
    config::report::{Problem, Problems, Span},
    model::{KeyDigest, KeyState, Money, StatusName},
};

/// `[customers.ID]`.
#[derive(Debug)]
pub(in crate::config) struct CustomerTable {
    pub(in crate::config) plan: Field<String>,
    pub(in crate::config) status: Field<StatusName>,
    pub(in crate::config) suspended: Field<bool>,
    pub(in crate::config) anchor: Field<Timestamp>,
    pub(in crate::config) starts: Field<Timestamp>,
    pub(in crate::config) trial_end: Field<Timestamp>,
    pub(in crate::config) past_due_since: Field<Timestamp>,
    pub(in crate::config) cancel_at: Field<Timestamp>,
    pub(in crate::config) period_start: Field<Timestamp>,
    pub(in crate::config) period_end: Field<Timestamp>,
    pub(in crate::config) pause_collection: Field<bool>,
    pub(in crate::config) grace: Field<Duration>,
    pub(in crate::config) spend_cap: Field<Money>,
    pub(in crate::config) limits: LimitFields,
    pub(in crate::config) keys: Field<Vec<Spanned<KeyTable>>>,
    pub(in crate::config) applications: Field<Vec<Named<ApplicationTable>>>,
}

impl FromToml for CustomerTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        conceal_unless_table(value, problems);
        let mut table = Table::open(value, "a customer", problems)?;
        let read = Self {
            plan: table.field("plan"),
            status: table.field("status"),
            suspended: table.field("suspended"),
            anchor: table.field("anchor"),
            starts: table.field("starts"),
            trial_end: table.field("trial_end"),
            past_due_since: table.field("past_due_since"),
            cancel_at: table.field("cancel_at"),
            period_start: table.field("period_start"),
            period_end: table.field("period_end"),
            pause_collection: table.field("pause_collection"),
            grace: table.field("grace"),
            spend_cap: table.field("spend_cap"),
            limits: LimitFields::read(&mut table),
            keys: table.field("keys"),
            applications: table.field("applications"),
        };
        table.later(&["credits"]);
        table.finish();
        Some(read)
    }
}

/// `[customers.ID.applications.NAME]`.
#[derive(Debug)]
pub(in crate::config) struct ApplicationTable {
    pub(in crate::config) limits: LimitFields,
    pub(in crate::config) keys: Field<Vec<Spanned<KeyTable>>>,
}

impl FromToml for ApplicationTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        conceal_unless_table(value, problems);
        let mut table = Table::open(value, "an application", problems)?;
        let read = Self { limits: LimitFields::read(&mut table), keys: table.field("keys") };
        table.finish();
        Some(read)
    }
}

/// Conceals what stands where a table of keys should: it may be a key.
fn conceal_unless_table(value: Value<'_>, problems: &mut Problems) {
    if !matches!(value.toml, DeValue::Table(_)) {
        super::table::conceal_strings(value, problems);
    }
}

/// An item of `keys`; one that is a digest alone has that field only.
#[derive(Debug, Default)]
pub(in crate::config) struct KeyTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) id: Field<String>,
    pub(in crate::config) digest: Field<KeyDigest>,
    pub(in crate::config) expires: Field<Timestamp>,
    pub(in crate::config) scopes: Field<Vec<Spanned<String>>>,
    pub(in crate::config) allow_from: Field<Vec<Spanned<IpNet>>>,
    pub(in crate::config) status: Field<KeyState>,
    pub(in crate::config) limits: LimitFields,
}

impl FromToml for KeyTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        if !matches!(value.toml, DeValue::Table(_)) {
            let digest = KeyDigest::from_toml(value, problems)?;
            let digest = Field::Given(Spanned { value: digest, span: value.span });
            return Some(Self { span: value.span, digest, ..Self::default() });
        }
        let mut table = Table::open(value, "a key", problems)?;
        let read = Self {
            span: table.span,
            id: table.field("id"),
            digest: table.field("digest"),
            expires: table.field("expires"),
            scopes: table.field("scopes"),
            allow_from: table.field("allow_from"),
            status: table.field("status"),
            limits: LimitFields::read(&mut table),
        };
        table.finish();
        Some(read)
    }
}

/// What is not a digest is most likely the key itself, so neither the message nor the excerpt
/// repeats it.
impl FromToml for KeyDigest {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = value.toml else {
            super::table::conceal_strings(value, problems);
            super::value::expected(value, "a key's digest, \"sha256:…\"", problems);
            return None;
        };
        let digest = text.parse().ok();
        if digest.is_none() {
            let problem = if text.starts_with("sha256:") {
                let problem =
                    Problem::error(value.span, "a digest is `sha256:` and 64 hexadecimal digits");
                problem.help(match after_prefix(text) {
                    64 => "not all of these are hexadecimal digits".to_owned(),
                    length => format!("what stands behind `sha256:` has the length {length}"),
                })
            } else {
                Problem::error(value.span, "write the key's digest, not the key").help(
                    "the digest is `sha256:` and what `printf %s KEY | sha256sum` prints; a key \
                     that stood in a file is better replaced",
                )
            };
            problems.add(problem.hidden());
        }
        digest
    }
}

fn after_prefix(text: &str) -> usize {
    text.chars().count().saturating_sub("sha256:".len())
}
