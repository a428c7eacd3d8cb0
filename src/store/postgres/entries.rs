//! The ledger: what moves an account is entered, and nothing that was entered is changed.
//!
//! Invariant: what an account has is the sum of its entries, of those that were carried, and of what is
//! gathered. Whoever makes entries holds the one row of `ledger` until the transaction ends, so that their
//! numbers and minutes rise in the order of the commits, whoever makes them.

use std::{
    collections::{HashMap, HashSet},
    iter,
};

use jiff::Timestamp;

use super::{
    connection::Connection,
    text,
    value::{self, integer},
};
use crate::store::{
    StoreError,
    records::EntryKind,
    sql::{
        movement::{Account, Consumption, Entry, MINUTE_MS, told},
        query::{limit, ms},
    },
};

/// How many rows share a statement at most.
pub(super) const TOGETHER: usize = 10_000;

/// Makes entries of one account, behind the change that they tell.
pub(super) fn append(
    connection: &Connection,
    now: Timestamp,
    entries: &[Entry<'_>],
) -> Result<(), StoreError> {
    let Some(Entry { account, .. }) = entries.first() else { return Ok(()) };
    let place = take_numbers(connection, now, entries.len())?;
    let balances = balances(connection, &[*account])?;
    let after = balances.get(account).copied().unwrap_or(0);
    let lines = told(entries, after).map(|(entry, balance)| Line { entry: *entry, balance });
    write(connection, place, &lines.collect::<Vec<_>>())
}

/// Enters what was consumed and is not gathered (any more), behind the change of the accounts.
pub(super) fn enter(
    connection: &Connection,
    now: Timestamp,
    mut rows: Vec<Consumption>,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_unstable();
    let place = take_numbers(connection, now, rows.len())?;
    let accounts: Vec<_> = rows.iter().map(|row| row.account).collect();
    let balances = balances(connection, &accounts)?;
    let mut lines = Vec::with_capacity(rows.len());
    for rows in rows.chunk_by(|one, other| one.account == other.account) {
        let after = rows.first().and_then(|row| balances.get(&row.account));
        let after = after.copied().unwrap_or(0);
        let mut balance = rows.iter().fold(after, |has, row| has.saturating_sub(row.movement()));
        for row in rows {
            balance = balance.saturating_add(row.movement());
            lines.push(Line { entry: entry_of(row), balance });
        }
    }
    write(connection, place, &lines)
}

fn entry_of(row: &Consumption) -> Entry<'static> {
    let Consumption { account, minute, grant, route, requests, amount: _ } = *row;
    let (kind, consumed) = (EntryKind::Consumed, Some((minute, route, requests)));
    Entry { account, kind, grant, consumed, amount: row.movement(), reference: None }
}

/// Enters what was gathered in minutes before this one, up to `max` rows of it; tells whether that was all.
pub(super) fn enter_gathered(
    connection: &Connection,
    now: Timestamp,
    before: Timestamp,
    max: usize,
) -> Result<bool, StoreError> {
    let sql = r#"DELETE FROM consumption WHERE (minute, "of", account, "grant", route) IN (
            SELECT minute, "of", account, "grant", route FROM consumption WHERE minute < $1
            ORDER BY minute, "of", account, "grant", route LIMIT $2
        ) RETURNING minute, "of", account, "grant", route, requests, amount"#;
    let taken = connection.rows("write to", sql, &[&ms(before), &limit(max)])?;
    let read = |row| -> Result<Consumption, StoreError> {
        let column = |at| integer(row, at);
        Ok(Consumption {
            minute: column(0)?,
            account: Account { of: column(1)?, id: column(2)? },
            grant: column(3)?,
            route: column(4)?,
            requests: column(5)?,
            amount: column(6)?,
        })
    };
    let rows = taken.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let is_over = rows.len() < max;
    enter(connection, now, rows)?;
    Ok(is_over)
}

/// Drops entries that were made before a minute and carries what they add up to, up to `max` of them; tells
/// whether that was all.
pub(super) fn carry(
    connection: &Connection,
    before: Timestamp,
    max: usize,
) -> Result<bool, StoreError> {
    let before = ms(before).div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS);
    // What refuses to remove an entry goes by this.
    let sql = "UPDATE ledger SET carried = greatest(carried, $1)";
    connection.write(sql, &[&before])?;
    let sql = r#"WITH gone AS (
            DELETE FROM entries WHERE ("of", account, entered, number) IN (
                SELECT "of", account, entered, number FROM entries WHERE entered < $1
                ORDER BY entered, "of", account, number LIMIT $2
            ) RETURNING "of", account, "grant", amount
        ), kept AS (
            INSERT INTO carried AS c ("of", account, "grant", amount)
            SELECT "of", account, "grant", sum(amount)::bigint FROM gone GROUP BY 1, 2, 3
            ON CONFLICT ("of", account, "grant") DO UPDATE SET amount = c.amount + excluded.amount
        )
        SELECT count(*) FROM gone"#;
    let rows = connection.rows("write to", sql, &[&before, &limit(max)])?;
    let gone = rows.first().map_or(Ok(0), |row| integer(row, 0))?;
    Ok(gone < limit(max))
}

