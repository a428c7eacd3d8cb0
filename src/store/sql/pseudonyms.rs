//! The end of a customer: what it used is kept under another name.
//!
//! Requests that are in flight then are counted later, under the name that the journal had for the
//! customer. A row here brings those to the pseudonym too. It stands until the next start has folded
//! everything, and on a server for good, since other processes may have more in flight. Who gets the id meanwhile has another name in the journal: see `Ledger::name_of`.

use crate::store::{
    StoreError,
    sql::{Database, params, query},
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
    "UPDATE payments SET customer = ?2 WHERE customer = ?1",
    // The minutes go with their series.
    "UPDATE usage_series SET customer = ?2 WHERE customer = ?1",
    "UPDATE open_reservations SET customer = ?2 WHERE customer = ?1",
];

/// Removes a customer. The audit and the corrections keep its id: they are only appended to.
pub(super) fn delete_customer(
    database: &dyn Database,
    id: &str,
    name: &str,
    pseudonym: &str,
) -> Result<(), StoreError> {
    if id == pseudonym {
        return Err(StoreError::new("write to", "a pseudonym must not be the customer's id"));
    }
    database.forget_shared(id)?;
    for sql in REMOVALS {
        query::write(database, sql, params![id])?;
    }
    for sql in RENAMINGS {
        query::write(database, sql, params![id, pseudonym])?;
    }
    database.rename_minutes(id, pseudonym)?;
    // The first stays: what is written under the name is of the life that ended first.
    let sql = "INSERT INTO pseudonyms VALUES (?1, ?2)
        ON CONFLICT (name) DO NOTHING";
    query::write(database, sql, params![name, pseudonym])?;
    Ok(())
}

/// Gives the names of all.
pub(super) fn load(database: &dyn Database, each: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
    let sql = "SELECT name FROM pseudonyms ORDER BY name";
    query::each(database, "pseudonyms", sql, params![], |mut cells| {
        each(&cells.get::<String>()?);
        Ok(true)
    })
}

/// Forgets all, once everything that was written under the names is folded.
pub(in crate::store) fn forget_all(database: &dyn Database) -> Result<(), StoreError> {
    query::write(database, "DELETE FROM pseudonyms", params![])?;
    Ok(())
}
