//! Money: the order in which grants are drawn on, what holds pin, debts, and a naive model.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    ledger::{Accounts, Charge, CreditStanding, Grant, Hold, Ledger, Scoped, Unpaid},
    model::{Currency, Money, Nanos},
};

fn usd() -> Currency {
    "USD".parse().unwrap()
}

fn price(nanos: i64) -> Money {
    Money { nanos: Nanos(nanos), currency: usd() }
}

fn grant(number: u64, priority: u8, begins: &str, expires: Option<&str>) -> Grant {
    Grant {
        id: format!("g{number}").into(),
        number,
        currency: usd(),
        amount: Nanos::ZERO,
        priority,
        effective: ts(begins),
        expires: expires.map(ts),
    }
}

fn accounts() -> Arc<Accounts> {
    Ledger::new(Timestamp::UNIX_EPOCH).customer("acme")
}

fn free() -> Arc<Limits> {
    Arc::default()
}

fn pay(accounts: &Arc<Accounts>, nanos: i64, now: &str) -> Result<Hold, Unpaid> {
    accounts.reserve_paid(&free(), 1, price(nanos), ts(now))
}

fn left(accounts: &Accounts) -> BTreeMap<String, i64> {
    accounts.grants().into_iter().map(|(grant, left)| (grant.id.to_string(), left.0)).collect()
}

fn standing(accounts: &Accounts, now: &str) -> (i64, i64) {
    let [CreditStanding { balance, reserved, .. }] = accounts.credit(ts(now))[..] else {
        panic!("one currency")
    };
    (balance.0, reserved.0)
}

const BEGIN: &str = "2026-03-01T00:00:00Z";
const DAY: &str = "2026-03-02T00:00:00Z";
const LATER: &str = "2026-03-05T00:00:00Z";

#[test]
fn grants_are_drawn_on_by_priority_then_end_then_age() {
    let accounts = accounts();
    for one in [
        grant(1, 100, BEGIN, None),
        grant(2, 100, BEGIN, Some("2026-04-01T00:00:00Z")),
        grant(3, 100, BEGIN, Some("2026-03-20T00:00:00Z")),
        grant(4, 50, BEGIN, None),
        grant(5, 100, BEGIN, Some("2026-03-20T00:00:00Z")),
    ] {
        accounts.grant(&one, Nanos(10));
    }
    for expected in ["g4", "g3", "g5", "g2", "g1"] {
        let before = left(&accounts);
        drop(pay(&accounts, 10, DAY).unwrap());
        let after = left(&accounts);
        let drawn: Vec<_> = before.keys().filter(|id| !after.contains_key(*id)).collect();
        assert_eq!(drawn, [expected]);
    }
    assert_eq!(standing(&accounts, DAY), (0, 0));
}

#[test]
fn a_grant_counts_from_its_begin_to_its_end() {
    let accounts = accounts();
    accounts.grant(&grant(1, 100, DAY, Some(LATER)), Nanos(10));
    let is_short =
        |now| matches!(pay(&accounts, 10, now), Err(Unpaid::Credit { is_in_flight: false, .. }));
    assert!(is_short("2026-03-01T23:59:59.999Z"));
    assert!(is_short(LATER));
    drop(pay(&accounts, 10, "2026-03-04T23:59:59.999Z").unwrap());
    assert!(is_short(DAY));
}

#[test]
fn what_is_given_back_goes_where_it_came_from_even_if_that_has_ended() {
    let accounts = accounts();
    accounts.grant(&grant(1, 100, BEGIN, Some(LATER)), Nanos(4));
    accounts.grant(&grant(2, 100, BEGIN, None), Nanos(10));
    let both = pay(&accounts, 6, DAY).unwrap();
    assert_eq!(standing(&accounts, DAY), (14, 6));
    // It has ended: what is left of it, held or not, is nobody's to spend.
    assert_eq!(standing(&accounts, LATER), (10, 2));
    assert_eq!(accounts.left_unheld("g1"), None);
    both.settle(Charge::NOTHING);
    assert_eq!(left(&accounts), [("g1".to_owned(), 4), ("g2".to_owned(), 10)].into());
    assert_eq!(standing(&accounts, LATER), (10, 0));
    assert_eq!(accounts.left_unheld("g1"), Some(Nanos(4)));
    accounts.take_from_grant(usd(), "g1", Nanos(4));
    assert_eq!(left(&accounts), [("g2".to_owned(), 10)].into());
}

