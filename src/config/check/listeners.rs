//! `[[server.listeners]]`: further addresses of the same gateway; and that each address is one listener's alone.

use std::{net::SocketAddr, path::Path};

use ipnet::IpNet;

use super::{networks, server::is_same, tls};
use crate::config::{
    Listener,
    file::{Field, ListenerTable, Spanned, TlsTable},
    report::{Problem, Problems, Span},
};

/// An address that is taken, where it stands, if it does, and what by.
pub(super) type Taken<'t> = (SocketAddr, Option<Span>, &'t str);

/// Checks them. Each must have an address of its own, and so must what redirects to them or to the first.
pub(super) fn check(
    field: &Field<Vec<Spanned<ListenerTable>>>,
    first_tls: &Field<TlsTable>,
    taken: Vec<Taken<'_>>,
    trusted: &Field<Vec<Spanned<IpNet>>>,
    directory: &Path,
    problems: &mut Problems,
) -> Vec<Listener> {
    let tables = field.value().map_or(&[][..], Vec::as_slice);
    let mut taken = taken;
    claim_redirect(first_tls, &mut taken, problems);
    let mut listeners = Vec::with_capacity(tables.len());
    for Spanned { value: table, span } in tables {
        let ListenerTable { listen, tls, proxy_protocol } = table;
        let missing = || {
            Problem::error(*span, "`listen` is missing in `[[server.listeners]]`")
                .help("write listen = \"127.0.0.1:8404\", or another address for callers to reach")
        };
        let listen = listen.required(problems, missing);
        if let Some(own) = listen {
            let help = "give each listener its own port";
            claim(own, "another listener's address", help, &mut taken, problems);
        }
        claim_redirect(tls, &mut taken, problems);
        let address = listen.map(|listen| listen.value);
        // Callers are told one address, which is that of `[server]`.
        let tls = tls::check(tls, &Field::default(), directory, problems);
        let proxy_protocol = networks::check_proxy_protocol(proxy_protocol, trusted, problems);
        listeners.extend(address.map(|listen| Listener { listen, tls, proxy_protocol }));
    }
    listeners
}

/// Takes the address of the listener in clear that a table of TLS names, if it does.
fn claim_redirect(tls: &Field<TlsTable>, taken: &mut Vec<Taken<'_>>, problems: &mut Problems) {
    if let Some(own) = tls.value().and_then(|tls| tls.redirect.given()) {
        let help = "give `redirect` a port of its own, such as \"0.0.0.0:80\"";
        claim(own, "the address of a `redirect`", help, taken, problems);
    }
}

/// Takes an address, unless another listener has it.
fn claim(
    own: &Spanned<SocketAddr>,
    name: &'static str,
    help: &'static str,
    taken: &mut Vec<Taken<'_>>,
    problems: &mut Problems,
) {
    let Spanned { value: own, span } = own;
    if let Some((_, other, name)) = taken.iter().find(|(of, ..)| is_same(*own, *of)) {
        let message = format!("both listeners would take port {}", own.port());
        let problem = Problem::error(*span, message).help(help);
        problems.add(match other {
            Some(other) => problem.related(*other, *name),
            None => problem,
        });
    }
    taken.push((*own, Some(*span), name));
}
