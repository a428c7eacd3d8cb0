//! The token bucket: its edges, and against counting in every interval.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{after, rate, ts};
use crate::ledger::{Rate, rate::Bucket};

const SECOND: u64 = 1_000_000_000;

/// The definition, without a level: a request is let through if in every interval that ends with it
/// no more than `burst + floor(t * limit / window)` are.
pub(super) struct Naive {
    pub(super) rate: Rate,
    /// Admissions, on a clock that stands still while time goes back a little.
    admitted: Vec<i128>,
    clock: i128,
    latest: Timestamp,
}

impl Naive {
    pub(super) fn new(rate: Rate, at: Timestamp) -> Self {
        Self { rate, admitted: Vec::new(), clock: 0, latest: at }
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        let elapsed = now.as_nanosecond() - self.latest.as_nanosecond();
        // Back by up to a minute is threads out of order: the clock stands still until it is past.
        if !(-60_000_000_000..=0).contains(&elapsed) {
            self.clock += elapsed.max(0);
            self.latest = now;
        }
    }

    pub(super) fn take(&mut self) {
        self.admitted.push(self.clock);
    }

    pub(super) fn remaining(&self) -> u64 {
        (0..).find(|more| !self.fits(more + 1, self.clock)).unwrap()
    }

    /// Tells whether this many more fit at this time.
    pub(super) fn fits(&self, more: u64, clock: i128) -> bool {
        let allowed = |elapsed: i128| {
            let given = elapsed * i128::from(self.rate.limit) / window_ns(&self.rate);
            i128::from(self.rate.burst) + given
        };
        i128::from(more) <= allowed(0)
            && self.admitted.iter().enumerate().all(|(index, from)| {
                let count = (self.admitted.len() - index) as i128 + i128::from(more);
                count <= allowed(clock - from)
            })
    }
}

fn window_ns(rate: &Rate) -> i128 {
    i128::try_from(rate.window.as_nanos()).unwrap()
}

/// Takes if there is one to take.
fn try_take(bucket: &mut Bucket, rate: Rate, now: Timestamp) -> bool {
    bucket.advance(rate, now);
    bucket.check_invariants();
    let there = bucket.standing(now).remaining > 0;
    if there {
        bucket.take();
    }
    there
}

fn remaining(bucket: &Bucket, now: Timestamp) -> u64 {
    bucket.standing(now).remaining
}

#[test]
fn a_burst_then_one_for_each_share_of_the_window() {
    let start = ts("2026-01-01T00:00:00Z");
    let three_a_second = rate(3, SECOND, 2);
    let mut bucket = Bucket::new(three_a_second, start);
    assert_eq!(bucket.standing(start).next, Duration::ZERO);
    assert!(try_take(&mut bucket, three_a_second, start));
    assert!(try_take(&mut bucket, three_a_second, start));
    assert!(!try_take(&mut bucket, three_a_second, start));

    // A third of a second is no whole number of nanoseconds: the wait is rounded up, the level is not.
    let wait = bucket.standing(start).next;
    assert_eq!(wait, Duration::from_nanos(333_333_334));
    assert!(!try_take(&mut bucket, three_a_second, after(start, 333_333_333)));
    assert!(try_take(&mut bucket, three_a_second, after(start, 333_333_334)));
    assert!(!try_take(&mut bucket, three_a_second, after(start, 666_666_666)));
    assert!(try_take(&mut bucket, three_a_second, after(start, 666_666_667)));
    assert!(try_take(&mut bucket, three_a_second, after(start, 1_000_000_000)));
}

#[test]
fn a_quiet_time_fills_no_further_than_the_burst() {
    let start = ts("2026-01-01T00:00:00Z");
    let few = rate(1, SECOND, 5);
    let mut bucket = Bucket::new(few, start);
    bucket.advance(few, Timestamp::MAX);
    assert_eq!(remaining(&bucket, Timestamp::MAX), 5);
    assert_eq!(bucket.standing(Timestamp::MAX).next, Duration::ZERO);
}

#[test]
fn time_that_goes_back_a_little_gives_nothing_twice() {
    let start = ts("2026-01-01T00:00:00Z");
    let slow = rate(1, SECOND, 1);
    let mut bucket = Bucket::new(slow, start);
    assert!(try_take(&mut bucket, slow, start));
    let earlier = after(start, -30_000_000_000);
    assert!(!try_take(&mut bucket, slow, earlier));
    assert_eq!(bucket.standing(earlier).next, Duration::from_secs(31));
    assert!(!try_take(&mut bucket, slow, start));
    assert!(try_take(&mut bucket, slow, after(start, 1_000_000_000)));
}

#[test]
fn a_clock_that_is_set_back_gives_nothing_and_locks_nobody_out() {
    let start = ts("2026-01-01T00:00:00Z");
    let slow = rate(1, SECOND, 1);
    let mut bucket = Bucket::new(slow, start);
    assert!(try_take(&mut bucket, slow, start));
    let hour_ago = after(start, -3_600_000_000_000);
    assert!(!try_take(&mut bucket, slow, hour_ago));
    assert_eq!(bucket.standing(hour_ago).next, Duration::from_secs(1));
    assert!(try_take(&mut bucket, slow, after(hour_ago, 1_000_000_000)));
}

