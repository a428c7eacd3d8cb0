//! Payments by the scheme `Payment`: they move what x402 moves, so they have the same books.

mod bodies;
mod later;
mod nodes;
mod payer;
mod refused;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use self::payer::{asked, challenges, credential, decoded, field};
use super::{
    facilitator::Mood,
    wallet::{Order, Wallet, offer},
    *,
};

const MPP: &str = "[payments]\nsecret = { file = \"@SECRET@\" }\n\n[payments.mpp]\n";

/// A stage whose gateway speaks the scheme too.
struct Both {
    stage: Stage,
    secret: tempfile::NamedTempFile,
}

impl std::ops::Deref for Both {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

fn secret() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "0123456789abcdef0123456789abcdef\n").unwrap();
    file
}

fn tables(secret: &tempfile::NamedTempFile) -> String {
    let path = secret.path().to_str().unwrap();
    TABLES.replace("[payments.x402]", &format!("{MPP}[payments.x402]")).replace("@SECRET@", path)
}

impl Both {
    fn new() -> Self {
        Self::before(Upstream::ok())
    }

    fn before(upstream: Upstream) -> Self {
        Self::with("", upstream)
    }

    /// Starts one with further tables.
    fn with(more: &str, upstream: Upstream) -> Self {
        let secret = secret();
        let tables = format!("{}{more}", tables(&secret));
        Self { stage: Stage::with(&tables, upstream), secret }
    }

    fn challenge(&self, path: &str) -> Value {
        let response = self.ask(path, &[]);
        assert_eq!(response.verdict(), "402 payment_required");
        asked(&response)
    }

    /// Gives what pays for a path.
    fn credential(&self, wallet: &Wallet, path: &str) -> String {
        field(&credential(wallet, &self.challenge(path)))
    }
}

