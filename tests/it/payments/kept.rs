//! Answers that were paid for and got lost: the same payment with the same request fetches them again, for a while.

use std::sync::{Mutex, mpsc};

use super::*;
use crate::support::{
    DEADLINE,
    client::head,
    upstream::{Exchange, OK},
};

/// The configuration, with answers that are kept as they are by default.
pub(super) fn keeping() -> String {
    TABLES.replace("retention = { answers = \"0s\" }", "")
}

fn stage(upstream: Upstream) -> Stage {
    Stage::with(&keeping(), upstream)
}

fn answering(answer: impl Into<Vec<u8>>) -> Stage {
    stage(Upstream::answering(answer, Then::KeepAlive))
}

fn post(stage: &Stage, target: &str, fields: &[&str], body: &str) -> Response {
    let mut client = stage.gateway.client();
    let length = format!("Content-Length: {}", body.len());
    client.send(head("POST", target, &[fields, &[length.as_str()]].concat()) + body);
    client.response()
}

/// What the first answer says but for what is told of each request.
fn said(response: &Response) -> (u16, Vec<(String, String)>, String) {
    let is_told_anew = |name: &str| ["date", "faregate-price", "x-request-id"].contains(&name);
    let fields = response.head.fields.iter().filter(|(name, _)| !is_told_anew(name));
    (response.status(), fields.cloned().collect(), response.text().to_owned())
}

#[test]
fn lost_answer_is_fetched_with_the_same_payment() {
    let answer = "HTTP/1.1 201 Made\r\nContent-Length: 4\r\nX-Own: 1\r\nETag: \"e\"\r\n\
                  Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\nmade";
    let mut stage = answering(answer);
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    let fields = [payment.as_str(), "Cookie: k=v", "Accept: text/plain"];
    let first = post(&stage, "/weather/x?q=1", &fields, "hello");
    assert_eq!((first.status(), first.field("faregate-price")), (201, Some("0.01 USD")));
    for is_later in [false, true] {
        if is_later {
            stage.gateway.restart();
        }
        // Whoever wrote it: fields in another order, and such as clients write anew.
        let fields = ["Accept: text/plain", "Traceparent: x", &payment, "Cookie: k=v"];
        let again = post(&stage, "/weather/x?q=1", &fields, "hello");
        assert_eq!(said(&again), said(&first));
        assert_eq!(again.head.all("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(
            (again.field("faregate-price"), again.field("faregate-cost")),
            (None, Some("0"))
        );
        assert_ne!(again.field("x-request-id"), first.field("x-request-id"));
        assert_eq!(decoded(again.field("payment-response").unwrap())["success"], true);
        let id = again.field("x-request-id").unwrap();
        let explained = stage.gateway.admin("GET", &format!("/v1/requests/{id}")).json();
        let detail = explained["detail"].as_str().unwrap();
        assert!(detail.starts_with("The answer of a request before it"), "{detail}");
    }
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    assert_eq!((stage.facilitator.asked("verify"), stage.facilitator.asked("settle")), (1, 1));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

#[test]
fn another_request_does_not_get_the_answer() {
    let stage = answering(OK);
    let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
    let own = [payment.as_str(), "Cookie: k=v"];
    assert_eq!(post(&stage, "/weather/x?q=1", &own, "hello").status(), 200);
    for (case, response) in [
        ("query", post(&stage, "/weather/x?q=2", &own, "hello")),
        ("body", post(&stage, "/weather/x?q=1", &own, "hellO")),
        ("cookie", post(&stage, "/weather/x?q=1", &[&payment, "Cookie: k=w"], "hello")),
        ("no cookie", post(&stage, "/weather/x?q=1", &[&payment], "hello")),
        ("a field more", post(&stage, "/weather/x?q=1", &[&payment, own[1], "X-A: 1"], "hello")),
        ("method", stage.ask("/weather/x?q=1", &own)),
    ] {
        assert_eq!(response.verdict(), "409 payment_already_used", "{case}");
        assert_eq!(response.field("payment-required"), None, "{case}");
    }
    assert_eq!(stage.ask("/maps", &own).verdict(), "409 payment_already_used");
    // The same once more, whatever was tried in between.
    assert_eq!(post(&stage, "/weather/x?q=1", &own, "hello").text(), "ok\n");
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
}

#[test]
fn answers_of_every_form_are_kept() {
    let large = "x".repeat(250_000);
    for (method, answer, body) in [
        (
            "GET",
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len()),
            &*large,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
                .into(),
            "abc",
        ),
        ("GET", "HTTP/1.1 404 None\r\nContent-Length: 2\r\n\r\nno".into(), "no"),
        ("DELETE", "HTTP/1.1 204 Gone\r\n\r\n".into(), ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n".into(), ""),
    ] {
        let stage = answering(answer);
        let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
        let ask = || {
            let mut client = stage.gateway.client();
            client.send(head(method, "/weather/x", &[&payment]));
            if method == "HEAD" { client.response_to_head() } else { client.response() }
        };
        let (first, again) = (ask(), ask());
        assert_eq!((first.text(), again.text()), (body, body), "{method}");
        let framed = |response: &Response| response.field("content-length").map(str::to_owned);
        if method != "GET" {
            assert_eq!(framed(&first), framed(&again), "{method}");
        }
        assert_eq!((again.status(), stage.upstream.count()), (first.status(), 1), "{method}");
    }
}

#[test]
fn what_is_not_kept_is_used_and_no_more() {
    let large = "x".repeat(300_000);
    for (case, answer) in [
        ("too large", format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len())),
        (
            "fields behind it",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"
                .to_owned(),
        ),
    ] {
        let stage = answering(answer);
        let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
        assert_eq!(
            stage.ask("/weather/x", &[&payment, "TE: trailers", "Connection: TE"]).status(),
            200,
            "{case}"
        );
        let again = stage.ask("/weather/x", &[&payment, "TE: trailers", "Connection: TE"]);
        assert_eq!(again.verdict(), "409 payment_already_used", "{case}");
        assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1), "{case}");
    }
    // One that was cut is charged, and nobody has the rest of it.
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let stage = stage(Upstream::answering(cut, Then::Close));
    let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
    let mut client = stage.gateway.client();
    client.send(head("GET", "/weather/x", &[&payment]));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.exactly(4), b"half");
    client.expect_closed();
    wait_for("its end", || {
        let verdict = stage.ask("/weather/x", &[&payment]).verdict();
        (verdict == "409 payment_already_used").then_some(())
    });
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
}

