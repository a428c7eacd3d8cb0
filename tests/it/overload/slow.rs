//! A thousand at once who send or take next to nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    crowd::{Crowd, Habit},
    ordinary::{self, Ordinary},
    scene::Scene,
    table::Row,
};

const COUNT: usize = 1000;

/// Lets a crowd come and waits until it is gone.
fn outlast(name: &str, habit: Habit, limits: &str, most: Duration) {
    let scene = Scene::start(limits);
    let before = scene.memory_kib();
    let ordinary = Ordinary::start(scene.gateway.address);
    let began = Instant::now();
    let crowd = Crowd::send(scene.gateway.address, habit, COUNT);
    crowd.wait_there(COUNT);
    scene.assert_well();
    scene.wait_connections(ordinary::CLIENTS, most);
    let gone = began.elapsed();
    let seen = ordinary.stop();
    assert_eq!(seen.errors, 0);
    assert!(seen.late < Duration::from_secs(1), "{seen:?}");
    crowd.leave();
    scene.audit();
    let most = scene.gateway.peak_memory_kib();
    Row { crowd: name.into(), seen, gone: Some(gone), memory_kib: [before, most] }.tell();
}

#[test]
fn heads_byte_by_byte() {
    outlast("1,000 send a head byte by byte", Habit::Head, "", Duration::from_secs(30));
}

#[test]
fn bodies_byte_by_byte() {
    outlast("1,000 send a body byte by byte", Habit::Body, "", Duration::from_secs(30));
}

/// What the system holds counts as taken, so the idle time ends them: it is short here, to be there.
#[test]
fn answers_drop_by_drop() {
    let limits = "idle_timeout = \"10s\"";
    let name = "1,000 take an answer drop by drop, `idle_timeout = \"10s\"`";
    outlast(name, Habit::Answer, limits, Duration::from_secs(60));
}

#[test]
fn half_open_heads() {
    let scene = Scene::start("");
    let before = scene.memory_kib();
    let ordinary = Ordinary::start(scene.gateway.address);
    let began = Instant::now();
    let crowd = Crowd::send(scene.gateway.address, Habit::HalfHead, COUNT * 5);
    crowd.wait_there(COUNT * 5);
    scene.assert_well();
    scene.wait_connections(ordinary::CLIENTS, Duration::from_secs(40));
    let gone = began.elapsed();
    let seen = ordinary.stop();
    assert_eq!(seen.errors, 0);
    crowd.leave();
    scene.audit();
    let name = "5,000 send 30 KiB of a head, and no end".to_owned();
    let memory_kib = [before, scene.gateway.peak_memory_kib()];
    Row { crowd: name, seen, gone: Some(gone), memory_kib }.tell();
}
