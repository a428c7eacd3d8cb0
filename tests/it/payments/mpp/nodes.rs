//! Several gateways on one database and with one secret: a challenge of one is good on all, and opens one request.

use super::*;
use crate::support::Schema;

#[test]
fn challenge_of_one_node_opens_one_request_on_all() {
    let (facilitator, upstream, schema) = (Facilitator::start(), Upstream::ok(), Schema::new());
    let secret = secret();
    let tables = tables(&secret).replace("@FACILITATOR@", &facilitator.url());
    let tables = format!("[store]\nurl = \"{}\"\n{tables}", schema.url());
    let nodes: Vec<_> = (0..3).map(|_| Gateway::start(&tables, &upstream)).collect();
    let challenge = asked(&nodes[0].request("GET", "/weather/x", &[]));
    let wallet = Wallet::new(7);
    let payment = field(&credential(&wallet, &challenge));
    let verdicts: Vec<String> = std::thread::scope(|scope| {
        let ask = |mut client: Client| {
            let ask = |_| client.request("GET", "/weather/x", &[&payment]).verdict();
            (0..10).map(ask).collect::<Vec<_>>()
        };
        let clients: Vec<_> = nodes
            .iter()
            .cycle()
            .take(51)
            .map(|node| {
                let client = node.client();
                scope.spawn(move || ask(client))
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let count = |wanted: &str| verdicts.iter().filter(|verdict| *verdict == wanted).count();
    assert_eq!(count("200"), 1, "{verdicts:?}");
    assert_eq!(count("403 payment_already_used") + count("409 payment_pending"), 509);
    assert_eq!((upstream.count(), facilitator.transfers()), (1, 1));
    // Paid on one, and brought by the other rail to another.
    let offered = nodes[1].request("GET", "/weather/x", &[]);
    let second = credential(&wallet, &asked(&offered));
    assert_eq!(nodes[2].request("GET", "/weather/x", &[&field(&second)]).status(), 200);
    let other = by_x402(&second, &offer(&offered));
    assert_eq!(
        nodes[0].request("GET", "/weather/x", &[&other]).verdict(),
        "409 payment_already_used"
    );
    assert_eq!((upstream.count(), facilitator.transfers()), (2, 2));
    for node in &nodes {
        assert_eq!(node.admin("POST", "/v1/verify").json()["ok"], true);
    }
}
