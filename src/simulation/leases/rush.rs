//! Callers in a loop on several nodes, where nothing goes wrong: that nobody is refused too early, how long it takes,
//! and how many letters it costs. Times are in microseconds.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use super::super::random::Random;
use crate::ledger::lease::{Holder, Lack, Letter, Pool, Reply};

/// Those that wait look again, at the latest.
const LOOK: u64 = 20_000;

/// What is to be looked at.
#[derive(Clone, Debug)]
struct Scene {
    limit: u64,
    cost: u64,
    nodes: usize,
    callers: usize,
    /// How long it is from a node to the pool, or back.
    way: u64,
    /// How long a request takes.
    lasts: Range<u64>,
    /// How long a caller rests between two.
    rests: Range<u64>,
    /// No more are made then.
    ends: u64,
    /// Who is refused goes on.
    is_stubborn: bool,
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    served: u64,
    used_up: u64,
    unavailable: u64,
    letters: u64,
    /// When the last one was served.
    took: u64,
    /// Waited longest, of those that were served.
    longest: u64,
    /// The most that was to be had when somebody was refused.
    wasted: u64,
}

struct Rush {
    scene: Scene,
    random: Random,
    now: u64,
    queue: BTreeMap<(u64, u64), (usize, Event)>,
    events: u64,
    pool: Pool,
    nodes: Vec<Node>,
    outcome: Outcome,
}

#[derive(Default)]
struct Node {
    holder: Holder,
    /// When they came.
    waiting: Vec<u64>,
    looks_at: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Call,
    Letter(Letter),
    Look,
    Recall,
    Reply(Reply),
    Settle,
    Wake,
}

impl Rush {
    fn new(scene: &Scene, seed: u64) -> Self {
        let nodes = (0..scene.nodes).map(|_| Node::default()).collect();
        let mut rush = Self {
            scene: scene.clone(),
            random: Random::new(seed),
            now: 0,
            queue: BTreeMap::new(),
            events: 0,
            pool: Pool::default(),
            nodes,
            outcome: Outcome::default(),
        };
        for place in 0..scene.nodes * scene.callers {
            let after = rush.some(&scene.rests);
            rush.put(after, place % scene.nodes, Event::Call);
        }
        rush
    }

    fn some(&mut self, range: &Range<u64>) -> u64 {
        range.start + self.random.below(range.end - range.start)
    }

    fn put(&mut self, after: u64, node: usize, event: Event) {
        self.events += 1;
        self.queue.insert((self.now + after, self.events), (node, event));
    }

    fn run(mut self) -> Outcome {
        while let Some(((at, _), (node, event))) = self.queue.pop_first() {
            self.now = at;
            self.happen(node, event);
        }
        let outs = self.pool.out();
        assert_eq!((self.pool.used(), outs), (self.outcome.served * self.scene.cost, (0, 0, 0)));
        self.outcome
    }

    fn happen(&mut self, node: usize, event: Event) {
        let now = Duration::from_micros(self.now);
        let Scene { cost, limit, .. } = self.scene;
        match event {
            Event::Call => {
                self.nodes[node].waiting.push(self.now);
                self.decide(node);
            }
            Event::Letter(letter) => {
                self.outcome.letters += 1;
                let reply = self.pool.receive(node as u128, &letter, now).unwrap();
                let is_recalled = letter.ask.is_some_and(|ask| {
                    ask.is_waited_for && reply.granted == 0 && reply.rest.is_enough(ask.least)
                });
                for other in (0..self.nodes.len()).filter(|other| is_recalled && *other != node) {
                    self.put(self.scene.way, other, Event::Recall);
                }
                return self.put(self.scene.way, node, Event::Reply(reply));
            }
            Event::Look => {
                self.nodes[node].looks_at = None;
                self.decide(node);
            }
            Event::Recall => self.nodes[node].holder.recall(now),
            Event::Reply(reply) => {
                self.nodes[node].holder.receive(&reply, now);
                let after = self.random.below(200);
                self.put(after, node, Event::Wake);
            }
            Event::Settle => {
                self.nodes[node].holder.settle(cost, cost);
                let after = self.some(&self.scene.rests.clone());
                self.come(after, node);
            }
            Event::Wake => self.decide(node),
        }
        let Node { holder, waiting, looks_at } = &mut self.nodes[node];
        let letter = holder.letter(limit, now);
        let due = holder.due(now).map(|due| u64::try_from(due.as_micros()).unwrap());
        let looks = (!waiting.is_empty()).then_some(self.now + LOOK);
        let due = [due, looks].into_iter().flatten().min();
        if let Some(due) = due.map(|due| due.max(self.now + 100))
            && looks_at.is_none_or(|at| due < at)
        {
            *looks_at = Some(due);
            self.put(due - self.now, node, Event::Look);
        }
        if let Some(letter) = letter {
            self.put(self.scene.way, node, Event::Letter(letter));
        }
    }

    fn come(&mut self, after: u64, node: usize) {
        if self.now + after < self.scene.ends {
            self.put(after, node, Event::Call);
        }
    }

