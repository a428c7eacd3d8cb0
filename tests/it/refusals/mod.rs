//! Every refusal: status, fields by cause, body; and that it charges nothing.

mod alike;
mod faults;
pub(crate) mod setup;
mod told;

use setup::{Case, Stage, all_cases};

use crate::support::Response;

/// Fields that are there for a cause, of all that a refusal may have.
const BY_CAUSE: [&str; 7] = [
    "allow",
    "connection",
    "link",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "www-authenticate",
];

/// Asserts what holds for every refusal, and gives the fields that its cause brought.
fn assert_is_refusal(case: &str, response: &Response) -> Vec<(String, String)> {
    assert_eq!(response.field("content-type"), Some("application/problem+json"), "{case}");
    assert_eq!(response.field("cache-control"), Some("no-store"), "{case}");
    let body = response.json();
    let id = response.field("x-request-id").expect(case);
    assert_eq!(body["request_id"], id, "{case}");
    assert_eq!(body["instance"], format!("urn:uuid:{id}"), "{case}");
    assert_eq!(body["status"], response.status(), "{case}");
    assert_eq!(body["error"]["code"], body["code"], "{case}");
    assert_eq!(body["error"]["message"], body["detail"], "{case}");
    assert!(body["error"]["param"].is_null(), "{case}");
    assert!(response.field("faregate-cost").is_none(), "{case}");
    let by_cause = |(name, _): &&(String, String)| BY_CAUSE.contains(&name.as_str());
    let known = |name: &str| {
        BY_CAUSE.contains(&name)
            || ["content-type", "content-length", "cache-control", "date", "x-request-id"]
                .contains(&name)
    };
    for (name, _) in &response.head.fields {
        assert!(known(name), "{case}: what is {name} for?");
    }
    let mut fields: Vec<_> = response.head.fields.iter().filter(by_cause).cloned().collect();
    fields.sort();
    fields
}

/// Writes a refusal as a caller meets it, with what differs from run to run taken out.
fn shown(case: &str, response: &Response, fields: &[(String, String)]) -> String {
    let body = serde_json::to_string_pretty(&response.json()).unwrap();
    let id = response.field("x-request-id").unwrap();
    let mut text = format!("# {case}\n\n{}\n", response.status());
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\n"));
    }
    format!("{text}\n{}\n\n", body.replace(id, "REQUEST-ID"))
}

/// Each case gives its answer and charges nothing. A change in a snapshot is a change of the contract.
#[test]
fn refusals_say_why_and_charge_nothing() {
    let stage = Stage::new();
    let before = stage.counted();
    let mut shown_by_status = std::collections::BTreeMap::<u16, String>::new();
    for Case { name, request, verdict, .. } in all_cases() {
        let mut client = stage.gateway.client();
        client.send(&request);
        let response = client.response();
        assert_eq!(response.verdict(), verdict, "{name}");
        let fields = assert_is_refusal(name, &response);
        shown_by_status
            .entry(response.status())
            .or_default()
            .push_str(&shown(name, &response, &fields));
        assert_eq!(stage.counted(), before, "{name}");
    }
    for (status, text) in shown_by_status {
        insta::assert_snapshot!(format!("status_{status}"), text);
    }
    stage.assert_nothing_more_recorded();
}

/// All codes that a request can be refused with stand in the table, but those that need a broken
/// part, which have their own tests.
#[test]
fn no_code_is_left_out() {
    let mut seen: Vec<String> =
        all_cases().iter().map(|case| case.verdict.split(' ').nth(1).unwrap().to_owned()).collect();
    let elsewhere = [
        // `faults.rs`, and the endings.
        "upstream_error",
        "upstream_payment_required",
        "upstream_timeout",
        "internal_error",
        // A connection within TLS.
        "misdirected_request",
        // An upload that comes too slowly.
        "request_timeout",
        // A journal that cannot be written; a gateway without room.
        "quota_unavailable",
        "overloaded",
        // `payments/`, which have somebody who settles.
        "idempotency_key_reused",
        "payment_already_used",
        "payment_expired",
        "payment_failed",
        "payment_invalid",
        "payment_malformed",
        "payment_pending",
        "payment_unavailable",
    ];
    seen.extend(elsewhere.map(str::to_owned));
    for code in faregate::answer::Code::ALL {
        assert!(seen.iter().any(|name| name == code.name()), "{code:?}");
    }
}
