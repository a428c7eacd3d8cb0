//! Accounts: what a request takes, what a refusal leaves, and where a hold is booked.

use std::{panic, sync::Arc, thread, time::Duration};

use jiff::Timestamp;

use super::{after, anchored, quota, quotas, rate, ts};
use crate::ledger::{
    AccountId, Accounts, Hold, Ledger, Limits, Quota, QuotaStanding, Scoped, Shortage, Standing,
    Violation, Window, WindowKind,
};

const NOW: &str = "2026-03-03T03:03:03Z";

fn accounts() -> Arc<Accounts> {
    Ledger::new(Timestamp::UNIX_EPOCH).customer("acme")
}

fn account(name: &str, start: &str, end: &str) -> AccountId {
    let window = Window { start: ts(start), end: Some(ts(end)) };
    AccountId { scope: Arc::from(""), quota: Arc::from(name), window }
}

/// Reserves, with the invariants checked after.
fn reserve(
    accounts: &Arc<Accounts>,
    limits: &Arc<Limits>,
    cost: u64,
    now: &str,
) -> Result<Hold, Box<Shortage>> {
    let result = accounts.reserve(limits, cost, ts(now));
    accounts.check_invariants();
    result
}

/// Reserves what must fit and charges it.
#[track_caller]
fn spend(accounts: &Arc<Accounts>, limits: &Arc<Limits>, cost: u64, now: &str) {
    reserve(accounts, limits, cost, now).expect("it fits").settle(cost);
    accounts.check_invariants();
}

/// Reserves what must not fit and gives what it violates.
#[track_caller]
fn refused(accounts: &Arc<Accounts>, limits: &Arc<Limits>, cost: u64, now: &str) -> Vec<Violation> {
    reserve(accounts, limits, cost, now).expect_err("it does not fit").violations
}

/// Gives used and reserved of every quota.
fn counts(standing: &Standing) -> Vec<(u64, u64)> {
    standing.quotas.iter().map(|quota| (quota.used, quota.reserved)).collect()
}

fn counts_at(accounts: &Accounts, limits: &Arc<Limits>, now: &str) -> Vec<(u64, u64)> {
    counts(&accounts.standing(limits, ts(now)))
}

#[test]
fn a_customer_without_traffic_stands_at_zero() {
    let accounts = accounts();
    let mut limits =
        Limits { rates: vec![Scoped::whole(rate(5, 1_000_000_000, 7))], ..Limits::default() };
    limits.quotas.push(quota("calls", 10, WindowKind::Day));
    let limits = Arc::new(limits);
    let standing = accounts.standing(&limits, ts(NOW));
    let window = limits.quotas[0].window.window_at(ts(NOW));
    assert_eq!(*standing.quotas, [QuotaStanding { used: 0, reserved: 0, forfeited: 0, window }]);
    assert_eq!(standing.quotas[0].remaining(10), 10);
    let rate = standing.rates.first().unwrap();
    assert_eq!((rate.remaining, rate.next), (7, Duration::ZERO));
    assert_eq!((standing.in_flight, standing.at), (0, ts(NOW)));
    assert!(Arc::ptr_eq(&standing.limits, &limits));
    accounts.check_invariants();
}

#[test]
fn a_hold_tells_what_it_took() {
    let accounts = accounts();
    let limits =
        quotas([quota("day", 10, WindowKind::Day), quota("month", 100, WindowKind::Month)]);
    spend(&accounts, &limits, 2, NOW);
    let hold = reserve(&accounts, &limits, 3, NOW).unwrap();
    assert_eq!(hold.cost(), crate::ledger::Charge::units(3));
    assert_eq!(counts(hold.standing()), [(2, 3), (2, 3)]);
    assert_eq!(hold.standing().in_flight, 1);
    assert_eq!(hold.standing().quotas[0].remaining(10), 5);
    assert_eq!(&**hold.accounts().id(), "acme");
    let names: Vec<_> =
        hold.taken().set.accounts.iter().map(|id| (&*id.scope, &*id.quota)).collect();
    assert_eq!(names, [("", "day"), ("", "month")]);
    assert_eq!(&*hold.taken().set.customer, "acme");
    hold.settle(0);
    assert_eq!(counts_at(&accounts, &limits, NOW), [(2, 0), (2, 0)]);
}

