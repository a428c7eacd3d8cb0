//! Nodes that are processes, on one database and before one upstream.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use faregate::model::{KeyDigest, Nanos};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::callers::Got;
use crate::{
    process::{CountingUpstream, FAREGATE, Gateway, free_address},
    support::{Schema, wait_until_equal},
    webhooks::SECRET,
};

/// The key of the customer that most tests have.
pub(super) const KEY: &str = "key-of-acme";

pub(super) const NODES: usize = 3;

/// What a call costs who pays for it, in nano-units.
const PRICE: i64 = 10_000_000;

/// What customers may use.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) limit: u64,
    /// They have no plan, but money for as many calls.
    pub(super) is_paid: bool,
    pub(super) window: &'static str,
    /// So many customers have it besides `acme`: `c0`, `c1` and so on.
    pub(super) customers: u64,
    /// Who is told of each tenth of the limit.
    pub(super) receiver: Option<SocketAddr>,
}

impl Plan {
    pub(super) fn of(limit: u64) -> Self {
        Self { limit, is_paid: false, window: "lifetime", customers: 0, receiver: None }
    }

    /// Of money.
    pub(super) fn paid(calls: u64) -> Self {
        Self { is_paid: true, ..Self::of(calls) }
    }

    /// Gives what a call takes, as leases count it.
    pub(super) fn cost(&self) -> u64 {
        if self.is_paid { PRICE.unsigned_abs() } else { 1 }
    }

    /// What is answered in quiet. Money that calls hold is not refused for good.
    pub(super) fn answers(&self) -> &'static [Got] {
        match self.is_paid {
            true => &[Got::Served, Got::Refused, Got::InFlight],
            false => &[Got::Served, Got::Refused],
        }
    }

    /// Gives the names of all customers.
    fn names(&self) -> impl Iterator<Item = String> {
        let others = (0..self.customers).map(|number| format!("c{number}"));
        std::iter::once("acme".to_owned()).chain(others)
    }
}

/// All of it.
pub(super) struct Rig {
    pub(super) plan: Plan,
    pub(super) upstream: CountingUpstream,
    pub(super) nodes: Vec<Node>,
}

/// A node, whether it runs or not.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    admin: SocketAddr,
    /// Calls that each customer has money for; `None` with a plan.
    paid: Option<u64>,
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
        let rig = Self { plan: *plan, upstream, nodes };
        if plan.is_paid {
            rig.grant();
        }
        rig
    }

    /// Gives each customer money on one node, of which two fifths end first, and waits until all know.
    fn grant(&self) {
        let limit = self.plan.limit;
        let ending = limit * 2 / 5;
        for customer in self.plan.names() {
            let expires = json!("2099-01-01T00:00:00Z");
            for (calls, expires) in [(ending, expires), (limit - ending, Value::Null)] {
                let amount = Nanos(i64::try_from(calls).unwrap() * PRICE).to_string();
                let body = json!({ "amount": amount, "currency": "USD", "expires": expires });
                self.nodes[0].gateway().post(&format!("/v1/customers/{customer}/credits"), &body);
            }
        }
        for node in &self.nodes {
            let last = self.plan.names().last().unwrap();
            wait_until_equal(|| node.balance(&last), &(limit, 0));
        }
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
        let stored = match self.plan.is_paid {
            true => &*format!(
                r#"SELECT (sum(amount - "left") / {PRICE})::bigint FROM grants JOIN purses ON purses.id = purse
                WHERE customer = 'acme'"#
            ),
            false => "SELECT coalesce(sum(used), 0) FROM usage WHERE customer = 'acme'",
        };
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
            paid: plan.is_paid.then_some(plan.limit),
            directory: tempfile::tempdir().unwrap(),
            gateway: None,
        };
        fs::write(node.file(), node.configuration(plan, url, upstream)).unwrap();
        fs::write(node.directory.path().join("hook-secret"), SECRET).unwrap();
        node.move_clock(0);
        node
    }

    fn configuration(&self, plan: &Plan, url: &str, upstream: SocketAddr) -> String {
        let Plan { limit, window, receiver, .. } = plan;
        let (price, of_plan) = match plan.is_paid {
            true => ("price = \"0.01 USD\"", ""),
            false => ("", "plan = \"all\""),
        };
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
            {price}
            [[routes]]
            path = "/three/{{*path}}"
            upstream = "api"
            cost = 3
            [plans.all]
            quotas = [{{ limit = {limit}, window = "{window}" }}]
            "#,
            self.address, self.admin,
        );
        if let Some(receiver) = receiver {
            text.push_str(&format!(
                "[webhooks]\nurl = \"http://{receiver}/in\"\nsecret = {{ file = \"hook-secret\" }}\n\
                 thresholds = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]\n"
            ));
        }
        for customer in plan.names() {
            let digest = KeyDigest::of(format!("key-of-{customer}").as_bytes());
            text.push_str(&format!("[customers.{customer}]\n{of_plan}\nkeys = [\"{digest}\"]\n"));
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
        if let Some(paid) = self.paid {
            let (left, reserved) = self.balance(customer);
            return (paid - left, reserved, 0);
        }
        let usage = self.gateway().usage(customer);
        let quota = &usage["quotas"][0];
        let figure = |name: &str| quota[name].as_u64().unwrap();
        (figure("used"), figure("reserved"), figure("forfeited"))
    }

    /// Gives for how many calls a customer has money, and what requests hold of it, as this node knows it.
    fn balance(&self, customer: &str) -> (u64, u64) {
        let usage = self.gateway().usage(customer);
        let Some(credit) = usage["credits"].get(0) else { return (0, 0) };
        let figure = |name: &str| {
            let Nanos(nanos) = credit[name].as_str().unwrap().parse().unwrap();
            assert_eq!(nanos % PRICE, 0, "{usage}");
            u64::try_from(nanos / PRICE).unwrap()
        };
        (figure("balance"), figure("reserved"))
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
