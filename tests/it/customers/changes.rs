//! Changes of plan in the middle of a window, at a date, and what the provider's periods do.

use serde_json::{Value, json};

use super::{call, calls, customer, start, start_with};
use crate::support::{Gateway, Upstream};

/// Plans of one quota, by what a change to them does.
fn rules() -> String {
    ["carry", "restart", "prorate", "defer"]
        .map(|rule| {
            format!(
                "[plans.{rule}]\nchange = \"{rule}\"\n\
                 quotas = [{{ name = \"monthly\", limit = 10, window = \"month\" }}]\n"
            )
        })
        .concat()
}

#[expect(clippy::needless_pass_by_value, reason = "it is written where it is called")]
fn set(gateway: &Gateway, body: Value) -> Value {
    gateway.changed("PUT", "/v1/customers/acme/subscription", &body)
}

/// Gives limit, used and remaining units of the first quota.
fn quota(gateway: &Gateway) -> [u64; 3] {
    let quota = &gateway.usage("acme")["quotas"][0];
    ["limit", "used", "remaining"].map(|name| quota[name].as_u64().unwrap())
}

fn window(gateway: &Gateway) -> [String; 2] {
    let window = &gateway.usage("acme")["quotas"][0]["window"];
    ["start", "end"].map(|name| window[name].as_str().unwrap().to_owned())
}

#[test]
fn carry_keeps_what_was_used() {
    let upstream = Upstream::ok();
    let gateway = start_with(&rules(), &upstream);
    let key = customer(&gateway, "acme", "starter");
    assert_eq!(calls(&gateway, &key, 3), ["200"; 3]);
    set(&gateway, json!({"plan": "carry"}));
    assert_eq!(quota(&gateway), [10, 3, 7]);
}

#[test]
fn restart_begins_a_window_once() {
    let upstream = Upstream::ok();
    let mut gateway = start_with(&rules(), &upstream);
    let key = customer(&gateway, "acme", "starter");
    assert_eq!(calls(&gateway, &key, 3), ["200"; 3]);
    gateway.set_time("2026-11-17T12:00:00Z");
    let held = set(&gateway, json!({"plan": "restart"}));
    assert_eq!(held["changed"], json!({"rule": "restart", "at": "2026-11-17T12:00:00Z"}));
    assert_eq!(quota(&gateway), [10, 0, 10]);
    assert_eq!(window(&gateway), ["2026-11-17T12:00:00Z", "2026-12-01T00:00:00Z"]);
    assert_eq!(calls(&gateway, &key, 4), ["200"; 4]);
    // Who goes down and up again does not get it a second time in this window.
    set(&gateway, json!({"plan": "starter"}));
    assert_eq!(call(&gateway, &key), "402 quota_exceeded");
    let held = set(&gateway, json!({"plan": "restart"}));
    assert_eq!(held["changed"]["rule"], "carry");
    assert_eq!(quota(&gateway), [10, 4, 6]);
    gateway.restart();
    assert_eq!(quota(&gateway), [10, 4, 6]);
    gateway.set_time("2026-12-01T00:00:00Z");
    assert_eq!(window(&gateway), ["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"]);
    set(&gateway, json!({"plan": "starter"}));
    let held = set(&gateway, json!({"plan": "restart"}));
    assert_eq!(held["changed"]["rule"], "restart", "a new window may begin anew once more");
}

#[test]
fn prorate_blends_the_limits_of_this_window() {
    let upstream = Upstream::ok();
    let mut gateway = start_with(&rules(), &upstream);
    let key = customer(&gateway, "acme", "starter");
    assert_eq!(calls(&gateway, &key, 3), ["200"; 3]);
    // Half of November: 3 / 2 + 10 / 2, rounded down.
    let held = set(&gateway, json!({"plan": "prorate"}));
    assert_eq!(held["changed"]["rule"], "prorate");
    assert_eq!(quota(&gateway), [6, 3, 3]);
    assert_eq!(calls(&gateway, &key, 4)[2..], ["200", "402 quota_exceeded"]);
    // A second change starts from the blend: 6 up to here, then 3 for the rest.
    gateway.set_time("2026-11-23T12:00:00Z");
    set(&gateway, json!({"plan": "starter", "change": "prorate"}));
    assert_eq!(quota(&gateway), [5, 6, 0]);
    gateway.set_time("2026-12-01T00:00:00Z");
    assert_eq!(quota(&gateway), [3, 0, 3], "the next window has the plan's own limit");
}

