use std::{path::Path, sync::Arc, time::Duration};

use uuid::Uuid;

use super::*;
use crate::{config::Loaded, model::Route, telemetry::access_log::Line};

fn route() -> Arc<Route> {
    let text = "[server]\nlisten = \"127.0.0.1:0\"\n[upstreams.api]\nurl = \"http://10.0.0.7:9000/b\"\n\
                [[routes]]\nname = \"things\"\npath = \"/v1/{*rest}\"\nupstream = \"api\"\n";
    let config = Loaded::parse(text, Path::new("faregate.toml")).into_config().unwrap();
    Arc::clone(&config.routes[0])
}

fn name(text: &str) -> Option<&'static Arc<str>> {
    Some(Box::leak(Box::new(text.into())))
}

fn line() -> Line<'static> {
    Line {
        time: "2026-11-20T14:41:25.5Z".parse().unwrap(),
        request_id: Uuid::from_u128(0x019a_a10d_2c5f_7000_8000_0000_0000_0001),
        outward_id: None,
        trace_id: None,
        client: "192.0.2.1".parse().unwrap(),
        method: "GET",
        path: "/v1/things",
        route: name("things"),
        customer: name("acme"),
        application: name("mobile"),
        key_id: name("acme-key"),
        plan: name("pro"),
        status: 200,
        code: None,
        shadow: None,
        ending: Some("completed"),
        charged: 300,
        credit: None,
        bytes: 80,
        duration: Duration::from_millis(20),
    }
}

fn record(line: &Line<'_>, spans: Spans) -> Record {
    let (trace, upstream) = (TraceId([0x11; 16]), SpanId([0x33; 8]));
    Record::new(trace, upstream, Box::new(spans), line)
}

fn spans() -> Spans {
    Spans {
        server: SpanId([0x22; 8]),
        parent: None,
        linked: None,
        version: http::Version::HTTP_11,
        authority: None,
        route: None,
        call: None,
    }
}

fn records() -> Vec<Record> {
    let ended = Some((Duration::from_millis(15), Outcome::Status(404)));
    let full = Spans {
        parent: Some(SpanId([0x44; 8])),
        authority: Some("[2001:db8::1]:8402".to_owned()),
        route: Some(route()),
        call: Some(Call { begun: Duration::from_millis(2), endpoint: 0, ended }),
        ..spans()
    };
    let path = format!("/{}é", "x".repeat(1022));
    let refused = Line {
        method: "BREW",
        path: &path,
        client: "::ffff:192.0.2.9".parse().unwrap(),
        route: None,
        customer: None,
        application: None,
        key_id: None,
        plan: None,
        status: 503,
        code: Some("overloaded"),
        shadow: Some("quota_exceeded"),
        ending: Some("refused"),
        charged: 0,
        credit: None,
        ..line()
    };
    let linked = Some((TraceId([0x55; 16]), SpanId([0x66; 8])));
    let brief = Spans { linked, version: http::Version::HTTP_10, ..spans() };
    vec![record(&line(), full), record(&refused, brief)]
}

/// The bytes were written by another implementation, Python's `opentelemetry-proto`, from the same
/// values.
#[test]
fn message_is_what_another_implementation_writes() {
    let expected: String = include_str!("message.hex").split_whitespace().collect();
    let bytes = request("shop", &records());
    let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(version.len(), 5, "the version stands in the bytes with its length");
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(written, expected.replace(&hex("0.1.0"), &hex(version)));
    let counts: Vec<u64> = records().iter().map(Record::spans).collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn failures_are_told_where_they_are() {
    let error = |status, code, ending| {
        let line = Line { status, code, ending: Some(ending), ..line() };
        error_of(&record(&line, spans()))
    };
    assert_eq!(error(200, None, "completed"), None);
    assert_eq!(error(402, Some("quota_exceeded"), "refused"), None, "the caller's doing");
    assert_eq!(error(0, None, "abandoned"), None, "the caller's doing");
    assert_eq!(error(502, Some("upstream_error"), "failed").unwrap(), "upstream_error");
    assert_eq!(error(500, None, "uncharged").unwrap(), "500");
    assert_eq!(error(200, None, "truncated").unwrap(), "truncated");
    assert_eq!(error(200, None, "expired").unwrap(), "expired");
    assert_eq!(error(0, None, "faulted").unwrap(), "faulted");
    let names = crate::answer::Ending::ALL.map(crate::answer::Ending::name);
    assert!(FAILED.iter().all(|failed| names.contains(failed)));
}

#[test]
fn partial_success_is_read() {
    for (answer, refused) in [
        (&b""[..], 0),
        (b"\x0a\x00", 0),
        (b"\x0a\x02\x08\x05", 5),
        (b"\x0a\x07\x08\x80\x01\x12\x02no", 128),
        (b"\x0a\x04\x12\x02no", 0),
        (b"{\"partialSuccess\": {}}", 0),
    ] {
        assert_eq!(rejected(answer), refused, "{answer:?}");
    }
}

#[test]
fn ports_are_split_off() {
    for (authority, host, port) in [
        ("api.example.com", "api.example.com", None),
        ("api.example.com:8402", "api.example.com", Some(8402)),
        ("192.0.2.1:80", "192.0.2.1", Some(80)),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("[2001:db8::1]:1", "2001:db8::1", Some(1)),
    ] {
        assert_eq!(split_port(authority), (host, port), "{authority}");
    }
}
