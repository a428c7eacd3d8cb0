//! Ledgers of several nodes that share pools, with letters carried by hand.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use jiff::Timestamp;

use super::{after, quota, quotas, ts};
use crate::ledger::{
    AccountId, Hold, Lacking, Ledger, Limits, Place, Post, Scoped, Shortage, Violation, WindowKind,
    lease::{LASTS, Pool},
};

const MS: i128 = 1_000_000;

struct Shared {
    ledgers: Vec<Ledger>,
    pools: BTreeMap<(Arc<str>, Timestamp), Pool>,
    now: Timestamp,
}

impl Shared {
    fn new(nodes: usize) -> Self {
        let now = ts("2026-01-30T22:00:00Z");
        let ledger = |_| Ledger::new(now).shared(Arc::default());
        Self { ledgers: (0..nodes).map(ledger).collect(), pools: BTreeMap::new(), now }
    }

    fn post(&self, node: usize) -> &Arc<Post> {
        self.ledgers[node].post().unwrap()
    }

    fn reserve(&self, node: usize, limits: &Arc<Limits>, cost: u64) -> Result<Hold, Box<Shortage>> {
        self.ledgers[node].customer("acme").reserve(limits, cost, self.now)
    }

    /// Carries what is said once; tells how many letters that were.
    fn carry(&mut self, node: usize) -> usize {
        let accounts = self.ledgers[node].customer("acme");
        self.post(node).take(Duration::ZERO);
        let (letters, _) = accounts.letters(self.now);
        for (account, letter) in &letters {
            let pool = self.pools.entry(of(account)).or_default();
            let now = Duration::try_from(self.now.as_duration()).unwrap();
            let reply = pool.receive(node as u128, letter, now).unwrap();
            accounts.receive(account, &reply, self.now);
        }
        letters.len()
    }

    /// Takes, with one trip if need be.
    fn take(
        &mut self,
        node: usize,
        limits: &Arc<Limits>,
        cost: u64,
    ) -> Result<Hold, Box<Shortage>> {
        match self.reserve(node, limits, cost) {
            Err(shortage) if shortage.lack.is_some() => {
                assert!(self.carry(node) >= limits.quotas.len());
                self.reserve(node, limits, cost)
            }
            taken => taken,
        }
    }

    fn wait(&mut self, milliseconds: i128) {
        self.now = after(self.now, milliseconds * MS);
    }

    fn used(&self, name: &str) -> u64 {
        self.pools
            .iter()
            .filter(|((quota, _), _)| **quota == *name)
            .map(|(_, pool)| pool.used())
            .sum()
    }
}

fn of(account: &AccountId) -> (Arc<str>, Timestamp) {
    (Arc::clone(&account.quota), account.window.start)
}

fn is_listed(post: &Post) -> bool {
    !post.take(Duration::ZERO).accounts.is_empty()
}

#[test]
fn what_no_lease_has_is_asked_for_and_waited_for() {
    let mut shared = Shared::new(1);
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    let shortage = shared.reserve(0, &limits, 3).unwrap_err();
    assert_eq!(shortage.lack, Some(Lacking::Wait { heard: 0 }));
    assert!(shortage.violations.is_empty());
    assert!(is_listed(shared.post(0)));
    // It is not listed twice.
    shared.reserve(0, &limits, 3).unwrap_err();
    assert!(!is_listed(shared.post(0)));
    assert_eq!(shared.carry(0), 1);
    let hold = shared.reserve(0, &limits, 3).unwrap();
    assert_eq!(hold.standing().quotas[0].reserved, 3);
    hold.settle(2);
    shared.wait(1000);
    shared.carry(0);
    assert_eq!(shared.used("calls"), 2);
    assert_eq!(shared.ledgers[0].customer("acme").standing(&limits, shared.now).quotas[0].used, 2);
}

#[test]
fn nodes_never_serve_more_than_the_limit_and_all_of_it() {
    let mut shared = Shared::new(3);
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    let mut holds = Vec::new();
    let mut refused = 0;
    for round in 0..60 {
        match shared.take(round % 3, &limits, 1) {
            Ok(hold) => holds.push(hold),
            Err(shortage) => {
                refused += 1;
                if shortage.lack.is_none() {
                    assert_eq!(shortage.violations, [Violation::Quota(0)]);
                    assert_eq!(shortage.standing.quotas[0].remaining(10), 0);
                }
            }
        }
        // What others hold back comes when it is recalled.
        shared.wait(30);
        for node in 0..3 {
            let accounts = shared.ledgers[node].customer("acme");
            let ids: Vec<_> = shared.pools.keys().cloned().collect();
            for (name, start) in ids {
                let window = limits.quotas[0].window.window_at(start);
                accounts.recall(&AccountId { scope: "".into(), quota: name, window }, shared.now);
            }
            shared.carry(node);
        }
    }
    assert_eq!((holds.len(), refused), (10, 50));
    holds.into_iter().for_each(|hold| hold.settle(1));
    shared.wait(2000);
    (0..3).for_each(|node| _ = shared.carry(node));
    assert_eq!(shared.used("calls"), 10);
}

