//! How long answers take: of customers who call for the first time, and of those who call all the time.

use super::{callers::median_and_99, rig::NODES, *};
use crate::{process::Client, support::Schema};

const CUSTOMERS: u64 = 150;

/// Calls of one customer on a node.
const HOT: usize = 500;

#[test]
fn first_calls_take_a_trip_and_others_none() {
    let schema = Schema::new();
    let plan = Plan { customers: CUSTOMERS, ..Plan::of(ENDLESS) };
    let mut rig = Rig::start(&plan, &schema.url());
    let mut clients: Vec<_> =
        rig.nodes.iter().map(|node| Client::connect(node.address).unwrap()).collect();
    let mut time = |node: usize, key: &str| {
        let began = Instant::now();
        let answer = clients[node].ask_whole("/one/x", key).unwrap();
        assert_eq!(Got::from(&answer), Got::Served);
        began.elapsed()
    };
    let mut cold = |node: usize| {
        let times = (0..CUSTOMERS).map(|customer| time(node, &format!("key-of-c{customer}")));
        median_and_99(times.collect())
    };
    let first = cold(0);
    let others = cold(1);
    let again = cold(0);
    let hot = (0..NODES * HOT).map(|call| time(call % NODES, KEY)).collect();
    let hot = median_and_99(hot);
    println!("first call of a customer: {first:?}, its first on another node: {others:?}");
    println!("its second on a node: {again:?}, calls of one that calls all the time: {hot:?}");
    assert!(first.1 < NO_LONGER, "{first:?}");
    assert!(hot.0 < first.0 && again.0 < first.0, "{hot:?} and {again:?}, but {first:?}");
    let called = HOT as u64 * NODES as u64;
    rig.wait_used("acme", called);
    rig.stop(&schema, called);
    let others = "SELECT sum(used) FROM usage WHERE customer <> 'acme'";
    assert_eq!(schema.ask(others), (3 * CUSTOMERS).to_string());
}

/// Nobody waits longer than that where nothing is wrong.
const NO_LONGER: Duration = Duration::from_millis(500);
