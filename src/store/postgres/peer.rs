//! What a process says to the others that share the database, and hears from them, on a connection of its own.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::{
    changes::{self, Found, Head, Own, Told},
    connection::{Connection, Role},
    nodes::{self, Beat},
    server::Server,
};
use crate::store::{NodeId, StoreError, records::Reads, sql::reads::Rows};

/// A process among those that share the database. Its methods block.
#[derive(Debug)]
pub struct Peer {
    connection: Connection,
    node: NodeId,
    run: u64,
    own: Arc<Own>,
}

impl Peer {
    pub(super) fn new(
        server: Arc<Server>,
        node: NodeId,
        run: u64,
        own: Arc<Own>,
    ) -> Result<Self, StoreError> {
        let connection = Connection::new(server, Role::Peer);
        let connection = connection.map_err(|error| StoreError::new("read", error))?;
        Ok(Self { connection, node, run, own })
    }

    /// Says that it is there, and asks who else is, and whether it does what is done once for all.
    pub fn beat(&self, wants_lead: bool) -> Result<Beat, StoreError> {
        nodes::beat(&self.connection, self.node, self.run, wants_lead)
    }

    /// Says that it has stopped.
    pub fn leave(&self) -> Result<(), StoreError> {
        nodes::leave(&self.connection, self.node, self.run)
    }

    /// Gives up to where there are changes.
    pub fn head(&self) -> Result<Head, StoreError> {
        changes::head(&self.connection)
    }

    /// Gives the changes behind a number, some at a time.
    pub fn changes_after(&self, number: u64) -> Result<Vec<Told>, StoreError> {
        changes::after(&self.connection, number)
    }

    /// Drops changes that are so old that everybody has read them.
    pub fn drop_old_changes(&self) -> Result<(), StoreError> {
        changes::drop_old(&self.connection)
    }

    /// Reads customers as one state of the store has them; those that are not there are left out.
    pub fn customers(&self, ids: &[String]) -> Result<Found, StoreError> {
        changes::customers(&self.connection, ids)
    }

    /// Gives what reads everything else.
    pub fn reads(&self) -> impl Reads + '_ {
        Rows::new(&self.connection)
    }

    /// Tells how far this process's own changes have come.
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// Waits until there is something to hear, or so long; tells whether events were put into the outbox.
    pub fn wait(&self, limit: Duration) -> bool {
        self.connection.wait(limit);
        !self.connection.take_told().is_empty()
    }

    /// Gives what ends [`Peer::wait`] before its time.
    pub fn waker(&self) -> Arc<Notify> {
        self.connection.notified()
    }
}
