//! `[payments]`, as written.

use super::table::{Field, FromToml, Table, Value};
use crate::{
    config::report::{Problems, Span},
    model::Settle,
};

/// `[payments]`.
#[derive(Debug)]
pub(in crate::config) struct PaymentsTable {
    pub(in crate::config) x402: Field<X402Table>,
}

impl FromToml for PaymentsTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[payments]`", problems)?;
        let read = Self { x402: table.field("x402") };
        table.later(&["secret", "top_up", "discovery", "mpp", "l402", "lightning"]);
        table.finish();
        Some(read)
    }
}

/// `[payments.x402]`.
#[derive(Debug)]
pub(in crate::config) struct X402Table {
    pub(in crate::config) span: Span,
    pub(in crate::config) facilitator: Field<String>,
    pub(in crate::config) network: Field<String>,
    pub(in crate::config) asset: Field<String>,
    pub(in crate::config) asset_name: Field<String>,
    pub(in crate::config) asset_version: Field<String>,
    pub(in crate::config) decimals: Field<i64>,
    pub(in crate::config) usd_rate: Field<String>,
    pub(in crate::config) pay_to: Field<String>,
    pub(in crate::config) settle: Field<Settle>,
}

impl FromToml for X402Table {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[payments.x402]`", problems)?;
        let read = Self {
            span: table.span,
            facilitator: table.field("facilitator"),
            network: table.field("network"),
            asset: table.field("asset"),
            asset_name: table.field("asset_name"),
            asset_version: table.field("asset_version"),
            decimals: table.field("decimals"),
            usd_rate: table.field("usd_rate"),
            pay_to: table.field("pay_to"),
            settle: table.field("settle"),
        };
        table.later(&["v1"]);
        table.finish();
        Some(read)
    }
}
