//! Numbers from a seed: the same ones each time.

/// SplitMix64, whose every state is a good one.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Begins with a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Gives a number below another one, which is not zero.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Gives a number from a range, both of whose ends are in it.
    pub(super) fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below(last.abs_diff(first) + 1).cast_signed()
    }

    /// Tells whether something happens that does in so many of a hundred cases.
    pub(super) fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Chooses one of several things.
    pub(super) fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.index(things.len())]
    }

    /// Gives a place in a list that is not empty.
    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
