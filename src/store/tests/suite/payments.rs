//! Payments: one row for a proof, each step from the one before it, and the ledger has what they come to.

use super::*;
use crate::model::{Money, Nanos};

fn payment(proof: &str) -> PaymentRecord {
    PaymentRecord {
        number: 0,
        proof: proof.to_owned(),
        rail: "x402".to_owned(),
        customer: "0xpayer".to_owned(),
        payer: "0xpayer".to_owned(),
        route: "r".to_owned(),
        request_id: "first".to_owned(),
        price: Money { nanos: Nanos(10), currency: "USD".parse().unwrap() },
        network: "eip155:1".to_owned(),
        amount: "340282366920938463463374607431768211456".to_owned(),
        task: "{}".to_owned(),
        settler: None,
        state: PaymentState::Claimed,
        attempt: 1,
        claimed_at: at(1),
        changed_at: at(1),
        next_attempt: None,
        settlement: None,
        reason: None,
        held: Nanos::ZERO,
        until: Some(at(60)),
        identifier: Some("i".to_owned()),
        idempotency: Some("k".to_owned()),
    }
}

fn step(state: PaymentState) -> PaymentStep<'static> {
    PaymentStep {
        state,
        next_attempt: None,
        request_id: Some("second"),
        settler: None,
        settlement: None,
        reason: None,
        entries: &[],
    }
}

fn claimed(place: &mut Place, proof: &str) -> PaymentRecord {
    let record = payment(proof);
    let number = place.write(|records| records.put_payment(&record)).unwrap().unwrap();
    PaymentRecord { number, ..record }
}

#[test]
fn a_proof_is_there_once() {
    let mut place = Place::new();
    let first = claimed(&mut place, "p");
    let again = place.write(|records| records.put_payment(&payment("p"))).unwrap();
    assert_eq!(again, None);
    let other = claimed(&mut place, "q");
    assert!(other.number > first.number);
    place.reopen();
    let reads = place.store.reads();
    assert_eq!(reads.payment("p").unwrap(), Some(first.clone()));
    assert_eq!(reads.payment("none").unwrap(), None);
    let gone = first.changed_at.checked_sub(Duration::from_millis(1)).unwrap();
    assert!(reads.is_identifier_used("0xpayer", "i", gone).unwrap());
    assert!(!reads.is_identifier_used("0xother", "i", gone).unwrap());
    assert!(!reads.is_identifier_used("0xpayer", "j", gone).unwrap());
    assert!(!reads.is_identifier_used("0xpayer", "i", first.changed_at).unwrap());
    assert_eq!(reads.payment_by_key("0xpayer", "k", gone).unwrap(), Some(first.clone()));
    assert_eq!(reads.payment_by_key("0xother", "k", gone).unwrap(), None);
    assert_eq!(reads.payment_by_key("0xpayer", "k", first.changed_at).unwrap(), None);
    assert_eq!(reads.payment_by_request("none").unwrap(), None);
    assert!(reads.has_payments("0xpayer").unwrap() && !reads.has_payments("acme").unwrap());
}

#[test]
fn steps_follow_one_another_and_who_is_late_changes_nothing() {
    let mut place = Place::new();
    let first = claimed(&mut place, "p");
    // That it is still under way changes nothing else.
    assert!(place.write(|records| records.renew_payment(at(2), &first)).unwrap());
    let renewed = PaymentRecord { changed_at: at(2), ..first.clone() };
    assert_eq!(place.store.reads().payment("p").unwrap(), Some(renewed));
    let (next_attempt, settler) = (Some(at(9)), Some("who"));
    let settling = PaymentStep { next_attempt, settler, ..step(PaymentState::Settling) };
    let second = place.write(|records| records.advance_payment(at(2), &first, &settling)).unwrap();
    let second = second.unwrap();
    let expected = PaymentRecord {
        state: PaymentState::Settling,
        attempt: 2,
        changed_at: at(2),
        next_attempt: Some(at(9)),
        request_id: "second".to_owned(),
        settler: Some("who".to_owned()),
        ..first.clone()
    };
    assert_eq!(second, expected);
    // Who had it as it was before does nothing any more.
    assert!(!place.write(|records| records.renew_payment(at(3), &first)).unwrap());
    let late = place.write(|records| records.advance_payment(at(3), &first, &settling)).unwrap();
    assert_eq!(late, None);
    place.write(|records| records.forget_payment(&first)).unwrap();
    let reads = place.store.reads();
    assert_eq!(reads.payment_by_request("second").unwrap(), Some(second.clone()));
    assert_eq!(reads.due_payments(at(8), 5).unwrap(), []);
    assert_eq!(reads.due_payments(at(9), 5).unwrap(), std::slice::from_ref(&second));
    drop(reads);
    let doubt =
        PaymentStep { settlement: Some("0x1"), reason: Some("why"), ..step(PaymentState::Unknown) };
    let third =
        place.write(|records| records.advance_payment(at(4), &second, &doubt)).unwrap().unwrap();
    assert_eq!((third.settlement.as_deref(), third.reason.as_deref()), (Some("0x1"), Some("why")));
    // A transaction that was told is not forgotten.
    let again = step(PaymentState::Unknown);
    let fourth =
        place.write(|records| records.advance_payment(at(5), &third, &again)).unwrap().unwrap();
    assert_eq!((fourth.settlement.as_deref(), fourth.reason.as_deref()), (Some("0x1"), None));
    place.write(|records| records.forget_payment(&fourth)).unwrap();
    assert_eq!(place.store.reads().payment("p").unwrap(), None);
}

