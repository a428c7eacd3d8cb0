//! When there is something to be said, and what is asked for.

use std::time::Duration;

use super::{Ask, Holder, LASTS, Need, RECENT};

/// For how many seconds of the present pace a lease is to last.
const AHEAD: u64 = 5;

/// Who comes once often comes again: so many times what is waited for is asked for at least, and where much is free up
/// to so many times: one in so many units of that.
const FEW: u64 = 4;
const SOME: u64 = 16;
const SPARE: u64 = 1024;

/// What is left goes back when nothing was taken for so long.
const IDLE: Duration = Duration::from_millis(500);

/// Little is kept until the lease's end, so that who calls now and then waits for nobody and causes one letter and
/// not two. Little is one in so many units of what is free. Whoever lacks it recalls it.
const LITTLE: u64 = 64;

/// For so long little is kept, and nothing is said of little that was used: who wants to know it asks, who lacks it recalls
/// it, and the pool hears of it before the lease ends.
const KEPT: Duration = Duration::from_secs(LASTS.as_secs() * 3 / 4);

/// For so long what was granted is not given back, so that requests that waited for it find it.
const GRACE: Duration = Duration::from_millis(20);

/// How long an answer is waited for before the same is asked again.
const AGAIN: Duration = Duration::from_millis(250);

/// How long nothing is said while a long request holds something.
const RENEWAL: Duration = Duration::from_secs(LASTS.as_secs() / 3);

/// Between two questions that wait for others to give back, or to say what they did.
const PAUSE: Duration = Duration::from_millis(20);

impl Holder {
    /// Gives when there is something to be said, if nothing happens before; at once for a time that has passed.
    /// `None` while there is nothing to say.
    pub fn due(&self, now: Duration) -> Option<Duration> {
        if let Some(sent) = &self.sent {
            return Some(sent.latest.saturating_add(AGAIN));
        }
        let mut due = None;
        let mut at = |time: Duration| due = Some(due.map_or(time, |due: Duration| due.min(time)));
        if self.is_asked_about {
            at(Duration::ZERO);
        }
        if self.curious_until.is_some() {
            at(self.behind.map_or(Duration::ZERO, |came| came.saturating_add(PAUSE)));
        }
        if self.need.least > 0 {
            let paused = self.short.filter(|_| self.rest.left > 0);
            at(paused.map_or(Duration::ZERO, |came| came.saturating_add(PAUSE)));
        }
        if self.is_low(now) {
            at(Duration::ZERO);
        }
        if self.room() > 0 {
            // What a request did not cost is for all, and others ask for it only where they hear of it.
            at(if self.is_thought_to_have() { self.keeps_until() } else { Duration::ZERO });
        } else if self.is_recalled && self.is_thought_to_have() {
            at(Duration::ZERO);
        }
        if !self.is_told() {
            let patience = if self.is_little(self.unsaid()) { KEPT } else { RECENT };
            let last = self.told_at.max(self.changed_at);
            at(if self.is_stopped { Duration::ZERO } else { last.saturating_add(patience) });
        } else if self.held > 0 {
            // The pool hears of it all the same, so that it is not taken for lost while a request lasts.
            at(self.told_at.saturating_add(RENEWAL));
        }
        due
    }

    /// Until when what is left is kept.
    pub(super) fn keeps_until(&self) -> Duration {
        if self.is_stopped {
            return Duration::ZERO;
        }
        if self.is_recalled {
            return self.granted_at.saturating_add(GRACE);
        }
        let patience = if self.is_little(self.room()) { KEPT } else { IDLE };
        self.last_take.max(self.granted_at).saturating_add(patience).min(self.ends)
    }

    /// Tells whether nobody misses so many units for a while.
    fn is_little(&self, units: u64) -> bool {
        units <= self.rest.free / LITTLE
    }

    /// Gives how much was charged, and how much more or less is held, than the pool knows.
    fn unsaid(&self) -> u64 {
        let (spent, held, _) = self.told;
        self.spent.abs_diff(spent).saturating_add(self.held.abs_diff(held))
    }

    /// Tells whether what is left is spent soon.
    fn is_low(&self, now: Duration) -> bool {
        let pace = self.pace.per_second(now);
        let is_busy = now < self.last_take.saturating_add(IDLE);
        let is_tight = now < self.tight_until || self.is_stopped || self.is_recalled;
        !is_tight && is_busy && pace > 0 && self.left(now) < pace
    }

    /// Says what is to be asked for now.
    pub(super) fn wish(&self, now: Duration) -> Option<Ask> {
        if self.is_stopped {
            return None;
        }
        let is_tight = now < self.tight_until;
        let ahead = self.pace.per_second(now).saturating_mul(AHEAD);
        let Need { least, all } = self.need;
        if least > 0 {
            let times = (self.rest.free / SPARE).clamp(FEW, SOME);
            let ahead = ahead.max(least.saturating_mul(times));
            let ahead = if is_tight { ahead.min(self.rest.free / LITTLE) } else { ahead };
            return Some(Ask { least, wanted: all.max(ahead), is_waited_for: true });
        }
        let least = self.last_cost.max(1);
        self.is_low(now).then_some(Ask { least, wanted: ahead.max(least), is_waited_for: false })
    }
}
