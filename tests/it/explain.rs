//! Explanations: of what was decided, by which numbers, and what would be.

use std::fs;

use serde_json::{Value, json};

use crate::{
    process,
    refusals::setup::{Case, NOW, Stage, all_cases},
    support::{
        Exchange, Gateway, KEY, Response, SMALL, Then, Upstream,
        client::{bearer, head},
        upstream::OK,
        wait_for,
    },
};

/// Gives the explanation of the request that was answered so.
pub(crate) fn of(gateway: &Gateway, response: &Response) -> Value {
    of_id(gateway, response.field("x-request-id").expect("every answer has an id"))
}

/// Gives the explanation of a request.
pub(crate) fn of_id(gateway: &Gateway, id: &str) -> Value {
    let answer = gateway.admin("GET", &format!("/v1/requests/{id}"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let document = answer.json();
    assert_eq!(document["request_id"], id);
    document
}

fn forecast(gateway: &Gateway, question: &Value) -> Value {
    let answer = gateway.change("POST", "/v1/explain", question);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

fn checks(document: &Value) -> &[Value] {
    document["checks"].as_array().unwrap()
}

/// Gives the checks with an outcome.
fn with<'d>(document: &'d Value, outcome: &str) -> Vec<&'d Value> {
    checks(document).iter().filter(|check| check["outcome"] == outcome).collect()
}

fn check<'d>(document: &'d Value, name: &str) -> &'d Value {
    checks(document).iter().find(|check| check["check"] == name).expect(name)
}

/// Names the check that a case is refused by.
fn refusing(case: &Case) -> &'static str {
    match case.verdict.split(' ').nth(1).unwrap() {
        "uri_too_long" | "headers_too_large" | "invalid_request" | "invalid_path"
        | "expectation_failed" => "request",
        "route_not_found" => "route",
        "method_not_allowed" => "method",
        "not_implemented" => "method",
        "body_too_large" => "body",
        "missing_api_key" | "invalid_api_key" | "ambiguous_credentials" => "credential",
        "api_key_expired" | "api_key_revoked" | "api_key_disabled" | "origin_not_allowed" => "key",
        "account_suspended" => "customer",
        "insufficient_scope" => "scope",
        "plan_upgrade_required" | "feature_not_available" => "feature",
        "rate_limited" => "rate",
        "too_many_concurrent" => "concurrency",
        "quota_exceeded" | "cost_exceeds_allowance" | "spend_cap_reached" => "quota",
        "insufficient_credits" | "balance_in_flight" | "payment_required" => "credit",
        _ => "subscription",
    }
}

#[test]
fn every_refusal_is_explained_by_the_check_that_refused() {
    let stage = Stage::new();
    let gateway = &stage.gateway;
    for case in all_cases() {
        let Case { name, request, verdict, .. } = &case;
        let mut client = gateway.client();
        client.send(request);
        let response = client.response();
        assert_eq!(response.verdict(), *verdict, "{name}");
        let told = of(gateway, &response);
        let code = verdict.split(' ').nth(1).unwrap();
        let said = json!([told["decision"], told["code"], told["ending"], told["charged"]]);
        assert_eq!(said, json!(["refused", code, "refused", 0]), "{name}: {told}");
        assert_eq!(told["status"], response.status(), "{name}");

        let refused = with(&told, "refused");
        let by = if check_of_money(&told) { "credit" } else { refusing(&case) };
        assert!(!refused.is_empty(), "{name}: {told}");
        assert!(refused.iter().all(|check| check["check"] == by), "{name}: {by}, {told}");
        let of_code = refused.iter().any(|check| check["code"] == code);
        assert!(of_code || by == "credit", "{name}: {told}");
        // What comes before it passed, what comes behind it was not asked; limits are measured together.
        let is_measured = ["rate", "concurrency", "quota", "credit"].contains(&by);
        let mut is_behind = false;
        for check in checks(&told) {
            let is_it = check["outcome"] == "refused";
            is_behind |= is_it;
            let outcome = check["outcome"].as_str().unwrap();
            let expected: &[&str] = match (is_it, is_behind && !is_measured) {
                (true, _) => &["refused"],
                (false, true) => &["not_reached"],
                (false, false) => &["passed", "uncovered", "not_reached"],
            };
            assert!(expected.contains(&outcome), "{name}: {check} in {told}");
        }
        assert_numbers_are_those_told(name, &response.json(), &refused);
        let problem = response.json();
        if is_measured {
            let detail = told["detail"].as_str().unwrap();
            assert!(detail.starts_with(problem["detail"].as_str().unwrap()), "{name}: {detail}");
        }
    }
}

