//! What goes wrong in a run.

use super::super::random::Random;

/// In percent of what is sent, and how often something happens to a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    /// Up to some seconds late.
    pub(super) late: u64,
    /// Otherwise it takes so many milliseconds at most.
    pub(super) way: i64,
    /// In a thousand of what happens.
    pub(super) frozen: u64,
    pub(super) killed: u64,
    pub(super) paused: u64,
}

impl Faults {
    /// Nothing goes wrong.
    pub(super) const NONE: Self =
        Self { lost: 0, doubled: 0, late: 0, way: 5, frozen: 0, killed: 0, paused: 0 };

    /// Chooses some.
    pub(super) fn new(random: &mut Random) -> Self {
        if random.happens(20) {
            return Self::NONE;
        }
        let mut some = |values: &[u64]| random.one_of(values);
        Self {
            lost: some(&[0, 0, 2, 10, 40]),
            doubled: some(&[0, 5, 30]),
            late: some(&[0, 0, 5, 20]),
            way: 1 + some(&[1, 5, 40]).cast_signed(),
            frozen: some(&[0, 0, 1, 3]),
            killed: some(&[0, 0, 1, 4]),
            paused: some(&[0, 0, 1, 4]),
        }
    }

    /// Tells whether a request is always to be answered with what there is.
    pub(super) fn are_none(&self) -> bool {
        let Self { lost, doubled: _, late, way, frozen, killed, paused } = *self;
        lost + late + frozen + killed + paused == 0 && way <= 6
    }
}
