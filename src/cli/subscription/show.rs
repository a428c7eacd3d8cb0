//! A subscription for people.

use serde_json::Value;

use crate::cli::{
    print::{cell, plain},
    table::block,
};

/// What stands there only when it is set.
const DATES: [(&str, &str); 8] = [
    ("anchor", "anchor"),
    ("starts", "starts"),
    ("trial ends", "trial_end"),
    ("overdue since", "past_due_since"),
    ("grace", "grace"),
    ("cancelled at", "cancel_at"),
    ("period begins", "period_start"),
    ("period ends", "period_end"),
];

/// Gives everything that is known about a subscription.
pub(super) fn details(subscription: &Value) -> String {
    let served = match subscription["code"].as_str() {
        Some(code) => format!("no: {}", plain(code)),
        None => cell(&subscription["in_force"]),
    };
    let mut all = vec![
        ("customer", cell(&subscription["customer"])),
        ("plan", cell(&subscription["plan"])),
        ("status", cell(&subscription["status"])),
        ("served", served),
    ];
    for (name, field) in DATES {
        if !subscription[field].is_null() {
            all.push((name, cell(&subscription[field])));
        }
    }
    if subscription["pause_collection"] == Value::Bool(true) {
        all.push(("invoices", "paused by the provider".to_owned()));
    }
    let (changed, next) = (&subscription["changed"], &subscription["next"]);
    if !changed.is_null() {
        all.push(("changed", format!("{} ({})", cell(&changed["at"]), cell(&changed["rule"]))));
    }
    if !next.is_null() {
        let (plan, at) = (cell(&next["plan"]), cell(&next["at"]));
        all.push(("next", format!("{plan} at {at} ({})", cell(&next["rule"]))));
    }
    block(&all)
}
