//! Events and their delivery.
//!
//! Invariant: of the events that are pending for one endpoint about one customer the oldest has a
//! time for its next attempt, and no other. So what is due is found by one look at an index, however
//! much waits behind an endpoint that does not answer.
//!
//! Race, where several processes write at the same time: who puts an event sees another one before it that is being
//! ended by somebody who does not see the new one; without a time it would wait for ever. So there each is put with a
//! time, and who sends takes it away from those that have others before them. Whatever else is done to events is done
//! one after the other.

use crate::store::{
    StoreError,
    records::{DeliveryRecord, DeliveryState, DueRecord, EventRecord, Receivers},
    sql::{
        Database, params,
        query::{self, Cells, limit, ms, name_of, signed},
    },
};
use jiff::Timestamp;

const TABLE: &str = "outbox";

const COLUMNS: &str = "sequence, id, endpoint, customer, kind, body, at, mark, state, attempts,
    next_attempt, last_status, last_error";

/// Whether something older waits for the same endpoint about the same customer.
const IS_BEHIND: &str = "EXISTS (SELECT 1 FROM outbox AS older WHERE older.state = 'pending'
    AND older.endpoint = outbox.endpoint AND older.customer = outbox.customer
    AND older.sequence < outbox.sequence)";

pub(super) fn page(
    database: &dyn Database,
    state: Option<DeliveryState>,
    before: Option<u64>,
    max: usize,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let (before, max) = (before.map_or(i64::MAX, signed), limit(max));
    match state {
        Some(state) => {
            let condition = "WHERE state = ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3";
            let sql = format!("SELECT {COLUMNS} FROM outbox {condition}");
            query::all(database, TABLE, &sql, params![name_of(state)?, before, max], read)
        }
        None => {
            let sql = format!(
                "SELECT {COLUMNS} FROM outbox WHERE sequence < ?1 ORDER BY sequence DESC LIMIT ?2"
            );
            query::all(database, TABLE, &sql, params![before, max], read)
        }
    }
}

pub(super) fn find(
    database: &dyn Database,
    id: &str,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1");
    query::one(database, TABLE, &sql, params![id], read)
}

pub(super) fn count_pending(database: &dyn Database) -> Result<u64, StoreError> {
    let sql = "SELECT 'pending', count(*) FROM outbox WHERE state = 'pending'";
    let count = query::one(database, TABLE, sql, params![], |cells| {
        cells.skip(1);
        cells.count()
    })?;
    Ok(count.unwrap_or(0))
}

pub(super) fn due(
    database: &dyn Database,
    to: Receivers,
    now: Timestamp,
    max: usize,
) -> Result<Vec<DueRecord>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, NOT {IS_BEHIND} FROM outbox
         WHERE state = 'pending' AND {} next_attempt <= ?1
         ORDER BY next_attempt, sequence LIMIT ?2",
        only(to)
    );
    query::all(database, TABLE, &sql, params![ms(now), limit(max)], |cells| {
        Ok(DueRecord { delivery: read(cells)?, is_first: cells.get()? })
    })
}

/// Takes the time away from what is due and has others before it.
pub(super) fn put_in_order(
    database: &dyn Database,
    now: Timestamp,
    max: usize,
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE outbox SET next_attempt = NULL WHERE sequence IN (SELECT sequence FROM outbox
         WHERE state = 'pending' AND next_attempt <= ?1 AND {IS_BEHIND}
         ORDER BY next_attempt, sequence LIMIT ?2)"
    );
    query::write(database, &sql, params![ms(now), limit(max)])?;
    Ok(())
}

pub(super) fn next(
    database: &dyn Database,
    to: Receivers,
    after: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = format!(
        "SELECT sequence, next_attempt FROM outbox
         WHERE state = 'pending' AND {} next_attempt > ?1 ORDER BY next_attempt LIMIT 1",
        only(to)
    );
    query::one(database, TABLE, &sql, params![ms(after)], |cells| {
        cells.skip(1);
        cells.time()
    })
}

/// Customers' own have an index of their own, so that the operator's backlog is not waded through.
fn only(to: Receivers) -> &'static str {
    match to {
        Receivers::All => "",
        Receivers::Customers => "endpoint <> '' AND",
    }
}

/// Due at once, unless something of the same endpoint and customer is before it.
pub(super) fn put(database: &dyn Database, event: &EventRecord) -> Result<bool, StoreError> {
    let EventRecord { id, endpoint, customer, kind, body, at, mark } = event;
    let time = if database.has_others() {
        "CAST(?6 AS BIGINT)"
    } else {
        "CASE WHEN EXISTS (SELECT 1 FROM outbox
            WHERE state = 'pending' AND endpoint = ?2 AND customer = ?3)
        THEN NULL ELSE CAST(?6 AS BIGINT) END"
    };
    let sql = format!(
        "INSERT INTO outbox (id, endpoint, customer, kind, body, at, mark, state, attempts,
            next_attempt)
        VALUES (?1, ?2, ?3, ?4, ?5, CAST(?6 AS BIGINT), ?7, 'pending', 0, {time})
        ON CONFLICT (endpoint, mark) WHERE mark IS NOT NULL DO NOTHING"
    );
    let params = params![id, endpoint, customer, kind, body, ms(*at), mark];
    Ok(query::write(database, &sql, params)? > 0)
}