#[test]
fn challenge_says_how_to_pay_and_the_credential_opens_one_request() {
    let stage = Both::new();
    let refused = stage.ask("/weather/paris?secret=1", &["Accept-Payment: evm/charge"]);
    assert_eq!(refused.verdict(), "402 payment_required");
    assert_eq!(refused.field("cache-control"), Some("no-store"));
    let said = refused.head.all("www-authenticate");
    assert!(said[0].starts_with("Payment id=\""), "{said:?}");
    assert_eq!(said[1..], ["Bearer realm=\"api.example.com\""]);
    // Beside the offer of the other rail.
    assert_eq!(offer(&refused)["accepts"][0]["amount"], "10000");
    let challenge = asked(&refused);
    for (name, expected) in [
        ("realm", "api.example.com"),
        ("method", "evm"),
        ("intent", "charge"),
        ("description", "0.01 USD"),
        ("header", "Payment-Authorization"),
    ] {
        assert_eq!(challenge[name], expected, "{name}");
    }
    assert_eq!(challenge.get("digest"), None);
    let opaque = json!({"id": refused.field("x-request-id"), "route": "weather"});
    assert_eq!(decoded(challenge["opaque"].as_str().unwrap()), opaque);
    let request = json!({"amount": "10000", "currency": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
        "recipient": "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "methodDetails": {"chainId": 84532, "credentialTypes": ["authorization"], "decimals": 6}});
    assert_eq!(decoded(challenge["request"].as_str().unwrap()), request);
    let offers = refused.json()["offers"].clone();
    assert_eq!(offers.as_array().unwrap().len(), 2);
    assert_eq!(
        offers[1],
        json!({"rail": "mpp", "price": "0.010000000", "currency": "USD", "method": "evm",
            "intent": "charge", "request": request})
    );

    // A person is told where programs read it.
    let page = stage.ask("/weather/paris", &["Accept: text/html"]);
    let is_told = ["PAYMENT-REQUIRED", "WWW-Authenticate"].map(|name| page.text().contains(name));
    assert_eq!(is_told, [true, true], "{}", page.text());

    let wallet = Wallet::new(7);
    let payment = field(&credential(&wallet, &challenge));
    let served = stage.ask("/weather/paris?secret=1", &[&payment, "Accept-Payment: evm/charge"]);
    assert_eq!((served.status(), served.text()), (200, "ok\n"));
    let receipt = decoded(served.field("payment-receipt").unwrap());
    assert_eq!((&receipt["status"], &receipt["method"]), (&json!("success"), &json!("evm")));
    assert_eq!((&receipt["challengeId"], &receipt["chainId"]), (&challenge["id"], &json!(84532)));
    assert!(receipt["reference"].as_str().unwrap().starts_with("0x"));
    assert!(receipt["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(served.field("cache-control"), Some("private"));
    assert_eq!(
        (served.field("payment-response"), served.field("faregate-cost")),
        (None, Some("0"))
    );
    assert_eq!(served.field("faregate-price"), Some("0.01 USD"));
    let last = stage.upstream.last();
    for name in ["payment-authorization", "accept-payment", "authorization"] {
        assert!(last.all(name).is_empty(), "{name}");
    }
    assert_eq!((stage.facilitator.asked("verify"), stage.facilitator.asked("settle")), (1, 1));
    let order = stage.facilitator.last_order();
    assert_eq!(order["paymentRequirements"], offer(&refused)["accepts"][0]);

    let again = stage.ask("/weather/paris", &[&payment]);
    assert_eq!(again.verdict(), "403 payment_already_used");
    assert_eq!(again.json()["type"], "https://paymentauth.org/problems/verification-failed");
    assert_eq!((challenges(&again).len(), again.field("payment-required")), (0, None));
    assert_eq!(again.field("payment-receipt"), None);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// Where no key may stand in `Authorization` a credential stands there, and does not go up either.
#[test]
fn credential_stands_in_authorization_where_keys_do_not() {
    let stage = Both::with("\n[auth]\nlocations = [\"x-api-key\"]\n", Upstream::ok());
    let challenge = stage.challenge("/weather/x");
    assert_eq!(challenge.get("header"), None);
    let payment = field(&credential(&Wallet::new(7), &challenge));
    assert!(payment.starts_with("Authorization: Payment "));
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    assert!(stage.upstream.last().all("authorization").is_empty());
    // What is no payment is none of ours there.
    let other = field(&credential(&Wallet::new(7), &stage.challenge("/weather/x")));
    assert_eq!(stage.ask("/weather/x", &["Authorization: Digest x", &other]).status(), 200);
    assert_eq!(stage.upstream.last().all("authorization"), ["Digest x"]);
    // Nor is it where nothing is paid.
    assert_eq!(stage.ask("/open", &[&payment]).status(), 200);
    assert!(stage.upstream.last().all("authorization").is_empty());
    stage.assert_adds_up();
}

/// What a key's allowance does not cover the credential beside it does.
#[test]
fn allowance_comes_before_the_credential() {
    let stage = Both::new();
    let (wallet, key) = (Wallet::new(7), bearer("acme"));
    let payment = stage.credential(&wallet, "/weather/x");
    let covered = stage.ask("/weather/x", &[&key, &payment]);
    assert_eq!((covered.status(), covered.field("payment-receipt")), (200, None));
    assert_eq!(stage.facilitator.asked("verify"), 0);
    let refused = stage.ask("/weather/x", &[&key]);
    assert_eq!(refused.verdict(), "402 quota_exceeded");
    assert_eq!(asked(&refused)["header"], "Payment-Authorization");
    let paid = stage.ask("/weather/x", &[&key, &payment]);
    assert_eq!(paid.status(), 200, "{}", paid.text());
    assert!(paid.field("payment-receipt").is_some());
    assert_eq!(stage.upstream.last().field("faregate-customer"), Some("acme"));
    assert_eq!(stage.entries("acme"), paid_and_spent());
    assert_eq!(stage.gateway.used("acme"), (1, 0));
    stage.assert_adds_up();
}

/// One credential five hundred times at once: one request, one transfer.
#[test]
fn one_credential_opens_one_request_however_often_it_comes() {
    let stage = Both::new();
    let wallet = Wallet::new(7);
    let payment = stage.credential(&wallet, "/weather/x");
    let address = stage.gateway.running().address();
    let verdicts: Vec<String> = std::thread::scope(|scope| {
        let ask = || {
            let mut client = Client::connect(address);
            let ask = |_| client.request("GET", "/weather/x", &[&payment]).verdict();
            (0..10).map(ask).collect::<Vec<_>>()
        };
        let clients: Vec<_> = (0..50).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let count = |wanted: &str| verdicts.iter().filter(|verdict| *verdict == wanted).count();
    assert_eq!(count("200"), 1, "{verdicts:?}");
    assert_eq!(count("403 payment_already_used") + count("409 payment_pending"), 499);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// Writes what a credential moves as x402 has it.
fn by_x402(credential: &Value, offer: &Value) -> String {
    let mut authorization = credential["payload"].clone();
    let signature = authorization["signature"].take();
    let payment = json!({"x402Version": 2, "accepted": offer["accepts"][0],
        "resource": offer["resource"],
        "payload": {"signature": signature, "authorization": authorization}});
    format!("PAYMENT-SIGNATURE: {}", STANDARD.encode(payment.to_string()))
}

/// One order to move money opens one request, whichever rail brings it.
#[test]
fn one_proof_opens_one_request_over_both_rails() {
    let stage = Both::new();
    let wallet = Wallet::new(7);
    // First by the scheme.
    let offered = stage.ask("/weather/x", &[]);
    let first = credential(&wallet, &asked(&offered));
    assert_eq!(stage.ask("/weather/x", &[&field(&first)]).status(), 200);
    let other = by_x402(&first, &offer(&offered));
    let refused = stage.ask("/weather/x", &[&other]);
    assert_eq!(refused.verdict(), "409 payment_already_used");
    // First by x402.
    let second = credential(&wallet, &stage.challenge("/weather/x"));
    assert_eq!(stage.ask("/weather/x", &[&by_x402(&second, &offer(&offered))]).status(), 200);
    let refused = stage.ask("/weather/x", &[&field(&second)]);
    assert_eq!(refused.verdict(), "403 payment_already_used");
    // An order that was signed for x402 answers no challenge, used or not.
    let order = wallet.payment(&Order::of(&offer(&offered), 9));
    let mut foreign = credential(&wallet, &stage.challenge("/weather/x"));
    for name in ["nonce", "validBefore", "validAfter"] {
        foreign["payload"][name] = order["payload"]["authorization"][name].clone();
    }
    foreign["payload"]["signature"] = order["payload"]["signature"].clone();
    let refused = stage.ask("/weather/x", &[&field(&foreign)]);
    assert_eq!(refused.verdict(), "402 payment_invalid");
    assert_eq!(stage.ask("/weather/x", &[&super::field(&order)]).status(), 200);
    let refused = stage.ask("/weather/x", &[&field(&foreign)]);
    assert_eq!(refused.verdict(), "403 payment_already_used");
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (3, 3));
    stage.assert_adds_up();
}

/// A receipt stands beside success alone; what was not served is given back, and comes again by the same credential.
#[test]
fn payment_of_what_was_not_served_opens_another_request() {
    let answers = std::sync::atomic::AtomicUsize::new(0);
    let stage = Both::before(Upstream::start(move |exchange| {
        exchange.read_body()?;
        match answers.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => exchange.send("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n")?,
            1 => return Ok(Then::Reset),
            2 => exchange.send("HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n")?,
            _ => exchange.send(crate::support::upstream::OK)?,
        }
        Ok(Then::KeepAlive)
    }));
    let wallet = Wallet::new(7);
    let payment = stage.credential(&wallet, "/weather/x");
    let given_back = |count: usize| {
        wait_for("it to be given back", || {
            let entries = stage.entries(&wallet.address());
            (entries.iter().filter(|(kind, ..)| kind == "returned").count() == count).then_some(())
        });
    };
    let failed = stage.ask("/weather/x", &[&payment]);
    assert_eq!((failed.status(), failed.field("faregate-price")), (503, None));
    assert_eq!(failed.field("payment-receipt"), None);
    given_back(1);
    let broken = stage.ask("/weather/x", &[&payment]);
    assert_eq!(broken.verdict(), "502 upstream_error");
    assert_eq!(broken.field("payment-receipt"), None);
    given_back(2);
    // This is an answer, and is charged.
    let missing = stage.ask("/weather/x", &[&payment]);
    assert_eq!((missing.status(), missing.field("faregate-price")), (404, Some("0.01 USD")));
    assert_eq!(
        (missing.field("payment-receipt"), missing.field("cache-control")),
        (None, Some("private"))
    );
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "403 payment_already_used");
    let other = stage.credential(&wallet, "/weather/x");
    assert!(stage.ask("/weather/x", &[&other]).field("payment-receipt").is_some());
    let kinds: Vec<_> =
        stage.entries(&wallet.address()).into_iter().map(|(kind, ..)| kind).collect();
    let expected = ["paid", "spent", "returned", "spent", "returned", "spent", "paid", "spent"];
    assert_eq!(kinds, expected);
    assert_eq!(stage.facilitator.transfers(), 2);
    stage.assert_adds_up();
}

/// A restart forgets neither what was asked nor what was paid.
#[test]
fn challenge_is_good_and_a_proof_used_after_a_restart() {
    let mut stage = Both::new();
    let wallet = Wallet::new(7);
    let (payment, later) =
        (stage.credential(&wallet, "/weather/x"), stage.credential(&Wallet::new(8), "/weather/x"));
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    stage.stage.gateway.restart();
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "403 payment_already_used");
    assert_eq!(stage.ask("/weather/x", &[&later]).status(), 200);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (2, 2));
    stage.assert_adds_up();
}

/// Nobody believes an upstream about payments, and it asks for none.
#[test]
fn upstream_speaks_for_no_rail() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nPayment-Receipt: forged\r\n\
                  WWW-Authenticate: Basic realm=\"a\", Payment id=\"1\", realm=\"b\"\r\n\r\n";
    let stage = Both::before(Upstream::answering(answer, Then::KeepAlive));
    let open = stage.ask("/open", &[]);
    assert_eq!(open.field("payment-receipt"), None);
    assert_eq!(open.field("www-authenticate"), Some("Basic realm=\"a\""));
    let paid = stage.ask("/weather/x", &[&stage.credential(&Wallet::new(7), "/weather/x")]);
    assert_eq!(decoded(paid.field("payment-receipt").unwrap())["status"], "success");
}
