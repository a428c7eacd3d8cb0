//! Killed by signal 9 in each state of a payment, and started again: no proof opens two requests, nothing is paid twice,
//! and what was paid is served.

use std::{fs, net::SocketAddr};

use serde_json::Value;

use super::{
    TABLES,
    facilitator::{Facilitator, Mood},
    wallet::{Order, Wallet, offer},
};
use crate::{
    process::{Gateway, free_address},
    support::{Client, Response, Then, Upstream, client::head, upstream::OK, wait_for},
};

struct Scene {
    directory: tempfile::TempDir,
    address: SocketAddr,
    admin: SocketAddr,
    facilitator: Facilitator,
    upstream: Upstream,
}

impl Scene {
    fn new(upstream: Upstream) -> Self {
        let (address, admin) = (free_address(), free_address());
        let facilitator = Facilitator::start();
        let directory = tempfile::tempdir().unwrap();
        let tables = TABLES
            .replace("127.0.0.1:0", &address.to_string())
            .replace("@FACILITATOR@", &facilitator.url())
            .replace("@UPSTREAM@", &upstream.address().to_string());
        let (tables, _) = tables.split_once("[customers.acme]").unwrap();
        let text = format!("{tables}\n[admin]\nlisten = \"{admin}\"\n[log]\naccess = \"off\"\n");
        fs::write(directory.path().join("faregate.toml"), text).unwrap();
        Self { directory, address, admin, facilitator, upstream }
    }

    fn start(&self) -> Gateway {
        Gateway::start(self.directory.path(), self.address, self.admin)
    }

    fn ask(&self, payment: &[&str]) -> Response {
        Client::connect(self.address).request("GET", "/weather/x", payment)
    }

    fn payment(&self) -> String {
        Wallet::new(7).field(&Order::of(&offer(&self.ask(&[])), 1))
    }

    /// Brings a payment and kills the gateway when `then` returns.
    fn killed(&self, payment: &str, then: impl FnOnce()) {
        let gateway = self.start();
        let mut client = Client::connect(self.address);
        client.send(head("GET", "/weather/x", &[payment]));
        then();
        gateway.kill();
    }
}

fn assert_adds_up(gateway: &Gateway) {
    let verified = gateway.post("/v1/verify", &Value::Null);
    assert_eq!(verified["ok"], true, "{verified}");
}

/// Nobody was asked to move anything: it may come again once its claim is a minute old.
#[test]
fn while_it_is_verified() {
    let scene = Scene::new(Upstream::ok());
    let gateway = scene.start();
    let payment = scene.payment();
    assert!(gateway.stop());
    scene.facilitator.set(Mood::DumbToVerify);
    scene.killed(&payment, || scene.facilitator.wait_asked("verify", 1));
    scene.facilitator.set(Mood::Good);
    let gateway = scene.start();
    assert_eq!(scene.ask(&[&payment]).verdict(), "409 payment_pending");
    assert_eq!((scene.upstream.count(), scene.facilitator.transfers()), (0, 0));
    assert_adds_up(&gateway);
}

/// It was carried out: that is found out, and the proof opens one request.
#[test]
fn while_it_is_settled() {
    let scene = Scene::new(Upstream::ok());
    let gateway = scene.start();
    let payment = scene.payment();
    assert!(gateway.stop());
    scene.facilitator.set(Mood::HangsAfter);
    scene.killed(&payment, || scene.facilitator.wait_asked("settle", 1));
    scene.facilitator.set(Mood::Good);
    let gateway = scene.start();
    let response = scene.ask(&[&payment]);
    assert_eq!(response.verdict(), "409 payment_pending");
    assert_eq!(response.field("payment-required"), None);
    assert_eq!((scene.upstream.count(), scene.facilitator.transfers()), (0, 1));
    assert_adds_up(&gateway);
}

/// It is at the upstream: charged in full, as what is open at a crash is.
#[test]
fn while_it_is_served() {
    let scene = Scene::new(Upstream::start(|exchange| {
        exchange.read_body()?;
        Ok(Then::Silence)
    }));
    let gateway = scene.start();
    let payment = scene.payment();
    assert!(gateway.stop());
    scene.killed(&payment, || scene.upstream.wait_for(1));
    let gateway = scene.start();
    assert_eq!(scene.ask(&[&payment]).verdict(), "409 payment_already_used");
    assert_eq!((scene.upstream.count(), scene.facilitator.transfers()), (1, 1));
    assert_adds_up(&gateway);
}

/// It was served.
#[test]
fn after_it_was_served() {
    let scene = Scene::new(Upstream::answering(OK, Then::KeepAlive));
    let gateway = scene.start();
    let payment = scene.payment();
    assert_eq!(scene.ask(&[&payment]).status(), 200);
    gateway.kill();
    let gateway = scene.start();
    assert_eq!(scene.ask(&[&payment]).verdict(), "409 payment_already_used");
    assert_eq!((scene.upstream.count(), scene.facilitator.transfers()), (1, 1));
    assert_adds_up(&gateway);
}

/// Its outcome is not known: the next process asks for it.
#[test]
fn while_its_outcome_is_unknown() {
    let scene = Scene::new(Upstream::ok());
    let gateway = scene.start();
    let payment = scene.payment();
    scene.facilitator.set(Mood::FailsAfter);
    assert_eq!(scene.ask(&[&payment]).verdict(), "409 payment_pending");
    gateway.kill();
    scene.facilitator.set(Mood::Good);
    let gateway = scene.start();
    wait_for("the outcome", || (scene.ask(&[&payment]).status() == 200).then_some(()));
    assert_eq!(scene.ask(&[&payment]).verdict(), "409 payment_already_used");
    assert_eq!((scene.upstream.count(), scene.facilitator.transfers()), (1, 1));
    assert_adds_up(&gateway);
}