/// Tells whether money was asked, and was too little: then the code is that of what it stands in for.
fn check_of_money(told: &Value) -> bool {
    checks(told).iter().any(|check| check["check"] == "credit" && check["outcome"] == "refused")
}

/// The body of a refusal for want of units says the same as its explanation.
fn assert_numbers_are_those_told(name: &str, problem: &Value, refused: &[&Value]) {
    let Some(quota) = problem["quota"].as_str() else { return };
    let Some(check) = refused.iter().find(|check| check["name"] == quota) else { return };
    for field in ["limit", "remaining", "cost", "window"] {
        assert_eq!(check[field], problem[field], "{name}: {field}");
    }
    let taken = check["used"].as_u64().unwrap() + check["reserved"].as_u64().unwrap();
    // The caller is not told what is beyond the limit.
    let within = taken.min(check["limit"].as_u64().unwrap());
    assert_eq!(json!(within), problem["used"], "{name}");
}

/// What is foretold is what happens: the same checks with the same numbers.
#[test]
fn what_is_foretold_is_what_happens() {
    let stage = Stage::new();
    let gateway = &stage.gateway;
    let mut compared = 0;
    let cases: Vec<Case> = all_cases();
    let counted = stage.counted();
    for case in &cases {
        let mut client = gateway.client();
        client.send(&case.request);
        let told = of(gateway, &client.response());
        let (key, route) = (&told["key_id"], &told["route"]);
        if key.is_null() || route.is_null() || refusing(case) == "body" {
            continue;
        }
        let question = json!({"key_id": key, "route": route, "method": told["method"],
            "address": "127.0.0.1"});
        assert_same(&forecast(gateway, &question), &told, case.name);
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
    assert_eq!(stage.counted(), counted, "it takes nothing");

    // And of one that is served.
    let question = json!({"key_id": "scopes", "route": "one"});
    let told = forecast(gateway, &question);
    assert_eq!((&told["decision"], &told["cost"]), (&json!("would_be_forwarded"), &json!(1)));
    assert_eq!(told["detail"], "It would be forwarded and take 1 unit.");
    let served = gateway.get("/one/x", "half-the-scopes");
    assert_eq!(served.status(), 200);
    assert_same(&told, &of(gateway, &served), "served");
}

fn assert_same(forecast: &Value, told: &Value, name: &str) {
    for field in ["method", "route", "customer", "application", "key_id", "plan", "checks", "code"]
    {
        assert_eq!(forecast[field], told[field], "{name}: {field}");
    }
    let decision = told["decision"].as_str().unwrap();
    assert_eq!(forecast["decision"], format!("would_be_{decision}"), "{name}");
    if decision == "refused" {
        assert_eq!(forecast["detail"], told["detail"], "{name}");
    }
}

#[test]
fn what_was_served_is_explained_with_the_numbers_of_before() {
    let upstream = Upstream::ok();
    let tables = SMALL.replace(
        "quotas = [",
        "rate = { limit = 5, window = \"10s\" }\nconcurrency = 2\nquotas = [",
    );
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    for before in 0..3_u64 {
        let response = gateway.get("/x", KEY);
        let told = of(&gateway, &response);
        let subject =
            json!([told["method"], told["route"], told["customer"], told["key_id"], told["plan"]]);
        assert_eq!(subject, json!(["GET", "api", "acme", "acme-1", "starter"]));
        assert_eq!((&told["at"], &told["status"]), (&json!(NOW), &json!(200)));
        let ended = json!([told["decision"], told["code"], told["ending"], told["charged"]]);
        assert_eq!(ended, json!(["forwarded", null, "completed", 1]));
        assert_eq!(told["detail"], "The answer was passed on whole. 1 unit was charged.");
        assert!(told["duration_ms"].as_f64().unwrap() > 0.0);
        assert!(with(&told, "passed").len() == checks(&told).len(), "{told}");
        assert_eq!(check(&told, "rate")["remaining"], 5 - before);
        assert_eq!(check(&told, "concurrency")["in_flight"], 0);
        let window = json!({"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"});
        assert_eq!(
            *check(&told, "quota"),
            json!({"check": "quota", "outcome": "passed", "name": "month", "limit": 1000,
                "used": before, "reserved": 0, "remaining": 1000 - before, "cost": 1, "window": window}),
        );
    }
}

#[test]
fn shadow_mode_says_what_was_overlooked() {
    let upstream = Upstream::ok();
    let tables = SMALL
        .replace("limit = 1000", "limit = 1")
        .replace("upstream = \"api\"\n", "upstream = \"api\"\nenforce = false\n");
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    let question = json!({"key_id": "acme-1", "route": "api"});
    let foretold = forecast(&gateway, &question);
    let said =
        json!([foretold["decision"], foretold["code"], foretold["shadow"], foretold["cost"]]);
    assert_eq!(said, json!(["would_be_forwarded", null, "quota_exceeded", 0]));
    let told = of(&gateway, &gateway.get("/x", KEY));
    let said =
        json!([told["decision"], told["code"], told["shadow"], told["charged"], told["status"]]);
    assert_eq!(said, json!(["forwarded", null, "quota_exceeded", 0, 200]));
    let [overlooked] = with(&told, "overlooked")[..] else { panic!("{told}") };
    assert_eq!((&overlooked["name"], &overlooked["used"]), (&json!("month"), &json!(1)));
    assert_eq!(foretold["checks"], told["checks"]);
    let nobody = of(&gateway, &gateway.get("/x", "nobody"));
    assert_eq!(check(&nobody, "credential")["outcome"], "overlooked");
    assert_eq!(nobody["shadow"], "invalid_api_key");
}

#[test]
fn pages_and_public_routes_are_told_as_such() {
    let upstream = Upstream::ok();
    let public =
        "[[routes]]\nname = \"open\"\npath = \"/open\"\nupstream = \"api\"\naccess = \"public\"\n";
    let gateway = Gateway::start(&SMALL.replace("[plans", &format!("{public}[plans")), &upstream);
    let page = of(&gateway, &gateway.get("/_faregate/usage", KEY));
    assert_eq!((&page["decision"], &page["ending"]), (&json!("own_page"), &Value::Null));
    assert!(checks(&page).is_empty() && page["customer"] == "acme", "{page}");
    let open = of(&gateway, &gateway.request("GET", "/open", &[]));
    assert_eq!((&open["decision"], &open["charged"]), (&json!("forwarded"), &json!(0)));
    assert_eq!(check(&open, "route")["public"], true);
    assert_eq!(check(&open, "quota")["outcome"], "not_reached");
    let foretold = forecast(&gateway, &json!({"key_id": "acme-1", "route": "open"}));
    assert_eq!(foretold["checks"], open["checks"]);
    assert!(foretold["detail"].as_str().unwrap().contains("public"), "{foretold}");
}

#[test]
fn what_there_is_nothing_about_says_why() {
    let upstream = Upstream::ok();
    let tables = format!("[store]\nretention = {{ requests = \"2d\" }}\n{SMALL}");
    let mut gateway = Gateway::start_at(NOW, &tables, &upstream);
    let asked = |gateway: &Gateway, id: &str| {
        let answer = gateway.admin("GET", &format!("/v1/requests/{id}"));
        (answer.verdict(), answer.json()["detail"].as_str().unwrap().to_owned())
    };
    let (verdict, detail) = asked(&gateway, "1234");
    assert_eq!(verdict, "400 invalid_request_id");
    assert!(detail.contains("UUID") && detail.contains("X-Request-Id"), "{detail}");
    let foreign = "8d3ef1b2-5a7c-4d52-9ac9-3b7c8a4f6e10";
    let (verdict, detail) = asked(&gateway, foreign);
    assert_eq!(verdict, "404 request_not_found");
    assert!(detail.contains(foreign) && detail.contains("no id that a gateway gives"), "{detail}");

    let response = gateway.get("/x", KEY);
    let id = response.field("x-request-id").unwrap().to_owned();
    let mut other = id.clone();
    other.replace_range(id.len() - 4.., if id.ends_with("0000") { "1111" } else { "0000" });
    let (verdict, detail) = asked(&gateway, &other);
    assert_eq!(verdict, "404 request_not_found");
    assert!(detail.contains("kept for 2d") && detail.contains("in flight still"), "{detail}");
    // Both spellings that an answer has are understood.
    let urn = gateway.admin("GET", &format!("/v1/requests/urn:uuid:{id}"));
    assert_eq!(urn.json()["request_id"], id.as_str());

    gateway.set_time("2026-11-23T12:00:00Z");
    let (_, detail) = asked(&gateway, &other);
    assert!(detail.contains("It came at 2026-11-20T12:00:00Z"), "{detail}");

    for (question, verdict, what) in [
        (json!({"key_id": "none", "route": "api"}), "404 key_not_found", "none"),
        (json!({"key_id": "acme-1", "route": "apis"}), "404 route_not_found", "There are: api."),
        (json!({"key_id": "acme-1"}), "422 invalid_request_body", "route"),
        (
            json!({"key_id": "acme-1", "route": "api", "method": "a b"}),
            "422 invalid_request_body",
            "method",
        ),
        (
            json!({"key_id": "acme-1", "route": "api", "address": "x"}),
            "422 invalid_request_body",
            "address",
        ),
    ] {
        let answer = gateway.change("POST", "/v1/explain", &question);
        assert_eq!(answer.verdict(), verdict, "{question}");
        assert!(answer.text().contains(what), "{}", answer.text());
    }
}

#[test]
fn requests_in_flight_count_as_reserved_by_others() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        if exchange.request().target() == "/held" {
            return Ok(Then::Silence);
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start(SMALL, &upstream);
    let mut held = gateway.client();
    held.send(head("GET", "/held", &[&bearer(KEY)]));
    upstream.wait_for(1);
    let told = of(&gateway, &gateway.get("/x", KEY));
    assert_eq!(check(&told, "quota")["reserved"], 1);
    assert_eq!(check(&told, "quota")["remaining"], 999);
}

#[test]
fn a_restart_and_a_reload_keep_what_is_kept() {
    let upstream = Upstream::ok();
    let mut gateway = Gateway::start(SMALL, &upstream);
    let id = gateway.get("/x", KEY).field("x-request-id").unwrap().to_owned();
    gateway.restart();
    let told = of_id(&gateway, &id);
    assert_eq!((&told["customer"], &told["charged"]), (&json!("acme"), &json!(1)));
    // Which limits there were is told, not which there are.
    let address = upstream.address().to_string();
    let smaller = SMALL.replace("@UPSTREAM@", &address).replace("limit = 1000", "limit = 10");
    gateway.write(&smaller);
    gateway.running().reload().unwrap();
    assert_eq!(check(&of_id(&gateway, &id), "quota")["limit"], 1000);
    assert_eq!(check(&of(&gateway, &gateway.get("/x", KEY)), "quota")["limit"], 10);

    gateway.write(&format!("[store]\nretention = {{ requests = \"0s\" }}\n{smaller}"));
    gateway.running().reload().unwrap();
    let response = gateway.get("/x", KEY);
    let id = response.field("x-request-id").unwrap();
    let answer = gateway.admin("GET", &format!("/v1/requests/{id}"));
    assert_eq!(answer.verdict(), "404 request_not_found");
    assert!(answer.text().contains("0s"), "{}", answer.text());
}

/// Something stands where the records should go; nobody is refused, and once it is away, it goes on.
#[test]
fn a_place_that_cannot_be_written_refuses_nobody() {
    let upstream = Upstream::ok();
    let mut gateway = Gateway::start(SMALL, &upstream);
    gateway.stop();
    let place = gateway.directory().join("faregate.db.journal/requests");
    fs::remove_dir_all(&place).unwrap_or_default();
    fs::write(&place, "in the way").unwrap();
    gateway.restart();
    for _ in 0..5 {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
    }
    let dropped = |gateway: &Gateway| {
        let page = gateway.admin("GET", "/metrics").text().to_owned();
        let line =
            page.lines().find(|line| line.starts_with("faregate_request_records_dropped_total"));
        line.unwrap().split(' ').nth(1).unwrap().parse::<f64>().unwrap()
    };
    wait_for("dropped records", || (dropped(&gateway) >= 5.0).then_some(()));
    fs::remove_file(&place).unwrap();
    wait_for("records that are written again", || {
        let response = gateway.get("/x", KEY);
        let id = response.field("x-request-id").unwrap();
        (gateway.admin("GET", &format!("/v1/requests/{id}")).status() == 200).then_some(())
    });
}

/// What was written when the process is killed can be read after the next start.
#[test]
fn what_was_written_survives_a_kill() {
    let upstream = process::CountingUpstream::start();
    let directory = tempfile::tempdir().unwrap();
    let (address, admin) = (process::free_address(), process::free_address());
    let digest = faregate::model::KeyDigest::of(KEY.as_bytes());
    let tables = SMALL.replace("@UPSTREAM@", &upstream.address.to_string());
    let tables = tables.replace("key:key-of-acme", &digest.to_string());
    let server =
        format!("[server]\nlisten = \"{address}\"\nworkers = 1\n[admin]\nlisten = \"{admin}\"\n");
    fs::write(directory.path().join("faregate.toml"), server + &tables).unwrap();
    let ask = |gateway: &process::Gateway, id: &str| {
        let authorization = gateway.authorization();
        let path = format!("/v1/requests/{id}");
        process::get(admin, &path, &[("authorization", &authorization)]).unwrap()
    };
    let gateway = process::Gateway::start(directory.path(), address, admin);
    let answer = process::get(address, "/x", &[("x-api-key", KEY)]).unwrap();
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: "));
    let id = id.unwrap_or_else(|| panic!("{answer}")).to_owned();
    let before = ask(&gateway, &id);
    assert!(before.starts_with("HTTP/1.1 200"), "{before}");
    gateway.kill();
    let gateway = process::Gateway::start(directory.path(), address, admin);
    let after = ask(&gateway, &id);
    let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&before), body(&after));
}

