//! `[[server.listeners]]`: further addresses of the same gateway.

use std::{net::SocketAddr, path::Path};

use ipnet::IpNet;

use super::{networks, server::is_same, tls};
use crate::config::{
    Listener,
    file::{Field, ListenerTable, Spanned},
    report::{Problem, Problems, Span},
};

/// An address that is taken, where it stands, if it does, and what by.
pub(super) type Taken<'t> = (SocketAddr, Option<Span>, &'t str);

/// Checks them. Each must have an address of its own.
pub(super) fn check(
    field: &Field<Vec<Spanned<ListenerTable>>>,
    taken: Vec<Taken<'_>>,
    trusted: &Field<Vec<Spanned<IpNet>>>,
    directory: &Path,
    problems: &mut Problems,
) -> Vec<Listener> {
    let tables = field.value().map_or(&[][..], Vec::as_slice);
    let mut taken = taken;
    let mut listeners = Vec::with_capacity(tables.len());
    for Spanned { value: table, span } in tables {
        let ListenerTable { listen, tls, proxy_protocol } = table;
        let missing = || {
            Problem::error(*span, "`listen` is missing in `[[server.listeners]]`")
                .help("write listen = \"127.0.0.1:8404\", or another address for callers to reach")
        };
        let listen = listen.required(problems, missing);
        if let Some(Spanned { value: own, span }) = listen {
            if let Some((_, other, name)) = taken.iter().find(|(of, ..)| is_same(*own, *of)) {
                let message = format!("both listeners would take port {}", own.port());
                let problem =
                    Problem::error(*span, message).help("give each listener its own port");
                problems.add(match other {
                    Some(other) => problem.related(*other, *name),
                    None => problem,
                });
            }
            taken.push((*own, Some(*span), "another listener's address"));
        }
        let address = listen.map(|listen| listen.value);
        // Callers are told one address, which is that of `[server]`.
        let tls = tls::check(tls, &Field::default(), address, directory, problems);
        let proxy_protocol = networks::check_proxy_protocol(proxy_protocol, trusted, problems);
        listeners.extend(address.map(|listen| Listener { listen, tls, proxy_protocol }));
    }
    listeners
}
