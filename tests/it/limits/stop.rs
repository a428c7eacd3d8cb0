//! A stop: who has a connection by then is answered, once.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use faregate::model::KeyDigest;
use tokio::time::Instant;

use crate::{
    process::{self, CountingUpstream, free_address},
    support::{
        Exchange, Gateway, KEY, SMALL, Then, Upstream,
        client::{bearer, head},
    },
};

/// Clients at once, each with a connection for each request.
const CLIENTS: usize = 8;

const STOPS: usize = 5;

/// Asks on a connection of its own; `None` where none was to be had.
fn ask(address: SocketAddr) -> io::Result<Option<String>> {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, process::DEADLINE) else {
        return Ok(None);
    };
    stream.set_read_timeout(Some(process::DEADLINE))?;
    write!(stream, "GET /x HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(Some(answer))
}

fn configuration(address: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "[server]\nlisten = \"{address}\"\nworkers = 2\n[admin]\nlisten = \"{admin}\"\n\
         [log]\naccess = \"off\"\n[upstreams.api]\nurl = \"http://{upstream}\"\n\
         [[routes]]\npath = \"/{{*path}}\"\nupstream = \"api\"\n\
         [plans.all]\nquotas = [{{ limit = 100000000, window = \"lifetime\" }}]\n\
         [customers.acme]\nplan = \"all\"\nkeys = [\"{}\"]\n",
        KeyDigest::of(KEY.as_bytes())
    )
}

/// Clients come without a pause, each for one request, while the real program stops again and again: each
/// that has a connection has its answer, and the books have each of them once.
#[test]
fn short_connections_end_whole_through_a_stop() {
    let upstream = CountingUpstream::start();
    let directory = tempfile::tempdir().unwrap();
    let (address, admin) = (free_address(), free_address());
    let file = directory.path().join("faregate.toml");
    fs::write(file, configuration(address, admin, upstream.address)).unwrap();
    let served = AtomicU64::new(0);
    for stop in 0..STOPS {
        let gateway = process::Gateway::start(directory.path(), address, admin);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    loop {
                        match ask(address) {
                            Ok(Some(answer)) => {
                                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
                                assert!(answer.ends_with("ok"), "{answer:?}");
                                served.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(None) => return,
                            Err(error) => panic!("stop {stop}: {error}"),
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(300 + 37 * stop as u64));
            assert!(gateway.stop(), "it ends well");
        });
        println!("stop {stop}: {} served, {:?}", served.load(Ordering::Relaxed), begun.elapsed());
        assert_eq!(served.load(Ordering::Relaxed), upstream.received(), "stop {stop}");
    }
    let gateway = process::Gateway::start(directory.path(), address, admin);
    let used = &gateway.usage("acme")["quotas"][0]["used"];
    assert_eq!(used.as_u64(), Some(upstream.received()));
}

/// A connection that has said nothing yet may have a request on its way; one between two requests has not.
#[test]
fn request_on_its_way_is_answered_and_unused_connections_are_closed() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        if exchange.request().target() == "/held" {
            let _ = wait.lock().unwrap().recv();
        }
        exchange.send(crate::support::upstream::OK)?;
        Ok(Then::KeepAlive)
    });
    let mut gateway = Gateway::start(SMALL, &upstream);
    let (mut held, mut unused) = (gateway.client(), gateway.client());
    let (mut fresh, mut silent) = (gateway.client(), gateway.client());
    assert_eq!(unused.get("/x", KEY).status(), 200);
    held.send(head("GET", "/held", &[&bearer(KEY)]));
    upstream.wait_for(2);
    let begun = Instant::now();
    let stopping = std::thread::spawn(move || {
        gateway.restart();
        gateway
    });
    unused.expect_closed();
    let closed = begun.elapsed();
    assert!(closed < Duration::from_millis(500), "{closed:?}");
    fresh.send(head("GET", "/x", &[&bearer(KEY)]));
    let answer = fresh.response();
    assert_eq!((answer.status(), answer.field("connection")), (200, Some("close")));
    fresh.expect_closed();
    silent.expect_closed();
    let closed = begun.elapsed();
    assert!(closed < Duration::from_secs(3), "{closed:?}");
    go.send(()).unwrap();
    assert_eq!(held.response().status(), 200);
    stopping.join().unwrap().wait_recorded("acme", &[("completed", 3, 3)]);
}

/// A second signal ends a stop that would wait for long.
#[test]
fn second_signal_cuts_what_is_open() {
    let upstream = Upstream::answering("", Then::Silence);
    let directory = tempfile::tempdir().unwrap();
    let (address, admin) = (free_address(), free_address());
    let file = directory.path().join("faregate.toml");
    fs::write(file, configuration(address, admin, upstream.address())).unwrap();
    let gateway = process::Gateway::start(directory.path(), address, admin);
    let asking = std::thread::spawn(move || ask(address).unwrap().unwrap());
    upstream.wait_for(1);
    gateway.signal("TERM");
    gateway.wait_log("stopping");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!asking.is_finished(), "it may end");
    let begun = Instant::now();
    assert!(gateway.stop(), "it ends well");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let answer = asking.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer:?}");
    let gateway = process::Gateway::start(directory.path(), address, admin);
    assert_eq!(gateway.usage("acme")["quotas"][0]["used"], 0);
}