#[test]
fn answers_are_kept_for_their_time() {
    let tables = TABLES.replace("answers = \"0s\"", "answers = \"2s\"");
    let stage = Stage::with(&tables, Upstream::ok());
    let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
    for _ in 0..2 {
        assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    }
    wait_for("the end of its time", || {
        let verdict = stage.ask("/weather/x", &[&payment]).verdict();
        (verdict == "409 payment_already_used").then_some(())
    });
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
}

/// One proof hundreds of times at once: one request goes up, and all that are answered get its answer.
#[test]
fn hundreds_at_once_get_one_answer() {
    let stage = stage(Upstream::ok());
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    let verdicts = in_parallel(&[stage.gateway.running().address()], &payment);
    let count = |wanted: &str| verdicts.iter().filter(|verdict| *verdict == wanted).count();
    assert!(count("200") > 1, "{verdicts:?}");
    let used = count("409 payment_already_used") + count("409 payment_pending");
    assert_eq!(count("200") + used, verdicts.len(), "{verdicts:?}");
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    assert_eq!((stage.facilitator.asked("verify"), stage.facilitator.asked("settle")), (1, 1));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// A caller that loses its connection in the middle of a short answer fetches it whole.
#[test]
fn answer_whose_caller_left_is_read_to_its_end() {
    let (left, rest) = mpsc::channel::<()>();
    let rest = Mutex::new(rest);
    let stage = stage(Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf ")?;
        rest.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        exchange.send("rest")?;
        Ok(Then::KeepAlive)
    }));
    let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
    let mut client = stage.gateway.client();
    client.send(head("GET", "/weather/x", &[&payment]));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.exactly(5), b"half ");
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "409 payment_pending");
    client.reset();
    std::thread::sleep(std::time::Duration::from_millis(200));
    left.send(()).unwrap();
    let again = wait_for("the rest", || {
        let response = stage.ask("/weather/x", &[&payment]);
        (response.status() == 200).then_some(response)
    });
    assert_eq!(again.text(), "half rest");
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    stage.assert_adds_up();
}

/// Nobody's answer is kept that is not paid for as it is made.
#[test]
fn plan_pays_and_nothing_is_kept() {
    let stage = stage(Upstream::ok());
    let (wallet, key) = (Wallet::new(7), bearer("acme"));
    let payment = stage.payment(&wallet, "/weather/x", 1);
    assert_eq!(stage.ask("/weather/x", &[&key, &payment]).status(), 200);
    assert_eq!(stage.facilitator.asked("verify"), 0);
    let paid = stage.ask("/weather/x", &[&key, &payment]);
    assert!(paid.field("payment-response").is_some());
    // Without the key it is another request.
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "409 payment_already_used");
    assert_eq!(stage.ask("/weather/x", &[&key, &payment]).status(), 200);
    assert_eq!(stage.upstream.count(), 2);
}