/// How a delivery went.
pub(super) struct Progress<'a> {
    pub(super) state: DeliveryState,
    pub(super) attempts: u32,
    pub(super) next_attempt: Option<Timestamp>,
    pub(super) last_status: Option<u16>,
    pub(super) last_error: Option<&'a str>,
}

pub(super) fn put_progress(
    database: &dyn Database,
    sequence: u64,
    progress: &Progress<'_>,
) -> Result<(), StoreError> {
    let Progress { state, attempts, next_attempt, last_status, last_error } = progress;
    let number = signed(sequence);
    let sql = "SELECT sequence, endpoint, customer, state = 'pending' FROM outbox
        WHERE sequence = ?1";
    let found: Option<(String, String, bool)> =
        query::one(database, TABLE, sql, params![number], |cells| {
            cells.skip(1);
            Ok((cells.get()?, cells.get()?, cells.get()?))
        })?;
    let Some((endpoint, customer, was_pending)) = found else {
        return Err(StoreError::new("write to", format!("there is no delivery {sequence}")));
    };
    // The time of the end is not told; when the last attempt was due is close enough for the only
    // thing it is used for, which is to forget.
    let sql = "UPDATE outbox SET state = ?2, attempts = ?3, next_attempt = ?4, last_status = ?5,
            last_error = ?6,
            ended_at = CASE WHEN ?2 = 'pending' THEN NULL
                ELSE coalesce(ended_at, next_attempt, at) END
        WHERE sequence = ?1";
    let (name, next_attempt) = (name_of(state)?, next_attempt.map(ms));
    let params = params![number, name, attempts, next_attempt, last_status, last_error];
    query::write(database, sql, params)?;
    let first = promote_first(database, &endpoint, &customer)?;
    if *state != DeliveryState::Pending {
        return Ok(());
    }
    let last = if was_pending { number } else { i64::MAX };
    // What comes back to be sent again may stand before others that had a time.
    let sql = "UPDATE outbox SET next_attempt = NULL
        WHERE state = 'pending' AND endpoint = ?1 AND customer = ?2
            AND sequence > ?3 AND sequence >= ?4 AND sequence <= ?5 AND next_attempt IS NOT NULL";
    query::write(database, sql, params![endpoint, customer, first, number, last])?;
    Ok(())
}

/// Customer by customer and the oldest first, so that only the last one's order is to be restored.
pub(super) fn fail(
    database: &dyn Database,
    endpoint: &str,
    reason: &str,
    max: usize,
) -> Result<usize, StoreError> {
    let sql = "SELECT sequence, customer FROM outbox WHERE state = 'pending' AND endpoint = ?1
        ORDER BY customer, sequence LIMIT ?2";
    let found = query::all(database, TABLE, sql, params![endpoint, limit(max)], |cells| {
        Ok((cells.get::<i64>()?, cells.get::<String>()?))
    })?;
    if let Some((sequence, customer)) = found.last() {
        let sql = "UPDATE outbox SET state = 'failed', last_error = ?2, next_attempt = NULL,
                ended_at = coalesce(next_attempt, at)
            WHERE state = 'pending' AND endpoint = ?1
                AND (customer < ?3 OR customer = ?3 AND sequence <= ?4)";
        query::write(database, sql, params![endpoint, reason, customer, sequence])?;
        promote_first(database, endpoint, customer)?;
    }
    Ok(found.len())
}

pub(super) fn forget(database: &dyn Database, before: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM outbox WHERE ended_at < ?1 AND state <> 'pending'";
    query::write(database, sql, params![ms(before)])?;
    Ok(())
}

/// Gives the oldest that is pending a time, if it waited for another until now; gives its number.
fn promote_first(
    database: &dyn Database,
    endpoint: &str,
    customer: &str,
) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT sequence, next_attempt IS NULL FROM outbox
        WHERE state = 'pending' AND endpoint = ?1 AND customer = ?2 ORDER BY sequence LIMIT 1";
    let both = params![endpoint, customer];
    let first: Option<(i64, bool)> =
        query::one(database, TABLE, sql, both, |cells| Ok((cells.get()?, cells.get()?)))?;
    if let Some((first, true)) = first {
        let sql = "UPDATE outbox SET next_attempt = at WHERE sequence = ?1";
        query::write(database, sql, params![first])?;
    }
    Ok(first.map(|(first, _)| first))
}

fn read(cells: &mut Cells<'_>) -> Result<DeliveryRecord, StoreError> {
    Ok(DeliveryRecord {
        sequence: cells.count()?,
        event: EventRecord {
            id: cells.get()?,
            endpoint: cells.get()?,
            customer: cells.get()?,
            kind: cells.get()?,
            body: cells.get()?,
            at: cells.time()?,
            mark: cells.get()?,
        },
        state: cells.name()?,
        attempts: cells.small()?,
        next_attempt: cells.optional_time()?,
        last_status: cells.optional_small()?,
        last_error: cells.get()?,
    })
}
