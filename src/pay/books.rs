//! What the books say of a payment, and what is written of it: each of these is one transaction.
//!
//! Order: a payment is claimed before anybody is asked whether it is good, and it is written that it is being settled
//! before anybody is asked to settle it. What is settled is spent in the same transaction, before the request is
//! forwarded: so a crash charges what it leaves open, and no proof opens a second request.
//!
//! Race: two that present one proof find the same row, one after the other, since whoever writes has the store for
//! itself; and who comes late with an answer finds that the row went on without it (`attempt`).

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Presented, Wrong,
    x402::{self, facilitator::SETTLE},
};
use crate::{
    model::{Nanos, Settle},
    store::{
        StoreError,
        records::{AnswerRecord, EntryKind, PaymentRecord, PaymentState, PaymentStep, Records},
    },
};

/// How long nothing may happen to a claim or a settlement before whoever made it is taken for gone.
const STALE: Duration = Duration::from_secs(SETTLE.as_secs() * 2);

/// How often a claim is renewed whose request is at the upstream: two of these may be missed.
pub(super) const RENEWAL: Duration = Duration::from_secs(STALE.as_secs() / 3);

/// How long after an attempt it is asked again what became of a settlement, from the first time on. Behind the last of
/// these it is asked no more: whoever settles it will not know better.
const PAUSES: [Duration; 10] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
    Duration::from_secs(3600),
    Duration::from_secs(4 * 3600),
    Duration::from_secs(12 * 3600),
    Duration::from_secs(24 * 3600),
];

/// Which request presents a payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct For {
    /// Its id.
    pub(crate) request_id: String,
    /// The route that it asks for.
    pub(crate) route: String,
    /// The customer whose key it carries, if it carries one.
    pub(crate) customer: Option<String>,
    /// When it is to be settled.
    pub(crate) settle: Settle,
    /// Its Idempotency-Key.
    pub(crate) key: Option<String>,
}

/// What was answered before to who presents a payment.
#[derive(Debug)]
pub(crate) struct PaidBefore {
    /// The answer.
    pub(crate) answer: AnswerRecord,
    /// Whether another payment paid for it, of a request with the same Idempotency-Key.
    pub(crate) is_by_key: bool,
}

/// What the books say of a payment that is presented.
#[derive(Debug)]
pub(super) enum Found {
    /// It is this request's to settle.
    Claimed(PaymentRecord),
    /// It did not move, and will not.
    Failed {
        /// What was said of it.
        reason: String,
    },
    /// It is looked at or being settled, or what became of it is not known.
    Pending,
    /// It was settled before, and is spent on this request.
    Spent(PaymentRecord),
    /// It opened a request already, or pays for another; with the answer of that, if it is kept.
    Used(Option<Box<PaidBefore>>),
    /// It cannot be settled.
    Wrong(Wrong),
}

/// Claims a payment, or tells why it is not to be had. One that is not settled is claimed only where it is `good`: pays
/// what is asked, and in time.
pub(super) fn claim(
    records: &mut dyn Records,
    now: Timestamp,
    presented: &Presented,
    of: &For,
    good: Result<(), Wrong>,
) -> Result<Found, StoreError> {
    let Some(known) = records.payment(&presented.proof)? else {
        // Whose money it is is the payer's word alone until it is asked about, where no key of its own has signed.
        let first = match presented.is_signed {
            true => repeated(records, now, presented, of)?,
            false => None,
        };
        return match first {
            Some(first) => found(records, now, presented, first, of, good),
            None => claim_new(records, now, presented, of, good),
        };
    };
    // Of a signature that only the chain can judge this much is seen here: whether it is the one that was found good.
    let is_over = matches!(known.state, PaymentState::Settled | PaymentState::Used);
    if is_over && !presented.is_signed && !x402::is_signed_alike(&known.task, &presented.order) {
        return Ok(Found::Used(None));
    }
    found(records, now, presented, known, of, good)
}

/// Finds the payment of the first request of those with one Idempotency-Key, but for those whose claimant is gone, so
/// that nothing moved by them.
fn repeated(
    records: &mut dyn Records,
    now: Timestamp,
    presented: &Presented,
    of: &For,
) -> Result<Option<PaymentRecord>, StoreError> {
    let Some(key) = &of.key else { return Ok(None) };
    records.payment_by_key(&presented.payer, key, gone(now))
}

