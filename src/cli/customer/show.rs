//! A customer for people: a row of the list, or a block.
#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not have")]

use serde_json::Value;

use crate::cli::{
    print::{cell, plain},
    table::{Side, block, lines},
};

/// The headings of the list.
pub(super) const COLUMNS: &[(&str, Side)] = &[
    ("customer", Side::Left),
    ("name", Side::Left),
    ("plan", Side::Left),
    ("status", Side::Left),
    ("suspended", Side::Left),
    ("kept in", Side::Left),
];

/// Gives the row of a customer.
pub(super) fn row(customer: &Value) -> Vec<String> {
    let subscription = &customer["subscription"];
    vec![
        cell(&customer["id"]),
        cell(&customer["name"]),
        cell(&subscription["plan"]),
        cell(&subscription["status"]),
        cell(&customer["suspended"]),
        kept_in(customer),
    ]
}

/// Tells where it can be changed.
pub(in crate::cli) fn kept_in(document: &Value) -> String {
    let is_declared = document["declared_in_file"] == Value::Bool(true);
    if is_declared { "the file" } else { "the store" }.to_owned()
}

/// Gives everything that is known about a customer.
pub(super) fn details(customer: &Value) -> String {
    let subscription = &customer["subscription"];
    let mut all = vec![("customer", cell(&customer["id"])), ("name", cell(&customer["name"]))];
    all.extend(lines(subscription, &["plan", "status"]));
    all.push(("suspended", cell(&customer["suspended"])));
    all.extend(limits(customer));
    let cap = customer["spend_cap"].as_str();
    all.extend(cap.map(|cap| ("spend cap", plain(cap))));
    all.push(("webhook", cell(&customer["webhook"]["url"])));
    if let Some(reason) = customer["webhook"]["disabled"].as_str() {
        all.push(("webhook is off", plain(reason)));
    }
    all.push(("applications", cell(&customer["applications"])));
    for (name, value) in customer["metadata"].as_object().into_iter().flatten() {
        all.push(("metadata", format!("{} = {}", plain(name), cell(value))));
    }
    all.push(("kept in", kept_in(customer)));
    all.push(("created", cell(&customer["created_at"])));
    all.push(("updated", cell(&customer["updated_at"])));
    block(&all)
}

/// Gives the limits that a customer or a key has of its own.
pub(in crate::cli) fn limits(document: &Value) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match document["quotas"].as_array() {
        Some(quotas) if quotas.is_empty() => lines.push(("quotas", "unlimited".to_owned())),
        Some(quotas) => lines.extend(quotas.iter().map(|quota| ("quota", quota_text(quota)))),
        None => {}
    }
    if let Some(limit) = document["rate"]["limit"].as_u64() {
        let rate = &document["rate"];
        let burst = rate["burst"].as_u64().map(|burst| format!(", burst {burst}"));
        let text = format!("{limit} per {}{}", cell(&rate["window"]), burst.unwrap_or_default());
        lines.push(("rate", text));
    }
    if let Some(concurrency) = document["concurrency"].as_u64() {
        lines.push(("concurrency", concurrency.to_string()));
    }
    lines
}

fn quota_text(quota: &Value) -> String {
    let (name, limit, window) = (&quota["name"], &quota["limit"], &quota["window"]);
    let price = &quota["overage"]["price"];
    let beyond = price.as_str().map(|price| format!(", then {} each", plain(price)));
    format!("{}: {} per {}{}", cell(name), cell(limit), cell(window), beyond.unwrap_or_default())
}

/// Tells where the events go, and the secret if this answer is the one that has it.
pub(super) fn webhook(customer: &Value) -> String {
    let webhook = &customer["webhook"];
    let Some(url) = webhook["url"].as_str() else {
        return "no events are sent any more\n".to_owned();
    };
    let mut all = vec![("url", plain(url))];
    let secret = webhook["secret"].as_str();
    all.extend(secret.map(|secret| ("secret", plain(secret))));
    let mut text = block(&all);
    if secret.is_some() {
        text.push_str(
            "\nThe secret signs the events and is shown only now: give it to the receiver.\n",
        );
    }
    text
}
