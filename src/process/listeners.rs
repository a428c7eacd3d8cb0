//! What is listened on.

use std::{
    iter,
    net::{SocketAddr, TcpListener},
};

use super::StartError;
use crate::{config::Config, server::acceptor};

/// The listening sockets of a gateway.
#[derive(Debug)]
pub(super) struct Listeners {
    /// Where callers come, in the order of [`Server::spoken`](crate::config::Server::spoken).
    pub(super) data: Vec<TcpListener>,
    /// Those that send their callers to one of these, and the port there.
    pub(super) redirects: Vec<(TcpListener, u16)>,
    pub(super) admin: TcpListener,
}

/// Their addresses, with the ports that the system chose where none was named.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    /// That of `[server]` itself.
    pub(super) first: SocketAddr,
    /// Those of `[[server.listeners]]`.
    pub(super) further: Vec<SocketAddr>,
    pub(super) redirects: Vec<SocketAddr>,
    pub(super) admin: SocketAddr,
}

impl Listeners {
    /// Opens all of them.
    pub(super) fn open(config: &Config) -> Result<(Self, Addresses), StartError> {
        let server = &config.server;
        let (listener, first) = open("server.listen", server.listen)?;
        let (mut data, mut further) = (vec![listener], Vec::new());
        for of in &server.listeners {
            let (listener, address) = open("server.listeners.listen", of.listen)?;
            data.push(listener);
            further.push(address);
        }
        let (admin, admin_at) = open("admin.listen", config.admin.listen)?;
        let (mut redirects, mut redirects_at) = (Vec::new(), Vec::new());
        let keys =
            iter::once("server.tls.redirect").chain(iter::repeat("server.listeners.tls.redirect"));
        let targets = iter::once(&first).chain(&further).zip(keys);
        for ((tls, _), (target, key)) in server.spoken().zip(targets) {
            let Some(address) = tls.and_then(|tls| tls.redirect) else { continue };
            let (listener, address) = open(key, address)?;
            redirects.push((listener, target.port()));
            redirects_at.push(address);
        }
        let addresses = Addresses { first, further, redirects: redirects_at, admin: admin_at };
        Ok((Self { data, redirects, admin }, addresses))
    }
}

fn open(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { key, address, source };
    let listener = acceptor::listen(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
