//! Single accounts: what is used of them, and which thresholds were told.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::{
    ledger::Window,
    store::{
        StoreError,
        records::{AccountKey, EntryKind, OwnedAccountKey, ThresholdRecord},
        sqlite::{
            entries::{self, Account, Entry, NO_GRANT},
            query::{self, Cells, limit, ms, signed},
        },
    },
};

const USAGE: &str = "usage";
const THRESHOLDS: &str = "thresholds";

pub(super) fn used(connection: &Connection, account: &AccountKey<'_>) -> Result<u64, StoreError> {
    let AccountKey { customer, scope, quota, window } = account;
    let sql = "SELECT customer, used FROM usage
        WHERE customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4";
    let params = params![customer, scope, quota, ms(window.start)];
    let found = query::one(connection, USAGE, sql, params, |cells| {
        cells.skip(1);
        cells.count()
    })?;
    Ok(found.unwrap_or(0))
}

pub(super) fn add_used(
    connection: &Connection,
    now: Timestamp,
    account: &AccountKey<'_>,
    units: i64,
    (kind, reference): (EntryKind, Option<&str>),
) -> Result<(), StoreError> {
    let AccountKey { customer, scope, quota, window: Window { start, end } } = account;
    let sql = "INSERT INTO usage (customer, scope, quota, window_start, window_end, used)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (customer, scope, quota, window_start) DO UPDATE SET
            window_end = max(window_end, excluded.window_end),
            used = min(used + excluded.used, 9223372036854775807)
        RETURNING id";
    let params = params![customer, scope, quota, ms(*start), end.map(ms), units];
    let id = query::one(connection, USAGE, sql, params, |cells| cells.get::<i64>())?;
    let account = Account { of: entries::USAGE, id: id.unwrap_or_default() };
    let (grant, consumed) = (NO_GRANT, None);
    let entry = Entry { account, kind, grant, consumed, amount: units, reference };
    entries::append(connection, now, &entry)
}

pub(super) fn threshold(
    connection: &Connection,
    account: &AccountKey<'_>,
) -> Result<Option<ThresholdRecord>, StoreError> {
    let AccountKey { customer, scope, quota, window } = account;
    let sql = r#"SELECT customer, told, "limit" FROM thresholds
        WHERE customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4"#;
    let params = params![customer, scope, quota, ms(window.start)];
    query::one(connection, THRESHOLDS, sql, params, |cells| {
        cells.skip(1);
        read_told(cells)
    })
}

pub(super) fn ended_thresholds(
    connection: &Connection,
    now: Timestamp,
    max: usize,
) -> Result<Vec<(OwnedAccountKey, ThresholdRecord)>, StoreError> {
    let sql = r#"SELECT customer, scope, quota, window_start, window_end, told, "limit"
        FROM thresholds WHERE window_end <= ?1 ORDER BY window_end LIMIT ?2"#;
    query::all(connection, THRESHOLDS, sql, params![ms(now), limit(max)], |cells| {
        let account = OwnedAccountKey {
            customer: cells.get()?,
            scope: cells.get()?,
            quota: cells.get()?,
            window: Window { start: cells.instant()?, end: cells.optional_instant()? },
        };
        Ok((account, read_told(cells)?))
    })
}

pub(super) fn put_threshold(
    connection: &Connection,
    account: &AccountKey<'_>,
    told: &ThresholdRecord,
) -> Result<(), StoreError> {
    let AccountKey { customer, scope, quota, window: Window { start, end } } = account;
    let ThresholdRecord { told, limit } = told;
    let sql = r#"INSERT INTO thresholds VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT (customer, scope, quota, window_start) DO UPDATE SET
            window_end = excluded.window_end, told = excluded.told, "limit" = excluded."limit""#;
    let (start, end) = (ms(*start), end.map(ms));
    let params = params![customer, scope, quota, start, end, told, signed(*limit)];
    query::write(connection, sql, params)?;
    Ok(())
}

pub(super) fn delete_threshold(
    connection: &Connection,
    account: &AccountKey<'_>,
) -> Result<(), StoreError> {
    let AccountKey { customer, scope, quota, window } = account;
    let sql = "DELETE FROM thresholds
        WHERE customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4";
    query::write(connection, sql, params![customer, scope, quota, ms(window.start)])?;
    Ok(())
}

fn read_told(cells: &mut Cells<'_, '_>) -> Result<ThresholdRecord, StoreError> {
    Ok(ThresholdRecord { told: cells.small()?, limit: cells.count()? })
}