#[test]
fn of_several_quotas_all_are_taken_or_none() {
    let mut shared = Shared::new(2);
    let limits =
        quotas([quota("calls", 10, WindowKind::Day), quota("all", 1, WindowKind::Lifetime)]);
    let first = shared.take(0, &limits, 1).unwrap();
    shared.wait(1000);
    shared.carry(0);
    let shortage = shared.take(1, &limits, 1).unwrap_err();
    assert_eq!(shortage.violations, [Violation::Quota(1)]);
    assert_eq!(shortage.standing.quotas[1].reserved, 1, "it is held on the other node");
    let standing = shared.ledgers[1].customer("acme").standing(&limits, shared.now);
    assert_eq!(standing.quotas[0].used, 0);
    drop(first);
    shared.wait(1000);
    shared.carry(0);
    assert_eq!((shared.used("calls"), shared.used("all")), (1, 1));
}

#[test]
fn other_limits_refuse_without_a_question() {
    let mut shared = Shared::new(1);
    let quotas = vec![quota("calls", 10, WindowKind::Day)];
    let concurrency = vec![Scoped::whole(1)];
    let limits = Arc::new(Limits { quotas, concurrency, ..Limits::default() });
    let hold = shared.take(0, &limits, 1).unwrap();
    let shortage = shared.reserve(0, &limits, 5).unwrap_err();
    assert_eq!(shortage.violations, [Violation::Concurrency(0)]);
    let shared_place =
        shared.ledgers[0].customer("acme").reserve_at(Place::Shared, &limits, 1, shared.now);
    let _ = shared_place.map(|hold| hold.settle(0)).map_err(|shortage| {
        assert_eq!(shortage.lack, Some(Lacking::Wait { heard: 1 }));
    });
    let shortage = shared.reserve(0, &limits, 11).unwrap_err();
    assert_eq!(shortage.violations, [Violation::Concurrency(0), Violation::QuotaTooSmall(0)]);
    hold.settle(1);
}

#[test]
fn what_costs_nothing_asks_for_nothing() {
    let mut shared = Shared::new(1);
    let limits = quotas([quota("calls", 0, WindowKind::Day)]);
    shared.reserve(0, &limits, 0).unwrap().settle(0);
    assert_eq!(shared.take(0, &limits, 1).unwrap_err().violations, [Violation::QuotaTooSmall(0)]);
}

#[test]
fn a_window_that_is_over_gives_back_what_is_left_and_is_forgotten() {
    let mut shared = Shared::new(1);
    let limits = quotas([quota("calls", 1000, WindowKind::Hour)]);
    let open = shared.take(0, &limits, 1).unwrap();
    shared.take(0, &limits, 1).unwrap().settle(1);
    shared.wait(3_700_000);
    shared.take(0, &limits, 1).unwrap().settle(1);
    open.settle(1);
    for _ in 0..3 {
        shared.wait(1000);
        shared.carry(0);
    }
    let pools: Vec<_> = shared.pools.values().map(|pool| (pool.used(), pool.out())).collect();
    assert_eq!(pools[0], (2, (0, 0, 0)), "of the hour before nothing is out");
    assert_eq!(pools[1].0, 0, "nobody needs to know of so little yet");
    // Only the present one is spoken of.
    shared.wait(2 * i128::try_from(LASTS.as_millis()).unwrap());
    assert!(shared.carry(0) <= 1);
}

#[test]
fn while_the_store_is_away_what_is_held_is_spent() {
    let mut shared = Shared::new(1);
    let limits = quotas([quota("calls", 1000, WindowKind::Day)]);
    shared.take(0, &limits, 1).unwrap().settle(1);
    shared.post(0).set_away(true);
    let left = (0..1000).take_while(|_| shared.reserve(0, &limits, 1).is_ok()).count();
    assert!((1..250).contains(&left), "{left} of the lease");
    assert_eq!(shared.reserve(0, &limits, 1).unwrap_err().lack, Some(Lacking::Unavailable));
    shared.post(0).set_away(false);
    shared.carry(0);
    shared.reserve(0, &limits, 1).unwrap().settle(1);
}