#[test]
fn cost_3_with_2_left_takes_nothing() {
    let accounts = accounts();
    let limits = quotas([quota("calls", 5, WindowKind::Day)]);
    spend(&accounts, &limits, 3, NOW);
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert!(accounts.reserve(&limits, 3, ts(NOW)).is_err()));
        }
    });
    assert_eq!(refused(&accounts, &limits, 3, NOW), [Violation::Quota(0)]);
    assert_eq!(accounts.standing(&limits, ts(NOW)).quotas[0].remaining(5), 2);
    spend(&accounts, &limits, 2, NOW);
}

#[test]
fn what_is_reserved_cannot_be_taken_until_given_back() {
    let accounts = accounts();
    let limits = quotas([quota("calls", 1, WindowKind::Day)]);
    let hold = reserve(&accounts, &limits, 1, NOW).unwrap();
    assert_eq!(refused(&accounts, &limits, 1, NOW), [Violation::Quota(0)]);
    hold.settle(0);
    spend(&accounts, &limits, 1, NOW);
}

/// Each limit in turn is the only one short, and then all are.
#[test]
fn a_refusal_leaves_every_account_untouched() {
    let accounts = accounts();
    let roomy = Limits {
        quotas: vec![quota("day", 100, WindowKind::Day), quota("month", 100, WindowKind::Month)],
        rates: vec![Scoped::whole(rate(1, 86_400_000_000_000, 10))],
        concurrency: vec![Scoped::whole(10)],
    };
    let held = reserve(&accounts, &Arc::new(roomy.clone()), 7, NOW).unwrap();
    let before = accounts.standing(&Arc::new(roomy.clone()), ts(NOW));
    let with = |change: &dyn Fn(&mut Limits)| {
        let mut limits = roomy.clone();
        change(&mut limits);
        Arc::new(limits)
    };

    let day = with(&|limits| limits.quotas[0].limit = 8);
    assert_eq!(refused(&accounts, &day, 2, NOW), [Violation::Quota(0)]);
    let month = with(&|limits| limits.quotas[1].limit = 1);
    assert_eq!(refused(&accounts, &month, 2, NOW), [Violation::QuotaTooSmall(1)]);
    let concurrency = with(&|limits| limits.concurrency = vec![Scoped::whole(1)]);
    assert_eq!(refused(&accounts, &concurrency, 2, NOW), [Violation::Concurrency(0)]);
    let all = with(&|limits| {
        limits.quotas[0].limit = 0;
        limits.quotas[1].limit = 7;
        limits.concurrency = vec![Scoped::whole(0)];
    });
    let violations = [Violation::Concurrency(0), Violation::QuotaTooSmall(0), Violation::Quota(1)];
    assert_eq!(refused(&accounts, &all, 2, NOW), violations);

    let unchanged = accounts.standing(&Arc::new(roomy.clone()), ts(NOW));
    assert_eq!(unchanged.quotas, before.quotas);
    assert_eq!((&unchanged.rates, unchanged.in_flight), (&before.rates, before.in_flight));
    held.settle(7);
    assert_eq!(counts_at(&accounts, &Arc::new(roomy), NOW), [(7, 0), (7, 0)]);
}

#[test]
fn a_throttled_request_takes_no_quota_and_no_place() {
    let accounts = accounts();
    let limits = Arc::new(Limits {
        quotas: vec![quota("day", 1, WindowKind::Day)],
        rates: vec![Scoped::whole(rate(1, 1_000_000_000, 1))],
        concurrency: vec![Scoped::whole(1)],
    });
    let held = reserve(&accounts, &limits, 1, NOW).unwrap();
    assert_eq!(held.standing().rates.first().unwrap().remaining, 0);
    let shortage = reserve(&accounts, &limits, 1, NOW).unwrap_err();
    // In this order, as the first decides about the answer.
    let all = [Violation::Rate(0), Violation::Concurrency(0), Violation::Quota(0)];
    assert_eq!(shortage.violations, all);
    assert_eq!(shortage.standing.rates.first().unwrap().next, Duration::from_secs(1));
    held.settle(0);
    assert_eq!(refused(&accounts, &limits, 1, NOW), [Violation::Rate(0)]);
    let standing = accounts.standing(&limits, ts(NOW));
    assert_eq!((counts(&standing), standing.in_flight), (vec![(0, 0)], 0));
    spend(&accounts, &limits, 1, "2026-03-03T03:03:04Z");
}

