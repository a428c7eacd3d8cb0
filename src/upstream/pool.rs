//! Unused connections to upstreams, one pool per worker: nothing here crosses a thread.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use tokio::time::Instant;

use super::{
    balance::Balance,
    connection::{Connection, Endpoint},
};
use crate::{
    model::{self, Upstream},
    telemetry::metrics::upstreams::{Directory, Endpoint as Figures},
};

/// The unused connections of one worker.
#[derive(Debug)]
pub struct Pool {
    /// A list: there are few endpoints, and to compare a port costs less than to hash a name.
    unused: RefCell<Vec<Unused>>,
    /// Found by where the upstream lies, which is held so that no other comes to lie there.
    balances: RefCell<Vec<(Arc<Upstream>, Rc<Balance>)>>,
    figures: Directory,
}

/// The unused connections to one endpoint, the one used last at the end.
#[derive(Debug)]
struct Unused {
    endpoint: Endpoint,
    connections: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: Instant,
}

impl Pool {
    /// Makes an empty one.
    pub fn new(figures: Directory) -> Self {
        Self { unused: RefCell::default(), balances: RefCell::default(), figures }
    }

    /// Gives what is counted of an upstream's endpoint.
    pub fn figures(&self, upstream: &Upstream, endpoint: &model::Endpoint) -> Arc<Figures> {
        self.figures.find(&upstream.id, &endpoint.host, endpoint.port)
    }

    /// Gives what is known of an upstream with several endpoints.
    pub(super) fn balance(&self, upstream: &Arc<Upstream>) -> Rc<Balance> {
        let mut balances = self.balances.borrow_mut();
        if let Some((_, balance)) = balances.iter().find(|(known, _)| Arc::ptr_eq(known, upstream))
        {
            return Rc::clone(balance);
        }
        let figures = upstream.endpoints.iter().map(|endpoint| self.figures(upstream, endpoint));
        let balance = Rc::new(Balance::new(figures.collect()));
        balances.push((Arc::clone(upstream), Rc::clone(&balance)));
        balance
    }

    /// Takes the connection that was used last and is not known to be closed.
    pub fn take(&self, endpoint: &model::Endpoint, now: Instant) -> Option<Connection> {
        let mut unused = self.unused.borrow_mut();
        let unused = find(&mut unused, &endpoint.host, endpoint.port)?;
        while let Some(Idle { mut connection, until }) = unused.pop() {
            connection.look();
            if now < until && !connection.is_closed() {
                connection.set_idle(false);
                return Some(connection);
            }
        }
        None
    }

    /// Puts a connection back after an exchange that ended cleanly.
    pub fn put(&self, mut connection: Connection, now: Instant) {
        if !connection.rest() {
            return;
        }
        connection.set_idle(true);
        let until = now + connection.keepalive();
        let mut unused = self.unused.borrow_mut();
        let (host, port) = connection.endpoint();
        match find(&mut unused, host, *port) {
            Some(connections) => connections.push(Idle { connection, until }),
            None => {
                let endpoint = connection.endpoint().clone();
                let connections = vec![Idle { connection, until }];
                unused.push(Unused { endpoint, connections });
            }
        }
    }

    /// Closes what was closed by the other side or not used for too long, and forgets upstreams that
    /// nobody else knows any more; called now and then.
    pub fn sweep(&self) {
        self.balances.borrow_mut().retain(|(upstream, _)| Arc::strong_count(upstream) > 1);
        let now = Instant::now();
        self.unused.borrow_mut().retain_mut(|Unused { endpoint: _, connections }| {
            connections.retain_mut(|Idle { connection, until }| {
                connection.look();
                now < *until && !connection.is_closed()
            });
            !connections.is_empty()
        });
    }
}

fn find<'a>(unused: &'a mut [Unused], host: &str, port: u16) -> Option<&'a mut Vec<Idle>> {
    let is_it = |unused: &&mut Unused| unused.endpoint.1 == port && *unused.endpoint.0 == *host;
    unused.iter_mut().find(is_it).map(|unused| &mut unused.connections)
}
