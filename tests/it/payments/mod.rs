//! Payments that come with a request: one proof opens one request, whatever who settles it does.

mod after_headers;
mod facilitator;
mod first_version;
mod kept;
mod kill;
mod mpp;
mod nodes;
mod online;
mod page;
mod refused;
mod several;
mod unknown;
pub(crate) mod wallet;

use std::net::SocketAddr;

use serde_json::{Value, json};

use self::{
    facilitator::{Facilitator, Mood},
    wallet::{Order, Wallet, decoded, field, offer},
};
use crate::support::{Client, Gateway, Response, Then, Upstream, client::bearer, wait_for};

const TABLES: &str = r#"
[store]
retention = { answers = "0s" }

[server]
listen = "127.0.0.1:0"
workers = 2
public_url = "https://api.example.com"

[payments.x402]
facilitator = "@FACILITATOR@"
network = "eip155:84532"
asset = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
asset_name = "USD Coin"
asset_version = "2"
decimals = 6
pay_to = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"

[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "weather"
path = "/weather/{*rest}"
upstream = "api"
price = "0.01 USD"

[[routes]]
name = "maps"
path = "/maps"
upstream = "api"
access = "payment"
price = "0.01 USD"

[[routes]]
name = "dear"
path = "/dear"
upstream = "api"
price = "5 USD"

[[routes]]
name = "bare"
path = "/bare"
upstream = "api"

[[routes]]
name = "open"
path = "/open"
upstream = "api"
access = "public"

[[routes]]
name = "shadow"
path = "/shadow"
upstream = "api"
price = "0.01 USD"
enforce = false

[plans.small]
routes = ["weather"]
quotas = [{ name = "monthly", limit = 1, window = "month" }]
upgrade_url = "https://example.com/billing"

[customers.acme]
plan = "small"
keys = ["key:acme"]

[customers.stopped]
plan = "small"
suspended = true
keys = ["key:stopped"]
"#;

/// A gateway that takes payments, before an upstream, with who settles them.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) upstream: Upstream,
    pub(crate) facilitator: Facilitator,
    tables: String,
}

impl Stage {
    fn new() -> Self {
        Self::before(Upstream::ok())
    }

    fn before(upstream: Upstream) -> Self {
        Self::with(TABLES, upstream)
    }

    /// Starts one on other tables.
    fn with(tables: &str, upstream: Upstream) -> Self {
        let facilitator = Facilitator::start();
        let tables = tables.replace("@FACILITATOR@", &facilitator.url());
        let tables = tables.replace("@UPSTREAM@", &upstream.address().to_string());
        let gateway = Gateway::start(&tables, &upstream);
        Self { gateway, upstream, facilitator, tables }
    }

    fn ask(&self, path: &str, fields: &[&str]) -> Response {
        self.gateway.request("GET", path, fields)
    }

    /// Gives the offer for a path.
    fn offer(&self, path: &str) -> Value {
        let response = self.ask(path, &[]);
        assert_eq!(response.verdict(), "402 payment_required");
        offer(&response)
    }

    /// Gives what pays for a path.
    fn payment(&self, wallet: &Wallet, path: &str, nonce: u8) -> String {
        wallet.field(&Order::of(&self.offer(path), nonce))
    }

    /// Gives kind, amount, balance and what is told of each entry of a ledger.
    fn entries(&self, owner: &str) -> Vec<(String, String, String)> {
        let response = self.gateway.admin("GET", &format!("/v1/customers/{owner}/ledger"));
        assert_eq!(response.status(), 200, "{}", response.text());
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        let page = response.json();
        let entries = page["items"].as_array().unwrap().iter();
        let money = entries.filter(|entry| !entry["payment"].is_null());
        money.map(|e| (text(e, "kind"), text(e, "amount"), text(e, "balance"))).collect()
    }

    fn assert_adds_up(&self) {
        let found = self.gateway.admin("POST", "/v1/verify").json();
        assert_eq!(found["ok"], true, "{found}");
    }

