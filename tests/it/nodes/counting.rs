//! One limit, whoever counts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use super::*;
use crate::support::{Client, wait_until_equal};

#[test]
fn nodes_serve_a_limit_exactly() {
    let upstream = Upstream::ok();
    let schema = Schema::new();
    let tables = tables(&schema.url());
    let nodes: Vec<_> = (0..3).map(|_| Gateway::start(&tables, &upstream)).collect();
    let served = AtomicU64::new(0);
    let call = |mut client: Client| {
        loop {
            let answer = client.get("/things", "key-of-acme");
            match answer.status() {
                200 => served.fetch_add(1, Ordering::Relaxed),
                402 => break,
                other => panic!("{other} {}", answer.text()),
            };
        }
    };
    thread::scope(|scope| {
        for node in nodes.iter().flat_map(|node| [node; 4]) {
            let client = node.client();
            scope.spawn(|| call(client));
        }
    });
    assert_eq!(served.into_inner(), 1000);
    for node in &nodes {
        // What others hold is told to it within a second.
        wait_until_equal(|| node.used("acme"), &(1000, 0));
        let told = node.admin("GET", "/metrics").text().to_owned();
        assert!(told.contains("faregate_lease_up 1"), "{told}");
        let letters =
            told.lines().find_map(|line| line.strip_prefix("faregate_lease_letters_total "));
        assert!(letters.unwrap().parse::<u64>().unwrap() > 0);
    }
}
