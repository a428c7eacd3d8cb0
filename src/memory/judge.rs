//! When memory is short, and when it is no longer.
//!
//! The allocator keeps some of what was freed, and customers and keys take memory without any load. So
//! memory that does not come back while work is turned away is not waited for: the ceiling is raised to it for as long
//! as that stays, since new work will use what the allocator has. Otherwise a flood that is long over would keep the
//! gateway shut.
//!
//! Who is new is closed first, and memory comes back for it; until then who was served before is refused only
//! where hardly any is left.
//!
//! Invariant: under load the ceiling is raised by a sixteenth and a part at most, so that a flood cannot push it up
//! step by step.

use std::time::Duration;

use tokio::time::Instant;

use super::Pressure;

/// Parts of the ceiling: one lies between two degrees of pressure, and two below where it ends.
const PARTS: u64 = 32;

/// How long memory may stay as it is before it is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it takes until what was closed has come back: twice the time that those get who are closed.
const RELIEF: Duration = Duration::from_secs(2);

/// Up to so many connections are no load.
const FEW_CONNECTIONS: usize = 16;

/// What is decided by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Bytes in use.
    pub(super) used: u64,
    /// The ceiling as configured.
    pub(super) ceiling: u64,
    /// Client connections that are open.
    pub(super) connections: usize,
}

/// What was decided before.
#[derive(Debug, Default)]
pub(super) struct Judge {
    pressure: Pressure,
    /// What did not come back; 0 where all did.
    left: u64,
    /// The least that was in use since memory is short, and when it was reached.
    least: Option<(u64, Instant)>,
    /// Since when it is so short that all would be refused.
    shortest: Option<Instant>,
}

impl Judge {
    /// Decides how short memory is.
    pub(super) fn judge(&mut self, situation: Situation, now: Instant) -> Pressure {
        let Situation { used, ceiling, .. } = situation;
        let part = ceiling / PARTS;
        if used < ceiling.saturating_sub(part * 2) {
            // As it should be; what was left once has come back.
            self.left = 0;
        }
        let mark = self.ceiling(ceiling);
        let pressure = match used {
            _ if self.is_shortest(situation, mark, now) => Pressure::All,
            used if used >= mark.saturating_add(part) => Pressure::Keyless,
            used if used >= mark => Pressure::Connections,
            used if used >= mark.saturating_sub(part * 2) => {
                self.pressure.min(Pressure::Connections)
            }
            _ => Pressure::None,
        };
        self.pressure = match pressure {
            Pressure::None => {
                self.least = None;
                Pressure::None
            }
            pressure if self.is_waited_for(situation, part, now) => pressure,
            _ => {
                (self.left, self.least) = (used, None);
                Pressure::None
            }
        };
        self.pressure
    }

    /// Gives the ceiling in force.
    pub(super) fn ceiling(&self, configured: u64) -> u64 {
        // Beyond what is left there is room for a part.
        let left = if self.left == 0 { 0 } else { self.left.saturating_add(configured / PARTS) };
        configured.max(left)
    }

    /// Tells whether all are to be refused: at once where nothing else would help in time.
    fn is_shortest(
        &mut self,
        Situation { used, ceiling, .. }: Situation,
        mark: u64,
        now: Instant,
    ) -> bool {
        let part = ceiling / PARTS;
        let last = mark.saturating_add(part * 2);
        if used < last {
            self.shortest = None;
            return false;
        }
        let since = *self.shortest.get_or_insert(now);
        let may_relieve = now.saturating_duration_since(since) < RELIEF;
        !may_relieve || used >= last.max(ceiling.saturating_add(part * 3))
    }

    /// Tells whether memory may still come back.
    fn is_waited_for(&mut self, situation: Situation, part: u64, now: Instant) -> bool {
        let Situation { used, ceiling, connections } = situation;
        let (least, since) = *self.least.get_or_insert((used, now));
        // Less than half a part is no more than coming and going.
        if used.saturating_add(part / 2) <= least {
            self.least = Some((used, now));
            return true;
        }
        let is_no_load = connections <= FEW_CONNECTIONS;
        let is_bearable = used <= ceiling.saturating_add(ceiling / 16);
        now.saturating_duration_since(since) < PATIENCE || !(is_no_load || is_bearable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: u64 = 3200;

    /// A judge and the time.
    struct Bench {
        judge: Judge,
        now: Instant,
        connections: usize,
    }

    impl Bench {
        fn new(connections: usize) -> Self {
            Self { judge: Judge::default(), now: Instant::now(), connections }
        }

        /// Lets some time pass; gives what is decided then.
        fn after(&mut self, ms: u64, used: u64) -> Pressure {
            self.now += Duration::from_millis(ms);
            let situation = Situation { used, ceiling: CEILING, connections: self.connections };
            self.judge.judge(situation, self.now)
        }
    }

    #[test]
    fn more_is_given_up_the_less_there_is() {
        let mut bench = Bench::new(1000);
        for (used, pressure) in [
            (3199, Pressure::None),
            (3200, Pressure::Connections),
            (3300, Pressure::Keyless),
            (3400, Pressure::Keyless),
            (3500, Pressure::All),
            (3400, Pressure::Keyless),
            (3350, Pressure::Keyless),
            // It does not end where it began.
            (3199, Pressure::Connections),
            (3000, Pressure::Connections),
            (2999, Pressure::None),
            (3199, Pressure::None),
        ] {
            assert_eq!(bench.after(20, used), pressure, "{used}");
        }
    }

    #[test]
    fn all_are_refused_when_what_was_closed_did_not_help() {
        let mut bench = Bench::new(1000);
        assert_eq!(bench.after(0, 3499), Pressure::Keyless);
        assert_eq!(bench.after(1999, 3400), Pressure::Keyless);
        assert_eq!(bench.after(1, 3400), Pressure::All);
        // Each time anew.
        assert_eq!(bench.after(1, 3399), Pressure::Keyless);
        assert_eq!(bench.after(1, 3400), Pressure::Keyless);
    }

    #[test]
    fn what_stays_without_load_is_not_waited_for() {
        let mut bench = Bench::new(3);
        assert_eq!(bench.after(0, 9000), Pressure::All);
        assert_eq!(bench.after(4999, 9000), Pressure::All);
        assert_eq!(bench.after(1, 9000), Pressure::None);
        // More than a part beyond it is short again.
        assert_eq!(bench.after(100, 9000 + 99), Pressure::None);
        assert_eq!(bench.after(100, 9000 + 100), Pressure::Connections);
        // When it has come back, the ceiling is the configured one.
        assert_eq!(bench.after(100, 2000), Pressure::None);
        assert_eq!(bench.after(100, 3200), Pressure::Connections);
    }

    #[test]
    fn memory_that_comes_back_is_waited_for() {
        let mut bench = Bench::new(3);
        for step in 0..20 {
            assert_ne!(bench.after(4000, 9000 - step * 200), Pressure::None, "{step}");
        }
    }

    #[test]
    fn load_pushes_the_ceiling_a_little_at_most() {
        let mut bench = Bench::new(1000);
        let (mut used, mut highest) = (3200, 0);
        for _ in 0..100_000 {
            // A flood takes what it is given, and gives nothing back.
            if bench.after(20, used) == Pressure::None {
                used += 10;
                highest = highest.max(used);
            }
        }
        assert!(highest <= CEILING + CEILING / 16 + CEILING / PARTS + 20, "{highest}");
        assert_ne!(bench.after(100_000, used), Pressure::None);
    }
}
