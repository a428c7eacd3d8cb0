//! The store: what was used and by whom, and what an operator made and changed, at rest. One
//! writer; everything of a fold in one transaction.
//!
//! Invariant: usage and the position up to which a journal is folded change in the same
//! transaction, so that nothing of a journal counts twice.

mod copy;
mod opened;
mod postgres;
pub mod records;
mod sql;
mod sqlite;
#[cfg(test)]
mod tests;

use std::{error::Error, fmt, path::Path, sync::Arc};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    ledger::Window,
    model::{Currency, Nanos},
    store::records::{Reads, Records},
};

pub use self::{
    copy::{Copied, CopyError, Step as CopyStep, Watcher, copy},
    opened::{Database, OpenError, open, refuse_emptied},
    postgres::{
        Addressed, Asked, Beat, Booked, Destination, Found, Head, Knowledge, Leases, Lost,
        OpenError as PostgresError, Own, Peer, Postgres, RECALLS, Recall, Recalls, Recovery,
        Server, Told, Trust, UrlError, Whole,
    },
    sqlite::{OpenError as SqliteError, Sqlite},
};

/// A place where usage and records are kept. Its methods block.
pub trait Store: Send {
    /// Writes all of it or nothing. `after` runs in the same transaction behind everything else;
    /// when it fails, what it wrote is undone and the failure is logged, and the rest is written
    /// all the same. It runs again when a commit that failed is tried again.
    fn commit(
        &mut self,
        commit: &Commit<'_>,
        after: &mut dyn FnMut(&mut dyn Records) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Does several works in one transaction, for the price of one sync. `next` does one work each
    /// time it is called, until it says that none is left; what a work wrote is kept or undone by
    /// its verdict alone. An error means that nothing was written, whatever the verdicts were.
    fn transact(
        &mut self,
        next: &mut dyn FnMut(&mut dyn Records) -> Verdict,
    ) -> Result<(), StoreError>;

    /// Is told that memory knows of the works of the last transaction, if it was committed.
    fn told(&mut self) {}

    /// Opens a way of reading beside the writer, for another thread.
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// Counts a new process of a node among those that share the store. One process has a store for itself
    /// unless it says otherwise.
    fn join(&mut self, _node: NodeId, _version: &str) -> Result<Joined, StoreError> {
        Ok(Joined { run: 1, shared: None })
    }

    /// Is told that all of earlier processes is folded and nothing is in flight.
    fn caught_up(&mut self) -> Result<(), StoreError>;

    /// Gives how far each journal of the node is folded.
    fn positions(&self, node: NodeId) -> Result<Vec<Position>, StoreError>;

    /// Gives the reservations of the node that were open at its last fold.
    fn open_reservations(&self, node: NodeId) -> Result<Vec<OpenReservation>, StoreError>;

    /// Gives the other nodes whose open reservations nobody will settle any more: those of a journal
    /// that was given up, as when a copy of the store takes its place. A store that several processes
    /// share gives none, since the others are at work.
    fn lost_nodes(&self, node: NodeId) -> Result<Vec<NodeId>, StoreError>;

    /// Calls `each` for every account whose window is not over at `now`. A callback, since there
    /// may be a million.
    fn load_usage(
        &self,
        now: Timestamp,
        each: &mut dyn FnMut(UsageRow<'_>),
    ) -> Result<(), StoreError>;

    /// Gives the latest time in anything folded: time at the next start is not before it.
    fn latest_time(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Says of an error of a reader's where it is and what to do, if it says that the store is damaged.
    fn named(&self, error: StoreError) -> StoreError {
        error
    }
}

/// Reads what is stored, on a connection of its own. Each call sees the latest commit before it.
pub trait Reader: Reads + Send {
    /// Opens another connection like this one, for what takes long.
    fn another(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// Writes a consistent copy of the store to a new file while the writer goes on. The copy is on
    /// the disk when this returns; a file that is there already is refused and left as it is.
    fn backup(&self, to: &Path) -> Result<(), StoreError>;
}

/// What becomes of one work in a transaction of several.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// What it wrote is kept.
    Keep,
    /// What it wrote is undone.
    Undo,
    /// There was no work left to do.
    Done,
}

/// A process that counts: the owner of one journal directory.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId(pub Uuid);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a process becomes among those that share the store.
#[derive(Debug)]
pub struct Joined {
    /// Its number: higher than that of every earlier process of its node.
    pub run: u64,
    /// What it shares with the others; `None` where there are none.
    pub shared: Option<Shared>,
}

/// What a process shares a store with others by.
#[derive(Debug)]
pub struct Shared {
    /// It knows the others by it.
    pub peer: Peer,
    /// The pools of all accounts.
    pub leases: Leases,
    /// It hears by it what others lack.
    pub recalls: Recalls,
}

/// What one transaction writes.
#[derive(Debug)]
pub struct Commit<'a> {
    /// Whose journals were folded.
    pub node: NodeId,
    /// When, by the clock of those who wrote them: minutes that end before it are over.
    pub now: Timestamp,
    /// Units to add; each account once.
    pub usage: Vec<UsageRow<'a>>,
    /// Money to take; each grant once.
    pub credits: Vec<CreditRow<'a>>,
    /// What both come to by minute and route, for the ledger.
    pub consumed: Vec<ConsumedRow<'a>>,
    /// Requests and units to add; each key once.
    pub minutes: Vec<MinuteRow<'a>>,
    /// Reservations that are open now and were not before.
    pub opened: Vec<OpenReservation>,
    /// Reservations that were open before and are not now.
    pub closed: Vec<ReservationId>,
    /// How far the journals are folded with this.
    pub positions: Vec<Position>,
}

/// Units of one account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UsageRow<'a> {
    /// The owner's customer id.
    pub customer: &'a str,
    /// Empty for the customer as a whole; `application/NAME` or `key/ID` for a part of it.
    pub scope: &'a str,
    /// The quota's name.
    pub quota: &'a str,
    /// Kept in milliseconds; the start is part of the identity.
    pub window: Window,
    /// Units used, or to add.
    pub used: u64,
}

/// Money of one grant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CreditRow<'a> {
    /// The owner's customer id.
    pub customer: &'a str,
    /// What the money is.
    pub currency: Currency,
    /// The grant's id; empty for what no grant pays and the customer owes.
    pub grant: &'a str,
    /// How much.
    pub nanos: Nanos,
}

