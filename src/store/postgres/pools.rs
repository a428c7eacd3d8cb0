//! The pools of shared accounts, as far as records are concerned: they go with the books in their transactions.
//!
//! Invariants: 0003_leases.sql.

use std::borrow::Cow;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    connection::Connection,
    text,
    value::{self, integer},
};
use crate::{
    ledger::GRANT_SCOPE,
    store::{
        StoreError, instant,
        records::{AccountKey, Difference},
        sql::query::{limit, ms},
    },
};

/// Makes a pool of what the books have.
const MAKE: &str = "INSERT INTO pools AS p (customer, scope, quota, window_start, window_end, used, written_off)
    SELECT b.customer, b.scope, b.quota, b.window_start, b.window_end, least(b.used, 4611686018427387904),
        coalesce((SELECT sum(n.spent) FROM node_usage AS n WHERE n.account = b.account), 0)
    FROM books AS b WHERE b.customer = $1 AND b.scope = $2 AND b.quota = $3 AND b.window_start = $4
    ON CONFLICT (customer, scope, quota, window_start)";

/// Makes the pool of an account where it is not there.
pub(super) fn make(connection: &Connection, account: &AccountKey<'_>) -> Result<(), StoreError> {
    let ([customer, scope, quota], start) = address(account);
    let sql = format!("{MAKE} DO NOTHING");
    connection.write(&sql, &[&customer, &scope, &quota, &start]).map(drop)
}

/// Adds to what is used of an account, behind the change of the books. The pool is made where it is not there: who
/// makes it at the same moment does not see that change, and one of the two waits for the other.
pub(super) fn correct(
    connection: &Connection,
    account: &AccountKey<'_>,
    units: i64,
) -> Result<(), StoreError> {
    let ([customer, scope, quota], start) = address(account);
    let sql = format!(
        "{MAKE} DO UPDATE SET used =
            greatest(least(p.used::numeric + $5::bigint, 4611686018427387904), -4611686018427387904)::bigint"
    );
    connection.write(&sql, &[&customer, &scope, &quota, &start, &units]).map(drop)
}

/// Gives the names of an account as they are written, and the start of its window.
pub(super) fn address<'a>(account: &AccountKey<'a>) -> ([Cow<'a, str>; 3], i64) {
    let AccountKey { customer, scope, quota, window } = account;
    ([customer, scope, quota].map(|name| text::encode(name)), ms(window.start))
}

/// Removes what there is of a customer's accounts, while its books still have its name.
pub(super) fn forget(connection: &Connection, customer: &str) -> Result<(), StoreError> {
    let customer = text::encode(customer);
    let lock = "SELECT p.id FROM pools AS p WHERE p.customer = $1
        ORDER BY p.customer, p.scope, p.quota, p.window_start FOR UPDATE OF p";
    let pools = connection.rows("read", lock, &[&customer])?;
    let pools: Vec<_> = pools.iter().map(|row| integer(row, 0)).collect::<Result<_, _>>()?;
    delete(connection, &pools)?;
    let sql = "DELETE FROM node_usage AS n USING books AS b
        WHERE b.customer = $1 AND n.account = b.account";
    connection.write(sql, &[&customer]).map(drop)
}

/// Removes pools of windows that are over, and of grants that are spent. What somebody has at this moment stays for
/// the next call. Nothing is given out twice by that: whoever still speaks of such an account begins its pool anew
/// with what the books have, and what it had said counts once more until its node's next start.
pub(super) fn forget_windows(
    connection: &Connection,
    before: Timestamp,
    max: usize,
) -> Result<bool, StoreError> {
    let are_ended = forget_ended(connection, before, max)?;
    Ok(forget_spent(connection, before, max)? && are_ended)
}

fn forget_ended(
    connection: &Connection,
    before: Timestamp,
    max: usize,
) -> Result<bool, StoreError> {
    // A quota whose window was lengthened within it has the later end in its usage. What is left of a grant is to be
    // taken from it at its end, by what the pool knows.
    let sql = r#"WITH ended AS (
            SELECT p.id, b.account, b.window_end FROM pools AS p
            LEFT JOIN LATERAL (SELECT * FROM books AS b WHERE b.customer = p.customer AND b.scope = p.scope
                AND b.quota = p.quota AND b.window_start = p.window_start LIMIT 1) AS b ON true
            WHERE p.window_end < $1 AND p.held = 0 AND p."left" = 0 AND p.forfeited = 0 AND NOT EXISTS (
                SELECT FROM grants AS g WHERE p.scope = 'grant' AND g.id = p.quota AND g."left" <> 0)
            ORDER BY p.window_end LIMIT $2 FOR UPDATE OF p SKIP LOCKED
        ), lasting AS (
            UPDATE pools AS p SET window_end = e.window_end FROM ended AS e
            WHERE p.id = e.id AND e.account IS NOT NULL AND coalesce(e.window_end >= $1, true)
            RETURNING p.id
        )
        SELECT e.id, e.account, l.id IS NULL FROM ended AS e LEFT JOIN lasting AS l ON l.id = e.id"#;
    let rows = connection.rows("write to", sql, &[&ms(before), &limit(max)])?;
    let (mut pools, mut accounts) = (Vec::new(), Vec::new());
    for row in &rows {
        let is_over: bool = row.try_get(2).map_err(super::damaged)?;
        if is_over {
            pools.push(integer(row, 0)?);
            accounts.extend(row.try_get::<_, Option<i64>>(1).map_err(super::damaged)?);
        }
    }
    delete(connection, &pools)?;
    delete_folded(connection, &accounts)?;
    Ok(rows.len() < max)
}

