//! Nodes that are processes, on one database and before one upstream.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use faregate::model::KeyDigest;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    process::{CountingUpstream, FAREGATE, Gateway, free_address},
    support::{Schema, wait_until_equal},
    webhooks::SECRET,
};

/// The key of the customer that most tests have.
pub(super) const KEY: &str = "key-of-acme";

pub(super) const NODES: usize = 3;

/// What customers may use.
pub(super) struct Plan {
    pub(super) limit: u64,
    pub(super) window: &'static str,
    /// So many customers have it besides `acme`: `c0` with the key `key-0`, and so on.
    pub(super) customers: u64,
    /// Who is told of each tenth of the limit.
    pub(super) receiver: Option<SocketAddr>,
}

impl Plan {
    pub(super) fn of(limit: u64) -> Self {
        Self { limit, window: "lifetime", customers: 0, receiver: None }
    }
}

/// All of it.
pub(super) struct Rig {
    pub(super) upstream: CountingUpstream,
    pub(super) nodes: Vec<Node>,
}

/// A node, whether it runs or not.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    admin: SocketAddr,
    directory: TempDir,
    gateway: Option<Gateway>,
}

impl Rig {
    /// Starts nodes at once, on a database that they find empty.
    pub(super) fn start(plan: &Plan, url: &str) -> Self {
        let upstream = CountingUpstream::start();
        let prepare = |_| Node::prepare(plan, url, upstream.address);
        let mut nodes: Vec<_> = (0..NODES).map(prepare).collect();
        thread::scope(|scope| {
            for node in &mut nodes {
                scope.spawn(|| node.start());
            }
        });
        Self { upstream, nodes }
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    pub(super) fn received(&self) -> u64 {
        self.upstream.received()
    }

    /// Waits until every node says that a customer used so much and nothing besides is taken.
    pub(super) fn wait_used(&self, customer: &str, used: u64) {
        for node in &self.nodes {
            wait_until_equal(|| node.standing(customer), &(used, 0, 0));
        }
    }

    /// Asks a node whether the books agree with themselves.
    pub(super) fn verify(&self) {
        let verified = self.nodes[0].gateway().post("/v1/verify", &Value::Null);
        assert_eq!(verified["ok"], true, "{verified}");
    }

    /// Ends all nodes well, and looks at what is then in the store: so much used by `acme`, and nothing open.
    pub(super) fn stop(&mut self, schema: &Schema, used: u64) {
        let began = Instant::now();
        self.nodes.iter_mut().for_each(Node::stop);
        println!("stopped one after the other in {:?}", began.elapsed());
        let ask = |sql: &str| schema.ask(sql).parse::<u64>().unwrap();
        let stored = "SELECT coalesce(sum(used), 0) FROM usage WHERE customer = 'acme'";
        assert_eq!(ask(stored), used, "the stored usage");
        assert_eq!(ask("SELECT count(*) FROM open_reservations"), 0);
        let out = r#"SELECT coalesce(sum(held + "left" + forfeited), 0) FROM pools"#;
        assert_eq!(ask(out), 0, "who stops gives back what it has");
    }
}

impl Node {
    fn prepare(plan: &Plan, url: &str, upstream: SocketAddr) -> Self {
        let node = Self {
            address: free_address(),
            admin: free_address(),
            directory: tempfile::tempdir().unwrap(),
            gateway: None,
        };
        fs::write(node.file(), node.configuration(plan, url, upstream)).unwrap();
        fs::write(node.directory.path().join("hook-secret"), SECRET).unwrap();
        node.move_clock(0);
        node
    }

