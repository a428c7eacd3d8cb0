//! The edge of a window, which clocks that differ reach one after the other.
#![cfg(debug_assertions)]

use std::{thread, time::UNIX_EPOCH};

use super::{
    callers::{assert_only, count},
    *,
};
use crate::support::{Schema, wait_until_equal};

const HOUR: u64 = 3600;

/// How far the second node's clock is ahead of the first's, and the third's behind.
const APART: i64 = 1;

/// Gives by how much clocks are to be moved so that an hour ends so much later.
fn before_an_hour(seconds: u64) -> i64 {
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    i64::try_from(HOUR - now % HOUR).unwrap() - i64::try_from(seconds).unwrap()
}

#[test]
fn each_window_has_its_limit_on_all_nodes_together() {
    const LIMIT: u64 = 500;
    let schema = Schema::new();
    let plan = Plan { window: "hour", ..Plan::of(LIMIT) };
    let mut rig = Rig::start(&plan, &schema.url());
    for (node, apart) in rig.nodes.iter().zip([0, APART, -APART]) {
        node.move_clock(before_an_hour(6) + apart);
    }
    let callers = Callers::start(&rig, 4, "/one/x", KEY, Ends::Told);
    wait_until_equal(|| rig.received(), &LIMIT);
    println!("the first window is used up, by {:?}", rig.nodes[0].standing("acme"));
    wait_until_equal(|| rig.received(), &(2 * LIMIT));
    // Everybody is past the edge, and asks on.
    thread::sleep(Duration::from_millis(2500));
    let seen = callers.stop();
    println!(
        "{} received over the edge, {} refusals, {} answers 503",
        rig.received(),
        count(&seen, Got::Refused),
        count(&seen, Got::Unavailable)
    );
    assert_only(&seen, &[Got::Served, Got::Refused]);
    assert_eq!(rig.received(), 2 * LIMIT);
    assert_eq!(count(&seen, Got::Served), 2 * LIMIT);
    rig.wait_used("acme", LIMIT);
    rig.verify();
    rig.stop(&schema, 2 * LIMIT);
    let windows = schema.ask("SELECT string_agg(used::text, ' ') FROM usage");
    assert_eq!(windows, format!("{LIMIT} {LIMIT}"));
}
