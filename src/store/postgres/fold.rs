//! What a fold writes: many rows with each statement, in the order of their keys, so that two nodes do not wait
//! for one another crosswise.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::{
    connection::Connection,
    entries::{self, TOGETHER},
    minutes,
    names::Names,
    owners::Owners,
    usage::{Taken, add_usage, take_credits},
    value,
};
use crate::store::{
    Commit, Consumed, ConsumedRow, OpenReservation, Position, ReservationId, StoreError,
    records::Announcement,
    sql::{
        movement::{Account, Consumption, MINUTE_MS, NO_GRANT, PURSE, USAGE},
        query::{ms, signed},
    },
};

/// What comes behind a fold, in its transaction.
pub(super) struct Behind {
    /// What is to be entered into the ledger.
    pub(super) over: Vec<Consumption>,
    /// What other processes are to learn.
    pub(super) debts: Vec<Announcement>,
}

/// Writes all but what comes behind it. What it puts into `names` is true only once the transaction is committed.
pub(super) fn write(
    connection: &Connection,
    names: &mut Names,
    commit: &Commit<'_>,
) -> Result<Behind, StoreError> {
    let Commit { node, now, usage, credits, consumed, minutes, opened, closed, positions } = commit;
    let node = node.to_string();
    set_positions(connection, &node, positions)?;
    let owners = Owners::new(connection, commit)?;
    let accounts = add_usage(connection, &owners, &node, usage)?;
    let Taken { places: grants, debts } = take_credits(connection, &owners, &node, credits)?;
    let routes = names.numbers(connection, consumed.iter().map(|row| row.route))?;
    let consumed = numbered((&accounts, &grants), &routes, consumed)?;
    let over = gather(connection, *now, consumed)?;
    minutes::add(connection, &owners, minutes)?;
    insert_open(connection, &owners, &node, opened)?;
    delete_closed(connection, &node, closed)?;
    Ok(Behind { over, debts })
}

/// A position that is not ahead: the store has this part of the journal already.
fn set_positions(connection: &Connection, node: &str, rows: &[Position]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let each = |value: fn(&Position) -> i64| rows.iter().map(value).collect::<Vec<_>>();
    let sql = r#"INSERT INTO positions AS p (node, worker, segment, "offset", sequence, latest)
        SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
        ON CONFLICT (node, worker) DO UPDATE SET
            segment = excluded.segment,
            "offset" = excluded."offset",
            sequence = excluded.sequence,
            latest = greatest(p.latest, excluded.latest)
        WHERE excluded.sequence > p.sequence"#;
    let written = connection.write(
        sql,
        &[
            &node,
            &each(|row| row.worker.into()),
            &each(|row| signed(row.segment)),
            &each(|row| signed(row.offset)),
            &each(|row| signed(row.sequence)),
            &each(|row| ms(row.latest)),
        ],
    )?;
    if usize::try_from(written) != Ok(rows.len()) {
        let cause = "a part of the journal is in it already";
        return Err(StoreError::new("write to", cause));
    }
    Ok(())
}

/// Puts numbers for what was consumed of what, and where. What comes to the same is put together.
fn numbered(
    (accounts, grants): (&[i64], &[(i64, i64)]),
    routes: &HashMap<&str, i64>,
    rows: &[ConsumedRow<'_>],
) -> Result<Vec<Consumption>, StoreError> {
    let missing = || StoreError::new("write to", "what was consumed has no account or no route");
    let mut sums = BTreeMap::<_, (i64, i64)>::new();
    for ConsumedRow { of, minute, route, requests, amount } in rows {
        let account = match of {
            Consumed::Usage(place) => accounts.get(*place).map(|id| (USAGE, *id, NO_GRANT)),
            Consumed::Credit(place) => grants.get(*place).map(|(id, grant)| (PURSE, *id, *grant)),
        };
        let (of, id, grant) = account.ok_or_else(missing)?;
        let route = *routes.get(route).ok_or_else(missing)?;
        let sum = sums.entry((ms(*minute), Account { of, id }, grant, route)).or_default();
        sum.0 = sum.0.saturating_add(signed(*requests));
        sum.1 = sum.1.saturating_add(signed(*amount));
    }
    let put = |((minute, account, grant, route), (requests, amount))| Consumption {
        account,
        minute,
        grant,
        route,
        requests,
        amount,
    };
    Ok(sums.into_iter().map(put).collect())
}

/// So many rows are not gathered: to write them twice costs more than that a minute may have two entries. A
/// fold that writes as many is followed by a long pause, so they stay few.
#[cfg(not(test))]
const LARGE: usize = 4096;
#[cfg(test)]
const LARGE: usize = 8;

/// Gathers what was consumed in minutes that are not over, unless it is large, and what belongs to something
/// that is gathered already. Gives the rest.
fn gather(
    connection: &Connection,
    now: Timestamp,
    rows: Vec<Consumption>,
) -> Result<Vec<Consumption>, StoreError> {
    if rows.is_empty() {
        return Ok(rows);
    }
    let gathered = entries::gathered_minutes(connection)?;
    let (may_be_there, others): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| gathered.contains(&row.minute));
    let is_large = may_be_there.len() + others.len() >= LARGE;
    let there = gathered_already(connection, &may_be_there)?;
    let is_gathered = |row: &Consumption| {
        let is_over = row.minute.saturating_add(MINUTE_MS) <= now.as_millisecond();
        !(is_over || is_large) || there.contains(&place_of(row))
    };
    let rows = may_be_there.into_iter().chain(others);
    let (mut gather, rest): (Vec<_>, Vec<_>) = rows.partition(is_gathered);
    gather.sort_unstable_by_key(|row| (row.minute, *row));
    let sql = r#"INSERT INTO consumption AS c
            (minute, "of", account, "grant", route, requests, amount)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[])
        ON CONFLICT (minute, "of", account, "grant", route) DO UPDATE SET
            requests = c.requests + excluded.requests,
            amount = least(c.amount::numeric + excluded.amount, 9223372036854775807)::bigint"#;
    for rows in gather.chunks(TOGETHER) {
        let [minutes, ofs, ids, grants, routes] = places(rows);
        let requests: Vec<_> = rows.iter().map(|row| row.requests).collect();
        let amounts: Vec<_> = rows.iter().map(|row| row.amount).collect();
        connection.write(sql, &[&minutes, &ofs, &ids, &grants, &routes, &requests, &amounts])?;
    }
    Ok(rest)
}

