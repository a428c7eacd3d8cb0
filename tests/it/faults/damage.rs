//! Damaged files: a start that reads them refuses, names the file and says what to do; what no start reads
//! is told when it is used, and what was counted is not lost meanwhile.

use std::{fs, path::Path};

use super::{
    load::{Load, assert_fair},
    scene::Scene,
    shim::{DATABASE, EIO, Fault, SYNC, WRITE},
};
use crate::{process::get, support::wait_for};

const PAGE: usize = 4096;

/// The size of a record of the journal, and where in it stands what.
const RECORD: usize = 64;
const KIND: usize = 4;
const BLOCKS: usize = 6;
const UNITS: usize = 40;
const RESERVE: u8 = 3;
const SETTLE_CHANGED: u8 = 5;
const SYNCED: u8 = 6;

/// Serves some requests and stops, so that all is in the database.
fn stopped() -> (Scene, Vec<u8>) {
    let scene = Scene::new("normal");
    let gateway = scene.start();
    assert_fair(&Load::start(scene.address).stop());
    scene.audit(&gateway);
    assert!(gateway.stop());
    scene.audit_database();
    let database = fs::read(scene.disk().join("books.db")).unwrap();
    (scene, database)
}

/// Asserts that a message names the database and says what to do.
fn assert_told(told: &str) {
    assert!(told.contains("disk/books.db"), "{told}");
    assert!(told.contains("damaged") && told.contains("backup"), "{told}");
}

#[test]
fn database_with_a_damaged_page() {
    let (scene, whole) = stopped();
    let path = scene.disk().join("books.db");
    let (mut refused, mut started) = (0, 0);
    for page in 0..whole.len() / PAGE {
        let mut damaged = whole.clone();
        damaged[page * PAGE..(page + 1) * PAGE].fill(0xa5);
        fs::write(&path, &damaged).unwrap();
        match scene.try_to_start() {
            Err(told) => {
                // A database whose first page is something else is none of ours.
                assert!(told.contains("disk/books.db"), "page {page}: {told}");
                assert!(page == 0 || told.contains("damaged"), "page {page}: {told}");
                refused += 1;
            }
            Ok(gateway) => {
                // Nothing that decides stands there.
                scene.audit(&gateway);
                gateway.kill();
                started += 1;
            }
        }
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(scene.disk().join(format!("books.db{suffix}")));
        }
    }
    println!("{refused} pages stop the start, {started} do not");
    assert!(refused > 0);
    fs::write(&path, &whole).unwrap();
    let gateway = scene.start();
    scene.audit_to_the_end(gateway);
}

#[test]
fn database_that_was_cut_off() {
    let (scene, whole) = stopped();
    let path = scene.disk().join("books.db");
    for length in [0, 100, PAGE, whole.len() / 2, whole.len() - PAGE, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let told = scene.fail_to_start();
        println!("{length}: {told}");
        assert_told(&told);
    }
    fs::write(&path, &whole).unwrap();
    let gateway = scene.start();
    scene.audit_to_the_end(gateway);
}

/// Where the records of a segment stand, and the last that says how much of it the disk has.
struct Map {
    bytes: Vec<u8>,
    records: Vec<usize>,
    synced: usize,
}

impl Map {
    fn read(path: &Path) -> Self {
        let mut map = Self { bytes: fs::read(path).unwrap(), records: Vec::new(), synced: 0 };
        let mut at = 0;
        while at + RECORD <= map.bytes.len() && map.bytes[at + KIND] != 0 {
            map.records.push(at);
            let blocks = u16::from_le_bytes(map.bytes[at + BLOCKS..][..2].try_into().unwrap());
            if map.bytes[at + KIND] == SYNCED {
                let length = u64::from_le_bytes(map.bytes[at + UNITS..][..8].try_into().unwrap());
                map.synced = usize::try_from(length).unwrap();
            }
            at += RECORD * (1 + usize::from(blocks));
        }
        map
    }

    /// Counts the records of a kind from a place on.
    fn count_from(&self, at: usize, kind: u8) -> u64 {
        let cut = self.records.iter().filter(|record| **record >= at);
        cut.filter(|record| self.bytes[**record + KIND] == kind).count() as u64
    }
}

