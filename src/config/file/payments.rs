//! `[payments]`, as written.

use toml::de::DeValue;

use super::{
    table::{Field, FromToml, Spanned, Table, Value},
    value::expected,
};
use crate::{
    config::{
        report::{Problems, Span},
        secret::SecretSource,
    },
    model::Settle,
    pay::x402,
};

/// `[payments]`.
#[derive(Debug)]
pub(in crate::config) struct PaymentsTable {
    pub(in crate::config) secret: Field<SecretSource>,
    pub(in crate::config) x402: Field<X402Table>,
    pub(in crate::config) mpp: Field<MppTable>,
}

impl FromToml for PaymentsTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[payments]`", problems)?;
        let read = Self {
            secret: table.field("secret"),
            x402: table.field("x402"),
            mpp: table.field("mpp"),
        };
        table.later(&["top_up", "discovery", "l402", "lightning"]);
        table.finish();
        Some(read)
    }
}

/// `[payments.x402]`.
#[derive(Debug)]
pub(in crate::config) struct X402Table {
    pub(in crate::config) span: Span,
    pub(in crate::config) facilitator: Field<Facilitators>,
    pub(in crate::config) network: Field<String>,
    pub(in crate::config) asset: Field<String>,
    pub(in crate::config) asset_name: Field<String>,
    pub(in crate::config) asset_version: Field<String>,
    pub(in crate::config) decimals: Field<i64>,
    pub(in crate::config) usd_rate: Field<String>,
    pub(in crate::config) pay_to: Field<String>,
    pub(in crate::config) settle: Field<Settle>,
    pub(in crate::config) asset_transfer_method: Field<x402::Method>,
    pub(in crate::config) v1: Field<bool>,
}

/// One URL or a list of them.
#[derive(Debug)]
pub(in crate::config) struct Facilitators(pub(in crate::config) Vec<Spanned<String>>);

impl FromToml for Facilitators {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        match value.toml {
            DeValue::String(text) => {
                let value = Spanned { value: text.clone().into_owned(), span: value.span };
                Some(Self(vec![value]))
            }
            DeValue::Array(_) => Vec::from_toml(value, problems).map(Self),
            _ => {
                expected(value, "a URL or a list of them", problems);
                None
            }
        }
    }
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
            asset_transfer_method: table.field("asset_transfer_method"),
            v1: table.field("v1"),
        };
        table.finish();
        Some(read)
    }
}

/// `[payments.mpp]`.
#[derive(Debug)]
pub(in crate::config) struct MppTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) realm: Field<String>,
    pub(in crate::config) methods: Field<Vec<Spanned<Method>>>,
}

impl FromToml for MppTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[payments.mpp]`", problems)?;
        let read =
            Self { span: table.span, realm: table.field("realm"), methods: table.field("methods") };
        table.finish();
        Some(read)
    }
}

/// By what the scheme `Payment` moves money; read in `choice.rs`.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum Method {
    /// By what moves it for x402.
    Evm,
}
