//! Rates and limits on requests in flight are shared out among the nodes that are live.

use std::{net::SocketAddr, thread};

use tokio::time::Instant;

use super::*;
use crate::support::Client;

/// A rate of 30 a second for one customer, and a limit on its requests in flight.
fn limited(url: &str) -> String {
    tables(url)
        + r#"
[plans.limited]
rate = { limit = 30, window = "1s", burst = 30 }
concurrency = 4

[customers.initech]
plan = "limited"
keys = [{ id = "initech-1", digest = "key:key-of-initech" }]
"#
}

const KEY_OF_INITECH: &str = "key-of-initech";

/// Starts nodes on one database, and waits until each of them knows that.
fn start(schema: &Schema, upstream: &Upstream, count: u32) -> Vec<Gateway> {
    let tables = limited(&schema.url());
    let nodes: Vec<_> = (0..count).map(|_| Gateway::start(&tables, upstream)).collect();
    nodes.iter().for_each(|node| wait_count(node, count));
    nodes
}

fn wait_count(gateway: &Gateway, count: u32) {
    let partition = gateway.running().gateway().ledger().partition();
    wait_for("the number of nodes", || (partition.portion().count == count).then_some(()));
}

#[test]
fn a_rate_is_kept_over_three_nodes_in_every_second() {
    let (schema, upstream) = (Schema::new(), Upstream::ok());
    let nodes = start(&schema, &upstream, 3);
    let addresses: Vec<_> = nodes.iter().map(|node| node.running().address()).collect();
    let until = Instant::now() + Duration::from_millis(3500);
    let call = |address: SocketAddr| {
        let mut served = Vec::new();
        while Instant::now() < until {
            let answer = Client::connect(address).get("/x", KEY_OF_INITECH);
            match answer.status() {
                200 => served.push(Instant::now()),
                429 => {
                    assert_eq!(answer.json()["code"], "rate_limited");
                    let told = answer.text();
                    assert!(told.contains("At most 30 requests"), "{told}");
                    assert!(answer.field("ratelimit-policy").unwrap().contains("q=30"));
                    thread::sleep(Duration::from_millis(5));
                }
                status => panic!("{status}: {}", answer.text()),
            }
        }
        served
    };
    let mut served: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> =
            addresses.iter().map(|address| scope.spawn(move || call(*address))).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    served.sort_unstable();
    let within = |from: &Instant| {
        let second =
            served.iter().filter(|at| (*from..*from + Duration::from_secs(1)).contains(at));
        second.count()
    };
    let most = served.iter().map(within).max().unwrap();
    println!("{} served in 3.5 s, {most} of them within one second at most", served.len());
    assert!(most <= 30 + 30 + 2, "{most}");
    // The burst, and what came back since then.
    assert!((100..=30 + 105 + 2).contains(&served.len()), "{}", served.len());
}

#[test]
fn shares_grow_when_a_node_stops() {
    let (schema, upstream) = (Schema::new(), Upstream::ok());
    let mut nodes = start(&schema, &upstream, 2);
    let portion = |gateway: &Gateway| gateway.running().gateway().ledger().partition().portion();
    let mut ranks = [portion(&nodes[0]).rank, portion(&nodes[1]).rank];
    ranks.sort_unstable();
    assert_eq!(ranks, [0, 1]);
    let remaining = |gateway: &Gateway| {
        let answer = gateway.get("/x", KEY_OF_INITECH);
        let field = answer.field("ratelimit").unwrap().to_owned();
        let (_, rest) = field.split_once("\"concurrency\";r=").unwrap();
        rest.split([',', ';']).next().unwrap().parse::<u64>().unwrap()
    };
    // This request is in flight.
    assert_eq!(remaining(&nodes[0]), 1);
    nodes.pop().unwrap().stop();
    wait_count(&nodes[0], 1);
    assert_eq!(remaining(&nodes[0]), 3);
}
