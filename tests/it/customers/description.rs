//! The description of the calls, against what they answer.

use serde_json::{Value, json};

use super::start;
use crate::support::{Gateway, Response, Upstream};

/// The description, and what was found to differ from it.
struct Description(Value);

impl Description {
    /// Checks an answer: its status is listed, and its body has the schema that stands there.
    fn check(&self, method: &str, template: &str, answer: &Response) {
        let operation = &self.0["paths"][template][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {template} is not described");
        let status = answer.status().to_string();
        let class = format!("{}XX", &status[..1]);
        let responses = &operation["responses"];
        let listed = [&status, &class].map(|status| &responses[status.as_str()]);
        let Some(listed) = listed.into_iter().find(|listed| listed.is_object()) else {
            panic!("{method} {template} answers {status}, which is not described");
        };
        let media = answer.field("content-type").map(|media| media.split(';').next().unwrap());
        let Some(content) = listed["content"].as_object() else {
            assert!(answer.body.is_empty() || status == "200", "{method} {template}: a body");
            return;
        };
        let media = media.unwrap_or_else(|| panic!("{method} {template}: no body"));
        // A problem document is described as JSON.
        let schema = content.get(media).or_else(|| content.get("application/json"));
        let schema = &schema.unwrap_or_else(|| panic!("{method} {template}: {media}"))["schema"];
        self.matches(schema, &answer.json(), &format!("{method} {template} {status}"));
    }

    /// Checks a value against a schema, as far as ours use the language.
    fn matches(&self, schema: &Value, value: &Value, place: &str) {
        if let Err(error) = self.try_match(schema, value, place) {
            panic!("{error}");
        }
    }

    fn try_match(&self, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap();
            let target = self.0.pointer(pointer).ok_or(format!("{reference} leads nowhere"))?;
            return self.try_match(target, value, place);
        }
        for parts in ["oneOf", "anyOf"].iter().filter_map(|name| schema[*name].as_array()) {
            let tries: Vec<_> =
                parts.iter().map(|part| self.try_match(part, value, place)).collect();
            if tries.iter().all(Result::is_err) {
                return Err(format!("{place}: {value} is none of {parts:?}: {tries:?}"));
            }
        }
        let types = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let is = |name: &str| match name {
            "array" => value.is_array(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "null" => value.is_null(),
            "number" => value.is_number(),
            "object" => value.is_object(),
            "string" => value.is_string(),
            other => panic!("{place}: unknown type {other}"),
        };
        if !types.is_empty() && !types.iter().any(|name| is(name)) {
            return Err(format!("{place}: {value} is not of type {types:?}"));
        }
        if schema["format"] == "date-time"
            && let Some(text) = value.as_str()
        {
            text.parse::<jiff::Timestamp>().map_err(|error| format!("{place}: {error}"))?;
        }
        if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
            for (index, item) in items.iter().enumerate() {
                self.try_match(schema, item, &format!("{place}[{index}]"))?;
            }
        }
        if let Some(object) = value.as_object() {
            self.match_members(schema, object, place)?;
        }
        Ok(())
    }

    /// Gives the parts of a schema that is put together, and itself.
    fn parts<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.parts(self.0.pointer(reference.strip_prefix('#').unwrap()).unwrap());
        }
        let parts = schema["allOf"].as_array().into_iter().flatten();
        let parts = parts.flat_map(|part| self.parts(part));
        parts.chain([schema]).collect()
    }

    fn match_members(
        &self,
        schema: &Value,
        object: &serde_json::Map<String, Value>,
        place: &str,
    ) -> Result<(), String> {
        let parts = self.parts(schema);
        let required = parts.iter().filter_map(|part| part["required"].as_array()).flatten();
        for name in required.map(|name| name.as_str().unwrap()) {
            if !object.contains_key(name) {
                return Err(format!("{place}: {name} is missing"));
            }
        }
        let is_closed = parts.iter().any(|part| part.get("properties").is_some());
        for (name, member) in object {
            let known = parts.iter().find_map(|part| part["properties"].get(name));
            let rest = || parts.iter().find_map(|part| part.get("additionalProperties"));
            match known.or_else(rest) {
                Some(schema) => self.try_match(schema, member, &format!("{place}.{name}"))?,
                None if is_closed => return Err(format!("{place}: {name} is not described")),
                None => {}
            }
        }
        Ok(())
    }
}