    fn assert_nothing_moved(&self) {
        assert_eq!((self.upstream.count(), self.facilitator.transfers()), (0, 0));
        self.assert_adds_up();
    }
}

fn entry(kind: &str, amount: &str, balance: &str) -> (String, String, String) {
    (kind.to_owned(), amount.to_owned(), balance.to_owned())
}

/// What a payment leaves in the ledger that opened a request.
fn paid_and_spent() -> [(String, String, String); 2] {
    [entry("paid", "0.010000000", "0.010000000"), entry("spent", "-0.010000000", "0.000000000")]
}

/// Presents one payment 510 times at once, to each of the gateways in turn; gives what is answered.
fn in_parallel(gateways: &[SocketAddr], payment: &str) -> Vec<String> {
    std::thread::scope(|scope| {
        let ask = |address| {
            let mut client = Client::connect(address);
            let ask = |_| client.request("GET", "/weather/x", &[payment]).verdict();
            (0..10).map(ask).collect::<Vec<_>>()
        };
        let gateways = gateways.iter().copied().cycle().take(51);
        let clients: Vec<_> = gateways.map(|address| scope.spawn(move || ask(address))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

fn assert_one_opened(verdicts: &[String]) {
    let count = |wanted: &str| verdicts.iter().filter(|verdict| *verdict == wanted).count();
    assert_eq!(count("200"), 1, "{verdicts:?}");
    let used = count("409 payment_already_used");
    assert_eq!(used + count("409 payment_pending"), verdicts.len() - 1, "{verdicts:?}");
}

#[test]
fn offer_says_how_to_pay_and_the_payment_opens_one_request() {
    let stage = Stage::new();
    let refused = stage.ask("/weather/paris?secret=1", &[]);
    assert_eq!(refused.verdict(), "402 payment_required");
    assert_eq!(refused.field("www-authenticate"), Some("Bearer realm=\"api.example.com\""));
    assert_eq!(refused.field("cache-control"), Some("no-store"));
    let offer = offer(&refused);
    let accepted = json!({"scheme": "exact", "network": "eip155:84532", "amount": "10000",
        "asset": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
        "payTo": "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc", "maxTimeoutSeconds": 60,
        "extra": {"name": "USD Coin", "version": "2"}});
    let resource = json!({"url": "https://api.example.com/weather/paris"});
    let id = json!({"type": "string", "minLength": 16, "maxLength": 128});
    let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "properties": {"required": {"type": "boolean"}, "id": id}, "required": ["required"]});
    let extensions = json!({"payment-identifier": {"info": {"required": false}, "schema": schema}});
    assert_eq!(
        offer,
        json!({"x402Version": 2, "error": "PAYMENT-SIGNATURE header is required",
        "resource": resource, "accepts": [accepted], "extensions": extensions})
    );
    assert_eq!(
        refused.json()["offers"],
        json!([{"rail": "x402", "price": "0.010000000",
        "currency": "USD", "x402Version": 2, "accepts": [accepted]}])
    );

    let wallet = Wallet::new(7);
    let payment = wallet.field(&Order::of(&offer, 1));
    let served = stage.ask("/weather/paris?secret=1", &[&payment, "X-PAYMENT_: x"]);
    assert_eq!((served.status(), served.text()), (200, "ok\n"));
    let receipt = decoded(served.field("payment-response").unwrap());
    assert_eq!(receipt["success"], true);
    assert_eq!(receipt["payer"], wallet.address().as_str());
    assert_eq!(receipt["network"], "eip155:84532");
    assert!(receipt["transaction"].as_str().unwrap().starts_with("0x"));
    assert_eq!(served.field("cache-control"), Some("private"));
    assert_eq!(
        (served.field("faregate-cost"), served.field("faregate-price")),
        (Some("0"), Some("0.01 USD"))
    );
    assert!(stage.upstream.last().all("payment-signature").is_empty());
    let order = stage.facilitator.last_order();
    assert_eq!(order["paymentRequirements"], accepted);
    assert_eq!((stage.facilitator.asked("verify"), stage.facilitator.asked("settle")), (1, 1));

    let again = stage.ask("/weather/paris", &[&payment]);
    assert_eq!(again.verdict(), "409 payment_already_used");
    assert_eq!(again.field("payment-required"), None);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// Who settles is asked over a connection that is kept.
#[test]
fn payments_one_after_the_other_are_settled_over_one_connection() {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    for nonce in 1..=5 {
        let payment = stage.payment(&wallet, "/weather/x", nonce);
        assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    }
    assert_eq!((stage.facilitator.transfers(), stage.facilitator.connections()), (5, 1));
}

/// What explains a request tells of its payment.
#[test]
fn payment_is_explained() {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/maps", 1);
    let served = stage.ask("/maps", &[&payment]);
    let id = served.field("x-request-id").unwrap();
    let explained = stage.gateway.admin("GET", &format!("/v1/requests/{id}")).json();
    assert_eq!(
        (&explained["decision"], &explained["credit"]),
        (&json!("forwarded"), &json!("0.01 USD"))
    );
    let told = &explained["payment"];
    assert_eq!((&told["state"], &told["payer"]), (&json!("used"), &json!(wallet.address())));
    assert_eq!(told["amount"], "10000");
    assert!(told["proof"].as_str().unwrap().starts_with("eip3009:eip155:84532:0x5fbdb2315678"));
    let again = stage.ask("/maps", &[&payment]);
    let id = again.field("x-request-id").unwrap();
    let explained = stage.gateway.admin("GET", &format!("/v1/requests/{id}")).json();
    assert_eq!(explained["code"], "payment_already_used");
    let checks = explained["checks"].as_array().unwrap();
    let said_no = checks.iter().find(|check| check["outcome"] == "refused").unwrap();
    assert_eq!(said_no["check"], "payment");
}

/// One proof five hundred times at once: one request, one transfer.
#[test]
fn one_proof_opens_one_request_however_often_it_comes() {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    let verdicts = in_parallel(&[stage.gateway.running().address()], &payment);
    assert_one_opened(&verdicts);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    assert_eq!((stage.facilitator.asked("verify"), stage.facilitator.asked("settle")), (1, 1));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// A key's allowance covers first; what it does not cover the payment does, and stands in the customer's ledger.
#[test]
fn allowance_comes_before_the_payment() {
    let stage = Stage::new();
    let (wallet, key) = (Wallet::new(7), bearer("acme"));
    let payment = stage.payment(&wallet, "/weather/x", 1);
    let covered = stage.ask("/weather/x", &[&key, &payment]);
    assert_eq!((covered.status(), covered.field("payment-response")), (200, None));
    assert_eq!(stage.facilitator.asked("verify"), 0);
    let refused = stage.ask("/weather/x", &[&key]);
    assert_eq!(refused.verdict(), "402 quota_exceeded");
    assert_eq!(offer(&refused)["accepts"][0]["amount"], "10000");
    let paid = stage.ask("/weather/x", &[&key, &payment]);
    assert_eq!(paid.status(), 200, "{}", paid.text());
    assert!(paid.field("payment-response").is_some());
    assert_eq!(stage.upstream.last().field("faregate-customer"), Some("acme"));
    assert_eq!(stage.entries("acme"), paid_and_spent());
    assert_eq!(stage.gateway.used("acme"), (1, 0));
    // Not in the plan, and to be had for money.
    let other = stage.payment(&wallet, "/maps", 2);
    assert_eq!(stage.ask("/maps", &[&key, &other]).status(), 200);
    assert_eq!(
        stage.ask("/weather/x", &[&bearer("stopped"), &payment]).verdict(),
        "403 account_suspended"
    );
    stage.assert_adds_up();
}

/// What was settled and not served is there for another request: nobody pays for nothing, and nobody twice.
#[test]
fn payment_of_what_was_not_served_opens_another_request() {
    let answers = std::sync::atomic::AtomicUsize::new(0);
    let stage = Stage::before(Upstream::start(move |exchange| {
        exchange.read_body()?;
        match answers.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => exchange.send("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n")?,
            1 => return Ok(Then::Reset),
            _ => exchange.send(crate::support::upstream::OK)?,
        }
        Ok(Then::KeepAlive)
    }));
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    let given_back = |count: usize| {
        wait_for("it to be given back", || {
            let entries = stage.entries(&wallet.address());
            (entries.iter().filter(|(kind, ..)| kind == "returned").count() == count).then_some(())
        });
    };
    let failed = stage.ask("/weather/x", &[&payment]);
    assert_eq!((failed.status(), failed.field("faregate-price")), (503, None));
    assert_eq!(decoded(failed.field("payment-response").unwrap())["success"], true);
    given_back(1);
    let broken = stage.ask("/weather/x", &[&payment]);
    assert_eq!(broken.verdict(), "502 upstream_error");
    assert_eq!(decoded(broken.field("payment-response").unwrap())["success"], true);
    given_back(2);
    // It pays for this route alone, and whatever this costs by now.
    assert_eq!(stage.ask("/maps", &[&payment]).verdict(), "409 payment_already_used");
    let dearer = stage.tables.replacen("price = \"0.01 USD\"", "price = \"0.03 USD\"", 1);
    stage.gateway.write(&dearer);
    stage.gateway.running().reload().unwrap();
    assert_eq!(stage.offer("/weather/x")["accepts"][0]["amount"], "30000");
    let served = stage.ask("/weather/x", &[&payment]);
    assert_eq!(served.status(), 200);
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "409 payment_already_used");
    assert_eq!((stage.facilitator.asked("settle"), stage.facilitator.transfers()), (1, 1));
    let kinds: Vec<_> =
        stage.entries(&wallet.address()).into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, ["paid", "spent", "returned", "spent", "returned", "spent"]);
    stage.assert_adds_up();
}

/// A restart forgets nothing.
#[test]
fn proof_is_used_after_a_restart() {
    let mut stage = Stage::new();
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    stage.gateway.restart();
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "409 payment_already_used");
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    stage.assert_adds_up();
}

