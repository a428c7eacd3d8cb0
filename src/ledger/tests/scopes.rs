//! Limits of applications and keys beside the customer's, and what happens to accounts from outside
//! requests.

use std::{collections::HashSet, sync::Arc};

use super::{after, quota, quotas, rate, ts};
use crate::ledger::{
    AccountId, Accounts, Ledger, Level, Limits, Quota, Rate, Scoped, Violation, WindowKind,
    view::VIEWS_MAX,
};

const NOW: &str = "2026-03-03T03:03:03Z";

fn accounts() -> Arc<Accounts> {
    Ledger::new(ts("2026-01-01T00:00:00Z")).customer("acme")
}

fn of(scope: &str, name: &str, limit: u64) -> Quota {
    Quota { scope: Arc::from(scope), ..quota(name, limit, WindowKind::Day) }
}

fn scoped<T>(scope: &str, limit: T) -> Scoped<T> {
    Scoped { scope: Arc::from(scope), limit }
}

/// The account of a limit's quota at this time.
fn account(limits: &Limits, index: usize) -> AccountId {
    let Quota { scope, account, window, .. } = &limits.quotas[index];
    let window = window.window_at(ts(NOW));
    AccountId { scope: Arc::clone(scope), quota: Arc::clone(account), window }
}

#[track_caller]
fn spend(accounts: &Arc<Accounts>, limits: &Arc<Limits>, cost: u64) {
    accounts.reserve(limits, cost, ts(NOW)).expect("it fits").settle(cost);
    accounts.check_invariants();
}

#[track_caller]
fn refused(accounts: &Arc<Accounts>, limits: &Arc<Limits>, cost: u64) -> Vec<Violation> {
    accounts.reserve(limits, cost, ts(NOW)).expect_err("it does not fit").violations
}

fn used(accounts: &Accounts, limits: &Arc<Limits>) -> Vec<u64> {
    accounts.standing(limits, ts(NOW)).quotas.iter().map(|quota| quota.used).collect()
}

#[test]
fn a_scope_is_of_a_level() {
    assert_eq!(Level::of(""), Level::Customer);
    assert_eq!(Level::of("application/mobile"), Level::Application);
    assert_eq!(Level::of("key/acme-ci"), Level::Key);
}

#[test]
fn two_keys_share_the_customers_quota_and_not_each_others() {
    let accounts = accounts();
    let first = quotas([of("", "calls", 5), of("key/1", "calls", 3)]);
    let second = quotas([of("", "calls", 5), of("key/2", "calls", 3)]);
    spend(&accounts, &first, 3);
    assert_eq!(refused(&accounts, &first, 1), [Violation::Quota(1)]);
    // Three would fit the key, but only two are left of the customer's, so nothing is taken.
    assert_eq!(refused(&accounts, &second, 3), [Violation::Quota(0)]);
    assert_eq!(used(&accounts, &second), [3, 0]);
    spend(&accounts, &second, 2);
    assert_eq!(refused(&accounts, &first, 1), [Violation::Quota(0), Violation::Quota(1)]);
    assert_eq!((used(&accounts, &first), used(&accounts, &second)), (vec![5, 3], vec![5, 2]));
}

