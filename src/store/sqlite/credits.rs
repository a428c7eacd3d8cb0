//! Money: grants, purses, and what is owed.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    model::{Currency, Nanos},
    store::{
        StoreError,
        records::{EntryKind, GrantRecord, Owed},
        sqlite::{
            entries::{self, Account, Entry, NO_GRANT, PURSE},
            query::{self, Cells, limit, ms, name_of},
        },
    },
};

const GRANTS: &str = "grants";

const COLUMNS: &str = r#"g.id, g.number, p.customer, p.currency, g.amount, g."left", g.priority,
    g.source, g.effective, g.expires, g.note, g.actor, g.created_at
    FROM grants AS g CROSS JOIN purses AS p ON p.id = g.purse"#;

/// Gives the number of a purse, of a new one if there is none yet.
pub(super) fn purse(
    connection: &Connection,
    customer: &str,
    currency: Currency,
) -> rusqlite::Result<i64> {
    let find = "SELECT id FROM purses WHERE customer = ?1 AND currency = ?2";
    let owner = [customer, currency.as_str()];
    let found = connection.prepare_cached(find)?.query_row(owner, |row| row.get(0)).optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    let insert = "INSERT INTO purses (customer, currency, owed) VALUES (?1, ?2, 0)";
    connection.prepare_cached(insert)?.execute(owner)?;
    Ok(connection.last_insert_rowid())
}

/// Writes a new grant, of which `repays` goes to what is owed; gives its number.
pub(super) fn grant(
    connection: &Connection,
    grant: &GrantRecord,
    repays: Nanos,
) -> Result<u64, StoreError> {
    let GrantRecord {
        id,
        number: _,
        customer,
        currency,
        amount,
        left: _,
        priority,
        source,
        effective,
        expires,
        note,
        actor,
        created_at,
    } = grant;
    let purse = purse(connection, customer, *currency).map_err(query::write_failed)?;
    let sql = r#"INSERT INTO grants (id, purse, amount, "left", priority, source, effective, expires,
            note, actor, created_at)
        VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"#;
    let (source, expires) = (name_of(source)?, expires.map(ms));
    let (effective, at) = (ms(*effective), ms(*created_at));
    let amount = amount.0;
    query::write(
        connection,
        sql,
        params![id, purse, amount, priority, source, effective, expires, note, actor, at],
    )?;
    let number = connection.last_insert_rowid();
    let reference = Some(id.as_str());
    enter(connection, *created_at, purse, (EntryKind::Granted, number, amount), reference)?;
    repay(connection, *created_at, (purse, number), repays)?;
    u64::try_from(number).map_err(|error| StoreError::new("write to", error))
}

/// Takes from a grant what is left of it at its end; `repays` of that goes to what is owed.
pub(super) fn expire(
    connection: &Connection,
    now: Timestamp,
    grant: &GrantRecord,
    left: Nanos,
    repays: Nanos,
) -> Result<(), StoreError> {
    let purse = purse(connection, &grant.customer, grant.currency);
    let purse = purse.map_err(query::write_failed)?;
    let number = i64::try_from(grant.number).unwrap_or(NO_GRANT);
    repay(connection, now, (purse, number), repays)?;
    let expired = left.saturating_sub(repays).0;
    take(connection, number, expired).map_err(query::write_failed)?;
    if expired == 0 {
        return Ok(());
    }
    let moved = (EntryKind::Expired, number, expired.saturating_neg());
    enter(connection, now, purse, moved, Some(&grant.id))
}

/// Adds to what is owed.
pub(super) fn owe(
    connection: &Connection,
    now: Timestamp,
    owner: (&str, Currency),
    nanos: Nanos,
    reference: &str,
) -> Result<(), StoreError> {
    let (customer, currency) = owner;
    let purse = purse(connection, customer, currency).map_err(query::write_failed)?;
    add_owed(connection, purse, nanos.0).map_err(query::write_failed)?;
    let moved = (EntryKind::Corrected, NO_GRANT, nanos.0.saturating_neg());
    enter(connection, now, purse, moved, Some(reference))
}

fn repay(
    connection: &Connection,
    now: Timestamp,
    (purse, number): (i64, i64),
    nanos: Nanos,
) -> Result<(), StoreError> {
    if nanos == Nanos::ZERO {
        return Ok(());
    }
    // One behind the other, so that each is told with its balance.
    take(connection, number, nanos.0).map_err(query::write_failed)?;
    let paid = (EntryKind::Repaid, number, nanos.0.saturating_neg());
    enter(connection, now, purse, paid, None)?;
    let owed = nanos.0.saturating_neg();
    add_owed(connection, purse, owed).map_err(query::write_failed)?;
    enter(connection, now, purse, (EntryKind::Repaid, NO_GRANT, nanos.0), None)
}

