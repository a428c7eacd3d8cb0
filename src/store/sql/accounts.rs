//! Single accounts: what is used of them, and which thresholds were told.

use crate::{
    ledger::Window,
    store::{
        StoreError,
        records::{AccountKey, EntryKind, OwnedAccountKey, ThresholdRecord},
        sql::{
            Database,
            movement::{self, Account, Entry, NO_GRANT},
            params,
            query::{self, Cells, limit, ms, signed},
        },
    },
};
use jiff::Timestamp;

const USAGE: &str = "usage";
const THRESHOLDS: &str = "thresholds";

pub(super) fn used(database: &dyn Database, account: &AccountKey<'_>) -> Result<u64, StoreError> {
    let AccountKey { customer, scope, quota, window } = account;
    let sql = "SELECT customer, used FROM usage
        WHERE customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4";
    let params = params![customer, scope, quota, ms(window.start)];
    let found = query::one(database, USAGE, sql, params, |cells| {
        cells.skip(1);
        cells.count()
    })?;
    Ok(found.unwrap_or(0))
}

pub(super) fn add_used(
    database: &dyn Database,
    now: Timestamp,
    account: &AccountKey<'_>,
    units: i64,
    (kind, reference): (EntryKind, Option<&str>),
) -> Result<(), StoreError> {
    let key = account;
    let AccountKey { customer, scope, quota, window: Window { start, end } } = key;
    let sql = "INSERT INTO usage (customer, scope, quota, window_start, window_end, used)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (customer, scope, quota, window_start) DO UPDATE SET
            window_end = CASE WHEN usage.window_end > excluded.window_end THEN usage.window_end
                WHEN usage.window_end IS NULL THEN NULL ELSE excluded.window_end END,
            used = CASE WHEN excluded.used > 0
                    AND usage.used > 9223372036854775807 - abs(excluded.used)
                THEN 9223372036854775807 ELSE usage.used + excluded.used END
        RETURNING id";
    let params = params![customer, scope, quota, ms(*start), end.map(ms), units];
    let id = query::one(database, USAGE, sql, params, |cells| cells.get::<i64>())?;
    database.correct_shared(key, units)?;
    let account = Account { of: movement::USAGE, id: id.unwrap_or_default() };
    let (grant, consumed) = (NO_GRANT, None);
    let entry = Entry { account, kind, grant, consumed, amount: units, reference };
    database.enter(now, &[entry])
}

pub(super) fn threshold(
    database: &dyn Database,
    account: &AccountKey<'_>,
) -> Result<Option<ThresholdRecord>, StoreError> {
    let AccountKey { customer, scope, quota, window } = account;
    let sql = r#"SELECT customer, told, "limit" FROM thresholds
        WHERE customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4"#;
    let params = params![customer, scope, quota, ms(window.start)];
    query::one(database, THRESHOLDS, sql, params, |cells| {
        cells.skip(1);
        read_told(cells)
    })
}

pub(super) fn ended_thresholds(
    database: &dyn Database,
    now: Timestamp,
    max: usize,
) -> Result<Vec<(OwnedAccountKey, ThresholdRecord)>, StoreError> {
    let sql = r#"SELECT customer, scope, quota, window_start, window_end, told, "limit"
        FROM thresholds WHERE window_end <= ?1 ORDER BY window_end LIMIT ?2"#;
    query::all(database, THRESHOLDS, sql, params![ms(now), limit(max)], |cells| {
        let account = OwnedAccountKey {
            customer: cells.get()?,
            scope: cells.get()?,
            quota: cells.get()?,
            window: Window { start: cells.instant()?, end: cells.optional_instant()? },
        };
        Ok((account, read_told(cells)?))
    })
}

/// Whoever else writes the same row at this moment is waited for, and then it is not as it was known.
pub(super) fn put_threshold(
    database: &dyn Database,
    account: &AccountKey<'_>,
    known: Option<&ThresholdRecord>,
    record: &ThresholdRecord,
) -> Result<bool, StoreError> {
    let AccountKey { customer, scope, quota, window: Window { start, end } } = account;
    let ThresholdRecord { told, limit } = record;
    let (start, end, limit) = (ms(*start), end.map(ms), signed(*limit));
    let written = match known {
        None => {
            let sql = "INSERT INTO thresholds VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                ON CONFLICT (customer, scope, quota, window_start) DO NOTHING";
            let params = params![customer, scope, quota, start, end, told, limit];
            query::write(database, sql, params)?
        }
        Some(known) => {
            let sql = r#"UPDATE thresholds SET window_end = ?5, told = ?6, "limit" = ?7
                WHERE customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4
                    AND told = ?8 AND "limit" = ?9"#;
            let (known_told, known_limit) = (known.told, signed(known.limit));
            let params =
                params![customer, scope, quota, start, end, told, limit, known_told, known_limit];
            query::write(database, sql, params)?
        }
    };
    Ok(written > 0)
}

pub(super) fn delete_threshold(
    database: &dyn Database,
    account: &AccountKey<'_>,
) -> Result<(), StoreError> {
    let AccountKey { customer, scope, quota, window } = account;
    let sql = "DELETE FROM thresholds
        WHERE customer = ?1 AND scope = ?2 AND quota = ?3 AND window_start = ?4";
    query::write(database, sql, params![customer, scope, quota, ms(window.start)])?;
    Ok(())
}

fn read_told(cells: &mut Cells<'_>) -> Result<ThresholdRecord, StoreError> {
    Ok(ThresholdRecord { told: cells.small()?, limit: cells.count()? })
}
