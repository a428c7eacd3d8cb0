//! Payments that came with a request.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    model::{Money, Nanos},
    store::{
        StoreError, instant,
        records::{EntryKind, PaymentRecord, PaymentStep},
        sql::{
            Database,
            credits::currency,
            movement::{Account, Entry, NO_GRANT, PAYMENT},
            params,
            query::{self, Cells, limit, ms, name_of},
        },
    },
};

const PAYMENTS: &str = "payments";

const COLUMNS: &str =
    "number, proof, rail, customer, payer, route, request_id, price, currency, network,
    amount, (SELECT task FROM payment_tasks WHERE payment = number), settler, state, attempt,
    claimed_at, changed_at, next_attempt, settlement, reason, held, until, identifier, idempotency";

/// Finds the payment of a proof.
pub(super) fn find(
    database: &dyn Database,
    proof: &str,
) -> Result<Option<PaymentRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM payments WHERE digest = ?1");
    query::one(database, PAYMENTS, &sql, params![digest(proof)], read)
}

/// Finds the payment that a request presented, if no other did since.
pub(super) fn find_by_request(
    database: &dyn Database,
    request_id: &str,
) -> Result<Option<PaymentRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM payments WHERE request_id = ?1");
    query::one(database, PAYMENTS, &sql, params![request_id], read)
}

/// Lists those that are to be asked about, the longest due first.
pub(super) fn due(
    database: &dyn Database,
    now: Timestamp,
    max: usize,
) -> Result<Vec<PaymentRecord>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM payments WHERE next_attempt IS NOT NULL AND next_attempt <= ?1
        ORDER BY next_attempt, number LIMIT ?2"
    );
    query::all(database, PAYMENTS, &sql, params![ms(now), limit(max)], read)
}

/// Tells whether a ledger has payments.
pub(super) fn has_any(database: &dyn Database, customer: &str) -> Result<bool, StoreError> {
    let sql = "SELECT number FROM payments WHERE customer = ?1 LIMIT 1";
    let found = query::one(database, PAYMENTS, sql, params![customer], |cells| cells.get::<i64>())?;
    Ok(found.is_some())
}

/// Tells whether a payer has given a name to a payment, unless that has failed, or was claimed and nothing happened to it
/// since an instant.
pub(super) fn is_identifier_used(
    database: &dyn Database,
    payer: &str,
    identifier: &str,
    gone: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "SELECT number FROM payments
        WHERE payer = ?1 AND identifier = ?2 AND state <> 'failed'
            AND (state <> 'claimed' OR changed_at > ?3) LIMIT 1";
    let params = params![payer, identifier, ms(gone)];
    let found = query::one(database, PAYMENTS, sql, params, |cells| cells.get::<i64>())?;
    Ok(found.is_some())
}

/// Finds the payment that a payer presented first with an Idempotency-Key, of those that have not failed, and were not
/// claimed so that nothing happened to them since an instant.
pub(super) fn find_by_key(
    database: &dyn Database,
    payer: &str,
    key: &str,
    gone: Timestamp,
) -> Result<Option<PaymentRecord>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM payments
        WHERE payer = ?1 AND idempotency = ?2 AND state <> 'failed'
            AND (state <> 'claimed' OR changed_at > ?3) ORDER BY number LIMIT 1"
    );
    query::one(database, PAYMENTS, &sql, params![payer, key, ms(gone)], read)
}

