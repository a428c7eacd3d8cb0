//! As many unused connections as there may be.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::{
    crowd::{Crowd, Habit},
    ordinary::Ordinary,
    scene::Scene,
    table::Row,
};
use crate::process;

/// With the ordinary clients' and one of the program's own, fewer than descriptors are to be had.
const COUNT: usize = 10_000;
const ORDINARY: usize = 4;

/// What a connection may take between two requests.
const BYTES_MAX: u64 = 5120;

#[test]
fn unused_connections_by_the_thousand() {
    let scene = Scene::start(&format!("connections = {}", COUNT + ORDINARY));
    let ordinary = Ordinary::start(scene.gateway.address);
    std::thread::sleep(Duration::from_millis(500));
    let before = scene.memory_kib();
    let crowd = Crowd::send(scene.gateway.address, Habit::Idle, COUNT);
    crowd.wait_there(COUNT);
    // One more has to wait until another has gone.
    let mut last = TcpStream::connect(scene.gateway.address).unwrap();
    let ask =
        format!("GET /paid/x HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\n\r\n", crate::support::KEY);
    last.write_all(ask.as_bytes()).unwrap();
    last.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert!(last.read(&mut [0]).is_err(), "it is served beyond the limit");
    let full = scene.memory_kib();
    scene.assert_well();
    let seen = ordinary.stop();
    assert_eq!(seen.errors, 0);
    last.set_read_timeout(Some(process::DEADLINE)).unwrap();
    let mut answer = [0; 12];
    last.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(crowd.gone(), 0);
    let each = (full - before) * 1024 / COUNT as u64;
    println!("{each} bytes for each unused connection");
    assert!(each <= BYTES_MAX, "{each}");
    crowd.leave();
    scene.audit();
    let crowd = format!("10,000 keep a connection unused: {each} bytes each");
    Row { crowd, seen, gone: None, memory_kib: [before, full] }.tell();
}
