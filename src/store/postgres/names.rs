//! The numbers of the names of routes.

use std::collections::{BTreeSet, HashMap};

use super::{
    connection::Connection,
    text,
    value::{self, integer},
};
use crate::store::StoreError;

/// What is remembered of them between folds. Routes are few.
///
/// Invariant: what is remembered was committed. Who has a transaction takes the memory away and brings it back
/// behind the commit.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, i64>);

impl Names {
    /// Gives the numbers of names, new ones to those that have none yet.
    pub(super) fn numbers<'a>(
        &mut self,
        connection: &Connection,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<&'a str, i64>, StoreError> {
        let names: BTreeSet<_> = names.collect();
        let unknown = names.iter().filter(|name| !self.0.contains_key(**name));
        let unknown: Vec<_> = unknown.map(|name| text::encode(name)).collect();
        if !unknown.is_empty() {
            let sql = "INSERT INTO names (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";
            connection.write(sql, &[&unknown])?;
            let sql = "SELECT name, id FROM names WHERE name = ANY($1)";
            for row in &connection.rows("read", sql, &[&unknown])? {
                self.0.insert(value::text(row, 0)?.into_owned(), integer(row, 1)?);
            }
        }
        let known = names.into_iter().filter_map(|name| Some((name, *self.0.get(name)?)));
        Ok(known.collect())
    }
}
