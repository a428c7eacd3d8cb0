//! Calls of gRPC: charged by their status, refused by one, and given up when their caller does.

use h2::Reason;

use super::{COST, Server, start, tables};
use crate::{
    http2::caller::Caller,
    support::{Gateway, KEY, Response, wait_until_equal},
};

fn fields<'a>(key: &'a str, timeout: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("x-api-key", key),
        ("content-type", "application/grpc+proto"),
        ("te", "trailers"),
        ("grpc-timeout", timeout),
    ]
}

fn call(gateway: &Gateway, path: &str) -> Response {
    Caller::open(gateway).request("POST", path, &fields(KEY, "10S"), b"question")
}

#[test]
fn calls_are_charged_by_their_status() {
    for form in ["behind", "head"] {
        for (status, ending, units) in [
            (0, "completed", COST),
            (2, "uncharged", 0),
            (3, "completed", COST),
            (8, "uncharged", 0),
            (12, "uncharged", 0),
            (14, "uncharged", 0),
            (16, "completed", COST),
        ] {
            let server = Server::start();
            let gateway = start(&server, "");
            let response = call(&gateway, &format!("/paid/grpc/{form}/{status}"));
            assert!(response.whole && response.status() == 200, "{response:?}");
            let told = [&response.head.fields, &response.trailers].map(|fields| {
                let mut found = fields.iter().filter(|(name, _)| name == "grpc-status");
                found.next().map(|(_, value)| value.clone())
            });
            let expected = Some(status.to_string());
            let is_head = form == "head";
            assert_eq!(told, if is_head { [expected, None] } else { [None, expected] });
            // What is not known when the head goes is not told.
            let cost = response.field("faregate-cost").map(str::to_owned);
            assert_eq!(cost, is_head.then(|| units.to_string()), "{form} {status}");
            gateway.wait_recorded("acme", &[(ending, 1, units)]);
            gateway.wait_used("acme", units);
            let seen = server.seen().remove(0);
            assert_eq!(
                (seen.fields["te"].as_bytes(), &*seen.body),
                (&b"trailers"[..], &b"question"[..])
            );
            assert_eq!(seen.fields["grpc-timeout"], "10S");
        }
    }
}

#[test]
fn call_without_a_status_is_not_charged_and_one_that_is_cut_is() {
    let server = Server::start();
    let gateway = start(&server, "");
    assert!(call(&gateway, "/paid/grpc/none/0").whole);
    gateway.wait_recorded("acme", &[("uncharged", 1, 0)]);
    assert!(!call(&gateway, "/paid/grpc/cut/0").whole);
    gateway.wait_recorded("acme", &[("truncated", 1, COST), ("uncharged", 1, 0)]);
}

/// The same status of a request that is no call says nothing about its charge.
#[test]
fn status_counts_for_calls_alone() {
    let server = Server::start();
    let gateway = start(&server, "");
    let response = gateway.get("/paid/grpc/behind/14", KEY);
    assert_eq!((response.status(), response.field("faregate-cost")), (200, Some("3")));
    gateway.wait_recorded("acme", &[("completed", 1, COST)]);
}

#[test]
fn refusals_are_statuses() {
    let server = Server::start();
    let gateway = Gateway::start_with(
        &tables(server.address, "").replace("limit = 10000", "limit = 4"),
        None,
    );
    let caller = Caller::open(&gateway);
    assert_eq!(call(&gateway, "/paid/grpc/behind/0").status(), 200);
    gateway.wait_used("acme", COST);
    for (path, key, status, code) in [
        ("/paid/x", "nobody", "16", "invalid_api_key"),
        ("/paid/x", KEY, "8", "quota_exceeded"),
        ("/nowhere", KEY, "12", "route_not_found"),
    ] {
        let response = caller.request("POST", path, &fields(key, "10S"), b"question");
        let found =
            ["content-type", "grpc-status", "faregate-code"].map(|name| response.field(name));
        assert_eq!(found, [Some("application/grpc"), Some(status), Some(code)]);
        assert_eq!((response.status(), response.text()), (200, ""));
        assert!(response.field("grpc-message").is_some_and(|text| !text.is_empty()));
        assert!(response.field("x-request-id").is_some());
        // Whoever does not call by gRPC is told as ever.
        let response = caller.request("POST", path, &[("x-api-key", key)], b"question");
        assert_eq!(response.code(), code);
    }
    assert_eq!(server.seen().len(), 1);
    gateway.wait_used("acme", COST);
}

#[test]
fn upstream_that_fails_is_a_status_too() {
    let server = Server::start();
    let gateway = start(&server, "");
    let response = call(&gateway, "/paid/reset");
    assert_eq!(response.field("grpc-status"), Some("14"));
    assert_eq!(response.field("faregate-code"), Some("upstream_error"));
    gateway.wait_recorded("acme", &[("failed", 1, 0)]);
}

#[test]
fn deadlines_are_passed_on_and_kept() {
    let server = Server::start();
    let gateway = start(&server, "");
    let caller = Caller::open(&gateway);
    let response = caller.request("POST", "/paid/silent", &fields(KEY, "200m"), b"question");
    assert_eq!(response.field("grpc-status"), Some("4"));
    assert_eq!(response.field("faregate-code"), Some("upstream_timeout"));
    let reset =
        || server.seen().first().map(|seen| (seen.reset, seen.fields["grpc-timeout"].clone()));
    wait_until_equal(reset, &Some((Some(Reason::CANCEL), "200m".parse().unwrap())));
    // It is the caller who gives up, as by leaving: else a short deadline would make any call free.
    gateway.wait_recorded("acme", &[("abandoned", 1, COST)]);
}

/// Where the operator's time is the shorter one, it is not the caller who gives up.
#[test]
fn operators_time_is_no_deadline() {
    let server = Server::start();
    let tables =
        tables(server.address, "").replace("cost = 3", "cost = 3\nrequest_timeout = \"200ms\"");
    let gateway = Gateway::start_with(&tables, None);
    let caller = Caller::open(&gateway);
    let response = caller.request("POST", "/paid/silent", &fields(KEY, "10S"), b"question");
    assert_eq!(response.field("grpc-status"), Some("4"));
    gateway.wait_recorded("acme", &[("failed", 1, 0)]);
}

#[test]
fn messages_go_both_ways_at_once() {
    let server = Server::start();
    let gateway = start(&server, "");
    let caller = Caller::open(&gateway);
    let mut talk = caller.begin("POST", "/paid/talk", &fields(KEY, "10S"), false);
    talk.send("one", false);
    let (mut sending, answer) = talk.split();
    let (head, mut body) = caller.head_of(answer).unwrap();
    assert_eq!(head.status, 200);
    for (heard, said) in [("one", Some("two")), ("two", Some("three")), ("three", None)] {
        let (data, rest) = caller.some(body);
        assert_eq!(data.unwrap(), heard);
        body = rest;
        match said {
            Some(said) => sending.send(said, false),
            None => sending.send("", true),
        }
    }
    assert_eq!(caller.rest(body).1, None);
    gateway.wait_recorded("acme", &[("completed", 1, COST)]);
}
