//! WebSockets whose messages are paid for, each before it goes up.

use std::time::Duration;

use serde_json::{Value, json};

use super::{HANDSHAKE, NOW, Received, ask, closed, frame, open, recorder, say, tables_by, text};
use crate::{
    access_log, explain,
    support::{Client, Gateway, KEY, Then, Upstream, client::bearer, upstream::OK, wait_for},
};

/// Starts a gateway that charges two units for a message, of ten.
fn by_message(more: [&str; 3]) -> (Gateway, Upstream, Received) {
    let (upstream, received) = recorder();
    (Gateway::start_at(NOW, &tables_by("message", more), &upstream), upstream, received)
}

/// Gives the only line of the access log about a WebSocket, and asserts that the explanation agrees.
fn line(gateway: &Gateway) -> Value {
    let is_it = |line: &Value| line["status"] == 101;
    let line = wait_for("the line", || access_log::lines(gateway, 0).into_iter().find(is_it));
    let explained = wait_for("the record", || {
        let id = line["request_id"].as_str().unwrap();
        let answer = gateway.admin("GET", &format!("/v1/requests/{id}"));
        (answer.status() == 200).then(|| explain::of_id(gateway, id))
    });
    assert_eq!(explained["decision"], "forwarded");
    for member in ["charged", "ending", "code", "shadow"] {
        assert_eq!(explained[member], line[member], "{member}");
    }
    line
}

#[test]
fn each_message_costs_what_a_request_does_however_it_comes() {
    let plan = "concurrency = 1";
    let (upstream, received) = recorder();
    let tables = tables_by("message", ["", plan, ""]).replace("limit = 10", "limit = 1000");
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let mut client = gateway.client();
    ask(&mut client, KEY, &[]);
    let answer = client.head();
    assert_eq!((answer.status, answer.field("faregate-cost")), (101, Some("0")));
    assert_eq!(answer.field("ratelimit"), Some("\"monthly\";r=1000;t=907200, \"concurrency\";r=0"));
    assert_eq!(gateway.used("acme"), (0, 0));
    let ping = frame(0x89, 4);
    let fragments =
        [frame(0x01, 3), ping.clone(), frame(0, 0), frame(0x8a, 125), frame(0x80, 200)].concat();
    let mut all = Vec::new();
    let mut used = 0;
    for (frames, messages) in [
        (text(5), 1),
        (text(0), 1),
        (ping, 0),
        (fragments, 1),
        (frame(0x82, 65_535), 1),
        (frame(0x82, 65_536), 1),
        (frame(0x82, 1_000_000), 1),
        ([text(1), text(2), frame(0x82, 3), frame(0x8a, 0)].concat(), 3),
    ] {
        say(&mut client, &frames);
        all.extend(frames);
        used += 2 * messages;
        assert_eq!(gateway.used("acme"), (used, 0));
    }
    // It has the only place, with or without a message under way.
    let other = gateway.get("/chat", KEY);
    assert_eq!(other.verdict(), "429 too_many_concurrent");
    client.send(frame(0x88, 0));
    client.finish();
    client.drain();
    all.extend(frame(0x88, 0));
    assert!(received.get() == all, "everything came as it is");
    // The opening is one more, which is not charged.
    gateway.wait_recorded("acme", &[("completed", 9, 18), ("uncharged", 1, 0)]);
    // Whether it ended by the upstream or before, the client left.
    assert_eq!(line(&gateway)["charged"], json!(18));
    drop(open(&gateway));
    assert_eq!(upstream.count(), 2);
}

#[test]
fn message_in_many_small_pieces_is_one() {
    let (gateway, _upstream, _) = by_message([""; 3]);
    let mut client = open(&gateway);
    let message = text(130);
    for (index, byte) in message.iter().enumerate() {
        client.send([*byte]);
        if index < 8 {
            assert!(!client.has_answer());
        }
    }
    assert_eq!(client.exactly(message.len()), message);
    assert_eq!(gateway.used("acme"), (2, 0));
}