#[test]
fn what_is_paid_and_spent_stands_in_the_ledger() {
    let mut place = Place::new();
    let first = claimed(&mut place, "p");
    let used = PaymentStep {
        settlement: Some("0x1"),
        entries: &[(EntryKind::Paid, Nanos(10), "0x1"), (EntryKind::Spent, Nanos(-10), "second")],
        ..step(PaymentState::Used)
    };
    let second =
        place.write(|records| records.advance_payment(at(60), &first, &used)).unwrap().unwrap();
    assert_eq!(second.held, Nanos::ZERO);
    let returned = PaymentStep {
        entries: &[(EntryKind::Returned, Nanos(10), "second")],
        ..step(PaymentState::Settled)
    };
    let third =
        place.write(|records| records.advance_payment(at(120), &second, &returned)).unwrap();
    assert_eq!(third.unwrap().held, Nanos(10));
    let entries = |place: &Place, whose| {
        let (found, is_more) = place.store.reads().ledger(whose, None, 10).unwrap();
        assert!(!is_more);
        let brief = |e: EntryRecord| (e.kind, e.amount, e.balance, e.reference);
        assert!(found.iter().all(|entry| matches!(&entry.account,
            EntryAccount::Payment { proof, .. } if proof == "p")));
        assert!(found.iter().all(|entry| entry.route.as_deref() == Some("r")));
        found.into_iter().map(brief).collect::<Vec<_>>()
    };
    let expected = [
        (EntryKind::Paid, 10, 10, Some("0x1".to_owned())),
        (EntryKind::Spent, -10, 0, Some("second".to_owned())),
        (EntryKind::Returned, 10, 10, Some("second".to_owned())),
    ];
    assert_eq!(entries(&place, "0xpayer"), expected);
    let verify = |place: &Place| {
        let mut subjects = Vec::new();
        place.store.reads().verify(&mut |found| subjects.push(found.subject)).unwrap();
        subjects
    };
    assert_eq!(verify(&place), Vec::<String>::new());
    place.by_hand("UPDATE payments SET held = 9").unwrap();
    assert_eq!(verify(&place), ["nano-units of USD paid and not served of p"]);
    place.by_hand("UPDATE payments SET held = 10").unwrap();
    // Old entries are carried, and the sum stays.
    assert!(place.write(|records| records.carry_entries(at(100_000), 10)).unwrap());
    let (carried, _) = place.store.reads().ledger("0xpayer", None, 10).unwrap();
    let brief: Vec<_> = carried.iter().map(|e| (e.kind, e.amount, e.balance)).collect();
    assert_eq!(brief, [(EntryKind::Carried, 10, 10)]);
    assert_eq!(verify(&place), Vec::<String>::new());
}

#[test]
fn payments_of_a_customer_that_is_removed_go_with_the_rest() {
    let mut place = Place::new();
    let record = PaymentRecord { customer: "acme".to_owned(), ..payment("p") };
    place
        .write(|records| {
            records.put_customer(&customer("acme"))?;
            records.put_payment(&record)?;
            records.delete_customer("acme", "acme", "deleted-1")
        })
        .unwrap();
    let reads = place.store.reads();
    assert!(reads.has_payments("deleted-1").unwrap() && !reads.has_payments("acme").unwrap());
    assert!(reads.payment("p").unwrap().is_some(), "it stays used");
}

fn answer(payment: i64, bytes: usize, until: i64) -> AnswerRecord {
    AnswerRecord {
        payment,
        request: [7; 32],
        status: 201,
        fields: b"x-a: 1\r\n".to_vec(),
        length: Some(9),
        body: vec![0xff; bytes],
        until: at(until),
    }
}

