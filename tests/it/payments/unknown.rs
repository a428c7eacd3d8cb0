//! Unknown is not failed: while it is not known what became of a payment nothing is served for it, nobody is asked to
//! pay again, and in the end it is found out.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::*;
use crate::support::client::{Client, head};

/// A payment whose settlement is told in this way.
fn in_doubt(mood: Mood) {
    let case = format!("{mood:?}");
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    stage.facilitator.set(mood);
    for _ in 0..2 {
        let response = stage.ask("/weather/x", &[&payment]);
        assert_eq!(response.verdict(), "409 payment_pending", "{case}");
        assert_eq!(response.field("retry-after"), Some("5"), "{case}");
        assert_eq!(response.field("payment-required"), None, "{case}");
        assert_eq!(response.json().get("offers"), None, "{case}");
    }
    assert_eq!(stage.facilitator.asked("settle"), 1, "{case}");
    assert_eq!(stage.upstream.count(), 0, "{case}");
    assert_eq!(stage.entries(&wallet.address()), [], "{case}");
    stage.facilitator.set(Mood::Good);
    stage.facilitator.wait_asked("settle", 2);
    wait_for("the outcome", || (!stage.entries(&wallet.address()).is_empty()).then_some(()));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent()[..1], "{case}");
    let served = stage.ask("/weather/x", &[&payment]);
    assert_eq!(served.status(), 200, "{case}: {}", served.text());
    assert_eq!(
        stage.ask("/weather/x", &[&payment]).verdict(),
        "409 payment_already_used",
        "{case}"
    );
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1), "{case}");
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent(), "{case}");
    stage.assert_adds_up();
    let metrics = stage.gateway.admin("GET", "/metrics").text().to_owned();
    for (call, result) in [("verify", "valid"), ("settle", "in_doubt"), ("settle_again", "settled")]
    {
        let told =
            format!("faregate_payment_calls_total{{call=\"{call}\",result=\"{result}\"}} 1\n");
        assert!(metrics.contains(&told), "{told}");
        let told = format!("faregate_payment_call_duration_seconds_count{{call=\"{call}\"}} 1\n");
        assert!(metrics.contains(&told), "{told}");
    }
}

#[test]
fn connection_that_is_reset_after_the_transfer() {
    in_doubt(Mood::ResetsAfter);
}

#[test]
fn error_after_the_transfer() {
    in_doubt(Mood::FailsAfter);
}

#[test]
fn settlement_that_is_pending() {
    in_doubt(Mood::Pending);
}

#[test]
fn redirect_in_place_of_a_settlement() {
    in_doubt(Mood::Redirects("settle"));
}

#[test]
fn reasons_that_may_follow_a_transfer() {
    in_doubt(Mood::RefusesToSettle("unexpected_settle_error"));
    in_doubt(Mood::RefusesToSettle("invalid_exact_evm_transaction_failed"));
}

#[test]
fn success_of_another_payment() {
    in_doubt(Mood::Lies("payer", json!("0x0000000000000000000000000000000000000001")));
    in_doubt(Mood::Lies("amount", json!("1")));
    in_doubt(Mood::Lies("network", json!("eip155:1")));
    in_doubt(Mood::Lies("transaction", json!("")));
}

/// That an order was carried out already says neither that it paid nor that it did not: an earlier call may have
/// carried it out, and its signer may have taken it back.
#[test]
fn order_that_was_carried_out_already_is_neither() {
    let stage = Stage::new();
    let payment = stage.payment(&Wallet::new(7), "/weather/x", 1);
    stage.facilitator.set(Mood::RefusesToSettle("invalid_exact_evm_nonce_already_used"));
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "409 payment_pending");
    // A failure that would be definite at first is none behind that.
    stage
        .facilitator
        .set(Mood::RefusesToSettle("invalid_exact_evm_payload_authorization_valid_before"));
    stage.facilitator.wait_asked("settle", 2);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "409 payment_pending");
    stage.assert_nothing_moved();
}

/// A facilitator that never answers: the caller is told so after half a minute, and the transfer is found.
#[test]
fn answer_that_never_comes() {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    stage.facilitator.set(Mood::HangsAfter);
    let mut stream = TcpStream::connect(stage.gateway.running().address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /weather/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{payment}\r\n\r\n")
        .unwrap();
    stage.facilitator.wait_asked("settle", 1);
    // Others who bring it meanwhile are told at once.
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "409 payment_pending");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert!(!answer.contains("payment-required"), "{answer}");
    stage.facilitator.set(Mood::Good);
    wait_for("the outcome", || (!stage.entries(&wallet.address()).is_empty()).then_some(()));
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    stage.assert_adds_up();
}

/// A call whose payment is being settled, until the facilitator is told to go on, and who made it.
fn while_it_is_settled() -> (Stage, Wallet, String, Client) {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    stage.facilitator.set(Mood::Waits);
    let mut client = stage.gateway.client();
    client.send(head("GET", "/weather/x", &[&payment]));
    stage.facilitator.wait_asked("settle", 1);
    (stage, wallet, payment, client)
}

/// A caller that leaves while its payment is settled has it for another request.
#[test]
fn caller_that_leaves_has_paid_for_its_next_request() {
    let (stage, wallet, payment, client) = while_it_is_settled();
    drop(client);
    stage.facilitator.set(Mood::Good);
    wait_for("it to be given back", || {
        let kinds = stage.entries(&wallet.address());
        kinds.iter().any(|(kind, ..)| kind == "returned").then_some(())
    });
    assert_eq!(stage.upstream.count(), 0);
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    stage.assert_adds_up();
}

/// A store that cannot be written for a while loses no payment that moved: whoever settles it may tell so once.
#[test]
fn store_that_is_locked_when_it_moves() {
    let (stage, wallet, _, mut client) = while_it_is_settled();
    let path = stage.gateway.directory().join("faregate.db");
    let database = rusqlite::Connection::open(path).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    stage.facilitator.set(Mood::Good);
    // Longer than the gateway waits for a lock.
    std::thread::sleep(Duration::from_secs(6));
    database.execute_batch("ROLLBACK").unwrap();
    let served = client.response();
    assert_eq!(served.status(), 200, "{}", served.text());
    assert_eq!((stage.facilitator.asked("settle"), stage.facilitator.transfers()), (1, 1));
    assert_eq!(stage.entries(&wallet.address()), paid_and_spent());
    stage.assert_adds_up();
}

/// A stop waits for a settlement whose caller has left: it pays for another request after the next start.
#[test]
fn stop_while_it_is_settled() {
    let (mut stage, wallet, payment, client) = while_it_is_settled();
    drop(client);
    std::thread::scope(|scope| {
        let Stage { gateway, facilitator, .. } = &mut stage;
        scope.spawn(move || {
            std::thread::sleep(Duration::from_secs(1));
            facilitator.set(Mood::Good);
        });
        gateway.restart();
    });
    let kinds: Vec<String> =
        stage.entries(&wallet.address()).into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, ["paid", "spent", "returned"]);
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    assert_eq!((stage.facilitator.asked("settle"), stage.facilitator.transfers()), (1, 1));
    assert_eq!(stage.upstream.count(), 1);
    stage.assert_adds_up();
}
