//! What passes by way of TLS: large bodies, WebSocket, and an end that is one.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection};

use super::*;
use crate::support::client::{bearer, head};

#[test]
fn large_bodies_pass_both_ways() {
    const BYTES: usize = 9_000_000;
    let ours = Authority::new("ours");
    let body: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let answered = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
    let answer = [answered.into_bytes(), body.clone()].concat();
    let upstream = Upstream::start(move |connection| {
        connection.read_body()?;
        connection.send(&answer)?;
        Ok(Then::KeepAlive)
    });
    let front = Front::start(ours.leaf(&["api.test"]).server(), &upstream);
    let gateway = start(&front, NAMED, &[("ca.pem", &ours.pem())]);
    let mut client = gateway.client();
    for used in 1..=2 {
        client.send(head("POST", "/x", &[&bearer(KEY), &format!("Content-Length: {BYTES}")]));
        client.send(&body);
        // The answer waits for its reader.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let response = client.response();
        assert!(response.whole && response.body == body);
        assert_eq!(upstream.last().body_bytes, BYTES as u64);
        gateway.wait_used("acme", used);
    }
    assert_eq!(front.seen().len(), 1);
}

#[test]
fn websocket_passes_both_ways() {
    let ours = Authority::new("ours");
    let upstream = Upstream::start(|exchange| {
        exchange.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )?;
        loop {
            let bytes = exchange.read_some()?;
            if bytes.is_empty() {
                return Ok(Then::Close);
            }
            exchange.send(bytes)?;
        }
    });
    let front = Front::start(ours.leaf(&["api.test"]).server(), &upstream);
    let gateway = start(&front, NAMED, &[("ca.pem", &ours.pem())]);
    let mut client = gateway.client();
    let key = bearer(KEY);
    let fields = [
        &*key,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    client.send(head("GET", "/x", &fields));
    assert_eq!(client.head().status, 101);
    for round in 0..50_u8 {
        // A masked binary frame of 126 bytes; its mask is zero.
        let frame = [&[0x82, 0xfe, 0, 126, 0, 0, 0, 0][..], &[round; 126]].concat();
        client.send(&frame);
        assert_eq!(client.exactly(frame.len()), frame);
    }
    drop(client);
    upstream.wait_closed(1);
    gateway.wait_used("acme", 1);
}

/// A server that answers each connection's first request with these bytes and then ends it, with or without
/// the word that nothing was cut off.
fn ending(config: ServerConfig, answer: &'static str, is_told: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut bytes = [0; 1024];
                let Ok(count @ 1..) = stream.read(&mut bytes) else { break };
                request.extend(&bytes[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            if is_told {
                stream.conn.send_close_notify();
            }
            let _ = stream.flush();
            while stream.conn.wants_write() {
                stream.conn.write_tls(stream.sock).unwrap();
            }
        }
    });
    address
}

/// An answer that ends with its connection may have been cut by anybody, unless its end is told within TLS
/// (RFC 9112 section 9.8).
#[test]
fn answer_that_ends_without_a_word_is_cut() {
    const OPEN_END: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf";
    const SIZED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhalf";
    const HALF_HEAD: &str = "HTTP/1.1 200 OK\r\nConte";
    for (answer, is_told, verdict, is_whole, ending_name, units) in [
        (OPEN_END, true, "200", true, "completed", 1),
        (OPEN_END, false, "200", false, "truncated", 1),
        // Its length says where it ends.
        (SIZED, false, "200", true, "completed", 1),
        (HALF_HEAD, false, "502 upstream_error", true, "failed", 0),
    ] {
        let ours = Authority::new("ours");
        let address = ending(ours.leaf(&["api.test"]).server(), answer, is_told);
        let tables = at(&format!("https://{address}"), NAMED);
        let gateway = start_on(&tables, &[("ca.pem", &ours.pem())]);
        let answer = gateway.get("/x", KEY);
        assert_eq!(answer.verdict(), verdict);
        assert_eq!(answer.whole, is_whole, "{ending_name}");
        if verdict == "200" {
            assert_eq!(answer.text(), "half");
        }
        gateway.wait_recorded("acme", &[(ending_name, 1, units)]);
    }
}