#[test]
fn message_beyond_the_quota_ends_it_and_is_not_charged() {
    for store in ["", "[store]\ndurability = \"strict\"\n"] {
        let (upstream, received) = recorder();
        let tables = format!("{store}{}", tables_by("message", [""; 3]));
        let gateway = Gateway::start_at(NOW, &tables, &upstream);
        let mut client = open(&gateway);
        let mut said = Vec::new();
        for length in [0, 1, 200, 3, 70_000] {
            say(&mut client, &text(length));
            said.extend(text(length));
        }
        client.send(text(7));
        assert_eq!(closed(&mut client), (1008, "quota_exceeded".to_owned()));
        received.wait_ended(&said, 1008, "quota_exceeded");
        gateway.wait_recorded("acme", &[("completed", 5, 10), ("uncharged", 1, 0)]);
        assert_eq!(gateway.used("acme"), (10, 0));
        let line = line(&gateway);
        assert_eq!((&line["charged"], &line["code"]), (&json!(10), &json!("quota_exceeded")));
        assert_eq!(line["ending"], "completed");

        // Who cannot pay for one message opens none.
        let mut client = gateway.client();
        ask(&mut client, KEY, &[]);
        assert_eq!(client.response().verdict(), "402 quota_exceeded");
        assert_eq!((upstream.count(), gateway.used("acme")), (1, (10, 0)));
    }
}

#[test]
fn who_could_never_pay_for_a_message_opens_none() {
    let (upstream, _) = recorder();
    let tables = tables_by("message", [""; 3]).replace("limit = 10", "limit = 1");
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let mut client = gateway.client();
    ask(&mut client, KEY, &[]);
    let refused = client.response();
    assert_eq!(refused.verdict(), "402 cost_exceeds_allowance");
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
}

/// A message is decided by what is known when it comes, not a second later.
#[test]
fn message_after_the_right_is_gone_goes_no_further() {
    for (from, to, code) in [
        ("id = \"acme-1\"", "id = \"acme-1\"\nstatus = \"revoked\"", "api_key_revoked"),
        ("plan = \"starter\"", "plan = \"starter\"\nsuspended = true", "account_suspended"),
        ("plan = \"starter\"", "plan = \"starter\"\nstatus = \"canceled\"", "subscription_ended"),
    ] {
        let (gateway, upstream, received) = by_message([""; 3]);
        let mut client = open(&gateway);
        say(&mut client, &text(1));
        let tables = tables_by("message", [""; 3]).replace(from, to);
        gateway.write(&tables.replace("@UPSTREAM@", &upstream.address().to_string()));
        assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200, "{code}");
        // It may have been looked at meanwhile.
        let _ = client.try_send(text(2));
        assert_eq!(closed(&mut client), (1008, code.to_owned()));
        received.wait_ended(&text(1), 1008, code);
        gateway.wait_used("acme", 2);
    }
}

#[test]
fn money_pays_for_messages_to_the_last_one() {
    let (upstream, received) = recorder();
    let tables = tables_by("message", ["price = \"0.01 USD\"", "", ""])
        .replace("[customers.acme]\nplan = \"starter\"", "[customers.acme]");
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let grant = json!({"amount": "0.035", "currency": "USD"});
    gateway.changed("POST", "/v1/customers/acme/credits", &grant);
    let mut client = gateway.client();
    ask(&mut client, KEY, &[]);
    let answer = client.head();
    let fields = (answer.field("faregate-cost"), answer.field("faregate-price"));
    assert_eq!((answer.status, fields), (101, (Some("0"), None)));
    let balance = || gateway.usage("acme")["credits"][0]["balance"].as_str().unwrap().to_owned();
    for (length, left) in [(1, "0.025000000"), (2, "0.015000000"), (3, "0.005000000")] {
        say(&mut client, &text(length));
        assert_eq!(balance(), left);
    }
    client.send(text(4));
    assert_eq!(closed(&mut client), (1008, "insufficient_credits".to_owned()));
    received.wait_ended(&[text(1), text(2), text(3)].concat(), 1008, "insufficient_credits");
    assert_eq!(balance(), "0.005000000");
    let line = line(&gateway);
    assert_eq!((&line["charged"], &line["credit"]), (&json!(0), &json!("0.03 USD")));
}

