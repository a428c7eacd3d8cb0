//! The rule of thresholds: each is told once in a window, and anew after the limit was raised.

use crate::store::records::ThresholdRecord;

/// What is to be told of an account now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Verdict {
    /// What is to be remembered.
    pub(super) record: ThresholdRecord,
    /// The thresholds that are reached and were not told, ascending.
    pub(super) reached: Vec<u8>,
}

/// Decides what is to be told of an account whose use went from `before` to `used`. The levels are in
/// percent and ascending; what is told is all up to the highest that was told.
///
/// A higher limit takes back what is told of the levels above the use, which can be reached again. The
/// use that counts for that is the one before: the limit was raised before anything was used under it.
pub(super) fn judge(
    levels: &[u8],
    known: Option<ThresholdRecord>,
    limit: u64,
    before: u64,
    used: u64,
) -> Verdict {
    let mut told = known.map_or(0, |known| known.told);
    if known.is_some_and(|known| limit > known.limit) {
        told = told.min(highest(levels, limit, before));
    }
    let highest = highest(levels, limit, used);
    let is_new = |level: &u8| told < *level && *level <= highest;
    let reached: Vec<u8> = levels.iter().copied().filter(is_new).collect();
    Verdict { record: ThresholdRecord { told: told.max(highest), limit }, reached }
}

/// Gives the highest level that is reached, or 0.
pub(super) fn highest(levels: &[u8], limit: u64, used: u64) -> u8 {
    let is_reached = |level: &&u8| {
        // Nothing can be used of a limit of zero, so nothing is reached.
        limit > 0 && u128::from(used) * 100 >= u128::from(limit) * u128::from(**level)
    };
    levels.iter().rev().find(is_reached).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const LEVELS: [u8; 3] = [50, 80, 100];

    fn known(told: u8, limit: u64) -> Option<ThresholdRecord> {
        Some(ThresholdRecord { told, limit })
    }

    #[test]
    fn levels_are_reached_exactly() {
        for (limit, used, level) in [
            (1000, 499, 0),
            (1000, 500, 50),
            (1000, 799, 50),
            (1000, 800, 80),
            (1000, 1000, 100),
            (3, 1, 0),
            (3, 2, 50),
            (1, 1, 100),
            (0, 0, 0),
            (0, 5, 0),
            (u64::MAX, u64::MAX, 100),
            (u64::MAX, u64::MAX / 2, 0),
        ] {
            assert_eq!(highest(&LEVELS, limit, used), level, "{used} of {limit}");
        }
        assert_eq!(highest(&[], 1, 1), 0);
    }

    #[test]
    fn jump_over_several_tells_each_in_order() {
        let verdict = judge(&LEVELS, None, 10, 0, 12);
        assert_eq!(verdict.reached, [50, 80, 100]);
        assert_eq!(Some(verdict.record), known(100, 10));
        assert_eq!(judge(&LEVELS, known(100, 10), 10, 12, 20).reached, [0; 0]);
    }

    #[test]
    fn higher_limit_arms_what_is_not_reached() {
        let verdict = judge(&LEVELS, known(100, 1000), 2000, 1000, 1000);
        assert_eq!((verdict.reached, Some(verdict.record)), (vec![], known(50, 2000)));
        assert_eq!(judge(&LEVELS, known(50, 2000), 2000, 1000, 1600).reached, [80]);
        // The same when nobody looked at the account when the limit was raised.
        assert_eq!(judge(&LEVELS, known(100, 1000), 10_000, 4999, 5000).reached, [50]);
        assert_eq!(judge(&LEVELS, known(100, 1000), 10_000, 1000, 8000).reached, [50, 80]);
    }

    #[test]
    fn lower_limit_arms_nothing_and_tells_what_is_reached_by_it() {
        assert_eq!(judge(&LEVELS, known(50, 1000), 600, 600, 600).reached, [80, 100]);
        assert_eq!(judge(&LEVELS, known(100, 1000), 2000, 0, 0).record.told, 0);
        assert_eq!(judge(&LEVELS, known(100, 1000), 500, 0, 0).record.told, 100);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Limit(u64),
        Renew,
        Use(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (0..40_u64).prop_map(Step::Limit),
            1 => Just(Step::Renew),
            6 => (0..12_u64).prop_map(Step::Use),
        ]
    }

    fn levels() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::btree_set(1..=100_u8, 0..5).prop_map(|set| set.into_iter().collect())
    }

    /// Keeps every level that was told in this window, and takes out those that a higher limit makes
    /// reachable again.
    #[derive(Default)]
    struct Naive {
        told: BTreeSet<u8>,
        limit: u64,
        used: u64,
    }

    impl Naive {
        fn is_reached(&self, level: u8) -> bool {
            self.limit > 0 && self.used as f64 / self.limit as f64 * 100.0 >= f64::from(level)
        }

        fn tell(&mut self, levels: &[u8]) -> Vec<u8> {
            let top = levels.iter().copied().filter(|level| self.is_reached(*level)).max();
            // Who was told 80 knows of 50 too.
            let known = self.told.last().copied().unwrap_or(0);
            let news = levels.iter().copied().filter(|level| Some(*level) <= top && *level > known);
            let news: Vec<u8> = news.collect();
            self.told.extend(&news);
            news
        }
    }

    impl Naive {
        fn set_limit(&mut self, levels: &[u8], limit: u64) {
            let is_higher = limit > self.limit;
            self.limit = limit;
            if !is_higher {
                return;
            }
            let top = levels.iter().copied().filter(|level| self.is_reached(*level)).max();
            let last = self.told.last().copied();
            self.told.retain(|level| Some(*level) <= top);
            // What is left of what was told goes up to the highest that is reached.
            if last >= top {
                self.told.extend(top);
            }
        }
    }

    proptest! {
        /// Nobody may look at a raised limit before something is used under it.
        #[test]
        fn rule_is_the_naive_one(
            levels in levels(),
            limit in 0..40_u64,
            is_looked_at in any::<bool>(),
            steps in proptest::collection::vec(step(), 1..40),
        ) {
            let mut naive = Naive { limit, ..Naive::default() };
            let mut record = None;
            let mut steps = steps.into_iter().peekable();
            while let Some(step) = steps.next() {
                let before = naive.used;
                match step {
                    Step::Limit(limit) => {
                        let is_higher = limit > naive.limit;
                        naive.set_limit(&levels, limit);
                        let is_used_next = matches!(steps.peek(), Some(Step::Use(_)));
                        if is_higher && is_used_next && !is_looked_at {
                            continue;
                        }
                    }
                    Step::Renew => {
                        naive = Naive { limit: naive.limit, ..Naive::default() };
                        record = None;
                        continue;
                    }
                    Step::Use(units) => naive.used += units,
                }
                let verdict = judge(&levels, record, naive.limit, before, naive.used);
                prop_assert_eq!(&verdict.reached, &naive.tell(&levels));
                record = Some(verdict.record);
            }
        }
    }
}