/// Where money stands in, the check that did not cover the request says so, and the credit has its numbers.
#[test]
fn money_that_pays_is_explained() {
    let upstream = Upstream::ok();
    let tables = SMALL
        .replace("upstream = \"api\"\n", "upstream = \"api\"\ncost = 2\nprice = \"0.02 USD\"\n")
        .replace("limit = 1000", "limit = 2");
    let payer = "[customers.payer]\nkeys = [{ id = \"payer-1\", digest = \"key:key-of-payer\" }]\n";
    let gateway = Gateway::start_at(NOW, &(tables + payer), &upstream);
    let grant = |customer: &str, amount: &str| {
        let body = json!({"amount": amount, "currency": "USD"});
        gateway.changed("POST", &format!("/v1/customers/{customer}/credits"), &body)
    };
    let outcomes = |told: &Value, names: &[&str]| {
        let outcome = |name: &&str| check(told, name)["outcome"].as_str().unwrap().to_owned();
        names.iter().map(outcome).collect::<Vec<_>>()
    };
    let call = |key: &str, key_id: &str| {
        let foretold = forecast(&gateway, &json!({"key_id": key_id, "route": "api"}));
        let told = of(&gateway, &gateway.get("/x", key));
        assert_same(&foretold, &told, key_id);
        (foretold, told)
    };

    let (foretold, told) = call(KEY, "acme-1");
    assert_eq!(outcomes(&told, &["quota", "credit"]), ["passed", "not_reached"]);
    assert_eq!((&told["charged"], &told["credit"]), (&json!(2), &Value::Null));
    assert_eq!((&foretold["cost"], &foretold["price"]), (&json!(2), &Value::Null));

    grant("acme", "0.03");
    let (foretold, told) = call(KEY, "acme-1");
    assert_eq!(
        outcomes(&told, &["subscription", "quota", "credit"]),
        ["passed", "uncovered", "passed"]
    );
    let credit = json!({"check": "credit", "outcome": "passed", "price": "0.020000000", "currency": "USD",
        "balance": "0.030000000", "balance_reserved": "0.000000000"});
    assert_eq!(*check(&told, "credit"), credit);
    assert_eq!((&told["charged"], &told["credit"]), (&json!(0), &json!("0.02 USD")));
    assert_eq!((&foretold["cost"], &foretold["price"]), (&json!(0), &json!("0.02 USD")));
    let detail = told["detail"].as_str().unwrap();
    assert!(
        detail.contains("used up") && detail.ends_with("0.02 USD of the credit was charged."),
        "{detail}"
    );

    let (_, told) = call(KEY, "acme-1");
    assert_eq!(outcomes(&told, &["quota", "credit"]), ["uncovered", "refused"]);
    assert_eq!(check(&told, "credit")["code"], "insufficient_credits");
    assert_eq!(check(&told, "credit")["balance"], "0.010000000");
    assert_eq!((&told["code"], &told["credit"]), (&json!("quota_exceeded"), &Value::Null));

    let (_, told) = call("key-of-payer", "payer-1");
    let path = ["scope", "subscription", "feature", "credit"];
    assert_eq!(outcomes(&told, &path), ["passed", "uncovered", "not_reached", "refused"]);
    assert_eq!(check(&told, "subscription")["code"], "subscription_required");
    assert_eq!(told["code"], "subscription_required");
    grant("payer", "0.02");
    let (_, told) = call("key-of-payer", "payer-1");
    assert_eq!(outcomes(&told, &path), ["passed", "uncovered", "not_reached", "passed"]);
    assert_eq!(told["credit"], "0.02 USD");
}
