//! Killed by signal 9 in each state of a payment, and started again: no proof opens two requests, nothing is paid twice,
//! and what was paid is served.

use std::{fs, net::SocketAddr, process::Command};

use serde_json::Value;

use super::{
    TABLES,
    facilitator::{Facilitator, Mood},
    wallet::{self, Order, Wallet, offer},
};
use crate::{
    process::{FAREGATE, Gateway, free_address},
    support::{Client, Response, Schema, Then, Upstream, client::head, upstream::OK, wait_for},
};

/// One gateway, or several on one database, before one upstream.
struct Scene {
    places: Vec<Place>,
    facilitator: Facilitator,
    upstream: Upstream,
    /// What moves the clocks of all of them.
    clocks: tempfile::NamedTempFile,
    _schema: Option<Schema>,
}

struct Place {
    directory: tempfile::TempDir,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Scene {
    fn alone(upstream: Upstream) -> Self {
        Self::new(TABLES, 1, None, upstream)
    }

    fn of_three(tables: &str, upstream: Upstream) -> Self {
        Self::new(tables, 3, Some(Schema::new()), upstream)
    }

    fn new(tables: &str, count: usize, schema: Option<Schema>, upstream: Upstream) -> Self {
        let facilitator = Facilitator::start();
        let (tables, _) = tables.split_once("[customers.acme]").unwrap();
        let mut tables = tables
            .replace("@FACILITATOR@", &facilitator.url())
            .replace("@UPSTREAM@", &upstream.address().to_string());
        if let Some(schema) = &schema {
            let store = "[store]\njournal = \"faregate.db.journal\"";
            tables = tables.replace("[store]", &format!("{store}\nurl = \"{}\"", schema.url()));
        }
        let place = |_| {
            let (address, admin) = (free_address(), free_address());
            let directory = tempfile::tempdir().unwrap();
            let tables = tables.replace("127.0.0.1:0", &address.to_string());
            let text =
                format!("{tables}\n[admin]\nlisten = \"{admin}\"\n[log]\naccess = \"off\"\n");
            fs::write(directory.path().join("faregate.toml"), text).unwrap();
            Place { directory, address, admin }
        };
        let places = (0..count).map(place).collect();
        let clocks = tempfile::NamedTempFile::new().unwrap();
        Self { places, facilitator, upstream, clocks, _schema: schema }
    }

    fn start(&self, index: usize) -> Gateway {
        let Place { directory, address, admin } = &self.places[index];
        let mut command = Command::new(FAREGATE);
        command.env("FAREGATE_CLOCKS", self.clocks.path());
        Gateway::start_by(command, directory.path(), *address, *admin)
    }

    fn ask(&self, payment: &[&str]) -> Response {
        Client::connect(self.places[0].address).request("GET", "/weather/x", payment)
    }

    /// Makes a payment that is good for ten minutes.
    fn payment(&self) -> String {
        let order = Order::of(&offer(&self.ask(&[])), 1);
        Wallet::new(7).field(&Order { valid_before: wallet::now() + 600, ..order })
    }

    /// Brings a payment to a gateway that is alone and kills it when `then` returns; gives the payment.
    fn killed(&self, mood: Mood, then: impl FnOnce(&Self)) -> String {
        let gateway = self.start(0);
        let payment = self.payment();
        self.facilitator.set(mood);
        let mut client = Client::connect(self.places[0].address);
        client.send(head("GET", "/weather/x", &[&payment]));
        then(self);
        gateway.kill();
        self.facilitator.set(Mood::Good);
        payment
    }

    /// Gives how many requests reached the upstream, and how much moved.
    fn done(&self) -> (usize, usize) {
        (self.upstream.count(), self.facilitator.transfers())
    }
}

fn assert_adds_up(gateway: &Gateway) {
    let verified = gateway.post("/v1/verify", &Value::Null);
    assert_eq!(verified["ok"], true, "{verified}");
}

/// Nobody was asked to move anything: it may come again once its claim is a minute old.
#[test]
fn while_it_is_verified() {
    let scene = Scene::alone(Upstream::ok());
    let asked = |scene: &Scene| scene.facilitator.wait_asked("verify", 1);
    let payment = scene.killed(Mood::DumbToVerify, asked);
    let gateway = scene.start(0);
    assert_eq!(scene.ask(&[&payment]).verdict(), "409 payment_pending");
    assert_eq!(scene.done(), (0, 0));
    assert_adds_up(&gateway);
}

/// It was carried out: that is found out, and the proof opens one request.
#[test]
fn while_it_is_settled() {
    let scene = Scene::alone(Upstream::ok());
    let payment = scene.killed(Mood::HangsAfter, |scene| scene.facilitator.wait_asked("settle", 1));
    let gateway = scene.start(0);
    let response = scene.ask(&[&payment]);
    assert_eq!(response.verdict(), "409 payment_pending");
    assert_eq!(response.field("payment-required"), None);
    assert_eq!(scene.done(), (0, 1));
    assert_adds_up(&gateway);
}

/// It is at the upstream: charged in full, as what is open at a crash is.
#[test]
fn while_it_is_served() {
    let scene = Scene::alone(Upstream::start(|exchange| {
        exchange.read_body()?;
        Ok(Then::Silence)
    }));
    let payment = scene.killed(Mood::Good, |scene| scene.upstream.wait_for(1));
    let gateway = scene.start(0);
    assert_eq!(scene.ask(&[&payment]).verdict(), "409 payment_already_used");
    assert_eq!(scene.done(), (1, 1));
    assert_adds_up(&gateway);
}

/// It was served.
#[test]
fn after_it_was_served() {
    let scene = Scene::alone(Upstream::answering(OK, Then::KeepAlive));
    let gateway = scene.start(0);
    let payment = scene.payment();
    assert_eq!(scene.ask(&[&payment]).status(), 200);
    gateway.kill();
    let gateway = scene.start(0);
    assert_eq!(scene.ask(&[&payment]).verdict(), "409 payment_already_used");
    assert_eq!(scene.done(), (1, 1));
    assert_adds_up(&gateway);
}

/// Its outcome is not known: the next process asks for it.
#[test]
fn while_its_outcome_is_unknown() {
    let scene = Scene::alone(Upstream::ok());
    let gateway = scene.start(0);
    let payment = scene.payment();
    scene.facilitator.set(Mood::FailsAfter);
    assert_eq!(scene.ask(&[&payment]).verdict(), "409 payment_pending");
    gateway.kill();
    scene.facilitator.set(Mood::Good);
    let gateway = scene.start(0);
    wait_for("the outcome", || (scene.ask(&[&payment]).status() == 200).then_some(()));
    assert_eq!(scene.ask(&[&payment]).verdict(), "409 payment_already_used");
    assert_eq!(scene.done(), (1, 1));
    assert_adds_up(&gateway);
}

/// Where the first of three gateways is when it is killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Body,
    Settle,
    Upstream,
    Verify,
}