    fn decide(&mut self, node: usize) {
        let now = Duration::from_micros(self.now);
        let Scene { cost, .. } = self.scene;
        for arrived in std::mem::take(&mut self.nodes[node].waiting) {
            let Node { holder, waiting, .. } = &mut self.nodes[node];
            if holder.fits(cost, now) {
                holder.take(cost, now);
                self.outcome.served += 1;
                self.outcome.took = self.now;
                self.outcome.longest = self.outcome.longest.max(self.now - arrived);
                let after = self.some(&self.scene.lasts.clone());
                self.put(after, node, Event::Settle);
                continue;
            }
            match holder.lack(cost, Duration::from_micros(arrived), now) {
                Lack::Wait => {
                    holder.wait(cost);
                    waiting.push(arrived);
                }
                lack => self.refuse(node, lack),
            }
        }
    }

    fn refuse(&mut self, node: usize, lack: Lack) {
        let now = Duration::from_micros(self.now);
        let left: u64 = self.nodes.iter().map(|node| node.holder.left(now)).sum();
        let available = self.pool.free(self.scene.limit) + left;
        self.outcome.wasted = self.outcome.wasted.max(available);
        match lack {
            Lack::UsedUp => self.outcome.used_up += 1,
            _ => self.outcome.unavailable += 1,
        }
        if self.scene.is_stubborn {
            let after = self.some(&self.scene.rests.clone());
            self.come(after, node);
        }
    }
}

const BUSY: Scene = Scene {
    limit: 30_000,
    cost: 1,
    nodes: 3,
    callers: 16,
    way: 500,
    lasts: 500..1500,
    rests: 10..50,
    ends: 60_000_000,
    is_stubborn: false,
};

/// Runs a scene several times, and tells of the first.
fn look(what: &str, scene: &Scene, judge: impl Fn(&Outcome)) {
    for seed in 0..4 {
        let outcome = Rush::new(scene, seed).run();
        if seed == 0 {
            let calls = (outcome.served + outcome.used_up + outcome.unavailable).max(1);
            let percent = outcome.letters * 10_000 / calls;
            println!(
                "{what}: {}.{:02} letters for 100 calls, {outcome:?}",
                percent / 100,
                percent % 100
            );
        }
        judge(&outcome);
    }
}

#[test]
fn a_limit_is_reached_on_several_nodes_and_nobody_is_refused_before() {
    for cost in [1, 3] {
        for limit in [48, 300, 30_000] {
            let scene = Scene { cost, limit, ..BUSY };
            look(&format!("{limit} by {cost}"), &scene, |outcome| {
                assert_eq!(outcome.served * cost, limit);
                assert_eq!(outcome.unavailable, 0);
                assert!(outcome.wasted <= limit / 100, "{outcome:?}");
            });
        }
    }
}

#[test]
fn it_is_so_with_more_nodes_and_longer_ways() {
    for (nodes, way) in [(3, 5000), (10, 500), (10, 5000), (30, 2000)] {
        for limit in [300, 30_000] {
            let scene = Scene { nodes, way, limit, ..BUSY };
            look(&format!("{limit} on {nodes} at {way} us"), &scene, |outcome| {
                assert_eq!((outcome.served, outcome.unavailable), (limit, 0));
                assert!(outcome.wasted <= limit / 100, "{outcome:?}");
            });
        }
    }
}

#[test]
fn letters_are_few() {
    let fewer = |outcome: &Outcome, percent: u64| {
        assert_eq!(outcome.used_up + outcome.unavailable, 0, "{outcome:?}");
        assert!(outcome.letters * 100 <= outcome.served * percent, "{outcome:?}");
    };
    let hot = Scene { limit: 1_000_000_000, ends: 5_000_000, ..BUSY };
    look("hot", &hot, |outcome| fewer(outcome, 1));
    let steady = Scene { rests: 100_000..300_000, callers: 4, ends: 600_000_000, ..hot };
    look("steady", &steady, |outcome| fewer(outcome, 3));
    // One brings some for those behind it.
    let now_and_then = Scene { rests: 8_000_000..12_000_000, callers: 1, ..steady };
    look("now and then", &now_and_then, |outcome| fewer(outcome, 60));
    let each_minute = Scene { rests: 0..120_000_000, ends: 6_000_000_000, ..now_and_then };
    look("each minute", &each_minute, |outcome| fewer(outcome, 170));
    // What is asked for with what was taken, and what goes back with that.
    let seldom = Scene { rests: 80_000_000..120_000_000, ..each_minute };
    look("seldom", &seldom, |outcome| fewer(outcome, 210));
}

#[test]
fn who_is_refused_asks_seldom() {
    let fewer = |outcome: &Outcome| {
        assert!(outcome.letters * 100 <= outcome.used_up, "{outcome:?}");
        assert_eq!(outcome.unavailable, 0, "{outcome:?}");
    };
    let over =
        Scene { limit: 3000, is_stubborn: true, rests: 1000..5000, ends: 10_000_000, ..BUSY };
    look("used up", &over, fewer);
    // Requests in flight hold it for all the time, and may give it back.
    let held = Scene { limit: 10, lasts: 20_000_000..30_000_000, ..over };
    look("held", &held, fewer);
}
