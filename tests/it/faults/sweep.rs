//! One call that fails, the first, the second, and so on: of the journal and of the database, in both
//! durabilities. `FAREGATE_FAULT_CALLS` asks for more of them.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    load::{Got, Load, assert_fair, count, first_unavailable, last_unavailable},
    scene::Scene,
    shim::{CREATE, CUT, DATABASE, EIO, ENOSPC, Fault, JOURNAL, SYNC, WRITE},
    table::Row,
};
use crate::{
    process::{Gateway, get},
    support::wait_for,
};

/// Calls in an ordinary test run.
const CALLS: i64 = 12;

/// A refusal comes within this time of a fault, and the last one within the next of its end.
const NOTICED: Duration = Duration::from_secs(1);
const RECOVERED: Duration = Duration::from_secs(5);

#[test]
fn journal_sync_that_fails_once() {
    journal("sync of the journal fails once", "normal", |nth| Fault::nth(JOURNAL, SYNC, EIO, nth));
}

#[test]
fn journal_sync_that_fails_once_where_the_disk_has_it_first() {
    journal("sync of the journal fails once, strict", "strict", |nth| {
        Fault::nth(JOURNAL, SYNC, EIO, nth)
    });
}

#[test]
fn journal_write_that_fails_once() {
    journal("write to the journal fails once", "normal", |nth| {
        Fault::nth(JOURNAL, WRITE, ENOSPC, nth)
    });
}

#[test]
fn journal_write_that_fails_once_where_the_disk_has_it_first() {
    journal("write to the journal fails once, strict", "strict", |nth| {
        Fault::nth(JOURNAL, WRITE, ENOSPC, nth)
    });
}

/// Half of an append is written, the rest is refused, and so is cutting off the half.
#[test]
fn journal_write_that_stops_half_way() {
    for (durability, name) in [("normal", ""), ("strict", ", strict")] {
        let name = format!("write to the journal stops half way, and is not undone{name}");
        journal(&name, durability, |nth| Fault {
            count: 3,
            is_partial: true,
            ..Fault::nth(JOURNAL, WRITE | CUT, EIO, nth)
        });
    }
}

/// The new segment that a failed sync asks for cannot be made either, some times.
#[test]
fn journal_that_cannot_begin_anew() {
    for (durability, name) in [("normal", ""), ("strict", ", strict")] {
        let name = format!("sync of the journal fails, and so do new segments{name}");
        journal(&name, durability, |nth| Fault {
            count: 5,
            ..Fault::nth(JOURNAL, SYNC | CREATE, EIO, nth)
        });
    }
}

#[test]
fn database_sync_that_fails_once() {
    database("sync of the database fails once", "normal", SYNC, EIO);
}

#[test]
fn database_sync_that_fails_once_where_the_disk_has_it_first() {
    database("sync of the database fails once, strict", "strict", SYNC, EIO);
}

#[test]
fn database_write_that_fails_once() {
    database("write to the database fails once", "normal", WRITE, ENOSPC);
}

#[test]
fn database_write_that_fails_once_where_the_disk_has_it_first() {
    database("write to the database fails once, strict", "strict", WRITE, ENOSPC);
}

fn report(scene: &Scene, gateway: &Gateway) {
    let authorization = gateway.authorization();
    let path = "/v1/usage?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z&by=customer";
    let _ = get(scene.admin, path, &[("authorization", &authorization)]);
}

fn calls() -> i64 {
    std::env::var("FAREGATE_FAULT_CALLS").map_or(CALLS, |text| text.parse().unwrap())
}

/// Counted routes are refused for a moment, and then served again.
fn journal(name: &str, durability: &str, fault: impl Fn(i64) -> Fault) {
    let scene = Scene::new(durability);
    let mut gateway = scene.start();
    let (mut seen_all, mut slowest_first, mut slowest_recovery) =
        (Vec::new(), Duration::ZERO, Duration::ZERO);
    let began_all = Instant::now();
    for nth in 1..=calls() {
        let load = Load::start(scene.address);
        let began = Instant::now();
        let fault = fault(nth);
        scene.shim.arm(fault);
        wait_for("the fault", || (scene.shim.hits() > 0).then_some(()));
        let hit = Instant::now();
        wait_for("the fault's end", || (scene.shim.hits() >= fault.count).then_some(()));
        let ended = Instant::now();
        if fault.calls & SYNC != 0 {
            let _ = load.wait_unavailable(began);
        }
        load.wait_served_again();
        let seen = load.stop();
        scene.shim.disarm();
        assert_fair(&seen);
        // Nobody is refused for a settlement that is not written at once.
        let first = first_unavailable(&seen, began).unwrap_or_default();
        // Counted from the fault, which was some milliseconds before it was looked for.
        let first = first.saturating_sub(hit - began);
        assert!(first < NOTICED, "call {nth}: refused after {first:?}");
        slowest_first = slowest_first.max(first);
        let recovery = last_unavailable(&seen, ended);
        assert!(recovery < RECOVERED, "call {nth}: refused {recovery:?} after the fault");
        slowest_recovery = slowest_recovery.max(recovery);
        seen_all.extend(seen);
        scene.audit(&gateway);
        if nth % 4 == 0 {
            gateway.kill();
            gateway = scene.start();
            scene.audit(&gateway);
        }
    }
    scene.audit_to_the_end(gateway);
    let row = Row::new(name, &seen_all, began_all, slowest_recovery);
    Row { first: Some(slowest_first), ..row }.tell();
}

/// Nobody is refused anything: the journal has it, and what the database did not take it takes later.
fn database(name: &str, durability: &str, calls_hit: i64, error: i64) {
    let scene = Scene::new(durability);
    let gateway = scene.start();
    let load = Load::start(scene.address);
    let began = Instant::now();
    for nth in 1..=calls() {
        scene.shim.arm(Fault::nth(DATABASE, calls_hit, error, nth));
        wait_for("the fault", || {
            // A report brings what is in the journal into the database first.
            report(&scene, &gateway);
            (scene.shim.hits() == 1).then_some(())
        });
        scene.shim.disarm();
    }
    load.wait_served_again();
    let seen = load.stop();
    assert_fair(&seen);
    assert_eq!(count(&seen, Got::Unavailable), 0);
    gateway.wait_log("the journal is folded again");
    scene.audit_to_the_end(gateway);
    Row::new(name, &seen, began, Duration::ZERO).tell();
}