#[test]
fn a_request_that_ends_after_the_boundary_is_booked_where_it_was_admitted() {
    let accounts = accounts();
    let limits =
        quotas([quota("day", 10, WindowKind::Day), quota("month", 100, WindowKind::Month)]);
    let before = "2026-03-03T23:59:59.999Z";
    let charged = reserve(&accounts, &limits, 3, before).unwrap();
    let given_back = reserve(&accounts, &limits, 2, before).unwrap();
    let midnight = "2026-03-04T00:00:00Z";
    spend(&accounts, &limits, 10, midnight);
    assert_eq!(counts_at(&accounts, &limits, midnight), [(10, 0), (10, 5)]);
    charged.settle(3);
    given_back.settle(0);
    accounts.check_invariants();
    assert_eq!(counts_at(&accounts, &limits, midnight), [(10, 0), (13, 0)]);
}

#[test]
fn windows_do_not_go_back_with_the_clock() {
    let limits = quotas([quota("day", 1, WindowKind::Day)]);
    let accounts = accounts();
    spend(&accounts, &limits, 1, "2026-03-04T00:00:00Z");
    let before = "2026-03-03T23:00:00Z";
    assert_eq!(refused(&accounts, &limits, 1, before), [Violation::Quota(0)]);
    assert_eq!(accounts.standing(&limits, ts(before)).at, ts("2026-03-04T00:00:00Z"));

    let floored = Ledger::new(ts("2026-03-05T12:00:00Z")).customer("acme");
    let standing = floored.standing(&limits, ts(before));
    assert_eq!(standing.quotas[0].window.start, ts("2026-03-05T00:00:00Z"));
}

#[test]
fn a_limit_lowered_below_usage_refuses_until_renewal() {
    let accounts = accounts();
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    spend(&accounts, &limits, 8, NOW);
    let lower = quotas([quota("calls", 5, WindowKind::Day)]);
    assert_eq!(refused(&accounts, &lower, 1, NOW), [Violation::Quota(0)]);
    assert_eq!(accounts.standing(&lower, ts(NOW)).quotas[0].remaining(5), 0);
    spend(&accounts, &lower, 5, "2026-03-04T00:00:00Z");
}

#[test]
fn a_limit_raised_when_exhausted_lets_the_next_request_pass() {
    let accounts = accounts();
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    spend(&accounts, &limits, 10, NOW);
    let higher = quotas([quota("calls", 12, WindowKind::Day)]);
    assert_eq!(refused(&accounts, &higher, 3, NOW), [Violation::Quota(0)]);
    spend(&accounts, &higher, 2, NOW);
}

#[test]
fn a_limit_of_zero_is_too_small_for_any_cost() {
    let accounts = accounts();
    let limits = quotas([quota("calls", 0, WindowKind::Day)]);
    assert_eq!(refused(&accounts, &limits, 1, NOW), [Violation::QuotaTooSmall(0)]);
    assert_eq!(refused(&accounts, &limits, u64::MAX, NOW), [Violation::QuotaTooSmall(0)]);
    spend(&accounts, &limits, 0, NOW);
}

#[test]
fn cost_zero_passes_an_exhausted_quota_but_not_rate_and_concurrency() {
    let accounts = accounts();
    let limits = Arc::new(Limits {
        quotas: vec![quota("calls", 1, WindowKind::Day)],
        rates: vec![Scoped::whole(rate(1, 1_000_000_000, 3))],
        concurrency: vec![Scoped::whole(1)],
    });
    spend(&accounts, &limits, 1, NOW);
    let free = reserve(&accounts, &limits, 0, NOW).unwrap();
    assert_eq!(refused(&accounts, &limits, 0, NOW), [Violation::Concurrency(0)]);
    free.settle(0);
    spend(&accounts, &limits, 0, NOW);
    assert_eq!(refused(&accounts, &limits, 0, NOW), [Violation::Rate(0)]);
}

#[test]
fn a_charge_above_the_cost_is_a_debt() {
    let accounts = accounts();
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    reserve(&accounts, &limits, 1, NOW).unwrap().settle(25);
    assert_eq!(counts_at(&accounts, &limits, NOW), [(25, 0)]);
    let higher = quotas([quota("calls", 20, WindowKind::Day)]);
    assert_eq!(refused(&accounts, &higher, 1, NOW), [Violation::Quota(0)]);
    spend(&accounts, &higher, 0, NOW);

    // A charge that no integer holds refuses for ever, and gives nothing away.
    reserve(&accounts, &higher, 0, NOW).unwrap().settle(u64::MAX);
    assert_eq!(counts_at(&accounts, &higher, NOW), [(u64::MAX, 0)]);
}

