//! The tables about the gateway itself, as written.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;

use super::{
    table::{Field, FromToml, Named, Spanned, Table, Value},
    tls::TlsTable,
    value::{OptionalSize, Size, Timeout},
};
use crate::{
    config::{
        KeyLocation,
        report::{Problems, Span},
        secret::SecretSource,
    },
    model::Durability,
    telemetry::{access_log, level::Level, messages},
};

/// `[server]`.
#[derive(Debug, Default)]
pub(in crate::config) struct ServerTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) listen: Field<SocketAddr>,
    pub(in crate::config) public_url: Field<String>,
    pub(in crate::config) reserved_prefix: Field<String>,
    pub(in crate::config) drain_timeout: Field<Duration>,
    pub(in crate::config) workers: Field<i64>,
    pub(in crate::config) tls: Field<TlsTable>,
    pub(in crate::config) trusted_proxies: Field<Vec<Spanned<IpNet>>>,
    pub(in crate::config) proxy_protocol: Field<bool>,
    pub(in crate::config) listeners: Field<Vec<Spanned<ListenerTable>>>,
    pub(in crate::config) limits: Field<LimitsTable>,
}

impl FromToml for ServerTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[server]`", problems)?;
        let read = Self {
            span: table.span,
            listen: table.field("listen"),
            public_url: table.field("public_url"),
            reserved_prefix: table.field("reserved_prefix"),
            drain_timeout: table.field("drain_timeout"),
            workers: table.field("workers"),
            tls: table.field("tls"),
            trusted_proxies: table.field("trusted_proxies"),
            proxy_protocol: table.field("proxy_protocol"),
            listeners: table.field("listeners"),
            limits: table.field("limits"),
        };
        table.finish();
        Some(read)
    }
}

/// One of `[[server.listeners]]`.
#[derive(Debug)]
pub(in crate::config) struct ListenerTable {
    pub(in crate::config) listen: Field<SocketAddr>,
    pub(in crate::config) tls: Field<TlsTable>,
    pub(in crate::config) proxy_protocol: Field<bool>,
}

impl FromToml for ListenerTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[[server.listeners]]`", problems)?;
        let read = Self {
            listen: table.field("listen"),
            tls: table.field("tls"),
            proxy_protocol: table.field("proxy_protocol"),
        };
        table.finish();
        Some(read)
    }
}

/// `[server.limits]`.
#[derive(Debug, Default)]
pub(in crate::config) struct LimitsTable {
    pub(in crate::config) connections: Field<i64>,
    pub(in crate::config) handshakes: Field<i64>,
    pub(in crate::config) streams: Field<i64>,
    pub(in crate::config) connections_per_address: Field<i64>,
    pub(in crate::config) header_bytes: Field<Size>,
    pub(in crate::config) headers: Field<i64>,
    pub(in crate::config) body_bytes: Field<Size>,
    pub(in crate::config) header_timeout: Field<Duration>,
    pub(in crate::config) idle_timeout: Field<Duration>,
    pub(in crate::config) request_timeout: Field<Timeout>,
    pub(in crate::config) minimum_rate: Field<OptionalSize>,
    pub(in crate::config) memory: Field<OptionalSize>,
}

impl FromToml for LimitsTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[server.limits]`", problems)?;
        let read = Self {
            connections: table.field("connections"),
            handshakes: table.field("handshakes"),
            streams: table.field("streams"),
            connections_per_address: table.field("connections_per_address"),
            header_bytes: table.field("header_bytes"),
            headers: table.field("headers"),
            body_bytes: table.field("body_bytes"),
            header_timeout: table.field("header_timeout"),
            idle_timeout: table.field("idle_timeout"),
            request_timeout: table.field("request_timeout"),
            minimum_rate: table.field("minimum_rate"),
            memory: table.field("memory"),
        };
        table.finish();
        Some(read)
    }
}

/// `[admin]`.
#[derive(Debug, Default)]
pub(in crate::config) struct AdminTable {
    pub(in crate::config) listen: Field<SocketAddr>,
    pub(in crate::config) token: Field<SecretSource>,
    pub(in crate::config) read_token: Field<SecretSource>,
    pub(in crate::config) hosts: Field<Vec<Spanned<String>>>,
}

impl FromToml for AdminTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[admin]`", problems)?;
        let read = Self {
            listen: table.field("listen"),
            token: table.field("token"),
            read_token: table.field("read_token"),
            hosts: table.field("hosts"),
        };
        table.finish();
        Some(read)
    }
}

/// `[store]`.
#[derive(Debug, Default)]
pub(in crate::config) struct StoreTable {
    pub(in crate::config) url: Field<String>,
    pub(in crate::config) password: Field<SecretSource>,
    pub(in crate::config) journal: Field<String>,
    pub(in crate::config) durability: Field<Durability>,
    pub(in crate::config) retention: Field<RetentionTable>,
}

impl FromToml for StoreTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[store]`", problems)?;
        let read = Self {
            url: table.field("url"),
            password: table.field("password"),
            journal: table.field("journal"),
            durability: table.field("durability"),
            retention: table.field("retention"),
        };
        table.finish();
        Some(read)
    }
}

/// `retention` in `[store]`.
#[derive(Debug, Default)]
pub(in crate::config) struct RetentionTable {
    pub(in crate::config) requests: Field<Duration>,
    pub(in crate::config) requests_size: Field<Size>,
    pub(in crate::config) entries: Field<Duration>,
    pub(in crate::config) answers: Field<Duration>,
}

impl FromToml for RetentionTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`retention`", problems)?;
        let read = Self {
            requests: table.field("requests"),
            requests_size: table.field("requests_size"),
            entries: table.field("entries"),
            answers: table.field("answers"),
        };
        table.finish();
        Some(read)
    }
}

/// `[log]`.
#[derive(Debug, Default)]
pub(in crate::config) struct LogTable {
    pub(in crate::config) access: Field<String>,
    pub(in crate::config) access_format: Field<access_log::Format>,
    pub(in crate::config) format: Field<messages::Format>,
    pub(in crate::config) level: Field<Level>,
}

impl FromToml for LogTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[log]`", problems)?;
        let read = Self {
            access: table.field("access"),
            access_format: table.field("access_format"),
            format: table.field("format"),
            level: table.field("level"),
        };
        table.finish();
        Some(read)
    }
}

/// `[auth]`.
#[derive(Debug, Default)]
pub(in crate::config) struct AuthTable {
    pub(in crate::config) locations: Field<Vec<Spanned<KeyLocation>>>,
    pub(in crate::config) guesses: Field<GuessesTable>,
}

impl FromToml for AuthTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[auth]`", problems)?;
        let read = Self { locations: table.field("locations"), guesses: table.field("guesses") };
        table.finish();
        Some(read)
    }
}

/// `guesses` in `[auth]`.
#[derive(Debug)]
pub(in crate::config) struct GuessesTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) limit: Field<i64>,
    pub(in crate::config) window: Field<Duration>,
}

impl FromToml for GuessesTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`guesses`", problems)?;
        let read =
            Self { span: table.span, limit: table.field("limit"), window: table.field("window") };
        table.finish();
        Some(read)
    }
}

/// `[answers]`.
#[derive(Debug, Default)]
pub(in crate::config) struct AnswersTable {
    pub(in crate::config) status: Field<Vec<Named<i64>>>,
}

impl FromToml for AnswersTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`[answers]`", problems)?;
        let read = Self { status: table.field("status") };
        table.finish();
        Some(read)
    }
}