/// What requests of one minute over one route took of one account or grant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConsumedRow<'a> {
    /// Of what.
    pub of: Consumed,
    /// The start of the minute in which it was reserved.
    pub minute: Timestamp,
    /// The route's name.
    pub route: &'a str,
    /// How many requests.
    pub requests: u64,
    /// Units, or nano-units of money.
    pub amount: u64,
}

/// What was consumed, by its place in a [`Commit`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consumed {
    /// Money of the grant in this place.
    Credit(usize),
    /// Units of the account in this place.
    Usage(usize),
}

/// Requests of one minute that came by one key, over one route, and ended alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MinuteRow<'a> {
    /// The owner's customer id.
    pub customer: &'a str,
    /// The key's identifier.
    pub key_id: &'a str,
    /// The route's name.
    pub route: &'a str,
    /// The start of the minute in which the units were reserved, so that minutes add up to windows.
    pub minute: Timestamp,
    /// The ending's name.
    pub ending: &'a str,
    /// What money paid for them; `None` where the allowance did.
    pub currency: Option<Currency>,
    /// How many.
    pub requests: u64,
    /// What they were charged of the allowance.
    pub units: u64,
    /// What they were charged of the money.
    pub nanos: Nanos,
}

/// Which reservation of a node.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ReservationId {
    /// Whose journal it is in.
    pub worker: u16,
    /// The number of its record there.
    pub sequence: u64,
}

/// A reservation without its ending.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenReservation {
    /// Which.
    pub id: ReservationId,
    /// The request it is for.
    pub request_id: Uuid,
    /// The owner's customer id, for whoever reads the table.
    pub customer: String,
    /// The accounts and the origin, in the journal's encoding.
    pub definition: Vec<u8>,
    /// The units it took.
    pub cost: u64,
    /// The money it holds.
    pub nanos: Nanos,
    /// When.
    pub opened_at: Timestamp,
}

/// How far one worker's journal is folded: all of it before this place is in the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// Whose journal.
    pub worker: u16,
    /// The segment; earlier ones are folded whole.
    pub segment: u64,
    /// The bytes of that segment that are folded.
    pub offset: u64,
    /// The highest record number used so far.
    pub sequence: u64,
    /// The latest time in it.
    pub latest: Timestamp,
}

/// Why the store could not be read or written. It is `Clone` because a commit that fails is told to
/// everyone who had a part in it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {action} the store")]
pub struct StoreError {
    action: &'static str,
    source: Arc<dyn Error + Send + Sync>,
}

impl StoreError {
    /// Wraps the cause; `action` completes the sentence "cannot … the store".
    pub fn new(action: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { action, source: source.into().into() }
    }

    /// Gives the cause itself, for who knows its type.
    fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

/// Reads a time that was kept in milliseconds. It does not fail: the last instant that jiff has is
/// not in whole milliseconds, and a segment must be readable whatever stands in it.
pub(crate) fn instant(ms: i64) -> Timestamp {
    let bound = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(ms).unwrap_or(bound)
}
