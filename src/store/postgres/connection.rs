//! One connection to the server, used by one thread at a time, and made anew when it is lost.
//!
//! The traits of the store block and the client does not, so each connection has a runtime of its own that runs
//! while somebody waits. Invariant: a statement whose answer did not come in time leaves no connection behind:
//! a server that was frozen would answer it later, in place of the next one. Outside of a transaction only is a
//! connection made anew, so a transaction is never half on one and half on another.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::Arc,
    time::Duration,
};

use tokio::{runtime::Runtime, sync::Notify, time::timeout};
use tokio_postgres::{NoTls, Row};

pub(super) use super::role::Role;
use super::{
    failure::{ConnectError, Failure, is_refusal},
    link::{Arguments, Link, Told, drive},
    role::{SHORT, server_limit},
    server::Server,
    tls::Connector,
};
use crate::store::{
    StoreError,
    copy::{Owned, Table},
};

/// How long one of a fold may take, or one that goes through much.
pub(super) const LONG: Duration = Duration::from_secs(if cfg!(test) { 6 } else { 120 });

/// How long the making of a connection may take, over all addresses.
const CONNECT: Duration = Duration::from_secs(5);

/// A transaction that all others wait for keeps its locks for so long at most if its client is gone or frozen.
const IDLE_AT_WORK: Duration = Duration::from_secs(5);

/// A connection, or the means to make one.
pub(super) struct Connection {
    server: Arc<Server>,
    role: Role,
    /// `None` while it is dropped.
    runtime: Option<Runtime>,
    link: RefCell<Option<Link>>,
    /// What is begun and not ended.
    transaction: RefCell<Option<Begun>>,
    limit: Cell<Duration>,
    /// Told when the server notifies a peer, and when the connection ends.
    notified: Arc<Notify>,
    /// What the server told who is recalled.
    told: Arc<Told>,
    /// How many cursors were opened.
    cursors: Cell<u64>,
}