/// Where something is gathered: minute, account, grant and route.
type Place = (i64, Account, i64, i64);

fn place_of(row: &Consumption) -> Place {
    (row.minute, row.account, row.grant, row.route)
}

fn places(rows: &[Consumption]) -> [Vec<i64>; 5] {
    let each = |value: fn(&Consumption) -> i64| rows.iter().map(value).collect();
    [
        each(|row| row.minute),
        each(|row| row.account.of),
        each(|row| row.account.id),
        each(|row| row.grant),
        each(|row| row.route),
    ]
}

/// Tells of which of them something is gathered.
fn gathered_already(
    connection: &Connection,
    rows: &[Consumption],
) -> Result<HashSet<Place>, StoreError> {
    let sql = r#"SELECT minute, "of", account, "grant", route FROM consumption
        JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
            AS n(minute, "of", account, "grant", route)
        USING (minute, "of", account, "grant", route)"#;
    let mut found = HashSet::new();
    for rows in rows.chunks(TOGETHER) {
        let [minutes, ofs, ids, grants, routes] = places(rows);
        let arguments: super::link::Arguments<'_> = &[&minutes, &ofs, &ids, &grants, &routes];
        for row in &connection.rows("read", sql, arguments)? {
            let column = |at| value::integer(row, at);
            let account = Account { of: column(1)?, id: column(2)? };
            found.insert((column(0)?, account, column(3)?, column(4)?));
        }
    }
    Ok(found)
}

fn insert_open(
    connection: &Connection,
    owners: &Owners,
    node: &str,
    rows: &[OpenReservation],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO open_reservations
            (node, worker, sequence, request_id, customer, definition, cost, opened_at, nanos)
        SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bytea[],
            $7::bigint[], $8::bigint[], $9::bigint[])";
    for rows in rows.chunks(TOGETHER) {
        let each = |value: fn(&OpenReservation) -> i64| rows.iter().map(value).collect::<Vec<_>>();
        let requests: Vec<_> = rows.iter().map(|row| row.request_id.to_string()).collect();
        let customers: Vec<_> = rows.iter().map(|row| owners.written(&row.customer)).collect();
        let definitions: Vec<_> = rows.iter().map(|row| row.definition.as_slice()).collect();
        connection.write(
            sql,
            &[
                &node,
                &each(|row| row.id.worker.into()),
                &each(|row| signed(row.id.sequence)),
                &requests,
                &customers,
                &definitions,
                &each(|row| signed(row.cost)),
                &each(|row| ms(row.opened_at)),
                &each(|row| row.nanos.0),
            ],
        )?;
    }
    Ok(())
}

fn delete_closed(
    connection: &Connection,
    node: &str,
    ids: &[ReservationId],
) -> Result<(), StoreError> {
    let sql = "DELETE FROM open_reservations AS o
        USING unnest($2::bigint[], $3::bigint[]) AS n(worker, sequence)
        WHERE o.node = $1 AND o.worker = n.worker AND o.sequence = n.sequence";
    for ids in ids.chunks(TOGETHER) {
        let workers: Vec<_> = ids.iter().map(|id| i64::from(id.worker)).collect();
        let sequences: Vec<_> = ids.iter().map(|id| signed(id.sequence)).collect();
        connection.write(sql, &[&node, &workers, &sequences])?;
    }
    Ok(())
}
