//! Shadow mode: what would be refused is decided, told and forwarded all the same, and takes nothing.

use serde_json::{Value, json};

use crate::{
    access_log::lines,
    refusals::setup::{Case, NOW, Stage, TABLES, all_cases},
    support::{
        Exchange, Gateway, KEY, Response, SMALL, Then, Upstream,
        client::{bearer, head},
        upstream::OK,
        wait_for,
    },
};

const LOG: &str = "[log]\naccess = \"./access.log\"\nlevel = \"error\"\n";

fn stage(tables: &str) -> Stage {
    Stage::with(&format!("{LOG}{tables}"))
}

/// Writes an option into every table of a kind.
fn in_every(table: &str, option: &str) -> String {
    let line = |line: &str| {
        let option = if line.starts_with(table) { format!("{option}\n") } else { String::new() };
        format!("{line}\n{option}")
    };
    TABLES.lines().map(line).collect()
}

fn code(case: &Case) -> &'static str {
    case.verdict.split(' ').nth(1).unwrap()
}

/// Tells whether a refusal is about the right to be served on a route.
fn is_payability(case: &Case) -> bool {
    let is_page = case.request.contains(" /_faregate/");
    !is_page && ["401", "402", "403", "429"].contains(&case.verdict.get(..3).unwrap())
}

/// Tells whether the caller's plan has a say in it.
fn is_by_plan(case: &Case) -> bool {
    let is_about_key = ["401", "403"].contains(&case.verdict.get(..3).unwrap())
        && code(case) != "feature_not_available";
    // Their customers hold no plan.
    let without = [
        "nothing bought",
        "nothing bought, with a price",
        "too little money",
        "money held by a call",
    ];
    is_payability(case) && !is_about_key && !without.contains(&case.name)
}

/// Gives the line of the request that was answered so.
fn line_of(stage: &Gateway, response: &Response) -> Value {
    let id = json!(response.field("x-request-id").unwrap());
    wait_for("the line of a request", || {
        lines(stage, 1).into_iter().find(|line| line["request_id"] == id)
    })
}

fn assert_overlooked(stage: &Stage, case: &Case) {
    let Case { name, request, .. } = case;
    let (count, usage) = stage.counted();
    let mut client = stage.gateway.client();
    client.send(request);
    let response = client.response();
    assert_eq!((response.status(), response.text()), (200, "ok\n"), "{name}");
    assert_eq!(response.field("faregate-shadow"), Some(code(case)), "{name}");
    assert_eq!(response.field("faregate-cost"), Some("0"), "{name}");
    assert_eq!(stage.counted(), (count + 1, usage), "{name}");

    let line = line_of(&stage.gateway, &response);
    let said =
        json!([line["status"], line["code"], line["shadow"], line["ending"], line["charged"]]);
    assert_eq!(said, json!([200, null, code(case), "completed", 0]), "{name}");

    let received = stage.upstream.last();
    let is_nobody =
        ["missing_api_key", "invalid_api_key", "ambiguous_credentials"].contains(&code(case));
    for field in ["faregate-customer", "faregate-key-id"] {
        assert_eq!(received.field(field).is_none(), is_nobody, "{name}");
    }
    assert_eq!(line["customer"].is_null(), is_nobody, "{name}");
    let keys = received.all("authorization").into_iter().filter(|value| !value.contains("Digest"));
    assert_eq!(keys.count() + received.all("x-api-key").len(), 0, "{name}: {received:?}");
}

fn assert_refused(stage: &Stage, case: &Case) {
    let before = stage.counted();
    let mut client = stage.gateway.client();
    client.send(&case.request);
    let response = client.response();
    assert_eq!(response.verdict(), case.verdict, "{}", case.name);
    assert_eq!(response.field("faregate-shadow"), None, "{}", case.name);
    assert_eq!(stage.counted(), before, "{}", case.name);
    let line = line_of(&stage.gateway, &response);
    let said = json!([line["code"], line["ending"], line["charged"]]);
    assert_eq!(said, json!([code(case), "refused", 0]), "{}", case.name);
}

/// Sends every request that is refused, and finds it overlooked or refused as told.
fn assert_each(stage: &Stage, is_overlooked: fn(&Case) -> bool) {
    for case in all_cases() {
        if is_overlooked(&case) {
            assert_overlooked(stage, &case);
        } else {
            assert_refused(stage, &case);
        }
    }
    stage.assert_nothing_more_recorded();
}

#[test]
fn route_overlooks_every_refusal_of_a_caller() {
    let overlooked = all_cases().iter().filter(|case| is_payability(case)).count();
    assert!(overlooked >= 30, "{overlooked}");
    assert_each(&stage(&in_every("[[routes]]", "enforce = false")), is_payability);
}

