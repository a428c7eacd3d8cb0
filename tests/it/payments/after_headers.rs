//! Payments that are settled behind the head of an answer: nothing of it goes to the caller before that, and what is not
//! charged moves nothing.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::*;
use crate::{
    http2::caller::Caller,
    support::{
        DEADLINE,
        client::head,
        upstream::{Exchange, OK},
    },
};

/// The configuration, with that order.
pub(super) fn tables() -> String {
    TABLES.replace("\n[upstreams.api]", "settle = \"after-headers\"\n\n[upstreams.api]")
}

fn stage(upstream: Upstream) -> Stage {
    Stage::with(&tables(), upstream)
}

/// Answers the requests in turn, and the rest as the last.
fn in_turn(answers: &'static [(&str, Then)]) -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |exchange| {
        exchange.read_body()?;
        let at = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let (answer, then) = answers[at];
        exchange.send(answer)?;
        Ok(then)
    })
}

/// Presents a payment until the one before it is let go, which is written behind its answer.
fn ask_again(stage: &Stage, payment: &str) -> Response {
    wait_for("the payment to be let go", || {
        let response = stage.ask("/weather/x", &[payment]);
        (response.verdict() != "409 payment_pending").then_some(response)
    })
}

/// How often the facilitator was asked to verify and to settle, and how much moved.
fn asked(stage: &Stage) -> (usize, usize, usize) {
    let facilitator = &stage.facilitator;
    (facilitator.asked("verify"), facilitator.asked("settle"), facilitator.transfers())
}

/// Of a payment that was let go nothing is in the books.
fn assert_nothing_written(stage: &Stage, wallet: &Wallet) {
    let path = format!("/v1/customers/{}/ledger", wallet.address());
    wait_for("it to be forgotten", || {
        (stage.gateway.admin("GET", &path).status() == 404).then_some(())
    });
}

/// Not a byte goes to the caller before the money has moved, not even a hint ahead of the answer; then each event is in
/// the caller's hands before the next is made.
#[test]
fn events_arrive_as_they_are_made_once_it_is_settled() {
    let (seen, next) = mpsc::channel::<()>();
    let next = Mutex::new(next);
    let stage = stage(Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")?;
        let lines = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked";
        exchange.send(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n9\r\ndata: 0\n\n\r\n"))?;
        for count in 1..5 {
            next.lock().unwrap().recv_timeout(DEADLINE).expect("the event was not seen");
            exchange.send(format!("9\r\ndata: {count}\n\n\r\n"))?;
        }
        exchange.send("0\r\n\r\n")?;
        Ok(Then::KeepAlive)
    }));
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    stage.facilitator.set(Mood::Waits);
    let mut client = stage.gateway.client();
    client.send(head("GET", "/weather/x", &[&payment]));
    stage.facilitator.wait_asked("settle", 1);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 0));
    client.expect_silence(Duration::from_millis(300));
    stage.facilitator.set(Mood::Good);
    let answer = client.head();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    assert_eq!(decoded(answer.field("payment-response").unwrap())["success"], true);
    assert_eq!(
        (answer.field("faregate-price"), answer.field("cache-control")),
        (Some("0.01 USD"), Some("private"))
    );
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    for count in 0..5 {
        let event = client.chunk().unwrap();
        assert_eq!(String::from_utf8(event).unwrap(), format!("data: {count}\n\n"));
        let _ = seen.send(());
    }
    assert_eq!(client.chunk().unwrap(), b"");
    assert_eq!(asked(&stage), (1, 1, 1));
    stage.assert_adds_up();
}

