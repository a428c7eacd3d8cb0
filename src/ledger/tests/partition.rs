//! Rates and limits on requests in flight that nodes share: all parts together, and as nodes come and go.

use std::sync::Arc;

use proptest::prelude::*;

use super::{after, rate, ts};
use crate::ledger::{Ledger, Limits, Partition, Portion, Rate, Scoped, Violation, rate::Bucket};

const START: &str = "2026-01-01T00:00:00Z";
const SECOND: u64 = 1_000_000_000;

/// Takes if there is one to take.
fn try_take(bucket: &mut Bucket, rate: Rate, now: jiff::Timestamp) -> bool {
    bucket.advance(rate, now);
    bucket.check_invariants();
    let is_there = bucket.standing(now).remaining > 0;
    if is_there {
        bucket.take();
    }
    is_there
}

#[test]
fn who_is_alone_has_all() {
    let partition = Partition::default();
    assert_eq!(partition.portion(), Portion { rank: 0, count: 1 });
    let whole = rate(30, SECOND, 10);
    assert_eq!(partition.portion().of_rate(whole), whole);
    assert_eq!((partition.portion().of(7), partition.portion().of(0)), (7, 0));
    let last = Portion { rank: u32::MAX - 1, count: u32::MAX };
    partition.set(last);
    assert_eq!(
        (partition.portion(), partition.portion().of(u64::MAX)),
        (last, u64::MAX / u64::from(u32::MAX))
    );
    // What cannot be is read as all of it.
    assert_eq!(Portion { rank: 0, count: 0 }.of(5), 5);
}

#[test]
fn requests_in_flight_are_shared_and_callers_are_told_the_limit() {
    let ledger = Ledger::new(ts(START));
    let limits = Arc::new(Limits { concurrency: vec![Scoped::whole(3)], ..Limits::default() });
    let accounts = ledger.customer("acme");
    ledger.partition().set(Portion { rank: 0, count: 2 });
    let holds = [0, 1].map(|_| accounts.reserve(&limits, 1, ts(START)).unwrap());
    let shortage = accounts.reserve(&limits, 1, ts(START)).unwrap_err();
    assert_eq!(shortage.violations, [Violation::Concurrency(0)]);
    assert_eq!(shortage.standing.limits.concurrency[0].limit, 3);
    assert_eq!(shortage.standing.violations(1), [Violation::Concurrency(0)]);
    assert!(accounts.would_reserve(&limits, 1, ts(START)).is_err());
    // The other node stops.
    ledger.partition().set(Portion { rank: 0, count: 1 });
    let last = accounts.reserve(&limits, 1, ts(START)).unwrap();
    accounts.reserve(&limits, 1, ts(START)).unwrap_err();
    // Those who come later count with who is there already.
    ledger.partition().set(Portion { rank: 2, count: 3 });
    drop(holds);
    accounts.reserve(&limits, 1, ts(START)).unwrap_err();
    drop(last);
    assert!(accounts.reserve(&limits, 1, ts(START)).is_ok());
}

#[test]
fn a_rate_is_shared_and_changes_with_the_number_of_nodes() {
    let ledger = Ledger::new(ts(START));
    let limits = Limits { rates: vec![Scoped::whole(rate(6, SECOND, 6))], ..Limits::default() };
    let limits = Arc::new(limits);
    let accounts = ledger.customer("acme");
    ledger.partition().set(Portion { rank: 1, count: 3 });
    let served = |nanos| {
        (0..100).filter(|_| accounts.reserve(&limits, 1, after(ts(START), nanos)).is_ok()).count()
    };
    assert_eq!(served(0), 2);
    // Two a second.
    assert_eq!((served(499_999_999), served(500_000_000)), (0, 1));
    // What is empty stays empty, however many there are.
    ledger.partition().set(Portion { rank: 0, count: 1 });
    assert_eq!(served(500_000_000), 0);
    assert_eq!(served(1_500_000_000), 6);
    ledger.partition().set(Portion { rank: 0, count: 6 });
    assert_eq!((served(1_500_000_000), served(2_500_000_000)), (0, 1));
}

proptest! {
    #[test]
    fn all_parts_are_the_whole_or_one_for_each(whole in 0..10_000_u64, count in 1..200_u32) {
        let parts = (0..count).map(|rank| Portion { rank, count }.of(whole));
        prop_assert!(whole == 0 || parts.clone().all(|part| part > 0));
        let expected = if whole == 0 { 0 } else { whole.max(count.into()) };
        prop_assert_eq!(parts.sum::<u64>(), expected);
    }

    /// The promise of a rate over all nodes: one more for each node beyond the first at most.
    #[test]
    fn no_interval_lets_too_many_through_over_all_nodes(
        limit in 1..50_u64,
        window in prop_oneof![1..100_u64, Just(SECOND), Just(60 * SECOND)],
        burst in 1..20_u64,
        count in 1..6_u32,
        steps in prop::collection::vec((0..15_u64, any::<prop::sample::Index>()), 1..200),
    ) {
        let whole = rate(limit, window, burst);
        let mut now = ts(START);
        let rates: Vec<_> = (0..count).map(|rank| Portion { rank, count }.of_rate(whole)).collect();
        let mut buckets: Vec<_> = rates.iter().map(|rate| Bucket::new(*rate, now)).collect();
        let mut taken = Vec::new();
        for (tenths, node) in steps {
            now = after(now, i128::from(window / limit * tenths / 10));
            let node = node.index(buckets.len());
            if try_take(&mut buckets[node], rates[node], now) {
                taken.push(now.as_nanosecond());
            }
        }
        for (first, from) in taken.iter().enumerate() {
            for (last, to) in taken.iter().enumerate().skip(first) {
                let given = (to - from) * i128::from(limit) / i128::from(window);
                let most = i128::from(burst) + i128::from(count) - 1 + given;
                prop_assert!((last - first + 1) as i128 <= most);
            }
        }
    }

    /// Nodes that come and go fill nobody's bucket.
    #[test]
    fn what_is_empty_stays_empty(
        burst in 1..50_u64,
        portions in prop::collection::vec((0..9_u32, 1..10_u32), 1..20),
    ) {
        let (whole, now) = (rate(10, SECOND, burst), ts(START));
        let mut bucket = Bucket::new(whole, now);
        while try_take(&mut bucket, whole, now) {}
        for (rank, count) in portions {
            let portion = Portion { rank: rank % count, count };
            prop_assert!(!try_take(&mut bucket, portion.of_rate(whole), now));
        }
    }
}