#[test]
fn a_free_request_may_be_charged_after_its_window() {
    let accounts = accounts();
    let limits =
        quotas([quota("day", 10, WindowKind::Day), quota("month", 100, WindowKind::Month)]);
    let free = reserve(&accounts, &limits, 0, "2026-03-03T23:59:59Z").unwrap();
    spend(&accounts, &limits, 1, "2026-03-04T00:00:00Z");
    free.settle(5);
    accounts.check_invariants();
    assert_eq!(counts_at(&accounts, &limits, "2026-03-04T00:00:00Z"), [(1, 0), (6, 0)]);
}

#[test]
fn a_dropped_hold_charges_its_cost() {
    let accounts = accounts();
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    drop(reserve(&accounts, &limits, 4, NOW).unwrap());
    accounts.check_invariants();
    let standing = accounts.standing(&limits, ts(NOW));
    assert_eq!((counts(&standing), standing.in_flight), (vec![(4, 0)], 0));
}

#[test]
fn a_hold_dropped_by_a_panic_charges_its_cost() {
    let accounts = accounts();
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    let hold = reserve(&accounts, &limits, 4, NOW).unwrap();
    let panicked = thread::scope(|scope| {
        let panics = move || {
            let _hold = hold;
            panic::resume_unwind(Box::new(()));
        };
        scope.spawn(panics).join()
    });
    assert!(panicked.is_err());
    assert_eq!(counts_at(&accounts, &limits, NOW), [(4, 0)]);
}