/// A gateway that was killed with much in its journal that the database does not have.
fn killed() -> Scene {
    let scene = Scene::new("normal");
    let gateway = scene.start();
    scene.shim.arm(Fault::lasting(DATABASE, WRITE | SYNC, EIO));
    let load = Load::start(scene.address);
    wait_for("the fault", || (scene.shim.hits() > 0).then_some(()));
    load.wait_served_again();
    assert_fair(&load.stop());
    scene.audit(&gateway);
    gateway.kill();
    scene.shim.disarm();
    scene
}

#[test]
fn journal_damaged_where_the_disk_had_it() {
    let scene = killed();
    let segments = scene.segments();
    let segment = segments.first().unwrap();
    let map = Map::read(segment);
    assert!(map.synced > 0, "something was synced");
    let within = map.records.iter().filter(|record| **record < map.synced);
    for at in within.step_by(map.records.len() / 8) {
        let mut damaged = map.bytes.clone();
        damaged[at + 20] ^= 1;
        fs::write(segment, &damaged).unwrap();
        let told = scene.fail_to_start();
        assert!(told.contains(segment.file_name().unwrap().to_str().unwrap()), "{told}");
        assert!(told.contains("put the file back from a copy"), "{told}");
    }
    fs::write(segment, &map.bytes).unwrap();
    let gateway = scene.start();
    scene.audit_to_the_end(gateway);
}

#[test]
fn journal_damaged_where_the_disk_need_not_have_had_it() {
    let scene = killed();
    let (mut reserved, mut given_back) = (0, 0);
    for segment in scene.segments() {
        let mut map = Map::read(&segment);
        let behind = map.records.iter().find(|record| **record >= map.synced);
        let Some(at) = behind.copied() else { continue };
        reserved += map.count_from(at, RESERVE);
        given_back += map.count_from(at, SETTLE_CHANGED);
        map.bytes[at + 20] ^= 1;
        fs::write(&segment, &map.bytes).unwrap();
    }
    assert!(reserved > 0, "something was cut");
    let gateway = scene.start();
    gateway.wait_log("an append was cut short by a crash");
    let used = scene.used(&gateway);
    let received = scene.paid.received();
    println!("{received} received, {used} on record, {reserved} reservations cut");
    // All before the place counts: a reservation whose giving back is cut, too.
    assert_eq!(used, received + given_back - reserved);
    assert!(gateway.stop());
}

/// Without its write-ahead log the database is older, and the journal has what it lacks.
#[test]
fn write_ahead_log_that_is_lost() {
    let scene = Scene::new("normal");
    let gateway = scene.start();
    assert_fair(&Load::start(scene.address).stop());
    scene.audit(&gateway);
    gateway.kill();
    let log = scene.disk().join("books.db-wal");
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() / 2]).unwrap();
    let _ = fs::remove_file(scene.disk().join("books.db-shm"));
    let gateway = scene.start();
    scene.audit_to_the_end(gateway);
}

/// What no start reads is found when usage is written to it: nobody is refused, since the journal has it,
/// the gateway says that it is not well, and the log names the file.
#[test]
fn damage_that_is_found_by_the_first_use() {
    let (scene, whole) = stopped();
    let path = scene.disk().join("books.db");
    let root = {
        let database = rusqlite::Connection::open(&path).unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'usage_minutes'";
        database.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() as usize
    };
    let mut damaged = whole.clone();
    damaged[(root - 1) * PAGE..root * PAGE].fill(0);
    fs::write(&path, &damaged).unwrap();
    match scene.try_to_start() {
        Err(told) => assert_told(&told),
        Ok(gateway) => {
            let load = Load::start(scene.address);
            wait_for("/readyz to say 503", || {
                get(scene.admin, "/readyz", &[]).unwrap().contains(" 503 ").then_some(())
            });
            load.wait_served_again();
            assert_fair(&load.stop());
            scene.audit(&gateway);
            assert_told(&gateway.log());
            gateway.kill();
            // With the copy in its place the journal's part is added.
            fs::write(&path, &whole).unwrap();
            for suffix in ["-wal", "-shm"] {
                let _ = fs::remove_file(scene.disk().join(format!("books.db{suffix}")));
            }
            let gateway = scene.start();
            scene.audit_to_the_end(gateway);
        }
    }
}