#[test]
fn defer_waits_for_the_end_of_the_window() {
    let upstream = Upstream::ok();
    let mut gateway = start_with(&rules(), &upstream);
    let key = customer(&gateway, "acme", "starter");
    let held = set(&gateway, json!({"plan": "defer"}));
    assert_eq!((&held["plan"], &held["next"]["plan"]), (&json!("starter"), &json!("defer")));
    assert_eq!(held["next"]["at"], "2026-12-01T00:00:00Z");
    assert_eq!(calls(&gateway, &key, 4)[3], "402 quota_exceeded");
    gateway.restart();
    gateway.set_time("2026-11-30T23:59:59.999Z");
    assert_eq!(call(&gateway, &key), "402 quota_exceeded");
    gateway.set_time("2026-12-01T00:00:00Z");
    assert_eq!(call(&gateway, &key), "200", "nobody needs to come by for it");
    assert_eq!(quota(&gateway), [10, 1, 9]);
    let shown = gateway.admin("GET", "/v1/customers/acme/subscription").json();
    assert_eq!((&shown["plan"], &shown["next"]), (&json!("defer"), &json!(null)));
}

#[test]
fn change_comes_at_its_date_unless_taken_back() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    let key = customer(&gateway, "acme", "starter");
    let later = json!({"plan": "pro", "at": "2026-11-20T00:00:00Z"});
    assert_eq!(set(&gateway, later.clone())["next"]["at"], "2026-11-20T00:00:00Z");
    assert_eq!(set(&gateway, json!({"plan": "starter"}))["next"], json!(null));
    set(&gateway, later);
    assert_eq!(calls(&gateway, &key, 4)[3], "402 quota_exceeded");
    // What is not about the plan leaves the coming change alone.
    assert_eq!(set(&gateway, json!({"pause_collection": true}))["next"]["plan"], "pro");
    gateway.set_time("2026-11-20T00:00:00Z");
    assert_eq!(call(&gateway, &key), "200");
    assert_eq!(quota(&gateway), [10, 4, 6]);
    // The plan that was to come keeps a file from dropping it.
    let audit = gateway.admin("GET", "/v1/audit?customer=acme").json();
    assert_eq!(audit["items"][0]["after"]["next"]["plan"], "pro");
}

#[test]
fn to_name_a_plan_after_the_end_is_to_subscribe_again() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let key = customer(&gateway, "acme", "starter");
    assert_eq!(calls(&gateway, &key, 2), ["200"; 2]);
    set(&gateway, json!({"cancel_at": "2026-11-15T00:00:00Z"}));
    assert_eq!(gateway.admin("DELETE", "/v1/customers/acme/subscription").status(), 200);
    set(&gateway, json!({"pause_collection": true}));
    assert_eq!(call(&gateway, &key), "402 subscription_ended", "nobody named a plan");
    let held = set(&gateway, json!({"plan": "starter"}));
    assert_eq!((&held["status"], &held["cancel_at"]), (&json!("active"), &json!(null)));
    assert_eq!(calls(&gateway, &key, 2), ["200", "402 quota_exceeded"], "what was used is kept");
}

