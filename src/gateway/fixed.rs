//! What only a restart changes.

use std::net::SocketAddr;

use crate::{
    config::{AccessLog, Admin, Config, Log, Secret, Server, ServerTls, Store},
    model::KeyDigest,
    telemetry::{access_log, messages},
};

/// What only a restart changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fixed {
    listen: SocketAddr,
    /// With where each is redirected to from.
    listeners: Vec<(SocketAddr, Option<SocketAddr>)>,
    redirect: Option<SocketAddr>,
    admin_listen: SocketAddr,
    pub(super) connections: usize,
    handshakes: usize,
    workers: Option<usize>,
    store: Store,
    access: AccessLog,
    access_format: access_log::Format,
    log_format: messages::Format,
    /// A digest, so that the token need not be kept to be compared.
    admin_token: Option<KeyDigest>,
    read_token: Option<KeyDigest>,
    admin_hosts: Vec<String>,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        let Config { server, admin, store, log, .. } = config;
        let Server { listen, listeners, workers, tls, limits, .. } = server;
        let redirect = |tls: &Option<ServerTls>| tls.as_ref().and_then(|tls| tls.redirect);
        let Log { access, access_format, format, level: _ } = log;
        let Admin { listen: admin_listen, token, read_token, hosts } = admin;
        let digest = |token: &Secret| KeyDigest::of(token.expose().as_bytes());
        Self {
            listen: *listen,
            listeners: listeners.iter().map(|of| (of.listen, redirect(&of.tls))).collect(),
            redirect: redirect(tls),
            admin_listen: *admin_listen,
            connections: limits.connections,
            handshakes: limits.handshakes,
            workers: *workers,
            store: store.clone(),
            access: access.clone(),
            access_format: *access_format,
            log_format: *format,
            admin_token: token.as_ref().map(digest),
            read_token: read_token.as_ref().map(digest),
            admin_hosts: hosts.clone(),
        }
    }

    /// Names the first key in which another configuration differs.
    pub(super) fn differs(&self, other: &Self) -> Option<&'static str> {
        let Self {
            listen,
            listeners,
            redirect,
            admin_listen,
            connections,
            handshakes,
            workers,
            store,
            access,
            access_format,
            log_format,
            admin_token,
            read_token,
            admin_hosts,
        } = self;
        let Store { database, journal, durability } = store;
        [
            (*listen != other.listen, "server.listen"),
            (*listeners != other.listeners, "server.listeners"),
            (*redirect != other.redirect, "server.tls.redirect"),
            (*admin_listen != other.admin_listen, "admin.listen"),
            (*connections != other.connections, "server.limits.connections"),
            (*handshakes != other.handshakes, "server.limits.handshakes"),
            (*workers != other.workers, "server.workers"),
            (*database != other.store.database, "store.url"),
            (*journal != other.store.journal, "store.journal"),
            (*durability != other.store.durability, "store.durability"),
            (*access != other.access, "log.access"),
            (*access_format != other.access_format, "log.access_format"),
            (*log_format != other.log_format, "log.format"),
            (*admin_token != other.admin_token, "admin.token"),
            (*read_token != other.read_token, "admin.read_token"),
            (*admin_hosts != other.admin_hosts, "admin.hosts"),
        ]
        .into_iter()
        .find_map(|(changed, key)| changed.then_some(key))
    }
}
