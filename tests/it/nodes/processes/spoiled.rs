//! A database server that stands still, ends, or has no room, under load.

use std::thread;

use super::{
    away::{Away, STILL},
    server::Server,
    *,
};
use crate::support::Schema;

#[test]
fn a_server_stands_still_and_goes_on() {
    let mut server = Server::start();
    let schema = Schema::on(&server.url());
    let mut away = Away::start(&schema, &schema.url());
    server.freeze();
    away.wait_spent("standing still");
    thread::sleep(STILL);
    server.thaw();
    away.assert_within_leases();
    away.wait_normal("standing still");
    away.end("standing still");
}

#[test]
fn a_server_ends_as_by_a_crash_and_is_started_again() {
    let mut server = Server::start();
    let schema = Schema::on(&server.url());
    let mut away = Away::start(&schema, &schema.url());
    server.crash();
    away.wait_spent("ended");
    server.start_again();
    away.wait_normal("ended");
    away.end("ended");
}

/// First it can still write what is in its place already; then it cannot write its log, which ends it.
#[test]
fn a_server_has_no_room_and_then_some_again() {
    let mut server = Server::start();
    println!("a disk of its own: {}", server.has_disk());
    let schema = Schema::on(&server.url());
    let mut away = Away::start(&schema, &schema.url());
    server.fill();
    thread::sleep(Duration::from_secs(1));
    for _ in 0..20 {
        let _ = schema.try_ask("CREATE TABLE more AS SELECT generate_series(1, 100000)");
        let _ = schema.try_ask("SELECT pg_switch_wal()");
    }
    println!("no room: the server runs: {}", server.runs());
    away.wait_spent("no room");
    server.clear();
    if !server.runs() {
        server.start_again();
    }
    away.wait_normal("no room");
    away.end("no room");
}
