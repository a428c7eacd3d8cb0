//! What tests alone do.

use std::sync::Arc;

use super::{
    Leases, Postgres, Server,
    connection::{Connection, Role},
    each_usage,
    value::{integer, text},
};
use crate::{
    ledger::Window,
    model::Nanos,
    store::{
        MinuteRow, NodeId, StoreError, UsageRow, instant,
        records::Reads,
        sql::{query::ms, reads::Rows},
    },
};

/// Of a pool: used, held, left and forfeited.
pub(in crate::store) type Sums = (i64, u64, u64, u64);

impl Postgres {
    /// Runs statements as somebody with another program would.
    pub(in crate::store) fn run_by_hand(server: Server, sql: &str) -> Result<(), String> {
        let connection = Connection::new(Arc::new(server), Role::Writer).unwrap();
        connection
            .batch("write to", sql)
            .map(drop)
            .map_err(|error| format!("{error}: {}", std::error::Error::source(&error).unwrap()))
    }

    /// Gives what an operator made and changed.
    pub(in crate::store) fn reads(&self) -> impl Reads + '_ {
        Rows::new(&self.connection)
    }

    /// Calls `each` for every account of a customer.
    pub(in crate::store) fn usage_of(
        &self,
        customer: &str,
        each: &mut dyn FnMut(UsageRow<'_>),
    ) -> Result<(), StoreError> {
        let sql = "SELECT window_start, window_end, used, customer, scope, quota FROM usage
            WHERE customer = $1 ORDER BY scope, quota, window_start";
        for row in &self.connection.rows("read", sql, &[&customer])? {
            each_usage(row, each)?;
        }
        Ok(())
    }

    /// Calls `each` for every minute of a customer that begins in the window, in order of time.
    pub(in crate::store) fn minutes_of(
        &self,
        customer: &str,
        window: Window,
        each: &mut dyn FnMut(MinuteRow<'_>),
    ) -> Result<(), StoreError> {
        let sql = "SELECT minute, requests, units, nanos, key_id, route, ending, currency
            FROM customer_minutes WHERE customer = $1 AND minute >= $2 AND minute < $3
            ORDER BY minute, key_id, route, ending, currency";
        let end = window.end.map_or(i64::MAX, ms);
        for row in &self.connection.rows("read", sql, &[&customer, &ms(window.start), &end])? {
            each(MinuteRow {
                customer,
                minute: instant(integer(row, 0)?),
                requests: integer(row, 1)?.try_into().unwrap(),
                units: integer(row, 2)?.try_into().unwrap(),
                nanos: Nanos(integer(row, 3)?),
                key_id: &text(row, 4)?,
                route: &text(row, 5)?,
                ending: &text(row, 6)?,
                currency: text(row, 7)?.parse().ok(),
            });
        }
        Ok(())
    }

    /// Has the next process of a node listened to, and no other one. Gives its number.
    pub(in crate::store) fn next_run(&self, node: NodeId) -> Result<u64, StoreError> {
        super::nodes::join(&self.connection, node, "0.0.0")
    }

    /// Gives what pools have, by their quota.
    pub(in crate::store) fn pools(&self) -> Result<Vec<(String, Sums)>, StoreError> {
        let sql = r#"SELECT quota, used, held, "left", forfeited FROM pools"#;
        let read = |row| -> Result<_, StoreError> {
            let units = |at| integer(row, at).map(super::unsigned);
            let sums = (integer(row, 1)?, units(2)?, units(3)?, units(4)?);
            Ok((text(row, 0)?.into_owned(), sums))
        };
        self.connection.rows("read", sql, &[])?.iter().map(read).collect()
    }

    /// Counts the rows of a table.
    pub(in crate::store) fn count(&self, table: &str) -> Result<i64, StoreError> {
        let rows = self.connection.rows("read", &format!("SELECT count(*) FROM {table}"), &[])?;
        rows.first().map_or(Ok(0), |row| integer(row, 0))
    }

    /// Gives the texts that a statement reads.
    pub(in crate::store) fn texts(&self, sql: &str) -> Result<Vec<String>, StoreError> {
        let rows = self.connection.rows("read", sql, &[])?;
        rows.iter().map(|row| Ok(text(row, 0)?.into_owned())).collect()
    }

    /// Gives the number of the server's process behind the connection.
    pub(in crate::store) fn process(&self) -> Result<i64, StoreError> {
        process(&self.connection)
    }
}

impl Leases {
    /// Gives the number of the server's process behind the connection.
    pub(in crate::store) fn process(&self) -> Result<i64, StoreError> {
        process(self.connection())
    }
}

fn process(connection: &Connection) -> Result<i64, StoreError> {
    let rows = connection.rows("read", "SELECT pg_backend_pid()::bigint", &[])?;
    rows.first().map_or(Ok(0), |row| integer(row, 0))
}
