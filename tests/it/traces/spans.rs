//! What the spans say.

use serde_json::{Value, json};

use super::{start, tables};
use crate::{
    access_log::lines,
    support::{
        Exchange, Gateway, KEY, Then, Upstream,
        client::{bearer, head},
        collector::{Collector, Span, resource},
        upstream::OK,
        wait_for,
    },
};

fn upstream() -> Upstream {
    Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        match exchange.request().target() {
            "/missing" => exchange.send("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")?,
            "/reset" => return Ok(Then::Reset),
            "/silent" => return Ok(Then::Silence),
            "/cut" => {
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n01")?;
                return Ok(Then::Close);
            }
            _ => exchange.send(OK)?,
        }
        Ok(Then::KeepAlive)
    })
}

/// Gives some attributes of a span.
fn some(span: &Span, keys: &[&str]) -> Vec<Value> {
    keys.iter().map(|key| span.attribute(key)).collect()
}

#[test]
fn one_request_has_two_spans_that_say_all() {
    let (upstream, collector) = (upstream(), Collector::start());
    let gateway = start(&upstream, &collector, "service = \"shop\"");
    let secret = ["Host: API.Example.com:8402", &bearer(KEY), "X-Own: nothing-of-this"];
    let id = gateway.request("GET", "/a//b?q=nothing-of-this", &secret);
    let id = id.field("x-request-id").unwrap().to_owned();
    let spans = collector.wait_spans(2);
    let [server, client] = &spans[..] else { panic!("{spans:?}") };
    let port = upstream.address().port();
    assert_eq!((server.name.as_str(), server.kind, server.is_error), ("GET api", 2, false));
    let expected = json!({
        "client.address": "127.0.0.1", "faregate.customer": "acme", "faregate.ending": "completed",
        "faregate.key_id": "acme-1", "faregate.plan": "starter", "faregate.request_id": id,
        "faregate.units": 1, "http.request.method": "GET", "http.response.status_code": 200,
        "http.route": "/{*path}", "network.protocol.version": "1.1",
        "server.address": "api.example.com", "server.port": 8402, "url.path": "/a/b",
        "url.scheme": "http",
    });
    assert_eq!(json!(server.attributes), expected);
    assert_eq!((client.name.as_str(), client.kind, client.is_error), ("GET", 3, false));
    let expected = json!({
        "http.request.method": "GET", "http.response.status_code": 200,
        "network.protocol.version": "1.1", "server.address": "127.0.0.1", "server.port": port,
    });
    assert_eq!(json!(client.attributes), expected);
    assert!(server.start <= client.start && client.start <= client.end && client.end <= server.end);
    let body = &collector.requests()[0].body;
    assert_eq!(resource(body)["service.name"], "shop");
    assert_eq!(resource(body)["service.version"], env!("CARGO_PKG_VERSION"));
    assert!(!String::from_utf8_lossy(body).contains("nothing-of-this"));
}

/// One id stands in the answer, the line, the span, the journal and what the upstream is told, and it is
/// the trace's own.
#[test]
fn one_id_is_everywhere() {
    let (upstream, collector) = (upstream(), Collector::start());
    let gateway = start(&upstream, &collector, "");
    let mut client = gateway.client();
    client.send(head("GET", "/silent", &[&bearer(KEY)]));
    upstream.wait_for(1);
    let id = upstream.last().field("faregate-request-id").unwrap().to_owned();
    // The reservation is open, so it stands in the journal.
    let bytes = uuid_bytes(&id);
    let journal = gateway.directory().join("faregate.db.journal");
    let found = std::fs::read_dir(&journal).unwrap().any(|entry| {
        let content = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        content.windows(16).any(|window| window == bytes)
    });
    assert!(found, "{id} is not in the journal");
    drop(client);
    let line = &lines(&gateway, 1)[0];
    let spans = collector.wait_spans(2);
    assert_eq!((&line["request_id"], &line["ending"]), (&json!(id), &json!("abandoned")));
    assert_eq!(spans[0].attribute("faregate.request_id"), json!(id));
    assert_eq!(line["trace_id"], json!(id.replace('-', "")));
    assert!(spans.iter().all(|span| span.trace_id == id.replace('-', "")));
    // Nobody waited for the upstream any more; the caller has no answer.
    assert_eq!(some(&spans[1], &["error.type"]), [json!("canceled")]);
    assert_eq!(spans[0].attribute("http.response.status_code"), Value::Null);

    let answered = gateway.get("/x", KEY);
    let id = answered.field("x-request-id").unwrap();
    assert_eq!(collector.wait_spans(4)[2].attribute("faregate.request_id"), json!(id));
    assert_eq!(lines(&gateway, 2)[1]["request_id"], json!(id));
}

