//! What becomes of nodes: they are killed, sleep, start again, are given up.

use super::{
    faults::Faults,
    node::{Fate, Node},
    world::{Event, LIFE, World},
};
use crate::ledger::lease::Pool;

impl World {
    pub(super) fn break_something(&mut self) {
        let node = self.random.index(self.nodes.len());
        let chance = self.random.below(1000);
        let Faults { frozen, killed, paused, .. } = self.faults;
        if chance < frozen && self.frozen <= self.now {
            self.frozen = self.now + self.random.below(3000);
            self.fault("database frozen");
        } else if (100..100 + killed).contains(&chance) {
            self.kill(node);
        } else if (200..200 + paused).contains(&chance) {
            let pause = self.random.one_of(&[150, 900, 5000, 3_600_000]);
            self.nodes[node].wakes = self.now + pause;
            self.fault("paused");
            self.note(|| format!("node {node} pauses for {pause} ms"));
        }
    }

    pub(super) fn kill(&mut self, node: usize) {
        if self.nodes[node].process.take().is_none() {
            return;
        }
        self.note(|| format!("node {node} is killed"));
        self.nodes[node].wakes = 0;
        let after = self.random.one_of(&[50, 1000, 100_000]);
        match self.random.below(10) {
            0..7 => {
                self.fault("killed");
                self.put(after, Event::Start { node });
            }
            7 | 8 => {
                self.fault("killed, and another node in its place");
                self.nodes[node].fate = Fate::Shelved;
                self.put(after, Event::Start { node });
                self.add_node();
            }
            _ => {
                self.fault("killed, and its journal lost");
                self.nodes[node].fate = Fate::Lost;
                self.add_node();
            }
        }
    }

    /// Starts a process again: all that the ones before it left is booked before it says anything.
    pub(super) fn start(&mut self, node: usize) {
        if self.now < self.frozen {
            return self.put(100, Event::Start { node });
        }
        let Node { id, fate, .. } = self.nodes[node];
        if fate == Fate::Forgotten {
            return;
        }
        for (window, pool) in &mut self.pools {
            let spent = self.nodes[node].spent_in_full(*window);
            let (_, _, before) = pool.out();
            let (used, unreported) = (pool.used(), unreported(pool, id, spent));
            let recovered = pool.recover(id, spent);
            let (_, _, after) = pool.out();
            self.figures.recovered += recovered;
            // What had counted as used, and does so no more, is what was not spent.
            assert_eq!(pool.used(), used + unreported, "what was spent is booked");
            assert!(before - after >= recovered, "more is recovered than was forfeited");
        }
        self.nodes[node].journal.clear();
        self.note(|| format!("node {node} is recovered"));
        if fate == Fate::Lives {
            self.nodes[node].start();
        } else {
            self.nodes[node].run += 1;
            self.nodes[node].fate = Fate::Over;
        }
    }

    pub(super) fn expire(&mut self) {
        let now = self.clock();
        for (window, pool) in &mut self.pools {
            for forfeit in pool.expire(now) {
                assert!(
                    !self.is_calm,
                    "what a node speaks of is not taken for lost: {forfeit:?} at {}",
                    self.now
                );
                self.figures.forfeited += forfeit.units;
                if self.is_told {
                    self.log.push(format!("{:>8} window {window}: {forfeit:?}", self.now));
                }
            }
        }
        // One that slept for so long may be given up before it wakes.
        let sleeps = |node: &Node| node.fate == Fate::Lives && node.wakes > self.now;
        if let Some(place) = self.nodes.iter().position(sleeps)
            && self.random.happens(5)
        {
            self.forget(place);
        }
        let is_out = self.pools.values().any(|pool| pool.out() != (0, 0, pool.out().2));
        if is_out || self.now < LIFE {
            self.put(5000, Event::Expire);
        }
    }

    /// Gives a node up, if all that it has has ended. What is open is charged in full.
    pub(super) fn forget(&mut self, place: usize) {
        let Node { id, .. } = self.nodes[place];
        if self.pools.values().any(|pool| pool.clone().forget(id).is_err()) {
            return;
        }
        for (window, pool) in &mut self.pools {
            let unreported = unreported(pool, id, self.nodes[place].spent_in_full(*window));
            let units = pool.forget(id).unwrap();
            self.truth.entry(*window).or_default().written_off +=
                units.cast_signed() - unreported.cast_signed();
            self.figures.forgotten += units;
        }
        self.nodes[place].fate = Fate::Forgotten;
        self.fault("forgotten");
    }
}

/// What the journal has beyond what the pool was told.
fn unreported(pool: &Pool, node: u128, spent: u64) -> u64 {
    pool.lease(node).map_or(spent, |(told, _)| spent - told)
}
