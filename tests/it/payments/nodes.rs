//! Several gateways on one database: one proof opens one request on all of them.

use super::*;
use crate::support::Schema;

/// Starts three before one upstream, with one who settles.
fn three(facilitator: &Facilitator, upstream: &Upstream, schema: &Schema) -> Vec<Gateway> {
    three_by(TABLES, facilitator, upstream, schema)
}

fn three_by(
    tables: &str,
    facilitator: &Facilitator,
    upstream: &Upstream,
    schema: &Schema,
) -> Vec<Gateway> {
    let tables = tables.replace("@FACILITATOR@", &facilitator.url());
    let tables = tables.replace("[store]", &format!("[store]\nurl = \"{}\"", schema.url()));
    (0..3).map(|_| Gateway::start(&tables, upstream)).collect()
}

#[test]
fn one_proof_opens_one_request_on_all_nodes() {
    let (facilitator, upstream, schema) = (Facilitator::start(), Upstream::ok(), Schema::new());
    let nodes = three(&facilitator, &upstream, &schema);
    let offered = offer(&nodes[0].request("GET", "/weather/x", &[]));
    let wallet = Wallet::new(7);
    let payment = wallet.field(&Order::of(&offered, 1));
    let addresses: Vec<_> = nodes.iter().map(|node| node.running().address()).collect();
    assert_one_opened(&in_parallel(&addresses, &payment));
    assert_eq!((upstream.count(), facilitator.transfers()), (1, 1));
    assert_eq!((facilitator.asked("verify"), facilitator.asked("settle")), (1, 1));
    let path = format!("/v1/customers/{}/ledger", wallet.address());
    for node in &nodes {
        assert_eq!(node.admin("GET", &path).json()["items"].as_array().unwrap().len(), 2);
        assert_eq!(node.admin("POST", "/v1/verify").json()["ok"], true);
    }
}

/// What one node does not know any more another finds out.
#[test]
fn doubt_of_one_node_is_ended_by_another() {
    let (facilitator, upstream, schema) = (Facilitator::start(), Upstream::ok(), Schema::new());
    let mut nodes = three(&facilitator, &upstream, &schema);
    let offered = offer(&nodes[0].request("GET", "/weather/x", &[]));
    let payment = Wallet::new(7).field(&Order::of(&offered, 1));
    facilitator.set(Mood::FailsAfter);
    let doubted = nodes[0].request("GET", "/weather/x", &[&payment]);
    assert_eq!(doubted.verdict(), "409 payment_pending");
    nodes[0].stop();
    assert_eq!(nodes[1].request("GET", "/weather/x", &[&payment]).verdict(), "409 payment_pending");
    facilitator.set(Mood::Good);
    wait_for("the outcome", || {
        (nodes[2].request("GET", "/weather/x", &[&payment]).status() == 200).then_some(())
    });
    assert_eq!(
        nodes[1].request("GET", "/weather/x", &[&payment]).verdict(),
        "409 payment_already_used"
    );
    assert_eq!((upstream.count(), facilitator.transfers()), (1, 1));
}

/// An answer that one node gave is to be had from each.
#[test]
fn answer_of_one_node_is_fetched_from_another() {
    let (facilitator, upstream, schema) = (Facilitator::start(), Upstream::ok(), Schema::new());
    let mut nodes = three_by(&kept::keeping(), &facilitator, &upstream, &schema);
    let offered = offer(&nodes[0].request("GET", "/weather/x", &[]));
    let payment = Wallet::new(7).field(&Order::of(&offered, 1));
    assert_eq!(nodes[0].request("GET", "/weather/x", &[&payment]).status(), 200);
    nodes[0].stop();
    for node in &nodes[1..] {
        let again = node.request("GET", "/weather/x", &[&payment]);
        assert_eq!((again.status(), again.text()), (200, "ok\n"));
        assert_eq!(decoded(again.field("payment-response").unwrap())["success"], true);
        let other = node.request("GET", "/weather/x?other", &[&payment]);
        assert_eq!(other.verdict(), "409 payment_already_used");
    }
    assert_eq!((upstream.count(), facilitator.transfers()), (1, 1));
}
