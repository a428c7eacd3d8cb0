//! Money: grants, purses, and what is owed.

use crate::{
    model::{Currency, Nanos},
    store::{
        StoreError,
        records::{EntryKind, GrantRecord, Owed},
        sql::{
            Database,
            movement::{Account, Entry, NO_GRANT, PURSE},
            params,
            query::{self, Cells, limit, ms, name_of},
        },
    },
};
use jiff::Timestamp;

pub(in crate::store) const GRANTS: &str = "grants";
const PURSES: &str = "purses";

pub(in crate::store) const COLUMNS: &str = r#"g.id, g.number, p.customer, p.currency, g.amount, g."left", g.priority,
    g.source, g.effective, g.expires, g.note, g.actor, g.created_at
    FROM grants AS g JOIN purses AS p ON p.id = g.purse"#;

/// Gives the number of a purse, of a new one if there is none yet.
pub(in crate::store) fn purse(
    database: &dyn Database,
    customer: &str,
    currency: Currency,
) -> Result<i64, StoreError> {
    let find = "SELECT id FROM purses WHERE customer = ?1 AND currency = ?2";
    let owner = params![customer, currency.as_str()];
    let found = query::one(database, PURSES, find, owner, |cells| cells.get())?;
    if let Some(id) = found {
        return Ok(id);
    }
    let insert = "INSERT INTO purses (customer, currency, owed) VALUES (?1, ?2, 0) RETURNING id";
    let made = query::one(database, PURSES, insert, owner, |cells| cells.get())?;
    made.ok_or_else(|| StoreError::new("write to", "a new purse has no number"))
}

/// Writes a new grant, of which `repays` goes to what is owed; gives its number.
pub(super) fn grant(
    database: &dyn Database,
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
    let purse = purse(database, customer, *currency)?;
    let sql = r#"INSERT INTO grants (id, purse, amount, "left", priority, source, effective, expires,
            note, actor, created_at)
        VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING number"#;
    let (source, expires) = (name_of(source)?, expires.map(ms));
    let (effective, at) = (ms(*effective), ms(*created_at));
    let amount = amount.0;
    let params = params![id, purse, amount, priority, source, effective, expires, note, actor, at];
    let number = query::one(database, GRANTS, sql, params, |cells| cells.get())?;
    let number = number.unwrap_or(NO_GRANT);
    let reference = Some(id.as_str());
    enter(database, *created_at, purse, (EntryKind::Granted, number, amount), reference)?;
    repay(database, *created_at, (purse, number), grant, repays)?;
    u64::try_from(number).map_err(|error| StoreError::new("write to", error))
}

/// Takes from a grant what is left of it at its end; `repays` of that goes to what is owed.
pub(super) fn expire(
    database: &dyn Database,
    now: Timestamp,
    grant: &GrantRecord,
    left: Nanos,
    repays: Nanos,
) -> Result<(), StoreError> {
    let purse = purse(database, &grant.customer, grant.currency)?;
    let number = i64::try_from(grant.number).unwrap_or(NO_GRANT);
    repay(database, now, (purse, number), grant, repays)?;
    let expired = left.saturating_sub(repays).0;
    if expired == 0 {
        return Ok(());
    }
    take_shared(database, number, grant, expired)?;
    let moved = (EntryKind::Expired, number, expired.saturating_neg());
    enter(database, now, purse, moved, Some(&grant.id))
}

/// Adds to what is owed.
pub(super) fn owe(
    database: &dyn Database,
    now: Timestamp,
    owner: (&str, Currency),
    nanos: Nanos,
    reference: &str,
) -> Result<(), StoreError> {
    let (customer, currency) = owner;
    let purse = purse(database, customer, currency)?;
    add_owed(database, purse, nanos.0)?;
    let moved = (EntryKind::Corrected, NO_GRANT, nanos.0.saturating_neg());
    enter(database, now, purse, moved, Some(reference))
}

fn repay(
    database: &dyn Database,
    now: Timestamp,
    (purse, number): (i64, i64),
    grant: &GrantRecord,
    nanos: Nanos,
) -> Result<(), StoreError> {
    if nanos == Nanos::ZERO {
        return Ok(());
    }
    // One behind the other, so that each is told with its balance.
    take_shared(database, number, grant, nanos.0)?;
    let paid = (EntryKind::Repaid, number, nanos.0.saturating_neg());
    enter(database, now, purse, paid, None)?;
    let owed = nanos.0.saturating_neg();
    add_owed(database, purse, owed)?;
    enter(database, now, purse, (EntryKind::Repaid, NO_GRANT, nanos.0), None)
}

