//! All of it in 256 MiB: a control group ends who takes more, so the program must not.
//!
//! As root, with control groups of version 1 or 2 mounted; without them there is nothing to measure, and the
//! test says so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    crowd::{Crowd, Habit},
    ordinary::Ordinary,
    scene::Scene,
    table::Row,
};
use crate::process::FAREGATE;

const LIMIT_BYTES: u64 = 256 << 20;

/// A control group with little memory. It is removed when it is dropped.
struct Group(PathBuf);

impl Group {
    /// Makes one, where that can be done.
    fn make() -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("faregate-test-{}", std::process::id());
        let is_v2 = root.join("cgroup.controllers").exists();
        let (mount, limit) = match is_v2 {
            true => (root.to_owned(), "memory.max"),
            false => (root.join("memory"), "memory.limit_in_bytes"),
        };
        let group = Self(mount.join(name));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(limit), LIMIT_BYTES.to_string()).ok()?;
        Some(group)
    }

    /// Gives a command that runs the program in it.
    fn command(&self) -> Command {
        let mut shell = Command::new("bash");
        let procs = self.0.join("cgroup.procs");
        shell.args(["-c", &format!("echo $$ > {}; exec {FAREGATE} \"$@\"", procs.display()), "sh"]);
        shell
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Who was killed is in it for a moment longer.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn floods_in_little_memory() {
    let Some(group) = Group::make() else {
        println!("there are no control groups here that could be limited");
        return;
    };
    let mut scene = Scene::start_by(group.command(), "idle_timeout = \"10s\"");
    let before = scene.memory_kib();
    let ordinary = Ordinary::start(scene.gateway.address);
    let address = scene.gateway.address;
    // Heads first: they cost whoever sends them the least.
    for (habit, count) in [
        (Habit::HalfHead, 9000),
        (Habit::Idle, 5000),
        (Habit::Answer, 1000),
        (Habit::Body, 1000),
        (Habit::Head, 1000),
    ] {
        let crowd = Crowd::send(address, habit, count);
        // Uploads are cut by then, which is free; who left before would be charged.
        std::thread::sleep(Duration::from_secs(if habit == Habit::Body { 8 } else { 4 }));
        if let Some(status) = scene.gateway.ended() {
            panic!("{status}: {}", scene.gateway.log());
        }
        let (there, gone, kib) = (crowd.there(), crowd.gone(), scene.memory_kib());
        println!("{habit:?}: {there} came, {gone} gone, {kib} KiB");
        scene.assert_well();
        crowd.leave();
    }
    let seen = ordinary.stop();
    println!("{}", scene.gateway.log());
    assert_eq!(seen.errors, 0);
    assert!(scene.gateway.log().contains("memory is short"), "it was no flood");
    scene.gateway.wait_log("memory suffices again");
    scene.audit();
    let memory_kib = [before, scene.gateway.peak_memory_kib()];
    let crowd = "all of these one after the other, in a control group of 256 MiB".to_owned();
    Row { crowd, seen, gone: None, memory_kib }.tell();
}
