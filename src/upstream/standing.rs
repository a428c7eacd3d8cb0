//! How an endpoint does, as all workers see it: what is in flight there, and whether it is left out.
//!
//! Only an upstream with several endpoints looks here. Everything is a relaxed atomic: who reads an
//! old figure chooses a little worse, and nothing else depends on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// How many failures in succession put an endpoint out.
const FAILURES: u32 = 3;

/// For how long the first time; each time after it, without a success between, takes twice as long.
const OUT_FIRST: Duration = Duration::from_secs(1);

/// For how long at most.
const OUT_MAX: Duration = Duration::from_secs(30);

/// How long one that comes back has less than its share, which grows by a tenth at a time.
const SLOW_START: Duration = Duration::from_secs(10);

/// How one endpoint does.
#[derive(Debug)]
pub struct Standing {
    /// From when on times are counted.
    born: Instant,
    in_flight: AtomicU32,
    /// In succession.
    failures: AtomicU32,
    /// In milliseconds; 0 when it was never out.
    out_until: AtomicU64,
}

/// A request in flight at an endpoint, counted there while this lives.
#[derive(Debug)]
pub struct InFlight(Arc<Standing>);

impl Standing {
    /// Makes that of an endpoint that was not asked yet.
    pub fn new(now: Instant) -> Self {
        Self {
            born: now,
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            out_until: AtomicU64::new(0),
        }
    }

    /// Notes that a request could not be sent to it, or was not answered.
    pub fn note_failure(&self, now: Instant) {
        // What was in flight when it failed fails with it, all at once: that counts as one time.
        if self.is_out(now) {
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let Some(times) = failures.checked_sub(FAILURES) else { return };
        let time = OUT_FIRST.saturating_mul(1 << times.min(5)).min(OUT_MAX);
        self.out_until.store(self.millis(now + time), Ordering::Relaxed);
    }

    /// Notes that it answered. Mostly nothing is written.
    pub fn note_success(&self) {
        if self.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.failures.store(0, Ordering::Relaxed);
        let now = Instant::now();
        if self.is_out(now) {
            self.out_until.store(self.millis(now), Ordering::Relaxed);
        }
    }

    /// Gives how many requests it has.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Tells whether it is left out.
    pub fn is_out(&self, now: Instant) -> bool {
        self.millis(now) < self.out_until()
    }

    /// Gives until when it is left out, to be compared with those beside it.
    pub(super) fn out_at(&self) -> Instant {
        self.born + Duration::from_millis(self.out_until())
    }

    /// Gives of how many tenths of its share it is worth: less for a while after it was out.
    pub(super) fn tenths(&self, now: Instant) -> u64 {
        let until = self.out_until();
        if until == 0 {
            return 10;
        }
        let slow = u64::try_from(SLOW_START.as_millis()).unwrap_or(u64::MAX);
        let back = self.millis(now).saturating_sub(until).min(slow);
        (back * 10 / slow + 1).min(10)
    }

    fn out_until(&self) -> u64 {
        self.out_until.load(Ordering::Relaxed)
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.born).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

impl InFlight {
    /// Counts one.
    pub fn new(standing: &Arc<Standing>) -> Self {
        standing.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(standing))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[tokio::test]
    async fn failures_put_it_out_for_longer_and_longer() {
        let mut now = Instant::now();
        let standing = Standing::new(now);
        standing.note_failure(now);
        standing.note_failure(now);
        assert!(!standing.is_out(now));
        for time in [1, 2, 4, 8, 16, 30, 30] {
            standing.note_failure(now);
            // Those that fail with it change nothing.
            standing.note_failure(now);
            now += Duration::from_secs(time);
            assert!(standing.is_out(now - seconds(0.001)), "{time}");
            assert!(!standing.is_out(now), "{time}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn success_brings_it_back_and_forgets() {
        let now = Instant::now();
        let standing = Standing::new(now);
        for _ in 0..3 {
            standing.note_failure(now);
        }
        assert!(standing.is_out(now));
        tokio::time::advance(seconds(0.5)).await;
        standing.note_success();
        let later = Instant::now();
        assert!(!standing.is_out(later));
        assert_eq!(standing.tenths(later), 1);
        standing.note_failure(later);
        standing.note_failure(later);
        assert!(!standing.is_out(later));
    }

    #[tokio::test]
    async fn share_grows_after_it_was_out() {
        let now = Instant::now();
        let standing = Standing::new(now);
        assert_eq!(standing.tenths(now), 10);
        for _ in 0..3 {
            standing.note_failure(now);
        }
        let tenths = [1.0, 1.9, 2.0, 6.0, 10.9, 11.0, 99.0]
            .map(|after| standing.tenths(now + seconds(after)));
        assert_eq!(tenths, [1, 1, 2, 6, 10, 10, 10]);
    }

    #[tokio::test]
    async fn what_is_in_flight_is_counted_while_it_is() {
        let standing = Arc::new(Standing::new(Instant::now()));
        let (one, two) = (InFlight::new(&standing), InFlight::new(&standing));
        assert_eq!(standing.in_flight(), 2);
        drop(one);
        assert_eq!(standing.in_flight(), 1);
        drop(two);
        assert_eq!(standing.in_flight(), 0);
    }
}
