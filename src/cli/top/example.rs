//! Documents of a gateway that is busy, one second apart.

use serde_json::{Value, json};

use crate::live::Document;

/// Gives two documents.
pub(super) fn documents() -> [Document; 2] {
    [first(), second()].map(read)
}

/// Gives two documents of a gateway that nobody has called.
pub(super) fn empty() -> [Document; 2] {
    let at = |seconds: f64| {
        let mut document = frame(seconds);
        document["busiest"]["seconds"] = json!(seconds.min(0.75));
        read(document)
    };
    [at(5.0), at(6.0)]
}

/// Reads a document.
pub(super) fn read(document: Value) -> Document {
    serde_json::from_value(document).unwrap()
}

/// Gives the first as JSON, to be changed.
pub(super) fn first() -> Value {
    let mut document = frame(7_265.5);
    document["requests"] = json!([
        outcome(200, None, "completed", 1_000_000),
        outcome(402, Some("quota_exceeded"), "refused", 5_000),
        outcome(401, Some("invalid_api_key"), "refused", 40),
        outcome(502, Some("upstream_error"), "failed", 2),
    ]);
    document["units"] = json!(2_000_000);
    document["gateway_duration"] = histogram([0, 900_000, 100_000, 5_042, 0]);
    document["request_duration"] = histogram([0, 0, 500_000, 505_042, 0]);
    document["routes"] = json!([
        route("forecast", &outcome(200, None, "completed", 600_000)),
        route("reports", &outcome(200, None, "completed", 400_000)),
    ]);
    document["upstreams"] = json!([endpoint("weather", "10.0.0.5:9000", "up", 1_000_000, 2)]);
    document
}

/// Gives the second as JSON, to be changed.
pub(super) fn second() -> Value {
    let mut document = frame(7_266.5);
    document["requests"] = json!([
        outcome(200, None, "completed", 1_001_234),
        outcome(402, Some("quota_exceeded"), "refused", 5_050),
        outcome(401, Some("invalid_api_key"), "refused", 40),
        outcome(502, Some("upstream_error"), "failed", 3),
    ]);
    document["units"] = json!(2_002_468);
    document["gateway_duration"] = histogram([0, 901_100, 100_180, 5_047, 0]);
    document["request_duration"] = histogram([0, 0, 501_000, 505_327, 0]);
    document["routes"] = json!([
        route("forecast", &outcome(200, None, "completed", 601_000)),
        route("reports", &outcome(200, None, "completed", 400_234)),
    ]);
    document["upstreams"] = json!([
        endpoint("billing", "10.0.0.6:9000", "down", 0, 0),
        endpoint("weather", "10.0.0.5:9000", "up", 1_001_234, 3),
    ]);
    document["connections"] =
        json!({"accepted": 5000, "head": 1, "idle": 22, "request": 12, "limit": 10_000});
    document["reservations_open"] = json!(12);
    document["process"]["cpu_seconds"] = json!(1_000.23);
    let customer = |customer, requests, refusals, units| {
        json!({"customer": customer,
        "requests": requests, "refusals": refusals, "units": units})
    };
    document["busiest"] = json!({
        "seconds": 10.0,
        "customers": [
            customer("acme", 8_000, 0, 16_000),
            customer("globex", 3_000, 0, 6_000),
            customer("initrode", 500, 500, 0),
        ],
        "others": {"requests": 840, "refusals": 0, "units": 1_680},
        "unknown": {"requests": 10, "refusals": 10, "units": 0},
    });
    document["quotas"]["items"] = json!([
        quota("acme", "monthly", None, 100_000, 91_234),
        quota("globex", "daily", Some("application/mobile"), 5_000_000, 4_000_000),
        quota("initrode", "yearly", None, 1_000, 1_000),
    ]);
    document
}

/// Gives a document in which nothing was counted.
fn frame(uptime_seconds: f64) -> Value {
    let nothing = json!({"bounds_us": [], "counts": [], "sum_us": 0});
    let none = json!({"requests": 0, "refusals": 0, "units": 0});
    json!({
        "time": "2026-11-20T14:44:28Z", "started_at": "2026-11-20T12:43:23Z",
        "uptime_seconds": uptime_seconds, "version": "0.1.0", "enforcing": true,
        "requests": [], "units": 0, "gateway_duration": nothing, "request_duration": nothing,
        "routes": [],
        "connections": {"accepted": 0, "head": 0, "idle": 0, "request": 0, "limit": 10_000},
        "reservations_open": 0,
        "books": {"unfolded_bytes": 12_800, "fold_lag_seconds": 0.118, "store_up": true},
        "upstreams": [],
        "process": {"cpu_seconds": 1_000.0, "resident_bytes": 47_185_920, "open_fds": 88,
            "max_fds": 1024},
        "busiest": {"seconds": 0.0, "customers": [], "others": none, "unknown": none},
        "quotas": {"items": []},
    })
}

/// Gives requests that ended alike.
pub(super) fn outcome(status: u16, code: Option<&str>, ending: &str, requests: u64) -> Value {
    json!({"status": status, "code": code, "ending": ending, "requests": requests})
}

/// Gives a quota.
pub(super) fn quota(
    customer: &str,
    quota: &str,
    scope: Option<&str>,
    limit: u64,
    used: u64,
) -> Value {
    json!({"customer": customer, "quota": quota, "scope": scope, "limit": limit, "used": used,
        "reserved": 0, "remaining": limit - used, "renews_at": "2026-12-01T00:00:00Z"})
}

fn histogram(counts: [u64; 5]) -> Value {
    json!({"bounds_us": [20, 100, 1_000, 10_000], "counts": counts, "sum_us": 1})
}

fn route(name: &str, outcome: &Value) -> Value {
    let requests = outcome["requests"].as_u64().unwrap();
    let (few, many) = (histogram([0, requests, 0, 0, 0]), histogram([0, 0, 0, requests, 0]));
    json!({"route": name, "requests": [outcome], "units": 2 * requests, "gateway_duration": few,
        "request_duration": many})
}

fn endpoint(upstream: &str, endpoint: &str, state: &str, answered: u64, failed: u64) -> Value {
    let duration = histogram([0, 0, answered, 0, 0]);
    json!({"upstream": upstream, "endpoint": endpoint, "state": state, "answered": answered,
        "failed": failed, "timed_out": 0, "unreachable": 0, "busy": 12, "idle": 4,
        "duration": duration})
}
