//! Time, the network, the pools, and what is checked.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{
    super::random::Random,
    Figures,
    faults::Faults,
    node::{Fate, Node},
};
use crate::ledger::lease::{Letter, Pool, Reply};

/// For so long calls come, in milliseconds.
pub(super) const LIFE: u64 = 3000;

/// How long is known what could be had: a call may wait for a second, and looks a second back.
pub(super) const KEPT: u64 = 2500;

/// How often a process looks whether something is to be said.
pub(super) const TICK: u64 = 20;

/// How often somebody wants to know what others did, in a hundred looks.
const QUESTIONS: u64 = 3;

/// So much happens in no run.
const EVENTS: u64 = 1_000_000;

/// All that is there, and all that should be.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) figures: Figures,
    pub(super) log: Vec<String>,
    pub(super) is_told: bool,
    /// Nothing goes wrong in it.
    pub(super) is_calm: bool,
    pub(super) faults: Faults,
    /// In milliseconds.
    pub(super) now: u64,
    pub(super) queue: BTreeMap<(u64, u64), Event>,
    pub(super) events: u64,
    pub(super) limit: u64,
    pub(super) costs: &'static [u64],
    pub(super) calls: u64,
    pub(super) window_ms: u64,
    pub(super) pools: BTreeMap<u64, Pool>,
    pub(super) truth: BTreeMap<u64, Truth>,
    pub(super) nodes: Vec<Node>,
    /// The database executes nothing before.
    pub(super) frozen: u64,
}

/// What was served in a window.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Charged, and held by calls that are open.
    pub(super) served: u64,
    /// Charged beyond what there was.
    pub(super) debts: u64,
    /// Counted as used of nodes that were forgotten, and not served; less debts that only they knew of.
    pub(super) written_off: i64,
    /// What could be had, some of the last times, and how much of that is known to the pool.
    pub(super) available: VecDeque<(u64, [u64; 2])>,
}

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Event {
    Call {
        node: usize,
    },
    Expire,
    /// The node is told that it is not listened to any more.
    Fenced {
        node: usize,
        run: u32,
    },
    Letter {
        node: usize,
        run: u32,
        window: u64,
        letter: Letter,
    },
    Recall {
        node: usize,
        window: u64,
        is_question: bool,
    },
    Reply {
        node: usize,
        run: u32,
        window: u64,
        reply: Reply,
    },
    Settle {
        node: usize,
        run: u32,
        call: u64,
    },
    Start {
        node: usize,
    },
    Tick {
        node: usize,
        run: u32,
    },
    /// Those that wait hear of a reply.
    Wake {
        node: usize,
        run: u32,
    },
}

impl World {
    pub(super) fn new(seed: u64, is_told: bool) -> Self {
        let mut random = Random::new(seed);
        let faults = Faults::new(&mut random);
        let costs: &[u64] = random.one_of(&[&[1], &[1, 3], &[3], &[2, 7], &[1, 1, 40]]);
        let nodes = 2 + random.index(3);
        let mut world = Self {
            limit: random.one_of(&[0, 1, 3, 12, 60, 300, 1500, 40_000, 1_000_000]),
            window_ms: random.one_of(&[1200, 1 << 40, 1 << 40]),
            faults,
            figures: Figures::default(),
            log: Vec::new(),
            is_told,
            is_calm: faults.are_none(),
            now: 0,
            queue: BTreeMap::new(),
            events: 0,
            costs,
            calls: 0,
            pools: BTreeMap::new(),
            truth: BTreeMap::new(),
            nodes: Vec::new(),
            frozen: 0,
            random,
        };
        (0..nodes).for_each(|_| world.add_node());
        world
    }

    pub(super) fn add_node(&mut self) {
        let place = self.nodes.len();
        let skew = self.random.below(300);
        let mut node = Node::new(place as u128 + 1, skew);
        node.start();
        self.nodes.push(node);
        if self.now < LIFE {
            self.put(1, Event::Call { node: place });
        }
    }

    pub(super) fn put(&mut self, after: u64, event: Event) {
        self.events += 1;
        self.queue.insert((self.now + after, self.events), event);
    }

