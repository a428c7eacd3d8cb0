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
        state: PaymentState::Claimed,
        attempt: 1,
        claimed_at: at(1),
        changed_at: at(1),
        next_attempt: None,
        settlement: None,
        reason: None,
        held: Nanos::ZERO,
    }
}

fn step(state: PaymentState) -> PaymentStep<'static> {
    PaymentStep {
        state,
        next_attempt: None,
        request_id: "second",
        task: None,
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
    assert_eq!(reads.payment_by_request("none").unwrap(), None);
    assert!(reads.has_payments("0xpayer").unwrap() && !reads.has_payments("acme").unwrap());
}

#[test]
fn steps_follow_one_another_and_who_is_late_changes_nothing() {
    let mut place = Place::new();
    let first = claimed(&mut place, "p");
    let settling = PaymentStep { next_attempt: Some(at(9)), ..step(PaymentState::Settling) };
    let second = place.write(|records| records.advance_payment(at(2), &first, &settling)).unwrap();
    let second = second.unwrap();
    let expected = PaymentRecord {
        state: PaymentState::Settling,
        attempt: 2,
        changed_at: at(2),
        next_attempt: Some(at(9)),
        request_id: "second".to_owned(),
        ..first.clone()
    };
    assert_eq!(second, expected);
    // Who had it as it was before does nothing any more.
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