#[test]
fn each_scope_has_its_rate_and_its_requests_in_flight() {
    let accounts = accounts();
    let slow = rate(1, 1_000_000_000, 1);
    let limits = |key: &str| {
        Arc::new(Limits {
            rates: vec![scoped("", rate(10, 1_000_000_000, 10)), scoped(key, slow)],
            concurrency: vec![scoped("", 3), scoped("application/a", 2), scoped(key, 1)],
            ..Limits::default()
        })
    };
    let (first, second) = (limits("key/1"), limits("key/2"));
    let open = accounts.reserve(&first, 1, ts(NOW)).unwrap();
    assert_eq!(refused(&accounts, &first, 1), [Violation::Rate(1), Violation::Concurrency(2)]);
    let other = accounts.reserve(&second, 1, ts(NOW)).unwrap();
    assert_eq!(*other.standing().concurrency, [2, 2, 1]);
    // A reload makes new limits, and the scopes stay what they are.
    let reloaded = limits("key/3");
    assert_eq!(refused(&accounts, &reloaded, 1), [Violation::Concurrency(1)]);
    drop((first, second));
    let first = limits("key/1");
    open.settle(1);
    assert_eq!(refused(&accounts, &first, 1), [Violation::Rate(1)]);
    assert_eq!(accounts.standing(&first, ts(NOW)).in_flight, 1);
    other.settle(1);
    let third = accounts.reserve(&reloaded, 1, ts(NOW)).unwrap();
    assert_eq!(*third.standing().concurrency, [1, 1, 1]);
    assert_eq!(third.standing().rates[0].remaining, 7);
}

#[test]
fn a_rate_of_a_key_survives_reloads_until_it_is_given_back() {
    let accounts = accounts();
    let slow: Rate = rate(1, 60_000_000_000, 1);
    let limited = || Arc::new(Limits { rates: vec![scoped("key/1", slow)], ..Limits::default() });
    let free = || Arc::new(Limits::default());
    spend(&accounts, &limited(), 1);
    for _ in 0..3 {
        spend(&accounts, &free(), 1);
    }
    assert_eq!(refused(&accounts, &limited(), 1), [Violation::Rate(0)]);
    let later = after(ts(NOW), 60_000_000_000);
    accounts.reserve(&free(), 1, later).unwrap().settle(1);
    accounts.reserve(&limited(), 1, later).unwrap().settle(1);
}

#[test]
fn keys_that_alternate_keep_their_sets() {
    let accounts = accounts();
    let limits =
        |key: usize| quotas([of("", "calls", 9999), of(&format!("key/{key}"), "calls", 99)]);
    let set = |limits| accounts.reserve(limits, 1, ts(NOW)).unwrap().taken().set.id;
    let all: Vec<_> = (0..VIEWS_MAX).map(limits).collect();
    let first: Vec<u64> = all.iter().map(set).collect();
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), VIEWS_MAX);
    let second: Vec<u64> = all.iter().rev().map(set).collect();
    assert!(first.iter().eq(second.iter().rev()));
    // One more than are kept, and usage is right all the same.
    let more = limits(VIEWS_MAX);
    set(&more);
    assert_eq!(accounts.standing(&all[0], ts(NOW)).quotas[1].used, 2);
    spend(&accounts, &all[VIEWS_MAX - 1], 1);
    assert_eq!(used(&accounts, &all[VIEWS_MAX - 1])[1], 3);
}

#[test]
fn limits_that_differ_only_in_throttles_share_a_set() {
    let accounts = accounts();
    let plain = quotas([of("", "calls", 10)]);
    let mut limits = (*plain).clone();
    limits.concurrency.push(scoped("key/1", 5));
    let (first, second) = (
        accounts.reserve(&plain, 1, ts(NOW)).unwrap(),
        accounts.reserve(&Arc::new(limits), 1, ts(NOW)).unwrap(),
    );
    assert_eq!(first.taken().set.id, second.taken().set.id);
}

#[test]
fn to_look_makes_nothing() {
    let accounts = accounts();
    let mine = quotas([of("", "calls", 10), of("key/1", "calls", 5)]);
    spend(&accounts, &mine, 2);
    let set = accounts.reserve(&mine, 0, ts(NOW)).unwrap().taken().set.id;
    let all = || quotas([of("", "calls", 10), of("key/1", "calls", 5), of("key/2", "calls", 5)]);
    for _ in 0..2 * VIEWS_MAX {
        assert_eq!(used(&accounts, &all()), [2, 2, 0]);
    }
    assert_eq!(accounts.reserve(&mine, 0, ts(NOW)).unwrap().taken().set.id, set);
}

