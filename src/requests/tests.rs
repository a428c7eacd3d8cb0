//! Records from a worker's hands to a file and back.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::mpsc::Receiver;
use uuid::Uuid;

use super::{
    Archive, CallerFacts, Collector, Entry, Record, RouteFacts, Sink,
    files::{self, Create},
    writer::{self, Writing},
};
use crate::{answer::Ending, config::Retention};

const NOW: &str = "2026-11-20T12:00:00Z";

/// A worker and the thread that writes, without their threads.
struct Scene {
    directory: tempfile::TempDir,
    sink: Sink,
    receiver: Receiver<Vec<u8>>,
    worker: Collector,
    writing: Writing,
    retention: Retention,
    now: Timestamp,
    made: u64,
}

impl Scene {
    fn new(create: Create) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (sink, receiver) = writer::link();
        Self {
            worker: Collector::new(Some(sink.clone()), Rc::default()),
            writing: Writing::new(directory.path().join("requests"), &sink, create),
            directory,
            sink,
            receiver,
            retention: Retention::default(),
            now: NOW.parse().unwrap(),
            made: 0,
        }
    }

    /// Records a request on a route by a caller, both named by their numbers, on the scene's worker.
    fn record(&mut self, route: u64, caller: u64) -> Uuid {
        let id = self.id();
        record(&self.worker, id, self.now, route, caller);
        id
    }

    fn id(&mut self) -> Uuid {
        self.made += 1;
        let ms = u64::try_from(self.now.as_millisecond()).unwrap();
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.made.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
    }

    /// Hands over what the worker has, and writes all that was handed over.
    fn write(&mut self) {
        self.worker.flush();
        self.write_handed_over();
    }

    fn write_handed_over(&mut self) {
        while let Ok(batch) = self.receiver.try_recv() {
            self.writing.write(&batch, self.now, &self.retention);
        }
    }

    fn find(&self, id: Uuid) -> Option<Record> {
        Archive::new(self.directory.path().join("requests")).find(id).unwrap()
    }

    fn files(&self) -> Vec<u64> {
        let directory = self.directory.path().join("requests");
        let files = files::list(&directory).unwrap();
        let length = |file: files::Begun| fs::metadata(file.path(&directory)).unwrap().len();
        files.into_iter().map(length).collect()
    }

    fn dropped(&self) -> u64 {
        self.sink.dropped.load(Ordering::Relaxed)
    }
}

fn record(worker: &Collector, id: Uuid, at: Timestamp, route: u64, caller: u64) {
    let entry = Entry {
        id,
        at,
        method: None,
        route,
        caller,
        status: 200,
        code: None,
        shadow: None,
        ending: Some(Ending::Completed),
        charged: 7,
        credit: None,
        duration: Duration::from_micros(1234),
        decided: &[],
    };
    let route = || {
        let name = format!("route-{route}").into();
        Some(RouteFacts { name, is_public: false, price: None, scopes: Vec::new() })
    };
    let caller = || {
        Some(CallerFacts {
            customer: format!("customer-{caller}").into(),
            application: None,
            key_id: "key".into(),
            plan: None,
            status: None,
            limits: Arc::default(),
        })
    };
    worker.push(&entry, route, caller);
}

/// Gives the names that a record has.
fn names(record: Option<Record>) -> (Option<Arc<str>>, Option<Arc<str>>) {
    let record = record.expect("the record is kept");
    assert_eq!((record.charged, record.ending), (7, Some(Ending::Completed)));
    (record.route.map(|route| route.name), record.caller.map(|caller| caller.customer))
}

fn named(route: u64, caller: u64) -> (Option<Arc<str>>, Option<Arc<str>>) {
    (Some(format!("route-{route}").into()), Some(format!("customer-{caller}").into()))
}