/// Takes from what is left of a grant for all who share it.
fn take_shared(
    database: &dyn Database,
    number: i64,
    grant: &GrantRecord,
    nanos: i64,
) -> Result<(), StoreError> {
    take(database, number, nanos)?;
    database.correct_shared(&grant.account(), nanos)
}

/// Takes from what is left of a grant. What is not folded yet may be taken too: what is left is below zero then.
pub(in crate::store) fn take(
    database: &dyn Database,
    number: i64,
    nanos: i64,
) -> Result<(), StoreError> {
    let sql = r#"UPDATE grants SET "left" = "left" - ?2 WHERE number = ?1"#;
    query::write(database, sql, params![number, nanos])?;
    Ok(())
}

/// Adds to what is owed of a purse.
pub(in crate::store) fn add_owed(
    database: &dyn Database,
    purse: i64,
    nanos: i64,
) -> Result<(), StoreError> {
    let sql = "UPDATE purses SET owed = owed + ?2 WHERE id = ?1";
    query::write(database, sql, params![purse, nanos])?;
    Ok(())
}

/// Finds the number and the purse of a grant.
pub(in crate::store) fn find(
    database: &dyn Database,
    id: &str,
) -> Result<Option<(i64, i64)>, StoreError> {
    let sql = "SELECT number, purse FROM grants WHERE id = ?1";
    query::one(database, GRANTS, sql, params![id], |cells| Ok((cells.get()?, cells.get()?)))
}

/// Gives a customer's grants, the oldest first, from the one after a number.
pub(super) fn of_customer(
    database: &dyn Database,
    customer: &str,
    after: Option<u64>,
    max: usize,
) -> Result<Vec<GrantRecord>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE p.customer = ?1 AND g.number > ?2 ORDER BY g.number LIMIT ?3"
    );
    let after = after.map_or(0, query::signed);
    query::all(database, GRANTS, &sql, params![customer, after, limit(max)], read)
}

/// Gives grants of which something is left although they have ended, the first to end first.
pub(super) fn ended(
    database: &dyn Database,
    now: Timestamp,
    max: usize,
) -> Result<Vec<GrantRecord>, StoreError> {
    let sql = format!(
        r#"SELECT {COLUMNS} WHERE g.expires <= ?1 AND g."left" <> 0 ORDER BY g.expires LIMIT ?2"#
    );
    query::all(database, GRANTS, &sql, params![ms(now), limit(max)], read)
}

/// Gives what a customer owes, by currency.
pub(super) fn owed(database: &dyn Database, customer: &str) -> Result<Vec<Owed>, StoreError> {
    let sql = "SELECT currency, owed FROM purses WHERE customer = ?1 ORDER BY currency";
    query::all(database, PURSES, sql, params![customer], |cells| {
        Ok(Owed { currency: currency(cells)?, nanos: Nanos(cells.get()?) })
    })
}

/// Calls `each` for every grant of which something is left.
pub(super) fn each_left(
    database: &dyn Database,
    each: &mut dyn FnMut(GrantRecord),
) -> Result<(), StoreError> {
    let sql = format!(r#"SELECT {COLUMNS} WHERE g."left" <> 0 ORDER BY g.number"#);
    query::each(database, GRANTS, &sql, params![], |mut cells| {
        each(read(&mut cells)?);
        Ok(true)
    })
}

/// Calls `each` for every purse with its owner and what is owed.
pub(super) fn each_purse(
    database: &dyn Database,
    each: &mut dyn FnMut(&str, Owed),
) -> Result<(), StoreError> {
    let sql = "SELECT customer, currency, owed FROM purses ORDER BY id";
    query::each(database, PURSES, sql, params![], |mut cells| {
        let customer: String = cells.get()?;
        each(&customer, Owed { currency: currency(&mut cells)?, nanos: Nanos(cells.get()?) });
        Ok(true)
    })
}

fn enter(
    database: &dyn Database,
    now: Timestamp,
    purse: i64,
    (kind, grant, amount): (EntryKind, i64, i64),
    reference: Option<&str>,
) -> Result<(), StoreError> {
    let account = Account { of: PURSE, id: purse };
    let entry = Entry { account, kind, grant, consumed: None, amount, reference };
    database.enter(now, &[entry])
}

pub(in crate::store) fn read(cells: &mut Cells<'_>) -> Result<GrantRecord, StoreError> {
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

pub(in crate::store) fn currency(cells: &mut Cells<'_>) -> Result<Currency, StoreError> {
    cells.name()
}
