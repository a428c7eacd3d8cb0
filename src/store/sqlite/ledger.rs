//! Reading one customer's ledger, found by the hours in which it has entries.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::{
    ledger::Window,
    store::{
        StoreError, instant,
        records::{EntryAccount, EntryKind, EntryRecord, LedgerPlace},
        sqlite::{
            credits::currency,
            entries::{self, Account, PURSE, USAGE},
            query::{self, Cells, ms},
        },
    },
};

const HOUR_MS: i64 = 3_600_000;

/// The accounts of the customer `?1`.
const MINE: &str = r#"mine("of", account) AS (
    SELECT 0, id FROM usage WHERE customer = ?1 UNION ALL SELECT 1, id FROM purses WHERE customer = ?1)"#;

/// What an account is called.
const NAMES: &str = r#"LEFT JOIN usage AS u ON x."of" = 0 AND u.id = x.account
    LEFT JOIN purses AS p ON x."of" = 1 AND p.id = x.account
    LEFT JOIN grants AS g ON x."grant" <> 0 AND g.number = x."grant"
    LEFT JOIN names AS n ON n.id = x.route"#;

/// The columns that [`read`] takes, behind the account's.
const COLUMNS: &str = r#"x."of", u.scope, u.quota, u.window_start, u.window_end, p.currency, g.id,
    n.name"#;

/// Gives entries, the oldest first, from the one after a place; what is gathered and not entered comes
/// behind the last one. Beside them tells whether there are more.
pub(super) fn page(
    connection: &Connection,
    customer: &str,
    after: Option<LedgerPlace>,
    max: usize,
) -> Result<(Vec<EntryRecord>, bool), StoreError> {
    let mut found = match after {
        None => carried(connection, customer)?,
        Some(_) => Vec::new(),
    };
    // What was carried stands on the first page, however much of it there is.
    let max = max.saturating_add(found.len());
    let first = after.map_or(i64::MIN, |place| hour_of(ms(place.entered)));
    for hour in hours(connection, customer, first)? {
        let mut entries = of_hour(connection, customer, hour)?;
        if let Some(LedgerPlace { entered, number }) = after {
            entries.retain(|entry| (entry.entered, entry.number) > (entered, number));
        }
        entries.sort_by_key(|entry| (entry.entered, entry.number));
        found.append(&mut entries);
        if found.len() > max {
            found.truncate(max);
            return Ok((found, true));
        }
    }
    found.append(&mut gathered(connection, customer)?);
    Ok((found, false))
}

fn hour_of(ms: i64) -> i64 {
    ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS)
}

fn hours(connection: &Connection, customer: &str, first: i64) -> Result<Vec<i64>, StoreError> {
    let sql = format!(
        r#"WITH {MINE} SELECT DISTINCT h.hour FROM mine AS m CROSS JOIN entry_hours AS h
            ON h."of" = m."of" AND h.account = m.account WHERE h.hour >= ?2 ORDER BY h.hour"#
    );
    query::all(connection, "entry_hours", &sql, params![customer, first], |cells| cells.get())
}

fn of_hour(
    connection: &Connection,
    customer: &str,
    hour: i64,
) -> Result<Vec<EntryRecord>, StoreError> {
    let sql = format!(
        r#"WITH RECURSIVE {MINE},
            past(ms) AS (VALUES (0) UNION ALL SELECT ms + 60000 FROM past WHERE ms < 3540000)
        SELECT x.number, {COLUMNS}, x.entered, x.kind, x.minute, x.requests, x.amount, x.balance,
            x.reference
        FROM mine AS m CROSS JOIN entry_hours AS h
                ON h."of" = m."of" AND h.account = m.account AND h.hour = ?2
            CROSS JOIN past CROSS JOIN entries AS x
                ON x.entered = ?2 + past.ms AND x."of" = h."of" AND x.account = h.account
            {NAMES}"#
    );
    query::all(connection, "entries", &sql, params![customer, hour], |cells| {
        let number = cells.count()?;
        let (account, route) = read_account(cells)?;
        Ok(EntryRecord {
            number,
            account,
            route,
            entered: cells.instant()?,
            kind: cells.name()?,
            minute: cells.optional_instant()?,
            requests: cells.get::<Option<i64>>()?.and_then(|count| count.try_into().ok()),
            amount: cells.get()?,
            balance: cells.get()?,
            reference: cells.get()?,
        })
    })
}

