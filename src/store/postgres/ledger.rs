//! Reading one customer's ledger.

use super::connection::Connection;
use crate::store::{
    StoreError,
    records::{EntryRecord, LedgerPlace},
    sql::{
        ledger::{COLUMNS, MINE, NAMES, read_entry},
        params,
        query::{self, limit, ms},
    },
};

/// Gives entries, the oldest first, from the one after a place. Beside them tells whether there are more.
///
/// Of each account the first entries are taken, in the order of their index, so that a page costs the same
/// however long the ledger is.
pub(super) fn page(
    connection: &Connection,
    customer: &str,
    after: Option<LedgerPlace>,
    max: usize,
) -> Result<(Vec<EntryRecord>, bool), StoreError> {
    let (entered, number) =
        after.map_or((i64::MIN, 0), |place| (ms(place.entered), query::signed(place.number)));
    let sql = format!(
        r#"WITH {MINE} SELECT x.number, {COLUMNS}, x.entered, x.kind, x.minute, x.requests, x.amount,
            x.balance, x.reference
        FROM mine AS m CROSS JOIN LATERAL (
                SELECT * FROM entries AS e
                WHERE e."of" = m."of" AND e.account = m.account AND (e.entered, e.number) > (?2, ?3)
                ORDER BY e.entered, e.number LIMIT ?4
            ) AS x
            {NAMES} ORDER BY x.entered, x.number LIMIT ?4"#
    );
    // One more tells whether there are more.
    let params = params![customer, entered, number, limit(max.saturating_add(1))];
    let mut found = query::all(connection, "entries", &sql, params, read_entry)?;
    let is_more = found.len() > max;
    found.truncate(max);
    Ok((found, is_more))
}
