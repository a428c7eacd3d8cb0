//! Usage added up by what it is to be told apart by.

use crate::{
    model::Nanos,
    store::{
        StoreError,
        records::{Grouping, ReportRange, ReportRow},
        sql::{
            Database, params,
            query::{self, Cells, ms},
        },
    },
};

/// Rounds down, also before the epoch.
const STRETCH: &str = "minute - (minute % CAST(?4 AS BIGINT) + ?4) % ?4";

/// Sums of halves: a sum may leave the range of an integer.
const SUMS: &str = "CAST(coalesce(sum(requests), 0) AS BIGINT),
    CAST(coalesce(sum(units >> 32), 0) AS BIGINT),
    CAST(coalesce(sum(units & 4294967295), 0) AS BIGINT)";

/// The same of money, where it is asked for.
const CREDIT: &str = ", CAST(coalesce(sum(nanos >> 32), 0) AS BIGINT),
    CAST(coalesce(sum(nanos & 4294967295), 0) AS BIGINT)";

const RANGE: &str = "minute >= ?1 AND minute < ?2
    AND (CAST(?4 AS BIGINT) IS NULL OR ?4 > 0)";

/// Where the minutes are, up to their condition; what follows behind it; and the sums of both.
type Source = (&'static str, &'static str, &'static str);

/// Everybody's minutes lie together.
const OF_ALL: Source = (" FROM usage_minutes WHERE CAST(?3 AS TEXT) IS NULL AND ", "", SUMS);

/// With the names of each minute: for stretches so short that there is little to add up.
const OF_ALL_NAMED: Source = (
    " FROM usage_minutes {join} usage_series ON usage_series.id = series WHERE CAST(?3 AS TEXT) IS NULL AND ",
    "",
    SUMS,
);

/// Added up by the numbers of series first, so that their names are looked up once for a stretch.
const OF_ALL_BY_SERIES: Source = (
    " FROM (
        SELECT series, minute - (minute % CAST(?4 AS BIGINT) + ?4) % ?4 AS minute, sum(requests) AS requests,
            sum(units >> 32) AS high, sum(units & 4294967295) AS low
        FROM usage_minutes WHERE CAST(?3 AS TEXT) IS NULL AND ",
    " GROUP BY 1, 2) AS stretches {join} usage_series ON usage_series.id = series",
    "CAST(coalesce(sum(requests), 0) AS BIGINT), CAST(coalesce(sum(high), 0) AS BIGINT),
        CAST(coalesce(sum(low), 0) AS BIGINT)",
);

/// The minutes of one customer are found by its hours.
const OF_ONE: Source = (
    " FROM customer_minutes WHERE customer = ?3 AND hour > CAST(?1 AS BIGINT) - 3600000 AND hour < ?2 AND ",
    "",
    SUMS,
);

const HOUR_MS: i64 = 3_600_000;

pub(super) fn each(
    database: &dyn Database,
    range: &ReportRange<'_>,
    each: &mut dyn FnMut(ReportRow) -> bool,
) -> Result<(), StoreError> {
    let ReportRange { from, to, customer, by } = range;
    if by.step_ms.is_some_and(|step| step <= 0) {
        return Err(StoreError::new("read", "the stretches of a report must be longer than zero"));
    }
    let sql = statement(by, customer.is_some()).replace("{join}", database.join());
    let params = params![ms(*from), ms(*to), customer, by.step_ms];
    let is_credit = by.currency;
    query::each(database, "usage_minutes", &sql, params, |mut cells| {
        Ok(each(read(&mut cells, is_credit)?))
    })
}

/// Put together from the constants here alone; what comes from outside is bound.
fn statement(by: &Grouping, is_for_one: bool) -> String {
    let Grouping { customer, key, route, ending, currency, step_ms } = by;
    let columns = [
        (*customer, "customer"),
        (*key, "key_id"),
        (*route, "route"),
        (*ending, "ending"),
        (*currency, "currency"),
        (step_ms.is_some(), STRETCH),
    ];
    let mut sql = "SELECT ".to_owned();
    let mut groups = Vec::new();
    for (number, (is_told, expression)) in (1..).zip(columns) {
        sql += if is_told { expression } else { "NULL" };
        sql += ", ";
        if is_told {
            groups.push(number.to_string());
        }
    }
    let is_named = *customer || *key || *route || *ending || *currency;
    let (from, rest, sums) = match step_ms {
        _ if is_for_one => OF_ONE,
        _ if !is_named => OF_ALL,
        Some(..HOUR_MS) => OF_ALL_NAMED,
        // Money is not summed by series before: it is asked for seldom.
        _ if *currency => OF_ALL_NAMED,
        _ => OF_ALL_BY_SERIES,
    };
    let credit = if *currency { CREDIT } else { "" };
    sql += &[sums, credit, from, RANGE, rest].concat();
    if !groups.is_empty() {
        let groups = groups.join(", ");
        sql += &format!(" GROUP BY {groups} ORDER BY {groups}");
    }
    sql
}

fn read(cells: &mut Cells<'_>, is_credit: bool) -> Result<ReportRow, StoreError> {
    Ok(ReportRow {
        customer: cells.get()?,
        key_id: cells.get()?,
        route: cells.get()?,
        ending: cells.get()?,
        currency: cells.get()?,
        start: cells.optional_time()?,
        requests: cells.count()?,
        units: whole(cells)?,
        credit: if is_credit {
            Some(Nanos(i64::try_from(whole(cells)?).unwrap_or(i64::MAX)))
        } else {
            None
        },
    })
}

/// Puts a sum of halves together.
fn whole(cells: &mut Cells<'_>) -> Result<u64, StoreError> {
    let (high, low) = (cells.count()?, cells.count()?);
    Ok(high.saturating_mul(1 << 32).saturating_add(low))
}
