//! Grants that have ended and what is owed, as several nodes see to them: each decides by what stands here, and holds
//! it until its change is committed.
//!
//! Order of the locks: a pool and its grant come first, which nobody waits for; then the purse, then what is entered.
//! Folds have grants before purses too.

use super::{connection::Connection, pools, text, value::integer};
use crate::{
    model::{Currency, Nanos},
    store::{
        StoreError,
        records::{GrantRecord, SharedLeft},
    },
};

/// Gives what is left of a grant, and locks its pool.
///
/// Of two numbers each may be too high. What nodes said counts where it is not folded; what was folded counts where
/// the pool counts more as used, as for a node that was forgotten, and nothing more is to come.
pub(super) fn left(connection: &Connection, grant: &GrantRecord) -> Result<SharedLeft, StoreError> {
    let account = grant.account();
    pools::make(connection, &account)?;
    let ([customer, scope, quota], start) = pools::address(&account);
    let lock = "SELECT p.id, g.number FROM pools AS p JOIN grants AS g ON g.id = p.quota
        WHERE p.customer = $1 AND p.scope = $2 AND p.quota = $3 AND p.window_start = $4
        FOR UPDATE OF p, g SKIP LOCKED";
    let rows = connection.rows("read", lock, &[&customer, &scope, &quota, &start])?;
    // Somebody says something of it at this moment, or its charges are folded.
    let Some(row) = rows.first() else { return Ok(SharedLeft::Out) };
    let (pool, number) = (integer(row, 0)?, integer(row, 1)?);
    let read = r#"SELECT CASE WHEN EXISTS (
                SELECT FROM leases AS l LEFT JOIN node_usage AS n ON n.account = -g.number AND n.node = l.node
                WHERE l.pool = p.id AND l.spent > coalesce(n.spent, 0))
            THEN least(g.amount - p.used, g."left") ELSE g."left" END
        FROM pools AS p, grants AS g WHERE p.id = $1 AND g.number = $2
            AND p.held = 0 AND p."left" = 0 AND p.forfeited = 0"#;
    let rows = connection.rows("read", read, &[&pool, &number])?;
    let Some(row) = rows.first() else { return Ok(SharedLeft::Out) };
    Ok(SharedLeft::Left(Nanos(integer(row, 0)?.max(0))))
}

/// Gives what a customer owes, and locks its purse; nothing where it has none.
pub(super) fn owed(
    connection: &Connection,
    customer: &str,
    currency: Currency,
) -> Result<Nanos, StoreError> {
    let sql = "SELECT owed FROM purses WHERE customer = $1 AND currency = $2 FOR UPDATE";
    let rows = connection.rows("read", sql, &[&text::encode(customer), &currency.as_str()])?;
    rows.first().map_or(Ok(0), |row| integer(row, 0)).map(Nanos)
}
