//! The store in a database on a PostgreSQL server.
//!
//! Invariant: what `commit` answered is on the server's disk, so a journal may be deleted behind it. What it could
//! not learn of is not taken for either: a fold looks for its position with the next attempt, and changes are
//! asked for by the number of their transaction.

#[cfg(test)]
mod by_hand;
mod changes;
mod connection;
pub(in crate::store) mod copying;
mod database;
mod entries;
mod failure;
mod fold;
mod leases;
mod ledger;
mod link;
mod migrate;
mod minutes;
mod money;
mod names;
mod nodes;
mod owners;
mod peer;
mod pools;
mod recalls;
mod role;
mod server;
mod text;
mod tls;
mod usage;
mod value;

use std::{mem, path::Path, sync::Arc, thread, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_postgres::Row;
use uuid::Uuid;

use self::{
    connection::{Begun, Connection, LONG, Role, Uncommitted},
    names::Names,
    value::integer,
};
use crate::{
    ledger::Window,
    model::Nanos,
    store::{
        Commit, Joined, NodeId, OpenReservation, Position, Reader, ReservationId, Shared, Store,
        StoreError, UsageRow, Verdict, instant,
        records::Records,
        sql::{query::ms, reads::Rows, writes::Writer},
    },
};

pub use self::{
    changes::{Found, Head, Knowledge, Own, Told, Whole},
    copying::Destination,
    leases::{Addressed, Asked, Booked, Leases, Lost, RECALLS, Recall, Recovery},
    migrate::OpenError,
    nodes::Beat,
    peer::Peer,
    recalls::Recalls,
    server::{Server, Trust, UrlError},
};

/// A database that this process writes.
#[derive(Debug)]
pub struct Postgres {
    connection: Connection,
    names: Names,
    /// The positions of a fold of which it is not known whether it was committed.
    doubt: Option<Vec<Position>>,
    /// The process among those that share the database; none before it joins them.
    run: u64,
    own: Arc<Own>,
    /// The number of the last change of the last transaction, if it was committed.
    changed: Option<u64>,
}

/// How long is asked what became of a transaction.
const ASK: Duration = Duration::from_secs(10);
const ASK_PAUSE: Duration = Duration::from_millis(100);

/// How long it may be at work still before it is ended.
const AT_WORK: Duration = Duration::from_secs(1);

impl Postgres {
    /// Opens the database; makes the tables where they are not there.
    pub fn open(server: Server) -> Result<Self, OpenError> {
        let connection = Connection::new(Arc::new(server), Role::Writer)?;
        migrate::prepare(&connection)?;
        Ok(Self {
            connection,
            names: Names::default(),
            doubt: None,
            run: 0,
            own: Arc::default(),
            changed: None,
        })
    }

    /// Writes a fold in a transaction that is begun.
    fn write(
        &self,
        names: &mut Names,
        commit: &Commit<'_>,
        after: &mut dyn FnMut(&mut dyn Records) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let connection = &self.connection;
        self.fence(commit.node)?;
        let behind = fold::write(connection, names, commit)?;
        entries::enter(connection, commit.now, behind.over)?;
        connection.set_savepoint()?;
        let result = after(&mut Rows::new(Writer::new(connection)));
        match result {
            // The server refuses everything behind a statement that failed, whoever does not mind it.
            Ok(()) if !connection.is_spoilt() => connection.release()?,
            Ok(()) => {
                tracing::error!("what goes with the usage is not written");
                connection.go_back()?;
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "what goes with the usage is not written");
                connection.go_back()?;
            }
        }
        changes::tell(connection, self.run, &behind.debts).map(drop)
    }

    /// Does works until there is none left; gives the number of the last change that was told.
    fn write_works(
        &self,
        next: &mut dyn FnMut(&mut dyn Records) -> Verdict,
    ) -> Result<Option<u64>, StoreError> {
        let connection = &self.connection;
        let mut announced = Vec::new();
        loop {
            connection.set_savepoint()?;
            let mut rows = Rows::new(Writer::new(connection));
            match next(&mut rows) {
                Verdict::Keep => {
                    connection.release()?;
                    announced.append(&mut rows.announced());
                }
                Verdict::Undo => connection.go_back()?,
                Verdict::Done => {
                    connection.go_back()?;
                    break;
                }
            }
        }
        changes::tell(connection, self.run, &announced)
    }

    /// Waits, in a transaction, until no other one writes the node's folds: what an earlier process left behind on
    /// a server that was slow is committed or gone behind this.
    fn fence(&self, node: NodeId) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM pg_advisory_xact_lock(
            hashtextextended('faregate:' || current_schema() || ':' || $1, 0))";
        self.connection.rows("write to", sql, &[&node.to_string()]).map(drop)
    }

    /// Reads what a node's folds have written.
    fn fenced(&self, node: NodeId, sql: &str) -> Result<Vec<Row>, StoreError> {
        self.connection.begin(LONG)?;
        let read =
            self.fence(node).and_then(|()| self.connection.rows("read", sql, &[&node.to_string()]));
        self.connection.roll_back();
        read
    }

    /// Tells whether a fold of which that was not known is in the store. It comes again as it was.
    fn is_written(&mut self, commit: &Commit<'_>) -> Result<bool, StoreError> {
        let is_asked = self.doubt.as_ref().is_some_and(|positions| *positions == commit.positions);
        if !is_asked || commit.positions.is_empty() {
            return Ok(false);
        }
        let stored = self.positions(commit.node)?;
        let is_stored = |position: &Position| {
            stored
                .iter()
                .any(|other| other.worker == position.worker && other.sequence == position.sequence)
        };
        Ok(commit.positions.iter().all(is_stored))
    }

    /// Asks what became of a transaction whose commit was not answered.
    fn learn(&self, begun: &Begun, error: StoreError) -> Result<(), StoreError> {
        let began = Instant::now();
        while began.elapsed() < ASK {
            match self.fate(begun) {
                Ok(fate) if fate == "committed" => return Ok(()),
                Ok(fate) if fate == "aborted" => return Err(error),
                // It may be frozen: it is ended, so that there is an answer.
                Ok(fate) if fate == "in progress" && began.elapsed() < AT_WORK => {}
                Ok(fate) if fate == "in progress" => {
                    let sql = "SELECT pg_terminate_backend($1::text::int)";
                    let _ = self.connection.rows("read", sql, &[&begun.process]);
                }
                Ok(_) => break,
                Err(_) => {}
            }
            thread::sleep(ASK_PAUSE);
        }
        tracing::error!(
            %error,
            "it is not known whether changes were made: start the gateway anew, so that it reads what is stored"
        );
        Err(error)
    }

    fn fate(&self, begun: &Begun) -> Result<String, StoreError> {
        let sql = "SELECT coalesce(pg_xact_status($1::text::xid8), '')";
        let rows = self.connection.rows("read", sql, &[&begun.number])?;
        let fate = rows.first().map(|row| value::text(row, 0)).transpose()?;
        Ok(fate.unwrap_or_default().into_owned())
    }
}

