//! A whole gateway on ports of its own, in a directory of its own.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use faregate::{
    clock::Clock,
    config::Loaded,
    ledger::Window,
    model::KeyDigest,
    process::{self, Options, Running},
    store::Sqlite,
};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Client, Response, Upstream,
    client::{bearer, head},
    wait_until_equal,
};

/// A gateway that runs until it is dropped.
pub(crate) struct Gateway {
    running: Option<Running>,
    directory: TempDir,
    clock: Option<Timestamp>,
}

/// Requests and units by ending.
pub(crate) type Recorded = BTreeMap<String, (u64, u64)>;

impl Gateway {
    /// Starts a gateway on the tables given, before this upstream, on the machine's clock.
    pub(crate) fn start(tables: &str, upstream: &Upstream) -> Self {
        Self::start_with(&tables.replace("@UPSTREAM@", &upstream.address().to_string()), None)
    }

    /// Starts a gateway whose clock stands still until it is moved.
    pub(crate) fn start_at(now: &str, tables: &str, upstream: &Upstream) -> Self {
        let tables = tables.replace("@UPSTREAM@", &upstream.address().to_string());
        Self::start_with(&tables, Some(now))
    }

    /// Starts one whose configuration reads another file beside it: a name and a text.
    pub(crate) fn start_with_file(
        now: &str,
        tables: &str,
        upstream: &Upstream,
        file: (&str, &str),
    ) -> Self {
        Self::start_with_files(now, tables, upstream, &[file])
    }

    /// Starts one whose configuration reads other files beside it.
    pub(crate) fn start_with_files(
        now: &str,
        tables: &str,
        upstream: &Upstream,
        files: &[(&str, &str)],
    ) -> Self {
        let mut gateway = Self {
            running: None,
            directory: tempfile::tempdir().unwrap(),
            clock: Some(now.parse().unwrap()),
        };
        for (name, text) in files {
            fs::write(gateway.directory().join(name), text).unwrap();
        }
        gateway.write(&tables.replace("@UPSTREAM@", &upstream.address().to_string()));
        gateway.run();
        gateway
    }

    /// Starts a gateway on tables that name their upstreams themselves.
    pub(crate) fn start_with(tables: &str, now: Option<&str>) -> Self {
        let mut gateway = Self {
            running: None,
            directory: tempfile::tempdir().unwrap(),
            clock: now.map(|now| now.parse().unwrap()),
        };
        gateway.write(tables);
        gateway.run();
        gateway
    }

    /// Stops it and starts another on the same directory.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// Stops it: what is in flight may end first.
    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    /// Writes the file that a reload or a restart reads.
    pub(crate) fn write(&self, tables: &str) {
        fs::write(self.file(), complete(tables)).unwrap();
    }

    /// Writes the file exactly so.
    pub(crate) fn write_raw(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    fn run(&mut self) {
        let text = fs::read_to_string(self.file()).unwrap();
        let loaded = Loaded::parse(&text, &self.file());
        let config = loaded.into_config().unwrap_or_else(|report| panic!("{report:?}"));
        let options = Options {
            file: Some(self.file()),
            level: None,
            clock: self.clock.map_or_else(Clock::system, Clock::manual),
        };
        self.running = Some(process::start(&config, options).unwrap());
    }

    /// Moves the clock; of a gateway that is stopped, the one that it starts with.
    pub(crate) fn set_time(&mut self, now: &str) {
        let now = now.parse().unwrap();
        self.clock = Some(now);
        if let Some(running) = &self.running {
            running.gateway().clock().set(now);
        }
    }

    /// Gives what runs.
    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("the gateway is stopped")
    }

