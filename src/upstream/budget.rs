//! How many requests are sent once more: a share of those that are sent, so that an upstream that fails
//! is not asked twice as often as one that does well.
//!
//! Each worker counts its own. What was sent is known anyway, so a request costs nothing more; it is
//! looked at once a second.

use std::{cell::RefCell, collections::VecDeque, sync::Arc};

/// For how long back requests count, in seconds.
const WINDOW: usize = 10;

/// One in so many requests may be sent once more.
const SHARE: u64 = 5;

/// How many may be in a window at any rate.
const FLOOR: u64 = 10;

/// What each upstream of a worker has left.
#[derive(Debug, Default)]
pub(super) struct Budgets(RefCell<Vec<(Arc<str>, Budget)>>);

/// What one upstream has left. What is in it began at the first failure, so there is none for an upstream
/// that does well.
#[derive(Debug, Default)]
struct Budget {
    /// Requests that were sent before each second of the window, the earliest first.
    sent: VecDeque<u64>,
    /// Those that were sent once more in each.
    retries: VecDeque<u64>,
}

impl Budgets {
    /// Takes one; false when there is none. `sent` tells what was sent so far.
    pub(super) fn take(&self, upstream: &Arc<str>, sent: impl FnOnce() -> u64) -> bool {
        let mut budgets = self.0.borrow_mut();
        let sent = sent();
        if let Some((_, budget)) = budgets.iter_mut().find(|(id, _)| id == upstream) {
            return budget.take(sent);
        }
        let mut budget = Budget::new(sent);
        let is_taken = budget.take(sent);
        budgets.push((Arc::clone(upstream), budget));
        is_taken
    }

    /// Goes on by a second. `sent` tells what was sent to an upstream so far, unless it is gone.
    pub(super) fn sweep(&self, sent: impl Fn(&str) -> Option<u64>) {
        self.0.borrow_mut().retain_mut(|(id, budget)| match sent(id) {
            Some(sent) => budget.go_on(sent),
            None => false,
        });
    }
}

impl Budget {
    fn new(sent: u64) -> Self {
        Self { sent: [sent].into(), retries: [0].into() }
    }

    fn take(&mut self, sent: u64) -> bool {
        let before = self.sent.front().copied().unwrap_or(sent);
        let retries: u64 = self.retries.iter().sum();
        let first = sent.saturating_sub(before).saturating_sub(retries);
        if retries >= (first / SHARE).max(FLOOR) {
            return false;
        }
        if let Some(now) = self.retries.back_mut() {
            *now += 1;
        }
        true
    }

    /// Begins another second; false when none was sent once more in the whole window.
    fn go_on(&mut self, sent: u64) -> bool {
        self.sent.push_back(sent);
        self.retries.push_back(0);
        if self.sent.len() > WINDOW {
            self.sent.pop_front();
            self.retries.pop_front();
        }
        self.retries.iter().any(|retries| *retries > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many may be sent once more, at once.
    fn left(budgets: &Budgets, id: &Arc<str>, sent: u64) -> usize {
        std::iter::repeat_with(|| budgets.take(id, || sent)).take_while(|taken| *taken).count()
    }

    #[test]
    fn few_are_sent_once_more_at_any_rate() {
        let (budgets, one, other) = (Budgets::default(), "one".into(), "other".into());
        assert_eq!(left(&budgets, &one, 0), 10);
        assert_eq!(left(&budgets, &other, 0), 10, "each upstream has its own");
        for _ in 0..9 {
            budgets.sweep(|_| Some(0));
        }
        assert_eq!(left(&budgets, &one, 0), 0);
        budgets.sweep(|_| Some(0));
        assert_eq!(left(&budgets, &one, 0), 10, "after the window there are as many");
    }

    #[test]
    fn a_fifth_of_many_is_sent_once_more() {
        let (budgets, id) = (Budgets::default(), "one".into());
        let mut sent = 1_000_000;
        let mut retries = left(&budgets, &id, sent);
        for _ in 0..100 {
            sent += 1000;
            budgets.sweep(|_| Some(sent));
            let more = left(&budgets, &id, sent);
            // They are sent too, and are none of those that are counted.
            sent += u64::try_from(more).unwrap();
            retries += more;
        }
        // The second that has just begun has none yet.
        assert!((17_500..=20_010).contains(&retries), "{retries}");
    }

    #[test]
    fn upstream_that_does_well_or_is_gone_is_forgotten() {
        let (budgets, id) = (Budgets::default(), "one".into());
        budgets.take(&id, || 0);
        for _ in 0..9 {
            budgets.sweep(|_| Some(0));
        }
        assert_eq!(budgets.0.borrow().len(), 1);
        budgets.sweep(|_| Some(0));
        assert_eq!(budgets.0.borrow().len(), 0);
        budgets.take(&id, || 0);
        budgets.sweep(|_| None);
        assert_eq!(budgets.0.borrow().len(), 0);
    }
}