/// Every call, each with an answer that it gives; in an order in which they succeed.
fn script() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let quotas =
        json!([{"limit": 5, "window": "day", "align": "calendar", "zone": "Europe/Paris"}]);
    let customer = json!({"id": "acme", "name": "Acme", "metadata": {"a": "b"}, "quotas": quotas,
        "rate": {"limit": 100, "window": "1s"}, "concurrency": 7,
        "webhook": {"url": "https://example.com/hook"}, "subscription": {"plan": "starter"}});
    let key = json!({"id": "acme-key", "name": "ci", "scopes": ["read"],
        "allow_from": ["127.0.0.1"], "application": "mobile", "expires": "2030-01-01T00:00:00Z"});
    let (one, all) = ("/v1/customers/{id}", "/v1/customers");
    vec![
        ("POST", all, "", customer),
        ("POST", all, "", json!({"id": "acme"})),
        ("GET", all, "", json!(null)),
        ("GET", one, "acme", json!(null)),
        ("GET", one, "filed", json!(null)),
        ("GET", one, "nobody", json!(null)),
        (
            "PATCH",
            one,
            "acme",
            json!({"name": "Other", "webhook": {"url": "https://example.org/"}}),
        ),
        ("POST", "/v1/customers/{id}/keys", "acme", key),
        ("GET", "/v1/customers/{id}/keys", "acme", json!(null)),
        ("GET", "/v1/keys/{id}", "acme-key", json!(null)),
        ("GET", "/v1/keys/{id}", "filed-key", json!(null)),
        ("PATCH", "/v1/keys/{id}", "acme-key", json!({"rate": {"limit": 1, "window": "1m"}})),
        ("POST", "/v1/keys/{id}/rotate", "acme-key", json!({"grace": "1h"})),
        ("DELETE", "/v1/keys/{id}", "acme-key", json!(null)),
        ("PUT", "/v1/customers/{id}/applications/{name}", "acme", json!({"quotas": quotas})),
        ("GET", "/v1/customers/{id}/applications/{name}", "acme", json!(null)),
        ("GET", "/v1/customers/{id}/applications", "acme", json!(null)),
        ("DELETE", "/v1/customers/{id}/applications/{name}", "acme", json!(null)),
        (
            "PUT",
            "/v1/customers/{id}/subscription",
            "acme",
            json!({"plan": "pro", "at": "2026-12-01T00:00:00Z", "anchor": "2026-11-01T00:00:00Z", "grace": "1d"}),
        ),
        ("GET", "/v1/customers/{id}/subscription", "acme", json!(null)),
        (
            "POST",
            "/v1/customers/{id}/adjustments",
            "acme",
            json!({"quota": "day", "amount": -1, "reason": "x"}),
        ),
        ("GET", "/v1/customers/{id}/adjustments", "acme", json!(null)),
        (
            "POST",
            "/v1/customers/{id}/credits",
            "acme",
            json!({"amount": "5", "currency": "USD", "expires": "2030-01-01T00:00:00Z"}),
        ),
        ("GET", "/v1/customers/{id}/credits", "acme", json!(null)),
        (
            "POST",
            "/v1/customers/{id}/adjustments",
            "acme",
            json!({"credit": "USD", "amount": "-6.5", "reason": "x"}),
        ),
        ("GET", "/v1/customers/{id}/ledger", "acme", json!(null)),
        ("GET", "/v1/customers/{id}/usage", "acme", json!(null)),
        ("POST", "/v1/verify", "", json!(null)),
        ("DELETE", "/v1/customers/{id}/subscription", "acme", json!(null)),
        ("POST", "/v1/explain", "", json!({"key_id": "filed-key", "route": "calls"})),
        ("POST", "/v1/explain", "", json!({"key_id": "filed-key", "route": "none"})),
        ("GET", "/v1/requests/{id}", "none", json!(null)),
        ("GET", "/v1/audit", "", json!(null)),
        ("GET", "/v1/log", "", json!(null)),
        ("PUT", "/v1/log", "", json!({"level": "debug", "reason": "a look"})),
        ("PUT", "/v1/log", "", json!({"level": "loud"})),
        ("GET", "/v1/enforcement", "", json!(null)),
        ("GET", "/v1/nodes", "", json!(null)),
        ("DELETE", "/v1/nodes/{id}", "none", json!(null)),
        ("GET", "/v1/live", "", json!(null)),
        ("PUT", "/v1/enforcement", "", json!({"enforce": true, "reason": "as it was"})),
        ("POST", "/v1/reload", "", json!(null)),
        ("DELETE", one, "acme", json!(null)),
    ]
}

fn answer(gateway: &Gateway, method: &str, template: &str, id: &str, body: &Value) -> Response {
    let path = template.replace("{id}", id).replace("{name}", "mobile-2");
    if body.is_null() { gateway.admin(method, &path) } else { gateway.change(method, &path, body) }
}

#[test]
fn answers_are_as_described() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let description = Description(gateway.admin("GET", "/openapi.json").json());
    let mut made = Vec::new();
    for (method, template, id, body) in script() {
        let answer = answer(&gateway, method, template, id, &body);
        description.check(method, template, &answer);
        if answer.status() < 300 {
            made.push(format!("{method} {template}"));
        }
    }
    let answered = gateway.get("/calls/x", "key-of-filed");
    let id = answered.field("x-request-id").unwrap();
    let explained = answer(&gateway, "GET", "/v1/requests/{id}", id, &Value::Null);
    description.check("GET", "/v1/requests/{id}", &explained);
    assert_eq!(explained.status(), 200, "{}", explained.text());
    made.push("GET /v1/requests/{id}".to_owned());
    // No call is described and not made here, or in a test of its own.
    for (template, methods) in description.0["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let call = format!("{} {template}", method.to_uppercase());
            let elsewhere =
                ["/v1/import", "/v1/backup", "/v1/usage", "/v1/config", "/v1/events", "/v1/nodes/"];
            let is_elsewhere = elsewhere.iter().any(|path| template.starts_with(path));
            assert!(is_elsewhere || made.contains(&call), "{call} never succeeded here");
        }
    }
}

#[test]
fn what_differs_is_noticed() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream);
    let description = Description(gateway.admin("GET", "/openapi.json").json());
    let schema = json!({"$ref": "#/components/schemas/CustomerDocument"});
    let good = gateway.admin("GET", "/v1/customers/filed").json();
    description.matches(&schema, &good, "customer");
    for (name, value) in
        [("id", json!(1)), ("colour", json!("red")), ("created_at", json!("yesterday"))]
    {
        let mut bad = good.clone();
        bad[name] = value;
        assert!(description.try_match(&schema, &bad, "customer").is_err(), "{name}");
    }
    let mut bad = good;
    bad.as_object_mut().unwrap().remove("suspended");
    assert!(description.try_match(&schema, &bad, "customer").is_err());
}
