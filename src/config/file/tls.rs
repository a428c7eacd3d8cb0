//! `tls` in `[server]` and of an upstream, as written.

use std::{net::SocketAddr, time::Duration};

use super::table::{Field, FromToml, Spanned, Table, Value};
use crate::config::{
    ClientAuth, TlsVersion,
    report::{Problems, Span},
};

/// `tls` in `[server]`.
#[derive(Debug)]
pub(in crate::config) struct TlsTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) cert: Field<String>,
    pub(in crate::config) key: Field<String>,
    pub(in crate::config) certificates: Field<Vec<Spanned<CertificateTable>>>,
    pub(in crate::config) client_ca: Field<String>,
    pub(in crate::config) client_auth: Field<ClientAuth>,
    pub(in crate::config) min_version: Field<TlsVersion>,
    pub(in crate::config) hsts: Field<Duration>,
    pub(in crate::config) redirect: Field<SocketAddr>,
}

impl FromToml for TlsTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`tls`", problems)?;
        let read = Self {
            span: table.span,
            cert: table.field("cert"),
            key: table.field("key"),
            certificates: table.field("certificates"),
            client_ca: table.field("client_ca"),
            client_auth: table.field("client_auth"),
            min_version: table.field("min_version"),
            hsts: table.field("hsts"),
            redirect: table.field("redirect"),
        };
        table.finish();
        Some(read)
    }
}

/// A certificate's file and its key's.
#[derive(Debug)]
pub(in crate::config) struct CertificateTable {
    pub(in crate::config) cert: Field<String>,
    pub(in crate::config) key: Field<String>,
}

impl FromToml for CertificateTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "a certificate", problems)?;
        let read = Self { cert: table.field("cert"), key: table.field("key") };
        table.finish();
        Some(read)
    }
}

/// `tls` of an upstream.
#[derive(Debug)]
pub(in crate::config) struct UpstreamTlsTable {
    pub(in crate::config) span: Span,
    pub(in crate::config) ca: Field<String>,
    pub(in crate::config) cert: Field<String>,
    pub(in crate::config) key: Field<String>,
    pub(in crate::config) server_name: Field<String>,
    pub(in crate::config) min_version: Field<TlsVersion>,
}

impl FromToml for UpstreamTlsTable {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = Table::open(value, "`tls`", problems)?;
        let read = Self {
            span: table.span,
            ca: table.field("ca"),
            cert: table.field("cert"),
            key: table.field("key"),
            server_name: table.field("server_name"),
            min_version: table.field("min_version"),
        };
        table.finish();
        Some(read)
    }
}
