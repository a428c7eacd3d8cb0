//! A Prometheus that scrapes a gateway, with the example configuration and the rules.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{Scene, read};
use crate::support::{Client, wait_for};

/// How many seconds it may run, whatever becomes of the test.
const SECONDS_MAX: &str = "90";

/// A Prometheus that runs until it is dropped.
pub(super) struct Monitor {
    /// `timeout`, which hands a signal on.
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Monitor {
    /// Starts one that scrapes each second, and waits until it is ready.
    pub(super) fn start(scene: &Scene) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let target = scene.gateway.running().admin_address().to_string();
        let given = read("prometheus.yml");
        let config = given.replace(": 15s", ": 1s").replace("127.0.0.1:8403", &target);
        assert_eq!(config.matches(": 1s").count(), 2, "prometheus.yml has two intervals");
        assert!(config.contains(&target), "prometheus.yml has the default admin listener");
        fs::write(directory.path().join("prometheus.yml"), config).unwrap();
        fs::write(directory.path().join("alerts.yml"), read("alerts.yml")).unwrap();
        let log = directory.path().join("log");
        let child = Command::new("timeout")
            // Without a group of its own it ends with the test's, too.
            .args(["--foreground", "--kill-after=1", SECONDS_MAX, "prometheus"])
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn();
        let child = child.expect("timeout is needed: it is in the package coreutils");
        let mut monitor =
            Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), _directory: directory };
        let listening = || -> Option<SocketAddr> {
            let said = fs::read_to_string(&log).unwrap();
            if let Some(status) = monitor.child.try_wait().unwrap() {
                panic!("prometheus is needed, from the package of that name: {status}: {said}");
            }
            let line = said.lines().find(|line| line.contains("\"Listening on\""))?;
            line.split_once(" address=")?.1.split(' ').next()?.parse().ok()
        };
        monitor.address = wait_for("the address of Prometheus", listening);
        wait_for("Prometheus to be ready", || {
            let ready = Client::connect(monitor.address).request("GET", "/-/ready", &[]);
            (ready.status() == 200).then_some(())
        });
        monitor
    }

    /// Asks its API.
    pub(super) fn ask(&self, path: &str) -> Value {
        let response = Client::connect(self.address).request("GET", path, &[]);
        let answer = response.json();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    /// Asks for what a query gives now: labels and values.
    pub(super) fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let data = self.ask(&format!("/api/v1/query?query={}", encode(query)));
        assert_eq!(data["resultType"], "vector", "{query}");
        let series = data["result"].as_array().unwrap().iter().map(|series| {
            let value = series["value"][1].as_str().unwrap().parse().unwrap();
            (series["metric"].clone(), value)
        });
        series.collect()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // One that has ended by itself is no longer there.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Writes a text as a part of a query.
pub(super) fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
