//! How an endpoint does, as all workers see it: what is in flight there, and whether it is left out.
//!
//! Who chooses among several endpoints looks here; an upstream with a single one is asked in any case.
//! Everything is a relaxed atomic: who reads an old figure chooses a little worse, and nothing else
//! depends on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{breaker::Breaker, gate::Gate};

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
    /// Its checks fail.
    is_ill: AtomicBool,
    state: AtomicU8,
    breaker: Breaker,
    gate: Arc<Gate>,
    /// What came of its checks.
    pub checks: Checks,
}

/// What came of the checks of an endpoint.
#[derive(Debug, Default)]
pub struct Checks {
    /// Those that passed.
    pub passed: AtomicU64,
    /// Those that failed.
    pub failed: AtomicU64,
}

/// How an endpoint did last when a request was sent to it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum State {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answered.
    Up,
    /// It could not be reached, or did not answer.
    Down,
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
            is_ill: AtomicBool::new(false),
            state: AtomicU8::default(),
            breaker: Breaker::default(),
            gate: Arc::default(),
            checks: Checks::default(),
        }
    }

    /// Notes that a request could not be sent to it, or was not answered; gives for how long it is left
    /// out for that from now on.
    pub fn note_failure(&self, now: Instant) -> Option<Duration> {
        // What was in flight when it failed fails with it, all at once: that counts as one time.
        if self.is_resting(now) {
            return None;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let times = failures.checked_sub(FAILURES)?;
        let time = OUT_FIRST.saturating_mul(1 << times.min(5)).min(OUT_MAX);
        self.out_until.store(self.millis(now + time), Ordering::Relaxed);
        Some(time)
    }

    /// Notes that it answered; true when it had been left out. Mostly nothing is written.
    pub fn note_success(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let failures = self.failures.swap(0, Ordering::Relaxed);
        let now = Instant::now();
        if self.is_resting(now) {
            self.out_until.store(self.millis(now), Ordering::Relaxed);
        }
        failures >= FAILURES
    }

    /// Notes whether its checks fail; true when that is new.
    pub(super) fn set_ill(&self, is_ill: bool, now: Instant) -> bool {
        let is_new = self.is_ill.swap(is_ill, Ordering::Relaxed) != is_ill;
        if is_new && !is_ill {
            // From now on its share grows, unless requests leave it out for longer.
            self.out_until.fetch_max(self.millis(now), Ordering::Relaxed);
        }
        is_new
    }

    /// Notes how it did. Written only where it changes, so that workers do not take the line of
    /// memory from each other for each request.
    pub(crate) fn set_state(&self, state: State) {
        if self.state() != state {
            self.state.store(state as u8, Ordering::Relaxed);
        }
    }

    /// Tells whether a connection may be tried.
    pub(crate) fn admits_connection(&self, now: Instant) -> bool {
        self.breaker.admits(self.millis(now))
    }

    /// Notes that a connection could not be opened; true when callers are not kept waiting for that any
    /// more.
    pub(crate) fn note_unreachable(&self, now: Instant) -> bool {
        self.breaker.note_failure(self.millis(now))
    }

    /// Tells whether callers do not wait for it because it could not be reached.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.breaker.is_open()
    }

    /// Notes that one was opened; true when it could not be reached before.
    pub(crate) fn note_reachable(&self) -> bool {
        self.breaker.note_success()
    }

    /// Tells how it did last.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            1 => State::Up,
            2 => State::Down,
            _ => State::Unknown,
        }
    }

    /// Tells whether its checks fail.
    pub fn is_ill(&self) -> bool {
        self.is_ill.load(Ordering::Relaxed)
    }

    /// Gives what counts its connections, where there is a limit to them.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Gives how many requests it has.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Tells whether it is left out, where there is another.
    pub fn is_out(&self, now: Instant) -> bool {
        self.is_ill() || self.is_resting(now)
    }

    /// Gives until when it is left out, to be compared with those beside it.
    pub(super) fn rank(&self) -> u64 {
        if self.is_ill() { u64::MAX } else { self.out_until() }
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

    /// Tells whether it is left out because requests failed.
    fn is_resting(&self, now: Instant) -> bool {
        self.millis(now) < self.out_until()
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
    async fn failing_checks_leave_it_out_and_passing_ones_bring_it_back_slowly() {
        let now = Instant::now();
        let standing = Standing::new(now);
        assert!(!standing.set_ill(false, now));
        assert!(standing.set_ill(true, now));
        assert!(!standing.set_ill(true, now));
        let later = now + seconds(100.0);
        // What requests say meanwhile does not bring it back.
        standing.note_success();
        assert!(standing.is_out(later));
        assert!(standing.set_ill(false, later));
        assert!(!standing.is_out(later));
        assert_eq!(standing.tenths(later), 1);
        assert_eq!(standing.tenths(later + seconds(5.0)), 6);
        // Requests leave it out by themselves, whatever the checks say.
        for _ in 0..3 {
            standing.note_failure(later);
        }
        assert!(standing.is_out(later));
        standing.set_ill(true, later);
        standing.set_ill(false, later + seconds(0.5));
        assert!(standing.is_out(later + seconds(0.9)));
        assert!(!standing.is_out(later + seconds(1.0)));
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