/// Of a grant without an end no letter came since a time, of those that all of it is charged for.
fn forget_spent(
    connection: &Connection,
    before: Timestamp,
    max: usize,
) -> Result<bool, StoreError> {
    let sql = r#"SELECT p.id, -g.number FROM pools AS p JOIN grants AS g ON g.id = p.quota
        WHERE p.scope = 'grant' AND p.window_end IS NULL
            AND p.held = 0 AND p."left" = 0 AND p.forfeited = 0 AND g."left" = 0
            AND NOT EXISTS (SELECT FROM leases AS l WHERE l.pool = p.id AND l.ends >= $1)
        LIMIT $2 FOR UPDATE OF p SKIP LOCKED"#;
    let rows = connection.rows("write to", sql, &[&ms(before), &limit(max)])?;
    let column = |at| rows.iter().map(|row| integer(row, at)).collect::<Result<Vec<_>, _>>();
    delete(connection, &column(0)?)?;
    delete_folded(connection, &column(1)?)?;
    Ok(rows.len() < max)
}

fn delete_folded(connection: &Connection, accounts: &[i64]) -> Result<(), StoreError> {
    connection.write("DELETE FROM node_usage WHERE account = ANY($1)", &[&accounts]).map(drop)
}

fn delete(connection: &Connection, pools: &[i64]) -> Result<(), StoreError> {
    connection.write("DELETE FROM leases WHERE pool = ANY($1)", &[&pools])?;
    connection.write("DELETE FROM pools WHERE id = ANY($1)", &[&pools]).map(drop)
}

/// Calls `each` for every pool that does not have the sums of its leases, or another use than the books. All of it
/// is exact at any moment, since letters, folds and corrections change both sides alike.
pub(super) fn verify(
    connection: &Connection,
    each: &mut dyn FnMut(Difference),
) -> Result<(), StoreError> {
    let sql = r#"WITH sums AS (
            SELECT l.pool, sum(l.spent) AS spent,
                coalesce(sum(l.held) FILTER (WHERE NOT l.is_forfeited), 0) AS held,
                coalesce(sum(greatest(l.ceiling - l.spent - l.held, 0)) FILTER (WHERE NOT l.is_forfeited), 0) AS "left",
                coalesce(sum(greatest(l.ceiling - l.spent, l.held)) FILTER (WHERE l.is_forfeited), 0) AS forfeited
            FROM leases AS l GROUP BY l.pool
        ), folded AS (
            SELECT n.account, sum(n.spent) AS spent FROM node_usage AS n GROUP BY n.account
        ), whole AS (
            SELECT p.*, coalesce(s.held, 0) AS all_held, coalesce(s."left", 0) AS all_left,
                coalesce(s.forfeited, 0) AS all_forfeited,
                coalesce(b.used, 0) - coalesce(f.spent, 0) + coalesce(s.spent, 0) + p.written_off AS all_used
            FROM pools AS p LEFT JOIN sums AS s ON s.pool = p.id
            LEFT JOIN books AS b ON b.customer = p.customer AND b.scope = p.scope AND b.quota = p.quota
                AND b.window_start = p.window_start
            LEFT JOIN folded AS f ON f.account = b.account
        )
        SELECT w.customer, w.scope, w.quota, w.window_start, d.what, d.expected::text, d.found::text
        FROM whole AS w, LATERAL (VALUES ('used', w.all_used, w.used), ('held', w.all_held, w.held),
            ('left', w.all_left, w."left"), ('lost', w.all_forfeited, w.forfeited)) AS d(what, expected, found)
        WHERE d.expected <> d.found"#;
    connection.reading(|| {
        connection.each(sql, &[], &mut |row| {
            each(read_difference(row)?);
            Ok(true)
        })
    })
}

fn read_difference(row: &Row) -> Result<Difference, StoreError> {
    let (scope, quota, what) = (value::text(row, 1)?, value::text(row, 2)?, value::text(row, 4)?);
    let start = instant(integer(row, 3)?);
    let subject = match &*scope {
        "" => format!("units {what} of {quota} from {start}, as nodes share it"),
        GRANT_SCOPE => format!("nano-units {what} of {quota}, as nodes share it"),
        scope => format!("units {what} of {quota} of {scope} from {start}, as nodes share it"),
    };
    let number =
        |at| -> Result<i128, StoreError> { value::text(row, at)?.parse().map_err(super::damaged) };
    Ok(Difference {
        customer: value::text(row, 0)?.into_owned(),
        subject,
        expected: number(5)?,
        found: number(6)?,
    })
}
