//! A gateway as a process of its own, its upstream, and what is measured of both.

use std::{fs, process::Command, time::Duration};

use faregate::model::KeyDigest;
use tokio::time::Instant;

use super::upstream::Upstream;
use crate::{
    process::{Gateway, free_address, get, program},
    support::{KEY, wait_until_equal},
};

/// A gateway before two upstreams: what the crowd asks for is not to hold up the ordinary clients' own.
pub(super) struct Scene {
    upstreams: [Upstream; 2],
    pub(super) gateway: Gateway,
    _directory: tempfile::TempDir,
}

impl Scene {
    /// Starts one with these limits.
    pub(super) fn start(limits: &str) -> Self {
        Self::start_by(Command::new(program()), limits)
    }

    /// Starts it by a command.
    pub(super) fn start_by(command: Command, limits: &str) -> Self {
        let upstreams = [Upstream::start(), Upstream::start()];
        let directory = tempfile::tempdir().unwrap();
        let (address, admin) = (free_address(), free_address());
        let text = format!(
            "[server]\nlisten = \"{address}\"\nworkers = 2\n[server.limits]\n{limits}\n\
             [admin]\nlisten = \"{admin}\"\n[log]\naccess = \"off\"\n\
             [upstreams.api]\nurl = \"http://{}\"\n[upstreams.crowd]\nurl = \"http://{}\"\n\
             [[routes]]\npath = \"/paid/large\"\nupstream = \"crowd\"\n\
             [[routes]]\npath = \"/paid/body\"\nupstream = \"crowd\"\n\
             [[routes]]\npath = \"/paid/{{*path}}\"\nupstream = \"api\"\n\
             [plans.all]\nquotas = [{{ limit = 100000000, window = \"lifetime\" }}]\n\
             [customers.acme]\nplan = \"all\"\nkeys = [\"{}\"]\n",
            upstreams[0].address,
            upstreams[1].address,
            KeyDigest::of(KEY.as_bytes()),
        );
        fs::write(directory.path().join("faregate.toml"), text).unwrap();
        let gateway = Gateway::start_by(command, directory.path(), address, admin);
        Self { upstreams, gateway, _directory: directory }
    }

    /// Gives the resident memory of the program, in KiB.
    pub(super) fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.gateway.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Gives how many client connections it has.
    pub(super) fn connections(&self) -> usize {
        let page = get(self.gateway.admin_address(), "/metrics", &[]).unwrap();
        let lines = page.lines().filter(|line| line.starts_with("faregate_connections{"));
        let counts = lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap());
        counts.sum::<f64>() as usize
    }

    /// Waits until it has no more connections than these; fails after some time.
    pub(super) fn wait_connections(&self, count: usize, most: Duration) {
        let deadline = Instant::now() + most;
        while self.connections() > count {
            assert!(Instant::now() < deadline, "it has {} connections", self.connections());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asserts that the books hold what the upstreams have answered, each request once.
    pub(super) fn audit(&self) {
        let books = || {
            let usage = self.gateway.usage("acme");
            let quota = &usage["quotas"][0];
            (quota["used"].as_u64().unwrap(), quota["reserved"].as_u64().unwrap())
        };
        let answered = self.upstreams.iter().map(Upstream::answered).sum();
        wait_until_equal(books, &(answered, 0));
    }

    /// Asserts that the program says of itself that it is well.
    pub(super) fn assert_well(&self) {
        for path in ["/healthz", "/readyz"] {
            let answer = get(self.gateway.admin_address(), path, &[]).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        }
    }
}
