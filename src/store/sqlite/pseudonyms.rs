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

/// Added to what the pseudonym has, for the case that one pseudonym stands for two lives of an id.
const RENAMINGS: [&str; 4] = [
    "INSERT INTO usage (customer, scope, quota, window_start, window_end, used)
         SELECT ?2, scope, quota, window_start, window_end, used FROM usage WHERE customer = ?1
     ON CONFLICT (customer, scope, quota, window_start) DO UPDATE SET
         window_end = max(window_end, excluded.window_end),
         used = min(used + excluded.used, 9223372036854775807)",
    // The minutes go with their series.
    "UPDATE usage_series SET customer = ?2 WHERE customer = ?1",
    "INSERT OR IGNORE INTO usage_hours SELECT ?2, hour, place FROM usage_hours WHERE customer = ?1",
    "UPDATE open_reservations SET customer = ?2 WHERE customer = ?1",
];

/// The rows that were copied.
const LEFT: [&str; 2] =
    ["DELETE FROM usage WHERE customer = ?1", "DELETE FROM usage_hours WHERE customer = ?1"];

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
    merge_series(connection, id, pseudonym)?;
    for sql in RENAMINGS {
        query::write(connection, sql, [id, pseudonym])?;
    }
    for sql in LEFT {
        query::write(connection, sql, [id])?;
    }
    // The first stays: what is written under the name is of the life that ended first.
    let sql = "INSERT INTO pseudonyms VALUES (?1, ?2)
        ON CONFLICT (name) DO NOTHING";
    query::write(connection, sql, [name, pseudonym])?;
    Ok(())
}

/// Gives the minutes of each series that the pseudonym has too to that one.
fn merge_series(connection: &Connection, id: &str, pseudonym: &str) -> Result<(), StoreError> {
    let sql = "SELECT one.id, one.place, other.id, other.place
        FROM usage_series AS one CROSS JOIN usage_series AS other USING (key_id, route, ending)
        WHERE one.customer = ?1 AND other.customer = ?2";
    let pairs = query::all(connection, "usage_series", sql, [id, pseudonym], |cells| {
        Ok([cells.get::<i64>()?, cells.get()?, cells.get()?, cells.get()?])
    })?;
    for [series, place, other, other_place] in pairs {
        let sql = "INSERT INTO usage_minutes
                SELECT minute, ?4, ?3, requests, units FROM customer_minutes
                WHERE customer = ?1 AND series = ?2
            ON CONFLICT (minute, place, series) DO UPDATE SET
                requests = requests + excluded.requests,
                units = min(units + excluded.units, 9223372036854775807)";
        query::write(connection, sql, params![id, series, other, other_place])?;
        let sql = "INSERT OR IGNORE INTO usage_hours
            SELECT ?2, hour, ?4 FROM usage_hours WHERE customer = ?1 AND place = ?3";
        query::write(connection, sql, params![id, pseudonym, place, other_place])?;
        let sql = "DELETE FROM usage_minutes WHERE place = ?3 AND series = ?2
            AND minute IN (SELECT minute FROM customer_minutes WHERE customer = ?1 AND series = ?2)";
        query::write(connection, sql, params![id, series, place])?;
        query::write(connection, "DELETE FROM usage_series WHERE id = ?1", [series])?;
    }
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