    fn configuration(&self, plan: &Plan, url: &str, upstream: SocketAddr) -> String {
        let Plan { limit, window, customers, receiver } = plan;
        let mut text = format!(
            r#"
            [store]
            url = "{url}"
            journal = "faregate.db.journal"
            [server]
            listen = "{}"
            workers = 2
            drain_timeout = "5s"
            [admin]
            listen = "{}"
            [log]
            access = "off"
            [upstreams.api]
            url = "http://{upstream}"
            [[routes]]
            path = "/one/{{*path}}"
            upstream = "api"
            [[routes]]
            path = "/three/{{*path}}"
            upstream = "api"
            cost = 3
            [plans.all]
            quotas = [{{ limit = {limit}, window = "{window}" }}]
            [customers.acme]
            plan = "all"
            keys = ["{}"]
            "#,
            self.address,
            self.admin,
            KeyDigest::of(KEY.as_bytes()),
        );
        if let Some(receiver) = receiver {
            text.push_str(&format!(
                "[webhooks]\nurl = \"http://{receiver}/in\"\nsecret = {{ file = \"hook-secret\" }}\n\
                 thresholds = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]\n"
            ));
        }
        for customer in 0..*customers {
            let digest = KeyDigest::of(format!("key-{customer}").as_bytes());
            text.push_str(&format!(
                "[customers.c{customer}]\nplan = \"all\"\nkeys = [\"{digest}\"]\n"
            ));
        }
        text
    }

    /// Starts it where it was stopped or killed.
    pub(super) fn start(&mut self) {
        let mut command = Command::new(FAREGATE);
        command.env("FAREGATE_CLOCKS", self.clocks());
        let directory = self.directory.path();
        self.gateway = Some(Gateway::start_by(command, directory, self.address, self.admin));
    }

    pub(super) fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            assert!(gateway.stop(), "a stop by SIGTERM ends well");
        }
    }

    pub(super) fn kill(&mut self) {
        self.gateway.take().unwrap().kill();
    }

    /// Removes what a node that is not running has written, as with the disk that it was on.
    pub(super) fn lose_journal(&self) {
        assert!(self.gateway.is_none());
        fs::remove_dir_all(self.directory.path().join("faregate.db.journal")).unwrap();
    }

    /// Moves its clocks so many seconds from where this machine's are, in one step: it reads them at any time.
    pub(super) fn move_clock(&self, seconds: i64) {
        let draft = self.clocks().with_extension("new");
        fs::write(&draft, format!("{seconds} {seconds}\n")).unwrap();
        fs::rename(draft, self.clocks()).unwrap();
    }

    /// Runs the program for an operator of this node, and gives what it printed.
    pub(super) fn operate(&self, arguments: &[&str]) -> String {
        self.try_operate(arguments).unwrap()
    }

    /// Runs it, and gives what it printed or why it failed.
    pub(super) fn try_operate(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(FAREGATE);
        command.args(arguments).current_dir(self.directory.path()).env_remove("FAREGATE_CONFIG");
        let Output { status, stdout, stderr } = command.output().unwrap();
        let told = if status.success() { &stdout } else { &stderr };
        let told = String::from_utf8_lossy(told).into_owned();
        if status.success() { Ok(told) } else { Err(told) }
    }

    pub(super) fn runs(&self) -> bool {
        self.gateway.is_some()
    }

    pub(super) fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().expect("the node does not run")
    }

    /// Gives what a customer has used, what requests hold, and what is forfeited, as this node knows it.
    pub(super) fn standing(&self, customer: &str) -> (u64, u64, u64) {
        let usage = self.gateway().usage(customer);
        let quota = &usage["quotas"][0];
        let figure = |name: &str| quota[name].as_u64().unwrap();
        (figure("used"), figure("reserved"), figure("forfeited"))
    }

    /// Gives its identifier.
    pub(super) fn id(&self) -> String {
        let nodes = self.gateway().read("/v1/nodes");
        let nodes = nodes["items"].as_array().unwrap();
        let this = nodes.iter().find(|node| node["this"] == json!(true)).unwrap();
        this["id"].as_str().unwrap().to_owned()
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("faregate.toml")
    }

    fn clocks(&self) -> PathBuf {
        self.directory.path().join("clocks")
    }
}
