//! Answers to calls that may be repeated, and settings.

use crate::store::{
    StoreError,
    records::IdempotencyRecord,
    sql::{
        Database, params,
        query::{self, ms},
    },
};
use jiff::Timestamp;

pub(super) fn find(
    database: &dyn Database,
    key: &[u8; 32],
) -> Result<Option<IdempotencyRecord>, StoreError> {
    let sql = "SELECT key, request, status, body, at FROM idempotency WHERE key = ?1";
    query::one(database, "idempotency", sql, params![key], |cells| {
        Ok(IdempotencyRecord {
            key: cells.get()?,
            request: cells.get()?,
            status: cells.small()?,
            body: cells.get()?,
            at: cells.time()?,
        })
    })
}

pub(super) fn put(
    database: &dyn Database,
    entry: &IdempotencyRecord,
    forget_before: Timestamp,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM idempotency WHERE at < ?1";
    query::write(database, sql, params![ms(forget_before)])?;
    let IdempotencyRecord { key, request, status, body, at } = entry;
    let sql = "INSERT INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (key) DO UPDATE SET request = excluded.request, status = excluded.status,
            body = excluded.body, at = excluded.at";
    query::write(database, sql, params![key, request, status, body, ms(*at)])?;
    Ok(())
}

pub(super) fn setting(database: &dyn Database, name: &str) -> Result<Option<String>, StoreError> {
    let sql = "SELECT name, value FROM settings WHERE name = ?1";
    query::one(database, "settings", sql, params![name], |cells| {
        cells.skip(1);
        cells.get()
    })
}

pub(super) fn put_setting(
    database: &dyn Database,
    name: &str,
    value: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO settings VALUES (?1, ?2)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    query::write(database, sql, params![name, value])?;
    Ok(())
}
