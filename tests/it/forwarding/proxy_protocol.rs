//! Connections that begin with a header of the PROXY protocol.

use std::time::Duration;

use super::start;
use crate::{
    access_log::lines,
    support::{
        Client, Gateway, KEY,
        client::{bearer, head},
        wait_until_equal,
    },
};

const SERVER: &str = "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\nproxy_protocol = true\n\
                      limits = { header_timeout = \"300ms\" }";

const V1: &str = "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n";

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

fn v2_of_client() -> Vec<u8> {
    // Addresses, ports, and a value of a type that nobody has defined.
    v2(0x21, 0x11, &[203, 0, 113, 9, 198, 51, 100, 1, 220, 4, 1, 187, 0xea, 0, 2, 1, 2])
}

/// Serves with a key that is bound to the client's network.
fn request() -> String {
    head("GET", "/x", &[&bearer("bound")])
}

fn assert_unparsable(gateway: &Gateway, count: usize) {
    let counted = || {
        let metrics = gateway.admin("GET", "/metrics");
        let line = metrics
            .text()
            .lines()
            .find(|line| line.starts_with("faregate_unparsable_requests_total "));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    wait_until_equal(counted, &count.to_string());
}

#[test]
fn client_is_the_one_that_the_header_names() {
    let (gateway, upstream) = start(SERVER);
    for header in [V1.as_bytes().to_vec(), v2_of_client()] {
        // Together with the first request, and for the second one too.
        let mut client = gateway.client();
        client.send([&header[..], request().as_bytes()].concat());
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.last().field("x-forwarded-for"), Some("203.0.113.9"));
        client.send(request());
        assert_eq!(client.response().status(), 200);

        // A byte at a time.
        let mut client = gateway.client();
        for byte in [&header[..], request().as_bytes()].concat() {
            client.send([byte]);
        }
        assert_eq!(client.response().status(), 200);
    }
    for line in lines(&gateway, 6) {
        assert_eq!(line["client"], "203.0.113.9");
    }
    gateway.wait_used("bound", 6);
    assert_unparsable(&gateway, 0);
}

#[test]
fn proxy_that_speaks_for_itself_is_the_client() {
    let (gateway, upstream) = start(SERVER);
    let local = v2(0x20, 0x11, &[203, 0, 113, 9, 198, 51, 100, 1, 220, 4, 1, 187]);
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), local, v2(0x21, 0x00, b"")] {
        let mut client = gateway.client();
        client.send([&header[..], head("GET", "/x", &[&bearer(KEY)]).as_bytes()].concat());
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.last().field("x-forwarded-for"), Some("127.0.0.1"));
    }
}

/// The client of the header may be a proxy in turn, and is believed only if it is trusted.
#[test]
fn fields_are_believed_of_the_client_that_the_header_names() {
    let (gateway, upstream) = start(SERVER);
    for (source, chain) in [("10.0.0.2", "203.0.113.9, 10.0.0.2"), ("198.51.100.7", "198.51.100.7")]
    {
        let mut client = gateway.client();
        client.send(format!("PROXY TCP4 {source} 198.51.100.1 1 443\r\n"));
        let fields = ["X-Forwarded-For: 203.0.113.9", &bearer(KEY)];
        assert_eq!(client.request("GET", "/x", &fields).status(), 200);
        assert_eq!(upstream.last().field("x-forwarded-for"), Some(chain));
    }
}

#[test]
fn who_is_no_proxy_is_closed_with_and_without_a_header() {
    let (gateway, upstream) = start(SERVER);
    let address = gateway.running().address();
    for bytes in [request(), format!("{V1}{}", request()), String::new()] {
        let mut client = Client::connect_from([127, 0, 0, 2], address);
        let _ = client.try_send(&bytes);
        client.expect_closed();
    }
    assert_eq!((upstream.count(), gateway.used("bound")), (0, (0, 0)));
}

#[test]
fn proxy_without_a_good_header_is_closed() {
    let (gateway, upstream) = start(SERVER);
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    let bad = [
        request().into_bytes(),
        b"PROXY TCP4 203.0.113.9 198.51.100.1 56324\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n".to_vec(),
        long.into_bytes(),
        v2(0x22, 0x11, &[0; 12]),
        v2(0x21, 0x11, &[0; 11]),
        v2(0x21, 0x00, &[0; 9000]),
    ];
    for bytes in &bad {
        let mut client = gateway.client();
        let _ = client.try_send(bytes);
        let _ = client.try_send(request());
        client.expect_closed();
    }
    assert_unparsable(&gateway, bad.len());
    // Closed early, or late: no mistake of anybody's.
    let mut client = gateway.client();
    client.send(&V1[..20]);
    client.finish();
    client.expect_closed();
    let mut client = gateway.client();
    client.send(&V1[..20]);
    client.expect_closed();
    gateway.client().expect_closed();
    assert_unparsable(&gateway, bad.len());
    assert_eq!((upstream.count(), gateway.used("bound")), (0, (0, 0)));
}

/// A stop does not wait for a header.
#[test]
fn stop_closes_who_has_not_said_anything() {
    let server = "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true\n\
                  limits = { header_timeout = \"1h\" }";
    let (mut gateway, _upstream) = start(server);
    let mut client = gateway.client();
    client.send(&V1[..20]);
    client.expect_silence(Duration::from_millis(50));
    gateway.stop();
    client.expect_closed();
}

/// Where it is not asked for, the header is no request.
#[test]
fn header_that_nobody_asked_for_is_refused() {
    let (gateway, upstream) = start("trusted_proxies = [\"127.0.0.1\"]");
    for header in [V1.as_bytes().to_vec(), v2_of_client()] {
        let mut client = gateway.client();
        client.send([&header[..], request().as_bytes()].concat());
        let refused = client.response();
        assert_eq!(refused.verdict(), "400 invalid_request");
        assert_eq!(refused.field("connection"), Some("close"));
    }
    assert_eq!((upstream.count(), gateway.used("bound")), (0, (0, 0)));
}