#[test]
fn names_are_written_once_for_each_file() {
    let mut scene = Scene::new(files::on_disk);
    let first = scene.record(1, 2);
    scene.write();
    let [one] = scene.files()[..] else { panic!("{:?}", scene.files()) };
    let second = scene.record(1, 2);
    scene.write();
    let [two] = scene.files()[..] else { panic!("{:?}", scene.files()) };
    assert!(two - one < 64, "a record takes {} bytes", two - one);
    assert!(one > two - one + 40, "the names take some too");
    for id in [first, second] {
        assert_eq!(names(scene.find(id)), named(1, 2));
    }
    assert!(scene.find(Uuid::nil()).is_none());
    let other = scene.id();
    assert!(scene.find(other).is_none());
}

#[test]
fn another_file_has_the_names_again() {
    let mut scene = Scene::new(files::on_disk);
    let first = scene.record(1, 2);
    scene.write();
    // A batch that is begun now is for this file, whenever it is handed over.
    let late = scene.record(1, 2);
    scene.now += Duration::from_secs(3600);
    scene.writing.look(scene.now, &scene.retention);
    let late_too = scene.record(1, 3);
    scene.write();
    assert_eq!(scene.files().len(), 1);
    let next = scene.record(1, 2);
    scene.write();
    assert_eq!(scene.files().len(), 2);
    for (id, caller) in [(first, 2), (late, 2), (late_too, 3), (next, 2)] {
        assert_eq!(names(scene.find(id)), named(1, caller));
    }
    assert_eq!(scene.dropped(), 0);
}

#[test]
fn workers_define_for_themselves() {
    let mut scene = Scene::new(files::on_disk);
    let other = Collector::new(Some(scene.sink.clone()), Rc::default());
    let (first, second) = (scene.record(1, 2), scene.id());
    record(&other, second, scene.now, 1, 2);
    // The first worker's batch is lost before it is written.
    other.flush();
    scene.write_handed_over();
    assert_eq!(names(scene.find(second)), named(1, 2));
    scene.write();
    assert_eq!(names(scene.find(first)), named(1, 2));
}

#[test]
fn numbers_that_share_a_place_are_told_apart() {
    let mut scene = Scene::new(files::on_disk);
    let ids: Vec<_> = (0..6)
        .map(|n| (scene.record(1, 2 + (n % 2) * (1 << 17)), 2 + (n % 2) * (1 << 17)))
        .collect();
    scene.write();
    for (id, caller) in ids {
        assert_eq!(names(scene.find(id)), named(1, caller));
    }
}

#[test]
fn files_are_bounded_and_the_oldest_are_deleted() {
    let mut scene = Scene::new(files::on_disk);
    scene.retention.requests_size = 1 << 20;
    let first = scene.record(1, 2);
    let mut last = first;
    for _ in 0..40_000 {
        last = scene.record(1, 2);
        scene.write_handed_over();
    }
    scene.write();
    let files = scene.files();
    assert!(files.iter().sum::<u64>() <= 1 << 20, "{files:?}");
    assert!(files.len() > 4 && files.iter().all(|length| *length < 200 << 10), "{files:?}");
    assert!(scene.find(first).is_none());
    assert_eq!(names(scene.find(last)), named(1, 2));
    assert_eq!(scene.dropped(), 0);
}

#[test]
fn what_is_too_old_is_deleted() {
    let mut scene = Scene::new(files::on_disk);
    scene.retention.requests = Duration::from_secs(2 * 3600);
    let id = scene.record(1, 2);
    scene.write();
    let begun = scene.now;
    // It was not written any more once an eighth of the time was over; the next file tells that.
    scene.now = begun + Duration::from_secs(15 * 60);
    scene.writing.look(scene.now, &scene.retention);
    let next = scene.record(1, 2);
    scene.write();
    for (seconds, kept) in
        [(2 * 3600, true), (2 * 3600 + 15 * 60 - 1, true), (2 * 3600 + 15 * 60, false)]
    {
        scene.now = begun + Duration::from_secs(seconds);
        scene.writing.look(scene.now, &scene.retention);
        assert_eq!(scene.find(id).is_some(), kept, "{seconds}");
        assert!(scene.find(next).is_some(), "{seconds}");
    }
}

