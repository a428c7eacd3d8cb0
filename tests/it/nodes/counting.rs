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
        assert!(metric(node, "faregate_lease_letters_total") > 0);
    }
}

/// Where much is free nodes do not tell the pool what they use of it; who wants to know it asks them.
#[test]
fn usage_documents_have_what_other_nodes_did_until_a_second_ago() {
    let upstream = Upstream::ok();
    let schema = Schema::new();
    let tables = tables(&schema.url()).replace("limit = 1000,", "limit = 1000000,");
    let nodes: Vec<_> = (0..3).map(|_| Gateway::start(&tables, &upstream)).collect();
    let mut calls = 0;
    for round in 1..=5 {
        for node in &nodes[..2] {
            (0..round).for_each(|_| assert_eq!(node.get("/things", "key-of-acme").status(), 200));
            calls += round;
        }
        thread::sleep(Duration::from_secs(1));
        let used: Vec<_> = nodes.iter().map(|node| node.used("acme")).collect();
        assert_eq!(used, [(calls, 0); 3], "at once");
    }
    let letters = nodes.iter().map(|node| metric(node, "faregate_lease_letters_total"));
    assert!(letters.sum::<u64>() < 100, "they do not tell each call");
}

fn metric(node: &Gateway, name: &str) -> u64 {
    let told = node.admin("GET", "/metrics").text().to_owned();
    let value = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}