#[test]
fn plan_overlooks_what_was_bought_and_what_is_left() {
    let overlooked: Vec<&str> =
        all_cases().iter().filter(|case| is_by_plan(case)).map(code).collect();
    for code in ["payment_overdue", "trial_expired", "plan_upgrade_required", "quota_exceeded"] {
        assert!(overlooked.contains(&code), "{code}");
    }
    for code in ["feature_not_available", "cost_exceeds_allowance", "rate_limited"] {
        assert!(overlooked.contains(&code), "{code}");
    }
    assert!(overlooked.contains(&"too_many_concurrent"));
    assert_each(&stage(&in_every("[plans.", "enforce = false")), is_by_plan);
}

#[test]
fn enforcing_refuses_them_all() {
    assert_each(&stage(&in_every("[[routes]]", "enforce = true")), |_| false);
}

#[test]
fn gateway_that_does_not_enforce_overlooks_on_every_route() {
    let stage = stage(TABLES);
    stage.gateway.running().gateway().set_enforcing(false);
    assert_each(&stage, is_payability);
}

/// A route that does not enforce stands beside others that do, and a plan beside other plans.
#[test]
fn others_are_enforced_all_the_same() {
    let tables = TABLES
        .replace("name = \"three\"", "name = \"three\"\nenforce = false")
        .replace("[plans.large]", "[plans.large]\nenforce = false");
    let stage = Stage::with(&tables);
    for (path, key, verdict) in [
        ("/one/x", "spent-twice", "402 quota_exceeded"),
        ("/three", "spent-twice", "200"),
        ("/one/x", "fast", "200"),
        ("/one/x", "nobody", "401 invalid_api_key"),
        ("/three", "nobody", "200"),
        ("/extra", "good", "402 plan_upgrade_required"),
    ] {
        assert_eq!(stage.gateway.get(path, key).verdict(), verdict, "{path} {key}");
    }
}

fn small(limit: u64) -> String {
    let limit = format!("limit = {limit}");
    format!("{LOG}{SMALL}").replace("limit = 1000", &limit)
}

fn without_enforcement(tables: &str) -> String {
    tables.replace("name = \"api\"", "name = \"api\"\nenforce = false")
}

/// What a caller may have is taken and charged as ever; only what goes beyond is not.
#[test]
fn passing_requests_are_charged_and_the_limit_is_not_moved() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &without_enforcement(&small(2)), &upstream);
    let mut client = gateway.client();
    for used in 1..=2 {
        let response = client.get("/x", KEY);
        assert_eq!(response.field("faregate-cost"), Some("1"));
        assert_eq!(response.field("faregate-shadow"), None);
        assert_eq!(gateway.used("acme"), (used, 0));
        assert!(line_of(&gateway, &response)["shadow"].is_null());
    }
    for _ in 0..3 {
        let response = client.get("/x", KEY);
        assert_eq!(response.field("faregate-shadow"), Some("quota_exceeded"));
        assert_eq!(upstream.last().field("faregate-customer"), Some("acme"));
        assert_eq!(upstream.last().field("faregate-plan"), Some("starter"));
        assert_eq!(gateway.used("acme"), (2, 0));
    }
    gateway.wait_recorded("acme", &[("completed", 2, 2)]);
    assert_eq!(upstream.count(), 5);
    gateway.write(&small(2).replace("@UPSTREAM@", &upstream.address().to_string()));
    gateway.running().reload().unwrap();
    assert_eq!(client.get("/x", KEY).verdict(), "402 quota_exceeded");
}

/// Nobody says for the gateway who calls, or what it would have said.
#[test]
fn fields_of_ours_are_dropped_on_both_ways() {
    let answer = OK.replace("200 OK\r\n", "200 OK\r\nFaregate-Shadow: no\r\nFaregate-Cost: 5\r\n");
    let upstream = Upstream::answering(answer, Then::KeepAlive);
    let gateway = Gateway::start(&without_enforcement(SMALL), &upstream);
    let forged = ["Faregate-Customer: acme", "Faregate_Plan: pro", "Faregate-Shadow: x"];
    let response = gateway.request("GET", "/x", &forged);
    assert_eq!(response.field("faregate-shadow"), Some("missing_api_key"));
    assert_eq!(response.field("faregate-cost"), Some("0"));
    let ours = |(name, _): &&(String, String)| name.starts_with("faregate");
    let received = upstream.last();
    let names: Vec<&str> =
        received.fields.iter().filter(ours).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["faregate-request-id"]);
    let good = gateway.get("/x", KEY);
    assert_eq!((good.field("faregate-shadow"), good.field("faregate-cost")), (None, Some("1")));
}

