//! Descriptors that run out: who is connected goes on being served, nothing spins, and new clients are
//! taken as soon as there is room.

use std::{fs, net::TcpStream, process::Command, time::Duration};

use tokio::time::Instant;

use super::scene::{KEY, Scene};
use crate::{
    process::Gateway,
    support::client::{Client, bearer},
};

/// Descriptors beyond those in use.
const ROOM: usize = 20;

const CONNECTIONS: usize = 100;

/// Limits the descriptors of a program that runs to those it has and some room.
fn limit(gateway: &Gateway) {
    let open = fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap().count();
    let limited = Command::new("prlimit")
        .args(["--pid", &gateway.id().to_string(), &format!("--nofile={}", open + ROOM)])
        .status();
    assert!(limited.unwrap().success());
}

/// Gives the processor time that it has taken, in ticks of 10 ms.
fn ticks(gateway: &Gateway) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", gateway.id())).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn pay(client: &mut Client) -> u16 {
    client.request("GET", "/paid/x", &[&bearer(KEY)]).status()
}

#[test]
fn descriptors_that_run_out() {
    let scene = Scene::new("normal");
    let gateway = scene.start();
    let mut connected = Client::connect(scene.address);
    assert_eq!(pay(&mut connected), 200);
    limit(&gateway);
    let held: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| TcpStream::connect(scene.address).unwrap()).collect();
    gateway.wait_log("no connection can be taken");
    let before = ticks(&gateway);
    for _ in 0..20 {
        assert_eq!(pay(&mut connected), 200, "who is connected");
        std::thread::sleep(Duration::from_millis(50));
    }
    let taken = ticks(&gateway) - before;
    assert!(taken < 50, "{taken} ticks in a second: it spins");
    assert_eq!(gateway.log().matches("no connection can be taken").count(), 1, "{}", gateway.log());
    drop(held);
    let ended = Instant::now();
    assert_eq!(pay(&mut Client::connect(scene.address)), 200);
    let recovery = ended.elapsed();
    assert!(recovery < Duration::from_secs(1), "{recovery:?}");
    println!("a new client is served {recovery:?} after there is room");
    scene.audit_to_the_end(gateway);
}