/// Takes from what is left of a grant; gives whose it is. What is not folded yet may be taken too: what is
/// left is below zero then.
pub(super) fn take(connection: &Connection, number: i64, nanos: i64) -> rusqlite::Result<()> {
    let sql = r#"UPDATE grants SET "left" = "left" - ?2 WHERE number = ?1"#;
    connection.prepare_cached(sql)?.execute([number, nanos])?;
    Ok(())
}

/// Adds to what is owed of a purse.
pub(super) fn add_owed(connection: &Connection, purse: i64, nanos: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE purses SET owed = owed + ?2 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute([purse, nanos])?;
    Ok(())
}

/// Finds the number and the purse of a grant.
pub(super) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<(i64, i64)>> {
    let mut statement =
        connection.prepare_cached("SELECT number, purse FROM grants WHERE id = ?1")?;
    statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Gives a customer's grants, the oldest first, from the one after a number.
pub(super) fn of_customer(
    connection: &Connection,
    customer: &str,
    after: Option<u64>,
    max: usize,
) -> Result<Vec<GrantRecord>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE p.customer = ?1 AND g.number > ?2 ORDER BY g.number LIMIT ?3"
    );
    let after = after.map_or(0, query::signed);
    query::all(connection, GRANTS, &sql, params![customer, after, limit(max)], read)
}

/// Gives grants of which something is left although they have ended, the first to end first.
pub(super) fn ended(
    connection: &Connection,
    now: Timestamp,
    max: usize,
) -> Result<Vec<GrantRecord>, StoreError> {
    let sql = format!(
        r#"SELECT {COLUMNS} WHERE g.expires <= ?1 AND g."left" <> 0 ORDER BY g.expires LIMIT ?2"#
    );
    query::all(connection, GRANTS, &sql, params![ms(now), limit(max)], read)
}

/// Gives what a customer owes, by currency.
pub(super) fn owed(connection: &Connection, customer: &str) -> Result<Vec<Owed>, StoreError> {
    let sql = "SELECT currency, owed FROM purses WHERE customer = ?1 ORDER BY currency";
    query::all(connection, "purses", sql, [customer], |cells| {
        Ok(Owed { currency: currency(cells)?, nanos: Nanos(cells.get()?) })
    })
}

/// Calls `each` for every grant of which something is left.
pub(super) fn each_left(
    connection: &Connection,
    each: &mut dyn FnMut(GrantRecord),
) -> Result<(), StoreError> {
    let sql = format!(r#"SELECT {COLUMNS} WHERE g."left" <> 0 ORDER BY g.number"#);
    query::each(connection, GRANTS, &sql, [], |mut cells| {
        each(read(&mut cells)?);
        Ok(true)
    })
}

/// Calls `each` for every purse with its owner and what is owed.
pub(super) fn each_purse(
    connection: &Connection,
    each: &mut dyn FnMut(&str, Owed),
) -> Result<(), StoreError> {
    let sql = "SELECT customer, currency, owed FROM purses ORDER BY id";
    query::each(connection, "purses", sql, [], |mut cells| {
        let customer: String = cells.get()?;
        each(&customer, Owed { currency: currency(&mut cells)?, nanos: Nanos(cells.get()?) });
        Ok(true)
    })
}

fn enter(
    connection: &Connection,
    now: Timestamp,
    purse: i64,
    (kind, grant, amount): (EntryKind, i64, i64),
    reference: Option<&str>,
) -> Result<(), StoreError> {
    let account = Account { of: PURSE, id: purse };
    let entry = Entry { account, kind, grant, consumed: None, amount, reference };
    entries::append(connection, now, &entry)
}

fn read(cells: &mut Cells<'_, '_>) -> Result<GrantRecord, StoreError> {
    Ok(GrantRecord {
        id: cells.get()?,
        number: cells.count()?,
        customer: cells.get()?,
        currency: currency(cells)?,
        amount: Nanos(cells.get()?),
        left: Nanos(cells.get()?),
        priority: cells.small()?,
        source: cells.name()?,
        effective: cells.instant()?,
        expires: cells.optional_instant()?,
        note: cells.get()?,
        actor: cells.get()?,
        created_at: cells.instant()?,
    })
}

pub(super) fn currency(cells: &mut Cells<'_, '_>) -> Result<Currency, StoreError> {
    cells.name()
}
