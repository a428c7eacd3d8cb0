//! The end of a customer: what it used is kept under another name.
//!
//! Requests that are in flight then are counted later, under the name that the journal had for the
//! customer. A row here brings those to the pseudonym too. It stands until the next start has folded
//! everything. Who gets the id meanwhile has another name in the journal: see `Ledger::name_of`.

use std::{borrow::Cow, collections::HashMap};

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    ledger::id_of,
    store::{StoreError, sqlite::query},
};

/// What is taken away, and where the customer's id stands.
const REMOVALS: [&str; 6] = [
    "DELETE FROM key_hours WHERE key_id IN (SELECT id FROM keys WHERE customer = ?1)",
    "DELETE FROM keys WHERE customer = ?1",
    "DELETE FROM applications WHERE customer = ?1",
    "DELETE FROM subscriptions WHERE customer = ?1",
    "DELETE FROM thresholds WHERE customer = ?1",
    "DELETE FROM customers WHERE id = ?1",
];

/// The rows stay what they are, since the ledger refers to them. A pseudonym is a new one each time.
const RENAMINGS: [&str; 5] = [
    "UPDATE usage SET customer = ?2 WHERE customer = ?1",
    "UPDATE purses SET customer = ?2 WHERE customer = ?1",
    // The minutes go with their series.
    "UPDATE usage_series SET customer = ?2 WHERE customer = ?1",
    "INSERT OR IGNORE INTO usage_hours SELECT ?2, hour, place FROM usage_hours WHERE customer = ?1",
    "UPDATE open_reservations SET customer = ?2 WHERE customer = ?1",
];

/// The rows that were copied.
const LEFT: &str = "DELETE FROM usage_hours WHERE customer = ?1";

/// Removes a customer. The audit and the corrections keep its id: they are only appended to.
pub(super) fn delete_customer(
    connection: &Connection,
    id: &str,
    name: &str,
    pseudonym: &str,
) -> Result<(), StoreError> {
    if id == pseudonym {
        return Err(StoreError::new("write to", "a pseudonym must not be the customer's id"));
    }
    for sql in REMOVALS {
        query::write(connection, sql, [id])?;
    }
    for sql in RENAMINGS {
        query::write(connection, sql, [id, pseudonym])?;
    }
    query::write(connection, LEFT, [id])?;
    // The first stays: what is written under the name is of the life that ended first.
    let sql = "INSERT INTO pseudonyms VALUES (?1, ?2)
        ON CONFLICT (name) DO NOTHING";
    query::write(connection, sql, [name, pseudonym])?;
    Ok(())
}

/// Forgets all, once everything that was written under the names is folded.
pub(super) fn forget_all(connection: &Connection) -> Result<(), StoreError> {
    query::write(connection, "DELETE FROM pseudonyms", [])?;
    Ok(())
}

/// Under which id usage is to be kept; asked once per customer of a fold, and not at all while
/// nobody was removed.
pub(super) struct Owners<'c> {
    connection: &'c Connection,
    is_empty: bool,
    asked: HashMap<String, Option<String>>,
}

impl<'c> Owners<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let mut any = connection.prepare_cached("SELECT 1 FROM pseudonyms LIMIT 1")?;
        let is_empty = !any.exists([])?;
        Ok(Self { connection, is_empty, asked: HashMap::new() })
    }

    /// Gives the owner of what was written under a name.
    pub(super) fn of<'a>(&mut self, name: &'a str) -> rusqlite::Result<Cow<'a, str>> {
        if self.is_empty {
            return Ok(Cow::Borrowed(id_of(name)));
        }
        if !self.asked.contains_key(name) {
            let sql = "SELECT pseudonym FROM pseudonyms WHERE name = ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let found = statement.query_row(params![name], |row| row.get(0)).optional()?;
            self.asked.insert(name.to_owned(), found);
        }
        let pseudonym = self.asked.get(name).cloned().flatten();
        Ok(pseudonym.map_or(Cow::Borrowed(id_of(name)), Cow::Owned))
    }
}
