//! All of it in 256 MiB: a control group ends who takes more, so the program must not.
//!
//! As root, with control groups of version 1 or 2 mounted; without them there is nothing to measure, and the
//! test says so.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
    slice,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    crowd::{Crowd, Habit},
    ordinary::Ordinary,
    scene::Scene,
    table::Row,
};
use crate::process::program;

const LIMIT_BYTES: u64 = 256 << 20;

/// How long a crowd stays that is not waited for.
const PAUSE: Duration = Duration::from_secs(4);

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
        let group = Self(mount.join(&name));
        match fs::create_dir(&group.0) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => panic!("{name}: {error}"),
            made => made.ok()?,
        }
        fs::write(group.0.join(limit), LIMIT_BYTES.to_string()).ok()?;
        Some(group)
    }

    /// Gives a command that runs the program in it.
    fn command(&self) -> Command {
        let mut shell = Command::new("bash");
        let procs = self.0.join("cgroup.procs");
        let enter = format!("echo $$ > {}", procs.display());
        shell.args(["-c", &format!("{enter}; exec {} \"$@\"", program()), "sh"]);
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

/// A gateway in a control group with little memory, and its ordinary clients.
struct Siege {
    scene: Scene,
    ordinary: Ordinary,
    memory_kib_before: u64,
    _group: Group,
}

impl Siege {
    /// Begins one, where there are control groups that can be limited.
    fn begin() -> Option<Self> {
        let Some(group) = Group::make() else {
            println!("there are no control groups here that could be limited");
            return None;
        };
        let limits = "connections = 19000\nidle_timeout = \"10s\"";
        let scene = Scene::start_by(group.command(), limits);
        let (memory_kib_before, ordinary) =
            (scene.memory_kib(), Ordinary::start(scene.gateway.address));
        Some(Self { scene, ordinary, memory_kib_before, _group: group })
    }

    fn send(&self, (habit, count): (Habit, usize)) -> Crowd {
        Crowd::send(self.scene.gateway.address, habit, count)
    }

    /// Waits until there is too little memory for all.
    fn wait_short(&mut self) {
        wait("a flood", || {
            self.check_runs();
            self.scene.gateway.log().contains("memory is short")
        });
    }

    fn check_runs(&mut self) {
        if let Some(status) = self.scene.gateway.ended() {
            panic!("{status}: {}", self.scene.gateway.log());
        }
    }

    /// Looks at everybody.
    fn look(&mut self, crowds: &[Crowd]) {
        self.check_runs();
        let there: Vec<_> = crowds.iter().map(|crowd| (crowd.there(), crowd.gone())).collect();
        println!("came and gone: {there:?}, {} KiB", self.scene.memory_kib());
        self.scene.assert_well();
    }

    /// Ends it: the ordinary clients have missed nothing, and the books are right.
    fn end(self, crowd: &str) {
        let Self { scene, ordinary, memory_kib_before, _group } = self;
        let seen = ordinary.stop();
        let log = scene.gateway.log();
        println!("{log}");
        assert_eq!(seen.errors, 0);
        assert!(log.lines().count() < 100, "a crowd does not fill the log");
        scene.gateway.wait_log("memory suffices again");
        scene.audit();
        let memory_kib = [memory_kib_before, scene.gateway.peak_memory_kib()];
        // Before the group, which cannot be removed while somebody is in it.
        drop(scene);
        let crowd = format!("{crowd}, in a control group of 256 MiB");
        Row { crowd, seen, gone: None, memory_kib }.tell();
    }
}

/// Waits until slow uploads are cut, which is free; who left before would be charged.
fn wait_cut(crowd: &Crowd, count: usize) {
    wait("uploads to be cut", || crowd.gone() >= count);
}

/// Waits longer than other tests do: on a busy machine a flood rises slowly.
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain waited for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn floods_in_little_memory() {
    one_after_the_other();
    // Not beside it: two floods at once would be about the machine.
    all_at_once();
}

fn one_after_the_other() {
    let Some(mut siege) = Siege::begin() else { return };
    // Heads first: they cost whoever sends them the least.
    for (habit, count) in [
        (Habit::HalfHead, 9000),
        (Habit::Idle, 5000),
        (Habit::Answer, 1000),
        (Habit::Body, 1000),
        (Habit::Head, 1000),
    ] {
        let crowd = siege.send((habit, count));
        match habit {
            Habit::HalfHead => siege.wait_short(),
            Habit::Body => wait_cut(&crowd, count),
            _ => std::thread::sleep(PAUSE),
        }
        siege.look(slice::from_ref(&crowd));
        crowd.leave();
    }
    siege.end("all of these one after the other");
}

fn all_at_once() {
    let Some(mut siege) = Siege::begin() else { return };
    let crowds = [
        (Habit::HalfHead, 5000),
        (Habit::Idle, 10_000),
        (Habit::Answer, 1000),
        (Habit::Body, 1000),
        (Habit::Head, 1000),
    ];
    let crowds = crowds.map(|crowd| siege.send(crowd));
    siege.wait_short();
    siege.look(&crowds);
    let [.., bodies, _] = &crowds;
    wait_cut(bodies, 1000);
    siege.look(&crowds);
    crowds.into_iter().for_each(Crowd::leave);
    siege.end("all of these at once");
}