#[test]
fn zero_keeps_none_and_deletes_what_there_is() {
    let mut scene = Scene::new(files::on_disk);
    let id = scene.record(1, 2);
    scene.write();
    assert!(scene.find(id).is_some());
    scene.retention.requests = Duration::ZERO;
    scene.writing.look(scene.now, &scene.retention);
    assert!(scene.files().is_empty());
    let id = scene.record(1, 2);
    scene.write();
    assert_eq!((scene.files().len(), scene.dropped()), (0, 0));
    scene.retention.requests = Duration::from_secs(60);
    let again = scene.record(1, 2);
    scene.write();
    assert!(scene.find(id).is_none());
    assert_eq!(names(scene.find(again)), named(1, 2));
}

/// Each length of a file that was cut off leaves what was whole.
#[test]
fn a_torn_end_is_not_read() {
    let mut scene = Scene::new(files::on_disk);
    let ids: Vec<_> = (0..5).map(|_| scene.record(1, 2)).collect();
    scene.write();
    let directory = scene.directory.path().join("requests");
    let path = files::list(&directory).unwrap()[0].path(&directory);
    let whole = fs::read(&path).unwrap();
    let mut found_before = 0;
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let found = ids.iter().filter(|id| scene.find(**id).is_some()).count();
        assert!(found >= found_before && found < ids.len(), "{length}");
        found_before = found;
    }
    assert_eq!(found_before, ids.len() - 1);
    // Zeros, as a power cut leaves them.
    let mut zeros = whole.clone();
    zeros.resize(whole.len() + 1000, 0);
    fs::write(&path, &zeros).unwrap();
    assert!(ids.iter().all(|id| scene.find(*id).is_some()));
    let damaged = whole.len() - 3;
    let mut bytes = whole;
    bytes[damaged] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(scene.find(ids[4]).is_none() && scene.find(ids[3]).is_some());
}

/// A disk without room: `/dev/full` takes no byte.
fn on_full_disk(_: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open("/dev/full")
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_dropped_and_counted_and_then_it_goes_on() {
    let mut scene = Scene::new(on_full_disk);
    for _ in 0..3 {
        scene.record(1, 2);
        scene.record(1, 3);
        scene.write();
    }
    assert_eq!(scene.dropped(), 6);
    scene.writing.set_create(files::on_disk);
    let too_soon = scene.record(1, 2);
    scene.write();
    assert_eq!(scene.dropped(), 7);
    tokio::time::advance(Duration::from_secs(1)).await;
    let id = scene.record(1, 2);
    scene.write();
    assert_eq!(names(scene.find(id)), named(1, 2));
    assert!(scene.find(too_soon).is_none());
    assert_eq!(scene.dropped(), 7);
}

#[test]
fn names_that_were_dropped_are_written_again() {
    let mut scene = Scene::new(files::on_disk);
    // Nobody writes, until the way is full and what comes is dropped.
    while scene.dropped() == 0 {
        scene.record(1, 2);
        scene.worker.flush();
    }
    let dropped = scene.record(1, 3);
    scene.worker.flush();
    assert_eq!(scene.dropped(), 2);
    scene.write_handed_over();
    let id = scene.record(1, 3);
    scene.write();
    assert_eq!(names(scene.find(id)), named(1, 3));
    assert!(scene.find(dropped).is_none());
}

#[test]
fn files_of_another_format_are_passed_over() {
    let mut scene = Scene::new(files::on_disk);
    let directory = scene.directory.path().join("requests");
    fs::create_dir(&directory).unwrap();
    let mut other = File::create(directory.join("00000000000000001.requests")).unwrap();
    other.write_all(&[7; 1000]).unwrap();
    let id = scene.record(1, 2);
    scene.write();
    assert_eq!(names(scene.find(id)), named(1, 2));
}