#[test]
fn who_waits_is_woken_by_a_reply() {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    let mut shared = Shared::new(1);
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    let accounts = shared.ledgers[0].customer("acme");
    let Some(Lacking::Wait { heard }) = shared.reserve(0, &limits, 1).unwrap_err().lack else {
        panic!("it is not waited for")
    };
    let waker = Waker::from(Arc::new(Nobody));
    let mut context = Context::from_waker(&waker);
    let mut hearing = std::pin::pin!(accounts.hearing(heard));
    assert_eq!(hearing.as_mut().poll(&mut context), Poll::Pending);
    shared.carry(0);
    assert_eq!(hearing.as_mut().poll(&mut context), Poll::Ready(()));
}

#[test]
fn what_others_used_is_asked_for_once_in_a_while() {
    let mut shared = Shared::new(2);
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    shared.take(0, &limits, 4).unwrap().settle(4);
    shared.wait(1000);
    shared.carry(0);
    let accounts = shared.ledgers[1].customer("acme");
    assert_eq!(accounts.inquire(&limits, shared.now), Some(0));
    shared.carry(1);
    assert_eq!(accounts.standing(&limits, shared.now).quotas[0].used, 4);
    assert_eq!(accounts.inquire(&limits, shared.now), None);
}

#[test]
fn who_said_nothing_for_a_while_is_told_to_say_what_is_used_when_somebody_wants_to_know() {
    let mut shared = Shared::new(2);
    let limits = quotas([quota("calls", 10_000, WindowKind::Day)]);
    shared.take(0, &limits, 1).unwrap().settle(1);
    shared.wait(5000);
    assert_eq!(shared.carry(0), 0, "nobody needs to know of so little");
    assert_eq!(shared.used("calls"), 0);
    let (asks, said) = (shared.ledgers[1].customer("acme"), shared.ledgers[0].customer("acme"));
    assert_eq!(asks.inquire(&limits, shared.now), Some(0));
    assert_eq!(shared.carry(1), 1);
    // It has an answer, and waits for one that has all.
    assert_eq!(asks.inquire(&limits, shared.now), Some(1));
    let window = limits.quotas[0].window.window_at(shared.now);
    let account = AccountId { scope: "".into(), quota: "calls".into(), window };
    said.report(&account, shared.now);
    assert_eq!(shared.carry(0), 1);
    assert_eq!(shared.carry(1), 0, "it is asked again after a pause");
    shared.wait(20);
    assert_eq!(shared.carry(1), 1);
    assert_eq!(asks.standing(&limits, shared.now).quotas[0].used, 1);
    assert_eq!(asks.inquire(&limits, shared.now), None);
    // Who said it just now, or has nothing to spend, is not made to say it again.
    said.report(&account, shared.now);
    asks.report(&account, shared.now);
    assert_eq!((shared.carry(0), shared.carry(1)), (0, 0));
}

#[test]
fn who_does_not_say_what_is_used_is_waited_for_half_a_second() {
    let mut shared = Shared::new(2);
    let limits = quotas([quota("calls", 10_000, WindowKind::Day)]);
    shared.take(0, &limits, 1).unwrap().settle(1);
    shared.wait(5000);
    let asks = shared.ledgers[1].customer("acme");
    asks.inquire(&limits, shared.now).unwrap();
    let mut questions = 0;
    for _ in 0..200 {
        questions += shared.carry(1);
        shared.wait(10);
    }
    assert!((20..=30).contains(&questions), "{questions} questions");
}

/// Where much is free nobody needs to know what is used of it, and requests cause letters only when what there is here
/// comes to its end.
#[test]
fn what_is_little_is_said_once_in_a_while() {
    let mut shared = Shared::new(1);
    let limits = quotas([quota("calls", 1_000_000, WindowKind::Day)]);
    let (mut letters, mut listed) = (0, 0);
    for _ in 0..100 {
        shared.take(0, &limits, 1).unwrap().settle(1);
        listed += u64::from(is_listed(shared.post(0)));
        shared.wait(2000);
        letters += shared.carry(0);
    }
    // One for sixteen calls.
    assert!(letters <= 8, "{letters} letters");
    assert!(listed <= 10, "listed {listed} times");
    shared.wait(45_000);
    shared.carry(0);
    assert_eq!(shared.used("calls"), 100);
}

