//! Accounts, grants and purses: what a fold adds to them and takes of them.

use std::collections::{BTreeMap, HashMap};

use super::{connection::Connection, entries::TOGETHER, owners::Owners, text, value::integer};
use crate::{
    ledger::Window,
    model::Nanos,
    store::{
        CreditRow, StoreError, UsageRow,
        records::Announcement,
        sql::{
            movement::NO_GRANT,
            query::{ms, signed},
        },
    },
};

/// By owner, scope, quota and start.
type AccountKey<'a> = (&'a str, &'a str, &'a str, i64);

/// Gives the numbers of the rows, in the same order.
pub(super) fn add_usage(
    connection: &Connection,
    owners: &Owners,
    node: &str,
    rows: &[UsageRow<'_>],
) -> Result<Vec<i64>, StoreError> {
    // Two names in the journal may have one owner by now, and a statement takes a row once.
    let mut sums = BTreeMap::<AccountKey<'_>, (Option<i64>, u64)>::new();
    for row in rows {
        let end = row.window.end.map(ms);
        let sum = sums.entry(key_of(owners, row)).or_insert((end, 0));
        // The later end: a quota whose window was lengthened within it must be found until that ends.
        sum.0 = sum.0.and_then(|known| end.map(|end| end.max(known)));
        sum.1 = sum.1.saturating_add(row.used);
    }
    let sums: Vec<_> = sums.into_iter().collect();
    let mut ids = HashMap::with_capacity(sums.len());
    for sums in sums.chunks(TOGETHER) {
        add_sums(connection, node, sums, &mut ids)?;
    }
    let missing = || StoreError::new("write to", "an account has no number");
    let id_of = |row| ids.get(&key_of(owners, row)).copied().ok_or_else(missing);
    rows.iter().map(id_of).collect()
}

fn key_of<'a>(owners: &'a Owners, row: &UsageRow<'a>) -> AccountKey<'a> {
    let UsageRow { customer, scope, quota, window: Window { start, end: _ }, used: _ } = row;
    (owners.of(customer), scope, quota, ms(*start))
}

/// What the node charged is noted beside it, for when its process is gone.
fn add_sums<'a>(
    connection: &Connection,
    node: &str,
    sums: &[(AccountKey<'a>, (Option<i64>, u64))],
    ids: &mut HashMap<AccountKey<'a>, i64>,
) -> Result<(), StoreError> {
    let texts = |of: fn(&AccountKey<'a>) -> &'a str| -> Vec<_> {
        sums.iter().map(|(key, _)| text::encode(of(key))).collect()
    };
    let starts: Vec<_> = sums.iter().map(|((.., start), _)| *start).collect();
    let ends: Vec<_> = sums.iter().map(|(_, (end, _))| *end).collect();
    let used: Vec<_> = sums.iter().map(|(_, (_, used))| signed(*used)).collect();
    let (customers, scopes, quotas) = (texts(|key| key.0), texts(|key| key.1), texts(|key| key.2));
    let sql = "WITH written AS (
            INSERT INTO usage AS u (customer, scope, quota, window_start, window_end, used)
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
                $6::bigint[])
            ON CONFLICT (customer, scope, quota, window_start) DO UPDATE SET
                window_end = CASE
                    WHEN u.window_end IS NULL OR excluded.window_end IS NULL THEN NULL
                    ELSE greatest(u.window_end, excluded.window_end) END,
                used = least(u.used::numeric + excluded.used, 9223372036854775807)::bigint
            RETURNING id, customer, scope, quota, window_start
        ), numbered AS (
            SELECT n.at, w.id, n.used
            FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $6::bigint[])
                WITH ORDINALITY AS n(customer, scope, quota, window_start, used, at)
            JOIN written AS w USING (customer, scope, quota, window_start)
        ), noted AS (
            INSERT INTO node_usage AS u (account, node, spent)
            SELECT n.id, $7, n.used FROM numbered AS n WHERE n.used > 0
            ON CONFLICT (account, node) DO UPDATE
                SET spent = least(u.spent::numeric + excluded.spent, 9223372036854775807)::bigint
        )
        SELECT at, id FROM numbered";
    let arguments: super::link::Arguments<'_> =
        &[&customers, &scopes, &quotas, &starts, &ends, &used, &node];
    let rows = connection.rows("write to", sql, arguments)?;
    for row in &rows {
        let at = usize::try_from(integer(row, 0)?).unwrap_or(0);
        if let Some((key, _)) = at.checked_sub(1).and_then(|at| sums.get(at)) {
            ids.insert(*key, integer(row, 1)?);
        }
    }
    Ok(())
}

/// What became of the money that a fold takes.
#[derive(Default)]
pub(super) struct Taken {
    /// The purses and the numbers of the grants, in the order of the rows.
    pub(super) places: Vec<(i64, i64)>,
    /// What is owed for it by customers that are still there.
    pub(super) debts: Vec<Announcement>,
}

