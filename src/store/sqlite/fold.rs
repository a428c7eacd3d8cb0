//! What a fold writes.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::{
    ledger::Window,
    store::{
        Commit, OpenReservation, Position, ReservationId, UsageRow,
        sqlite::{
            ids::{AccountId, Ids, Remembered},
            minutes,
            pseudonyms::Owners,
            query::signed,
        },
    },
};

/// What it writes to `ids` is true only once the transaction is committed.
pub(super) fn write(
    transaction: &Transaction<'_>,
    ids: &mut Ids,
    commit: &Commit<'_>,
) -> rusqlite::Result<()> {
    let Commit { node, usage, minutes, opened, closed, positions } = commit;
    let node = node.to_string();
    let mut owners = Owners::new(transaction)?;
    set_positions(transaction, &node, positions)?;
    ids.turn(positions.iter().map(|position| position.latest).max());
    add_usage(transaction, &mut owners, &mut ids.accounts, usage)?;
    minutes::add(transaction, &mut owners, &mut ids.series, minutes)?;
    insert_open(transaction, &mut owners, &node, opened)?;
    delete_closed(transaction, &node, closed)
}

fn add_usage(
    transaction: &Transaction<'_>,
    owners: &mut Owners<'_>,
    accounts: &mut Remembered<AccountId>,
    rows: &[UsageRow<'_>],
) -> rusqlite::Result<()> {
    // The larger end: a quota whose window was lengthened within it must be found until that ends.
    // The texts, because units must never go to another account, whatever is remembered.
    let mut known = transaction.prepare_cached(
        "UPDATE usage SET
             window_end = max(window_end, ?5),
             used = min(used + ?6, 9223372036854775807)
         WHERE id = ?7 AND customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4",
    )?;
    let mut find = transaction.prepare_cached(
        "SELECT id FROM usage
         WHERE customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4",
    )?;
    // No upsert that tells its row: a statement that returns rows keeps them in a table of its own.
    let mut insert = transaction.prepare_cached(
        "INSERT INTO usage (customer, scope, quota, window_start, window_end, used)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for UsageRow { customer, scope, quota, window: Window { start, end }, used } in rows {
        let (customer, used) = (owners.of(customer)?, signed(*used));
        let (start, end) = (start.as_millisecond(), end.map(Timestamp::as_millisecond));
        let account = accounts.fingerprint(&(&*customer, scope, quota, start));
        if let Some(AccountId(id)) = accounts.find(&account)
            && known.execute(params![customer, scope, quota, start, end, used, id])? == 1
        {
            continue;
        }
        let texts = params![customer, scope, quota, start];
        let found: Option<i64> = find.query_row(texts, |row| row.get(0)).optional()?;
        let id = match found {
            Some(id) => {
                known.execute(params![customer, scope, quota, start, end, used, id])?;
                id
            }
            None => {
                insert.execute(params![customer, scope, quota, start, end, used])?;
                transaction.last_insert_rowid()
            }
        };
        if let Ok(id) = u32::try_from(id) {
            accounts.put(account, AccountId(id));
        }
    }
    Ok(())
}

fn insert_open(
    transaction: &Transaction<'_>,
    owners: &mut Owners<'_>,
    node: &str,
    rows: &[OpenReservation],
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO open_reservations
             (node, worker, sequence, request_id, customer, definition, cost, opened_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for OpenReservation { id, request_id, customer, definition, cost, opened_at } in rows {
        let (customer, request_id) = (owners.of(customer)?, request_id.to_string());
        let (sequence, cost) = (signed(id.sequence), signed(*cost));
        let opened_at = opened_at.as_millisecond();
        let params =
            params![node, id.worker, sequence, request_id, customer, definition, cost, opened_at];
        statement.execute(params)?;
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
