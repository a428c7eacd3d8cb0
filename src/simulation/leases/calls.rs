//! What calls do: they come, take or are refused, and end.

use super::{
    node::{Call, Fate, Node},
    world::{Event, KEPT, LIFE, TICK, World, millis},
};
use crate::ledger::lease::Lack;

impl World {
    pub(super) fn come_again(&mut self, node: usize) {
        if self.now < LIFE && self.nodes[node].fate == Fate::Lives {
            // Bursts, and rests in which units go back.
            let after = match self.random.below(40) {
                0 => self.random.below(2500),
                1..10 => self.random.below(200),
                _ => self.random.below(30),
            };
            self.put(after, Event::Call { node });
        }
    }

    pub(super) fn call(&mut self, node: usize) {
        self.come_again(node);
        let cost = self.random.one_of(self.costs);
        let window = (self.now + self.nodes[node].skew) / self.window_ms;
        let arrived = self.clock();
        self.calls += 1;
        let call = Call { number: self.calls, cost, window, arrived, looks_again: 0 };
        let process = self.nodes[node].process.as_mut().unwrap();
        for (older, holder) in &mut process.holders {
            if *older < window {
                holder.stop();
            }
        }
        process.waiting.push(call);
        self.decide(node);
        self.speak(node);
    }

    /// Lets those that wait look again.
    pub(super) fn decide(&mut self, node: usize) {
        let now = self.clock();
        let mut waiting = std::mem::take(&mut self.nodes[node].process.as_mut().unwrap().waiting);
        waiting.retain_mut(|call| {
            if self.now < call.looks_again {
                return true;
            }
            call.looks_again = self.now + TICK;
            // Whoever waits while the window ends is decided in the next one.
            call.window = (self.now + self.nodes[node].skew) / self.window_ms;
            let process = self.nodes[node].process.as_mut().unwrap();
            let holder = process.holders.entry(call.window).or_default();
            if holder.fits(call.cost, now) {
                holder.take(call.cost, now);
                self.serve(node, call);
                return false;
            }
            match holder.lack(call.cost, call.arrived, now) {
                Lack::Wait => {
                    holder.wait(call.cost);
                    return true;
                }
                lack => self.refuse(node, call, lack),
            }
            false
        });
        self.nodes[node].process.as_mut().unwrap().waiting.extend(waiting);
    }

    pub(super) fn serve(&mut self, node: usize, call: &Call) {
        let Call { number, cost, window, .. } = *call;
        let Node { run, fate, .. } = self.nodes[node];
        assert_ne!(fate, Fate::Forgotten, "a node that is forgotten takes nothing");
        self.figures.served += 1;
        self.figures.calm.served += u64::from(self.is_calm);
        self.truth.entry(window).or_default().served += cost;
        self.nodes[node].journal.entry(window).or_default().open.insert(number, cost);
        self.nodes[node].process.as_mut().unwrap().open.insert(number, (window, cost));
        let after = match self.random.below(20) {
            0 => self.random.below(100_000),
            1 | 2 => self.random.below(3000),
            _ => self.random.below(50),
        };
        self.put(after, Event::Settle { node, run, call: number });
    }

    pub(super) fn refuse(&mut self, node: usize, call: &Call, lack: Lack) {
        let Call { cost, window, arrived, .. } = *call;
        self.note(|| format!("node {node} refuses {call:?}: {lack:?}"));
        if lack == Lack::UsedUp {
            self.figures.used_up += 1;
        } else {
            self.figures.unavailable += 1;
            self.figures.calm.unavailable += u64::from(self.is_calm);
            // Others may be silent, or what is sent on its way for long.
            if !self.faults.are_none() {
                return;
            }
        }
        // It slept meanwhile, and what there was when it was decided is not known any more.
        if millis(arrived) + KEPT < self.now {
            return;
        }
        // Where letters are lost, what a request did not cost may be known to nobody else for long.
        let place = usize::from(!self.faults.are_none());
        let since = millis(arrived).min(self.now.saturating_sub(1000));
        let known = self.truth.entry(window).or_default();
        let times = known.available.iter().rev().take_while(|(at, _)| *at >= since);
        let available = times.map(|(_, units)| units[place]).min().unwrap_or(0);
        let few = (self.limit / 100).max(cost * self.nodes.len() as u64);
        assert!(available <= few, "refused while {available} units were to be had");
    }

    pub(super) fn settle(&mut self, node: usize, call: u64) {
        let is_forgotten = self.nodes[node].fate == Fate::Forgotten;
        let process = self.nodes[node].process.as_mut().unwrap();
        let Some((window, cost)) = process.open.remove(&call) else { return };
        let charge = match self.random.below(20) {
            // It counts as used already, in full.
            _ if is_forgotten => cost,
            0..3 => 0,
            3 => self.random.below(cost + 1),
            4 if self.random.happens(10) => cost + self.random.below(5),
            _ => cost,
        };
        let holder = process.holders.get_mut(&window).unwrap();
        let (_, _, room) = holder.state();
        holder.settle(cost, charge);
        let truth = self.truth.get_mut(&window).unwrap();
        let debt = charge.saturating_sub(cost).saturating_sub(room);
        truth.served = truth.served + charge - cost;
        truth.debts += debt;
        let booked = self.nodes[node].journal.get_mut(&window).unwrap();
        booked.open.remove(&call).unwrap();
        booked.spent += charge;
        booked.debt += debt;
        self.decide(node);
        self.speak(node);
    }
}
