//! Memory that runs out: the program ends at once, and the books are right when it is started again.

use std::{
    fs, io::Write, net::TcpStream, os::unix::process::ExitStatusExt, process::Command,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    load::{Got, Load},
    scene::Scene,
    table::{AFTER_CRASH, Row},
};
use crate::{process::Gateway, support::wait_for};

/// What the program may take beyond what it has when it is ready, in KiB.
const ROOM_KIB: u64 = 4 << 10;

/// Connections that each hold a head that is not over.
const CONNECTIONS: usize = 800;
const HEAD_BYTES: usize = 31 << 10;

/// Limits the memory of a program that runs to what it has and some room.
fn limit(gateway: &Gateway) {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    let size: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    let bytes = (size + ROOM_KIB) * 1024;
    let limited = Command::new("prlimit")
        .args(["--pid", &gateway.id().to_string(), &format!("--data={bytes}")])
        .status();
    assert!(limited.unwrap().success());
}

/// Makes the gateway hold much, on connections that stay open as long as the value.
fn weigh_down(scene: &Scene) -> Vec<TcpStream> {
    let head = format!("GET /open/x HTTP/1.1\r\nhost: a\r\nx-long: {}", "x".repeat(HEAD_BYTES));
    let connect = |_| {
        let mut stream = TcpStream::connect(scene.address).ok()?;
        stream.write_all(head.as_bytes()).ok()?;
        Some(stream)
    };
    (0..CONNECTIONS).map_while(connect).collect()
}

#[test]
fn memory_that_runs_out() {
    let scene = Scene::new("normal");
    let mut command = scene.shim.command();
    // Otherwise the allocator asks for a gibibyte at once, and is never refused afterwards.
    command.env("MIMALLOC_ARENA_EAGER_COMMIT", "0").env("MIMALLOC_ARENA_RESERVE", "32MiB");
    command.env("MIMALLOC_ALLOW_LARGE_OS_PAGES", "0");
    let mut gateway = scene.start_by(command);
    let load = Load::start(scene.address);
    limit(&gateway);
    let began = Instant::now();
    let held = weigh_down(&scene);
    println!("{} connections held", held.len());
    let ended = wait_for("an end", || gateway.ended());
    println!("ended: {ended}; {}", gateway.log().lines().last().unwrap_or_default());
    assert!(ended.signal().is_some(), "it ends at once: {ended}");
    let seen = load.stop();
    let wrong = seen.iter().find(|seen| matches!(seen.got, Got::Wrong(_)));
    assert!(wrong.is_none(), "{wrong:?}");
    drop(held);
    let restarting = Instant::now();
    let gateway = scene.start();
    let recovery = restarting.elapsed();
    scene.audit_after_crash(&gateway);
    let row = Row::new("memory runs out", &seen, began, Duration::ZERO);
    Row {
        callers: "the program ends, connections break".into(),
        public: "the same".into(),
        recovery: Some(recovery),
        audit: AFTER_CRASH,
        ..row
    }
    .tell();
}