#[test]
fn loaded_usage_counts() {
    let accounts = accounts();
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    let today = account("calls", "2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z");
    accounts.load(&today, 4);
    accounts.load(&today, 5);
    accounts.load(&account("calls", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"), 7);
    accounts.load(&account("other", "2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z"), 10);
    accounts.check_invariants();
    assert_eq!(counts_at(&accounts, &limits, NOW), [(9, 0)]);
    assert_eq!(refused(&accounts, &limits, 2, NOW), [Violation::Quota(0)]);
    spend(&accounts, &limits, 1, NOW);
    // Also into an account that is in use.
    accounts.load(&today, 1);
    assert_eq!(counts_at(&accounts, &limits, NOW), [(11, 0)]);
}

#[test]
fn a_name_that_a_reload_brings_back_finds_its_usage() {
    let accounts = accounts();
    let both = quotas([quota("day", 10, WindowKind::Day), quota("month", 100, WindowKind::Month)]);
    let day = quotas([quota("day", 10, WindowKind::Day)]);
    accounts.load(&account("month", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"), 30);
    spend(&accounts, &day, 1, NOW);
    spend(&accounts, &both, 1, NOW);
    spend(&accounts, &day, 1, "2026-03-04T00:00:00Z");
    assert_eq!(counts_at(&accounts, &both, "2026-03-05T00:00:00Z"), [(0, 0), (31, 0)]);
    spend(&accounts, &day, 1, "2026-04-01T00:00:00Z");
    assert_eq!(counts_at(&accounts, &both, "2026-04-01T00:00:00Z"), [(1, 0), (0, 0)]);
}

#[test]
fn a_window_made_shorter_and_longer_again_keeps_its_usage() {
    let accounts = accounts();
    let month = quotas([quota("calls", 10, WindowKind::Month)]);
    let day = quotas([quota("calls", 10, WindowKind::Day)]);
    let first = "2026-03-01T12:00:00Z";
    spend(&accounts, &month, 4, first);
    // Both begin at the same instant, and that is the identity.
    spend(&accounts, &day, 1, first);
    assert_eq!(counts_at(&accounts, &day, "2026-03-02T00:00:00Z"), [(0, 0)]);
    assert_eq!(counts_at(&accounts, &month, "2026-03-02T00:00:00Z"), [(5, 0)]);
}

#[test]
fn an_account_lasts_as_long_as_the_longest_window_it_was_known_under() {
    let month = quotas([quota("calls", 10, WindowKind::Month)]);
    let day = quotas([quota("calls", 10, WindowKind::Day)]);
    let (first, second) = ("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z");

    let reloaded = accounts();
    spend(&reloaded, &day, 4, first);
    assert_eq!(counts_at(&reloaded, &month, first), [(4, 0)]);
    assert_eq!(counts_at(&reloaded, &day, second), [(0, 0)]);
    assert_eq!(counts_at(&reloaded, &month, second), [(4, 0)]);

    let loaded = accounts();
    spend(&loaded, &month, 0, first);
    loaded.load(&account("calls", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"), 4);
    assert_eq!(counts_at(&loaded, &day, second), [(0, 0)]);
    assert_eq!(counts_at(&loaded, &month, second), [(4, 0)]);
}

#[test]
fn a_new_anchor_begins_a_new_window_and_holds_stay_in_the_old() {
    let accounts = accounts();
    let from = |anchor| {
        let window = anchored(WindowKind::Month, anchor);
        quotas([Quota { window, ..quota("calls", 10, WindowKind::Month) }])
    };
    let (first, second) = (from("2026-01-31T10:00:00Z"), from("2026-03-02T10:00:00Z"));
    let hold = reserve(&accounts, &first, 6, NOW).unwrap();
    spend(&accounts, &second, 10, NOW);
    hold.settle(6);
    accounts.check_invariants();
    assert_eq!(counts_at(&accounts, &second, NOW), [(10, 0)]);
    assert_eq!(counts_at(&accounts, &first, NOW), [(6, 0)]);
}

#[test]
fn the_set_stays_while_windows_and_names_do() {
    let accounts = accounts();
    let id_at = |limits: &Arc<Limits>, now| {
        let hold = reserve(&accounts, limits, 0, now).unwrap();
        hold.taken().set.id
    };
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    let first = id_at(&limits, NOW);
    assert_eq!(id_at(&limits, "2026-03-03T23:00:00Z"), first);
    // A limit is not part of an account's identity.
    assert_eq!(id_at(&quotas([quota("calls", 20, WindowKind::Day)]), NOW), first);
    let next_day = id_at(&limits, "2026-03-04T00:00:00Z");
    assert_ne!(next_day, first);
    assert_ne!(id_at(&quotas([quota("other", 10, WindowKind::Day)]), NOW), next_day);
}

#[test]
fn without_limits_everything_passes_and_is_counted_as_in_flight() {
    let accounts = accounts();
    let limits = Arc::new(Limits::default());
    let holds: Vec<_> = (0..100).map(|_| reserve(&accounts, &limits, 5, NOW).unwrap()).collect();
    assert!(holds.iter().all(|hold| hold.taken().set.accounts.is_empty()));
    assert_eq!(accounts.standing(&limits, ts(NOW)).in_flight, 100);
    // A limit that comes while they are in flight sees them.
    let limited = Arc::new(Limits { concurrency: vec![Scoped::whole(100)], ..Limits::default() });
    assert_eq!(refused(&accounts, &limited, 5, NOW), [Violation::Concurrency(0)]);
    drop(holds);
    spend(&accounts, &limited, 5, NOW);
}

#[test]
fn a_rate_that_a_reload_takes_away_and_brings_back_is_not_filled() {
    let accounts = accounts();
    let with = |rates| Arc::new(Limits { rates, ..Limits::default() });
    let limited = with(vec![Scoped::whole(rate(1, 60_000_000_000, 1))]);
    let free = with(Vec::new());
    spend(&accounts, &limited, 1, NOW);
    spend(&accounts, &free, 1, NOW);
    assert_eq!(accounts.standing(&free, ts(NOW)).rates.first(), None);
    assert_eq!(refused(&accounts, &limited, 1, NOW), [Violation::Rate(0)]);
    let minute_later = after(ts(NOW), 60_000_000_000);
    assert!(accounts.reserve(&limited, 1, minute_later).is_ok());
}

#[test]
fn a_ledger_finds_what_it_made() {
    let ledger = Ledger::new(Timestamp::UNIX_EPOCH);
    assert!(ledger.is_empty() && ledger.find("acme").is_none());
    let acme = ledger.customer("acme");
    assert!(Arc::ptr_eq(&acme, &ledger.customer("acme")));
    assert!(Arc::ptr_eq(&acme, &ledger.find("acme").unwrap()));
    assert!(!Arc::ptr_eq(&acme, &ledger.customer("other")));
    assert_eq!((ledger.len(), ledger.is_empty()), (2, false));
}