/// Kills the first of three while one proof is presented to all of them; gives how often it was served afterwards, how
/// many requests reached the upstream, and how much moved.
fn of_three(tables: &str, at: At) -> (usize, usize, usize) {
    let scene = Scene::of_three(
        tables,
        Upstream::start(move |exchange| {
            exchange.read_body()?;
            let hangs = matches!(at, At::Body | At::Upstream);
            if !hangs || exchange.request().field("x-hangs").is_none() {
                exchange.send(OK)?;
                return Ok(Then::KeepAlive);
            }
            if at == At::Body {
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")?;
            }
            Ok(Then::Silence)
        }),
    );
    let mut gateways: Vec<_> = (0..3).map(|index| scene.start(index)).collect();
    let payment = scene.payment();
    match at {
        At::Settle => scene.facilitator.set(Mood::HangsAfter),
        At::Verify => scene.facilitator.set(Mood::DumbToVerify),
        At::Body | At::Upstream => {}
    }
    let mut client = Client::connect(scene.places[0].address);
    client.send(head("GET", "/weather/x", &[&payment, "X-Hangs: 1"]));
    match at {
        At::Body => assert_eq!(client.head().status, 200),
        At::Settle => scene.facilitator.wait_asked("settle", 1),
        At::Upstream => scene.upstream.wait_for(1),
        At::Verify => scene.facilitator.wait_asked("verify", 1),
    }
    let others = [scene.places[1].address, scene.places[2].address];
    let served = |addresses: &[SocketAddr]| {
        let verdicts = super::in_parallel(addresses, &payment);
        let is_known = |verdict: &&String| {
            ["200", "409 payment_pending", "409 payment_already_used"].contains(&verdict.as_str())
        };
        assert_eq!(verdicts.iter().find(|verdict| !is_known(verdict)), None);
        verdicts.iter().filter(|verdict| *verdict == "200").count()
    };
    assert_eq!(served(&others), 0, "before it is killed");
    gateways.remove(0).kill();
    scene.facilitator.set(Mood::Good);
    assert_eq!(served(&others), 0, "what it had is still its");
    // A minute later it is taken for gone.
    fs::write(scene.clocks.path(), "61 61\n").unwrap();
    let is_used = at == At::Body || at == At::Upstream && !tables.contains("after-headers");
    let first = match is_used {
        true => served(&others),
        false => {
            wait_for("somebody to be served", || Some(served(&others)).filter(|count| *count > 0))
        }
    };
    gateways.push(scene.start(0));
    let all: Vec<_> = scene.places.iter().map(|place| place.address).collect();
    assert_eq!(served(&all), 0, "it was served already");
    gateways.iter().for_each(assert_adds_up);
    let (requests, transfers) = scene.done();
    (first, requests, transfers)
}

#[test]
fn one_of_three_while_it_is_verified() {
    assert_eq!(of_three(TABLES, At::Verify), (1, 1, 1));
}

#[test]
fn one_of_three_while_it_is_settled() {
    assert_eq!(of_three(TABLES, At::Settle), (1, 1, 1));
}

/// Charged in full, as what is open at a crash is.
#[test]
fn one_of_three_while_it_is_served() {
    assert_eq!(of_three(TABLES, At::Upstream), (0, 1, 1));
    assert_eq!(of_three(TABLES, At::Body), (0, 1, 1));
}

/// Nothing was asked of anybody yet.
#[test]
fn one_of_three_while_it_is_verified_after_headers() {
    assert_eq!(of_three(&super::after_headers::tables(), At::Verify), (1, 1, 1));
}

/// What the upstream did for the call that was open at the crash is unpaid: nothing moved, and nobody has its answer.
#[test]
fn one_of_three_while_it_is_at_the_upstream_after_headers() {
    assert_eq!(of_three(&super::after_headers::tables(), At::Upstream), (1, 2, 1));
}

/// What moved opens another request; of the answer that was there nobody has anything.
#[test]
fn one_of_three_while_it_is_settled_after_headers() {
    assert_eq!(of_three(&super::after_headers::tables(), At::Settle), (1, 2, 1));
}

#[test]
fn one_of_three_while_its_answer_passes_after_headers() {
    assert_eq!(of_three(&super::after_headers::tables(), At::Body), (0, 1, 1));
}
