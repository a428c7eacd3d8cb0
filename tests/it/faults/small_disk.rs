//! Real file systems: small ones that are filled and emptied again, and one that goes read-only. They need
//! root; without it `lasting.rs` has the same by the library.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    load::{Got, Load, Seen, assert_fair, count, last_unavailable},
    scene::Scene,
    table::{AFTER_CRASH, Row},
};
use crate::support::wait_for;

const NOTICED: Duration = Duration::from_secs(1);
const RECOVERED: Duration = Duration::from_secs(5);
const REFUSALS: usize = 100;

/// A file system on a directory. It is gone when this is dropped.
struct Mount(PathBuf);

impl Mount {
    /// Mounts one; `None` where that is not permitted.
    fn new(arguments: &[&str], on: PathBuf) -> Option<Self> {
        let mounted = Command::new("mount").args(arguments).arg(&on).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(on))
    }

    /// Makes ext4 in a file and mounts it; `None` where that is not permitted or not to be had.
    fn ext4(image: &Path, on: PathBuf) -> Option<Self> {
        File::create(image).unwrap().set_len(32 << 20).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image).status();
        if !made.is_ok_and(|status| status.success()) {
            return None;
        }
        Self::new(&["-o", "loop", image.to_str().unwrap()], on)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        assert!(Command::new(program).args(arguments).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Also where a program still has a file open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn disk_in_memory_that_is_full() {
    filled("tmpfs full", |scene| {
        Mount::new(&["-t", "tmpfs", "-o", "size=16m", "tmpfs"], scene.disk())
    });
}

#[test]
fn disk_that_is_full_to_the_last_block() {
    filled("ext4 full", |scene| Mount::ext4(&scene.directory.path().join("image"), scene.disk()));
}

/// Takes all the room there is.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for piece in [1 << 20, 4096, 1] {
        while file.write_all(&vec![b'x'; piece]).is_ok() {}
    }
}

fn filled(name: &str, mount: impl Fn(&Scene) -> Option<Mount>) {
    for (durability, suffix) in [("normal", ""), ("strict", ", strict")] {
        let scene = Scene::new(durability);
        let Some(_mount) = mount(&scene) else {
            println!("no such file system can be mounted here");
            return;
        };
        let gateway = scene.start();
        let load = Load::start(scene.address);
        let filler = scene.disk().join("filler");
        fill(&filler);
        let began = Instant::now();
        let first = load.wait_unavailable(began);
        wait_for("refusals", || {
            (count(&load.since(began + NOTICED), Got::Unavailable) >= REFUSALS).then_some(())
        });
        let ended = Instant::now();
        fs::remove_file(&filler).unwrap();
        load.wait_served_again();
        let seen = load.stop();
        assert_fair(&seen);
        let recovery = last_unavailable(&seen, ended);
        assert!(recovery < RECOVERED, "refused {recovery:?} after there was room");
        let until_end: Vec<Seen> = seen.iter().filter(|seen| seen.at < ended).copied().collect();
        // There may be room left in the last block: what fits there is on record, and served.
        println!("refused {first:?} after there was no more room");
        scene.audit_to_the_end(gateway);
        Row::new(&format!("{name}{suffix}"), &until_end, began, recovery).tell();
    }
}

/// A file system that found an error in itself takes nothing more until it is mounted again.
#[test]
fn file_system_that_gives_up() {
    let scene = Scene::new("strict");
    let image = scene.directory.path().join("image");
    let Some(mount) = Mount::ext4(&image, scene.disk()) else {
        println!("no ext4 can be mounted here");
        return;
    };
    let gateway = scene.start();
    let load = Load::start(scene.address);
    let began = Instant::now();
    // What ext4 does after an error, asked for.
    mount.run("mount", &["-o", "remount,abort"]);
    let first = load.wait_unavailable(began);
    assert!(first < NOTICED, "refused after {first:?}");
    wait_for("refusals", || {
        (count(&load.since(began + NOTICED), Got::Unavailable) >= REFUSALS).then_some(())
    });
    let seen = load.stop();
    assert_fair(&seen);
    gateway.kill();
    drop(mount);
    // It finds what the file system had not finished, and says so by its exit code.
    let _ = Command::new("e2fsck").args(["-p", "-f"]).arg(&image).output();
    let options = ["-o", "loop", image.to_str().unwrap()];
    let _mount = Mount::new(&options, scene.disk()).expect("the file system is mounted again");
    let gateway = scene.start();
    scene.audit_after_crash(&gateway);
    let row = Row::new("ext4 went read-only after an error, strict", &seen, began, Duration::ZERO);
    Row { recovery: None, audit: AFTER_CRASH, ..row }.tell();
}