#[test]
fn answers_are_kept_until_their_end_or_until_there_are_too_many() {
    let mut place = Place::new();
    let keep = |place: &mut Place, record: &AnswerRecord| {
        place.write(|records| records.keep_answer(record, 7000)).unwrap();
    };
    let found = |place: &Place, now: i64| {
        let reads = place.store.reads();
        let is_there = |payment: &i64| reads.kept_answer(*payment, at(now)).unwrap().is_some();
        (1..=4).filter(is_there).collect::<Vec<_>>()
    };
    keep(&mut place, &answer(1, 3000, 10));
    keep(&mut place, &answer(2, 3000, 20));
    place.reopen();
    assert_eq!(place.store.reads().kept_answer(1, at(9)).unwrap(), Some(answer(1, 3000, 10)));
    assert_eq!((found(&place, 9), found(&place, 10)), (vec![1, 2], vec![2]));
    // The first one stays.
    keep(&mut place, &answer(1, 5, 30));
    assert_eq!(place.store.reads().kept_answer(1, at(9)).unwrap(), Some(answer(1, 3000, 10)));
    keep(&mut place, &answer(3, 3000, 15));
    assert_eq!(found(&place, 1), [2, 3], "the oldest went");
    assert!(place.write(|records| records.forget_answers(at(19), 1)).unwrap());
    assert_eq!(found(&place, 1), [2, 3], "behind one whose time is longer");
    assert!(!place.write(|records| records.forget_answers(at(20), 1)).unwrap());
    assert_eq!(found(&place, 1), [3]);
    assert!(!place.write(|records| records.forget_answers(at(20), 1)).unwrap());
    assert!(place.write(|records| records.forget_answers(at(20), 1)).unwrap());
    keep(&mut place, &answer(4, 10_000, 15));
    assert_eq!(found(&place, 1), [4], "the newest stays");
}

#[test]
fn payments_are_forgotten_when_nothing_can_come_of_them() {
    const DAY: i64 = 24 * 3600;
    let mut place = Place::new();
    let ended = |place: &mut Place, proof: &str, state, until| {
        let record = PaymentRecord { until, ..payment(proof) };
        let number = place.write(|records| records.put_payment(&record)).unwrap().unwrap();
        let record = PaymentRecord { number, ..record };
        let moved = [(EntryKind::Paid, Nanos(10), "0x1"), (EntryKind::Spent, Nanos(-10), "second")];
        let entries = match state {
            PaymentState::Used => &moved[..],
            PaymentState::Settled => &moved[..1],
            _ => &[],
        };
        let step = PaymentStep { entries, ..step(state) };
        place.write(|records| records.advance_payment(at(60), &record, &step)).unwrap().unwrap();
    };
    let until = Some(at(100));
    ended(&mut place, "used", PaymentState::Used, until);
    ended(&mut place, "failed", PaymentState::Failed, until);
    ended(&mut place, "claimed", PaymentState::Claimed, until);
    ended(&mut place, "settled", PaymentState::Settled, until);
    ended(&mut place, "unknown", PaymentState::Unknown, until);
    ended(&mut place, "settling", PaymentState::Settling, until);
    ended(&mut place, "used, and good for long", PaymentState::Used, Some(at(50 * DAY)));
    ended(&mut place, "used, and good for ever", PaymentState::Used, None);
    let left = |place: &Place| {
        let reads = place.store.reads();
        let all = [
            "used",
            "failed",
            "claimed",
            "settled",
            "unknown",
            "settling",
            "used, and good for long",
            "used, and good for ever",
        ];
        let is_there = |proof: &&str| reads.payment(proof).unwrap().is_some();
        all.into_iter().filter(is_there).collect::<Vec<_>>()
    };
    // What the ledger tells of stays.
    assert!(place.write(|records| records.forget_payments(at(10 * DAY), 9)).unwrap());
    assert_eq!(left(&place).len(), 8);
    assert!(place.write(|records| records.carry_entries(at(9 * DAY), 99)).unwrap());
    assert!(place.write(|records| records.forget_payments(at(60), 9)).unwrap());
    assert_eq!(left(&place).len(), 8, "of that very moment");
    assert!(!place.write(|records| records.forget_payments(at(10 * DAY), 2)).unwrap());
    assert_eq!(left(&place).len(), 6);
    assert!(place.write(|records| records.forget_payments(at(10 * DAY), 2)).unwrap());
    let stays =
        ["settled", "unknown", "settling", "used, and good for long", "used, and good for ever"];
    assert_eq!(left(&place), stays);
    let mut differences = Vec::new();
    place.store.reads().verify(&mut |found| differences.push(found.subject)).unwrap();
    assert_eq!(differences, Vec::<String>::new());
}
