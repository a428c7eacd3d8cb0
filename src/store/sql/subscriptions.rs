//! Subscriptions.

use std::{sync::Arc, time::Duration};

use crate::{
    ledger::Window,
    model::SubscriptionTerms,
    store::{
        StoreError,
        records::SubscriptionEnd,
        sql::{
            Database, params,
            query::{self, Cells, json, limit, ms, name_of},
        },
    },
};

const TABLE: &str = "subscriptions";

const SELECT: &str = r#"SELECT customer, "plan", status, anchor, starts, trial_end, past_due_since,
    cancel_at, period_start, period_end, pause_collection, grace, changed,
    restarted, next FROM subscriptions"#;

pub(super) fn find(
    database: &dyn Database,
    customer: &str,
) -> Result<Option<SubscriptionTerms>, StoreError> {
    let sql = format!("{SELECT} WHERE customer = ?1");
    let found = query::one(database, TABLE, &sql, params![customer], read)?;
    Ok(found.map(|(_, terms)| terms))
}

/// The next to end first, so that whoever asks again goes on where it stopped.
pub(super) fn ending(
    database: &dyn Database,
    by: SubscriptionEnd,
    window: Window,
    after: &str,
    max: usize,
) -> Result<Vec<(String, SubscriptionTerms)>, StoreError> {
    let Window { start, end } = window;
    let (column, condition) = match by {
        SubscriptionEnd::CancelAt => ("cancel_at", ""),
        SubscriptionEnd::TrialEnd => ("trial_end", "AND status = 'trialing'"),
    };
    let sql = format!(
        "{SELECT} WHERE ({column}, customer) > (?1, ?2) AND {column} < ?3 {condition}
         ORDER BY {column}, customer LIMIT ?4"
    );
    let params = params![ms(start), after, end.map_or(i64::MAX, ms), limit(max)];
    query::all(database, TABLE, &sql, params, read)
}

pub(super) fn put(
    database: &dyn Database,
    customer: &str,
    terms: &SubscriptionTerms,
) -> Result<(), StoreError> {
    let SubscriptionTerms {
        plan,
        status,
        anchor,
        starts,
        trial_end,
        past_due_since,
        cancel_at,
        period_start,
        period_end,
        pause_collection,
        grace,
        changed,
        restarted,
        next,
    } = terms;
    let grace = grace.map(|grace| i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
    let sql = "INSERT INTO subscriptions
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
        ON CONFLICT (customer) DO UPDATE SET \"plan\" = excluded.\"plan\",
            status = excluded.status, anchor = excluded.anchor, starts = excluded.starts,
            trial_end = excluded.trial_end, past_due_since = excluded.past_due_since,
            cancel_at = excluded.cancel_at, period_start = excluded.period_start,
            period_end = excluded.period_end, pause_collection = excluded.pause_collection,
            grace = excluded.grace, changed = excluded.changed, restarted = excluded.restarted,
            next = excluded.next";
    let params = params![
        customer,
        plan,
        name_of(status)?,
        anchor.map(ms),
        starts.map(ms),
        trial_end.map(ms),
        past_due_since.map(ms),
        cancel_at.map(ms),
        period_start.map(ms),
        period_end.map(ms),
        pause_collection,
        grace,
        changed.as_ref().map(json).transpose()?,
        restarted.map(ms),
        next.as_ref().map(json).transpose()?,
    ];
    query::write(database, sql, params)?;
    Ok(())
}

fn read(cells: &mut Cells<'_>) -> Result<(String, SubscriptionTerms), StoreError> {
    Ok((cells.get()?, read_terms(cells)?))
}

/// Reads what stands behind the owner.
pub(super) fn read_terms(cells: &mut Cells<'_>) -> Result<SubscriptionTerms, StoreError> {
    cells.enter(TABLE);
    Ok(SubscriptionTerms {
        plan: cells.get::<Arc<str>>()?,
        status: cells.name()?,
        anchor: cells.optional_time()?,
        starts: cells.optional_time()?,
        trial_end: cells.optional_time()?,
        past_due_since: cells.optional_time()?,
        cancel_at: cells.optional_time()?,
        period_start: cells.optional_time()?,
        period_end: cells.optional_time()?,
        pause_collection: cells.get()?,
        grace: cells.optional_small()?.map(Duration::from_millis),
        changed: cells.json()?,
        restarted: cells.optional_time()?,
        next: cells.json()?,
    })
}
