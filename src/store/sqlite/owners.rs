//! Whose usage a fold writes, while customers were removed whose requests were in flight.

use std::{borrow::Cow, collections::HashMap};

use rusqlite::{Connection, OptionalExtension, params};

use crate::ledger::id_of;

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