fn claim_new(
    records: &mut dyn Records,
    now: Timestamp,
    presented: &Presented,
    of: &For,
    good: Result<(), Wrong>,
) -> Result<Found, StoreError> {
    if let Err(wrong) = good {
        return Ok(Found::Wrong(wrong));
    }
    // A name is good for one payment, and for another one only where that did not move.
    if let Some(identifier) = &presented.identifier
        && records.is_identifier_used(&presented.payer, identifier, gone(now))?
    {
        return Ok(Found::Used(None));
    }
    let mut payment = new(now, presented, of);
    Ok(match records.put_payment(&payment)? {
        Some(number) => {
            payment.number = number;
            Found::Claimed(payment)
        }
        None => Found::Pending,
    })
}

/// Tells what is to be had by a payment where the books know it, or another of the same request.
fn found(
    records: &mut dyn Records,
    now: Timestamp,
    presented: &Presented,
    known: PaymentRecord,
    of: &For,
    good: Result<(), Wrong>,
) -> Result<Found, StoreError> {
    if known.route != of.route {
        return Ok(Found::Used(None));
    }
    match known.state {
        PaymentState::Claimed if is_stale(&known, now) => {
            // Nothing moved, and what it was claimed for is not what is asked now.
            records.forget_payment(&known)?;
            claim_new(records, now, presented, of, good)
        }
        PaymentState::Claimed | PaymentState::Settling | PaymentState::Unknown => {
            Ok(Found::Pending)
        }
        PaymentState::Settled => {
            let spent = [spent(&known, &of.request_id)];
            let step = PaymentStep {
                request_id: Some(&of.request_id),
                entries: &spent,
                ..step(PaymentState::Used)
            };
            let taken = records.advance_payment(now, &known, &step)?;
            Ok(taken.map_or(Found::Pending, Found::Spent))
        }
        PaymentState::Used => {
            let is_by_key = known.proof != presented.proof;
            let answer = records.kept_answer(known.number, now)?;
            Ok(Found::Used(answer.map(|answer| Box::new(PaidBefore { answer, is_by_key }))))
        }
        PaymentState::Failed => Ok(Found::Failed { reason: known.reason.unwrap_or_default() }),
    }
}

/// Writes that somebody is about to be asked to settle it. What comes behind it must be told, or is asked for.
pub(super) fn begin(
    records: &mut dyn Records,
    now: Timestamp,
    claimed: &PaymentRecord,
) -> Result<Option<PaymentRecord>, StoreError> {
    let next_attempt = now.checked_add(STALE).ok();
    let settler = claimed.settler.as_deref();
    let step = PaymentStep { next_attempt, settler, ..step(PaymentState::Settling) };
    records.advance_payment(now, claimed, &step)
}

/// Writes that it moved. It is spent at once on the request that presents it; what moved behind the back of
/// that request is there for another.
///
/// Race: whoever settles it tells that perhaps once, so it is written also where somebody else has taken it meanwhile to
/// ask again; and it is written once, where it was before and that was not heard of.
pub(super) fn settle(
    records: &mut dyn Records,
    now: Timestamp,
    settling: &PaymentRecord,
    transaction: &str,
    spends: bool,
) -> Result<Option<PaymentRecord>, StoreError> {
    let paid = (EntryKind::Paid, settling.price.nanos, transaction);
    let entries = [paid, spent(settling, &settling.request_id)];
    let (state, entries) = match spends {
        true => (PaymentState::Used, &entries[..]),
        false => (PaymentState::Settled, entries.get(..1).unwrap_or_default()),
    };
    let step = PaymentStep { settlement: Some(transaction), entries, ..step(state) };
    let settled = records.advance_payment(now, settling, &step)?;
    match settled {
        Some(settled) => Ok(Some(settled)),
        None => settle_late(records, now, settling, transaction, spends),
    }
}

/// Writes that a payment moved whose row went on.
fn settle_late(
    records: &mut dyn Records,
    now: Timestamp,
    settling: &PaymentRecord,
    transaction: &str,
    spends: bool,
) -> Result<Option<PaymentRecord>, StoreError> {
    let Some(known) = records.payment(&settling.proof)? else { return Ok(None) };
    let is_spent = known.attempt == settling.attempt.saturating_add(1)
        && known.request_id == settling.request_id;
    match known.state {
        PaymentState::Settling | PaymentState::Unknown => {
            let entries = [(EntryKind::Paid, known.price.nanos, transaction)];
            let (settlement, entries) = (Some(transaction), &entries[..]);
            let step = PaymentStep { settlement, entries, ..step(PaymentState::Settled) };
            records.advance_payment(now, &known, &step)
        }
        PaymentState::Used if is_spent && spends => Ok(Some(known)),
        PaymentState::Used if is_spent => give_back(records, now, &known),
        _ => Ok(None),
    }
}

