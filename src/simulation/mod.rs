//! A world that tries to break the books, driven by a seed, beside a naive model that is compared with them
//! after every step. Callers are found in the roster, the chain's last step decides, workers' books write to
//! the journal, it is folded into SQLite, operators change things as they do, also several in one
//! transaction; and every process ends somehow. What a disk has after a power cut is read by the layout of
//! the records, so that the model is exact: it allows no range, and what is synced, or strict, must be there.
//!
//! A run is one seed. What went before a failure is printed with it, and `FAREGATE_SEED=N` runs it again;
//! `FAREGATE_SEEDS=N` asks for so many of them, from `FAREGATE_FIRST` on, and `FAREGATE_MINUTES=N` for so much
//! time. `scripts/simulate` is the long mode.

mod changes;
mod check;
mod database;
mod disk;
mod leases;
mod model;
mod plan;
mod random;
mod steps;
mod world;

use std::{
    collections::BTreeMap,
    env,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use self::world::World;
use crate::{
    journal::Company,
    store::{Store, StoreError, UsageRow, records::Records},
};

/// How many runs there are unless more are asked for.
const SEEDS: u64 = 2000;

/// How many of its last steps a run that fails shows.
const SHOWN: usize = 40;

/// What was simulated.
#[derive(Debug, Default)]
struct Figures {
    seeds: u64,
    steps: u64,
    accepted: u64,
    /// Of those, how many drew on one grant, and on several.
    paid: [u64; 2],
    refused: u64,
    /// Refused because the journal could not be written.
    unavailable: u64,
    /// Of the books at rest with the model.
    comparisons: u64,
    faults: BTreeMap<&'static str, u64>,
}

#[test]
fn books_hold_whatever_happens() {
    if let Some(seed) = number("FAREGATE_SEED") {
        return println!("{:#?}", run(seed, usize::MAX));
    }
    let minutes = number("FAREGATE_MINUTES");
    let until = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let last = if until.is_some() { u64::MAX } else { number("FAREGATE_SEEDS").unwrap_or(SEEDS) };
    let first = number("FAREGATE_FIRST").unwrap_or(0);
    let last = last.saturating_add(first);
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Figures::default()));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= last || until.is_some_and(|until| Instant::now() >= until) {
            return;
        }
        let figures = run(seed, SHOWN);
        sum.lock().unwrap().add(figures);
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| _ = scope.spawn(work));
    });
    println!("{:#?}", sum.into_inner().unwrap());
}

/// Lives one life, of some processes; shows its last steps where it fails.
fn run(seed: u64, shown: usize) -> Figures {
    let mut world = World::new(seed);
    let lived = panic::catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..world.random.between(40, 120) {
            world.step();
        }
        world.stop();
        // A start after that finds nothing to do, and all as it was.
        world.start();
        world.stop();
    }));
    if lived.is_err() || shown == usize::MAX {
        for line in world.log.iter().skip(world.log.len().saturating_sub(shown)) {
            eprintln!("{line}");
        }
    }
    if let Err(failure) = lived {
        eprintln!("this run again: FAREGATE_SEED={seed}");
        world.abandon();
        panic::resume_unwind(failure);
    }
    Figures { seeds: 1, ..world.end() }
}

impl Figures {
    fn add(&mut self, other: Self) {
        let Self { seeds, steps, accepted, paid, refused, unavailable, comparisons, faults } =
            other;
        self.seeds += seeds;
        self.steps += steps;
        self.accepted += accepted;
        self.paid = [self.paid[0] + paid[0], self.paid[1] + paid[1]];
        self.refused += refused;
        self.unavailable += unavailable;
        self.comparisons += comparisons;
        for (kind, times) in faults {
            *self.faults.entry(kind).or_default() += times;
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
    env::var(name).ok().map(|text| text.parse().unwrap())
}
