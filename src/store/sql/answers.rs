//! Answers that were paid for, kept for a while.

use jiff::Timestamp;

use crate::store::{
    StoreError,
    records::AnswerRecord,
    sql::{
        Database, params,
        query::{self, Cells, limit, ms},
    },
};

const ANSWERS: &str = "paid_answers";

/// What an answer takes beside its fields and its body.
const ROW_BYTES: i64 = 512;

/// Finds the answer that a payment paid for, if it is kept still.
pub(super) fn find(
    database: &dyn Database,
    payment: i64,
    now: Timestamp,
) -> Result<Option<AnswerRecord>, StoreError> {
    let sql = "SELECT payment, request, status, fields, length, body, until FROM paid_answers
        WHERE payment = ?1 AND until > ?2";
    query::one(database, ANSWERS, sql, params![payment, ms(now)], read)
}

/// Keeps an answer, and forgets the oldest of those that take more than `bytes_max` together. The first one that is kept
/// for a payment stays.
pub(super) fn keep(
    database: &dyn Database,
    answer: &AnswerRecord,
    bytes_max: i64,
) -> Result<(), StoreError> {
    let AnswerRecord { payment, request, status, fields, length, body, until } = answer;
    let bytes = |bytes: &[u8]| i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let size = ROW_BYTES.saturating_add(bytes(fields)).saturating_add(bytes(body));
    // Whoever writes has the store for itself, so nobody else takes the place.
    let sql = "SELECT place FROM paid_answers ORDER BY place DESC LIMIT 1";
    let last = query::one(database, ANSWERS, sql, params![], |cells| cells.get::<i64>())?;
    let place = last.unwrap_or(0).saturating_add(size);
    let sql =
        "INSERT INTO paid_answers (place, payment, request, status, fields, length, body, until)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (payment) DO NOTHING";
    let length = length.and_then(|length| i64::try_from(length).ok());
    let until = ms(*until);
    let params = params![place, *payment, *request, *status, *fields, length, *body, until];
    query::write(database, sql, params)?;
    let sql = "DELETE FROM paid_answers WHERE place <= ?1";
    query::write(database, sql, params![place.saturating_sub(bytes_max)])?;
    Ok(())
}

/// Forgets up to `max` answers whose time is over, from the oldest on; tells whether those were all.
pub(super) fn forget(
    database: &dyn Database,
    now: Timestamp,
    max: usize,
) -> Result<bool, StoreError> {
    let sql = "SELECT place, until FROM paid_answers ORDER BY place LIMIT ?1";
    let oldest = query::all(database, ANSWERS, sql, params![limit(max)], |cells| {
        Ok((cells.get::<i64>()?, cells.get::<i64>()?))
    })?;
    let over = oldest.iter().take_while(|(_, until)| *until <= ms(now));
    let Some((last, _)) = over.last() else { return Ok(true) };
    let sql = "DELETE FROM paid_answers WHERE place <= ?1";
    Ok(query::write(database, sql, params![*last])? < max)
}

fn read(cells: &mut Cells<'_>) -> Result<AnswerRecord, StoreError> {
    Ok(AnswerRecord {
        payment: cells.get()?,
        request: cells.get()?,
        status: cells.count()?.try_into().unwrap_or(0),
        fields: cells.get()?,
        length: cells.get::<Option<i64>>()?.and_then(|length| length.try_into().ok()),
        body: cells.get()?,
        until: cells.time()?,
    })
}
