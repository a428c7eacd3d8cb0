//! Estimates of how long most requests took, from counts by buckets.

use serde::Serialize;

use crate::live::Histogram;

/// How long half of the requests took at most, 95 % of them, and 99 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: Estimate,
    pub(super) p95: Estimate,
    pub(super) p99: Estimate,
}

/// An estimated time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Estimate {
    pub(super) seconds: f64,
    /// It lies beyond the last bound, which is what is told instead.
    pub(super) or_more: bool,
}

impl Quantiles {
    /// Estimates from what was counted between two readings; `None` when nothing was. The earlier one
    /// counts as nothing if its buckets are others.
    pub(super) fn between(before: Option<&Histogram>, after: &Histogram) -> Option<Self> {
        let before = before.filter(|before| before.bounds_us == after.bounds_us);
        let then = before.map(|before| &*before.counts).unwrap_or_default();
        let then = then.iter().copied().chain(std::iter::repeat(0));
        let counts: Vec<u64> =
            after.counts.iter().zip(then).map(|(now, then)| now.saturating_sub(then)).collect();
        let all: u64 = counts.iter().sum();
        let at = |share: f64| estimate(&after.bounds_us, &counts, share * all as f64);
        (all > 0).then(|| Self { p50: at(0.50), p95: at(0.95), p99: at(0.99) })
    }
}

/// Gives the time that so many of the counted ones took at most, as if those in a bucket were spread
/// evenly over it.
fn estimate(bounds_us: &[u64], counts: &[u64], rank: f64) -> Estimate {
    let (mut below, mut from) = (0.0, 0.0);
    for (bound, count) in bounds_us.iter().zip(counts) {
        let (bound, count) = (*bound as f64 / 1e6, *count as f64);
        if count > 0.0 && below + count >= rank {
            let seconds = from + (bound - from) * (rank - below) / count;
            return Estimate { seconds, or_more: false };
        }
        below += count;
        from = bound;
    }
    Estimate { seconds: from, or_more: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: [u64; 4]) -> Histogram {
        let bounds_us = vec![100, 1_000, 10_000];
        Histogram { bounds_us, counts: counts.to_vec(), sum_us: 0 }
    }

    fn told(before: Option<[u64; 4]>, after: [u64; 4]) -> Option<[(f64, bool); 3]> {
        let before = before.map(histogram);
        let quantiles = Quantiles::between(before.as_ref(), &histogram(after))?;
        let Quantiles { p50, p95, p99 } = quantiles;
        Some([p50, p95, p99].map(|one| ((one.seconds * 1e6).round(), one.or_more)))
    }

    #[test]
    fn times_are_spread_evenly_over_their_bucket() {
        let all_in_second = [(550.0, false), (955.0, false), (991.0, false)];
        assert_eq!(told(None, [0, 100, 0, 0]), Some(all_in_second));
        let halves = told(None, [50, 50, 0, 0]).unwrap();
        assert_eq!(halves, [(100.0, false), (910.0, false), (982.0, false)]);
    }

    #[test]
    fn only_what_came_in_between_counts() {
        let slow = told(Some([1_000_000, 0, 0, 0]), [1_000_000, 0, 10, 0]).unwrap();
        assert_eq!(slow[0], (5_500.0, false));
        assert_eq!(told(Some([5, 5, 5, 5]), [5, 5, 5, 5]), None);
        // What falls is no reason for more than nothing.
        assert_eq!(told(Some([5, 5, 5, 5]), [1, 1, 1, 1]), None);
    }

    #[test]
    fn beyond_the_last_bound_it_is_told_so() {
        let beyond = told(None, [0, 0, 1, 99]).unwrap();
        assert_eq!(beyond, [(10_000.0, true); 3]);
    }

    #[test]
    fn other_buckets_are_not_subtracted() {
        let before = Histogram { bounds_us: vec![1], counts: vec![100, 100], sum_us: 0 };
        let after = histogram([10, 0, 0, 0]);
        let quantiles = Quantiles::between(Some(&before), &after).unwrap();
        assert_eq!(quantiles.p50.seconds, 50.0 / 1e6);
    }
}