/// A name that its payer gives a payment is good for that one: the same payment gets its answer, another one none.
#[test]
fn name_of_a_payment_is_good_for_one() {
    let stage = answering(OK);
    let wallet = Wallet::new(7);
    let named = |wallet: &Wallet, nonce: u8, id: Value| {
        let offer = stage.offer("/weather/x");
        let mut payment = wallet.payment(&Order::of(&offer, nonce));
        payment["extensions"] = offer["extensions"].clone();
        payment["extensions"]["payment-identifier"]["info"]["id"] = id;
        field(&payment)
    };
    let ask = |payment: &str| stage.ask("/weather/x", &[payment]);
    let id = json!("pay_7d5d747be160e280");
    let first = named(&wallet, 1, id.clone());
    assert_eq!(ask(&first).status(), 200);
    assert_eq!(ask(&first).text(), "ok\n");
    let done = || {
        (stage.upstream.count(), stage.facilitator.asked("verify"), stage.facilitator.transfers())
    };
    let second = ask(&named(&wallet, 2, id.clone()));
    assert_eq!(second.verdict(), "409 payment_already_used");
    assert_eq!(second.field("payment-required"), None);
    assert_eq!(done(), (1, 1, 1));
    // Another payer calls its own what it likes, and an offer that is echoed is no name.
    assert_eq!(ask(&named(&Wallet::new(8), 3, id)).status(), 200);
    assert_eq!(ask(&named(&wallet, 4, Value::Null)).status(), 200);
    assert_eq!(done(), (3, 3, 3));
    for wrong in [json!("short"), json!("x".repeat(129)), json!("pay 7d5d747be160e280"), json!(7)] {
        let response = ask(&named(&wallet, 5, wrong.clone()));
        assert_eq!(response.verdict(), "400 payment_malformed", "{wrong}");
    }
    // One that failed took nothing, so its name is free.
    stage.facilitator.set(Mood::RefusesToSettle("insufficient_funds"));
    let id = json!("pay_0000000000000001");
    assert_eq!(ask(&named(&wallet, 6, id.clone())).verdict(), "402 payment_failed");
    stage.facilitator.set(Mood::Good);
    assert_eq!(ask(&named(&wallet, 7, id)).status(), 200);
    stage.assert_adds_up();
}

/// Who repeats a request that changes something by its Idempotency-Key gets the first answer, although a wallet signs anew
/// for each: the second payment moves nothing.
#[test]
fn idempotency_key_gets_the_first_answer() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let stage = stage(Upstream::start(move |exchange| {
        exchange.read_body()?;
        let text = match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            1 => "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n".to_owned(),
            made => format!("HTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\n{made}"),
        };
        exchange.send(text)?;
        Ok(Then::KeepAlive)
    }));
    let wallet = Wallet::new(7);
    let pay = |wallet: &Wallet, nonce| stage.payment(wallet, "/weather/x", nonce);
    let key = |key: &str| format!("Idempotency-Key: \"{key}\"");
    let ask =
        |payment: &str, key: &str, body: &str| post(&stage, "/weather/x", &[payment, key], body);
    let done = || {
        (stage.upstream.count(), stage.facilitator.asked("settle"), stage.facilitator.transfers())
    };
    let first = ask(&pay(&wallet, 1), &key("a"), "hello");
    assert_eq!((first.status(), first.text()), (201, "0"));
    let second = ask(&pay(&wallet, 2), &key("a"), "hello");
    assert_eq!(said(&second), said(&first));
    assert_eq!(done(), (1, 1, 1));
    let other = ask(&pay(&wallet, 2), &key("a"), "hellO");
    assert_eq!(other.verdict(), "422 idempotency_key_reused");
    assert_eq!(other.field("payment-required"), None);
    assert_eq!(
        post(&stage, "/maps", &[&stage.payment(&wallet, "/maps", 3), &key("a")], "").verdict(),
        "409 payment_already_used"
    );
    assert_eq!(done(), (1, 1, 1));
    // One that was paid for and not served is served by what was paid, and the second payment is not touched.
    assert_eq!(ask(&pay(&wallet, 4), &key("b"), "hello").status(), 503);
    let served = wait_for("it to be given back", || {
        let response = ask(&pay(&wallet, 5), &key("b"), "hello");
        (response.status() == 201).then_some(response)
    });
    assert_eq!(served.text(), "2");
    assert_eq!(done(), (3, 2, 2));
    // The second payment of both is there still, for a request of another key.
    assert_eq!(ask(&pay(&wallet, 2), &key("c"), "hello").text(), "3");
    // Another payer's keys are its own, and what changes nothing has none.
    assert_eq!(ask(&pay(&Wallet::new(8), 6), &key("a"), "hello").text(), "4");
    for (nonce, made) in [(7, "5"), (8, "6")] {
        assert_eq!(stage.ask("/weather/x", &[&pay(&wallet, nonce), &key("a")]).text(), made);
    }
    let doubled = [&*pay(&wallet, 9), &key("d"), &key("e")];
    assert_eq!(post(&stage, "/weather/x", &doubled, "").verdict(), "400 invalid_request");
    stage.assert_adds_up();
}
