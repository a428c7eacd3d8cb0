//! Reading one customer's ledger.

use std::collections::HashMap;

use crate::{
    ledger::Window,
    store::{
        StoreError, instant,
        records::{EntryAccount, EntryKind, EntryRecord, LedgerPlace},
        sql::{
            Database,
            credits::currency,
            movement::{Account, PAYMENT, PURSE, USAGE},
            params,
            query::{self, Cells},
        },
    },
};

/// The accounts of the customer `?1`.
pub(in crate::store) const MINE: &str = r#"mine("of", account) AS (
    SELECT 0, id FROM usage WHERE customer = ?1 UNION ALL SELECT 1, id FROM purses WHERE customer = ?1
    UNION ALL SELECT 2, number FROM payments WHERE customer = ?1)"#;

/// What an account is called.
pub(in crate::store) const NAMES: &str = r#"LEFT JOIN usage AS u ON x."of" = 0 AND u.id = x.account
    LEFT JOIN purses AS p ON x."of" = 1 AND p.id = x.account
    LEFT JOIN payments AS y ON x."of" = 2 AND y.number = x.account
    LEFT JOIN grants AS g ON x."grant" <> 0 AND g.number = x."grant"
    LEFT JOIN names AS n ON n.id = x.route"#;

/// The columns that [`read_account`] takes.
pub(in crate::store) const COLUMNS: &str = r#"x."of", u.scope, u.quota, u.window_start, u.window_end, p.currency, g.id,
    y.currency, y.proof, coalesce(n.name, y.route)"#;

/// Gives entries, the oldest first, from the one after a place; what is gathered and not entered comes
/// behind the last one. Beside them tells whether there are more.
pub(super) fn page(
    database: &dyn Database,
    customer: &str,
    after: Option<LedgerPlace>,
    max: usize,
) -> Result<(Vec<EntryRecord>, bool), StoreError> {
    // What was carried stands on the first page, however much of it there is.
    let mut found = match after {
        None => carried(database, customer)?,
        Some(_) => Vec::new(),
    };
    let (mut entries, is_more) = database.entries(customer, after, max)?;
    found.append(&mut entries);
    if !is_more {
        found.append(&mut gathered(database, customer)?);
    }
    Ok((found, is_more))
}

/// Reads an entry: its number, [`COLUMNS`], and the rest of it.
pub(in crate::store) fn read_entry(cells: &mut Cells<'_>) -> Result<EntryRecord, StoreError> {
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
}

/// Gives the sums of what was dropped, each account's with its balance.
fn carried(database: &dyn Database, customer: &str) -> Result<Vec<EntryRecord>, StoreError> {
    let until = "SELECT carried FROM ledger";
    let until = query::one(database, "ledger", until, params![], |cells| cells.get::<i64>())?;
    let entered = instant(until.unwrap_or(i64::MIN));
    let join = database.join();
    let sql = format!(
        r#"WITH {MINE} SELECT x.account, {COLUMNS}, x.amount
        FROM mine AS m {join}
            (SELECT "of", account, "grant", CAST(NULL AS BIGINT) AS route, amount FROM carried) AS x
            ON x."of" = m."of" AND x.account = m.account
            {NAMES} ORDER BY x."of", x.account, x."grant""#
    );
    let mut balances = HashMap::<Account, i64>::new();
    let rows = query::all(database, "carried", &sql, params![customer], |cells| {
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
fn gathered(database: &dyn Database, customer: &str) -> Result<Vec<EntryRecord>, StoreError> {
    let join = database.join();
    let sql = format!(
        r#"WITH {MINE} SELECT x.account, {COLUMNS}, x.minute, x.requests, x.amount
        FROM consumption AS x {join} mine AS m ON m."of" = x."of" AND m.account = x.account
            {NAMES} ORDER BY x.minute, x."of", x.account, x."grant", x.route"#
    );
    let rows = query::all(database, "consumption", &sql, params![customer], |cells| {
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
            None => database.entered_balance(id)?,
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
        EntryAccount::Payment { .. } => Account { of: PAYMENT, id },
        EntryAccount::Quota { .. } => Account { of: USAGE, id },
    }
}

/// Reads [`COLUMNS`].
fn read_account(cells: &mut Cells<'_>) -> Result<(EntryAccount, Option<String>), StoreError> {
    let of: i64 = cells.get()?;
    let account = if of == PURSE {
        cells.skip(4);
        let account = EntryAccount::Credit { currency: currency(cells)?, grant: cells.get()? };
        cells.skip(2);
        account
    } else if of == PAYMENT {
        cells.skip(6);
        EntryAccount::Payment { currency: currency(cells)?, proof: cells.get()? }
    } else {
        let account = EntryAccount::Quota {
            scope: cells.get()?,
            quota: cells.get()?,
            window: Window { start: cells.instant()?, end: cells.optional_instant()? },
        };
        cells.skip(4);
        account
    };
    Ok((account, cells.get()?))
}