impl Store for Postgres {
    fn commit(
        &mut self,
        commit: &Commit<'_>,
        after: &mut dyn FnMut(&mut dyn Records) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.is_written(commit)? {
            self.doubt = None;
            return Ok(());
        }
        let mut names = mem::take(&mut self.names);
        self.connection.begin(LONG)?;
        if let Err(error) = self.write(&mut names, commit, after) {
            self.connection.roll_back();
            return Err(error);
        }
        match self.connection.commit() {
            Ok(()) => {
                (self.names, self.doubt) = (names, None);
                Ok(())
            }
            Err(Uncommitted::InDoubt(error)) => {
                self.doubt = Some(commit.positions.clone());
                Err(error)
            }
            Err(Uncommitted::Undone(error)) => Err(error),
        }
    }

    fn transact(
        &mut self,
        next: &mut dyn FnMut(&mut dyn Records) -> Verdict,
    ) -> Result<(), StoreError> {
        self.changed = None;
        let begun = self.connection.begin_works()?;
        let changed = self.write_works(next).inspect_err(|_| self.connection.roll_back())?;
        self.own.begin();
        match self.connection.commit() {
            Ok(()) => {}
            Err(Uncommitted::InDoubt(error)) => self.learn(&begun, error)?,
            Err(Uncommitted::Undone(error)) => return Err(error),
        }
        self.changed = changed;
        Ok(())
    }

    fn told(&mut self) {
        self.own.end(self.changed.take());
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        another(&self.connection)
    }

    fn join(&mut self, node: NodeId, version: &str) -> Result<Joined, StoreError> {
        let run = nodes::join(&self.connection, node, version)?;
        self.run = run;
        let (server, own) = (Arc::clone(self.connection.server()), Arc::clone(&self.own));
        let (leases, recalls) =
            (Leases::new((*server).clone())?, Recalls::new(Arc::clone(&server))?);
        let peer = Peer::new(server, node, run, own)?;
        Ok(Joined { run, shared: Some(Shared { peer, leases, recalls }) })
    }

