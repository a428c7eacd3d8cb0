//! The data listener: one acceptor, and workers that share nothing on the request path.

pub mod acceptor;
pub mod addresses;
mod answers;
pub mod body;
mod clocks;
mod connection;
mod drain;
mod head;
pub mod http1;
pub mod http2;
mod proxied;
pub mod proxy_protocol;
pub mod redirect;
mod secured;
pub mod thread;
pub mod tls;