/// Where nothing is refused nothing is paid, and where nothing is taken nothing is touched.
#[test]
fn payments_are_taken_only_where_they_are_asked_for() {
    let stage = Stage::new();
    let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
    let shadow = stage.ask("/shadow", &[&payment]);
    assert_eq!((shadow.status(), shadow.field("faregate-shadow")), (200, Some("payment_required")));
    assert_eq!(shadow.field("payment-response"), None);
    assert_eq!(stage.ask("/open", &[&payment]).status(), 200);
    assert_eq!(stage.ask("/bare", &[&payment]).verdict(), "401 missing_api_key");
    assert!(
        stage.upstream.requests().iter().all(|request| request.all("payment-signature").is_empty())
    );
    assert_eq!((stage.facilitator.asked("verify"), stage.facilitator.transfers()), (0, 0));
}

/// Nobody believes an upstream about payments.
#[test]
fn upstream_tells_nothing_of_payments() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nPAYMENT-RESPONSE: forged\r\n\
                  Payment-Required: forged\r\nCache-Control: public, max-age=9\r\n\r\n";
    let stage = Stage::before(Upstream::answering(answer, Then::KeepAlive));
    let open = stage.ask("/open", &[]);
    assert_eq!((open.field("payment-response"), open.field("payment-required")), (None, None));
    assert_eq!(open.field("cache-control"), Some("public, max-age=9"));
    let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
    let paid = stage.ask("/weather/x", &[&payment]);
    assert_eq!(decoded(paid.field("payment-response").unwrap())["success"], true);
    assert_eq!(paid.field("cache-control"), Some("private, max-age=9"));
}