    /// Others may have something in flight still of those who were removed.
    fn caught_up(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn positions(&self, node: NodeId) -> Result<Vec<Position>, StoreError> {
        let sql = r#"SELECT worker, segment, "offset", sequence, latest FROM positions
            WHERE node = $1 ORDER BY worker"#;
        let read = |row| -> Result<Position, StoreError> {
            Ok(Position {
                worker: u16::try_from(integer(row, 0)?).map_err(damaged)?,
                segment: unsigned(integer(row, 1)?),
                offset: unsigned(integer(row, 2)?),
                sequence: unsigned(integer(row, 3)?),
                latest: instant(integer(row, 4)?),
            })
        };
        self.fenced(node, sql)?.iter().map(read).collect()
    }

    fn open_reservations(&self, node: NodeId) -> Result<Vec<OpenReservation>, StoreError> {
        let sql =
            "SELECT worker, sequence, cost, opened_at, nanos, request_id, customer, definition
            FROM open_reservations WHERE node = $1 ORDER BY worker, sequence";
        let read = |row| -> Result<OpenReservation, StoreError> {
            let (worker, sequence) = (integer(row, 0)?, unsigned(integer(row, 1)?));
            let worker = u16::try_from(worker).map_err(damaged)?;
            Ok(OpenReservation {
                id: ReservationId { worker, sequence },
                cost: unsigned(integer(row, 2)?),
                opened_at: instant(integer(row, 3)?),
                nanos: Nanos(integer(row, 4)?),
                // Only for the eye; what cannot be read as an id does not keep the units from counting.
                request_id: value::text(row, 5)?.parse().unwrap_or(Uuid::nil()),
                customer: value::text(row, 6)?.into_owned(),
                definition: row.try_get(7).map_err(damaged)?,
            })
        };
        self.fenced(node, sql)?.iter().map(read).collect()
    }

    /// Other processes share the database, and are at work.
    fn lost_nodes(&self, _: NodeId) -> Result<Vec<NodeId>, StoreError> {
        Ok(Vec::new())
    }

    fn load_usage(
        &self,
        now: Timestamp,
        each: &mut dyn FnMut(UsageRow<'_>),
    ) -> Result<(), StoreError> {
        let sql = "SELECT window_start, window_end, used, customer, scope, quota FROM usage
            WHERE window_end IS NULL OR window_end > $1";
        self.connection
            .reading(|| self.connection.each(sql, &[&ms(now)], &mut |row| each_usage(row, each)))
    }

    fn latest_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.connection.rows("read", "SELECT max(latest) FROM positions", &[])?;
        let latest = rows.first().map(|row| row.try_get::<_, Option<i64>>(0)).transpose();
        Ok(latest.map_err(damaged)?.flatten().map(instant))
    }
}

fn each_usage(row: &Row, each: &mut dyn FnMut(UsageRow<'_>)) -> Result<bool, StoreError> {
    let end: Option<i64> = row.try_get(1).map_err(damaged)?;
    let (customer, scope, quota) =
        (value::text(row, 3)?, value::text(row, 4)?, value::text(row, 5)?);
    each(UsageRow {
        customer: &customer,
        scope: &scope,
        quota: &quota,
        window: Window { start: instant(integer(row, 0)?), end: end.map(instant) },
        used: unsigned(integer(row, 2)?),
    });
    Ok(true)
}

impl Reader for Rows<Connection> {
    fn another(&self) -> Result<Box<dyn Reader>, StoreError> {
        another(self.by())
    }

    fn backup(&self, _: &Path) -> Result<(), StoreError> {
        let what = "it is on a PostgreSQL server, which has its own means: copy it with `pg_dump`, as \
                    \"Backup and restoration\" in docs/operating.md says";
        Err(StoreError::new("copy", what))
    }
}

fn another(connection: &Connection) -> Result<Box<dyn Reader>, StoreError> {
    let server = Arc::clone(connection.server());
    let reader = Connection::new(server, Role::Reader);
    Ok(Box::new(Rows::new(reader.map_err(|error| StoreError::new("read", error))?)))
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::new("understand", error)
}

/// Only folds write these columns; a negative number is somebody else's, and counts nothing.
fn unsigned(units: i64) -> u64 {
    u64::try_from(units).unwrap_or(0)
}
