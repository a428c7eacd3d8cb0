//! Requests by minute: what a fold adds to their series.

use std::{
    collections::{BTreeMap, HashMap},
    iter,
};

use super::{connection::Connection, entries::TOGETHER, owners::Owners, text, value::integer};
use crate::{
    ledger::id_of,
    model::Currency,
    store::{
        MinuteRow, StoreError,
        sql::{
            movement::HOUR_MS,
            query::{ms, signed},
        },
    },
};

/// Whose requests are counted together: customer, key, route, ending, currency.
type Series<'a> = [&'a str; 5];

pub(super) fn add(
    connection: &Connection,
    owners: &Owners,
    rows: &[MinuteRow<'_>],
) -> Result<(), StoreError> {
    let all: Vec<_> = rows.iter().map(|row| series_of(owners, row)).collect();
    let mut numbers = HashMap::new();
    let mut distinct = all.clone();
    distinct.sort_unstable();
    distinct.dedup();
    for series in distinct.chunks(TOGETHER) {
        number(connection, series, &mut numbers)?;
    }
    // Two names in the journal may have one owner by now, and a statement takes a row once.
    let mut sums = BTreeMap::<(i64, i64), Sum>::new();
    for (row, series) in iter::zip(rows, &all) {
        let missing = || StoreError::new("write to", "a series has no number");
        let id = *numbers.get(series).ok_or_else(missing)?;
        sums.entry((id, ms(row.minute))).or_default().add(row);
    }
    let sums: Vec<_> = sums.into_iter().collect();
    for sums in sums.chunks(TOGETHER) {
        write(connection, sums)?;
    }
    note_uses(connection, owners, rows)
}

fn series_of<'a>(owners: &'a Owners, row: &'a MinuteRow<'_>) -> Series<'a> {
    let MinuteRow { customer, key_id, route, ending, currency, .. } = row;
    let currency = currency.as_ref().map_or("", Currency::as_str);
    [owners.of(customer), key_id, route, ending, currency]
}

/// Finds the numbers of series, and gives new ones to those that have none yet.
fn number<'a>(
    connection: &Connection,
    series: &[Series<'a>],
    numbers: &mut HashMap<Series<'a>, i64>,
) -> Result<(), StoreError> {
    find(connection, series, numbers)?;
    let new: Vec<_> =
        series.iter().filter(|series| !numbers.contains_key(*series)).copied().collect();
    if new.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO usage_series (customer, key_id, route, ending, currency)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
        ON CONFLICT DO NOTHING";
    let [customers, keys, routes, endings, currencies] = columns(&new);
    connection.write(sql, &[&customers, &keys, &routes, &endings, &currencies])?;
    find(connection, &new, numbers)
}

fn find<'a>(
    connection: &Connection,
    series: &[Series<'a>],
    numbers: &mut HashMap<Series<'a>, i64>,
) -> Result<(), StoreError> {
    let sql = "SELECT n.at, s.id
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
                WITH ORDINALITY AS n(customer, key_id, route, ending, currency, at)
            JOIN usage_series AS s USING (customer, key_id, route, ending, currency)";
    let [customers, keys, routes, endings, currencies] = columns(series);
    let arguments: super::link::Arguments<'_> =
        &[&customers, &keys, &routes, &endings, &currencies];
    for row in &connection.rows("read", sql, arguments)? {
        let at = usize::try_from(integer(row, 0)?).unwrap_or(0);
        if let Some(found) = at.checked_sub(1).and_then(|at| series.get(at)) {
            numbers.insert(*found, integer(row, 1)?);
        }
    }
    Ok(())
}

fn columns<'a>(series: &[Series<'a>]) -> [Vec<std::borrow::Cow<'a, str>>; 5] {
    let column = |of: fn(&Series<'a>) -> &'a str| {
        series.iter().map(|series| text::encode(of(series))).collect()
    };
    [
        column(|[customer, ..]| customer),
        column(|[_, key, ..]| key),
        column(|[_, _, route, ..]| route),
        column(|[_, _, _, ending, _]| ending),
        column(|[.., currency]| currency),
    ]
}

/// What a series has in a minute.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    requests: i64,
    units: i64,
    nanos: i64,
}

impl Sum {
    fn add(&mut self, row: &MinuteRow<'_>) {
        self.requests = self.requests.saturating_add(signed(row.requests));
        self.units = self.units.saturating_add(signed(row.units));
        self.nanos = self.nanos.saturating_add(row.nanos.0);
    }
}

fn write(connection: &Connection, sums: &[((i64, i64), Sum)]) -> Result<(), StoreError> {
    let sql = "INSERT INTO usage_minutes AS m (series, minute, requests, units, nanos)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
        ON CONFLICT (series, minute) DO UPDATE SET
            requests = m.requests + excluded.requests,
            units = least(m.units::numeric + excluded.units, 9223372036854775807)::bigint,
            nanos = least(m.nanos::numeric + excluded.nanos, 9223372036854775807)::bigint";
    let each = |value: fn(&((i64, i64), Sum)) -> i64| sums.iter().map(value).collect::<Vec<_>>();
    connection.write(
        sql,
        &[
            &each(|((series, _), _)| *series),
            &each(|((_, minute), _)| *minute),
            &each(|(_, sum)| sum.requests),
            &each(|(_, sum)| sum.units),
            &each(|(_, sum)| sum.nanos),
        ],
    )?;
    Ok(())
}

/// Notes the latest hour of every key among them. Keys that went with their owner are not.
fn note_uses(
    connection: &Connection,
    owners: &Owners,
    rows: &[MinuteRow<'_>],
) -> Result<(), StoreError> {
    let mut uses = BTreeMap::<&str, i64>::new();
    for row in rows.iter().filter(|row| owners.of(row.customer) == id_of(row.customer)) {
        let hour = ms(row.minute).div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
        let latest = uses.entry(row.key_id).or_insert(hour);
        *latest = hour.max(*latest);
    }
    // Only what is later than what is there: an insertion that changes nothing writes all the same.
    let sql = "INSERT INTO key_hours AS k (key_id, hour)
        SELECT n.key_id, n.hour FROM unnest($1::text[], $2::bigint[]) AS n(key_id, hour)
            LEFT JOIN key_hours AS known USING (key_id)
        WHERE known.hour IS NULL OR known.hour < n.hour
        ON CONFLICT (key_id) DO UPDATE SET hour = greatest(k.hour, excluded.hour)";
    let uses: Vec<_> = uses.into_iter().collect();
    for uses in uses.chunks(TOGETHER) {
        let keys: Vec<_> = uses.iter().map(|(key, _)| text::encode(key)).collect();
        let hours: Vec<_> = uses.iter().map(|(_, hour)| *hour).collect();
        connection.write(sql, &[&keys, &hours])?;
    }
    Ok(())
}
