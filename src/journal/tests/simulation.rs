//! Random lives of the process, each ended by a kill, against a plain sum.

use proptest::prelude::*;

use super::{
    faults::{Fault, Script},
    *,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve {
        worker: usize,
        set: usize,
        cost: u64,
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

/// What must be in the store after a kill and a start.
#[derive(Default)]
struct Expected {
    requests: u64,
    units: [u64; 4],
    failed: u64,
}

impl Expected {
    fn take(&mut self, set: usize, ending: Ending, units: u64) {
        self.requests += 1;
        self.units[set] += units;
        self.failed += u64::from(ending == Ending::Failed);
    }
}

fn live(place: &Place, sets: &[Arc<AccountSet>], steps: &[Step], expected: &mut Expected) {
    let script = Script::default();
    let Process { mut writers, mut follower, mut store, .. } =
        place.start_with(|_| Box::new(script.clone()));
    let mut open: Vec<Open> = Vec::new();
    for (time, step) in steps.iter().enumerate() {
        let now = at(time as i64);
        match *step {
            Step::Reserve { worker, set, cost } => {
                let (accounts, id) = (&sets[set], Uuid::from_u128(time as u128));
                let result = writers[worker].reserve(accounts, &origin(accounts), cost, id, now);
                open.extend(result.ok().map(|ticket| Open { worker, set, ticket }));
            }
            Step::Settle { which, change } if !open.is_empty() => {
                let Open { worker, set, ticket } = open.swap_remove(which.index(open.len()));
                let cost = ticket.cost();
                let (ending, charge) = match change {
                    Change::Full => (Ending::Completed, cost),
                    Change::Nothing => (Ending::Failed, 0),
                    Change::More => (Ending::Completed, cost + 1000),
                };
                let (writer, accounts) = (&mut writers[worker], &sets[set]);
                match writer.settle(&ticket, accounts, &origin(accounts), ending, charge, now) {
                    // What costs nothing is ordinary, so that a kill may turn it into unknown.
                    Ok(()) if charge != cost => expected.take(set, ending, charge),
                    Ok(()) => expected.take(set, Ending::Completed, charge),
                    // Still open; settled later or never.
                    Err(_) => open.push(Open { worker, set, ticket }),
                }
            }
            Step::Settle { .. } => {}
            Step::Flush { worker } => {
                let _ = writers[worker].flush();
            }
            Step::Fold => follower.fold(&mut store, &mut ()).unwrap(),
            Step::Fault { fault, cuts_fail } => {
                *script.cuts_fail.lock().unwrap() = cuts_fail;
                script.writes.lock().unwrap().push_back(fault);
            }
        }
    }
    for Open { set, ticket, .. } in open {
        expected.take(set, Ending::Unknown, ticket.cost());
    }
}

fn check(place: &Place, sets: &[Arc<AccountSet>], expected: &Expected) {
    let process = place.start();
    assert_eq!(process.open_reservations(), 0);
    let used = usage(&process.store);
    let (mut requests, mut failed) = (0, 0);
    for (set, units) in sets.iter().zip(expected.units) {
        let customer = set.customer.to_string();
        for account in &set.accounts {
            let scope = account.scope.to_string();
            let found = used.get(&(customer.clone(), scope)).copied().unwrap_or(0);
            assert_eq!(found, units, "{account:?}");
        }
        let endings = endings(&process.store, &customer);
        assert_eq!(endings.values().map(|(_, units)| units).sum::<u64>(), units);
        requests += endings.values().map(|(requests, _)| requests).sum::<u64>();
        failed += endings.get("failed").map_or(0, |(requests, _)| *requests);
    }
    assert_eq!(requests, expected.requests);
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