/// The pool hears within a second of what happens where little is free, also where it was told of a request that was in
/// flight then.
#[test]
fn what_happens_is_said_soon_where_nothing_else_is_to_be_said_for_long() {
    let mut shared = Shared::new(1);
    let limits = quotas([quota("calls", 60, WindowKind::Day)]);
    let accounts = shared.ledgers[0].customer("acme");
    let due = |shared: &Shared| accounts.letters(shared.now).1;
    for _ in 0..3 {
        let hold = shared.take(0, &limits, 1).unwrap();
        assert!(due(&shared).unwrap() <= Duration::from_secs(1));
        shared.wait(1000);
        assert_eq!(shared.carry(0), 1);
        // A request in flight is spoken of once in a while.
        assert!(due(&shared).unwrap() > Duration::from_secs(1));
        hold.settle(1);
        assert!(is_listed(shared.post(0)));
        assert!(due(&shared).unwrap() <= Duration::from_secs(1));
        shared.wait(1000);
        assert_eq!(shared.carry(0), 1);
        assert_eq!(due(&shared), None);
    }
    assert_eq!(shared.used("calls"), 3);
    // What costs nothing has nothing to tell.
    shared.reserve(0, &limits, 0).unwrap().settle(0);
    assert!(!is_listed(shared.post(0)));
}

#[test]
fn who_ends_says_all_at_once() {
    let mut shared = Shared::new(1);
    let limits = quotas([quota("calls", 1000, WindowKind::Day)]);
    let accounts = shared.ledgers[0].customer("acme");
    shared.take(0, &limits, 1).unwrap().settle(1);
    accounts.stop_leases();
    assert_eq!(shared.carry(0), 1);
    assert_eq!(accounts.letters(shared.now), (vec![], None));
    assert_eq!(shared.used("calls"), 1);
    assert!(shared.pools.values().all(|pool| pool.free(1000) == 999));
    // What happened since the last word as well.
    let mut shared = Shared::new(1);
    let accounts = shared.ledgers[0].customer("acme");
    let holds = [(); 3].map(|()| shared.take(0, &limits, 300).unwrap());
    shared.carry(0);
    accounts.letters(shared.now);
    holds.into_iter().for_each(|hold| hold.settle(300));
    accounts.stop_leases();
    assert_eq!(shared.carry(0), 1);
    assert_eq!(accounts.letters(shared.now), (vec![], None));
    assert_eq!(shared.used("calls"), 900);
}

#[test]
fn a_limit_that_is_lowered_binds_the_next_request_and_one_that_is_raised_is_asked_about() {
    let mut shared = Shared::new(2);
    let before = quotas([quota("calls", 1000, WindowKind::Day)]);
    for _ in 0..8 {
        shared.take(0, &before, 1).unwrap().settle(1);
    }
    // A letter is on its way by the limit of before.
    shared.wait(1000);
    let accounts = shared.ledgers[0].customer("acme");
    let (letters, _) = accounts.letters(shared.now);
    let after = quotas([quota("calls", 5, WindowKind::Day)]);
    assert!(shared.reserve(0, &after, 1).unwrap_err().lack.is_some());
    for (account, letter) in letters {
        let now = Duration::try_from(shared.now.as_duration()).unwrap();
        let reply = shared.pools.entry(of(&account)).or_default().receive(0, &letter, now).unwrap();
        accounts.receive(&account, &reply, shared.now);
    }
    let refused = shared.take(0, &after, 1).unwrap_err();
    assert_eq!(refused.violations, [Violation::Quota(0)]);
    assert_eq!(refused.standing.quotas[0].used, 8);
    // Also what costs nothing more than is left by the limit of before is not to be had on another node.
    assert_eq!(shared.take(1, &after, 1).unwrap_err().violations, [Violation::Quota(0)]);
    shared.take(0, &before, 1).unwrap().settle(1);
}

#[test]
fn accounts_of_a_customer_that_is_made_again_are_listened_to() {
    let mut shared = Shared::new(1);
    let limits = quotas([quota("calls", 10, WindowKind::Day)]);
    for _ in 0..3 {
        shared.take(0, &limits, 1).unwrap().settle(1);
        shared.wait(1000);
        shared.carry(0);
        shared.ledgers[0].remove("acme").unwrap();
        shared.pools.values_mut().for_each(|pool| {
            let base = i64::try_from(pool.used()).unwrap();
            pool.adjust(-base);
        });
    }
    shared.take(0, &limits, 1).unwrap().settle(1);
}
