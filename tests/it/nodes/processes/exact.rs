//! In quiet: as many units as the limit has, and no 402 before they are spent.

use std::{
    sync::{Barrier, Mutex},
    thread,
};

use super::{
    callers::{assert_only, count, median_and_99},
    rig::NODES,
    *,
};
use crate::{process::Client, support::Schema};

/// For how many calls callers come at once.
const UNITS: u64 = 5;

/// What a run of callers came to who ask until they are told that all is used.
fn spend(cost: u64, plan: &Plan) {
    let limit = plan.limit;
    let schema = Schema::new();
    let mut rig = Rig::start(plan, &schema.url());
    let path = if cost == 3 { "/three/x" } else { "/one/x" };
    let began = Instant::now();
    let seen = Callers::start(&rig, CONNECTIONS, path, KEY, Ends::Refused).join();
    let took = began.elapsed();
    // Of what one more call would have had to find.
    let calls = limit / cost;
    let first = seen.iter().filter(|seen| seen.got == Got::Refused).min_by_key(|seen| seen.at);
    let unspent = limit - cost * first.unwrap().received;
    let (median, slow) = median_and_99(seen.iter().map(|seen| seen.took).collect());
    println!(
        "limit {limit}, cost {cost}: {} received in {took:?}, {unspent} unspent at the first 402, {} answers 503, \
         an answer took {median:?}, one in a hundred {slow:?}",
        rig.received(),
        count(&seen, Got::Unavailable),
    );
    assert_eq!(rig.received(), calls);
    assert_eq!(count(&seen, Got::Served), calls);
    assert_only(&seen, plan.answers());
    // What requests in flight held is not to be had either.
    let held = u64::try_from(CONNECTIONS * NODES).unwrap() * cost;
    assert!(unspent <= held + limit / 100, "{unspent} unspent at the first refusal");
    rig.wait_used("acme", cost * calls);
    rig.verify();
    assert_eq!(rig.received(), calls);
    rig.stop(&schema, cost * calls);
}

#[test]
fn limit_is_served_to_the_unit_by_all_nodes_together() {
    spend(1, &Plan::of(number("FAREGATE_NODES_LIMIT", 30_000)));
}

#[test]
fn balance_is_spent_to_the_last_call_by_all_nodes_together() {
    spend(1, &Plan::paid(number("FAREGATE_NODES_LIMIT", 30_000)));
}

/// The limit is no multiple of the cost.
#[test]
fn costs_of_three_are_taken_whole() {
    let limit = number("FAREGATE_NODES_LIMIT", 30_000);
    spend(3, &Plan::of(limit - limit % 3 + 2));
}

/// Callers at once for fewer units, of one customer after the other.
#[test]
fn few_units_are_given_to_as_many_of_the_callers_who_come_at_once() {
    give_few(Plan::of(UNITS));
}

/// A balance for so many calls, which two grants have.
#[test]
fn small_balance_pays_for_as_many_of_the_callers_who_come_at_once() {
    give_few(Plan::paid(UNITS));
}

fn give_few(plan: Plan) {
    let rounds = number("FAREGATE_NODES_ROUNDS", 20);
    let schema = Schema::new();
    let plan = Plan { customers: rounds, ..plan };
    let rig = Rig::start(&plan, &schema.url());
    let callers = usize::try_from(20 * UNITS).unwrap();
    let barrier = Barrier::new(callers);
    // What the upstream had received before each round, and behind the last one.
    let received = Mutex::new(vec![0]);
    let ask = |caller: usize| {
        let mut client = Client::connect(rig.nodes[caller % NODES].address).unwrap();
        let mut answers = Vec::new();
        for round in 0..rounds {
            barrier.wait();
            let began = Instant::now();
            let answer = client.ask_whole("/one/x", &format!("key-of-c{round}"));
            answers.push((answer.as_ref().map_or(Got::Broken, Got::from), began.elapsed()));
            if barrier.wait().is_leader() {
                received.lock().unwrap().push(rig.received());
            }
        }
        answers
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..callers)
            .map(|caller| {
                let ask = &ask;
                scope.spawn(move || ask(caller))
            })
            .collect();
        asking.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let (median, slow) = median_and_99(answers.iter().map(|(_, took)| *took).collect());
    println!(
        "{rounds} rounds of {callers} callers for {UNITS} units: {} received; an answer took {median:?}, one in a \
         hundred {slow:?}",
        rig.received(),
    );
    let known = plan.answers();
    let wrong = answers.iter().find(|(got, _)| *got != Got::Unavailable && !known.contains(got));
    assert!(wrong.is_none(), "{wrong:?}");
    // Who waits for others to give back is told after 0.4 s that they do not: how many are depends on the machine.
    let count = |what| answers.iter().filter(|(got, _)| *got == what).count();
    println!("{} answers 503, {} 429", count(Got::Unavailable), count(Got::InFlight));
    let received = received.into_inner().unwrap();
    let each: Vec<_> = received.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(each.iter().all(|served| *served == UNITS), "{each:?}");
    assert_eq!(rig.received(), rounds * UNITS);
    for round in 0..rounds {
        rig.wait_used(&format!("c{round}"), UNITS);
    }
    rig.verify();
}
