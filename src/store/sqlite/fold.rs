//! What a fold writes.

use jiff::Timestamp;
use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use crate::{
    ledger::Window,
    store::{
        Commit, Consumed, ConsumedRow, CreditRow, OpenReservation, Position, ReservationId,
        StoreError, UsageRow,
        sql::{
            credits,
            movement::{Account, Consumption, MINUTE_MS, NO_GRANT, PURSE, USAGE},
            query::signed,
        },
        sqlite::{
            database::write_failed,
            entries,
            ids::{AccountId, Ids, Names, Remembered},
            many::Insertion,
            minutes,
            owners::Owners,
        },
    },
};

/// Gives what is to be entered into the ledger behind it. What it writes to `ids` is true only once the
/// transaction is committed.
pub(super) fn write(
    transaction: &Transaction<'_>,
    ids: &mut Ids,
    commit: &Commit<'_>,
) -> Result<Vec<Consumption>, StoreError> {
    let Commit { node, now, usage, credits, consumed, minutes, opened, closed, positions } = commit;
    let node = node.to_string();
    let mut owners = Owners::new(transaction).map_err(write_failed)?;
    set_positions(transaction, &node, positions).map_err(write_failed)?;
    ids.turn(positions.iter().map(|position| position.latest).max());
    let accounts = add_usage(transaction, &mut owners, &mut ids.accounts, usage);
    let accounts = accounts.map_err(write_failed)?;
    let grants = take_credits(transaction, &mut owners, credits)?;
    let consumed = numbered(transaction, &mut ids.names, (&accounts, &grants), consumed);
    let over = gather(transaction, *now, consumed.map_err(write_failed)?).map_err(write_failed)?;
    minutes::add(transaction, &mut owners, &mut ids.series, minutes).map_err(write_failed)?;
    insert_open(transaction, &mut owners, &node, opened).map_err(write_failed)?;
    delete_closed(transaction, &node, closed).map_err(write_failed)?;
    Ok(over)
}

/// Gives the numbers of the rows, in the same order.
fn add_usage(
    transaction: &Transaction<'_>,
    owners: &mut Owners<'_>,
    accounts: &mut Remembered<AccountId>,
    rows: &[UsageRow<'_>],
) -> rusqlite::Result<Vec<i64>> {
    // The texts, because units must never go to another account, whatever is remembered. Not the end,
    // since there is an index of it, which would be written anew: it is known to be this one or later.
    let mut known = transaction.prepare_cached(
        "UPDATE usage SET used = min(used + ?5, 9223372036854775807)
         WHERE id = ?6 AND customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4",
    )?;
    let mut finder = Accounts::new(transaction)?;
    let mut numbers = Vec::with_capacity(rows.len());
    for row in rows {
        let UsageRow { customer, scope, quota, window: Window { start, end }, used } = row;
        let customer = owners.of(customer)?;
        let start = start.as_millisecond();
        let account = accounts.fingerprint(&(&*customer, scope, quota, start, end));
        if let Some(AccountId(id)) = accounts.find(&account)
            && known.execute(params![customer, scope, quota, start, signed(*used), id])? == 1
        {
            numbers.push(id.into());
            continue;
        }
        let id = finder.add(&customer, row)?;
        if let Ok(id) = u32::try_from(id) {
            accounts.put(account, AccountId(id));
        }
        numbers.push(id);
    }
    Ok(numbers)
}

/// Finds accounts by their texts, and makes those that are not there.
struct Accounts<'t> {
    transaction: &'t Transaction<'t>,
    find: CachedStatement<'t>,
    add: CachedStatement<'t>,
    insert: CachedStatement<'t>,
}

