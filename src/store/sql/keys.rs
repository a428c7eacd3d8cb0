//! Keys, by their digests, and when they were used last.

use crate::{
    ledger::Window,
    model::KeyDigest,
    store::{
        StoreError,
        records::KeyRecord,
        sql::{
            Database, params,
            query::{self, Cells, limit, ms, name_of},
        },
    },
};
use jiff::Timestamp;

pub(in crate::store) const TABLE: &str = "keys";

const COLUMNS: &str = "id, customer, application, name, digest, hint, env, scopes, allow_from,
    expires, status, revoked_at, replaced_by, lineage, limits, created_at";

/// The minute of the last use is among those of the hour that is noted.
const LAST_USED: &str = "(
    SELECT coalesce((
        SELECT max(minute) FROM customer_minutes AS m
        WHERE m.customer = keys.customer AND m.hour = key_hours.hour AND m.key_id = keys.id
            AND m.minute BETWEEN key_hours.hour AND key_hours.hour + 3540000
    ), hour) FROM key_hours WHERE key_id = keys.id)";

pub(super) fn find(database: &dyn Database, id: &str) -> Result<Option<KeyRecord>, StoreError> {
    query::one(database, TABLE, &select("WHERE id = ?1"), params![id], read)
}

pub(super) fn find_by_digest(
    database: &dyn Database,
    digest: &KeyDigest,
) -> Result<Option<KeyRecord>, StoreError> {
    let sql = select("WHERE digest = ?1");
    query::one(database, TABLE, &sql, params![digest.bytes()], read)
}

pub(super) fn page(
    database: &dyn Database,
    customer: &str,
    after: Option<&str>,
    max: usize,
) -> Result<Vec<KeyRecord>, StoreError> {
    let sql =
        select("WHERE customer = ?1 AND id >= ?2 AND id IS DISTINCT FROM ?3 ORDER BY id LIMIT ?4");
    let params = params![customer, after.unwrap_or(""), after, limit(max)];
    query::all(database, TABLE, &sql, params, read)
}

/// The next to expire first.
pub(super) fn expiring(
    database: &dyn Database,
    window: Window,
    after: &str,
    max: usize,
) -> Result<Vec<KeyRecord>, StoreError> {
    let Window { start, end } = window;
    let sql = select(
        "WHERE (expires, id) > (?1, ?2) AND expires < ?3 AND status = 'active'
         ORDER BY expires, id LIMIT ?4",
    );
    let params = params![ms(start), after, end.map_or(i64::MAX, ms), limit(max)];
    query::all(database, TABLE, &sql, params, read)
}

/// Without their last use, which would be looked up a million times.
pub(super) fn load(
    database: &dyn Database,
    each: &mut dyn FnMut(KeyRecord),
) -> Result<(), StoreError> {
    query::each(database, TABLE, &select_without_use("ORDER BY id"), params![], |mut cells| {
        each(read(&mut cells)?);
        Ok(true)
    })
}

pub(super) fn put(database: &dyn Database, key: &KeyRecord) -> Result<(), StoreError> {
    let KeyRecord {
        id,
        customer,
        application,
        name,
        digest,
        hint,
        env,
        scopes,
        allow_from,
        expires,
        status,
        revoked_at,
        replaced_by,
        lineage,
        limits,
        created_at,
        last_used: _,
    } = key;
    let sql = "INSERT INTO keys
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
        ON CONFLICT (id) DO UPDATE SET customer = excluded.customer,
            application = excluded.application, name = excluded.name, digest = excluded.digest,
            hint = excluded.hint, env = excluded.env, scopes = excluded.scopes,
            allow_from = excluded.allow_from, expires = excluded.expires,
            status = excluded.status, revoked_at = excluded.revoked_at,
            replaced_by = excluded.replaced_by, lineage = excluded.lineage,
            limits = excluded.limits, created_at = excluded.created_at";
    let params = params![
        id,
        customer,
        application,
        name,
        digest.bytes(),
        hint,
        env.map(name_of).transpose()?,
        query::json_unless(scopes.is_empty(), scopes)?,
        query::json_unless(allow_from.is_empty(), allow_from)?,
        expires.map(ms),
        name_of(status)?,
        revoked_at.map(ms),
        replaced_by,
        lineage,
        query::json_unless(limits.is_empty(), limits)?,
        ms(*created_at),
    ];
    query::write(database, sql, params)?;
    Ok(())
}

pub(super) fn last_used(
    database: &dyn Database,
    customer: &str,
    key_id: &str,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT key_id, coalesce((
            SELECT max(minute) FROM customer_minutes AS m
            WHERE m.customer = ?1 AND m.hour = key_hours.hour AND m.key_id = ?2
                AND m.minute BETWEEN key_hours.hour AND key_hours.hour + 3540000
        ), hour) FROM key_hours WHERE key_id = ?2";
    query::one(database, "key_hours", sql, params![customer, key_id], |cells| {
        cells.skip(1);
        cells.time()
    })
}

pub(in crate::store) fn select_without_use(rest: &str) -> String {
    format!("SELECT {COLUMNS}, NULL FROM keys {rest}")
}

pub(in crate::store) fn select(rest: &str) -> String {
    format!("SELECT {COLUMNS}, {LAST_USED} FROM keys {rest}")
}

pub(in crate::store) fn read(cells: &mut Cells<'_>) -> Result<KeyRecord, StoreError> {
    Ok(KeyRecord {
        id: cells.get()?,
        customer: cells.get()?,
        application: cells.get()?,
        name: cells.get()?,
        digest: KeyDigest::from(cells.get::<[u8; 32]>()?),
        hint: cells.get()?,
        env: cells.optional_name()?,
        scopes: cells.json()?.unwrap_or_default(),
        allow_from: cells.json()?.unwrap_or_default(),
        expires: cells.optional_time()?,
        status: cells.name()?,
        revoked_at: cells.optional_time()?,
        replaced_by: cells.get()?,
        lineage: cells.get()?,
        limits: cells.json()?.unwrap_or_default(),
        created_at: cells.time()?,
        last_used: cells.optional_time()?,
    })
}
