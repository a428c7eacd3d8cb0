//! A disk that takes nothing for a while, or is slow.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    load::{Got, Load, Seen, assert_fair, count, last_unavailable, slowest},
    scene::Scene,
    shim::{CREATE, CUT, DATABASE, DISK, EIO, ENOSPC, EROFS, Fault, JOURNAL, SYNC, WRITE},
    table::{Row, time},
};
use crate::{process::get, support::wait_for};

/// A refusal comes within this time of a fault, and from then on nothing is served that is counted.
const NOTICED: Duration = Duration::from_secs(1);

/// After a fault's end nobody is refused for longer.
const RECOVERED: Duration = Duration::from_secs(5);

/// So many refusals are waited for when the time to notice is over: a fault that lasts.
const REFUSALS: usize = 100;

/// So many requests are waited for where nobody is refused.
const REQUESTS: usize = 600;

const ALL: i64 = WRITE | SYNC | CREATE | CUT;

/// The same in both durabilities, with what the table calls them.
const DURABILITIES: [(&str, &str); 2] = [("normal", ""), ("strict", ", strict")];

#[test]
fn disk_that_is_full() {
    for (durability, suffix) in DURABILITIES {
        let fault = Fault::lasting(DISK, WRITE | CREATE, ENOSPC);
        interrupted(&format!("disk full{suffix}"), durability, fault);
    }
}

#[test]
fn disk_that_is_read_only() {
    for (durability, suffix) in DURABILITIES {
        let fault = Fault::lasting(DISK, ALL, EROFS);
        interrupted(&format!("disk read-only{suffix}"), durability, fault);
    }
}

#[test]
fn disk_that_fails_altogether() {
    for (durability, suffix) in DURABILITIES {
        let fault = Fault::lasting(DISK, ALL, EIO);
        interrupted(&format!("every call fails{suffix}"), durability, fault);
    }
}

/// What is written is taken, and never reaches the disk.
#[test]
fn journal_that_cannot_be_synced() {
    for (durability, suffix) in DURABILITIES {
        let fault = Fault::lasting(JOURNAL, SYNC, EIO);
        interrupted(&format!("no sync of the journal succeeds{suffix}"), durability, fault);
    }
}

fn readiness(scene: &Scene) -> String {
    let answer = get(scene.admin, "/readyz", &[]).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    format!("{} {body}", &head["HTTP/1.1 ".len()..][..3])
}

/// Waits for a readiness that begins with a status.
fn wait_readiness(scene: &Scene, status: &str) {
    wait_for(&format!("/readyz to say {status}"), || {
        readiness(scene).starts_with(status).then_some(())
    });
}

/// Counted routes are refused as long as the fault lasts, and served again when it is over.
fn interrupted(name: &str, durability: &str, fault: Fault) {
    let scene = Scene::new(durability);
    let gateway = scene.start();
    let load = Load::start(scene.address);
    let began = Instant::now();
    scene.shim.arm(fault);
    let first = load.wait_unavailable(began);
    assert!(first < NOTICED, "refused after {first:?}");
    wait_for("refusals", || {
        (count(&load.since(began + NOTICED), Got::Unavailable) >= REFUSALS).then_some(())
    });
    wait_readiness(&scene, "503");
    assert!(scene.shim.hits() > 0);
    let ended = Instant::now();
    scene.shim.disarm();
    load.wait_served_again();
    wait_readiness(&scene, "200");
    let seen = load.stop();
    assert_fair(&seen);
    let meanwhile = seen.iter().filter(|seen| seen.at > began + NOTICED && seen.at < ended);
    let meanwhile: Vec<Seen> = meanwhile.copied().collect();
    assert_eq!(count(&meanwhile, Got::Served), 0, "nothing is served that is not on record");
    assert!(slowest(&seen) < 2 * NOTICED, "an answer took {:?}", slowest(&seen));
    let recovery = last_unavailable(&seen, ended);
    assert!(recovery < RECOVERED, "refused {recovery:?} after the fault");
    let until_end: Vec<Seen> = seen.iter().filter(|seen| seen.at < ended).copied().collect();
    scene.audit_to_the_end(gateway);
    Row::new(name, &until_end, began, recovery).tell();
}

/// Who asks first after a night without callers is served.
#[test]
fn recovery_waits_for_no_caller() {
    let faults = [
        ("all", Fault::lasting(DISK, ALL, EIO)),
        ("writes", Fault::lasting(JOURNAL, WRITE | CREATE, ENOSPC)),
        ("syncs", Fault::lasting(JOURNAL, SYNC, EIO)),
    ];
    for (durability, _) in DURABILITIES {
        for (name, fault) in faults {
            let scene = Scene::new(durability);
            let gateway = scene.start();
            // Nothing is given back, so that nothing waits to be settled.
            let load = Load::start_without_failures(scene.address);
            let began = Instant::now();
            scene.shim.arm(fault);
            let _ = load.wait_unavailable(began);
            assert_fair(&load.stop());
            wait_readiness(&scene, "503");
            scene.shim.disarm();
            wait_readiness(&scene, "200");
            let seen = Load::start(scene.address).stop();
            assert_fair(&seen);
            assert_eq!(count(&seen, Got::Unavailable), 0, "{durability}, {name}");
            scene.audit_to_the_end(gateway);
        }
    }
}

