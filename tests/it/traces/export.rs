//! The way to the collector: what is tried again, what is given up, and that nobody waits for it.

use std::time::Duration;

use tokio::time::Instant;

use super::{counts, start, tables};
use crate::support::{Gateway, KEY, Upstream, collector::Collector, wait_for, wait_until_equal};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn message_is_sent_again_where_that_may_help() {
    for answer in [
        "HTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 504 No\r\nContent-Length: 0\r\n\r\n",
        // No answer at all.
        "",
    ] {
        let upstream = Upstream::ok();
        let collector =
            Collector::answering(move |index| if index == 0 { answer } else { OK }.to_owned());
        let gateway = start(&upstream, &collector, "");
        assert_eq!(gateway.get("/x", KEY).status(), 200);
        wait_until_equal(|| counts(&gateway), &[2, 0, 0]);
        let requests = collector.requests();
        assert_eq!(requests.len(), 2, "{answer}");
        assert_eq!(requests[0].body, requests[1].body);
    }
}

#[test]
fn what_is_refused_is_counted_and_not_sent_again() {
    let upstream = Upstream::ok();
    // Refused whole; refused in part; sent elsewhere; then taken.
    let collector = Collector::answering(|index| match index {
        0 => "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
        1 => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\x0a\x02\x08\x01".to_owned(),
        2 => "HTTP/1.1 307 No\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
        _ => OK.to_owned(),
    });
    let gateway = start(&upstream, &collector, "");
    for expected in [[0, 2, 0], [1, 3, 0], [1, 5, 0], [3, 5, 0]] {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
        wait_until_equal(|| counts(&gateway), &expected);
    }
    assert_eq!(collector.requests().len(), 4);
}

#[test]
fn headers_go_to_the_collector_alone() {
    let (upstream, collector) = (Upstream::ok(), Collector::start());
    let more = "headers = { authorization = { file = \"otlp-token\" }, x-tenant = \"t1\" }";
    let tables = tables(&collector, more);
    let file = ("otlp-token", "Bearer s3cr3t-of-the-collector");
    let gateway = Gateway::start_with_file("2026-11-20T12:00:00Z", &tables, &upstream, file);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    collector.wait_spans(2);
    let request = &collector.requests()[0];
    assert_eq!(request.field("authorization"), Some("Bearer s3cr3t-of-the-collector"));
    assert_eq!(request.field("x-tenant"), Some("t1"));
    assert!(request.field("user-agent").unwrap().starts_with("faregate/"));
    assert_eq!(upstream.last().field("x-tenant"), None);
    let config = gateway.admin("GET", "/v1/config").json();
    assert_eq!(config["traces"]["headers"]["authorization"], "***");
}

/// Requests are served as ever, a stop takes no longer than it may, and what was lost is counted.
#[test]
fn collector_that_is_away_or_silent_holds_nobody_up() {
    let away = Collector::start();
    let nowhere = Upstream::nowhere();
    for silent in [false, true] {
        let upstream = Upstream::ok();
        let collector = if silent { Collector::silent() } else { Collector::start() };
        let mut tables = tables(&collector, "");
        if !silent {
            tables = tables.replace(&collector.address().to_string(), &nowhere.to_string());
        }
        let mut gateway = Gateway::start(&tables, &upstream);
        let mut client = gateway.client();
        for _ in 0..200 {
            let begun = Instant::now();
            assert_eq!(client.get("/free/x", KEY).status(), 200);
            assert!(begun.elapsed() < Duration::from_secs(1));
        }
        if silent {
            collector.wait_requests(1);
        }
        assert_eq!(counts(&gateway)[0], 0);
        let counters = std::sync::Arc::clone(gateway.running().gateway().span_counters());
        let begun = Instant::now();
        gateway.stop();
        assert!(begun.elapsed() < Duration::from_millis(3500), "{:?}", begun.elapsed());
        assert_eq!(counters.dropped.load(std::sync::atomic::Ordering::Relaxed), 400, "{silent}");
    }
    assert_eq!(away.requests().len(), 0);
}

/// A stop sends what was collected, at once and not after the delay.
#[test]
fn stop_sends_what_is_collected() {
    let (upstream, collector) = (Upstream::ok(), Collector::start());
    let mut gateway = start(&upstream, &collector, "");
    for _ in 0..20 {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
    }
    let begun = Instant::now();
    gateway.stop();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(collector.spans().len(), 40);
}

/// Of the requests that come without a decision the share that was asked for is sampled.
#[test]
fn share_is_sampled() {
    let (upstream, collector) = (Upstream::ok(), Collector::start());
    let gateway = start(&upstream, &collector, "sample = \"25%\"");
    let mut client = gateway.client();
    for _ in 0..400 {
        assert_eq!(client.get("/free/x", KEY).status(), 200);
    }
    let told = upstream.requests();
    let sampled = told.iter().filter(|r| r.field("traceparent").unwrap().ends_with("-01")).count();
    assert!((60..=140).contains(&sampled), "{sampled} of 400");
    let spans = wait_for("every span", || {
        let spans = collector.spans();
        (spans.len() == 2 * sampled).then_some(spans)
    });
    let mut ids: Vec<_> = spans.iter().map(|span| &span.span_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2 * sampled, "no span id twice");
}
