//! Requests by minute: what a fold adds to their series.

use std::{borrow::Cow, cmp::Reverse, iter};

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use crate::{
    ledger::id_of,
    model::Currency,
    store::{
        MinuteRow,
        sql::{movement::HOUR_MS, query::signed},
        sqlite::{
            ids::{Remembered, Series},
            many::Insertion,
            owners::Owners,
        },
    },
};

const ADD: Insertion = Insertion {
    into: "INSERT INTO usage_minutes",
    columns: 6,
    then: "ON CONFLICT (minute, place, series) DO UPDATE SET
        requests = requests + excluded.requests,
        units = min(units + excluded.units, 9223372036854775807),
        nanos = min(nanos + excluded.nanos, 9223372036854775807)",
};

pub(super) fn add(
    transaction: &Transaction<'_>,
    owners: &mut Owners<'_>,
    memory: &mut Remembered<Series>,
    rows: &[MinuteRow<'_>],
) -> rusqlite::Result<()> {
    let mut finder = Finder::new(transaction)?;
    let mut found = Vec::with_capacity(rows.len());
    let (mut hours, mut uses) = (Vec::new(), Vec::new());
    for row in rows {
        let customer = owners.of(row.customer)?;
        let minute = row.minute.as_millisecond();
        let currency = row.currency;
        let key = memory.fingerprint(&(&*customer, row.key_id, row.route, row.ending, currency));
        let known = memory.find(&key);
        let (id, place) = match known {
            Some(Series { id, place, hour: _ }) => (id.into(), place.into()),
            None => finder.series(&customer, row)?,
        };
        found.push((place, id));
        // What was written of an hour is not written again.
        let hour = hour_of(minute);
        let written = known.map(|series| i64::from(series.hour) * HOUR_MS);
        if written < Some(hour) {
            if customer == id_of(row.customer) {
                uses.push((row.key_id, hour));
            }
            if let Some(series) = packed(id, place, hour) {
                memory.put(key, series);
            }
        }
        if written != Some(hour) {
            hours.push((customer, hour, place));
        }
    }
    // In the table's order, where customers stand as they came.
    let mut rows: Vec<_> = iter::zip(rows, found).collect();
    rows.sort_unstable_by_key(|(row, number)| (row.minute, *number));
    ADD.run(transaction, &rows, |(row, (place, id)), values| {
        values.put(row.minute.as_millisecond())?;
        values.put(place)?;
        values.put(id)?;
        values.put(signed(row.requests))?;
        values.put(signed(row.units))?;
        values.put(row.nanos.0)
    })?;
    add_hours(transaction, &hours)?;
    note_uses(transaction, uses)
}

fn hour_of(ms: i64) -> i64 {
    ms.div_euclid(HOUR_MS) * HOUR_MS
}

/// What does not fit is not remembered.
fn packed(id: i64, place: i64, hour: i64) -> Option<Series> {
    Some(Series {
        id: id.try_into().ok()?,
        place: place.try_into().ok()?,
        hour: hour.div_euclid(HOUR_MS).try_into().ok()?,
    })
}

/// Finds series, and makes those that are not there.
struct Finder<'t> {
    find: CachedStatement<'t>,
    next: CachedStatement<'t>,
    others: CachedStatement<'t>,
    insert: CachedStatement<'t>,
}

impl<'t> Finder<'t> {
    fn new(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        let prepare = |sql| transaction.prepare_cached(sql);
        Ok(Self {
            find: prepare(
                "SELECT id, place FROM usage_series
                 WHERE customer = ?1 AND key_id = ?2 AND route = ?3 AND ending = ?4
                     AND currency = ?5",
            )?,
            // One after the other: a statement that reads the table it writes keeps a copy meanwhile.
            next: prepare("SELECT coalesce(max(id), 0) + 1 FROM usage_series")?,
            others: prepare("SELECT place FROM usage_series WHERE customer = ?1 LIMIT 1")?,
            insert: prepare("INSERT INTO usage_series VALUES (?6, ?7, ?1, ?2, ?3, ?4, ?5)")?,
        })
    }

    /// Gives the number and the place of a series. The first of a customer makes the place of the others.
    fn series(&mut self, customer: &str, row: &MinuteRow<'_>) -> rusqlite::Result<(i64, i64)> {
        let MinuteRow { key_id, route, ending, currency, .. } = row;
        let currency = currency.as_ref().map_or("", Currency::as_str);
        let texts = params![customer, key_id, route, ending, currency];
        let found = self.find.query_row(texts, |row| Ok((row.get(0)?, row.get(1)?)));
        if let Some(found) = found.optional()? {
            return Ok(found);
        }
        let id: i64 = self.next.query_row([], |row| row.get(0))?;
        let place = self.others.query_row([customer], |row| row.get(0)).optional()?;
        let place = place.unwrap_or(id);
        self.insert.execute(params![customer, key_id, route, ending, currency, id, place])?;
        Ok((id, place))
    }
}

/// Notes the hours by which the minutes of one customer are found.
fn add_hours(
    transaction: &Transaction<'_>,
    hours: &[(Cow<'_, str>, i64, i64)],
) -> rusqlite::Result<()> {
    let mut statement =
        transaction.prepare_cached("INSERT OR IGNORE INTO usage_hours VALUES (?1, ?2, ?3)")?;
    for alike in hours.chunk_by(PartialEq::eq) {
        if let Some((customer, hour, place)) = alike.first() {
            statement.execute(params![customer, hour, place])?;
        }
    }
    Ok(())
}

/// Notes the latest hour of every key among them. Keys that went with their owner are not.
fn note_uses(transaction: &Transaction<'_>, mut uses: Vec<(&str, i64)>) -> rusqlite::Result<()> {
    // In the table's order, and each key once with its latest.
    uses.sort_unstable_by_key(|(key_id, hour)| (*key_id, Reverse(*hour)));
    uses.dedup_by_key(|(key_id, _)| *key_id);
    let mut statement = transaction.prepare_cached(
        "INSERT INTO key_hours VALUES (?1, ?2)
         ON CONFLICT (key_id) DO UPDATE SET hour = max(hour, excluded.hour)",
    )?;
    for (key_id, hour) in uses {
        statement.execute(params![key_id, hour])?;
    }
    Ok(())
}