#[test]
fn a_changed_rate_keeps_the_part_in_debt() {
    let now = ts("2026-01-01T00:00:00Z");
    let (small, large) = (rate(10, SECOND, 10), rate(500, 60 * SECOND, 100));
    let mut bucket = Bucket::new(small, now);
    for _ in 0..4 {
        assert!(try_take(&mut bucket, small, now));
    }
    bucket.advance(large, now);
    assert_eq!(remaining(&bucket, now), 60);
    bucket.advance(small, now);
    assert_eq!(remaining(&bucket, now), 6);

    // Alternating between two rates lets no more through than the larger burst.
    let taken = (0..1000)
        .filter(|turn| try_take(&mut bucket, if turn % 2 == 0 { small } else { large }, now))
        .count();
    assert!(taken <= 60, "{taken} taken");
    bucket.advance(small, now);
    assert_eq!(remaining(&bucket, now), 0);
}

#[test]
fn a_huge_rate_neither_overflows_nor_forgets() {
    let now = ts("2026-01-01T00:00:00Z");
    let day = 86_400 * SECOND;
    let (million, huge) = (rate(1_000_000, day, 1_000_000), rate(u64::MAX, day, u64::MAX));
    let mut bucket = Bucket::new(million, now);
    for _ in 0..500_000 {
        bucket.take();
    }
    bucket.advance(huge, now);
    let half = u64::MAX / 2;
    assert!((half - half / 1000..=half + 1).contains(&remaining(&bucket, now)));
    bucket.advance(million, now);
    assert!((499_900..=500_000).contains(&remaining(&bucket, now)));
}

#[test]
fn a_rate_that_the_configuration_refuses_is_read_as_the_least() {
    let now = ts("2026-01-01T00:00:00Z");
    let none = rate(0, SECOND, 0);
    let mut bucket = Bucket::new(none, now);
    assert!(try_take(&mut bucket, none, now));
    assert!(!try_take(&mut bucket, none, now));
    assert_eq!(bucket.standing(now).next, Duration::from_secs(1));
    assert!(try_take(&mut Bucket::new(rate(0, 0, 0), now), rate(0, 0, 0), now));
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let window = prop_oneof![1..100_u64, Just(SECOND), Just(60 * SECOND), 1..86_400 * SECOND];
    (1..50_u64, window, 1..20_u64).prop_map(|(limit, window, burst)| rate(limit, window, burst))
}

proptest! {
    /// Steps are in parts of the time for one request, so that they fall around what matters.
    #[test]
    fn the_bucket_is_the_definition(
        rate in any_rate(),
        steps in prop::collection::vec((-3..20_i128, -1..=1_i128), 1..150),
    ) {
        let mut now = ts("2026-01-01T00:00:00Z");
        let (mut bucket, mut naive) = (Bucket::new(rate, now), Naive::new(rate, now));
        for (tenths, more) in steps {
            let share = window_ns(&rate) / i128::from(rate.limit);
            now = after(now, share * tenths / 10 + more);
            naive.advance(now);
            bucket.advance(rate, now);
            let standing = bucket.standing(now);
            prop_assert_eq!(standing.remaining, naive.remaining());
            if standing.remaining < rate.burst {
                // The next comes then, and not a nanosecond earlier.
                let behind = naive.latest.as_nanosecond() - now.as_nanosecond();
                let wait = i128::try_from(standing.next.as_nanos()).unwrap() - behind;
                prop_assert!(wait > 0);
                let clock = naive.clock + wait;
                prop_assert!(naive.fits(standing.remaining + 1, clock));
                prop_assert!(!naive.fits(standing.remaining + 1, clock - 1));
            }
            prop_assert_eq!(standing.next.is_zero(), standing.remaining == rate.burst);
            if try_take(&mut bucket, rate, now) {
                naive.take();
            }
        }
    }

    /// Windows of few nanoseconds, as there rounding weighs most.
    #[test]
    fn changing_rates_let_no_more_than_the_largest_burst_through(
        rates in prop::collection::vec((1..9_u64, 1..9_u64), 2..4),
        turns in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
    ) {
        let now = ts("2026-01-01T00:00:00Z");
        let rates: Vec<_> = rates.into_iter().map(|(window, burst)| rate(1, window, burst)).collect();
        let mut bucket = Bucket::new(rates[0], now);
        let taken = turns.iter().filter(|turn| try_take(&mut bucket, *turn.get(&rates), now)).count();
        prop_assert!(taken as u64 <= rates.iter().map(|rate| rate.burst).max().unwrap());
    }

    /// The promise itself, over what was let through.
    #[test]
    fn no_interval_lets_too_many_through(
        rate in any_rate(),
        steps in prop::collection::vec(0..15_u64, 1..200),
    ) {
        let mut now = ts("2026-01-01T00:00:00Z");
        let mut bucket = Bucket::new(rate, now);
        let mut taken = Vec::new();
        for tenths in steps {
            let share = window_ns(&rate) / i128::from(rate.limit);
            now = after(now, share * i128::from(tenths) / 10);
            if try_take(&mut bucket, rate, now) {
                taken.push(now.as_nanosecond());
            }
        }
        for (first, from) in taken.iter().enumerate() {
            for (last, to) in taken.iter().enumerate().skip(first) {
                let given = (to - from) * i128::from(rate.limit) / window_ns(&rate);
                let count = (last - first + 1) as i128;
                prop_assert!(count <= i128::from(rate.burst) + given);
            }
        }
    }
}