fn uuid_bytes(text: &str) -> Vec<u8> {
    let digits = text.replace('-', "");
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn endings_are_told_by_both_spans() {
    let (upstream, collector) = (upstream(), Collector::start());
    let gateway = start(&upstream, &collector, "");
    let server = ["http.response.status_code", "error.type", "faregate.code", "faregate.ending"];
    let client = ["http.response.status_code", "error.type"];
    let mut expected = 0;
    // Path, key; name and what the server's span says; what the client's says, if there is one.
    for (path, key, name, said, upstream_said) in [
        ("/x", KEY, "GET api", json!([200, null, null, "completed"]), Some(json!([200, null]))),
        (
            "/missing",
            KEY,
            "GET api",
            json!([404, null, null, "completed"]),
            Some(json!([404, "404"])),
        ),
        (
            "/reset",
            KEY,
            "GET api",
            json!([502, "upstream_error", "upstream_error", "failed"]),
            Some(json!([null, "upstream_error"])),
        ),
        (
            "/cut",
            KEY,
            "GET api",
            json!([200, "truncated", null, "truncated"]),
            Some(json!([200, null])),
        ),
        ("/x", "nobody", "GET api", json!([401, null, "invalid_api_key", "refused"]), None),
        ("/a%2f", KEY, "GET", json!([400, null, "invalid_path", "refused"]), None),
        ("/_faregate/usage", KEY, "GET", json!([200, null, null, null]), None),
        (
            "/free/x",
            KEY,
            "GET free",
            json!([200, null, null, "completed"]),
            Some(json!([200, null])),
        ),
    ] {
        let _ = gateway.get(path, key);
        let before = expected;
        expected += 1 + usize::from(upstream_said.is_some());
        let spans = collector.wait_spans(expected);
        let new = &spans[before..];
        assert_eq!(new.len(), expected - before, "{path}: {new:?}");
        assert_eq!((new[0].name.as_str(), json!(some(&new[0], &server))), (name, said), "{path}");
        assert_eq!(new[0].is_error, new[0].attributes.contains_key("error.type"), "{path}");
        let given = new.get(1).map(|span| json!(some(span, &client)));
        assert_eq!(given, upstream_said, "{path}");
    }
    gateway.request("BREW", "/x", &[&bearer(KEY)]);
    let spans = collector.wait_spans(expected + 2);
    let names = spans[expected..].iter().map(|span| span.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["HTTP api", "HTTP"], "methods are as many as callers think of");
    assert_eq!(spans[expected].attribute("http.request.method"), "_OTHER");
}

#[test]
fn overlooked_refusals_and_dead_upstreams_are_told() {
    let collector = Collector::start();
    let upstream = upstream();
    let tables = tables(&collector, "").replace("limit = 1000", "limit = 0");
    let gateway = Gateway::start(&tables, &upstream);
    gateway.changed("PUT", "/v1/enforcement", &json!({"enforce": false}));
    assert_eq!(gateway.get("/x", KEY).field("faregate-shadow"), Some("cost_exceeds_allowance"));
    let spans = collector.wait_spans(2);
    assert_eq!(spans[0].attribute("faregate.shadow"), "cost_exceeds_allowance");
    assert_eq!(spans[0].attribute("faregate.units"), 0);
    let dead = tables.replace("@UPSTREAM@", &Upstream::nowhere().to_string());
    gateway.write(&dead);
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    wait_for("a failure", || (gateway.get("/x", KEY).status() == 502).then_some(()));
    let spans = collector.wait_spans(4);
    let last = spans.iter().rev().find(|span| span.kind == 3).unwrap();
    assert_eq!((last.is_error, last.attribute("error.type")), (true, json!("upstream_error")));
}
