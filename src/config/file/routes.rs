//! Routes, as written.

use toml::de::DeValue;

use super::{
    table::{Field, FromToml, Spanned, Table, Value},
    value::Timeout,
};
use crate::{
    config::{
        report::{Problem, Problems, Span},
        wording::quote,
    },
    model::{Access, Money, Settle, WebSocket, parse_duration},
};

/// `[[routes]]`.
#[derive(Debug)]
pub(in crate::config) struct RouteTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) name: Field<String>,
    pub(in crate::config) host: Field<String>,
    pub(in crate::config) path: Field<String>,
    pub(in crate::config) methods: Field<Vec<Spanned<String>>>,
    pub(in crate::config) upstream: Field<String>,
    pub(in crate::config) strip_prefix: Field<String>,
    pub(in crate::config) access: Field<Access>,
    pub(in crate::config) cost: Field<i64>,
    pub(in crate::config) price: Field<Money>,
    pub(in crate::config) settle: Field<Settle>,
    pub(in crate::config) scopes: Field<Vec<Spanned<String>>>,
    pub(in crate::config) enforce: Field<bool>,
    pub(in crate::config) charge_on: Field<Vec<Spanned<StatusSet>>>,
    pub(in crate::config) websocket: Field<WebSocket>,
    pub(in crate::config) request_timeout: Field<Timeout>,
}

impl FromToml for RouteTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "a route", problems)?;
        let read = Self {
            span: table.span,
            name: table.field("name"),
            host: table.field("host"),
            path: table.field("path"),
            methods: table.field("methods"),
            upstream: table.field("upstream"),
            strip_prefix: table.field("strip_prefix"),
            access: table.field("access"),
            cost: table.field("cost"),
            price: table.field("price"),
            settle: table.field("settle"),
            scopes: table.field("scopes"),
            enforce: table.field("enforce"),
            charge_on: table.field("charge_on"),
            websocket: table.field("websocket"),
            request_timeout: table.field("request_timeout"),
        };
        table.finish();
        Some(read)
    }
}

/// One of three words, or the time that is paid for.
impl FromToml for WebSocket {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = value.toml else {
            super::value::expected(value, "a string", problems);
            return None;
        };
        let read = match text.as_ref() {
            "connection" => Some(Self::Connection),
            "message" => Some(Self::Message),
            "off" => Some(Self::Off),
            text => parse_duration(text).map(Self::Time),
        };
        if read.is_none() {
            let message = format!("a WebSocket is not charged by {}", quote(text));
            let help = "write \"connection\", \"message\", \"off\", or the time that one charge pays \
                        for, such as \"30s\"";
            problems.add(Problem::error(value.span, message).help(help));
        }
        read
    }
}

/// An item of `charge_on`: a number or a text such as "100-499", "2xx" or "!402".
#[derive(Debug)]
pub(in crate::config) struct StatusSet(pub(in crate::config) String);

impl FromToml for StatusSet {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        match value.toml {
            DeValue::Integer(_) => {
                i64::from_toml(value, problems).map(|status| Self(status.to_string()))
            }
            DeValue::String(text) => Some(Self(text.clone().into_owned())),
            _ => {
                super::value::expected(value, "a status or a range of them", problems);
                None
            }
        }
    }
}
