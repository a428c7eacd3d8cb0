//! The wall clock steps under load, and is wrong for a while or for good.
#![cfg(debug_assertions)]

use std::{
    fs,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use tokio::time::Instant;

use super::{
    load::{Got, Load, Seen, assert_fair, count},
    scene::Scene,
    table::Row,
};
use crate::{
    process::{Gateway, get},
    support::{wait_for, wait_until_equal},
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A step is believed when it has stood for so long.
const STANDS: i64 = 601;

/// The clocks of a scene's gateways, which a test moves.
struct Clocks {
    file: PathBuf,
    /// The seconds by which a clock that is right differs from this machine's: it begins at noon, so that
    /// no midnight comes but by a step.
    noon: i64,
}

impl Clocks {
    fn new(scene: &mut Scene) -> Self {
        let file = scene.directory.path().join("clocks");
        scene.clocks = Some(file.clone());
        let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let clocks = Self { file, noon: DAY / 2 - now % DAY };
        clocks.set(0, 0);
        clocks
    }

    /// Moves both by a number of seconds, counted from where they are when they are right. In one step:
    /// the gateway reads them at any time.
    fn set(&self, wall: i64, running: i64) {
        let draft = self.file.with_extension("new");
        fs::write(&draft, format!("{} {running}\n", self.noon + wall)).unwrap();
        fs::rename(draft, &self.file).unwrap();
    }
}

/// What the customer has used: of the quota without a window, of that of a day, and which day.
#[derive(Debug, Eq, PartialEq)]
struct Standing {
    ever: u64,
    day: u64,
    start: String,
}

fn standing(gateway: &Gateway) -> Standing {
    let usage = gateway.usage("acme");
    let of = |window: &str| {
        let quotas = usage["quotas"].as_array().unwrap();
        quotas
            .iter()
            .find(|quota| (quota["window"]["end"].is_null()) == (window == "ever"))
            .unwrap()
    };
    Standing {
        ever: of("ever")["used"].as_u64().unwrap(),
        day: of("day")["used"].as_u64().unwrap(),
        start: of("day")["window"]["start"].as_str().unwrap().to_owned(),
    }
}

/// Waits until the gateway finds the wall clock so many seconds ahead of its time.
fn wait_ahead(scene: &Scene, seconds: i64) {
    let ahead = || {
        let page = get(scene.admin, "/metrics", &[]).unwrap();
        let mut lines = page.lines();
        let figure = lines.find_map(|line| line.strip_prefix("faregate_clock_ahead_seconds "));
        let figure: f64 = figure.unwrap().parse().unwrap();
        // It is rounded to whole seconds, either way.
        (figure - seconds as f64).abs() <= 1.0
    };
    wait_until_equal(ahead, &true);
}

fn name(step: i64) -> String {
    let sign = if step < 0 { "back" } else { "forward" };
    match step.abs() {
        hours @ ..DAY => format!("{} h {sign}", hours / HOUR),
        days => format!("{} days {sign}", days / DAY),
    }
}

/// Nobody is refused, and the same window goes on.
fn assert_untouched(seen: &[Seen]) {
    assert_fair(seen);
    assert_eq!(count(seen, Got::Unavailable), 0);
}

#[test]
fn clock_that_is_wrong_for_a_moment() {
    let mut scene = Scene::new("normal");
    let clocks = Clocks::new(&mut scene);
    let gateway = scene.start();
    let day = standing(&gateway).start;
    for step in [2 * HOUR, -2 * HOUR, 2 * DAY, -2 * DAY] {
        let load = Load::start(scene.address);
        let began = Instant::now();
        clocks.set(step, 0);
        wait_ahead(&scene, step);
        load.wait_served_again();
        clocks.set(0, 0);
        wait_ahead(&scene, 0);
        load.wait_served_again();
        let seen = load.stop();
        assert_untouched(&seen);
        scene.audit(&gateway);
        assert_eq!(standing(&gateway).start, day, "the window goes on");
        let row = format!("clock {} and right again", name(step));
        Row::new(&row, &seen, began, Duration::ZERO).tell();
    }
    scene.audit_to_the_end(gateway);
}

/// Moves the wall clock under load and lets the step stand until it is believed.
fn step_for_good(scene: &Scene, clocks: &Clocks, step: i64) -> (Instant, Vec<Seen>) {
    let load = Load::start(scene.address);
    let began = Instant::now();
    clocks.set(step, 0);
    wait_ahead(scene, step);
    load.wait_served_again();
    clocks.set(step + STANDS, STANDS);
    wait_ahead(scene, 0);
    load.wait_served_again();
    (began, load.stop())
}

/// The time that has passed comes twice; what was used in it stays used.
#[test]
fn clock_that_is_set_back_for_good() {
    for step in [-2 * HOUR, -2 * DAY] {
        let mut scene = Scene::new("normal");
        let clocks = Clocks::new(&mut scene);
        let gateway = scene.start();
        let (began, seen) = step_for_good(&scene, &clocks, step);
        assert_untouched(&seen);
        scene.audit(&gateway);
        Row::new(&format!("clock {} for good", name(step)), &seen, began, Duration::ZERO).tell();
        let before = standing(&gateway);
        gateway.kill();
        // With the clock still back.
        let gateway = scene.start();
        assert_eq!(standing(&gateway), before, "a restart opens no window again");
        clocks.set(0, 0);
        scene.audit_to_the_end(gateway);
    }
}

/// A step that is believed begins the window that it leads to, and when the clock is right again that one
/// goes on until its end has come.
#[test]
fn clock_that_is_set_forward_for_good() {
    for step in [2 * HOUR, 2 * DAY] {
        let mut scene = Scene::new("normal");
        let clocks = Clocks::new(&mut scene);
        let gateway = scene.start();
        let first = standing(&gateway);
        let (began, seen) = step_for_good(&scene, &clocks, step);
        assert_untouched(&seen);
        Row::new(&format!("clock {} for good", name(step)), &seen, began, Duration::ZERO).tell();
        let settled = || {
            let now = standing(&gateway);
            (now.ever == scene.paid.received()).then_some(now)
        };
        let now = wait_for("all to be settled", settled);
        let is_renewed = now.start != first.start;
        assert!(is_renewed || step < 2 * DAY, "two days later it is another day");
        assert!(if is_renewed { now.day < now.ever } else { now.day == now.ever }, "{now:?}");
        gateway.kill();
        clocks.set(0, 0);
        let gateway = scene.start();
        assert_eq!(standing(&gateway), now, "no window opens again when the clock is right");
        let load = Load::start(scene.address);
        assert_untouched(&load.stop());
        let more = wait_for("all to be settled", || {
            let now = standing(&gateway);
            (now.ever == scene.paid.received()).then_some(now)
        });
        assert_eq!(more.day - now.day, more.ever - now.ever);
        assert_eq!(more.start, now.start);
        assert!(gateway.stop());
        scene.audit_database();
    }
}
