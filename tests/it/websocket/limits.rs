//! Limits of all kinds, as they hold for messages.

use super::{NOW, ask, closed, open, recorder, say, tables_by, text};
use crate::support::{Client, Gateway, KEY};

/// Says two messages that are served and one that ends it.
fn say_two_of_three(client: &mut Client, code: &str) {
    say(client, &text(1));
    say(client, &text(2));
    client.send(text(3));
    assert_eq!(closed(client), (1008, code.to_owned()));
}

#[test]
fn opening_and_messages_take_from_the_rate() {
    let (upstream, received) = recorder();
    let rate = "rate = { limit = 1, window = \"1h\", burst = 3 }";
    let gateway = Gateway::start_at(NOW, &tables_by("message", ["", rate, ""]), &upstream);
    say_two_of_three(&mut open(&gateway), "rate_limited");
    received.wait_ended(&[text(1), text(2)].concat(), 1008, "rate_limited");
    gateway.wait_used("acme", 4);
}

#[test]
fn limits_of_the_key_hold_for_messages() {
    let (upstream, received) = recorder();
    let key = "quotas = [{ limit = 4, window = \"day\" }]";
    let gateway = Gateway::start_at(NOW, &(tables_by("message", [""; 3]) + key), &upstream);
    say_two_of_three(&mut open(&gateway), "quota_exceeded");
    received.wait_ended(&[text(1), text(2)].concat(), 1008, "quota_exceeded");
    gateway.wait_used("acme", 4);
}

#[test]
fn limits_of_the_application_hold_for_messages() {
    let (upstream, received) = recorder();
    let application = "[customers.acme.applications.mobile]\n\
                       quotas = [{ name = \"mobile\", limit = 4, window = \"day\" }]\n\
                       keys = [{ id = \"m\", digest = \"key:mobile\" }]\n";
    let tables = tables_by("message", [""; 3]) + application;
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let mut client = gateway.client();
    ask(&mut client, "mobile", &[]);
    assert_eq!(client.head().status, 101);
    say_two_of_three(&mut client, "quota_exceeded");
    received.wait_ended(&[text(1), text(2)].concat(), 1008, "quota_exceeded");
    gateway.wait_used("acme", 4);
    // Others of the customer's are not hindered by it.
    say(&mut open(&gateway), &text(4));
}

#[test]
fn messages_go_beyond_the_allowance_as_far_as_the_spend_cap_lets_them() {
    let (upstream, received) = recorder();
    let tables = tables_by("message", ["", "", "spend_cap = \"0.0025 USD\""]).replace(
        "limit = 10, window = \"month\"",
        "limit = 2, window = \"month\", overage = { price = \"0.001 USD\" }",
    );
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    say_two_of_three(&mut open(&gateway), "spend_cap_reached");
    received.wait_ended(&[text(1), text(2)].concat(), 1008, "spend_cap_reached");
    gateway.wait_used("acme", 4);
    let mut client = gateway.client();
    ask(&mut client, KEY, &[]);
    assert_eq!(client.response().verdict(), "402 spend_cap_reached");
}
