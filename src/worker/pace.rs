//! How fast a client sends or takes while it is waited for.
//!
//! The rate is an average over the whole body: each byte allows for the time that it may take, and only the
//! time that the client is waited for is taken off. So who is held up by a slow upstream, or sends and
//! takes quickly and rests then, is never too slow by it; for silence there is the idle time.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

/// What is allowed for beforehand.
const GRACE: Duration = Duration::from_secs(5);

/// More than any body may take, and far from where times overflow.
const LEFT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// How fast a client sends a body, or takes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Bytes per second; `None` is as slow as it likes.
    rate: Option<NonZeroU64>,
    /// Since when the client is waited for, if it is.
    since: Option<Instant>,
    /// How long it may be waited for from then on.
    left: Duration,
}

impl Pace {
    /// Begins a body.
    pub(super) fn new(rate: Option<NonZeroU64>) -> Self {
        Self { rate, since: None, left: GRACE }
    }

    /// Notes bytes that moved, and whether the client is waited for from now on.
    pub(super) fn note(&mut self, bytes: u64, is_waited_for: bool, now: Instant) {
        let Some(rate) = self.rate else { return };
        if let Some(since) = self.since.take() {
            let waited = now.saturating_duration_since(since);
            self.left = self.left.saturating_sub(waited);
        }
        let allowed_ns = bytes.saturating_mul(1_000_000_000) / rate;
        self.left = self.left.saturating_add(Duration::from_nanos(allowed_ns)).min(LEFT_MAX);
        self.since = is_waited_for.then_some(now);
    }

    /// Tells whether the client is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Gives the instant at which it is too slow if nothing moves.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace() -> (Pace, Instant) {
        (Pace::new(NonZeroU64::new(100)), Instant::now())
    }

    #[test]
    fn grace_is_used_up_by_waiting_alone() {
        let (mut pace, start) = pace();
        assert_eq!(pace.deadline(), None);
        pace.note(0, true, start);
        assert_eq!(pace.deadline(), Some(start + GRACE));
        pace.note(0, false, start + SECOND);
        assert_eq!(pace.deadline(), None, "the upstream is waited for");
        let later = start + SECOND * 1000;
        pace.note(0, true, later);
        assert_eq!(pace.deadline(), Some(later + SECOND * 4));
    }

    #[test]
    fn bytes_allow_for_the_time_that_they_may_take() {
        let (mut pace, start) = pace();
        pace.note(0, true, start);
        // At the very rate it goes on without end, however the bytes come.
        for second in 1..1000 {
            pace.note(100, true, start + SECOND * second);
            assert_eq!(pace.deadline(), Some(start + SECOND * second + GRACE));
        }
        let (mut pace, start) = self::pace();
        pace.note(0, true, start);
        for second in 1..10 {
            pace.note(50, true, start + SECOND * second);
        }
        let half = GRACE - SECOND * 9 / 2;
        assert_eq!(pace.deadline(), Some(start + SECOND * 9 + half));
    }

    #[test]
    fn without_a_rate_nobody_is_too_slow() {
        let mut pace = Pace::new(None);
        pace.note(0, true, Instant::now());
        assert!(pace.deadline().is_none() && !pace.is_waiting());
        let (mut pace, start) = self::pace();
        pace.note(u64::MAX, true, start);
        assert!(pace.deadline() > Some(start + SECOND * 1_000_000));
    }
}
