//! The audit, played back: it leads to exactly what is stored.

use std::collections::BTreeMap;

use serde_json::Value;

use super::program::Admin;

/// What the audit's entries lead to: kind and subject, and the last thing that was said of it.
type Stored = BTreeMap<(String, String), Value>;

/// Plays the whole audit back and compares what it leads to with what is stored; gives how many
/// entries it has.
pub(super) fn check(admin: &Admin) -> usize {
    let entries = all(admin);
    let stored = play(&entries);
    let ids = |kind: &str| -> Vec<String> {
        stored.keys().filter(|(of, _)| of == kind).map(|(_, subject)| subject.clone()).collect()
    };
    let (_, list) = admin.get("/v1/customers?limit=1000");
    assert_eq!(list["next"], Value::Null);
    let listed = list["items"].as_array().unwrap();
    let listed = listed.iter().filter(|customer| customer["declared_in_file"] == false);
    let customers: BTreeMap<_, _> =
        listed.map(|customer| (customer["id"].as_str().unwrap(), customer)).collect();
    assert_eq!(ids("customer"), customers.keys().copied().collect::<Vec<_>>());
    let (mut keys, mut subscriptions, mut applications) = (Vec::new(), Vec::new(), Vec::new());
    for (id, customer) in customers {
        compare(&stored[&("customer".to_owned(), id.to_owned())], customer);
        if let held @ Value::Object(_) = &customer["subscription"] {
            compare(&stored[&("subscription".to_owned(), id.to_owned())], held);
            subscriptions.push(id.to_owned());
        }
        let (_, list) = admin.get(&format!("/v1/customers/{id}/keys?limit=1000"));
        for key in list["items"].as_array().unwrap() {
            let key_id = key["id"].as_str().unwrap().to_owned();
            compare(&stored[&("key".to_owned(), key_id.clone())], key);
            keys.push(key_id);
        }
        for name in customer["applications"].as_array().unwrap() {
            applications.push(format!("{id}/{}", name.as_str().unwrap()));
        }
    }
    keys.sort_unstable();
    assert_eq!(ids("key"), keys);
    assert_eq!(ids("subscription"), subscriptions);
    assert_eq!(ids("application"), applications);
    entries.len()
}

/// Gives the audit, the oldest entry first.
fn all(admin: &Admin) -> Vec<Value> {
    let (mut all, mut before) = (Vec::new(), String::new());
    loop {
        let (_, mut page) = admin.get(&format!("/v1/audit?limit=1000{before}"));
        all.append(page["items"].as_array_mut().unwrap());
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    all.reverse();
    all
}

/// Goes from entry to entry: each finds what the one before it left.
fn play(entries: &[Value]) -> Stored {
    let mut stored = Stored::new();
    for entry in entries {
        let (kind, action) = entry["action"].as_str().unwrap().split_once('.').unwrap();
        let (customer, subject) = (entry["customer"].as_str(), entry["subject"].as_str().unwrap());
        let subject = match kind {
            "application" => format!("{}/{subject}", customer.unwrap()),
            _ => subject.to_owned(),
        };
        let place = (kind.to_owned(), subject);
        let before = stored.remove(&place).unwrap_or_default();
        // The use of a key is noted without an entry.
        assert_eq!(unused(&entry["before"]), unused(&before), "{entry}");
        if (kind, action) == ("customer", "delete") {
            let id = customer.unwrap();
            stored.retain(|(kind, subject), value| match kind.as_str() {
                "key" => value["customer"] != *id,
                "application" => !subject.starts_with(&format!("{id}/")),
                _ => subject != id,
            });
        } else if !entry["after"].is_null() {
            stored.insert(place, entry["after"].clone());
        }
    }
    stored
}

fn unused(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("last_used");
    }
    value
}

/// Compares an entry's record with a document: the document has all of it, but for what is not told,
/// and has limits among its own fields.
fn compare(record: &Value, document: &Value) {
    let mut compared = 0;
    for (name, value) in record.as_object().unwrap() {
        match (name.as_str(), document.get(name)) {
            ("last_used", _) => {}
            ("limits", _) => {
                for (name, limit) in value.as_object().unwrap() {
                    assert_eq!(document[name], *limit, "{name} of {document}");
                }
            }
            // Not told: the line of rotations, and the marks of a change of plan.
            ("lineage" | "restarted", None) => {}
            ("changed", Some(told)) => {
                for name in ["rule", "at"] {
                    assert_eq!(told.get(name), value.get(name), "{document}");
                }
                compared += 1;
            }
            (_, Some(told)) => {
                assert_eq!(told, value, "{name} of {document}");
                compared += 1;
            }
            (_, None) => panic!("{name} is not told: {document}"),
        }
    }
    // What a record leaves out is nothing.
    let dates = ["anchor", "starts", "trial_end", "past_due_since", "cancel_at", "expires"];
    for name in dates.into_iter().chain(["period_start", "period_end", "grace", "changed", "next"])
    {
        if record.get(name).is_none() {
            assert!(document.get(name).is_none_or(Value::is_null), "{name} of {document}");
        }
    }
    assert!(compared >= 3, "{record}");
}
