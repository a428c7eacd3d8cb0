//! What is only appended to: the audit, and the corrections of usage.

use crate::{
    ledger::Window,
    store::{
        StoreError,
        records::{AdjustmentRecord, AuditRecord},
        sql::{
            Database, params,
            query::{self, Cells, json, limit, ms, signed},
        },
    },
};

const AUDIT: &str = "audit";
const ADJUSTMENTS: &str = "adjustments";

const SELECT: &str =
    "SELECT number, at, actor, action, customer, subject, before, after FROM audit";

pub(super) fn page(
    database: &dyn Database,
    customer: Option<&str>,
    before: Option<u64>,
    max: usize,
) -> Result<Vec<(u64, AuditRecord)>, StoreError> {
    // Not larger than the largest number, or smaller than a given one.
    let (before, max) = (before.map_or(i64::MAX, signed), limit(max));
    match customer {
        Some(customer) => {
            let condition = "WHERE customer = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";
            let sql = format!("{SELECT} {condition}");
            query::all(database, AUDIT, &sql, params![customer, before, max], read)
        }
        None => {
            let sql = format!("{SELECT} WHERE number < ?1 ORDER BY number DESC LIMIT ?2");
            query::all(database, AUDIT, &sql, params![before, max], read)
        }
    }
}

pub(super) fn append(database: &dyn Database, entry: &AuditRecord) -> Result<(), StoreError> {
    let AuditRecord { at, actor, action, customer, subject, before, after } = entry;
    let before = before.as_ref().map(json).transpose()?;
    let after = after.as_ref().map(json).transpose()?;
    let sql = "INSERT INTO audit (at, actor, action, customer, subject, before, after)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let params = params![ms(*at), actor, action, customer, subject, before, after];
    query::write(database, sql, params)?;
    Ok(())
}

fn read(cells: &mut Cells<'_>) -> Result<(u64, AuditRecord), StoreError> {
    let number = cells.count()?;
    let entry = AuditRecord {
        at: cells.time()?,
        actor: cells.get()?,
        action: cells.get()?,
        customer: cells.get()?,
        subject: cells.get()?,
        before: cells.json()?,
        after: cells.json()?,
    };
    Ok((number, entry))
}

pub(super) fn adjustments(
    database: &dyn Database,
    customer: &str,
    after: Option<u64>,
    max: usize,
) -> Result<Vec<(u64, AdjustmentRecord)>, StoreError> {
    let sql = "SELECT number, id, at, customer, scope, quota, window_start, window_end, amount,
        used, reason, actor FROM adjustments
        WHERE customer = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    let params = params![customer, after.map_or(0, signed), limit(max)];
    query::all(database, ADJUSTMENTS, sql, params, read_adjustment)
}

pub(super) fn append_adjustment(
    database: &dyn Database,
    entry: &AdjustmentRecord,
) -> Result<(), StoreError> {
    let AdjustmentRecord {
        id,
        at,
        customer,
        scope,
        quota,
        window: Window { start, end },
        amount,
        used,
        reason,
        actor,
    } = entry;
    let sql = "INSERT INTO adjustments (id, at, customer, scope, quota, window_start, window_end,
        amount, used, reason, actor) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let params = params![
        id,
        ms(*at),
        customer,
        scope,
        quota,
        ms(*start),
        end.map(ms),
        amount,
        signed(*used),
        reason,
        actor
    ];
    query::write(database, sql, params)?;
    Ok(())
}

fn read_adjustment(cells: &mut Cells<'_>) -> Result<(u64, AdjustmentRecord), StoreError> {
    let number = cells.count()?;
    let entry = AdjustmentRecord {
        id: cells.get()?,
        at: cells.time()?,
        customer: cells.get()?,
        scope: cells.get()?,
        quota: cells.get()?,
        window: Window { start: cells.instant()?, end: cells.optional_instant()? },
        amount: cells.get()?,
        used: cells.count()?,
        reason: cells.get()?,
        actor: cells.get()?,
    };
    Ok((number, entry))
}