/// The same on a stream of HTTP/2, and the lost answer is fetched over HTTP/1.1.
#[test]
fn stream_is_settled_before_its_body_and_passes_as_it_comes() {
    let (seen, next) = mpsc::channel::<()>();
    let next = Mutex::new(next);
    let tables = tables().replace("answers = \"0s\"", "answers = \"1m\"");
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none \r\n")?;
        next.lock().unwrap().recv_timeout(DEADLINE).expect("the first piece was not seen");
        exchange.send("3\r\ntwo\r\n0\r\n\r\n")?;
        Ok(Then::KeepAlive)
    });
    let stage = Stage::with(&tables, upstream);
    let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
    let (_, value) = payment.split_once(": ").unwrap();
    stage.facilitator.set(Mood::Waits);
    let caller = Caller::open(&stage.gateway);
    let call = caller.begin("GET", "/weather/x", &[("payment-signature", value)], true);
    stage.facilitator.wait_asked("settle", 1);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 0));
    stage.facilitator.set(Mood::Good);
    let (answer, body) = caller.head(call).unwrap();
    assert_eq!((answer.status, stage.facilitator.transfers()), (200, 1));
    assert_eq!(decoded(answer.field("payment-response").unwrap())["success"], true);
    let (piece, body) = caller.some(body);
    assert_eq!(piece.as_deref(), Some(&b"one "[..]));
    seen.send(()).unwrap();
    assert_eq!(caller.rest(body).0, b"two");
    // The same request by the other protocol; the client of this one says no more of itself.
    let mut client = stage.gateway.client();
    client.send(head("GET", "/weather/x", &["Host: a.test", &payment]));
    assert_eq!(client.response().text(), "one two");
    assert_eq!(asked(&stage), (1, 1, 1));
    stage.assert_adds_up();
}

/// A failed call costs nothing, and its payment pays for the next one.
#[test]
fn what_is_not_charged_is_not_settled() {
    let stage = stage(in_turn(&[
        ("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n", Then::KeepAlive),
        ("HTTP/1.1 429 Later\r\nContent-Length: 0\r\n\r\n", Then::KeepAlive),
        ("HTTP/1.1 402 Pay\r\nContent-Length: 0\r\n\r\n", Then::KeepAlive),
        ("", Then::Reset),
        (OK, Then::KeepAlive),
    ]));
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    for status in [503, 429] {
        let response = ask_again(&stage, &payment);
        assert_eq!(response.status(), status);
        let told = ["payment-response", "faregate-price", "faregate-cost"];
        assert_eq!(told.map(|name| response.field(name)), [None, None, Some("0")]);
    }
    for verdict in ["502 upstream_payment_required", "502 upstream_error"] {
        let response = ask_again(&stage, &payment);
        assert_eq!(
            (response.verdict().as_str(), response.field("payment-response")),
            (verdict, None)
        );
    }
    assert_eq!(asked(&stage), (4, 0, 0));
    assert_nothing_written(&stage, &wallet);
    let served = ask_again(&stage, &payment);
    assert_eq!((served.status(), served.text()), (200, "ok\n"));
    assert_eq!(asked(&stage), (5, 1, 1));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// Of an answer that is not paid for nothing is passed on; the connection that brings it is closed.
#[test]
fn settlement_that_fails_keeps_the_answer_back() {
    let stage = stage(in_turn(&[(
        "HTTP/1.1 200 OK\r\nX-Secret: s3cr3t\r\nContent-Length: 90000\r\n\r\ns3cr3t",
        Then::Silence,
    )]));
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    stage.facilitator.set(Mood::RefusesToSettle("insufficient_funds"));
    for is_first in [true, false] {
        let response = stage.ask("/weather/x", &[&payment]);
        assert_eq!(response.verdict(), "402 payment_failed");
        let told = decoded(response.field("payment-response").unwrap());
        assert_eq!(
            (&told["success"], &told["errorReason"]),
            (&json!(false), &json!("insufficient_funds"))
        );
        assert_eq!(offer(&response)["accepts"][0]["amount"], "10000");
        assert_eq!((response.field("x-secret"), response.field("faregate-price")), (None, None));
        assert!(!response.text().contains("s3cr3t"));
        let id = response.field("x-request-id").unwrap();
        let explained = stage.gateway.admin("GET", &format!("/v1/requests/{id}")).json();
        let detail = explained["detail"].as_str().unwrap();
        assert!(detail.starts_with("Payment failed. "), "{detail}");
        assert_eq!(detail.contains("The upstream answered"), is_first, "{detail}");
        // The second time nobody is asked: that it failed is known.
        assert_eq!((stage.upstream.count(), asked(&stage)), (1, (1, 1, 0)));
    }
    stage.upstream.wait_closed(1);
    assert_eq!(stage.entries(&wallet.address()), []);
    stage.assert_adds_up();
}

/// Whether it moved is not known: the answer is kept back and no new payment asked for. What moved opens another request.
fn in_doubt(mood: Mood) {
    let case = format!("{mood:?}");
    let stage = stage(Upstream::ok());
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    stage.facilitator.set(mood);
    for _ in 0..2 {
        let response = stage.ask("/weather/x", &[&payment]);
        assert_eq!(response.verdict(), "409 payment_pending", "{case}");
        assert_eq!(response.field("retry-after"), Some("5"), "{case}");
        assert_eq!(response.field("payment-required"), None, "{case}");
        assert!(!response.text().contains("ok\n"), "{case}");
    }
    assert_eq!((stage.upstream.count(), stage.facilitator.asked("settle")), (1, 1), "{case}");
    stage.facilitator.set(Mood::Good);
    wait_for("the outcome", || (!stage.entries(&wallet.address()).is_empty()).then_some(()));
    let served = stage.ask("/weather/x", &[&payment]);
    assert_eq!(served.status(), 200, "{case}: {}", served.text());
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (2, 1), "{case}");
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent(), "{case}");
    stage.assert_adds_up();
}