#[test]
fn money_that_calls_hold_is_not_missing() {
    let accounts = accounts();
    accounts.grant(&grant(1, 100, BEGIN, None), Nanos(10));
    let held = pay(&accounts, 7, DAY).unwrap();
    let in_flight = |nanos| match pay(&accounts, nanos, DAY) {
        Err(Unpaid::Credit { is_in_flight, .. }) => is_in_flight,
        _ => panic!("too little money"),
    };
    assert!(in_flight(4) && in_flight(10));
    assert!(!in_flight(11));
    held.settle(Charge { units: 1, nanos: Nanos(7) });
    assert!(!in_flight(4));
    assert_eq!(standing(&accounts, DAY), (3, 0));
}

#[test]
fn what_is_charged_beyond_the_price_is_a_debt_that_counts_against_every_grant() {
    let accounts = accounts();
    accounts.grant(&grant(1, 100, BEGIN, None), Nanos(10));
    let hold = pay(&accounts, 8, DAY).unwrap();
    hold.settle(Charge { units: 1, nanos: Nanos(15) });
    assert_eq!(standing(&accounts, DAY), (-5, 0));
    assert_eq!(accounts.debt(usd()), Nanos(7));
    // Smaller than the debt: still short.
    accounts.grant(&grant(2, 100, BEGIN, None), Nanos(4));
    assert!(pay(&accounts, 1, DAY).is_err());
    accounts.grant(&grant(3, 100, BEGIN, None), Nanos(2));
    drop(pay(&accounts, 1, DAY).unwrap());
    assert!(pay(&accounts, 1, DAY).is_err());
    accounts.check_invariants();
}

#[test]
fn a_limit_that_stands_in_the_way_takes_no_money() {
    let accounts = accounts();
    accounts.grant(&grant(1, 100, BEGIN, None), Nanos(10));
    let limits = Limits { concurrency: vec![Scoped::whole(1)], ..Limits::default() };
    let limits = Arc::new(limits);
    let held = accounts.reserve_paid(&limits, 1, price(1), ts(DAY)).unwrap();
    let refused = accounts.reserve_paid(&limits, 1, price(1), ts(DAY));
    assert!(matches!(refused, Err(Unpaid::Limits(_))));
    assert_eq!(standing(&accounts, DAY), (10, 1));
    drop(held);
    assert_eq!(standing(&accounts, DAY), (9, 0));
}

#[test]
fn a_million_charges_of_a_third_are_exact() {
    let accounts = accounts();
    // A third, in nano-units, as a price states it.
    const THIRD: i64 = 333_333_333;
    accounts.grant(&grant(1, 100, BEGIN, None), Nanos(THIRD * 600_000));
    accounts.grant(&grant(2, 100, BEGIN, None), Nanos(THIRD * 500_000 + 1));
    for _ in 0..1_000_000 {
        drop(pay(&accounts, THIRD, DAY).unwrap());
    }
    assert_eq!(standing(&accounts, DAY), (THIRD * 100_000 + 1, 0));
}

#[test]
fn the_ends_of_the_range_refuse_and_do_not_wrap() {
    let accounts = accounts();
    accounts.grant(&grant(1, 100, BEGIN, None), Nanos(i64::MAX));
    accounts.grant(&grant(2, 100, BEGIN, None), Nanos(i64::MAX));
    assert_eq!(standing(&accounts, DAY), (i64::MAX, 0));
    drop(pay(&accounts, i64::MAX, DAY).unwrap());
    assert_eq!(standing(&accounts, DAY), (i64::MAX, 0));
    accounts.owe(usd(), Nanos(i64::MAX));
    assert_eq!(standing(&accounts, DAY), (0, 0));
    assert!(pay(&accounts, 1, DAY).is_err());
    accounts.owe(usd(), Nanos(i64::MAX));
    assert!(pay(&accounts, 1, DAY).is_err());
    accounts.check_invariants();
}

#[derive(Clone, Debug)]
enum Step {
    Grant { priority: u8, begins: i64, lasts: Option<i64>, nanos: i64 },
    Owe(i64),
    Pay(i64),
    Settle(prop::sample::Index, i64),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..3_u8, -3..5_i64, prop::option::of(1..20_i64), 1..30_i64).prop_map(
            |(priority, begins, lasts, nanos)| Step::Grant { priority, begins, lasts, nanos }
        ),
        1 => (-5..10_i64).prop_map(Step::Owe),
        8 => (0..20_i64).prop_map(Step::Pay),
        6 => (any::<prop::sample::Index>(), 0..30_i64).prop_map(|(i, n)| Step::Settle(i, n)),
        2 => (-1..6_i64).prop_map(Step::Wait),
    ]
}