/// Writes a new payment and gives its number; `None` where its proof is there already.
pub(super) fn put(
    database: &dyn Database,
    payment: &PaymentRecord,
) -> Result<Option<i64>, StoreError> {
    let PaymentRecord {
        number: _,
        proof,
        rail,
        customer,
        payer,
        route,
        request_id,
        price,
        network,
        amount,
        task,
        settler,
        state,
        attempt,
        claimed_at,
        changed_at,
        next_attempt,
        settlement,
        reason,
        held,
        until,
        identifier,
        idempotency,
    } = payment;
    let sql = "INSERT INTO payments (digest, proof, rail, customer, payer, route, request_id, price,
            currency, network, amount, settler, state, attempt, claimed_at, changed_at, next_attempt, settlement,
            reason, held, until, identifier, idempotency)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
            ?21, ?22, ?23)
        ON CONFLICT (digest) DO NOTHING RETURNING number";
    let Money { nanos: Nanos(price), currency } = *price;
    let (state, claimed_at, changed_at) = (name_of(state)?, ms(*claimed_at), ms(*changed_at));
    let (next_attempt, Nanos(held), until) = (next_attempt.map(ms), *held, until.map(ms));
    let params = params![
        digest(proof),
        proof,
        rail,
        customer,
        payer,
        route,
        request_id,
        price,
        currency.as_str(),
        network,
        amount,
        settler,
        state,
        *attempt,
        claimed_at,
        changed_at,
        next_attempt,
        settlement,
        reason,
        held,
        until,
        identifier,
        idempotency,
    ];
    let number = query::one(database, PAYMENTS, sql, params, |cells| cells.get::<i64>())?;
    if let Some(number) = number {
        let sql = "INSERT INTO payment_tasks (payment, task) VALUES (?1, ?2)";
        query::write(database, sql, params![number, task])?;
    }
    Ok(number)
}

/// Takes a payment a step on and gives it as it is then; `None` where it is not any more as it was.
pub(super) fn advance(
    database: &dyn Database,
    now: Timestamp,
    was: &PaymentRecord,
    step: &PaymentStep<'_>,
) -> Result<Option<PaymentRecord>, StoreError> {
    let PaymentStep { state, next_attempt, request_id, settler, settlement, reason, entries } =
        step;
    let moves = entries.iter().map(|(_, nanos, _)| *nanos).sum::<Nanos>();
    let sql =
        "UPDATE payments SET state = ?4, next_attempt = ?5, settlement = coalesce(?6, settlement),
            reason = ?7, changed_at = ?8, settler = coalesce(?9, settler), held = held + ?10,
            attempt = attempt + 1
        WHERE number = ?1 AND state = ?2 AND attempt = ?3";
    let (before, after) = (name_of(was.state)?, name_of(state)?);
    let (next_ms, at) = (next_attempt.map(ms), ms(now));
    let params = params![
        was.number,
        before,
        was.attempt,
        after,
        next_ms,
        *settlement,
        *reason,
        at,
        *settler,
        moves.0,
    ];
    if query::write(database, sql, params)? == 0 {
        return Ok(None);
    }
    if let Some(request_id) = request_id {
        // On its own, for most steps are of the same request, and its index is spared.
        let sql = "UPDATE payments SET request_id = ?2 WHERE number = ?1";
        query::write(database, sql, params![was.number, *request_id])?;
    }
    database.enter(now, &lines(was.number, entries))?;
    let or = |new: &Option<&str>, old: &Option<String>| new.map(str::to_owned).or(old.clone());
    Ok(Some(PaymentRecord {
        state: *state,
        attempt: was.attempt.saturating_add(1),
        changed_at: instant(at),
        next_attempt: next_ms.map(instant),
        request_id: request_id.unwrap_or(&was.request_id).to_owned(),
        settler: or(settler, &was.settler),
        settlement: or(settlement, &was.settlement),
        reason: reason.map(str::to_owned),
        held: was.held.saturating_add(moves),
        ..was.clone()
    }))
}

/// Gives the entries of a payment.
fn lines<'a>(number: i64, entries: &[(EntryKind, Nanos, &'a str)]) -> Vec<Entry<'a>> {
    let line = |(kind, nanos, reference): &(EntryKind, Nanos, &'a str)| Entry {
        account: Account { of: PAYMENT, id: number },
        kind: *kind,
        grant: NO_GRANT,
        consumed: None,
        amount: nanos.0,
        reference: Some(reference),
    };
    entries.iter().map(line).collect()
}

