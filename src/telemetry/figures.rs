//! Numbers that one thread writes and others read: what metrics are made of.
//!
//! Choice of primitive: a plain load and a plain store, relaxed. On the path of a request they cost
//! what an ordinary variable does; two writers would lose counts, so each number has one.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it. Only its one writer may call this.
    pub fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    /// Gives it.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// Adds one. Only its one writer may call this.
    pub fn raise(&self) {
        self.0.store(self.get().wrapping_add(1), Ordering::Relaxed);
    }

    /// Takes one off. Only its one writer may call this.
    pub fn lower(&self) {
        self.0.store(self.get().wrapping_sub(1), Ordering::Relaxed);
    }

    /// Gives it.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took, each time: counts by buckets, and their sum.
#[derive(Debug)]
pub struct Times {
    scale: Scale,
    /// One more than there are bounds: the last takes what is beyond all of them.
    counts: Box<[Count]>,
    sum_ns: Count,
}

/// The upper bounds of the buckets, in microseconds, in rising order.
pub type Scale = &'static [u64];

/// For what happens within the process.
pub const SHORT: Scale =
    &[20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 250_000, 1_000_000];

/// For what waits for a disk.
pub const DISK: Scale = &[
    200, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
];

/// For what waits for an upstream or a caller.
pub const LONG: Scale = &[
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// What was counted of times, at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Distribution {
    /// Upper bounds in microseconds and how many fell into each bucket, not summed up; the last
    /// bucket has no bound.
    pub buckets: Vec<(Option<u64>, u64)>,
    /// All times together, in nanoseconds.
    pub sum_ns: u64,
}

impl Times {
    /// Makes an empty one.
    pub fn new(scale: Scale) -> Self {
        let counts = (0..=scale.len()).map(|_| Count::default()).collect();
        Self { scale, counts, sum_ns: Count::default() }
    }

    /// Takes a time. Only its one writer may call this.
    pub fn take(&self, time: Duration) {
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.scale.partition_point(|bound| bound.saturating_mul(1_000) < time_ns);
        if let Some(count) = self.counts.get(bucket) {
            count.add(1);
        }
        self.sum_ns.add(time_ns);
    }

    /// Adds what was counted so far to a distribution, which begins empty.
    pub fn add_to(&self, distribution: &mut Distribution) {
        let bounds = self.scale.iter().copied().map(Some).chain([None]);
        let counted = bounds.zip(self.counts.iter().map(Count::get));
        if distribution.buckets.is_empty() {
            distribution.buckets = counted.collect();
        } else {
            let sums = distribution.buckets.iter_mut().zip(counted);
            sums.for_each(|((_, sum), (_, count))| *sum = sum.saturating_add(count));
        }
        distribution.sum_ns = distribution.sum_ns.saturating_add(self.sum_ns.get());
    }
}

impl Distribution {
    /// Gives how many times were taken.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_bucket_that_ends_with_them() {
        let times = Times::new(&[10, 100]);
        for time_ns in [0, 10_000, 10_001, 100_000, 100_001, 5_000_000] {
            times.take(Duration::from_nanos(time_ns));
        }
        let mut taken = Distribution::default();
        times.add_to(&mut taken);
        assert_eq!(taken.buckets, [(Some(10), 2), (Some(100), 2), (None, 2)]);
        assert_eq!((taken.count(), taken.sum_ns), (6, 5_220_002));
        times.add_to(&mut taken);
        assert_eq!((taken.count(), taken.sum_ns), (12, 10_440_004));
    }

    #[test]
    fn scales_rise() {
        for scale in [SHORT, DISK, LONG] {
            assert!(scale.is_sorted_by(|a, b| a < b), "{scale:?}");
        }
    }
}
