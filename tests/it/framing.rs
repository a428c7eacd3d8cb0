//! What may be read in two ways, byte by byte: bytes that separate where they should not, in every place of
//! a head (RFC 9112 sections 2.2, 3, 5.1, 5.5; RFC 9110 section 5.5).

use crate::support::{
    Gateway, KEY, Upstream,
    client::{bearer, head},
};

const NOW: &str = "2026-11-20T12:00:00Z";

const TABLES: &str = r#"
[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
path = "/v1/{*rest}"
upstream = "api"

[plans.starter]
quotas = [{ limit = 1000, window = "month" }]

[customers.acme]
plan = "starter"
keys = ["key:key-of-acme"]
"#;

/// A request with a byte put in at a place, and a second one behind it.
fn with(text: &str, at: usize, byte: u8) -> Vec<u8> {
    let (before, behind) = text.split_at(at);
    let hidden = head("GET", "/v1/hidden", &[&bearer(KEY)]);
    [before.as_bytes(), &[byte], behind.as_bytes(), hidden.as_bytes()].concat()
}

/// Every control byte in every place is refused and the connection closed, or it is where it may be: white
/// space around a value, an empty line ahead. Then the upstream gets requests without it.
#[test]
fn control_bytes_pass_nowhere() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, TABLES, &upstream);
    let text = head("GET", "/v1/a?b=c", &["X-Some: value of it", &bearer(KEY)]);
    let value = |name: &str| {
        let begin = text.find(name).unwrap() + name.len();
        begin..begin + text[begin..].find("\r\n").unwrap() + 1
    };
    let values = [value("Host:"), value("X-Some:"), value("Authorization:")];
    let (mut refused, mut passed) = (0, 0);
    for byte in (0..0x20).chain([0x7f]) {
        for at in 0..text.len() - 1 {
            upstream.forget();
            let mut client = gateway.client();
            let _ = client.try_send(with(&text, at, byte));
            client.finish_if_open();
            let answers = String::from_utf8(client.drain()).unwrap();
            // What is white space in a value is read in one way alone, so the connection goes on.
            let is_value = byte == b'\t' && values.iter().any(|value| value.contains(&at));
            let is_refused = answers.starts_with("HTTP/1.1 400 ") && !is_value;
            let case = format!("{byte:#04x} before {:?}: {answers:?}", &text[at..]);
            if is_refused {
                assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{case}");
                assert!(answers.contains("\r\nconnection: close\r\n"), "{case}");
                assert_eq!(upstream.count(), 0, "{case}");
                refused += 1;
                continue;
            }
            assert!(is_value, "{case}");
            passed += 1;
        }
    }
    let places = values.iter().map(|value| value.len()).sum::<usize>();
    assert_eq!((refused, passed), (33 * (text.len() - 1) - places, places));
}

/// Bytes beyond ASCII are no names, methods or targets; in a value they are opaque and pass (RFC 9110 section 5.5).
#[test]
fn bytes_beyond_ascii_pass_in_values_alone() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, TABLES, &upstream);
    let text = head("GET", "/v1/a", &["X-Some: value", &bearer(KEY)]);
    for byte in [0x80, 0xa0, 0xc3, 0xff] {
        for at in [0, 1, text.find(" HTTP").unwrap(), text.find("Some").unwrap()] {
            let mut client = gateway.client();
            let _ = client.try_send(with(&text, at, byte));
            assert_eq!(client.response().verdict(), "400 invalid_request", "{byte:#04x} at {at}");
        }
    }
    assert_eq!(upstream.count(), 0);
}