impl<'t> Accounts<'t> {
    fn new(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        let prepare = |sql| transaction.prepare_cached(sql);
        Ok(Self {
            transaction,
            // No upsert that tells its row: a statement that returns rows keeps them in a table of its
            // own.
            find: prepare(
                "SELECT id FROM usage
                 WHERE customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4",
            )?,
            // The later end: a quota whose window was lengthened within it must be found until that
            // ends.
            add: prepare(
                "UPDATE usage SET
                     window_end = max(window_end, ?2),
                     used = min(used + ?3, 9223372036854775807)
                 WHERE id = ?1",
            )?,
            insert: prepare(
                "INSERT INTO usage (customer, scope, quota, window_start, window_end, used)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
        })
    }

    /// Adds to an account, and gives its number.
    fn add(&mut self, customer: &str, row: &UsageRow<'_>) -> rusqlite::Result<i64> {
        let UsageRow { customer: _, scope, quota, window: Window { start, end }, used } = row;
        let (start, end) = (start.as_millisecond(), end.map(Timestamp::as_millisecond));
        let (texts, used) = (params![customer, scope, quota, start], signed(*used));
        let found: Option<i64> = self.find.query_row(texts, |row| row.get(0)).optional()?;
        if let Some(id) = found {
            self.add.execute(params![id, end, used])?;
            return Ok(id);
        }
        self.insert.execute(params![customer, scope, quota, start, end, used])?;
        Ok(self.transaction.last_insert_rowid())
    }
}

/// Gives the purses and the numbers of the grants, in the same order.
fn take_credits(
    transaction: &Transaction<'_>,
    owners: &mut Owners<'_>,
    rows: &[CreditRow<'_>],
) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut numbers = Vec::with_capacity(rows.len());
    for CreditRow { customer, currency, grant, nanos } in rows {
        let found = if grant.is_empty() { None } else { credits::find(&**transaction, grant)? };
        // A grant that is not there, as in a store that was put back, is owed like what none pays.
        numbers.push(match found {
            Some((number, purse)) => {
                credits::take(&**transaction, number, nanos.0)?;
                (purse, number)
            }
            None => {
                let owner = owners.of(customer).map_err(write_failed)?;
                let purse = credits::purse(&**transaction, &owner, *currency)?;
                credits::add_owed(&**transaction, purse, nanos.0)?;
                (purse, NO_GRANT)
            }
        });
    }
    Ok(numbers)
}

/// Puts numbers for what was consumed of what, and where.
fn numbered(
    transaction: &Transaction<'_>,
    names: &mut Names,
    (accounts, grants): (&[i64], &[(i64, i64)]),
    rows: &[ConsumedRow<'_>],
) -> rusqlite::Result<Vec<Consumption>> {
    let numbered = |ConsumedRow { of, minute, route, requests, amount }: &ConsumedRow<'_>| {
        let account = match of {
            Consumed::Usage(place) => accounts.get(*place).map(|id| (USAGE, *id, NO_GRANT)),
            Consumed::Credit(place) => grants.get(*place).map(|(id, grant)| (PURSE, *id, *grant)),
        };
        let (of, id, grant) = account.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let (minute, route) = (minute.as_millisecond(), names.number(transaction, route)?);
        let (account, requests, amount) = (Account { of, id }, signed(*requests), signed(*amount));
        Ok(Consumption { account, minute, grant, route, requests, amount })
    };
    rows.iter().map(numbered).collect()
}

const GATHER: Insertion = Insertion {
    into: "INSERT INTO consumption",
    columns: 7,
    then: r#"ON CONFLICT (minute, "of", account, "grant", route) DO UPDATE SET
        requests = requests + excluded.requests,
        amount = min(amount + excluded.amount, 9223372036854775807)"#,
};

/// So many rows are not gathered: to write them twice costs more than that a minute may have two entries. A
/// fold that writes as many is followed by a long pause, so they stay few.
#[cfg(not(test))]
const LARGE: usize = 4096;
#[cfg(test)]
const LARGE: usize = 8;

/// Gathers what was consumed in minutes that are not over, unless it is large, and what belongs to something
/// that is gathered already. Gives the rest.
fn gather(
    transaction: &Transaction<'_>,
    now: Timestamp,
    rows: Vec<Consumption>,
) -> rusqlite::Result<Vec<Consumption>> {
    let gathered = entries::gathered_minutes(transaction)?;
    let mut find = transaction.prepare_cached(
        r#"SELECT 1 FROM consumption
           WHERE minute = ?1 AND "of" = ?2 AND account = ?3 AND "grant" = ?4 AND route = ?5"#,
    )?;
    let is_large = rows.len() >= LARGE;
    let (mut gather, mut rest) = (Vec::new(), Vec::with_capacity(rows.len()));
    for row in rows {
        let Consumption { account: Account { of, id }, minute, grant, route, .. } = row;
        let is_over = minute.saturating_add(MINUTE_MS) <= now.as_millisecond();
        let may_be_there = gathered.contains(&minute);
        let is_gathered = !(is_over || is_large)
            || may_be_there && find.exists(params![minute, of, id, grant, route])?;
        if is_gathered { gather.push(row) } else { rest.push(row) }
    }
    // In the table's order.
    gather.sort_unstable_by_key(|row| (row.minute, *row));
    GATHER.run(transaction, &gather, |row, values| {
        let Consumption { account: Account { of, id }, minute, grant, route, requests, amount } =
            row;
        [minute, of, id, grant, route, requests, amount].into_iter().try_for_each(|v| values.put(v))
    })?;
    Ok(rest)
}

fn insert_open(
    transaction: &Transaction<'_>,
    owners: &mut Owners<'_>,
    node: &str,
    rows: &[OpenReservation],
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO open_reservations
             (node, worker, sequence, request_id, customer, definition, cost, opened_at, nanos)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for row in rows {
        let OpenReservation { id, request_id, customer, definition, cost, nanos, opened_at } = row;
        let (customer, request_id) = (owners.of(customer)?, request_id.to_string());
        let (sequence, cost) = (signed(id.sequence), signed(*cost));
        let (opened_at, nanos, worker) = (opened_at.as_millisecond(), nanos.0, id.worker);
        statement.execute(params![
            node, worker, sequence, request_id, customer, definition, cost, opened_at, nanos
        ])?;
    }
    Ok(())
}

fn delete_closed(
    transaction: &Transaction<'_>,
    node: &str,
    ids: &[ReservationId],
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "DELETE FROM open_reservations WHERE node = ?1 AND worker = ?2 AND sequence = ?3",
    )?;
    for ReservationId { worker, sequence } in ids {
        statement.execute(params![node, worker, signed(*sequence)])?;
    }
    Ok(())
}

fn set_positions(
    transaction: &Transaction<'_>,
    node: &str,
    rows: &[Position],
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        r#"INSERT INTO positions (node, worker, segment, "offset", sequence, latest)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6)
           ON CONFLICT (node, worker) DO UPDATE SET
               segment = excluded.segment,
               "offset" = excluded."offset",
               sequence = excluded.sequence,
               latest = max(latest, excluded.latest)
           WHERE excluded.sequence > sequence"#,
    )?;
    for Position { worker, segment, offset, sequence, latest } in rows {
        let (segment, offset, sequence) = (signed(*segment), signed(*offset), signed(*sequence));
        let latest = latest.as_millisecond();
        // A position that is not ahead: the store has this part of the journal already.
        if statement.execute(params![node, worker, segment, offset, sequence, latest])? != 1 {
            return Err(rusqlite::Error::StatementChangedRows(0));
        }
    }
    Ok(())
}