#[test]
fn settlement_in_doubt_keeps_the_answer_back() {
    in_doubt(Mood::FailsAfter);
    in_doubt(Mood::ResetsAfter);
    in_doubt(Mood::Pending);
    in_doubt(Mood::Lies("payer", json!("0x0000000000000000000000000000000000000001")));
}

/// Who leaves before the head has paid nothing, and may come again.
#[test]
fn caller_that_leaves_before_the_head_has_paid_nothing() {
    let stage = stage(Upstream::start(|exchange| {
        exchange.read_body()?;
        if exchange.request().field("x-hangs").is_some() {
            return Ok(Then::Silence);
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    }));
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    let mut client = stage.gateway.client();
    client.send(head("GET", "/weather/x", &[&payment, "X-Hangs: 1"]));
    stage.upstream.wait_for(1);
    // While it is there, the same payment opens nothing.
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "409 payment_pending");
    drop(client);
    let served = ask_again(&stage, &payment);
    assert_eq!(served.status(), 200, "{}", served.text());
    assert_eq!(asked(&stage), (2, 1, 1));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// Who leaves while it is settled has paid for another request.
#[test]
fn caller_that_leaves_while_it_is_settled_has_paid_for_another_request() {
    let stage = stage(Upstream::ok());
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    stage.facilitator.set(Mood::Waits);
    let mut client = stage.gateway.client();
    client.send(head("GET", "/weather/x", &[&payment]));
    stage.facilitator.wait_asked("settle", 1);
    drop(client);
    stage.facilitator.set(Mood::Good);
    wait_for("it to be given back", || {
        let entries = stage.entries(&wallet.address());
        entries.iter().any(|(kind, ..)| kind == "returned").then_some(())
    });
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    assert_eq!((stage.upstream.count(), asked(&stage)), (2, (1, 1, 1)));
    stage.assert_adds_up();
}

/// A caller and an upstream that may be silent for a second are not for as long as it takes to settle.
#[test]
fn clocks_of_the_connection_wait_for_the_settlement() {
    let limits = "\"https://api.example.com\"\nlimits = { idle_timeout = \"1s\" }";
    let tables = tables().replace("\"https://api.example.com\"", limits);
    let stage = Stage::with(&tables, Upstream::ok());
    let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
    stage.facilitator.set(Mood::Waits);
    let mut client = stage.gateway.client();
    client.send(head("GET", "/weather/x", &[&payment]));
    stage.facilitator.wait_asked("settle", 1);
    client.expect_silence(Duration::from_millis(2500));
    stage.facilitator.set(Mood::Good);
    let response = client.response();
    assert_eq!((response.status(), response.text()), (200, "ok\n"));
}

/// What has no body, and what brings one.
#[test]
fn every_kind_of_request_is_settled_once() {
    let stage = stage(Upstream::start(|exchange| {
        exchange.read_body()?;
        let answer = match exchange.request().line.split(' ').next() {
            Some("HEAD") => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
            Some("DELETE") => "HTTP/1.1 204 No Content\r\n\r\n",
            _ => OK,
        };
        exchange.send(answer)?;
        Ok(Then::KeepAlive)
    }));
    let wallet = Wallet::new(7);
    for (nonce, method) in (1..).zip(["HEAD", "DELETE", "POST"]) {
        let payment = stage.payment(&wallet, "/weather/x", nonce);
        let mut client = stage.gateway.client();
        let length = if method == "POST" { "Content-Length: 5" } else { "X-None: 1" };
        client.send(head(method, "/weather/x", &[&payment, length]));
        if method == "POST" {
            client.send("hello");
        }
        let response = if method == "HEAD" { client.response_to_head() } else { client.response() };
        assert!((200..205).contains(&response.status()), "{method}: {}", response.text());
        assert_eq!(
            decoded(response.field("payment-response").unwrap())["success"],
            true,
            "{method}"
        );
        let count = usize::from(nonce);
        assert_eq!((stage.upstream.count(), asked(&stage)), (count, (count, count, count)));
    }
    assert_eq!(stage.upstream.last().body, b"hello");
    stage.assert_adds_up();
}

/// One proof hundreds of times at once: one request, one transfer.
#[test]
fn one_proof_opens_one_request() {
    let stage = stage(Upstream::ok());
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    let verdicts = in_parallel(&[stage.gateway.running().address()], &payment);
    assert_one_opened(&verdicts);
    assert_eq!((stage.upstream.count(), asked(&stage)), (1, (1, 1, 1)));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// A route may say otherwise than the rest.
#[test]
fn route_has_an_order_of_its_own() {
    let tables =
        TABLES.replace("path = \"/maps\"\n", "path = \"/maps\"\nsettle = \"after-headers\"\n");
    let failing = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
    let stage = Stage::with(&tables, Upstream::answering(failing, Then::KeepAlive));
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/maps", 1);
    assert_eq!(stage.offer("/maps")["accepts"][0]["maxTimeoutSeconds"], 120);
    assert_eq!(stage.ask("/maps", &[&payment]).status(), 500);
    assert_eq!(asked(&stage), (1, 0, 0));
    let payment = stage.payment(&wallet, "/weather/x", 2);
    assert_eq!(stage.offer("/weather/x")["accepts"][0]["maxTimeoutSeconds"], 60);
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 500);
    assert_eq!(asked(&stage), (2, 1, 1));
}

/// What is held for a request costs its payer nothing yet, so one payer has a part of the places: who comes on top is told
/// to wait, and nobody is asked about its payment. Others are served.
#[test]
fn payer_that_has_many_under_way_is_told_to_wait() {
    const EACH: usize = 512;
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let stage = stage(Upstream::start(move |exchange| {
        exchange.read_body()?;
        // Until the other end is dropped.
        let _ = held.lock().unwrap().recv();
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    }));
    let wallet = Wallet::new(7);
    let begin = |payment: &str| {
        let mut client = stage.gateway.client();
        client.send(head("GET", "/weather/x", &[payment]));
        client
    };
    let offer = stage.offer("/weather/x");
    let payment = |number: usize| {
        let nonce = std::array::from_fn(|at| number.to_be_bytes().get(at).copied().unwrap_or(0));
        wallet.field(&Order { nonce, ..Order::of(&offer, 1) })
    };
    let mut waiting: Vec<_> = (0..EACH).map(|number| begin(&payment(number))).collect();
    stage.upstream.wait_for(EACH);
    let next = payment(EACH);
    let refused = stage.ask("/weather/x", &[&next]);
    assert_eq!(refused.verdict(), "429 too_many_concurrent");
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(refused.field("payment-required"), None);
    assert_eq!(refused.json()["detail"], "Too many payments of this payer are under way.");
    assert_eq!((stage.upstream.count(), asked(&stage)), (EACH, (EACH, 0, 0)));
    waiting.push(begin(&stage.payment(&Wallet::new(8), "/weather/x", 1)));
    stage.upstream.wait_for(EACH + 1);
    drop(hold);
    for client in &mut waiting {
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(ask_again(&stage, &next).status(), 200);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (EACH + 2, EACH + 2));
    stage.assert_adds_up();
}
