//! Upstreams that are not believed: nothing is sent to them, nobody pays, and the log says why.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;
use crate::process;

/// An upstream that is not believed.
struct Doubted {
    name: &'static str,
    address: SocketAddr,
    verdict: &'static str,
    /// What the log says of it.
    words: &'static str,
}

/// A server that reads something, says these bytes and ends the connection.
fn saying(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&bytes);
            // Without that the rest of what came would have the system take it back.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

/// A server that takes connections and says nothing.
fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let held: Vec<_> = listener.incoming().collect();
        drop(held);
    });
    address
}

/// The answer of a server that speaks TLS 1.1 and nothing newer.
fn hello_of_tls11() -> Vec<u8> {
    // The version, 32 bytes by chance, no session, AES 128 CBC, no compression.
    let hello = [&[3, 2][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
    let length = hello.len() as u8;
    [&[22, 3, 2, 0, length + 4, 2, 0, 0, length][..], &hello].concat()
}

/// All of them. Those that get as far as a handshake stand before `upstream`.
fn doubted(ours: &Authority, upstream: &Upstream) -> Vec<Doubted> {
    let dated = |from: i32, to: i32| {
        let mut params = CertificateParams::new(vec!["api.test".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        ours.leaf_of(&params)
    };
    let alone = {
        let (params, key) =
            (CertificateParams::new(vec!["api.test".to_owned()]), KeyPair::generate());
        let key = key.unwrap();
        Leaf { cert: params.unwrap().self_signed(&key).unwrap(), key }
    };
    let shown = [
        ("expired", dated(2020, 2021), "its certificate ended on 2021-01-01T00:00:00Z"),
        (
            "not valid yet",
            dated(2090, 2091),
            "its certificate is valid from 2090-01-01T00:00:00Z on",
        ),
        (
            "another host's",
            ours.leaf(&["other.test", "*.other.test"]),
            "is not for api.test, but for other.test, *.other.test",
        ),
        ("self-signed", alone, "nobody who is trusted vouches for its certificate"),
        (
            "somebody else's",
            Authority::new("others").leaf(&["api.test"]),
            "nobody who is trusted vouches for its certificate",
        ),
    ];
    let shown = shown.into_iter().map(|(name, leaf, words)| {
        (name, Front::start(leaf.server(), upstream).address(), "502 upstream_error", words)
    });
    let said = [
        ("TLS 1.1", saying(hello_of_tls11()), "502 upstream_error", "it speaks no version"),
        (
            "TLS 1.1, told",
            saying(vec![21, 3, 2, 0, 2, 2, 70]),
            "502 upstream_error",
            "it speaks no version of TLS that is spoken here (see `min_version`)",
        ),
        (
            "no suite in common",
            saying(vec![21, 3, 3, 0, 2, 2, 40]),
            "502 upstream_error",
            "it refuses the handshake (HandshakeFailure)",
        ),
        (
            "HTTP in clear",
            saying(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
            "502 upstream_error",
            "what it says is no TLS; where it speaks HTTP in clear, write http:// in the URL",
        ),
        (
            "nothing at all",
            saying(Vec::new()),
            "502 upstream_error",
            "it closed the connection during the handshake",
        ),
        ("silence", silent(), "504 upstream_timeout", "its TLS handshake did not end in time"),
    ];
    let all = shown.chain(said);
    all.map(|(name, address, verdict, words)| Doubted { name, address, verdict, words }).collect()
}

#[test]
fn nothing_is_sent_to_them_and_nobody_pays() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    for Doubted { name, address, verdict, .. } in doubted(&ours, &upstream) {
        let lines = format!("{NAMED}\nconnect_timeout = \"300ms\"");
        let tables = at(&format!("https://{address}"), &lines);
        let gateway = start_on(&tables, &[("ca.pem", &ours.pem())]);
        let mut client = gateway.client();
        let refused = client.get("/x", KEY);
        assert_eq!(refused.verdict(), verdict, "{name}");
        // The reason is the operator's.
        assert!(!refused.text().contains("certificate"), "{}", refused.text());
        gateway.wait_recorded("acme", &[("unsent", 1, 0)]);
        assert_eq!(handshakes(&gateway, "failed"), Some(1.0), "{name}");
        let unreachable = "result=\"unreachable\"";
        let counted = metric(&gateway, "faregate_upstream_requests_total", unreachable);
        assert_eq!(counted, Some(1.0), "{name}");
        // The caller's connection is as good as before.
        assert_eq!(client.get("/x", "wrong").verdict(), "401 invalid_api_key");
    }
    assert_eq!((upstream.count(), upstream.connections()), (0, 0));
}

/// What the log says is what the operator has.
#[test]
fn log_says_why() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let all = doubted(&ours, &upstream);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.pem"), ours.pem()).unwrap();
    let (address, admin) = (process::free_address(), process::free_address());
    let mut text = format!("[server]\nlisten = \"{address}\"\n[admin]\nlisten = \"{admin}\"\n");
    for (index, Doubted { address, .. }) in all.iter().enumerate() {
        text += &format!(
            "[upstreams.u{index}]\nurl = \"https://{address}\"\n{NAMED}\nconnect_timeout = \"300ms\"\n\
             [[routes]]\npath = \"/{index}\"\nupstream = \"u{index}\"\naccess = \"public\"\n"
        );
    }
    std::fs::write(directory.path().join("faregate.toml"), text).unwrap();
    let gateway = process::Gateway::start(directory.path(), address, admin);
    for (index, Doubted { name, verdict, words, .. }) in all.iter().enumerate() {
        let answer = process::get(address, &format!("/{index}"), &[]).unwrap();
        let status = verdict.split(' ').next().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
        let told = crate::support::wait_for(name, || {
            let log = gateway.log();
            let of = format!("upstream=u{index} ");
            let mut lines = log.lines().filter(|line| line.contains("cannot be reached"));
            lines.find(|line| line.contains(&of)).map(ToOwned::to_owned)
        });
        assert!(told.contains(words), "{name}: {told}");
    }
}
