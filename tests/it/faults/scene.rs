//! A gateway on a disk of its own that a test can spoil, before two upstreams that count.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use faregate::model::KeyDigest;
use rusqlite::{Connection, OpenFlags};

use super::{load::CALLERS, shim::Shim};
use crate::{
    process::{CountingUpstream, Gateway, free_address},
    support::wait_until_equal,
};

pub(super) const KEY: &str = "key-of-acme";

/// More units than any test here uses.
const ENDLESS: u64 = 100_000_000;

/// A gateway that is started again and again on one directory.
pub(super) struct Scene {
    /// What counted routes lead to.
    pub(super) paid: CountingUpstream,
    public: CountingUpstream,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) shim: Shim,
    /// What moves the gateway's clocks, if something does.
    pub(super) clocks: Option<PathBuf>,
    pub(super) directory: tempfile::TempDir,
}

/// Lets a midnight pass that would begin another window in the middle of a test.
fn avoid_midnight() {
    let left = 86_400 - UNIX_EPOCH.elapsed().unwrap().as_secs() % 86_400;
    if left < 30 {
        thread::sleep(Duration::from_secs(left + 1));
    }
}

impl Scene {
    pub(super) fn new(durability: &str) -> Self {
        Self::with(durability, "day")
    }

    /// Makes one whose second quota has another window; the first has none.
    pub(super) fn with(durability: &str, window: &str) -> Self {
        avoid_midnight();
        let directory = tempfile::tempdir().unwrap();
        let scene = Self {
            paid: CountingUpstream::start(),
            public: CountingUpstream::start(),
            address: free_address(),
            admin: free_address(),
            shim: Shim::build(directory.path()),
            clocks: None,
            directory,
        };
        fs::create_dir_all(scene.disk()).unwrap();
        // Where the admin token is looked for.
        let link = scene.directory.path().join("faregate.db.journal");
        std::os::unix::fs::symlink("disk/journal", link).unwrap();
        let tables = scene.configuration(durability, window);
        fs::write(scene.directory.path().join("faregate.toml"), tables).unwrap();
        scene
    }

    fn configuration(&self, durability: &str, window: &str) -> String {
        format!(
            r#"
            [store]
            url = "sqlite:disk/books.db"
            journal = "disk/journal"
            durability = "{durability}"
            [server]
            listen = "{}"
            workers = 2
            [admin]
            listen = "{}"
            [log]
            access = "off"
            [upstreams.paid]
            url = "http://{}"
            [upstreams.open]
            url = "http://{}"
            [[routes]]
            path = "/paid/{{*path}}"
            upstream = "paid"
            [[routes]]
            path = "/open/{{*path}}"
            upstream = "open"
            access = "public"
            [plans.all]
            quotas = [{{ limit = {ENDLESS}, window = "lifetime" }}, {{ limit = {ENDLESS}, window = "{window}" }}]
            [customers.acme]
            plan = "all"
            keys = ["{}"]
            "#,
            self.address,
            self.admin,
            self.paid.address,
            self.public.address,
            KeyDigest::of(KEY.as_bytes()),
        )
    }

    /// Gives the directory of database and journal.
    pub(super) fn disk(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// Starts the gateway behind the library that can spoil its disk.
    pub(super) fn start(&self) -> Gateway {
        self.start_by(self.command())
    }

    fn command(&self) -> Command {
        let mut command = self.shim.command();
        if let Some(clocks) = &self.clocks {
            command.env("FAREGATE_CLOCKS", clocks);
        }
        command
    }

    /// Starts the gateway by a command.
    pub(super) fn start_by(&self, command: Command) -> Gateway {
        Gateway::start_by(command, self.directory.path(), self.address, self.admin)
    }

    /// Gives the gateway's journal, in order.
    pub(super) fn segments(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(self.disk().join("journal")).unwrap();
        let paths = found.map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
        segments.sort();
        segments
    }

    /// Starts the gateway or gives what it wrote when it refused.
    pub(super) fn try_to_start(&self) -> Result<Gateway, String> {
        let log = self.directory.path().join("stderr.log");
        let before = fs::metadata(&log).map_or(0, |log| log.len());
        match Gateway::try_start_by(self.command(), self.directory.path(), self.address, self.admin)
        {
            Ok(gateway) => Ok(gateway),
            Err(ended) => {
                let told = fs::read_to_string(log).unwrap();
                let told = told[usize::try_from(before).unwrap()..].to_owned();
                assert_eq!(ended.code(), Some(1), "{told}");
                assert!(!told.contains("panicked"), "{told}");
                Err(told)
            }
        }
    }

    /// Fails to start the gateway; gives what it wrote.
    pub(super) fn fail_to_start(&self) -> String {
        match self.try_to_start() {
            Err(told) => told,
            Ok(gateway) => panic!("it starts: {}", gateway.log()),
        }
    }

    /// Compares the books with what the upstream received, while the gateway runs and nobody asks it:
    /// all that was forwarded is charged once, and nothing else is.
    pub(super) fn audit(&self, gateway: &Gateway) {
        let books = || {
            let usage = gateway.usage("acme");
            let quotas = usage["quotas"].as_array().unwrap().clone();
            let figure = |quota: &serde_json::Value, name| quota[name].as_u64().unwrap();
            quotas.iter().map(|q| (figure(q, "used"), figure(q, "reserved"))).collect::<Vec<_>>()
        };
        wait_until_equal(books, &vec![(self.paid.received(), 0); 2]);
    }

    /// Gives what the customer used, by the quota without a window.
    pub(super) fn used(&self, gateway: &Gateway) -> u64 {
        gateway.usage("acme")["quotas"][0]["used"].as_u64().unwrap()
    }

    /// Audits a gateway that was started after an end in the middle of its work: all that was forwarded is
    /// charged, and at most the open requests besides.
    pub(super) fn audit_after_crash(&self, gateway: &Gateway) {
        let (used, received) = (self.used(gateway), self.paid.received());
        println!("{received} received, {used} on record");
        let open = used.checked_sub(received).expect("nothing is lost");
        assert!(open <= CALLERS, "{used} on record for {received}");
    }

    /// Audits the running gateway, then kills it and audits the next one, then stops that and audits the
    /// database alone.
    pub(super) fn audit_to_the_end(&self, gateway: Gateway) {
        self.audit(&gateway);
        gateway.kill();
        let gateway = self.start();
        self.audit(&gateway);
        assert!(gateway.stop(), "a stop by SIGTERM ends well");
        self.audit_database();
    }

    /// Compares the database of a stopped gateway with what the upstream received.
    pub(super) fn audit_database(&self) {
        let path = self.disk().join("books.db");
        let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let number = |sql: &str| database.query_row(sql, [], |row| row.get::<_, f64>(0)).unwrap();
        let received = self.paid.received() as f64;
        assert_eq!(number("SELECT total(units) FROM usage_minutes"), received);
        assert_eq!(number("SELECT total(used) FROM usage WHERE window_end IS NULL"), received);
        assert_eq!(number("SELECT total(used) FROM usage WHERE window_end IS NOT NULL"), received);
        let health: String =
            database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(health, "ok");
        assert_eq!(self.segments(), Vec::<PathBuf>::new(), "a stop leaves no journal");
    }
}