    /// Gives the directory of its files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Gives its configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory().join("faregate.toml")
    }

    /// Opens a connection to the data listener.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.running().address())
    }

    /// Sends a GET with a key, on a connection of its own.
    pub(crate) fn get(&self, path: &str, key: &str) -> Response {
        self.client().get(path, key)
    }

    /// Sends a request without a body, on a connection of its own.
    pub(crate) fn request(&self, method: &str, path: &str, fields: &[&str]) -> Response {
        self.client().request(method, path, fields)
    }

    /// Calls the admin listener with its token.
    pub(crate) fn admin(&self, method: &str, path: &str) -> Response {
        self.admin_with(method, path, &[], "")
    }

    /// Calls the admin listener with its token and a JSON body.
    pub(crate) fn change(&self, method: &str, path: &str, body: &Value) -> Response {
        self.admin_with(method, path, &["Content-Type: application/json"], &body.to_string())
    }

    /// Makes a change that succeeds, and gives what is answered.
    pub(crate) fn changed(&self, method: &str, path: &str, body: &Value) -> Value {
        let response = self.change(method, path, body);
        let text = response.text();
        assert!((200..300).contains(&response.status()), "{method} {path}: {text}");
        if text.is_empty() { Value::Null } else { response.json() }
    }

    /// Calls the admin listener with its token, further fields and a body.
    pub(crate) fn admin_with(
        &self,
        method: &str,
        path: &str,
        fields: &[&str],
        body: &str,
    ) -> Response {
        self.admin_caller().call(method, path, fields, body)
    }

    /// Gives what calls the admin listener from other threads.
    pub(crate) fn admin_caller(&self) -> AdminCaller {
        let token = bearer(self.running().admin_token().expose());
        AdminCaller { address: self.running().admin_address(), token }
    }

    /// Gives a customer's usage document, as the operator sees it.
    pub(crate) fn usage(&self, customer: &str) -> Value {
        let response = self.admin("GET", &format!("/v1/customers/{customer}/usage"));
        assert_eq!(response.status(), 200, "{}", response.text());
        response.json()
    }

    /// Gives the usage document, as a caller sees it.
    pub(crate) fn usage_by_key(&self, key: &str) -> Value {
        let response = self.get("/_faregate/usage", key);
        assert_eq!(response.status(), 200, "{}", response.text());
        response.json()
    }

    /// Gives used and reserved units of a customer's first quota.
    pub(crate) fn used(&self, customer: &str) -> (u64, u64) {
        let quota = &self.usage(customer)["quotas"][0];
        (quota["used"].as_u64().unwrap(), quota["reserved"].as_u64().unwrap())
    }

    /// Waits until nothing of a customer's is reserved and this many units are used.
    pub(crate) fn wait_used(&self, customer: &str, units: u64) {
        wait_until_equal(|| self.used(customer), &(units, 0));
    }

    /// Gives what is in the store of a customer by now.
    pub(crate) fn recorded(&self, customer: &str) -> Recorded {
        self.running().keeper().fold_now().unwrap();
        let store = Sqlite::open_to_read(&self.directory().join("faregate.db")).unwrap();
        let window = Window { start: Timestamp::MIN, end: None };
        let mut recorded = Recorded::new();
        let mut add = |row: faregate::store::MinuteRow<'_>| {
            let sum = recorded.entry(row.ending.to_owned()).or_default();
            sum.0 += row.requests;
            sum.1 += row.units;
        };
        store.minutes_of(customer, window, &mut add).unwrap();
        recorded
    }

    /// Waits until exactly these endings of a customer are recorded: name, requests, units.
    pub(crate) fn wait_recorded(&self, customer: &str, expected: &[(&str, u64, u64)]) {
        let expected =
            expected.iter().map(|(name, count, units)| ((*name).to_owned(), (*count, *units)));
        wait_until_equal(
            || {
                if !std::thread::panicking() {
                    println!("{:?}", self.used(customer));
                }
                self.recorded(customer)
            },
            &expected.collect(),
        );
    }
}

/// Calls the admin listener with its token.
#[derive(Clone)]
pub(crate) struct AdminCaller {
    address: SocketAddr,
    token: String,
}

impl AdminCaller {
    /// Calls with further fields and a body.
    pub(crate) fn call(&self, method: &str, path: &str, fields: &[&str], body: &str) -> Response {
        let length = format!("Content-Length: {}", body.len());
        let mut all = vec!["Host: 127.0.0.1", &self.token];
        if !body.is_empty() {
            all.push(&length);
        }
        all.extend(fields);
        let mut client = Client::connect(self.address);
        client.send(head(method, path, &all) + body);
        client.response()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // After a failed assertion the process may end as it is.
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// Puts the tables that every test needs before those given, unless these have their own, and digests
/// in the place of `key:…`.
fn complete(tables: &str) -> String {
    let mut text = String::new();
    for (table, default) in [
        ("[server]", "listen = \"127.0.0.1:0\"\nworkers = 1\ndrain_timeout = \"5s\"\n"),
        ("[admin]", "listen = \"127.0.0.1:0\"\n"),
        ("[log]", "access = \"off\"\nlevel = \"error\"\n"),
    ] {
        if !tables.lines().any(|line| line == table) {
            text.push_str(&format!("{table}\n{default}\n"));
        }
    }
    let mut rest = tables;
    while let Some((before, after)) = rest.split_once("\"key:") {
        let (key, after) = after.split_once('"').unwrap();
        text.push_str(before);
        text.push_str(&format!("\"{}\"", KeyDigest::of(key.as_bytes())));
        rest = after;
    }
    text.push_str(rest);
    text
}
