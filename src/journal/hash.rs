//! A cheap hash for keys of our own making: counters, addresses and times.
//!
//! The hash of the standard library is there against keys that an attacker chooses so that they fall
//! together. Nobody outside chooses these: records and sets are numbered here, and definitions stand
//! where the allocator puts them.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

/// A map by keys of our own making.
pub(super) type OwnMap<K, V> = HashMap<K, V, BuildHasherDefault<OwnHasher>>;

/// A set of keys of our own making.
pub(super) type OwnSet<K> = HashSet<K, BuildHasherDefault<OwnHasher>>;

/// Multiplies by an odd number that has its bits all over: what differs in low bits comes to differ in
/// high ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnHasher(u64);

const FACTOR: u64 = 0xf135_7aea_2e62_a9c5;

/// Brings the high bits, which depend on all others, to where tables look.
const TURN: u32 = 26;

impl Hasher for OwnHasher {
    fn finish(&self) -> u64 {
        self.0.rotate_left(TURN)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.wrapping_add(number).wrapping_mul(FACTOR);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    /// Tables take the low bits for the place and the high ones to tell what stands there.
    fn spread(keys: &[u64]) -> [usize; 2] {
        let build = BuildHasherDefault::<OwnHasher>::default();
        [0, 57].map(|shift| {
            let parts: HashSet<_> =
                keys.iter().map(|key| build.hash_one(key) >> shift & 0x7f).collect();
            parts.len()
        })
    }

    #[test]
    fn numbers_in_a_row_and_addresses_are_spread() {
        let numbers: Vec<_> = (0..1024).collect();
        let addresses: Vec<_> = (0..1024).map(|number| 0x7f00_0000_0000 + number * 96).collect();
        for [low, high] in [spread(&numbers), spread(&addresses)] {
            assert!(low > 90 && high > 90, "{low} {high}");
        }
    }
}
