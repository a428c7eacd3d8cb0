//! Quotas that go on beyond their limit: to the unit, all or none, at the ends of the range.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{quota, quotas, ts};
use crate::ledger::{
    AccountId, Accounts, Hold, Ledger, Limits, Overage, Quota, UNITS_MAX, Violation, WindowKind,
};

const NOW: &str = "2026-03-03T00:00:00Z";

fn accounts() -> Arc<Accounts> {
    Ledger::new(ts(NOW)).customer("acme")
}

/// A unit beyond the limit costs a cent.
fn with_cap(limit: u64, cap: Option<&str>) -> Quota {
    let cap = cap.map(|cap| cap.parse().unwrap());
    let overage = Overage::new("0.01 USD".parse().unwrap(), cap);
    Quota { overage: Some(Box::new(overage)), ..quota("calls", limit, WindowKind::Day) }
}

fn limits(limit: u64, cap: Option<&str>) -> Arc<Limits> {
    quotas([with_cap(limit, cap)])
}

fn reserve(
    accounts: &Arc<Accounts>,
    limits: &Arc<Limits>,
    cost: u64,
) -> Result<Hold, Vec<Violation>> {
    let hold = accounts.reserve(limits, cost, ts(NOW));
    hold.map_err(|shortage| shortage.violations)
}

fn spend(accounts: &Arc<Accounts>, limits: &Arc<Limits>, cost: u64) {
    reserve(accounts, limits, cost).unwrap().settle(cost);
}

fn refused(accounts: &Arc<Accounts>, limits: &Arc<Limits>, cost: u64) -> Violation {
    let before = accounts.standing(limits, ts(NOW)).quotas[0];
    let violations = reserve(accounts, limits, cost).unwrap_err();
    assert_eq!(accounts.standing(limits, ts(NOW)).quotas[0], before, "a refusal takes nothing");
    assert_eq!(violations.len(), 1);
    violations[0]
}

fn loaded(accounts: &Accounts, limits: &Limits, used: u64) {
    let quota = &limits.quotas[0];
    let window = quota.window.window_at(ts(NOW));
    let (scope, quota) = (Arc::clone(&quota.scope), Arc::clone(&quota.account));
    accounts.load(&AccountId { scope, quota, window }, used);
}

#[test]
fn without_a_cap_nothing_stops() {
    let (accounts, limits) = (accounts(), limits(2, None));
    for _ in 0..10 {
        spend(&accounts, &limits, 3);
    }
    spend(&accounts, &limits, UNITS_MAX);
    let standing = accounts.standing(&limits, ts(NOW)).quotas[0];
    assert_eq!((standing.remaining(2), standing.beyond(2)), (0, UNITS_MAX + 28));
}

#[test]
fn a_cap_stops_at_its_last_whole_unit() {
    let (accounts, limits) = (accounts(), limits(5, Some("0.039 USD")));
    spend(&accounts, &limits, 3);
    // Over the limit with some of it.
    spend(&accounts, &limits, 3);
    let held = reserve(&accounts, &limits, 1).unwrap();
    let standing = held.standing().quotas[0];
    assert_eq!((standing.beyond(5), standing.taken_beyond(5)), (1, 2));
    assert_eq!(refused(&accounts, &limits, 2), Violation::SpendCap(0));
    spend(&accounts, &limits, 1);
    assert_eq!(refused(&accounts, &limits, 1), Violation::SpendCap(0));
    spend(&accounts, &limits, 0);
    // What is given back can be taken again.
    held.settle(0);
    spend(&accounts, &limits, 1);
    assert_eq!(refused(&accounts, &limits, 1), Violation::SpendCap(0));
}

#[test]
fn a_cost_above_limit_and_cap_is_never_let_through() {
    let accounts = accounts();
    let capped = limits(5, Some("0.03 USD"));
    assert_eq!(refused(&accounts, &capped, 9), Violation::QuotaTooSmall(0));
    spend(&accounts, &capped, 8);
    assert_eq!(refused(&accounts, &capped, 8), Violation::SpendCap(0));
    // An allowance of nothing is paid for from the first unit on.
    let nothing = quotas([Quota {
        name: "paid".into(),
        account: "paid".into(),
        ..with_cap(0, Some("0.01 USD"))
    }]);
    spend(&accounts, &nothing, 1);
    assert_eq!(refused(&accounts, &nothing, 1), Violation::SpendCap(0));
    assert_eq!(refused(&accounts, &nothing, 2), Violation::QuotaTooSmall(0));
}

#[test]
fn a_cap_of_nothing_or_in_another_currency_leaves_the_limit() {
    for cap in ["0 USD", "0.009 USD", "1000 EUR"] {
        let (accounts, limits) = (accounts(), limits(2, Some(cap)));
        spend(&accounts, &limits, 1);
        assert_eq!(refused(&accounts, &limits, 2), Violation::SpendCap(0), "{cap}");
        spend(&accounts, &limits, 1);
        assert_eq!(refused(&accounts, &limits, 1), Violation::SpendCap(0), "{cap}");
        assert_eq!(refused(&accounts, &limits, 3), Violation::QuotaTooSmall(0), "{cap}");
    }
}

#[test]
fn at_the_end_of_the_numbers_it_refuses() {
    let (accounts, uncapped) = (accounts(), limits(5, None));
    loaded(&accounts, &uncapped, u64::MAX - 2);
    spend(&accounts, &uncapped, 2);
    assert_eq!(refused(&accounts, &uncapped, 1), Violation::Quota(0));
    spend(&accounts, &uncapped, 0);
    let capped = limits(5, Some("9223372036 USD"));
    assert_eq!(refused(&accounts, &capped, 1), Violation::SpendCap(0));
}

#[test]
fn a_quota_without_overage_beside_it_stops_both() {
    let accounts = accounts();
    let hard = quota("hard", 4, WindowKind::Month);
    let limits = quotas([with_cap(1, Some("0.05 USD")), hard]);
    for _ in 0..4 {
        spend(&accounts, &limits, 1);
    }
    assert_eq!(refused(&accounts, &limits, 1), Violation::Quota(1));
    let both = reserve(&accounts, &limits, 3).unwrap_err();
    assert_eq!(both, [Violation::SpendCap(0), Violation::Quota(1)]);
}

#[test]
fn another_cap_counts_at_once() {
    let accounts = accounts();
    for (cap, let_through) in [(Some("0.02 USD"), 3), (Some("0.05 USD"), 3), (None, 9)] {
        let limits = limits(1, cap);
        for _ in 0..let_through {
            spend(&accounts, &limits, 1);
        }
        if cap.is_some() {
            assert_eq!(refused(&accounts, &limits, 1), Violation::SpendCap(0), "{cap:?}");
        }
    }
    assert_eq!(refused(&accounts, &limits(1, Some("0.02 USD")), 1), Violation::SpendCap(0));
}

#[test]
fn threads_take_exactly_what_the_cap_leaves() {
    for _ in 0..20 {
        let (accounts, limits) = (accounts(), limits(10, Some("0.05 USD")));
        let served = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        if let Ok(hold) = accounts.reserve(&limits, 1, ts(NOW)) {
                            served.fetch_add(1, Ordering::Relaxed);
                            hold.settle(1);
                        }
                    }
                });
            }
        });
        assert_eq!(served.into_inner(), 15);
    }
}
