//! What a process says to the others that share the database, and hears from them, on a connection of its own.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::{
    connection::{Connection, Role},
    nodes::{self, Beat},
    server::Server,
};
use crate::store::{NodeId, StoreError};

/// A process among those that share the database. Its methods block.
#[derive(Debug)]
pub struct Peer {
    connection: Connection,
    node: NodeId,
    run: u64,
}

impl Peer {
    pub(super) fn new(server: Arc<Server>, node: NodeId, run: u64) -> Result<Self, StoreError> {
        let connection = Connection::new(server, Role::Peer);
        let connection = connection.map_err(|error| StoreError::new("read", error))?;
        Ok(Self { connection, node, run })
    }

    /// Says that it is there, and asks who else is.
    pub fn beat(&self) -> Result<Beat, StoreError> {
        nodes::beat(&self.connection, self.node, self.run)
    }

    /// Says that it has stopped.
    pub fn leave(&self) -> Result<(), StoreError> {
        nodes::leave(&self.connection, self.node, self.run)
    }

    /// Waits until there is something to hear, or so long.
    pub fn wait(&self, limit: Duration) {
        self.connection.wait(limit);
    }

    /// Gives what ends [`Peer::wait`] before its time.
    pub fn waker(&self) -> Arc<Notify> {
        self.connection.notified()
    }
}
