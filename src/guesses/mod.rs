//! Failed API keys by client address, so that nobody tries many.
//!
//! Each address has a bucket of attempts: a failed key takes one, and time gives them back evenly. An
//! address whose bucket is empty is refused before its key is looked at, good or bad; else a guesser
//! would still learn which key is good.
//!
//! Bounded: at most 65,536 addresses, some 4 MB. Where there is no room, the addresses nearest to a
//! full bucket are forgotten first, which are those that failed least or longest ago; so a guesser
//! with many addresses pushes out his fresh ones before anyone who is refused.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;

use crate::model::ClientNetwork;

/// How many keys may fail from one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GuessLimit {
    /// Failed keys in one window; at least 1.
    pub limit: u32,
    /// The time in which as many attempts are given back.
    pub window: Duration,
}

/// The failed keys of all addresses.
#[derive(Debug, Default)]
pub struct Guesses {
    shards: [Shard; SHARDS],
    hasher: RandomState,
}

/// Workers that look at different addresses seldom meet in one of these.
const SHARDS: usize = 16;

/// Addresses in one shard.
const SHARD_MAX: usize = 4096;

/// A part of the addresses.
#[derive(Debug, Default)]
struct Shard {
    buckets: Mutex<HashMap<ClientNetwork, Bucket>>,
    /// The number of buckets, so that where nobody fails no lock is taken. It is changed under the
    /// lock and read without: one that is seen late lets a request pass to [`Guesses::fail`], which
    /// decides under the lock.
    count: AtomicUsize,
}

/// The attempts of one address: the time at which it has all of them again, in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Bucket {
    full_at: i128,
}

impl Guesses {
    /// Gives the time that an address must wait before it may send a key; `None` when it need not.
    pub fn wait(&self, address: IpAddr, limit: GuessLimit, now: Timestamp) -> Option<Duration> {
        let network = ClientNetwork::from(address);
        let shard = self.shard(network);
        if shard.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut buckets = shard.lock();
        let bucket = buckets.get_mut(&network)?;
        bucket.advance(limit, now);
        if bucket.is_full(now) {
            buckets.remove(&network);
            shard.count.store(buckets.len(), Ordering::Relaxed);
            return None;
        }
        bucket.wait(limit, now)
    }

    /// Counts a failed key, unless others have used up the address's attempts meanwhile: then it
    /// gives the time to wait, as [`Self::wait`] would have.
    pub fn fail(&self, address: IpAddr, limit: GuessLimit, now: Timestamp) -> Option<Duration> {
        let network = ClientNetwork::from(address);
        let shard = self.shard(network);
        let mut buckets = shard.lock();
        if buckets.len() >= SHARD_MAX && !buckets.contains_key(&network) {
            forget_fullest(&mut buckets);
        }
        let bucket = buckets.entry(network).or_insert(Bucket { full_at: now.as_nanosecond() });
        bucket.advance(limit, now);
        let wait = bucket.wait(limit, now);
        if wait.is_none() {
            bucket.full_at = bucket.full_at.saturating_add(interval(limit));
        }
        shard.count.store(buckets.len(), Ordering::Relaxed);
        wait
    }

    fn shard(&self, network: ClientNetwork) -> &Shard {
        // The remainder of a division by a small number fits.
        let index = usize::try_from(self.hasher.hash_one(network) % SHARDS as u64).unwrap_or(0);
        self.shards.get(index).expect("the index is a remainder")
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClientNetwork, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    /// Brings it to the time and the limit. More than all attempts cannot be missing: after a limit
    /// was lowered, or the clock set back, the address waits no longer than one that has just failed.
    fn advance(&mut self, limit: GuessLimit, now: Timestamp) {
        let now = now.as_nanosecond();
        self.full_at = self.full_at.clamp(now, now.saturating_add(capacity(limit)));
    }

    fn is_full(self, now: Timestamp) -> bool {
        self.full_at <= now.as_nanosecond()
    }

    /// Gives the time until there is one attempt, if there is none.
    fn wait(self, limit: GuessLimit, now: Timestamp) -> Option<Duration> {
        let missing = self.full_at.saturating_sub(now.as_nanosecond());
        let room = capacity(limit).saturating_sub(interval(limit));
        let wait = missing.saturating_sub(room);
        u64::try_from(wait).ok().filter(|wait| *wait > 0).map(Duration::from_nanos)
    }
}

/// The time that gives one attempt back, in nanoseconds.
fn interval(limit: GuessLimit) -> i128 {
    let interval = limit.window.as_nanos().div_ceil(u128::from(limit.limit.max(1)));
    i128::try_from(interval).unwrap_or(i128::MAX).max(1)
}

/// The time that gives all of them back: the window, rounded up to whole intervals.
fn capacity(limit: GuessLimit) -> i128 {
    interval(limit).saturating_mul(limit.limit.max(1).into())
}

/// Makes room by forgetting an eighth of the addresses, those nearest to a full bucket. A part, so
/// that a flood of new addresses does not search the whole shard for each.
fn forget_fullest(buckets: &mut HashMap<ClientNetwork, Bucket>) {
    let mut order: Vec<Bucket> = buckets.values().copied().collect();
    let count = order.len() / 8;
    let (_, last, _) = order.select_nth_unstable(count);
    let last = *last;
    let mut left = count;
    buckets.retain(|_, bucket| {
        let is_forgotten = left > 0 && *bucket <= last;
        left -= usize::from(is_forgotten);
        !is_forgotten
    });
}

#[cfg(test)]
mod tests;