/// Gives the sums of what was dropped, each account's with its balance.
fn carried(connection: &Connection, customer: &str) -> Result<Vec<EntryRecord>, StoreError> {
    let until = "SELECT carried FROM ledger";
    let until = query::one(connection, "ledger", until, [], |cells| cells.get::<i64>())?;
    let entered = instant(until.unwrap_or(i64::MIN));
    let sql = format!(
        r#"WITH {MINE} SELECT x.account, {COLUMNS}, x.amount
        FROM mine AS m CROSS JOIN
            (SELECT "of", account, "grant", NULL AS route, amount FROM carried) AS x
            ON x."of" = m."of" AND x.account = m.account
            {NAMES} ORDER BY x."of", x.account, x."grant""#
    );
    let mut balances = HashMap::<Account, i64>::new();
    let rows = query::all(connection, "carried", &sql, [customer], |cells| {
        let id: i64 = cells.get()?;
        Ok((id, read_account(cells)?, cells.get::<i64>()?))
    })?;
    let carry = |(id, (account, route), amount): (i64, (EntryAccount, Option<String>), i64)| {
        let balance = balances.entry(account_of(id, &account)).or_insert(0);
        *balance = balance.saturating_add(amount);
        EntryRecord {
            number: 0,
            entered,
            account,
            kind: EntryKind::Carried,
            minute: None,
            route,
            requests: None,
            amount,
            balance: *balance,
            reference: None,
        }
    };
    Ok(rows.into_iter().map(carry).collect())
}

/// Gives what will be entered when its minute is over.
fn gathered(connection: &Connection, customer: &str) -> Result<Vec<EntryRecord>, StoreError> {
    let sql = format!(
        r#"WITH {MINE} SELECT x.account, {COLUMNS}, x.minute, x.requests, x.amount
        FROM consumption AS x CROSS JOIN mine AS m ON m."of" = x."of" AND m.account = x.account
            {NAMES} ORDER BY x.minute, x."of", x.account, x."grant", x.route"#
    );
    let rows = query::all(connection, "consumption", &sql, [customer], |cells| {
        let id: i64 = cells.get()?;
        let (account, route) = read_account(cells)?;
        Ok((
            account_of(id, &account),
            account,
            route,
            cells.time()?,
            cells.count()?,
            cells.get::<i64>()?,
        ))
    })?;
    let mut balances = HashMap::<Account, i64>::new();
    let mut found = Vec::new();
    for (id, account, route, minute, requests, amount) in rows {
        let amount = if id.of == PURSE { amount.saturating_neg() } else { amount };
        let before = match balances.get(&id) {
            Some(known) => *known,
            None => entries::entered_balance(connection, id)?,
        };
        let balance = before.saturating_add(amount);
        balances.insert(id, balance);
        found.push(EntryRecord {
            number: 0,
            entered: minute,
            account,
            kind: EntryKind::Consumed,
            minute: Some(minute),
            route,
            requests: Some(requests),
            amount,
            balance,
            reference: None,
        });
    }
    Ok(found)
}

fn account_of(id: i64, account: &EntryAccount) -> Account {
    match account {
        EntryAccount::Credit { .. } => Account { of: PURSE, id },
        EntryAccount::Quota { .. } => Account { of: USAGE, id },
    }
}

/// Reads [`COLUMNS`].
fn read_account(cells: &mut Cells<'_, '_>) -> Result<(EntryAccount, Option<String>), StoreError> {
    let of: i64 = cells.get()?;
    let account = if of == PURSE {
        cells.skip(4);
        EntryAccount::Credit { currency: currency(cells)?, grant: cells.get()? }
    } else {
        let account = EntryAccount::Quota {
            scope: cells.get()?,
            quota: cells.get()?,
            window: Window { start: cells.instant()?, end: cells.optional_instant()? },
        };
        cells.skip(2);
        account
    };
    Ok((account, cells.get()?))
}