#[test]
fn streamed_answer_passes_and_ends_uncharged() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")?;
        if exchange.request().target() == "/held" {
            return Ok(Then::Silence);
        }
        exchange.send("3\r\ntwo\r\n0\r\n\r\n")?;
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start_at(NOW, &without_enforcement(&small(0)), &upstream);
    let response = gateway.get("/x", KEY);
    assert_eq!((response.text(), response.whole), ("onetwo", true));
    assert_eq!(response.field("faregate-shadow"), Some("cost_exceeds_allowance"));

    let mut client = gateway.client();
    client.send(head("GET", "/held", &[&bearer(KEY)]));
    let begun = client.head();
    assert_eq!(begun.field("faregate-shadow"), Some("cost_exceeds_allowance"));
    assert_eq!(client.chunk().unwrap(), b"one");
    assert_eq!(gateway.used("acme"), (0, 0), "nothing is reserved meanwhile");
    drop(client);
    let said = |line: &Value| json!([line["shadow"], line["ending"], line["charged"]]);
    let found = lines(&gateway, 2);
    assert_eq!(said(&found[0]), json!(["cost_exceeds_allowance", "completed", 0]));
    assert_eq!(said(&found[1]), json!(["cost_exceeds_allowance", "aborted", 0]));
    gateway.wait_recorded("acme", &[]);
}

/// The switch counts from the next request on, on connections that are open.
#[test]
fn switch_moves_under_keep_alive() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &small(1), &upstream);
    let mut client = gateway.client();
    assert_eq!(client.get("/x", KEY).status(), 200);
    for _ in 0..2 {
        assert!(gateway.running().gateway().enforcing());
        assert_eq!(client.get("/x", KEY).verdict(), "402 quota_exceeded");
        assert_eq!(client.get("/x", "nobody").verdict(), "401 invalid_api_key");
        gateway.running().gateway().set_enforcing(false);
        let response = client.get("/x", KEY);
        assert_eq!(response.verdict(), "200");
        assert_eq!(response.field("faregate-shadow"), Some("quota_exceeded"));
        // The gateway's own pages are no route.
        let usage = client.get("/_faregate/usage", "nobody");
        assert_eq!(usage.verdict(), "401 invalid_api_key");
        gateway.running().reload().unwrap();
        assert!(!gateway.running().gateway().enforcing(), "a reload does not move it");
        gateway.running().gateway().set_enforcing(true);
    }
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
}

/// What is no matter of payment is refused as ever, and what is told of it is true.
#[test]
fn faults_and_bad_requests_are_not_overlooked() {
    let upstream =
        Upstream::answering("HTTP/1.1 402 Pay\r\nContent-Length: 0\r\n\r\n", Then::KeepAlive);
    let tables = format!("[server.limits]\nbody_bytes = \"1KiB\"\n{}", small(1000));
    let gateway = Gateway::start(&without_enforcement(&tables), &upstream);
    let response = gateway.request("GET", "/x", &[]);
    assert_eq!(response.verdict(), "502 upstream_payment_required");
    let line = line_of(&gateway, &response);
    let said = json!([line["code"], line["shadow"], line["ending"], line["charged"]]);
    let expected = json!(["upstream_payment_required", "missing_api_key", "uncharged", 0]);
    assert_eq!(said, expected);

    let mut client = gateway.client();
    client.send(head("POST", "/x", &["Content-Length: 1025"]));
    let response = client.response();
    assert_eq!(response.verdict(), "413 body_too_large");
    let line = line_of(&gateway, &response);
    let said = json!([line["code"], line["shadow"], line["ending"]]);
    assert_eq!(said, json!(["body_too_large", "missing_api_key", "refused"]));
}

/// A journal that cannot be written is our fault: who would be counted is not served uncounted, and
/// who would be refused anyway needs no journal.
#[test]
fn counting_that_fails_is_not_overlooked() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&without_enforcement(SMALL), &upstream);
    let journal = gateway.directory().join("faregate.db.journal");
    let away = gateway.directory().join("away");
    std::fs::rename(&journal, &away).unwrap();
    assert_eq!(gateway.get("/x", KEY).verdict(), "503 quota_unavailable");
    assert_eq!(upstream.count(), 0);
    let nobody = gateway.get("/x", "nobody");
    assert_eq!(nobody.field("faregate-shadow"), Some("invalid_api_key"));
    std::fs::rename(&away, &journal).unwrap();
    gateway.wait_used("acme", 0);
    assert_eq!(gateway.get("/x", KEY).field("faregate-cost"), Some("1"));
}
