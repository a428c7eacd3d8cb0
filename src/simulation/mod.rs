//! A world that tries to break the books: ledger, journal, fold, store and start, driven by a seed, beside a
//! naive model that is compared with them after every step.
//!
//! A run is one seed. What went before a failure is printed with it, and `FAREGATE_SEED=N` runs it again;
//! `FAREGATE_SEEDS=N` asks for more of them, from `FAREGATE_FIRST` on. `scripts/simulate` is the long mode.

mod chance;
mod customers;
mod model;
mod start;
mod whole;
mod world;

use std::{collections::BTreeMap, env, thread, time::Duration};

use jiff::Timestamp;

use self::{chance::Chance, world::World};
use crate::{
    journal::Company,
    store::{Store, StoreError, UsageRow, records::Records},
};

/// Seeds in an ordinary test run.
const SEEDS: u64 = 300;

/// What a run did, by kind.
#[derive(Debug, Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

/// Tells the seed and its last steps when a run fails.
struct Trace {
    seed: u64,
    steps: Vec<String>,
}

impl Trace {
    fn note(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if thread::panicking() {
            let (seed, count) = (self.seed, self.steps.len());
            let last = self.steps.iter().skip(count.saturating_sub(25));
            let last: Vec<&str> = last.map(String::as_str).collect();
            eprintln!(
                "FAREGATE_SEED={seed} fails at step {count}; the last were:\n{}",
                last.join("\n")
            );
        }
    }
}

/// Folds at a time, with nobody beside.
struct At(Timestamp);

impl Company for At {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn within(&mut self, _: &mut dyn Records, _: &[UsageRow<'_>]) -> Result<(), StoreError> {
        Ok(())
    }

    fn between(&mut self, _: &mut dyn Store) {}

    fn committed(&mut self, _: u64, _: Duration) {}
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn run(seed: u64, tally: &mut Tally) {
    let mut chance = Chance::new(seed);
    let steps = 20 + chance.below(120);
    let mut world = World::new(seed, chance);
    for _ in 0..steps {
        world.step(tally);
        tally.count("steps");
    }
    world.end(tally);
    tally.count("seeds");
}

/// In two threads.
#[test]
fn whatever_happens_the_books_are_those_of_the_model() {
    let seeds = match number("FAREGATE_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("FAREGATE_FIRST").unwrap_or(0);
            first..first + number("FAREGATE_SEEDS").unwrap_or(SEEDS)
        }
    };
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let mut sums = Tally::default();
    thread::scope(|scope| {
        let work = || {
            let mut tally = Tally::default();
            loop {
                let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if seed >= seeds.end {
                    return tally;
                }
                run(seed, &mut tally);
            }
        };
        let threads = [scope.spawn(work), scope.spawn(work)];
        for thread in threads {
            for (what, count) in thread.join().expect("a seed fails").0 {
                *sums.0.entry(what).or_default() += count;
            }
        }
    });
    println!("{:#?}", sums.0);
}
