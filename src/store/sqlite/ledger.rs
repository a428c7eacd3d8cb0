//! Reading one customer's ledger, found by the hours in which it has entries.

use rusqlite::Connection;

use crate::store::{
    StoreError,
    records::{EntryRecord, LedgerPlace},
    sql::{
        ledger::{COLUMNS, MINE, NAMES, read_entry},
        movement::HOUR_MS,
        params,
        query::{self, ms},
    },
};

/// Gives entries, the oldest first, from the one after a place. Beside them tells whether there are more.
pub(super) fn page(
    connection: &Connection,
    customer: &str,
    after: Option<LedgerPlace>,
    max: usize,
) -> Result<(Vec<EntryRecord>, bool), StoreError> {
    let mut found = Vec::new();
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
    query::all(connection, "entries", &sql, params![customer, hour], read_entry)
}