#[test]
fn dates_decide_without_anyone_coming_by() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    let key = customer(&gateway, "acme", "pro");
    set(&gateway, json!({"starts": "2026-11-17T00:00:00Z"}));
    let early = gateway.get("/calls/x", &key);
    assert_eq!(early.verdict(), "402 subscription_not_started");
    assert_eq!(early.field("retry-after"), Some("86400"));
    gateway.set_time("2026-11-17T00:00:00Z");
    assert_eq!(call(&gateway, &key), "200");
    set(&gateway, json!({"status": "trialing", "trial_end": "2026-11-18T00:00:00Z"}));
    gateway.set_time("2026-11-18T00:00:00Z");
    assert_eq!(call(&gateway, &key), "402 trial_expired");
    set(&gateway, json!({"trial_end": "2026-11-19T00:00:00Z"}));
    assert_eq!(call(&gateway, &key), "200");
    set(
        &gateway,
        json!({"status": "past_due", "past_due_since": "2026-11-18T00:00:00Z", "grace": "2d"}),
    );
    assert_eq!(call(&gateway, &key), "200");
    gateway.set_time("2026-11-20T00:00:00Z");
    assert_eq!(call(&gateway, &key), "402 payment_overdue");
    set(&gateway, json!({"grace": null}));
    assert_eq!(call(&gateway, &key), "200", "the plan's three days");
    for (status, verdict) in [
        ("unpaid", "402 payment_overdue"),
        ("incomplete", "402 payment_incomplete"),
        ("incomplete_expired", "402 subscription_required"),
        ("paused", "402 subscription_paused"),
        ("canceled", "402 subscription_ended"),
        ("active", "200"),
    ] {
        let held = set(&gateway, json!({"status": status}));
        assert_eq!(held["in_force"], verdict == "200", "{status}");
        assert_eq!(call(&gateway, &key), verdict, "{status}");
    }
}

#[test]
fn windows_follow_the_providers_period() {
    let upstream = Upstream::ok();
    let mut gateway = start_with(
        "[plans.billed]\nquotas = [{ name = \"period\", limit = 5, window = \"period\" }]\n",
        &upstream,
    );
    let key = customer(&gateway, "acme", "billed");
    set(
        &gateway,
        json!({"period_start": "2026-10-20T10:00:00Z", "period_end": "2026-11-20T10:00:00Z"}),
    );
    assert_eq!(window(&gateway), ["2026-10-20T10:00:00Z", "2026-11-20T10:00:00Z"]);
    assert_eq!(calls(&gateway, &key, 2), ["200"; 2]);
    // The provider is late: the next period is assumed.
    gateway.set_time("2026-11-20T10:00:00Z");
    assert_eq!(window(&gateway), ["2026-11-20T10:00:00Z", "2026-12-20T10:00:00Z"]);
    assert_eq!(calls(&gateway, &key, 3), ["200"; 3]);
    // Its word puts the period elsewhere; what was used in the assumed one moves with it.
    gateway.set_time("2026-11-20T12:00:00Z");
    set(
        &gateway,
        json!({"period_start": "2026-11-20T11:00:00Z", "period_end": "2026-12-20T11:00:00Z"}),
    );
    assert_eq!(window(&gateway), ["2026-11-20T11:00:00Z", "2026-12-20T11:00:00Z"]);
    assert_eq!(gateway.used("acme"), (3, 0));
    gateway.restart();
    assert_eq!(gateway.used("acme"), (3, 0));
    assert_eq!(calls(&gateway, &key, 3), ["200", "200", "402 quota_exceeded"]);
}

#[test]
fn days_are_those_of_the_zone() {
    let upstream = Upstream::ok();
    let mut gateway = start(&upstream);
    let key = customer(&gateway, "acme", "pro");
    let quotas = json!([{"limit": 2, "window": "day", "zone": "America/New_York"}]);
    gateway.changed("PATCH", "/v1/customers/acme", &json!({"quotas": quotas}));
    assert_eq!(window(&gateway), ["2026-11-15T05:00:00Z", "2026-11-16T05:00:00Z"]);
    assert_eq!(calls(&gateway, &key, 3)[2], "402 quota_exceeded");
    gateway.set_time("2026-11-16T04:59:59Z");
    assert_eq!(call(&gateway, &key), "402 quota_exceeded");
    gateway.set_time("2026-11-16T05:00:00Z");
    assert_eq!(call(&gateway, &key), "200");
    // The clocks go forward on 2027-03-14: that day has 23 hours.
    gateway.set_time("2027-03-14T12:00:00Z");
    assert_eq!(window(&gateway), ["2027-03-14T05:00:00Z", "2027-03-15T04:00:00Z"]);
}