/// Takes money of grants, and adds to what is owed.
pub(super) fn take_credits(
    connection: &Connection,
    owners: &Owners,
    node: &str,
    rows: &[CreditRow<'_>],
) -> Result<Taken, StoreError> {
    if rows.is_empty() {
        return Ok(Taken::default());
    }
    let mut taken = BTreeMap::<&str, i64>::new();
    for row in rows.iter().filter(|row| !row.grant.is_empty()) {
        let sum = taken.entry(row.grant).or_default();
        *sum = sum.saturating_add(row.nanos.0);
    }
    let grants = take_of_grants(connection, node, &taken)?;
    // A grant that is not there, as in a store that was put back, is owed like what none pays.
    let mut owed = BTreeMap::<(&str, &str), i64>::new();
    let mut debts = Vec::new();
    for row in rows.iter().filter(|row| !grants.contains_key(row.grant)) {
        let CreditRow { customer, currency, grant: _, nanos } = *row;
        let owner = owners.of(customer);
        let sum = owed.entry((owner, row.currency.as_str())).or_default();
        *sum = sum.saturating_add(nanos.0);
        if nanos != Nanos::ZERO && !owners.is_removed(customer) {
            let (customer, nanos) = (owner.to_owned(), nanos.0);
            debts.push(Announcement::Indebted { customer, currency, nanos });
        }
    }
    let purses = add_owed(connection, &owed)?;
    let missing = || StoreError::new("write to", "a purse has no number");
    let number_of = |row: &CreditRow<'_>| match grants.get(row.grant) {
        Some(found) => Ok(*found),
        None => {
            let purse = purses.get(&(owners.of(row.customer), row.currency.as_str()));
            Ok((*purse.ok_or_else(missing)?, NO_GRANT))
        }
    };
    Ok(Taken { places: rows.iter().map(number_of).collect::<Result<_, _>>()?, debts })
}

/// Gives the purse and the number of each that is there. What the node charged is noted beside it, as of units.
fn take_of_grants<'a>(
    connection: &Connection,
    node: &str,
    taken: &BTreeMap<&'a str, i64>,
) -> Result<HashMap<&'a str, (i64, i64)>, StoreError> {
    let sql = r#"WITH locked AS (
            SELECT n.at, n.nanos, g.number
            FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS n(id, nanos, at)
            JOIN grants AS g ON g.id = n.id ORDER BY g.number FOR NO KEY UPDATE OF g
        ), written AS (
            UPDATE grants AS g SET "left" = g."left" - l.nanos FROM locked AS l WHERE g.number = l.number
            RETURNING l.at, l.nanos, g.purse, g.number
        ), noted AS (
            INSERT INTO node_usage AS u (account, node, spent)
            SELECT -w.number, $3, w.nanos FROM written AS w WHERE w.nanos > 0
            ON CONFLICT (account, node) DO UPDATE
                SET spent = least(u.spent::numeric + excluded.spent, 9223372036854775807)::bigint
        )
        SELECT at, purse, number FROM written"#;
    let ids: Vec<_> = taken.keys().map(|id| text::encode(id)).collect();
    let nanos: Vec<_> = taken.values().copied().collect();
    let mut found = HashMap::new();
    let grants: Vec<_> = taken.keys().copied().collect();
    for row in &connection.rows("write to", sql, &[&ids, &nanos, &node])? {
        let at = usize::try_from(integer(row, 0)?).unwrap_or(0);
        if let Some(id) = at.checked_sub(1).and_then(|at| grants.get(at)) {
            found.insert(*id, (integer(row, 1)?, integer(row, 2)?));
        }
    }
    Ok(found)
}

/// Gives the numbers of the purses.
fn add_owed<'a>(
    connection: &Connection,
    owed: &BTreeMap<(&'a str, &'a str), i64>,
) -> Result<HashMap<(&'a str, &'a str), i64>, StoreError> {
    if owed.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "WITH written AS (
            INSERT INTO purses AS p (customer, currency, owed)
            SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
            ON CONFLICT (customer, currency) DO UPDATE SET owed = p.owed + excluded.owed
            RETURNING id, customer, currency
        )
        SELECT n.at, w.id FROM unnest($1::text[], $2::text[])
                WITH ORDINALITY AS n(customer, currency, at)
            JOIN written AS w USING (customer, currency)";
    let customers: Vec<_> = owed.keys().map(|(customer, _)| text::encode(customer)).collect();
    let currencies: Vec<_> = owed.keys().map(|(_, currency)| *currency).collect();
    let nanos: Vec<_> = owed.values().copied().collect();
    let owners: Vec<_> = owed.keys().copied().collect();
    let mut found = HashMap::new();
    for row in &connection.rows("write to", sql, &[&customers, &currencies, &nanos])? {
        let at = usize::try_from(integer(row, 0)?).unwrap_or(0);
        if let Some(owner) = at.checked_sub(1).and_then(|at| owners.get(at)) {
            found.insert(*owner, integer(row, 1)?);
        }
    }
    Ok(found)
}
