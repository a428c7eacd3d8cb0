//! What must hold after each event, and when all is quiet.

use std::time::Duration;

use super::{
    faults::Faults,
    node::{Call, Fate},
    world::{Event, KEPT, World, millis},
};
use crate::ledger::lease::LASTS;

impl World {
    /// Compares what is with what should be.
    pub(super) fn check(&mut self) {
        for (window, pool) in &self.pools {
            let truth = self.truth.entry(*window).or_default();
            let (held, left, forfeited) = pool.out();
            let free = pool.free(self.limit);
            let counted = pool.used() + held + left + forfeited;
            assert!(
                counted <= self.limit + truth.debts,
                "window {window}: more is out than there is"
            );
            assert_eq!(free, self.limit.saturating_sub(counted), "window {window}");
            assert!(truth.served <= self.limit + truth.debts, "window {window}: over the limit");
            let (mut spendable, mut known) = (0, 0);
            for node in self.nodes.iter().filter(|node| node.fate == Fate::Lives) {
                let Some(process) = &node.process else { continue };
                let Some(holder) = process.holders.get(window) else { continue };
                let left = holder.left(Duration::from_millis(self.now));
                spendable += left;
                let (spent, held, room) = holder.state();
                let (told, out) = pool.lease(node.id).unwrap_or((0, 0));
                known += left.min(pool.left_of(node.id));
                let debt = node.journal.get(window).map_or(0, |booked| booked.debt);
                assert!(told <= spent, "more is told than was spent");
                assert!(
                    spent + held + room <= out + debt,
                    "node {} may spend more than is out",
                    node.id
                );
                assert!(room == 0 || spent + held + room <= out, "a ceiling is not known");
                assert_eq!(spent + held, node.spent_in_full(*window), "what the journal has");
            }
            truth.available.push_back((self.now, [free + spendable, free + known]));
            while truth.available.front().is_some_and(|(at, _)| at + KEPT < self.now) {
                truth.available.pop_front();
            }
        }
    }

    /// Ends all that is wrong; then everything is where it belongs, to the unit.
    pub(super) fn calm_down(&mut self) {
        self.faults = Faults::NONE;
        self.nodes.iter_mut().for_each(|node| node.wakes = 0);
        self.now += 2 * millis(LASTS);
        self.expire();
        for place in 0..self.nodes.len() {
            if self.nodes[place].fate == Fate::Lost {
                self.forget(place);
            }
        }
        self.live();
        let window = self.pools.last_key_value().map_or(0, |(window, _)| *window);
        for (window, pool) in &self.pools {
            let truth = &self.truth[window];
            assert_eq!(pool.out(), (0, 0, 0), "window {window}: something is out still");
            let expected = truth.served.checked_add_signed(truth.written_off).unwrap();
            assert_eq!(pool.used(), expected, "window {window}: used");
        }
        self.take_the_rest(window);
    }

    /// One node can have all that is free.
    pub(super) fn take_the_rest(&mut self, window: u64) {
        let Some(node) =
            self.nodes.iter().position(|node| node.process.is_some() && node.fate == Fate::Lives)
        else {
            return;
        };
        let free = self.pools.get(&window).map_or(self.limit, |pool| pool.free(self.limit));
        if free > 3000 || self.window_ms < 1 << 40 {
            return;
        }
        let served = self.figures.served;
        for _ in 0..free + 2 {
            self.calls += 1;
            let (number, arrived) = (self.calls, self.clock());
            let call = Call { number, cost: 1, window, arrived, looks_again: 0 };
            self.nodes[node].process.as_mut().unwrap().waiting.push(call);
        }
        self.decide(node);
        self.speak(node);
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            // What is served here stays open, so that nothing is given back.
            if !matches!(event, Event::Settle { .. }) {
                self.happen(event);
            }
            if self.nodes[node].process.as_ref().unwrap().waiting.is_empty() {
                break;
            }
            self.check();
        }
        assert_eq!(self.figures.served - served, free, "all that is free is to be had");
    }
}