#[test]
fn allowance_goes_before_money_and_the_line_tells_both() {
    let (upstream, _) = recorder();
    let tables = tables_by("message", ["price = \"0.01 USD\"", "", ""]);
    let gateway = Gateway::start_at(NOW, &tables.replace("limit = 10", "limit = 3"), &upstream);
    let grant = json!({"amount": "1", "currency": "USD"});
    gateway.changed("POST", "/v1/customers/acme/credits", &grant);
    let mut client = open(&gateway);
    for length in 0..3 {
        say(&mut client, &text(length));
    }
    client.finish();
    client.expect_closed();
    let line = line(&gateway);
    assert_eq!((&line["charged"], &line["credit"]), (&json!(2), &json!("0.02 USD")));
    let id = line["request_id"].as_str().unwrap();
    let detail = explain::of_id(&gateway, id)["detail"].as_str().unwrap().to_owned();
    assert!(detail.ends_with("2 units and 0.02 USD of the credit were charged."), "{detail}");
}

#[test]
fn overlooked_messages_pass_and_take_nothing() {
    let (gateway, _upstream, received) = by_message(["enforce = false", "", ""]);
    let mut client = open(&gateway);
    for length in 0..8 {
        say(&mut client, &text(length));
    }
    client.finish();
    client.expect_closed();
    assert_eq!(received.get(), (0..8).flat_map(text).collect::<Vec<_>>());
    gateway.wait_used("acme", 10);
    let line = line(&gateway);
    assert_eq!((&line["charged"], &line["shadow"]), (&json!(10), &json!("quota_exceeded")));
    assert_eq!(line["code"], Value::Null);
}

#[test]
fn key_that_is_overlooked_says_all_it_wants() {
    let (gateway, _upstream, _) = by_message(["enforce = false", "", ""]);
    let mut client = gateway.client();
    ask(&mut client, "nobody", &[]);
    assert_eq!(client.head().status, 101);
    for length in 0..8 {
        say(&mut client, &text(length));
    }
    client.expect_silence(Duration::from_millis(1200));
    assert_eq!(gateway.used("acme"), (0, 0));
}

/// To ask for a WebSocket makes no other answer free.
#[test]
fn upstream_that_opens_none_is_charged_as_for_any_request() {
    let upstream = Upstream::answering(OK, Then::KeepAlive);
    let gateway = Gateway::start_at(NOW, &tables_by("message", [""; 3]), &upstream);
    let mut client = gateway.client();
    ask(&mut client, KEY, &[]);
    let answer = client.response();
    assert_eq!((answer.status(), answer.field("faregate-cost")), (200, Some("2")));
    gateway.wait_recorded("acme", &[("completed", 1, 2)]);
}

#[test]
fn message_that_the_client_breaks_off_is_charged() {
    let (gateway, upstream, _) = by_message([""; 3]);
    let mut client = open(&gateway);
    say(&mut client, &text(100)[..50]);
    client.reset();
    upstream.wait_closed(1);
    gateway.wait_recorded("acme", &[("completed", 1, 2), ("uncharged", 1, 0)]);
}

/// Nothing of a head that is not whole goes up, so nothing is charged for it.
#[test]
fn half_a_head_is_no_message() {
    let (gateway, upstream, received) = by_message([""; 3]);
    let mut client = open(&gateway);
    client.send(&text(100)[..5]);
    client.finish();
    client.expect_closed();
    upstream.wait_closed(1);
    assert_eq!(received.get(), b"");
    gateway.wait_recorded("acme", &[("uncharged", 1, 0)]);
}

#[test]
fn route_that_opens_none_refuses_before_it_asks_who_calls() {
    let (upstream, _) = recorder();
    let gateway = Gateway::start_at(NOW, &tables_by("off", [""; 3]), &upstream);
    for key in [KEY, "nobody"] {
        let mut client: Client = gateway.client();
        ask(&mut client, key, &[]);
        let refused = client.response();
        assert_eq!(refused.verdict(), "400 invalid_request");
        assert_eq!(refused.json()["detail"], "No WebSocket is opened here.");
        assert_eq!(refused.field("faregate-cost"), None);
    }
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
    // Another protocol is passed over, here as everywhere.
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables_by("off", [""; 3]), &upstream);
    let fields = [&bearer(KEY), HANDSHAKE[0], "Upgrade: h2c"];
    assert_eq!(gateway.request("GET", "/chat", &fields).status(), 200);
    gateway.wait_used("acme", 2);
}