#[test]
fn a_renamed_quota_counts_on_in_its_account() {
    let accounts = accounts();
    let old = quotas([of("", "monthly", 10)]);
    spend(&accounts, &old, 4);
    let renamed = Quota { name: Arc::from("calls"), ..of("", "monthly", 10) };
    let renamed = quotas([renamed]);
    assert_eq!(used(&accounts, &renamed), [4]);
    let hold = accounts.reserve(&renamed, 1, ts(NOW)).unwrap();
    assert_eq!(&*hold.taken().set.accounts[0].quota, "monthly");
    // A new name without the old one begins at zero.
    assert_eq!(used(&accounts, &quotas([of("", "calls", 10)])), [0]);
}

#[test]
fn an_adjustment_gives_back_at_most_what_is_used() {
    let accounts = accounts();
    let limits = quotas([of("", "calls", 10)]);
    let id = account(&limits, 0);
    spend(&accounts, &limits, 8);
    let hold = accounts.reserve(&limits, 2, ts(NOW)).unwrap();
    assert_eq!(accounts.adjust(&id, 3), 5);
    assert_eq!(accounts.adjust(&id, 100), 0);
    hold.settle(2);
    assert_eq!(used(&accounts, &limits), [2]);
    assert_eq!(accounts.adjust(&id, -9), 11);
    assert_eq!(refused(&accounts, &limits, 1), [Violation::Quota(0)]);
    assert_eq!(accounts.adjust(&id, i64::MIN), 11 + (1 << 63));
    assert_eq!(accounts.adjust(&id, i64::MIN), u64::MAX);
    // Of a window that is over nothing is kept, and a customer without traffic may be charged.
    let tomorrow = after(id.window.end.unwrap(), 0);
    assert_eq!(accounts.standing(&limits, tomorrow).quotas[0].used, 0);
    assert_eq!((accounts.adjust(&id, -5), accounts.adjust(&id, 5)), (5, 0));
    let quiet = Ledger::new(ts(NOW)).customer("quiet");
    assert_eq!(quiet.adjust(&id, -5), 5);
    assert_eq!(used(&quiet, &limits), [5]);
}

#[test]
fn who_gets_the_id_of_a_removed_customer_begins_anew_under_another_name() {
    let ledger = Ledger::new(ts(NOW));
    let limits = quotas([of("", "calls", 10)]);
    let name = |hold: &crate::ledger::Hold| hold.taken().set.customer.to_string();
    let hold = ledger.customer("acme").reserve(&limits, 4, ts(NOW)).unwrap();
    assert_eq!((name(&hold), &*ledger.name_of("acme")), ("acme".to_owned(), "acme"));
    let removed = ledger.remove("acme").unwrap();
    assert!(ledger.find("acme").is_none() && ledger.is_empty());
    let anew = ledger.customer("acme");
    assert_eq!(used(&anew, &limits), [0]);
    let second = anew.reserve(&limits, 1, ts(NOW)).unwrap();
    assert_eq!(name(&second), "acme#2");
    // What is in flight goes on in the old accounts.
    hold.settle(4);
    assert_eq!((used(&removed, &limits), used(&anew, &limits)), (vec![4], vec![0]));
    second.settle(1);
    ledger.remove("acme");
    assert_eq!((&*ledger.name_of("acme"), &*ledger.name_of("other")), ("acme#3", "other"));
}

#[test]
fn a_removal_that_is_learnt_of_counts_once() {
    let ledger = Ledger::new(ts("2026-01-01T00:00:00Z"));
    let before = ledger.customer("acme");
    ledger.forget("acme");
    assert_eq!(&*ledger.name_of("acme"), "acme#2");
    let after = ledger.customer("acme");
    assert!(!Arc::ptr_eq(&before, &after));
    ledger.forget("acme");
    assert!(Arc::ptr_eq(&after, &ledger.customer("acme")));
    ledger.forget("acme#2");
    assert_eq!((&*ledger.name_of("acme"), &*ledger.name_of("other")), ("acme#3", "other"));
    assert!(ledger.find("acme").is_none());
}
