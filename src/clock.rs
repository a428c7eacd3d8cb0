//! The one place where time enters.
//!
//! Decision time is an accepted wall time carried on by the clock that counts suspension. The wall
//! clock is compared once a second: small drift is followed, and a step of more than a minute is
//! believed only after it has stood for ten minutes, so that a clock that is wrong for a moment
//! neither renews quotas nor ends subscriptions.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

const STEP_BELIEVED: Duration = Duration::from_secs(60);
const STEP_STANDS: Duration = Duration::from_secs(600);
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A source of decision time.
#[derive(Debug)]
pub struct Clock {
    /// Accepted wall time minus running time, in nanoseconds. A relaxed atomic is enough: any value
    /// it ever had is an accepted one.
    offset: AtomicI64,
    /// A step that is not believed yet: the offset it would give and when it was first seen.
    doubt: Mutex<Option<Doubt>>,
    source: Source,
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    offset: i64,
    since: i64,
}

#[derive(Debug)]
enum Source {
    /// The machine's clocks.
    System,
    /// Moved by hand, for tests.
    Manual(AtomicI64),
}

/// What a comparison with the wall clock found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Comparison {
    /// The two agree, or the small difference was followed.
    Agrees,
    /// The wall clock stepped and is not believed yet.
    Doubted {
        /// Seconds that the wall clock is ahead of the decision time.
        ahead_seconds: i64,
    },
    /// A step has stood long enough and is now the decision time.
    Believed {
        /// Seconds by which the decision time was moved.
        ahead_seconds: i64,
    },
}

impl Clock {
    /// Makes a clock that starts at the machine's wall time.
    pub fn system() -> Self {
        let offset = nanoseconds(ClockId::Realtime).saturating_sub(nanoseconds(ClockId::Boottime));
        Self { offset: offset.into(), doubt: Mutex::new(None), source: Source::System }
    }

    /// Makes a clock that stands still until it is moved.
    pub fn manual(at: Timestamp) -> Self {
        let at = i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX);
        Self { offset: 0.into(), doubt: Mutex::new(None), source: Source::Manual(at.into()) }
    }

    /// Moves a manual clock; a system clock is not moved.
    pub fn set(&self, at: Timestamp) {
        if let Source::Manual(now) = &self.source {
            now.store(i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }

    /// Gives the decision time.
    pub fn now(&self) -> Timestamp {
        let now = self.running().saturating_add(self.offset.load(Ordering::Relaxed));
        let second = now.div_euclid(NANOS_PER_SECOND);
        // It is less than a second.
        let nanosecond = i32::try_from(now.rem_euclid(NANOS_PER_SECOND)).unwrap_or_default();
        Timestamp::new(second, nanosecond).unwrap_or(Timestamp::MAX)
    }

    /// Compares with the wall clock; called about once a second.
    pub fn compare(&self) -> Comparison {
        match self.source {
            Source::System => self.compare_with(nanoseconds(ClockId::Realtime)),
            Source::Manual(_) => Comparison::Agrees,
        }
    }

    /// Gives how far the wall clock is ahead of the decision time while that is not believed; else 0.
    pub fn doubted_seconds(&self) -> i64 {
        let doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = self.offset.load(Ordering::Relaxed);
        doubt.map_or(0, |doubt| doubt.offset.saturating_sub(offset) / NANOS_PER_SECOND)
    }

    fn compare_with(&self, wall: i64) -> Comparison {
        let running = self.running();
        let seen = wall.saturating_sub(running);
        let ahead = seen.saturating_sub(self.offset.load(Ordering::Relaxed));
        let mut doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        if within(ahead, STEP_BELIEVED) {
            self.offset.store(seen, Ordering::Relaxed);
            *doubt = None;
            return Comparison::Agrees;
        }
        let ahead_seconds = ahead / NANOS_PER_SECOND;
        // A second step while the first is doubted starts the wait anew.
        let standing = doubt.filter(|d| within(seen.saturating_sub(d.offset), STEP_BELIEVED));
        let Doubt { since, .. } =
            *doubt.insert(standing.unwrap_or(Doubt { offset: seen, since: running }));
        if !within(running.saturating_sub(since), STEP_STANDS) {
            self.offset.store(seen, Ordering::Relaxed);
            *doubt = None;
            return Comparison::Believed { ahead_seconds };
        }
        Comparison::Doubted { ahead_seconds }
    }

    fn running(&self) -> i64 {
        match &self.source {
            Source::System => nanoseconds(ClockId::Boottime),
            Source::Manual(now) => now.load(Ordering::Relaxed),
        }
    }
}

fn within(difference: i64, bound: Duration) -> bool {
    u128::from(difference.unsigned_abs()) <= bound.as_nanos()
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    let second = time.tv_sec.saturating_add(moved_seconds(clock));
    second.saturating_mul(NANOS_PER_SECOND).saturating_add(time.tv_nsec)
}

/// Gives how far a test has moved a clock.
#[cfg(debug_assertions)]
fn moved_seconds(clock: ClockId) -> i64 {
    use crate::failpoint::{self, MovedClock};
    let is_wall = clock == ClockId::Realtime;
    failpoint::moved_seconds(if is_wall { MovedClock::Wall } else { MovedClock::Running })
}

/// Nobody moves a clock under a program that was built to be used.
#[cfg(not(debug_assertions))]
fn moved_seconds(_: ClockId) -> i64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> (Clock, i64) {
        let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        (Clock::manual(start), i64::try_from(start.as_nanosecond()).unwrap())
    }

    fn advance(clock: &Clock, seconds: i64) {
        let Source::Manual(now) = &clock.source else { unreachable!() };
        now.fetch_add(seconds * NANOS_PER_SECOND, Ordering::Relaxed);
    }

    #[test]
    fn drift_is_followed() {
        let (clock, start) = clock();
        let wall = start + 30 * NANOS_PER_SECOND;
        assert_eq!(clock.compare_with(wall), Comparison::Agrees);
        assert_eq!(clock.now().to_string(), "2026-11-20T00:00:30Z");
    }

    #[test]
    fn step_is_believed_after_ten_minutes() {
        let (clock, start) = clock();
        let step = 7200 * NANOS_PER_SECOND;
        for minute in 0..=10 {
            let wall = start + minute * 60 * NANOS_PER_SECOND + step;
            assert_eq!(clock.compare_with(wall), Comparison::Doubted { ahead_seconds: 7200 });
            advance(&clock, 60);
        }
        let wall = start + 660 * NANOS_PER_SECOND + step;
        assert_eq!(clock.compare_with(wall), Comparison::Believed { ahead_seconds: 7200 });
        assert_eq!(clock.now().to_string(), "2026-11-20T02:11:00Z");
    }

    #[test]
    fn step_that_goes_back_leaves_no_trace() {
        let (clock, start) = clock();
        for wall in [start - 172_800 * NANOS_PER_SECOND, start] {
            clock.compare_with(wall);
        }
        assert_eq!(clock.now().to_string(), "2026-11-20T00:00:00Z");
        assert!(clock.doubt.lock().unwrap().is_none());
    }
}
