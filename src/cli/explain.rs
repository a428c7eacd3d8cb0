//! `faregate explain`: why a request was refused, or what it was charged; and what would become of one.
#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not have")]

use std::net::IpAddr;

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::{
    admin::{Call, Remote},
    input::WrongUsage,
    print::{cell, plain},
    table::{Side, Table, block},
};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate explain 01a1f967-b540-79ff-9e34-f76908c361dc\n  \
    faregate explain --key-id acme-ci --route forecast\n  \
    faregate explain --key-id acme-ci --route forecast --method POST --json")]
pub(super) struct Explain {
    /// The request's id, as its answer has it in X-Request-Id
    #[arg(
        value_parser = NonEmptyStringValueParser::new(),
        required_unless_present_any = ["key_id", "route"],
        conflicts_with_all = ["key_id", "route", "method", "address"]
    )]
    request_id: Option<String>,
    /// Tell what would become of a request by this key, now; it takes nothing
    #[arg(long, value_name = "ID", requires = "route", value_parser = NonEmptyStringValueParser::new())]
    key_id: Option<String>,
    /// The name of the route that would take it
    #[arg(long, value_name = "NAME", requires = "key_id", value_parser = NonEmptyStringValueParser::new())]
    route: Option<String>,
    /// Its method; default: GET, or the first that the route answers
    #[arg(long, requires = "key_id")]
    method: Option<String>,
    /// The address that it would come from; default: the networks of the key are not looked at
    #[arg(long, requires = "key_id")]
    address: Option<IpAddr>,
    #[command(flatten)]
    remote: Remote,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let call = self.call()?;
        self.remote.show(&call, explanation)
    }

    fn call(&self) -> Result<Call, WrongUsage> {
        if let Some(id) = &self.request_id {
            // Told here, so that no gateway is needed to see what is wrong.
            let id = Uuid::parse_str(id).map_err(|_| {
                let form = "a UUID such as 01a1f967-b540-79ff-9e34-f76908c361dc";
                WrongUsage(format!("`{}` is no request id; one is {form}", plain(id)))
            })?;
            return Ok(Call::get(&["requests", &id.to_string()]));
        }
        let mut body = json!({"key_id": self.key_id, "route": self.route});
        if let Some(method) = &self.method {
            body["method"] = method.to_ascii_uppercase().into();
        }
        if let Some(address) = self.address {
            body["address"] = address.to_string().into();
        }
        Ok(Call::post(&["explain"], body))
    }
}

/// Writes the document: what is meant, each check on a line, and a sentence.
fn explanation(document: &Value) -> String {
    let mut out = block(&subject(document));
    let checks = document["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !checks.is_empty() {
        let columns = [("check", Side::Left), ("outcome", Side::Left), ("", Side::Left)];
        let mut table = Table::new(&columns);
        for check in checks {
            let outcome = cell(&check["outcome"]).replace('_', " ");
            table.row(vec![cell(&check["check"]), outcome, numbers(check)]);
        }
        out.push('\n');
        out.push_str(&table.page());
    }
    out.push_str(&format!("\n{}\n", cell(&document["detail"])));
    out
}

fn subject(document: &Value) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let fields = [
        ("request", "request_id"),
        ("at", "at"),
        ("method", "method"),
        ("route", "route"),
        ("customer", "customer"),
        ("application", "application"),
        ("key", "key_id"),
        ("plan", "plan"),
    ];
    for (name, field) in fields {
        let is_left_out =
            document[field].is_null() && ["request_id", "application"].contains(&field);
        if !is_left_out {
            lines.push((name, cell(&document[field])));
        }
    }
    let decision = cell(&document["decision"]).replace('_', " ");
    let code = [&document["code"], &document["shadow"]].into_iter().find(|code| !code.is_null());
    let code = code.map(|code| format!(" ({})", cell(code))).unwrap_or_default();
    lines.push(("decision", format!("{decision}{code}")));
    if document["request_id"].is_string() {
        let status = cell(&document["status"]);
        lines.push(("answer", format!("{status} after {} ms", cell(&document["duration_ms"]))));
        lines.push(("ending", cell(&document["ending"])));
        lines.push(("charged", units_and_money(&document["charged"], &document["credit"])));
        if !document["payment"].is_null() {
            lines.push(("payment", payment(&document["payment"])));
        }
    } else {
        lines.push(("cost", units_and_money(&document["cost"], &document["price"])));
    }
    lines
}

/// Writes what is known of the payment that came with a request.
fn payment(payment: &Value) -> String {
    let told = |field: &str| cell(&payment[field]);
    let mut text = format!("{}, {} on {}", told("state"), told("amount"), told("network"));
    for field in ["transaction", "reason"].into_iter().filter(|field| !payment[*field].is_null()) {
        text.push_str(&format!(", {field} {}", told(field)));
    }
    format!("{text}, proof {}", told("proof"))
}

/// Writes what was taken: units, or money where that paid.
fn units_and_money(units: &Value, money: &Value) -> String {
    cell(if money.is_null() { units } else { money })
}

