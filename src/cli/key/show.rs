//! A key for people: a row of the list, a block, or the words that go with a new secret.

use serde_json::Value;

use crate::{
    cli::{
        customer::{kept_in, limits},
        print::{cell, plain},
        table::{Side, block, lines},
    },
    model::parse_duration,
};

/// The headings of the list.
pub(super) const COLUMNS: &[(&str, Side)] = &[
    ("key", Side::Left),
    ("name", Side::Left),
    ("application", Side::Left),
    ("hint", Side::Left),
    ("status", Side::Left),
    ("expires", Side::Left),
    ("last used", Side::Left),
    ("kept in", Side::Left),
];

/// Gives the row of a key.
pub(super) fn row(key: &Value) -> Vec<String> {
    let fields = ["id", "name", "application", "hint", "status", "expires", "last_used"];
    let mut row: Vec<String> = fields.iter().map(|field| cell(&key[*field])).collect();
    row.push(kept_in(key));
    row
}

/// Gives everything that is known about a key.
pub(super) fn details(key: &Value) -> String {
    let mut all = vec![("key", cell(&key["id"]))];
    all.extend(lines(key, &["customer", "application", "name", "hint", "env", "status"]));
    for (name, field) in [("revoked", "revoked_at"), ("replaced by", "replaced_by")] {
        if !key[field].is_null() {
            all.push((name, cell(&key[field])));
        }
    }
    all.push(("scopes", cell(&key["scopes"])));
    let networks = &key["allow_from"];
    let is_any = networks.as_array().is_none_or(Vec::is_empty);
    all.push(("from", if is_any { "anywhere".to_owned() } else { cell(networks) }));
    let expires = key["expires"].as_str().map_or_else(|| "never".to_owned(), plain);
    all.push(("expires", expires));
    all.extend(limits(key));
    all.push(("last used", cell(&key["last_used"])));
    all.push(("kept in", kept_in(key)));
    all.push(("created", cell(&key["created_at"])));
    block(&all)
}

/// Shows a key that was just made, with its secret if it has one.
pub(super) fn made(key: &Value) -> String {
    let Some(secret) = key["secret"].as_str() else {
        return details(key);
    };
    format!(
        "{}\nsecret  {}\n\nThis is the whole key, and it is shown only now: give it to the caller. \
         The gateway keeps its digest alone.\n",
        details(key),
        plain(secret),
    )
}

/// Shows the key that takes another one's place.
pub(super) fn successor(old: &str, grace: &str, key: &Value) -> String {
    let is_over = parse_duration(grace).is_some_and(|grace| grace.is_zero());
    let old = plain(old);
    let fate = if is_over {
        format!("The old key {old} works no longer.\n")
    } else {
        format!("The old key {old} works for another {grace}, unless it expires before.\n")
    };
    made(key) + &fate
}