/// The rules once more, without an eye to speed: every nano-unit by itself.
#[derive(Default)]
struct Model {
    /// Priority, end, number, begin, what is left.
    grants: Vec<(u8, i64, u64, i64, i64)>,
    debt: i64,
    /// By call: what it holds of which grant.
    holds: Vec<Vec<u64>>,
}

impl Model {
    fn held(&self, number: u64) -> i64 {
        self.holds.iter().flatten().filter(|held| **held == number).count() as i64
    }

    fn usable(&self, now: i64) -> impl Iterator<Item = &(u8, i64, u64, i64, i64)> {
        self.grants.iter().filter(move |(_, end, _, begin, _)| *begin <= now && now < *end)
    }

    fn standing(&self, now: i64) -> (i64, i64) {
        let left: i64 = self.usable(now).map(|grant| grant.4).sum();
        (left - self.debt.max(0), self.usable(now).map(|grant| self.held(grant.2)).sum())
    }

    fn pay(&mut self, nanos: i64, now: i64) -> bool {
        let (balance, reserved) = self.standing(now);
        if nanos > balance - reserved {
            return false;
        }
        let mut drawn = Vec::new();
        let mut usable: Vec<_> = self.usable(now).copied().collect();
        usable.sort_unstable();
        for (.., number, _, left) in usable {
            for _ in 0..left - self.held(number) {
                if (drawn.len() as i64) < nanos {
                    drawn.push(number);
                }
            }
        }
        assert_eq!(drawn.len() as i64, nanos);
        self.holds.push(drawn);
        true
    }

    fn settle(&mut self, hold: usize, charge: i64) {
        let drawn = self.holds.swap_remove(hold);
        let mut taken = 0;
        for number in drawn.into_iter().take(charge as usize) {
            let grant = self.grants.iter_mut().find(|grant| grant.2 == number).unwrap();
            grant.4 -= 1;
            taken += 1;
        }
        self.debt += charge - taken;
    }
}

proptest! {
    #[test]
    fn money_is_that_of_a_naive_purse(steps in prop::collection::vec(step(), 1..60)) {
        let (accounts, mut model) = (accounts(), Model::default());
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
        let (mut holds, mut now, mut number) = (Vec::new(), 0, 0);
        // There is a purse from the start, so that there is a standing.
        accounts.owe(usd(), Nanos::ZERO);
        for step in steps {
            match step {
                Step::Grant { priority, begins, lasts, nanos } => {
                    number += 1;
                    let (begin, end) = (now + begins, lasts.map_or(i64::MAX, |lasts| now + begins + lasts));
                    let grant = Grant {
                        id: format!("g{number}").into(),
                        number,
                        currency: usd(),
                        amount: Nanos(nanos),
                        priority,
                        effective: at(begin),
                        expires: (end < i64::MAX).then(|| at(end)),
                    };
                    accounts.grant(&grant, Nanos(nanos));
                    model.grants.push((priority, end, number, begin, nanos));
                }
                Step::Owe(nanos) => {
                    accounts.owe(usd(), Nanos(nanos));
                    model.debt += nanos;
                }
                Step::Pay(nanos) => {
                    let paid = accounts.reserve_paid(&free(), 1, price(nanos), at(now));
                    prop_assert_eq!(paid.is_ok(), model.pay(nanos, now));
                    holds.extend(paid.ok());
                }
                Step::Settle(index, charge) if !holds.is_empty() => {
                    let index = index.index(holds.len());
                    let hold: Hold = holds.swap_remove(index);
                    hold.settle(Charge { units: 1, nanos: Nanos(charge) });
                    model.settle(index, charge);
                }
                Step::Settle(..) => {}
                Step::Wait(seconds) => now += seconds,
            }
            accounts.check_invariants();
            let [CreditStanding { balance, reserved, .. }] = accounts.credit(at(now))[..] else {
                panic!("one currency")
            };
            prop_assert_eq!((balance.0, reserved.0), model.standing(now));
        }
    }
}
