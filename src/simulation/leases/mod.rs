//! Nodes that share one account, a network between them and its pool, and what goes wrong with both, by a seed.
//!
//! Letters and replies are lost, late, doubled and out of order; the database freezes and executes late; nodes
//! are killed, paused for an hour, and started again with and without their journals, which may come back. After
//! each event is checked: never is more served than the limit but for debts, and no node has a higher ceiling than
//! the pool knows. A call is refused as one too many only where nothing to speak of was to be had. When all is
//! quiet the pool has what was served, to the unit, and the rest can be had.
//!
//! `FAREGATE_SEED`, `FAREGATE_SEEDS` and `FAREGATE_FIRST` are those of the other simulation.

mod calls;
mod check;
mod fates;
mod faults;
mod node;
mod rush;
mod world;

use std::{
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use self::world::World;
use super::{SHOWN, number};

/// How many runs there are unless more are asked for.
const SEEDS: u64 = 2500;

/// What was simulated.
#[derive(Debug, Default)]
struct Figures {
    seeds: u64,
    letters: u64,
    served: u64,
    used_up: u64,
    unavailable: u64,
    forfeited: u64,
    recovered: u64,
    forgotten: u64,
    calm: Calm,
    faults: BTreeMap<&'static str, u64>,
}

/// What there was where nothing went wrong.
#[derive(Debug, Default)]
struct Calm {
    letters: u64,
    served: u64,
    unavailable: u64,
}

#[test]
fn leases_hold_whatever_happens() {
    if let Some(seed) = number("FAREGATE_SEED") {
        return println!("{:#?}", run(seed, usize::MAX));
    }
    let first = number("FAREGATE_FIRST").unwrap_or(0);
    let last = number("FAREGATE_SEEDS").unwrap_or(SEEDS).saturating_add(first);
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Figures::default()));
    let work = || {
        while let seed = next.fetch_add(1, Ordering::Relaxed)
            && seed < last
        {
            let figures = run(seed, SHOWN);
            sum.lock().unwrap().add(figures);
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| _ = scope.spawn(work));
    });
    println!("{:#?}", sum.into_inner().unwrap());
}

/// Runs a seed; one that fails once more, to show its last events.
fn run(seed: u64, shown: usize) -> Figures {
    let is_told = shown == usize::MAX;
    let mut world = World::new(seed, is_told);
    let lived = live(&mut world);
    if lived.is_err() && !is_told {
        world = World::new(seed, true);
        let _ = live(&mut world);
    }
    for line in world.log.iter().skip(world.log.len().saturating_sub(shown)) {
        eprintln!("{line}");
    }
    if let Err(failure) = lived {
        eprintln!("this run again: FAREGATE_SEED={seed}");
        panic::resume_unwind(failure);
    }
    Figures { seeds: 1, ..world.figures }
}

fn live(world: &mut World) -> thread::Result<()> {
    panic::catch_unwind(AssertUnwindSafe(|| {
        world.live();
        world.calm_down();
    }))
}

impl Figures {
    fn add(&mut self, other: Self) {
        let Self {
            seeds,
            letters,
            served,
            used_up,
            unavailable,
            forfeited,
            recovered,
            forgotten,
            calm,
            faults,
        } = other;
        self.seeds += seeds;
        self.letters += letters;
        self.served += served;
        self.used_up += used_up;
        self.unavailable += unavailable;
        self.forfeited += forfeited;
        self.recovered += recovered;
        self.forgotten += forgotten;
        self.calm.letters += calm.letters;
        self.calm.served += calm.served;
        self.calm.unavailable += calm.unavailable;
        for (kind, times) in faults {
            *self.faults.entry(kind).or_default() += times;
        }
    }
}
