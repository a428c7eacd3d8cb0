//! What keeps callers from waiting for an endpoint that cannot be reached.
//!
//! After some connections in succession that could not be opened, no more are tried but single ones, and
//! all others are answered at once. The first that is opened ends it. Only connections count: an
//! endpoint that takes them but answers badly is as reachable as before. So one that works is never
//! kept from callers for longer than the next try takes to come.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How many connections in succession must fail.
const FAILURES: u32 = 3;

/// How long after a failure the next one is tried, in milliseconds.
const AFTER_FAILURE: u64 = 250;

/// How long after a try that did not end yet.
const AFTER_START: u64 = 1000;

/// Whether connections are tried. Times are in milliseconds, of a clock that all callers share.
#[derive(Debug, Default)]
pub struct Breaker {
    /// In succession.
    failures: AtomicU32,
    /// When the next one may be tried, once it is open.
    try_at: AtomicU64,
}

impl Breaker {
    /// Tells whether a connection may be tried. When it may because it is time to, that is the one.
    pub(super) fn admits(&self, now: u64) -> bool {
        if !self.is_open() {
            return true;
        }
        let at = self.try_at.load(Ordering::Relaxed);
        let next = now.saturating_add(AFTER_START);
        let order = Ordering::Relaxed;
        at <= now && self.try_at.compare_exchange(at, next, order, order).is_ok()
    }

    /// Notes that one could not be opened; true when none but single ones are tried from now on.
    pub(super) fn note_failure(&self, now: u64) -> bool {
        let again = now.saturating_add(AFTER_FAILURE);
        let failures = self.failures.load(Ordering::Relaxed).saturating_add(1);
        // Two at once may count as one: then it opens a failure later.
        self.failures.store(failures, Ordering::Relaxed);
        if failures == FAILURES {
            self.try_at.store(again, Ordering::Relaxed);
        } else {
            // Those that were under way when it opened fail late, and put nothing off.
            self.try_at.fetch_min(again, Ordering::Relaxed);
        }
        failures == FAILURES
    }

    /// Notes that one was opened; true when that ends it.
    pub(super) fn note_success(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
            && self.failures.swap(0, Ordering::Relaxed) >= FAILURES
    }

    /// Tells whether only single ones are tried.
    pub fn is_open(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_tries_go_on_after_failures_in_succession() {
        let breaker = Breaker::default();
        assert!(!breaker.note_failure(0) && !breaker.note_failure(0));
        assert!(breaker.admits(0) && breaker.admits(0));
        assert!(breaker.note_failure(0));
        // What was under way puts nothing off.
        assert!(!breaker.note_failure(200));
        assert!(!breaker.admits(249));
        assert!(breaker.admits(250), "the single one");
        assert!(!breaker.admits(250), "and no other");
        assert!(!breaker.admits(1249));
        assert!(breaker.admits(1250), "one that hangs holds up none for longer");
        assert!(!breaker.note_failure(1300));
        assert!(!breaker.admits(1549));
        assert!(breaker.admits(1550));
    }

    #[test]
    fn success_ends_it_at_once() {
        let breaker = Breaker::default();
        assert!(!breaker.note_success());
        for _ in 0..2 {
            breaker.note_failure(0);
        }
        assert!(!breaker.note_success(), "it was not open");
        for _ in 0..3 {
            breaker.note_failure(0);
        }
        assert!(breaker.is_open() && breaker.admits(250));
        assert!(breaker.note_success());
        assert!(!breaker.is_open() && breaker.admits(250) && breaker.admits(250));
        assert!(!breaker.note_failure(250));
    }
}
