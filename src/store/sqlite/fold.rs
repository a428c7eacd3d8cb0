//! What a fold writes.

use std::cmp::Reverse;

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use crate::{
    ledger::{Window, id_of},
    store::{
        Commit, MinuteRow, OpenReservation, Position, ReservationId, UsageRow,
        sqlite::{pseudonyms::Owners, query::signed},
    },
};

pub(super) fn write(transaction: &Transaction<'_>, commit: &Commit<'_>) -> rusqlite::Result<()> {
    let Commit { node, usage, minutes, opened, closed, positions } = commit;
    let node = node.to_string();
    let mut owners = Owners::new(transaction)?;
    set_positions(transaction, &node, positions)?;
    add_usage(transaction, &mut owners, usage)?;
    let new = add_minutes(transaction, &mut owners, minutes)?;
    add_hours(transaction, &mut owners, &new)?;
    note_uses(transaction, &mut owners, &new)?;
    insert_open(transaction, &mut owners, &node, opened)?;
    delete_closed(transaction, &node, closed)
}

fn add_usage(
    transaction: &Transaction<'_>,
    owners: &mut Owners<'_>,
    rows: &[UsageRow<'_>],
) -> rusqlite::Result<()> {
    // The larger end: a quota whose window was lengthened within it must be found until that ends.
    let mut statement = transaction.prepare_cached(
        "INSERT INTO usage (customer, scope, quota, window_start, window_end, used)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (customer, scope, quota, window_start) DO UPDATE SET
             window_end = max(window_end, excluded.window_end),
             used = min(used + excluded.used, 9223372036854775807)",
    )?;
    for UsageRow { customer, scope, quota, window: Window { start, end }, used } in rows {
        let customer = owners.of(customer)?;
        let (start, end) = (start.as_millisecond(), end.map(Timestamp::as_millisecond));
        statement.execute(params![customer, scope, quota, start, end, signed(*used)])?;
    }
    Ok(())
}

/// Gives the rows that the table did not have.
fn add_minutes<'a, 'b>(
    transaction: &Transaction<'_>,
    owners: &mut Owners<'_>,
    rows: &'a [MinuteRow<'b>],
) -> rusqlite::Result<Vec<&'a MinuteRow<'b>>> {
    let mut more = transaction.prepare_cached(
        "UPDATE usage_minutes SET
             requests = requests + ?6,
             units = min(units + ?7, 9223372036854775807)
         WHERE minute = ?1 AND customer = ?2 AND key_id = ?3 AND route = ?4 AND ending = ?5",
    )?;
    let mut first = transaction.prepare_cached(
        "INSERT INTO usage_minutes (minute, customer, key_id, route, ending, requests, units)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut new = Vec::new();
    for row in rows {
        let MinuteRow { customer, key_id, route, minute, ending, requests, units } = row;
        let customer = owners.of(customer)?;
        let minute = minute.as_millisecond();
        let (requests, units) = (signed(*requests), signed(*units));
        let values = params![minute, customer, key_id, route, ending, requests, units];
        if more.execute(values)? == 0 {
            first.execute(values)?;
            new.push(row);
        }
    }
    Ok(new)
}

/// Notes the hours of rows that are new, by which the minutes of one customer are found.
fn add_hours(
    transaction: &Transaction<'_>,
    owners: &mut Owners<'_>,
    rows: &[&MinuteRow<'_>],
) -> rusqlite::Result<()> {
    let hour_of = |row: &MinuteRow<'_>| row.minute.as_millisecond().div_euclid(HOUR_MS) * HOUR_MS;
    let mut statement =
        transaction.prepare_cached("INSERT OR IGNORE INTO usage_hours VALUES (?1, ?2)")?;
    let is_same = |one: &&MinuteRow<'_>, other: &&MinuteRow<'_>| {
        one.customer == other.customer && hour_of(one) == hour_of(other)
    };
    for alike in rows.chunk_by(is_same) {
        if let Some(row) = alike.first() {
            statement.execute(params![owners.of(row.customer)?, hour_of(row)])?;
        }
    }
    Ok(())
}

const HOUR_MS: i64 = 3_600_000;

/// Notes the latest minute of every key among them, except of keys that went with their owner. Only
/// of rows that are new: of a minute that was known the key's use was too.
fn note_uses(
    transaction: &Transaction<'_>,
    owners: &mut Owners<'_>,
    rows: &[&MinuteRow<'_>],
) -> rusqlite::Result<()> {
    let mut uses = Vec::with_capacity(rows.len());
    for MinuteRow { customer, key_id, minute, .. } in rows {
        if owners.of(customer)? == id_of(customer) {
            uses.push((*key_id, minute.as_millisecond()));
        }
    }
    // In the table's order, and each key once with its latest.
    uses.sort_unstable_by_key(|(key_id, minute)| (*key_id, Reverse(*minute)));
    uses.dedup_by_key(|(key_id, _)| *key_id);
    let mut statement = transaction.prepare_cached(
        "INSERT INTO key_uses VALUES (?1, ?2)
         ON CONFLICT (key_id) DO UPDATE SET minute = max(minute, excluded.minute)",
    )?;
    for (key_id, minute) in uses {
        statement.execute(params![key_id, minute])?;
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
