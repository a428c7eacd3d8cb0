//! Upstreams, as written.

use std::time::Duration;

use super::{
    routes::StatusSet,
    table::{Field, FromToml, Named, Spanned, Table, Value},
    tls::UpstreamTlsTable,
};
use crate::{
    config::{
        report::{Problems, Span},
        secret::HeaderSource,
    },
    model::{HostHeader, HttpVersion},
};

/// `[upstreams.ID]`.
#[derive(Debug)]
pub(in crate::config) struct UpstreamTable {
    pub(in crate::config) url: Field<String>,
    pub(in crate::config) urls: Field<Vec<Spanned<String>>>,
    pub(in crate::config) http_version: Field<HttpVersion>,
    pub(in crate::config) connect_timeout: Field<Duration>,
    pub(in crate::config) response_timeout: Field<Duration>,
    pub(in crate::config) idle_timeout: Field<Duration>,
    pub(in crate::config) keepalive_timeout: Field<Duration>,
    pub(in crate::config) host: Field<HostHeader>,
    pub(in crate::config) set_headers: Field<Vec<Named<HeaderSource>>>,
    pub(in crate::config) health: Field<HealthTable>,
    pub(in crate::config) connections: Field<i64>,
    pub(in crate::config) queue: Field<QueueTable>,
    pub(in crate::config) retries: Field<i64>,
    pub(in crate::config) tls: Field<UpstreamTlsTable>,
}

impl FromToml for UpstreamTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "an upstream", problems)?;
        let read = Self {
            url: table.field("url"),
            urls: table.field("urls"),
            http_version: table.field("http_version"),
            connect_timeout: table.field("connect_timeout"),
            response_timeout: table.field("response_timeout"),
            idle_timeout: table.field("idle_timeout"),
            keepalive_timeout: table.field("keepalive_timeout"),
            host: table.field("host"),
            set_headers: table.field("set_headers"),
            health: table.field("health"),
            connections: table.field("connections"),
            queue: table.field("queue"),
            retries: table.field("retries"),
            tls: table.field("tls"),
        };
        table.finish();
        Some(read)
    }
}

/// `health` of an upstream.
#[derive(Debug)]
pub(in crate::config) struct HealthTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) path: Field<String>,
    pub(in crate::config) grpc: Field<String>,
    pub(in crate::config) interval: Field<Duration>,
    pub(in crate::config) timeout: Field<Duration>,
    pub(in crate::config) fails: Field<i64>,
    pub(in crate::config) passes: Field<i64>,
    pub(in crate::config) status: Field<StatusSet>,
}

impl FromToml for HealthTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`health`", problems)?;
        let read = Self {
            span: table.span,
            path: table.field("path"),
            grpc: table.field("grpc"),
            interval: table.field("interval"),
            timeout: table.field("timeout"),
            fails: table.field("fails"),
            passes: table.field("passes"),
            status: table.field("status"),
        };
        table.finish();
        Some(read)
    }
}

/// `queue` of an upstream.
#[derive(Debug)]
pub(in crate::config) struct QueueTable {
    pub(in crate::config) length: Field<i64>,
    pub(in crate::config) timeout: Field<Duration>,
}

impl FromToml for QueueTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`queue`", problems)?;
        let read = Self { length: table.field("length"), timeout: table.field("timeout") };
        table.finish();
        Some(read)
    }
}
