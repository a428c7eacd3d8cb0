//! Hears that somebody lacks units which other nodes have left, or wants to know what they did, on a connection of its own.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    connection::{Connection, Role},
    leases::Recall,
    server::Server,
    value,
};
use crate::store::StoreError;

/// How often is seen whether the connection is still there.
const LOOK: Duration = Duration::from_secs(5);

/// Hears recalls. Its method blocks.
#[derive(Debug)]
pub struct Recalls {
    connection: Connection,
    schema: String,
    looks_at: Instant,
}

impl Recalls {
    pub(super) fn new(server: Arc<Server>) -> Result<Self, StoreError> {
        let connection = Connection::new(server, Role::Recalled);
        let connection = connection.map_err(|error| StoreError::new("read", error))?;
        Ok(Self { connection, schema: String::new(), looks_at: Instant::now() })
    }

    /// Waits for recalls, for so long at most. Those that came while there was no connection are lost; who lacks
    /// units asks again.
    pub fn wait(&mut self, limit: Duration) -> Result<Vec<Recall>, StoreError> {
        if Instant::now() >= self.looks_at || !self.connection.is_open() {
            let rows = self.connection.rows("read", "SELECT current_schema()::text", &[])?;
            if let Some(row) = rows.first() {
                self.schema = value::text(row, 0)?.into_owned();
            }
            self.looks_at = Instant::now() + LOOK;
        }
        self.connection.wait(limit);
        let told = self.connection.take_told();
        let ours = told.iter().filter_map(|payload| Recall::parse(payload));
        Ok(ours.filter(|recall| recall.schema == self.schema).collect())
    }
}