/// Writes that it did not move, and will not.
pub(super) fn fail(
    records: &mut dyn Records,
    now: Timestamp,
    settling: &PaymentRecord,
    reason: &str,
) -> Result<Option<PaymentRecord>, StoreError> {
    let step = PaymentStep { reason: Some(reason), ..step(PaymentState::Failed) };
    records.advance_payment(now, settling, &step)
}

/// Writes that it is not known whether it moved, and when that is asked next.
pub(super) fn doubt(
    records: &mut dyn Records,
    now: Timestamp,
    settling: &PaymentRecord,
    reason: &str,
    transaction: Option<&str>,
) -> Result<Option<PaymentRecord>, StoreError> {
    // Claiming and beginning were two steps, and each time that it is asked again is two.
    let round = usize::try_from(settling.attempt.saturating_sub(2) / 2).unwrap_or(usize::MAX);
    let next_attempt = PAUSES.get(round).and_then(|pause| now.checked_add(*pause).ok());
    let step = PaymentStep {
        next_attempt,
        reason: Some(reason),
        settlement: transaction,
        ..step(PaymentState::Unknown)
    };
    records.advance_payment(now, settling, &step)
}

/// Takes one that is to be asked about, so that nobody else asks meanwhile.
pub(super) fn take_due(
    records: &mut dyn Records,
    now: Timestamp,
) -> Result<Option<PaymentRecord>, StoreError> {
    let Some(due) = records.due_payments(now, 1)?.pop() else { return Ok(None) };
    let next_attempt = now.checked_add(STALE).ok();
    let reason = due.reason.as_deref();
    let step = PaymentStep { next_attempt, reason, ..step(PaymentState::Unknown) };
    records.advance_payment(now, &due, &step)
}

/// Gives a payment back that was spent on a request which was not served.
pub(super) fn give_back(
    records: &mut dyn Records,
    now: Timestamp,
    used: &PaymentRecord,
) -> Result<Option<PaymentRecord>, StoreError> {
    let entries = [(EntryKind::Returned, used.price.nanos, used.request_id.as_str())];
    let step = PaymentStep { entries: &entries, ..step(PaymentState::Settled) };
    records.advance_payment(now, used, &step)
}

fn new(now: Timestamp, presented: &Presented, of: &For) -> PaymentRecord {
    let Presented {
        rail,
        answered: _,
        proof,
        payer,
        price,
        network,
        amount,
        order,
        window,
        is_signed: _,
        identifier,
        fit: _,
    } = presented;
    PaymentRecord {
        number: 0,
        proof: proof.clone(),
        rail: rail.name().to_owned(),
        customer: of.customer.clone().unwrap_or_else(|| payer.clone()),
        payer: payer.clone(),
        route: of.route.clone(),
        request_id: of.request_id.clone(),
        price: *price,
        network: network.clone(),
        amount: amount.clone(),
        task: order.clone(),
        settler: None,
        state: PaymentState::Claimed,
        attempt: 1,
        claimed_at: now,
        changed_at: now,
        next_attempt: None,
        settlement: None,
        reason: None,
        held: Nanos::ZERO,
        until: window.end(),
        identifier: identifier.clone(),
        idempotency: of.key.clone(),
    }
}

/// A step that changes nothing but the state.
fn step(state: PaymentState) -> PaymentStep<'static> {
    PaymentStep {
        state,
        next_attempt: None,
        request_id: None,
        settler: None,
        settlement: None,
        reason: None,
        entries: &[],
    }
}

fn spent<'a>(payment: &PaymentRecord, request_id: &'a str) -> (EntryKind, Nanos, &'a str) {
    (EntryKind::Spent, Nanos(payment.price.nanos.0.saturating_neg()), request_id)
}

fn is_stale(payment: &PaymentRecord, now: Timestamp) -> bool {
    payment.changed_at <= gone(now)
}

/// Gives when something happened last to what nobody has in hand any more.
fn gone(now: Timestamp) -> Timestamp {
    now.checked_sub(STALE).unwrap_or(Timestamp::MIN)
}