/// Notes that a payment is still under way; false where it is not any more as it was.
pub(super) fn renew(
    database: &dyn Database,
    now: Timestamp,
    was: &PaymentRecord,
) -> Result<bool, StoreError> {
    let sql =
        "UPDATE payments SET changed_at = ?4 WHERE number = ?1 AND state = ?2 AND attempt = ?3";
    let params = params![was.number, name_of(was.state)?, was.attempt, ms(now)];
    Ok(query::write(database, sql, params)? > 0)
}

/// Forgets a payment by which nothing can have moved, unless it is not any more as it was.
pub(super) fn forget(database: &dyn Database, was: &PaymentRecord) -> Result<(), StoreError> {
    let sql = "DELETE FROM payments WHERE number = ?1 AND state = ?2 AND attempt = ?3";
    let params = params![was.number, name_of(was.state)?, was.attempt];
    if query::write(database, sql, params)? > 0 {
        forget_task(database, was.number)?;
    }
    Ok(())
}

fn forget_task(database: &dyn Database, number: i64) -> Result<(), StoreError> {
    query::write(database, "DELETE FROM payment_tasks WHERE payment = ?1", params![number])?;
    Ok(())
}

/// How far what the ledger carries must be behind the last change of a payment that is forgotten: clocks differ.
const CARRIED: Duration = Duration::from_secs(24 * 3600);

/// Forgets payments that nobody can present any more with any effect, and what the ledger carries of them, which comes
/// to nothing.
pub(super) fn forget_ended(
    database: &dyn Database,
    before: Timestamp,
    max: usize,
) -> Result<bool, StoreError> {
    let sql = "SELECT carried FROM ledger";
    let carried = query::one(database, "ledger", sql, params![], |cells| cells.get::<i64>())?;
    let carried = instant(carried.unwrap_or(i64::MIN)).checked_sub(CARRIED);
    let before = before.min(carried.unwrap_or(Timestamp::MIN));
    let sql = "SELECT number FROM payments
        WHERE claimed_at < ?1 AND changed_at < ?1 AND until < ?1 AND held = 0
            AND state IN ('claimed', 'failed', 'used')
        ORDER BY claimed_at LIMIT ?2";
    let ended = query::all(database, PAYMENTS, sql, params![ms(before), limit(max)], |cells| {
        cells.get::<i64>()
    })?;
    for number in &ended {
        let sql = r#"DELETE FROM carried WHERE "of" = ?1 AND account = ?2"#;
        query::write(database, sql, params![PAYMENT, *number])?;
        query::write(database, "DELETE FROM payments WHERE number = ?1", params![*number])?;
        forget_task(database, *number)?;
    }
    Ok(ended.len() < max)
}

fn read(cells: &mut Cells<'_>) -> Result<PaymentRecord, StoreError> {
    Ok(PaymentRecord {
        number: cells.get()?,
        proof: cells.get()?,
        rail: cells.get()?,
        customer: cells.get()?,
        payer: cells.get()?,
        route: cells.get()?,
        request_id: cells.get()?,
        price: Money { nanos: Nanos(cells.get()?), currency: currency(cells)? },
        network: cells.get()?,
        amount: cells.get()?,
        task: cells.get()?,
        settler: cells.get()?,
        state: cells.name()?,
        attempt: cells.get()?,
        claimed_at: cells.time()?,
        changed_at: cells.time()?,
        next_attempt: cells.optional_time()?,
        settlement: cells.get()?,
        reason: cells.get()?,
        held: Nanos(cells.get()?),
        until: cells.optional_time()?,
        identifier: cells.get()?,
        idempotency: cells.get()?,
    })
}

/// Gives what stands for a proof in the index: proofs are long, and each goes to another place of it.
fn digest(proof: &str) -> [u8; 32] {
    Sha256::digest(proof).into()
}