/// Writes the numbers of a check on a line, as far as it has some.
fn numbers(check: &Value) -> String {
    let has = |field: &str| !check[field].is_null();
    let told = |field: &str| cell(&check[field]);
    let mut parts = Vec::new();
    if has("name") {
        let scope = if has("scope") { format!(" of {}", told("scope")) } else { String::new() };
        parts.push(format!("{}{scope}:", told("name")));
    }
    let kind = check["check"].as_str().unwrap_or_default();
    match kind {
        "quota" if has("limit") => parts.push(format!(
            "cost {}, limit {}, used {}, reserved {}, left {}, renews {}",
            told("cost"),
            told("limit"),
            told("used"),
            told("reserved"),
            told("remaining"),
            check["window"]["end"].as_str().map_or_else(|| "never".to_owned(), plain),
        )),
        "rate" if has("limit") => parts.push(format!(
            "{} per {} s, burst {}, left {}",
            told("limit"),
            told("window_seconds"),
            told("burst"),
            told("remaining"),
        )),
        "concurrency" if has("limit") => {
            parts.push(format!("{} at once, in flight {}", told("limit"), told("in_flight")));
        }
        "credit" if has("balance") => parts.push(format!(
            "price {} {currency}, balance {}, reserved {}",
            told("price"),
            told("balance"),
            told("balance_reserved"),
            currency = told("currency"),
        )),
        _ => {}
    }
    if kind == "quota" && has("price") {
        let cap = if has("spend_cap") { told("spend_cap") } else { "none".to_owned() };
        let (price, currency) = (told("price"), told("currency"));
        parts.push(format!("then {price} {currency} each, spend cap {cap}"));
    }
    if has("required") {
        parts.push(format!("needs {}", told("required")));
    }
    if has("status") {
        parts.push(told("status"));
    }
    if check["public"] == true {
        parts.push("public".to_owned());
    }
    if has("code") {
        parts.push(format!("({})", told("code")));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        explain: Explain,
    }

    fn parse(arguments: &str) -> Result<Explain, clap::Error> {
        let arguments = ["explain"].into_iter().chain(arguments.split_whitespace());
        Program::try_parse_from(arguments).map(|program| program.explain)
    }

    #[test]
    fn a_request_is_named_or_described() {
        let id = "01a1f967-b540-79ff-9e34-f76908c361dc";
        let call = |arguments: &str| parse(arguments).unwrap().call().unwrap();
        for id in [id.to_owned(), format!("urn:uuid:{id}"), id.to_uppercase()] {
            let line = call(&id).line();
            assert_eq!(line, "GET /v1/requests/01a1f967-b540-79ff-9e34-f76908c361dc");
        }
        let described = call("--key-id k --route r --method post --address ::1");
        assert_eq!(described.line(), "POST /v1/explain");
        let body = json!({"key_id": "k", "route": "r", "method": "POST", "address": "::1"});
        assert_eq!(described.document(), body);
        for wrong in
            ["", "--key-id k", "--route r", "--method GET", &format!("{id} --key-id k --route r")]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let wrong = parse("1234").unwrap().call().unwrap_err().to_string();
        assert!(wrong.contains("`1234` is no request id"), "{wrong}");
    }

    #[test]
    fn refusal_is_readable() {
        let window = json!({"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"});
        insta::assert_snapshot!(explanation(&json!({
            "request_id": "01a1f967-b540-79ff-9e34-f76908c361dc", "at": "2026-11-20T12:00:00Z",
            "method": "GET", "route": "forecast", "customer": "acme", "application": null,
            "key_id": "acme-ci", "plan": "starter",
            "checks": [
                {"check": "route", "outcome": "passed"},
                {"check": "scope", "outcome": "passed", "required": ["read", "write"]},
                {"check": "subscription", "outcome": "passed", "status": "active"},
                {"check": "rate", "outcome": "passed", "name": "rate", "limit": 50, "burst": 100,
                 "window_seconds": 1, "remaining": 99},
                {"check": "concurrency", "outcome": "passed", "name": "concurrency", "limit": 20, "in_flight": 3},
                {"check": "quota", "outcome": "refused", "code": "quota_exceeded", "name": "monthly", "limit": 1000,
                 "used": 999, "reserved": 0, "remaining": 1, "cost": 2, "window": window},
                {"check": "quota", "outcome": "passed", "name": "all", "scope": "application/mobile",
                 "limit": 10, "used": 0, "reserved": 0, "remaining": 10, "cost": 2,
                 "window": {"start": "1970-01-01T00:00:00Z", "end": null}},
            ],
            "decision": "refused", "code": "quota_exceeded", "shadow": null,
            "detail": "The monthly allowance of 1000 requests has 1 left, and this call costs 2.",
            "status": 402, "ending": "refused", "charged": 0, "duration_ms": 0.087,
            "payment": {"state": "unknown", "proof": "eip3009:x", "amount": "10000",
                "network": "eip155:8453", "transaction": null, "reason": "no answer"},
        })));
    }

    #[test]
    fn forecast_is_readable() {
        insta::assert_snapshot!(explanation(&json!({
            "at": "2026-11-20T12:00:00Z", "method": "GET", "route": "status", "customer": "acme",
            "application": "mobile", "key_id": "acme-ci", "plan": null,
            "checks": [
                {"check": "route", "outcome": "passed", "public": true},
                {"check": "method", "outcome": "passed"},
                {"check": "credential", "outcome": "not_reached"},
            ],
            "decision": "would_be_forwarded", "code": null, "shadow": null,
            "detail": "It would be forwarded.", "cost": 0,
        })));
    }
}