    /// Lets things happen until nothing more does.
    pub(super) fn live(&mut self) {
        self.put(1, Event::Expire);
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            if self.now < LIFE {
                self.break_something();
            }
            self.happen(event);
            self.check();
            assert!(self.events < EVENTS, "there is no end");
        }
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.is_told {
            self.log.push(format!("{:>8} {}", self.now, line()));
        }
    }

    pub(super) fn fault(&mut self, kind: &'static str) {
        *self.figures.faults.entry(kind).or_default() += 1;
    }

    pub(super) fn clock(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    pub(super) fn happen(&mut self, event: Event) {
        let node = match &event {
            Event::Expire => return self.expire(),
            Event::Letter { node, run, window, letter } => {
                return self.execute(*node, *run, *window, letter);
            }
            Event::Start { node } => return self.start(*node),
            Event::Call { node }
            | Event::Fenced { node, .. }
            | Event::Recall { node, .. }
            | Event::Reply { node, .. }
            | Event::Settle { node, .. }
            | Event::Tick { node, .. }
            | Event::Wake { node, .. } => *node,
        };
        let Node { wakes, run, ref process, .. } = self.nodes[node];
        if process.is_none() {
            if let Event::Call { .. } = event {
                self.come_again(node);
            }
            return;
        }
        if self.now < wakes {
            return self.put(wakes - self.now, event);
        }
        match event {
            Event::Call { .. } => self.call(node),
            Event::Recall { window, is_question, .. } => {
                let now = self.clock();
                let process = self.nodes[node].process.as_mut().unwrap();
                match process.holders.get_mut(&window) {
                    Some(holder) if is_question => holder.report(now),
                    Some(holder) => holder.recall(now),
                    None => {}
                }
                self.speak(node);
            }
            Event::Reply { run: of, window, reply, .. } if of == run => {
                self.receive(node, window, &reply);
            }
            Event::Settle { run: of, call, .. } if of == run => self.settle(node, call),
            Event::Tick { run: of, .. } if of == run => self.tick(node),
            Event::Wake { run: of, .. } if of == run => self.wake(node),
            // It ends, and is another one from here on.
            Event::Fenced { run: of, .. } if of == run => {
                self.nodes[node].process = None;
                self.add_node();
            }
            _ => {}
        }
    }

    pub(super) fn receive(&mut self, node: usize, window: u64, reply: &Reply) {
        let now = self.clock();
        let Node { run, process, .. } = &mut self.nodes[node];
        let (run, process) = (*run, process.as_mut().unwrap());
        if let Some(holder) = process.holders.get_mut(&window) {
            holder.receive(reply, now);
        }
        // Whoever carries letters may be faster with the next one than those that wait are with theirs.
        let after = self.random.below(3);
        self.put(after, Event::Wake { node, run });
        self.speak(node);
    }

    pub(super) fn wake(&mut self, node: usize) {
        let process = self.nodes[node].process.as_mut().unwrap();
        process.waiting.iter_mut().for_each(|call| call.looks_again = 0);
        self.decide(node);
        self.speak(node);
    }

    pub(super) fn tick(&mut self, node: usize) {
        let process = self.nodes[node].process.as_mut().unwrap();
        if process.ticks_at.is_some_and(|at| at <= self.now) {
            process.ticks_at = None;
        }
        self.decide(node);
        // Somebody wants to know what others did.
        if self.random.happens(QUESTIONS) {
            let (now, process) = (self.clock(), self.nodes[node].process.as_mut().unwrap());
            process.holders.values_mut().for_each(|holder| _ = holder.ask_about(now));
        }
        self.speak(node);
    }

    /// Sends what is to be said.
    pub(super) fn speak(&mut self, node: usize) {
        let now = self.clock();
        let limit = self.limit;
        let Node { run, process, .. } = &mut self.nodes[node];
        let (run, process) = (*run, process.as_mut().unwrap());
        let mut letters = Vec::new();
        let mut due = (!process.waiting.is_empty()).then_some(self.now + TICK);
        process.holders.retain(|window, holder| {
            if let Some(letter) = holder.letter(limit, now) {
                letters.push((*window, letter));
            }
            due = [due, holder.due(now).map(millis)].into_iter().flatten().min();
            !holder.is_over()
        });
        if let Some(due) = due.map(|due| due.max(self.now + 1))
            && process.ticks_at.is_none_or(|at| due < at)
        {
            process.ticks_at = Some(due);
            self.put(due - self.now, Event::Tick { node, run });
        }
        for (window, letter) in letters {
            self.note(|| format!("node {node} run {run} window {window}: {letter:?}"));
            self.send(|| Event::Letter { node, run, window, letter });
        }
    }

    pub(super) fn send(&mut self, event: impl Fn() -> Event) {
        let times = 1 + u64::from(self.random.happens(self.faults.doubled));
        for _ in 0..times {
            if self.random.happens(self.faults.lost) {
                self.fault("lost");
                continue;
            }
            let is_late = self.random.happens(self.faults.late);
            let after = if is_late {
                self.fault("late");
                self.random.below(9000)
            } else {
                self.random.between(1, self.faults.way).cast_unsigned()
            };
            self.put(after, event());
        }
    }

    /// The database does what a letter says.
    pub(super) fn execute(&mut self, node: usize, run: u32, window: u64, letter: &Letter) {
        if self.now < self.frozen {
            let after = self.frozen - self.now + self.random.below(5);
            return self.put(after, Event::Letter { node, run, window, letter: *letter });
        }
        let Node { id, run: runs, fate, .. } = self.nodes[node];
        // A process that is gone is not listened to, nor is a node that is forgotten.
        if run != runs || fate != Fate::Lives {
            return self.send(|| Event::Fenced { node, run });
        }
        self.figures.letters += 1;
        self.figures.calm.letters += u64::from(self.is_calm);
        let now = self.clock();
        let pool = self.pools.entry(window).or_default();
        let Some(reply) = pool.receive(id, letter, now) else { return };
        self.note(|| format!("to node {node} run {run} window {window}: {reply:?}"));
        let is_recalled = letter.ask.is_some_and(|ask| {
            ask.is_waited_for && reply.granted == 0 && reply.rest.is_enough(ask.least)
        });
        if is_recalled || reply.is_behind {
            let is_question = !is_recalled;
            for other in (0..self.nodes.len()).filter(|other| *other != node) {
                self.send(|| Event::Recall { node: other, window, is_question });
            }
        }
        self.send(|| Event::Reply { node, run, window, reply });
    }
}

/// Gives a time as it is kept here.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}
