//! The data listener: one acceptor, and workers that share nothing on the request path.

pub mod acceptor;
pub mod addresses;
mod connection;
mod drain;
pub mod http1;
mod proxied;
pub mod proxy_protocol;
pub mod redirect;
mod secured;
pub mod thread;
pub mod tls;
