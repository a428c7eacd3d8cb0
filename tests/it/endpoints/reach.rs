//! Upstreams that cannot be reached, which callers do not wait for; and those reached by a socket.

use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::net::UnixListener,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::{metric, start};
use crate::support::{
    Exchange, Gateway, KEY, SMALL, Then, Upstream,
    client::bearer,
    upstream::{Full, OK},
    wait_for,
};

#[test]
fn callers_do_not_wait_for_who_cannot_be_reached() {
    let full = Full::new();
    let gateway = start(&[full.address()], "connect_timeout = \"400ms\"");
    for _ in 0..3 {
        assert_eq!(gateway.get("/x", KEY).verdict(), "504 upstream_timeout");
    }
    let mut at_once = 0;
    for _ in 0..20 {
        let began = Instant::now();
        // A single one tries, now and then.
        match &*gateway.get("/x", KEY).verdict() {
            "502 upstream_error" => at_once += 1,
            "504 upstream_timeout" => assert!(began.elapsed() >= Duration::from_millis(400)),
            other => panic!("{other}"),
        }
    }
    assert!(at_once >= 10, "{at_once}");
    let name = full.address().to_string();
    let rejected = metric(&gateway, "requests_total", &[&name, "rejected"]);
    assert_eq!(rejected, Some(f64::from(at_once)));
    gateway.wait_recorded("acme", &[("unsent", 23, 0)]);
}

#[test]
fn who_can_be_reached_again_is_asked_within_a_second() {
    let nowhere = Upstream::nowhere();
    let gateway = start(&[nowhere], "");
    let mut refused = 0;
    for _ in 0..30 {
        assert_eq!(gateway.get("/x", KEY).verdict(), "502 upstream_error");
        refused += 1;
    }
    let upstream = Upstream::start_on(TcpListener::bind(nowhere).unwrap(), |exchange| {
        exchange.read_body()?;
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let began = Instant::now();
    wait_for("an answer", || {
        let is_served = gateway.get("/x", KEY).status() == 200;
        refused += u64::from(!is_served);
        is_served.then_some(())
    });
    let took = began.elapsed();
    println!("served {took:?} after it listens again");
    assert!(took < Duration::from_secs(3), "{took:?}");
    for _ in 0..10 {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
    }
    assert_eq!(upstream.count(), 11);
    gateway.wait_recorded("acme", &[("completed", 11, 11), ("unsent", refused, 0)]);
}

/// An upstream that answers nobody is reachable all the same: whoever asks is not refused for that.
#[test]
fn who_answers_badly_is_asked_all_the_same() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        Ok(Then::Reset)
    });
    let gateway = start(&[upstream.address()], "");
    for count in 1..=10 {
        assert_eq!(gateway.get("/x", KEY).verdict(), "502 upstream_error");
        assert_eq!(upstream.count(), count);
    }
    gateway.wait_recorded("acme", &[("failed", 10, 0)]);
}

/// Answers on a socket, and keeps the heads that come.
fn serve(path: &Path) -> Arc<Mutex<Vec<String>>> {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let (listener, seen) = (UnixListener::bind(path).unwrap(), Arc::clone(&heads));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                let (mut text, mut bytes) = (String::new(), [0; 4096]);
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
                    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
                        seen.lock().unwrap().push(head.to_owned());
                        text = rest.to_owned();
                        stream.write_all(OK.as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    heads
}

fn start_on_socket(url: &str) -> Gateway {
    Gateway::start_with(&SMALL.replace("url = \"http://@UPSTREAM@\"", url), None)
}

#[test]
fn upstream_is_reached_by_a_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("app.sock");
    let heads = serve(&socket);
    let gateway = start_on_socket(&format!("url = \"unix:{}:/v1\"", socket.display()));
    let mut client = gateway.client();
    for _ in 0..3 {
        let response = client.get("/x?a=1", KEY);
        assert_eq!((response.status(), response.text()), (200, "ok\n"));
    }
    for head in heads.lock().unwrap().iter() {
        assert!(head.starts_with("GET /v1/x?a=1 HTTP/1.1\r\nhost: localhost\r\n"), "{head}");
    }
    let name = format!("unix:{}", socket.display());
    assert_eq!(metric(&gateway, "connections_opened_total", &[&name]), Some(1.0));
    gateway.wait_recorded("acme", &[("completed", 3, 3)]);
}

#[test]
fn socket_stands_beside_other_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, upstream) = (directory.path().join("app.sock"), Upstream::ok());
    let urls = format!(
        "urls = [\"unix:{}\", \"http://{}\"]\nhost = \"preserve\"\nhealth = {{ path = \"/\", interval = \"100ms\" }}",
        socket.display(),
        upstream.address()
    );
    let gateway = start_on_socket(&urls);
    let fields = ["Host: api.example.com", &bearer(KEY)];
    // The other takes what nobody listens for.
    for _ in 0..4 {
        assert_eq!(gateway.request("GET", "/x", &fields).status(), 200);
    }
    let heads = serve(&socket);
    let mut sent = 4;
    wait_for("a request by the socket", || {
        assert_eq!(gateway.request("GET", "/x", &fields).status(), 200);
        sent += 1;
        let is_call = |head: &String| head.starts_with("GET /x ");
        let asked = heads.lock().unwrap().iter().find(|head| is_call(head)).cloned();
        asked.inspect(|head| assert!(head.contains("\r\nhost: api.example.com\r\n"), "{head}"))
    });
    gateway.wait_recorded("acme", &[("completed", sent, sent)]);
}
