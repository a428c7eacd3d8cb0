//! Plans and the limits that plans and customers have alike, as written.

use std::time::Duration;

use super::{
    choice::Zone,
    table::{Field, FromToml, Spanned, Table, Value},
};
use crate::{
    config::report::{Problems, Span},
    ledger::WindowKind,
    model::{Align, ChangeRule, Money},
};

/// `[plans.ID]`.
#[derive(Debug, Default)]
pub(in crate::config) struct PlanTable {
    pub(in crate::config) title: Field<String>,
    pub(in crate::config) routes: Field<Vec<Spanned<String>>>,
    pub(in crate::config) limits: LimitFields,
    pub(in crate::config) trial: Field<Duration>,
    pub(in crate::config) grace: Field<Duration>,
    pub(in crate::config) upgrade_url: Field<String>,
    pub(in crate::config) on_sale: Field<bool>,
    pub(in crate::config) archived: Field<bool>,
    pub(in crate::config) change: Field<ChangeRule>,
    pub(in crate::config) enforce: Field<bool>,
}

impl FromToml for PlanTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "a plan", problems)?;
        let read = Self {
            title: table.field("title"),
            routes: table.field("routes"),
            limits: LimitFields::read(&mut table),
            trial: table.field("trial"),
            grace: table.field("grace"),
            upgrade_url: table.field("upgrade_url"),
            on_sale: table.field("on_sale"),
            archived: table.field("archived"),
            change: table.field("change"),
            enforce: table.field("enforce"),
        };
        table.finish();
        Some(read)
    }
}

/// The options that set limits.
#[derive(Debug, Default)]
pub(in crate::config) struct LimitFields {
    pub(in crate::config) quotas: Field<Vec<Spanned<QuotaTable>>>,
    pub(in crate::config) rate: Field<RateTable>,
    pub(in crate::config) concurrency: Field<i64>,
}

impl LimitFields {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            quotas: table.field("quotas"),
            rate: table.field("rate"),
            concurrency: table.field("concurrency"),
        }
    }
}

/// An item of `quotas`.
#[derive(Debug)]
pub(in crate::config) struct QuotaTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) name: Field<String>,
    pub(in crate::config) limit: Field<i64>,
    pub(in crate::config) window: Field<WindowKind>,
    pub(in crate::config) align: Field<Align>,
    pub(in crate::config) zone: Field<Zone>,
    pub(in crate::config) renamed_from: Field<String>,
    pub(in crate::config) overage: Field<OverageTable>,
}

impl FromToml for QuotaTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "a quota", problems)?;
        let read = Self {
            span: table.span,
            name: table.field("name"),
            limit: table.field("limit"),
            window: table.field("window"),
            align: table.field("align"),
            zone: table.field("zone"),
            renamed_from: table.field("renamed_from"),
            overage: table.field("overage"),
        };
        table.finish();
        Some(read)
    }
}

/// `overage` of a quota.
#[derive(Debug)]
pub(in crate::config) struct OverageTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) price: Field<Money>,
}

impl FromToml for OverageTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "an overage", problems)?;
        let read = Self { span: table.span, price: table.field("price") };
        table.finish();
        Some(read)
    }
}

/// `rate`.
#[derive(Debug)]
pub(in crate::config) struct RateTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) limit: Field<i64>,
    pub(in crate::config) window: Field<Duration>,
    pub(in crate::config) burst: Field<i64>,
}

impl FromToml for RateTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "a rate", problems)?;
        let read = Self {
            span: table.span,
            limit: table.field("limit"),
            window: table.field("window"),
            burst: table.field("burst"),
        };
        table.finish();
        Some(read)
    }
}
