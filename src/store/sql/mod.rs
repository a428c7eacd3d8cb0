//! What the stores have in common that speak SQL: the records, in statements that each of them understands.
//!
//! A statement is written for SQLite, with its numbered parameters (`?1`), and so that PostgreSQL takes it
//! too: columns are named with their table where a conflict is resolved, integers do not leave their range,
//! and the type of each parameter is seen from where it stands. What cannot be said in one way for both, or
//! is written by folds, is a method of [`Database`].

pub(super) mod accounts;
mod answers;
mod audit;
mod calls;
pub(super) mod credits;
pub(super) mod customers;
mod events;
pub(super) mod keys;
pub(super) mod ledger;
pub(super) mod movement;
mod payments;
pub(super) mod pseudonyms;
pub(super) mod query;
pub(super) mod reads;
mod report;
mod subscriptions;
mod value;
mod verify;
pub(super) mod writes;

use jiff::Timestamp;

pub(super) use self::value::{Parameter, Params, Value, params};
use crate::{
    model::{Currency, Nanos},
    store::{
        StoreError,
        records::{
            AccountKey, Difference, EntryRecord, GrantRecord, LedgerPlace, NodeRecord, SharedLeft,
        },
        sql::movement::{Account, Entry},
    },
};

/// A connection, in a transaction or not.
pub(super) trait Database {
    /// Calls `each` for every row until it answers `false`. Of many rows only some are in memory.
    fn each(
        &self,
        sql: &str,
        params: Params<'_>,
        amount: Amount,
        each: &mut dyn FnMut(&dyn Row) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError>;

    /// Runs a statement that writes; gives the number of rows.
    fn write(&self, sql: &str, params: Params<'_>) -> Result<usize, StoreError>;

    /// Lets `read` read one state of the store, however much is written meanwhile.
    fn still(
        &self,
        read: &mut dyn FnMut(&dyn Database) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Makes entries of one account, behind the change that they tell.
    fn enter(&self, now: Timestamp, entries: &[Entry<'_>]) -> Result<(), StoreError>;

    /// Enters what was gathered in minutes before this one, up to `max` rows of it; tells whether that
    /// was all.
    fn enter_gathered(
        &self,
        now: Timestamp,
        before: Timestamp,
        max: usize,
    ) -> Result<bool, StoreError>;

    /// Drops entries that were made before a minute and carries what they add up to, up to `max` of
    /// them; tells whether that was all.
    fn carry(&self, before: Timestamp, max: usize) -> Result<bool, StoreError>;

    /// Gives the minutes of a customer another name.
    fn rename_minutes(&self, customer: &str, pseudonym: &str) -> Result<(), StoreError>;

    /// Adds to what is used of an account for all who share it, behind the change of its usage or of the grant.
    fn correct_shared(&self, account: &AccountKey<'_>, units: i64) -> Result<(), StoreError>;

    /// Forgets what those who share the accounts of a customer have of them, before its usage gets another name.
    fn forget_shared(&self, customer: &str) -> Result<(), StoreError>;

    /// Forgets shared accounts whose windows ended before a time and of which nothing is out, up to `max` of
    /// them; tells whether that was all.
    fn forget_shared_windows(&self, before: Timestamp, max: usize) -> Result<bool, StoreError>;

    /// Gives what is left of a grant by the word of all who share it, and holds it until the transaction ends; `None`
    /// where nobody does.
    fn shared_left(&self, grant: &GrantRecord) -> Result<Option<SharedLeft>, StoreError>;

    /// Gives what is owed of a purse that several processes know of, and holds it until the transaction ends; `None`
    /// where one alone does.
    fn owed_shared(&self, customer: &str, currency: Currency) -> Result<Option<Nanos>, StoreError>;

    /// Calls `each` for everything of shared accounts that does not add up.
    fn verify_shared(&self, each: &mut dyn FnMut(Difference)) -> Result<(), StoreError>;

    /// Gives a customer's entries, the oldest first, from the one after a place. Up to `max` of them;
    /// tells whether there are more.
    fn entries(
        &self,
        customer: &str,
        after: Option<LedgerPlace>,
        max: usize,
    ) -> Result<(Vec<EntryRecord>, bool), StoreError>;

    /// Gives what an account has, without what is gathered and not entered.
    fn entered_balance(&self, account: Account) -> Result<i64, StoreError>;

    /// Lists the nodes that share the store, by id.
    fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError>;

    /// Removes a node that is not live, in a transaction; gives what it was.
    fn forget_node(&self, id: &str) -> Result<Option<NodeRecord>, StoreError>;

    /// Tells whether others may write at the same time: what a transaction reads may be another's to change until it
    /// is committed.
    fn has_others(&self) -> bool;

    /// Gives the word that joins a table to the one by which its rows are to be found.
    fn join(&self) -> &'static str;
}

/// How many rows are to be expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Amount {
    /// As many as fit into memory.
    Few,
    /// As many as there are customers, keys or entries.
    Many,
}

/// A row that was read.
pub(super) trait Row {
    /// Gives a column, from 0 on.
    fn column(&self, at: usize) -> Result<Value<'_>, StoreError>;

    /// Gives a column's name.
    fn name(&self, at: usize) -> &str;
}

/// What has a connection: [`reads::Rows`] reads by it.
pub(super) trait Source {
    /// Gives the connection.
    fn database(&self) -> &dyn Database;
}

impl<S: Source> Source for &S {
    fn database(&self) -> &dyn Database {
        (*self).database()
    }
}
