//! Messages while the journal is slow or cannot be written: none goes up that is not on record.

use std::{fs, time::Duration};

use super::{Received, ask, closed, recorder, tables_by, text};
use crate::{
    faults::shim::{EIO, Fault, JOURNAL, SYNC, Shim, WRITE},
    process::{Gateway, free_address},
    support::{Client, KEY, Upstream, wait_until_equal},
};

/// A gateway as a process, behind the library that can spoil its disk.
struct Scene {
    gateway: Gateway,
    client: Client,
    shim: Shim,
    received: Received,
    _upstream: Upstream,
    _directory: tempfile::TempDir,
}

impl Scene {
    fn open(rule: &str, durability: &str) -> Self {
        let (upstream, received) = recorder();
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("disk")).unwrap();
        let link = directory.path().join("faregate.db.journal");
        std::os::unix::fs::symlink("disk/journal", link).unwrap();
        let (address, admin) = (free_address(), free_address());
        let digest = faregate::model::KeyDigest::of(KEY.as_bytes()).to_string();
        let tables = tables_by(rule, [""; 3])
            .replace("@UPSTREAM@", &upstream.address().to_string())
            .replace("key:key-of-acme", &digest);
        let text = format!(
            "[server]\nlisten = \"{address}\"\nworkers = 1\n[admin]\nlisten = \"{admin}\"\n\
             [store]\nurl = \"sqlite:disk/books.db\"\njournal = \"disk/journal\"\n\
             durability = \"{durability}\"\n{tables}"
        );
        fs::write(directory.path().join("faregate.toml"), text).unwrap();
        let shim = Shim::build(directory.path());
        let gateway = Gateway::start_by(shim.command(), directory.path(), address, admin);
        let mut client = Client::connect(address);
        ask(&mut client, KEY, &[]);
        assert_eq!(client.head().status, 101);
        Self { gateway, client, shim, received, _upstream: upstream, _directory: directory }
    }

    fn wait_used(&self, units: u64) {
        let counts = || {
            let quota = &self.gateway.usage("acme")["quotas"][0];
            (quota["used"].as_u64().unwrap(), quota["reserved"].as_u64().unwrap())
        };
        wait_until_equal(counts, &(units, 0));
    }
}

#[test]
fn message_that_cannot_be_written_down_goes_no_further() {
    for durability in ["normal", "strict"] {
        let mut scene = Scene::open("message", durability);
        super::say(&mut scene.client, &text(3));
        let calls = if durability == "strict" { SYNC } else { WRITE };
        scene.shim.arm(Fault::lasting(JOURNAL, calls, EIO));
        scene.client.send(text(4));
        assert_eq!(closed(&mut scene.client), (1011, "quota_unavailable".to_owned()));
        scene.received.wait_ended(&text(3), 1011, "quota_unavailable");
        scene.shim.disarm();
        scene.wait_used(2);
    }
}

/// With strict durability the disk must have it, however long that takes; nothing passes meanwhile, and no
/// more is read.
#[test]
fn message_waits_for_a_slow_disk() {
    let mut scene = Scene::open("message", "strict");
    super::say(&mut scene.client, &text(3));
    scene.shim.arm(Fault::slow(JOURNAL, SYNC, 500));
    let messages = [text(4), vec![0x89, 0x80, 1, 2, 3, 4]].concat();
    scene.client.send(&messages);
    scene.client.expect_silence(Duration::from_millis(200));
    assert_eq!(scene.received.get(), text(3));
    assert_eq!(scene.client.exactly(messages.len()), messages);
    scene.shim.disarm();
    scene.wait_used(4);
    // Longer than anybody waits.
    scene.shim.arm(Fault::slow(JOURNAL, SYNC, 3000));
    scene.client.send(text(5));
    assert_eq!(closed(&mut scene.client), (1011, "quota_unavailable".to_owned()));
    scene.shim.disarm();
    scene.received.wait_ended(&[text(3), messages].concat(), 1011, "quota_unavailable");
    scene.wait_used(4);
}

#[test]
fn time_that_cannot_be_written_down_is_not_served() {
    let mut scene = Scene::open("1s", "normal");
    scene.shim.arm(Fault::lasting(JOURNAL, WRITE, EIO));
    super::say(&mut scene.client, &text(3));
    assert_eq!(closed(&mut scene.client), (1011, "quota_unavailable".to_owned()));
    scene.shim.disarm();
    scene.received.wait_ended(&text(3), 1011, "quota_unavailable");
    scene.wait_used(2);
}
