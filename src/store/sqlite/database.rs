//! What the records need of a connection to SQLite.

use std::{borrow::Cow, str};

use jiff::Timestamp;
use rusqlite::{
    Connection, Statement,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    model::{Currency, Nanos},
    store::{
        StoreError,
        records::{
            AccountKey, Difference, EntryRecord, GrantRecord, LedgerPlace, NodeRecord, SharedLeft,
        },
        sql::{
            Amount, Database, Params, Row, Source, Value,
            movement::{Account, Entry},
            params, query,
        },
        sqlite::{entries, ledger},
    },
};

impl Source for Connection {
    fn database(&self) -> &dyn Database {
        self
    }
}

impl Database for Connection {
    fn each(
        &self,
        sql: &str,
        params: Params<'_>,
        _: Amount,
        each: &mut dyn FnMut(&dyn Row) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.prepare_cached(sql).map_err(read_failed)?;
        bind(&mut statement, params).map_err(read_failed)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(read_failed)? {
            if !each(row)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, sql: &str, params: Params<'_>) -> Result<usize, StoreError> {
        let mut statement = self.prepare_cached(sql).map_err(write_failed)?;
        bind(&mut statement, params).map_err(write_failed)?;
        statement.raw_execute().map_err(write_failed)
    }

    fn still(
        &self,
        read: &mut dyn FnMut(&dyn Database) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let state = self.unchecked_transaction().map_err(read_failed)?;
        read(&*state)
    }

    fn enter(&self, now: Timestamp, entries: &[Entry<'_>]) -> Result<(), StoreError> {
        entries::append(self, now, entries)
    }

    /// One process has it for itself.
    fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        Ok(Vec::new())
    }

    fn forget_node(&self, _: &str) -> Result<Option<NodeRecord>, StoreError> {
        Ok(None)
    }

    fn enter_gathered(
        &self,
        now: Timestamp,
        before: Timestamp,
        max: usize,
    ) -> Result<bool, StoreError> {
        entries::enter_gathered(self, now, before, max)
    }

    fn carry(&self, before: Timestamp, max: usize) -> Result<bool, StoreError> {
        entries::carry(self, before, max)
    }

    /// The rows stay, and go with their series; what tells where they are is copied.
    fn rename_minutes(&self, customer: &str, pseudonym: &str) -> Result<(), StoreError> {
        let sql = "INSERT OR IGNORE INTO usage_hours
            SELECT ?2, hour, place FROM usage_hours WHERE customer = ?1";
        query::write(self, sql, params![customer, pseudonym])?;
        query::write(self, "DELETE FROM usage_hours WHERE customer = ?1", params![customer])?;
        Ok(())
    }

    /// One process has it all for itself.
    fn correct_shared(&self, _: &AccountKey<'_>, _: i64) -> Result<(), StoreError> {
        Ok(())
    }

    fn forget_shared(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn forget_shared_windows(&self, _: Timestamp, _: usize) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn shared_left(&self, _: &GrantRecord) -> Result<Option<SharedLeft>, StoreError> {
        Ok(None)
    }

    fn owed_shared(&self, _: &str, _: Currency) -> Result<Option<Nanos>, StoreError> {
        Ok(None)
    }

    fn verify_shared(&self, _: &mut dyn FnMut(Difference)) -> Result<(), StoreError> {
        Ok(())
    }

    fn entries(
        &self,
        customer: &str,
        after: Option<LedgerPlace>,
        max: usize,
    ) -> Result<(Vec<EntryRecord>, bool), StoreError> {
        ledger::page(self, customer, after, max)
    }

    fn entered_balance(&self, account: Account) -> Result<i64, StoreError> {
        entries::entered_balance(self, account)
    }

    /// One process has the file for itself, and one connection of it writes.
    fn has_others(&self) -> bool {
        false
    }

    /// The first table of such a join is gone through first.
    fn join(&self) -> &'static str {
        "CROSS JOIN"
    }
}

fn bind(statement: &mut Statement<'_>, params: Params<'_>) -> rusqlite::Result<()> {
    for (at, parameter) in (1..).zip(params) {
        let value = parameter.value();
        let value = match &value {
            Value::Bool(truth) => ValueRef::Integer((*truth).into()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Null => ValueRef::Null,
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        };
        statement.raw_bind_parameter(at, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}

impl Row for rusqlite::Row<'_> {
    fn column(&self, at: usize) -> Result<Value<'_>, StoreError> {
        Ok(match self.get_ref(at).map_err(read_failed)? {
            ValueRef::Blob(bytes) => Value::Bytes(bytes),
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Null => Value::Null,
            // Nothing of ours; whoever reads it says that it is not what should stand there.
            ValueRef::Real(_) => Value::Bytes(&[]),
            // What is no text in fact is told by its bytes.
            ValueRef::Text(text) => match str::from_utf8(text) {
                Ok(text) => Value::Text(Cow::Borrowed(text)),
                Err(_) => Value::Bytes(text),
            },
        })
    }

    fn name(&self, at: usize) -> &str {
        self.as_ref().column_name(at).unwrap_or("a column")
    }
}

pub(super) fn read_failed(error: rusqlite::Error) -> StoreError {
    StoreError::new("read", error)
}

pub(super) fn write_failed(error: rusqlite::Error) -> StoreError {
    StoreError::new("write to", error)
}
