//! Names to addresses. What a name stands for is asked once for each connection, and the answer is
//! both checked and connected to: a second look-up could give another one.

use std::{io, net::SocketAddr, pin::Pin};

/// The addresses of a name, to come.
pub type Resolved<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// A source of addresses.
pub trait Resolver: Send + Sync {
    /// Gives all addresses of a name, with the port put in.
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolved<'a>;
}

/// The system's look-up. It holds a thread of the runtime's pool for blocking work until the system
/// gives up, also when nobody waits for it any more; the pool's size bounds them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolved<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}
