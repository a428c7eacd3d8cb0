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

/// Finds the answer that was paid for by a proof, if it is kept still.
pub(super) fn find(
    database: &dyn Database,
    proof: &str,
    now: Timestamp,
) -> Result<Option<AnswerRecord>, StoreError> {
    let sql = "SELECT proof, request, status, fields, length, body, until FROM paid_answers
        WHERE proof = ?1 AND until > ?2";
    query::one(database, ANSWERS, sql, params![proof, ms(now)], read)
}

/// Keeps an answer, and forgets the oldest of those that take more than `bytes_max` together. The first one that is kept
/// for a proof stays.
pub(super) fn keep(
    database: &dyn Database,
    answer: &AnswerRecord,
    bytes_max: i64,
) -> Result<(), StoreError> {
    let AnswerRecord { proof, request, status, fields, length, body, until } = answer;
    let bytes = |bytes: &[u8]| i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let size = ROW_BYTES.saturating_add(bytes(fields)).saturating_add(bytes(body));
    // Whoever writes has the store for itself, so nobody else takes the place.
    let sql = "SELECT place FROM paid_answers ORDER BY place DESC LIMIT 1";
    let last = query::one(database, ANSWERS, sql, params![], |cells| cells.get::<i64>())?;
    let place = last.unwrap_or(0).saturating_add(size);
    let sql =
        "INSERT INTO paid_answers (place, proof, request, status, fields, length, body, until)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (proof) DO NOTHING";
    let length = length.and_then(|length| i64::try_from(length).ok());
    let until = ms(*until);
    let params = params![place, proof, *request, *status, *fields, length, *body, until];
    query::write(database, sql, params)?;
    let sql = "DELETE FROM paid_answers WHERE place <= ?1";
    query::write(database, sql, params![place.saturating_sub(bytes_max)])?;
    Ok(())
}

/// Forgets up to `max` answers whose time is over; tells whether those were all.
pub(super) fn forget(
    database: &dyn Database,
    now: Timestamp,
    max: usize,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM paid_answers WHERE place IN
        (SELECT place FROM paid_answers WHERE until <= ?1 ORDER BY until LIMIT ?2)";
    Ok(query::write(database, sql, params![ms(now), limit(max)])? < max)
}

fn read(cells: &mut Cells<'_>) -> Result<AnswerRecord, StoreError> {
    Ok(AnswerRecord {
        proof: cells.get()?,
        request: cells.get()?,
        status: cells.count()?.try_into().unwrap_or(0),
        fields: cells.get()?,
        length: cells.get::<Option<i64>>()?.and_then(|length| length.try_into().ok()),
        body: cells.get()?,
        until: cells.time()?,
    })
}
