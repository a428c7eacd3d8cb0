//! Random lives of the process, each ended by a kill, against a plain sum.

use proptest::prelude::*;

use super::{
    faults::{Fault, Script},
    *,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Into the worker's next append.
    Reserve {
        worker: usize,
        set: usize,
        cost: u64,
    },
    /// What was put is written.
    Write {
        worker: usize,
    },
    /// The client of a reservation that is not written goes away.
    Leave {
        worker: usize,
    },
    /// Of the reservations that are open, the one at this place.
    Settle {
        which: prop::sample::Index,
        change: Change,
    },
    Flush {
        worker: usize,
    },
    Fold,
    /// What happens to the next write.
    Fault {
        fault: Fault,
        cuts_fail: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Full,
    Nothing,
    More,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let worker = 0..2_usize;
    let change =
        prop_oneof![3 => Just(Change::Full), 1 => Just(Change::Nothing), 1 => Just(Change::More)];
    let fault = prop_oneof![Just(Fault::None), (0..400_usize).prop_map(Fault::Short)];
    let step = prop_oneof![
        8 => (worker.clone(), 0..4_usize, 0..5_u64)
            .prop_map(|(worker, set, cost)| Step::Reserve { worker, set, cost }),
        5 => worker.clone().prop_map(|worker| Step::Write { worker }),
        1 => worker.clone().prop_map(|worker| Step::Leave { worker }),
        8 => (any::<prop::sample::Index>(), change)
            .prop_map(|(which, change)| Step::Settle { which, change }),
        2 => worker.prop_map(|worker| Step::Flush { worker }),
        1 => Just(Step::Fold),
        1 => (fault, any::<bool>()).prop_map(|(fault, cuts_fail)| Step::Fault { fault, cuts_fail }),
    ];
    prop::collection::vec(step, 0..80)
}

struct Open {
    worker: usize,
    set: usize,
    ticket: Ticket,
}

/// A worker as its requests see it.
struct Worker {
    writer: Writer,
    /// What waits for the next append.
    put: Vec<Open>,
    /// What was not forwarded and is to be settled for that; the next start may know of it.
    unsent: Vec<Open>,
}

/// What must be in the store after a kill and a start.
#[derive(Default)]
struct Expected {
    requests: u64,
    units: [u64; 4],
    failed: u64,
    /// Of requests that an append left behind which failed and could not be cut away, when they were
    /// killed before that could be said elsewhere: each is there in full or not at all.
    perhaps: (u64, [u64; 4]),
}

impl Expected {
    fn take(&mut self, set: usize, ending: Ending, units: u64) {
        self.requests += 1;
        self.units[set] += units;
        self.failed += u64::from(ending == Ending::Failed);
    }
}

impl Worker {
    /// Does what follows an append, if there was one.
    fn note(&mut self, written: &io::Result<()>, open: &mut Vec<Open>) {
        if self.writer.put_bytes() > 0 {
            return;
        }
        match written {
            Ok(()) => open.append(&mut self.put),
            Err(_) if self.writer.is_torn() => self.unsent.append(&mut self.put),
            Err(_) => self.put.clear(),
        }
    }

    /// Settles what was not forwarded, as far as that works.
    fn settle_unsent(
        &mut self,
        sets: &[Arc<AccountSet>],
        open: &mut Vec<Open>,
        expected: &mut Expected,
    ) {
        while let Some(unsent) = self.unsent.pop() {
            let settled = self.settle(&unsent, sets, (Ending::Failed, 0), open);
            if settled.is_err() {
                return self.unsent.push(unsent);
            }
            if unsent.ticket.cost().units > 0 {
                expected.take(unsent.set, Ending::Failed, 0);
            } else {
                // An ordinary settle, which counts only where the reservation is found.
                expected.perhaps.0 += 1;
            }
        }
    }

    fn settle(
        &mut self,
        settled: &Open,
        sets: &[Arc<AccountSet>],
        (ending, charge): (Ending, u64),
        open: &mut Vec<Open>,
    ) -> io::Result<()> {
        let (ticket, set) = (&settled.ticket, &sets[settled.set]);
        let result = super::settle(&mut self.writer, ticket, set, (ending, charge), at(70));
        if charge != ticket.cost().units {
            self.note(&result, open);
        }
        result
    }
}

fn live(place: &Place, sets: &[Arc<AccountSet>], steps: &[Step], expected: &mut Expected) {
    let script = Script::default();
    let Process { writers, mut follower, mut store, .. } =
        place.start_with(|_| Box::new(script.clone()));
    let new = |writer| Worker { writer, put: Vec::new(), unsent: Vec::new() };
    let mut workers: Vec<_> = writers.into_iter().map(new).collect();
    let mut open: Vec<Open> = Vec::new();
    for (time, step) in steps.iter().enumerate() {
        let now = at(time as i64);
        for worker in &mut workers {
            worker.settle_unsent(sets, &mut open, expected);
        }
        match *step {
            Step::Reserve { worker, set, cost } => {
                let (accounts, id) = (&sets[set], Uuid::from_u128(time as u128));
                let Worker { writer, put, .. } = &mut workers[worker];
                let result =
                    writer.reserve(Taken::units(accounts, cost), &origin(accounts), id, now);
                put.extend(result.ok().map(|ticket| Open { worker, set, ticket }));
            }
            Step::Write { worker } => {
                let written = workers[worker].writer.write();
                workers[worker].note(&written, &mut open);
            }
            Step::Leave { worker } => {
                let Worker { put, unsent, .. } = &mut workers[worker];
                unsent.extend(put.pop());
            }
            Step::Settle { which, change } if !open.is_empty() => {
                let settled = open.swap_remove(which.index(open.len()));
                let cost = settled.ticket.cost().units;
                let (ending, charge) = match change {
                    Change::Full => (Ending::Completed, cost),
                    Change::Nothing => (Ending::Failed, 0),
                    Change::More => (Ending::Completed, cost + 1000),
                };
                let worker = &mut workers[settled.worker];
                match worker.settle(&settled, sets, (ending, charge), &mut open) {
                    // What costs nothing is ordinary, so that a kill may turn it into unknown.
                    Ok(()) if charge != cost => expected.take(settled.set, ending, charge),
                    Ok(()) => expected.take(settled.set, Ending::Completed, charge),
                    // Still open; settled later or never.
                    Err(_) => open.push(settled),
                }
            }
            Step::Settle { .. } => {}
            Step::Flush { worker } => {
                let flushed = workers[worker].writer.flush();
                workers[worker].note(&flushed, &mut open);
            }
            Step::Fold => follower.fold(&mut store, &mut ()).unwrap(),
            Step::Fault { fault, cuts_fail } => {
                *script.cuts_fail.lock().unwrap() = cuts_fail;
                script.writes.lock().unwrap().push_back(fault);
            }
        }
    }
    kill(open, workers, expected);
}

/// What is left when the process ends at once.
fn kill(open: Vec<Open>, workers: Vec<Worker>, expected: &mut Expected) {
    for Open { set, ticket, .. } in open {
        expected.take(set, Ending::Unknown, ticket.cost().units);
    }
    for Open { set, ticket, .. } in workers.into_iter().flat_map(|worker| worker.unsent) {
        expected.perhaps.0 += 1;
        expected.perhaps.1[set] += ticket.cost().units;
    }
}

fn check(place: &Place, sets: &[Arc<AccountSet>], expected: &Expected) {
    let process = place.start();
    assert_eq!(process.open_reservations(), 0);
    let used = usage(&process.store);
    let (mut requests, mut failed) = (0, 0);
    for ((set, units), perhaps) in sets.iter().zip(expected.units).zip(expected.perhaps.1) {
        let customer = set.customer.to_string();
        let endings = endings(&process.store, &customer);
        let charged = endings.values().map(|(_, units)| units).sum::<u64>();
        assert!((units..=units + perhaps).contains(&charged), "{charged} {units} {perhaps}");
        for account in &set.accounts {
            let scope = account.scope.to_string();
            let found = used.get(&(customer.clone(), scope)).copied().unwrap_or(0);
            assert_eq!(found, charged, "{account:?}");
        }
        requests += endings.values().map(|(requests, _)| requests).sum::<u64>();
        failed += endings.get("failed").map_or(0, |(requests, _)| *requests);
    }
    assert!((expected.requests..=expected.requests + expected.perhaps.0).contains(&requests));
    // A failed one that cost nothing may have become unknown, none became failed.
    assert!(failed >= expected.failed, "{failed} {}", expected.failed);
    assert!(place.segments().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn after_every_kill_each_request_is_counted_once(
        lives in prop::collection::vec(steps(), 1..4),
        segment_bytes in prop_oneof![Just(64_u64), 300..2000_u64],
    ) {
        let mut place = Place::new();
        place.segment_bytes = segment_bytes;
        let sets: Vec<_> = (0..4).map(|n| set(n, &format!("customer-{n}"))).collect();
        let mut expected = Expected::default();
        for steps in &lives {
            live(&place, &sets, steps, &mut expected);
            if steps.len() % 2 == 0 {
                check(&place, &sets, &expected);
            }
        }
        check(&place, &sets, &expected);
    }
}