/// The journal has it, so nobody is refused; but the gateway says that it is not well.
#[test]
fn database_that_takes_nothing() {
    for (durability, suffix) in DURABILITIES {
        let scene = Scene::new(durability);
        let gateway = scene.start();
        let load = Load::start(scene.address);
        let began = Instant::now();
        scene.shim.arm(Fault::lasting(DATABASE, ALL, EIO));
        wait_readiness(&scene, "503");
        wait_for("requests", || (count(&load.since(began), Got::Served) >= REQUESTS).then_some(()));
        scene.shim.disarm();
        wait_readiness(&scene, "200");
        let seen = load.stop();
        assert_fair(&seen);
        assert_eq!(count(&seen, Got::Unavailable), 0);
        scene.audit_to_the_end(gateway);
        Row::new(&format!("database takes nothing{suffix}"), &seen, began, Duration::ZERO).tell();
    }
}

/// Killed while the disk takes nothing, and started when it is well again. What is then on record is all
/// that was forwarded, and of what was refused at most what stood in the journal unsettled.
#[test]
fn kill_while_the_disk_takes_nothing() {
    for (durability, _) in DURABILITIES {
        let scene = Scene::new(durability);
        let gateway = scene.start();
        let load = Load::start(scene.address);
        let began = Instant::now();
        scene.shim.arm(Fault::lasting(DISK, ALL, EIO));
        let _ = load.wait_unavailable(began);
        assert_fair(&load.stop());
        gateway.kill();
        scene.shim.disarm();
        let gateway = scene.start();
        scene.audit_after_crash(&gateway);
    }
}

#[test]
fn start_on_a_disk_that_takes_nothing() {
    let scene = Scene::new("normal");
    for (error, name) in [(ENOSPC, "full"), (EROFS, "read-only"), (EIO, "broken")] {
        scene.shim.arm(Fault::lasting(DISK, ALL, error));
        let told = scene.fail_to_start();
        println!("{name}: {told}");
        assert!(told.contains("disk/"), "{told}");
    }
    scene.shim.disarm();
    let gateway = scene.start();
    scene.audit_to_the_end(gateway);
}

#[test]
fn slow_disk_holds_nobody_up() {
    for delay_ms in [300, 3000] {
        let seen = slow("normal", delay_ms);
        let slowest = slowest(&seen);
        assert!(slowest < Duration::from_millis(250), "an answer took {slowest:?}");
    }
}

#[test]
fn slow_disk_is_waited_for_where_it_must_have_it_first() {
    let seen = slow("strict", 300);
    assert!(slowest(&seen) >= Duration::from_millis(300), "nobody waited");
    assert!(slowest(&seen) < Duration::from_millis(1000));
}

/// Syncs are late; nobody is refused.
fn slow(durability: &str, delay_ms: i64) -> Vec<Seen> {
    let scene = Scene::new(durability);
    let gateway = scene.start();
    let load = Load::start(scene.address);
    let began = Instant::now();
    scene.shim.arm(Fault::slow(DISK, SYNC, delay_ms));
    wait_for("slow syncs", || (scene.shim.hits() >= 3).then_some(()));
    scene.shim.disarm();
    load.wait_served_again();
    let seen = load.stop();
    assert_fair(&seen);
    assert_eq!(count(&seen, Got::Unavailable), 0);
    let during: Vec<Seen> = seen.iter().filter(|seen| seen.at > began).copied().collect();
    let name = format!(
        "a sync takes {}, {durability}",
        time(Duration::from_millis(delay_ms.unsigned_abs()))
    );
    scene.audit_to_the_end(gateway);
    let row = Row::new(&name, &during, began, Duration::ZERO);
    Row { callers: format!("served, {} at most", time(slowest(&during))), ..row }.tell();
    during
}

/// A disk that takes longer than a second is as good as broken.
#[test]
fn disk_that_is_too_slow_to_wait_for() {
    let scene = Scene::new("strict");
    let gateway = scene.start();
    let load = Load::start(scene.address);
    let began = Instant::now();
    scene.shim.arm(Fault::slow(JOURNAL, SYNC, 3000));
    let first = load.wait_unavailable(began);
    assert!(first < Duration::from_millis(1500), "refused after {first:?}");
    wait_for("slow syncs", || (scene.shim.hits() >= 3).then_some(()));
    let ended = Instant::now();
    scene.shim.disarm();
    load.wait_served_again();
    let seen = load.stop();
    assert_fair(&seen);
    assert!(slowest(&seen) < Duration::from_millis(1500), "an answer took {:?}", slowest(&seen));
    scene.audit_to_the_end(gateway);
    Row::new("a sync takes 3.0 s, strict", &seen, began, last_unavailable(&seen, ended)).tell();
}
