//! WebSockets whose time is paid for, each stretch before it begins.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{NOW, ask, closed, open, recorder, say, tables_by, text};
use crate::{
    access_log,
    support::{Gateway, KEY, wait_for, wait_until_equal},
};

#[test]
fn each_stretch_of_time_costs_what_a_request_does() {
    let (upstream, received) = recorder();
    let tables = tables_by("1s", ["", "concurrency = 1", ""]).replace("limit = 10", "limit = 6");
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let begun = Instant::now();
    let mut client = gateway.client();
    ask(&mut client, KEY, &[]);
    let answer = client.head();
    assert_eq!((answer.status, answer.field("faregate-cost")), (101, Some("2")));
    // Messages are free, and silence is not.
    for length in 0..20 {
        say(&mut client, &text(length));
    }
    assert_eq!(gateway.used("acme"), (0, 2));
    wait_until_equal(|| gateway.used("acme"), &(2, 2));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    say(&mut client, &text(20));
    assert_eq!(gateway.get("/chat", KEY).verdict(), "429 too_many_concurrent");
    wait_until_equal(|| gateway.used("acme"), &(4, 2));
    assert_eq!(closed(&mut client), (1008, "quota_exceeded".to_owned()));
    let lasted = begun.elapsed();
    assert!(lasted >= Duration::from_secs(3), "what was paid for is served: {lasted:?}");
    let said: Vec<u8> = (0..21).flat_map(text).collect();
    received.wait_ended(&said, 1008, "quota_exceeded");
    gateway.wait_recorded("acme", &[("completed", 3, 6)]);
    assert_eq!(gateway.used("acme"), (6, 0));
    let is_it = |line: &serde_json::Value| line["status"] == 101;
    let line = wait_for("the line", || access_log::lines(&gateway, 0).into_iter().find(is_it));
    assert_eq!((&line["charged"], &line["code"]), (&json!(6), &json!("quota_exceeded")));
}

#[test]
fn who_cannot_pay_for_the_first_stretch_opens_none() {
    let (upstream, _) = recorder();
    let tables = tables_by("1s", [""; 3]).replace("limit = 10", "limit = 1");
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let mut client = gateway.client();
    ask(&mut client, KEY, &[]);
    assert_eq!(client.response().verdict(), "402 cost_exceeds_allowance");
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
}

/// Who takes nothing pays for the time as well.
#[test]
fn nothing_is_charged_after_the_end() {
    let (upstream, _) = recorder();
    let gateway = Gateway::start_at(NOW, &tables_by("1s", [""; 3]), &upstream);
    drop(open(&gateway));
    gateway.wait_recorded("acme", &[("completed", 1, 2)]);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(gateway.used("acme"), (2, 0));
}
