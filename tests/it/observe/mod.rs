//! What operators watch: the rules, the dashboard and the description of the metrics, against a
//! gateway that runs and a Prometheus that scrapes it.

mod dashboard;
mod described;
mod monitor;
mod names;
mod page;
mod queries;
mod rules;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::json;

use crate::{
    payments::wallet::{Order, Wallet, offer},
    support::{
        Client, Exchange, Front, Gateway, Then, Upstream, certificates::Authority, upstream::OK,
        wait_for,
    },
    webhooks::SECRET,
};

const NOW: &str = "2026-11-20T12:00:00Z";

const TABLES: &str = r#"
[webhooks]
url = "http://@RECEIVER@/in"
secret = { file = "hook-secret" }

[upstreams.api]
url = "http://@UPSTREAM@"

[upstreams.gone]
url = "http://@NOWHERE@"
health = { path = "/", interval = "100ms" }

[upstreams.secured]
url = "https://@FRONT@"
tls = { ca = "ca.pem", server_name = "api.test", cert = "us.pem", key = "us.pem" }

[[routes]]
name = "secured"
path = "/secured"
upstream = "secured"

[[routes]]
name = "calls"
path = "/calls/{*rest}"
methods = ["GET"]
upstream = "api"

[[routes]]
name = "gone"
path = "/gone"
upstream = "gone"

[payments.x402]
facilitator = "http://@NOWHERE@"
network = "eip155:84532"
asset = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
asset_name = "USD Coin"
asset_version = "2"
decimals = 6
pay_to = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"

[[routes]]
name = "sold"
path = "/sold"
upstream = "api"
access = "payment"
price = "0.01 USD"

[[routes]]
name = "watched"
path = "/watched"
upstream = "api"
enforce = false

[plans.pro]
quotas = [{ limit = 1000000, window = "month" }]

[plans.small]
quotas = [{ limit = 2, window = "month" }]

[plans.slow]
rate = { limit = 1, window = "1h" }

[customers.acme]
plan = "pro"
keys = ["key:key-of-acme"]

[customers.spent]
plan = "small"
keys = ["key:key-of-spent"]

[customers.hasty]
plan = "slow"
keys = ["key:key-of-hasty"]
"#;

/// A gateway to which everything happens that is counted.
struct Scene {
    gateway: Gateway,
    _upstream: Upstream,
    _front: Front,
    _receiver: Upstream,
}

impl Scene {
    fn start() -> Self {
        let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
            exchange.read_body()?;
            match exchange.request().target() {
                "/calls/reset" => return Ok(Then::Reset),
                "/calls/500" => exchange.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")?,
                _ => exchange.send(OK)?,
            }
            Ok(Then::KeepAlive)
        });
        let receiver = Upstream::answering(OK, Then::Close);
        let ours = Authority::new("ours");
        let front = Front::start(ours.leaf(&["api.test"]).server(), &upstream);
        let us = ours.leaf(&["gateway.test"]).pem();
        let tables = TABLES
            .replace("@FRONT@", &front.address().to_string())
            .replace("@RECEIVER@", &receiver.address().to_string())
            .replace("@NOWHERE@", &Upstream::nowhere().to_string());
        let files = [("hook-secret", SECRET), ("ca.pem", &*ours.pem()), ("us.pem", &us)];
        let gateway = Gateway::start_with_files(NOW, &tables, &upstream, &files);
        let scene = Self { gateway, _upstream: upstream, _front: front, _receiver: receiver };
        let customer = json!({"id": "made", "subscription": {"plan": "pro"}});
        scene.gateway.changed("POST", "/v1/customers", &customer);
        scene.gateway.changed("POST", "/v1/reload", &json!({}));
        scene
    }

    /// Lets each kind of thing happen once.
    fn call(&self) {
        let acme = "key-of-acme";
        let mut client = self.gateway.client();
        for (path, key, statuses) in [
            ("/calls/1", acme, [200, 200]),
            ("/calls/500", acme, [500, 500]),
            ("/calls/1", "nobody", [401, 401]),
            ("/calls/1", "key-of-spent", [200, 402]),
            ("/calls/1", "key-of-hasty", [200, 429]),
            ("/elsewhere", acme, [404, 404]),
            ("/watched", "nobody", [200, 200]),
            ("/_faregate/usage", acme, [200, 200]),
            ("/gone", acme, [502, 502]),
            ("/secured", acme, [200, 200]),
        ] {
            let status = client.get(path, key).status();
            assert!(statuses.contains(&status), "{path} by {key}: {status}");
        }
        assert_eq!(self.gateway.get("/calls/reset", acme).status(), 502);
        let asked = client.request("GET", "/sold", &[]);
        let payment = Wallet::new(7).field(&Order::of(&offer(&asked), 1));
        assert_eq!(client.request("GET", "/sold", &[&payment]).status(), 503);
        let mut odd = self.gateway.client();
        odd.send("not HTTP\r\n\r\n");
        odd.drain();
    }

    /// Calls until an event was told too, which comes some time behind the call.
    fn call_all(&self) {
        self.call();
        self.call();
        wait_for("a webhook that was delivered", || {
            let delivered = "faregate_webhook_attempts_total{result=\"delivered\"} 0";
            (!self.page("text/plain").contains(delivered)).then_some(())
        });
    }

    /// Gives the page of metrics as who asks so gets it.
    fn page(&self, accept: &str) -> String {
        let mut client = Client::connect(self.gateway.running().admin_address());
        let accept = format!("Accept: {accept}");
        let page = client.request("GET", "/metrics", &["Host: 127.0.0.1", &accept]);
        assert_eq!(page.status(), 200);
        page.text().to_owned()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/observe")
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs promtool in the folder of the rules, and gives what it says.
fn promtool(arguments: &[&str], input: &str) -> Output {
    let child = Command::new("promtool")
        .args(arguments)
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("promtool is needed: on Debian it is in the package prometheus");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn assert_promtool_agrees(arguments: &[&str], input: &str) {
    let Output { status, stdout, stderr } = promtool(arguments, input);
    let said = [stdout, stderr].concat();
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
}