/// Gives what accounts have, without what is gathered and not entered. Those that are not there have nothing.
pub(super) fn balances(
    connection: &Connection,
    accounts: &[Account],
) -> Result<HashMap<Account, i64>, StoreError> {
    let sql = r#"SELECT n."of", n.id,
            (CASE n."of" WHEN 0 THEN coalesce((SELECT used FROM usage WHERE id = n.id), 0)
                - coalesce((SELECT sum(amount) FROM consumption AS c
                    WHERE c."of" = 0 AND c.account = n.id), 0)
            WHEN 2 THEN coalesce((SELECT held FROM payments WHERE number = n.id), 0)
            ELSE coalesce((SELECT sum("left") FROM grants WHERE purse = n.id), 0)
                - coalesce((SELECT owed FROM purses WHERE id = n.id), 0)
                + coalesce((SELECT sum(amount) FROM consumption AS c
                    WHERE c."of" = 1 AND c.account = n.id), 0)
            END)::bigint
        FROM unnest($1::bigint[], $2::bigint[]) AS n("of", id)"#;
    let distinct: HashSet<_> = accounts.iter().copied().collect();
    let distinct: Vec<_> = distinct.into_iter().collect();
    let mut found = HashMap::with_capacity(distinct.len());
    for some in distinct.chunks(TOGETHER) {
        let (ofs, ids): (Vec<_>, Vec<_>) =
            some.iter().map(|account| (account.of, account.id)).unzip();
        for row in &connection.rows("read", sql, &[&ofs, &ids])? {
            let account = Account { of: integer(row, 0)?, id: integer(row, 1)? };
            found.insert(account, integer(row, 2)?);
        }
    }
    Ok(found)
}

/// Where entries are to be made: the minute, and the number before the first.
#[derive(Clone, Copy, Debug)]
struct Place {
    entered: i64,
    number: i64,
}

/// A clock that is set back enters where it was.
fn take_numbers(
    connection: &Connection,
    now: Timestamp,
    count: usize,
) -> Result<Place, StoreError> {
    let (now, count) = (ms(now).div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS), limit(count));
    let sql = "UPDATE ledger SET number = number + $1, entered = greatest(entered, $2)
        RETURNING number, entered";
    let rows = connection.rows("write to", sql, &[&count, &now])?;
    let missing = || StoreError::new("write to", "the row of the table ledger is not there");
    let row = rows.first().ok_or_else(missing)?;
    Ok(Place { number: integer(row, 0)?.saturating_sub(count), entered: integer(row, 1)? })
}

/// An entry that is not written yet.
struct Line<'a> {
    entry: Entry<'a>,
    balance: i64,
}

/// Writes entries one behind the other.
fn write(connection: &Connection, place: Place, lines: &[Line<'_>]) -> Result<(), StoreError> {
    let Place { entered, mut number } = place;
    let sql = r#"INSERT INTO entries
        SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[],
            $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[])"#;
    for lines in lines.chunks(TOGETHER) {
        let kinds: Vec<_> = lines.iter().map(|line| line.entry.kind.name()).collect();
        let each = |value: fn(&Line<'_>) -> i64| lines.iter().map(value).collect::<Vec<_>>();
        let maybe = |value: fn((i64, i64, i64)) -> i64| {
            lines.iter().map(|line| line.entry.consumed.map(value)).collect::<Vec<_>>()
        };
        let first = number;
        let numbers: Vec<_> =
            iter::successors(first.checked_add(1), |number| number.checked_add(1))
                .take(lines.len())
                .collect();
        number = first.saturating_add(limit(lines.len()));
        let references: Vec<_> =
            lines.iter().map(|line| line.entry.reference.map(text::encode)).collect();
        connection.write(
            sql,
            &[
                &entered,
                &each(|line| line.entry.account.of),
                &each(|line| line.entry.account.id),
                &numbers,
                &kinds,
                &each(|line| line.entry.grant),
                &maybe(|(minute, _, _)| minute),
                &maybe(|(_, route, _)| route),
                &maybe(|(_, _, requests)| requests),
                &each(|line| line.entry.amount),
                &each(|line| line.balance),
                &references,
            ],
        )?;
    }
    Ok(())
}

/// Gives the minutes in which something is gathered. They are few, and each is found by one look at an index.
pub(super) fn gathered_minutes(connection: &Connection) -> Result<HashSet<i64>, StoreError> {
    let sql = "WITH RECURSIVE minutes(minute) AS (
             (SELECT min(minute) FROM consumption)
             UNION ALL
             SELECT (SELECT min(minute) FROM consumption WHERE minute > minutes.minute)
                 FROM minutes WHERE minutes.minute IS NOT NULL
         )
         SELECT minute FROM minutes WHERE minute IS NOT NULL";
    connection.rows("read", sql, &[])?.iter().map(|row| value::integer(row, 0)).collect()
}
