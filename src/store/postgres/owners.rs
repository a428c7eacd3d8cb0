//! Whose usage a fold writes, while customers were removed whose requests were in flight.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use super::{connection::Connection, text, value};
use crate::{
    ledger::id_of,
    store::{Commit, StoreError},
};

/// The pseudonyms of those in a fold who were removed.
pub(super) struct Owners(HashMap<String, String>);

impl Owners {
    /// Asks for all of a fold at once, and not at all while nobody was removed.
    pub(super) fn new(connection: &Connection, commit: &Commit<'_>) -> Result<Self, StoreError> {
        let any = connection.rows("read", "SELECT 1 FROM pseudonyms LIMIT 1", &[])?;
        let mut found = HashMap::new();
        if any.is_empty() {
            return Ok(Self(found));
        }
        let Commit { usage, credits, minutes, opened, .. } = commit;
        let names = usage.iter().map(|row| row.customer);
        let names = names.chain(credits.iter().map(|row| row.customer));
        let names = names.chain(minutes.iter().map(|row| row.customer));
        let names = names.chain(opened.iter().map(|row| row.customer.as_str()));
        let names: BTreeSet<_> = names.collect();
        let names: Vec<_> = names.into_iter().map(text::encode).collect();
        let sql = "SELECT name, pseudonym FROM pseudonyms WHERE name = ANY($1)";
        for row in &connection.rows("read", sql, &[&names])? {
            found.insert(value::text(row, 0)?.into_owned(), value::text(row, 1)?.into_owned());
        }
        Ok(Self(found))
    }

    /// Gives the owner of what was written under a name.
    pub(super) fn of<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or_else(|| id_of(name), String::as_str)
    }

    /// Tells whether what was written under a name is a removed customer's.
    pub(super) fn is_removed(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Gives it as it is written.
    pub(super) fn written<'a>(&'a self, name: &'a str) -> Cow<'a, str> {
        text::encode(self.of(name))
    }
}