/// A transaction that is begun.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    /// Its number; `None` where it only reads.
    pub(super) number: Option<String>,
    /// The number of the process that serves it.
    pub(super) process: String,
    /// A statement failed, and the server refuses all others.
    is_spoilt: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.link.take());
        // Not waited for: it may be dropped by a task of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects with the first statement.
    pub(super) fn new(server: Arc<Server>, role: Role) -> Result<Self, ConnectError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            server,
            role,
            runtime: Some(runtime.map_err(ConnectError::Runtime)?),
            link: RefCell::new(None),
            transaction: RefCell::new(None),
            limit: Cell::new(role.limit()),
            notified: Arc::default(),
            told: Arc::default(),
            cursors: Cell::new(0),
        })
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Gives what ends [`Connection::wait`] before its time.
    pub(super) fn notified(&self) -> Arc<Notify> {
        Arc::clone(&self.notified)
    }

    /// Takes what the server told.
    pub(super) fn take_told(&self) -> Vec<String> {
        self.told.take()
    }

    /// Tells whether there is a connection, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.link.borrow().as_ref().is_some_and(|link| !link.client.is_closed())
    }

    /// Waits until the server notifies us, the connection ends, or so long.
    pub(super) fn wait(&self, limit: Duration) {
        if let Some(runtime) = &self.runtime {
            let _ = runtime.block_on(async { timeout(limit, self.notified.notified()).await });
        }
    }

    /// Gives the rows of a statement.
    pub(super) fn rows(
        &self,
        action: &'static str,
        sql: &str,
        arguments: Arguments<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.told(action, self.run(&async |link| link.rows(sql, arguments).await))
    }

    /// Runs a statement; gives the number of rows that it wrote.
    pub(super) fn write(&self, sql: &str, arguments: Arguments<'_>) -> Result<u64, StoreError> {
        self.told("write to", self.run(&async |link| link.write(sql, arguments).await))
    }

    /// Writes whole rows to a table; gives their number.
    pub(super) fn copy_in(&self, table: &Table, cells: &[Owned]) -> Result<u64, StoreError> {
        self.told("write to", self.run(&async |link| link.copy_in(table, cells).await))
    }

    /// Runs statements that are not told apart and have no parameters; gives the last row's texts.
    pub(super) fn batch(
        &self,
        action: &'static str,
        sql: &str,
    ) -> Result<Vec<Option<String>>, StoreError> {
        self.told(action, self.run(&async |link| link.batch(sql).await))
    }

    /// Gives the rows of a statement, some at a time, until `each` answers `false`. It goes on reading with a
    /// cursor, so that `each` may use the connection too.
    pub(super) fn each(
        &self,
        sql: &str,
        arguments: Arguments<'_>,
        each: &mut dyn FnMut(&Row) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        const TOGETHER: usize = 1000;
        let number = self.cursors.get().wrapping_add(1);
        self.cursors.set(number);
        let declare = format!("DECLARE rows_{number} NO SCROLL CURSOR FOR {sql}");
        let fetch = format!("FETCH {TOGETHER} FROM rows_{number}");
        let run = async |link: &mut Link| link.declare(&declare, arguments).await;
        self.told("read", self.run(&run))?;
        loop {
            let fetched = self.run(&async |link| link.client.query(&fetch, &[]).await);
            let rows = self.told("read", fetched)?;
            for row in &rows {
                if !each(row)? {
                    return self.batch("read", &format!("CLOSE rows_{number}")).map(drop);
                }
            }
            if rows.len() < TOGETHER {
                return self.batch("read", &format!("CLOSE rows_{number}")).map(drop);
            }
        }
    }

    /// Lets `work` read in a transaction: in the one that is begun, or in one of its own, which sees one state.
    pub(super) fn reading<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.is_begun() {
            return work();
        }
        let limit = server_limit(LONG);
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {limit};
             SELECT NULL, pg_backend_pid()"
        );
        self.begin_by("read", &begin, LONG)?;
        let result = work();
        self.roll_back();
        result
    }

    /// Begins a transaction that writes, each statement of which may take so long.
    pub(super) fn begin(&self, limit: Duration) -> Result<Begun, StoreError> {
        let milliseconds = server_limit(limit);
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
             SET LOCAL statement_timeout = {milliseconds};
             SELECT pg_current_xact_id(), pg_backend_pid()"
        );
        self.begin_by("write to", &begin, limit)
    }

    /// Begins a transaction that changes what others of its kind may change as well. They come one after the
    /// other, whichever process makes them: what one has read is so until its commit.
    pub(super) fn begin_works(&self) -> Result<Begun, StoreError> {
        let (limit, idle) = (server_limit(SHORT), IDLE_AT_WORK.as_millis());
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
             SET LOCAL statement_timeout = {limit};
             SET LOCAL idle_in_transaction_session_timeout = {idle};
             SELECT pg_advisory_xact_lock(hashtextextended('faregate:' || current_schema() || ':works', 0));
             SELECT pg_current_xact_id(), pg_backend_pid()"
        );
        self.begin_by("write to", &begin, SHORT)
    }

    fn begin_by(
        &self,
        action: &'static str,
        sql: &str,
        limit: Duration,
    ) -> Result<Begun, StoreError> {
        let row = self.batch(action, sql).inspect_err(|_| drop(self.link.take()))?;
        let mut columns = row.into_iter();
        let number = columns.next().flatten();
        let process = columns.next().flatten().unwrap_or_default();
        let begun = Begun { number, process, is_spoilt: false };
        self.transaction.replace(Some(begun.clone()));
        self.limit.set(limit);
        Ok(begun)
    }

    /// Ends the transaction and keeps what it wrote. A failure that leaves that open is told apart.
    pub(super) fn commit(&self) -> Result<(), Uncommitted> {
        if !self.is_begun() || self.is_spoilt() {
            self.roll_back();
            let cause = "a statement in the transaction failed";
            return Err(Uncommitted::Undone(StoreError::new("write to", cause)));
        }
        // The server answers a COMMIT with a ROLLBACK, and no error, where a statement has failed: the first
        // of the two would fail then.
        let result = self.run(&async |link| link.batch("SELECT 1; COMMIT").await);
        self.end();
        match result {
            Ok(_) => Ok(()),
            Err(failure) => {
                let is_in_doubt = failure.is_in_doubt();
                let error = failure.named(&self.server, "write to");
                // What was refused may still be open.
                drop(self.link.take());
                Err(if is_in_doubt {
                    Uncommitted::InDoubt(error)
                } else {
                    Uncommitted::Undone(error)
                })
            }
        }
    }

    /// Ends the transaction and undoes what it wrote. Where that cannot be said to the server the connection
    /// goes, and the transaction with it.
    pub(super) fn roll_back(&self) {
        if self.run(&async |link| link.batch("ROLLBACK").await).is_err() {
            drop(self.link.take());
        }
        self.end();
    }

    fn end(&self) {
        self.transaction.replace(None);
        self.limit.set(self.role.limit());
    }

    /// Marks where to go back to.
    pub(super) fn set_savepoint(&self) -> Result<(), StoreError> {
        self.batch("write to", "SAVEPOINT work").map(drop)
    }

    /// Keeps what was written since the mark. Fails where a statement failed since then.
    pub(super) fn release(&self) -> Result<(), StoreError> {
        self.batch("write to", "RELEASE SAVEPOINT work").map(drop)
    }

    /// Undoes what was written since the mark, also where a statement failed.
    pub(super) fn go_back(&self) -> Result<(), StoreError> {
        self.batch("write to", "ROLLBACK TO SAVEPOINT work; RELEASE SAVEPOINT work")?;
        if let Some(begun) = &mut *self.transaction.borrow_mut() {
            begun.is_spoilt = false;
        }
        Ok(())
    }

    /// Tells whether a statement failed, so that the server refuses others until it is gone back.
    pub(super) fn is_spoilt(&self) -> bool {
        self.transaction.borrow().as_ref().is_some_and(|begun| begun.is_spoilt)
    }

    fn is_begun(&self) -> bool {
        self.transaction.borrow().is_some()
    }

    fn told<T>(&self, action: &'static str, result: Result<T, Failure>) -> Result<T, StoreError> {
        result.map_err(|failure| failure.named(&self.server, action))
    }

    /// Runs something on the connection. What a connection that was idle turned out to be unable to do is done
    /// once more on a new one: outside of a transaction that is reading, or can be repeated.
    fn run<T>(
        &self,
        work: &impl AsyncFn(&mut Link) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Failure> {
        let was_idle = !self.is_begun() && self.link.borrow().is_some();
        let result = match self.attempt(work) {
            Err(Failure::Ended(_)) if was_idle => self.attempt(work),
            result => result,
        };
        if result.is_err()
            && let Some(begun) = &mut *self.transaction.borrow_mut()
        {
            begun.is_spoilt = true;
        }
        result
    }

    fn attempt<T>(
        &self,
        work: &impl AsyncFn(&mut Link) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Failure> {
        let Some(runtime) = &self.runtime else { return Err(Failure::Ended(None)) };
        let mut link = match self.link.take() {
            Some(link) => link,
            None if self.is_begun() => return Err(Failure::Ended(None)),
            None => runtime.block_on(self.connect()).map_err(Failure::NotConnected)?,
        };
        let limit = self.limit.get();
        let done = runtime.block_on(async { timeout(limit, work(&mut link)).await });
        match done {
            // The connection goes.
            Err(_) => Err(Failure::Slow(limit)),
            Ok(Err(error)) if link.client.is_closed() || !is_refusal(&error) => {
                Err(Failure::Ended(Some(error)))
            }
            Ok(result) => {
                self.link.replace(Some(link));
                result.map_err(Failure::Refused)
            }
        }
    }

    async fn connect(&self) -> Result<Link, ConnectError> {
        let connecting = async {
            let (notified, told) = (self.notified(), Arc::clone(&self.told));
            let link = match self.server.trust() {
                None => {
                    let connected = self.server.config().connect(NoTls).await;
                    let (client, connection) = connected.map_err(ConnectError::Server)?;
                    Link::new(client, drive(connection, notified, told))
                }
                Some(trust) => {
                    let connected = self.server.config().connect(Connector::new(trust)?).await;
                    let (client, connection) = connected.map_err(ConnectError::Server)?;
                    Link::new(client, drive(connection, notified, told))
                }
            };
            link.client.batch_execute(&self.role.settings()).await.map_err(ConnectError::Server)?;
            Ok(link)
        };
        timeout(CONNECT, connecting).await.unwrap_or(Err(ConnectError::Slow(CONNECT)))
    }
}

/// Why a transaction was not committed, as far as is known.
#[derive(Debug)]
pub(super) enum Uncommitted {
    /// It may have been.
    InDoubt(StoreError),
    /// It was not.
    Undone(StoreError),
}
