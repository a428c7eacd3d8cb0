//! The dashboard by itself: that Grafana can show it, and a reader understands it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::read;

/// A query of a panel.
pub(super) struct Target {
    pub(super) panel: String,
    pub(super) query: String,
    pub(super) legend: String,
}

/// A variable whose values are those of a label: of which metric, which label.
pub(super) struct Variable {
    pub(super) selector: String,
    pub(super) label: String,
}

pub(super) fn dashboard() -> Value {
    serde_json::from_str(&read("dashboard.json")).unwrap()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter()
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_else(|| panic!("no {name}: {of}"))
}

/// Gives every query that shows data, with Grafana's variables as they are.
pub(super) fn targets(dashboard: &Value) -> Vec<Target> {
    let mut found = Vec::new();
    for panel in panels(dashboard).filter(|panel| panel["type"] != "row") {
        found.extend(panel["targets"].as_array().unwrap().iter().map(|target| Target {
            panel: text(panel, "title").to_owned(),
            query: text(target, "expr").to_owned(),
            legend: text(target, "legendFormat").to_owned(),
        }));
    }
    found
}

/// Gives the queries of annotations, which mark instants and may find none.
pub(super) fn annotations(dashboard: &Value) -> Vec<String> {
    let list = dashboard["annotations"]["list"].as_array().unwrap().iter();
    list.filter_map(|one| Some(one["expr"].as_str()?.to_owned())).collect()
}

pub(super) fn variables(dashboard: &Value) -> Vec<Variable> {
    let list = dashboard["templating"]["list"].as_array().unwrap().iter();
    let of_labels = list.filter(|variable| variable["type"] == "query");
    let parse = |variable: &Value| {
        let query = text(&variable["query"], "query");
        let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = inside.expect(query).rsplit_once(", ").expect(query);
        assert_eq!(variable["allValue"], ".*", "{query}: an empty label is chosen by All too");
        Variable { selector: selector.to_owned(), label: label.to_owned() }
    };
    of_labels.map(parse).collect()
}

/// Puts something in the place of each of Grafana's variables, as it does when all are chosen.
pub(super) fn substitute(query: &str) -> String {
    let mut query = query.replace("$__rate_interval", "10s");
    for name in ["instance", "plan", "route"] {
        query = query.replace(&format!("\"${name}\""), "\".*\"");
    }
    assert!(!query.contains('$'), "an unknown variable: {query}");
    query
}

#[test]
fn panels_can_be_told_apart_and_do_not_overlap() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "the id of {title} is not its alone");
        let side = |name: &str| panel["gridPos"][name].as_u64().expect(title);
        let (x, y, width, height) = (side("x"), side("y"), side("w"), side("h"));
        assert!(width > 0 && height > 0 && x + width <= 24, "{title} is not on the grid");
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title} lies on another at {cell:?}");
        }
    }
    assert!(ids.len() > 40);
}

#[test]
fn panels_say_what_they_show_and_ask_the_chosen_source() {
    let dashboard = dashboard();
    let source = serde_json::json!({"type": "prometheus", "uid": "${DS_PROMETHEUS}"});
    for panel in panels(&dashboard).filter(|panel| panel["type"] != "row") {
        let title = text(panel, "title");
        assert!(text(panel, "description").ends_with('.'), "{title} has no description");
        assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{title}: no unit");
        assert_eq!(panel["datasource"], source, "{title}");
        let mut references = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"], source, "{title}");
            assert!(references.insert(text(target, "refId")), "{title}: two with one refId");
            let query = text(target, "expr");
            for range in query.split('[').skip(1) {
                assert!(range.starts_with("$__rate_interval]"), "{title}: {query}");
            }
        }
        assert!(!references.is_empty(), "{title} asks nothing");
    }
    for target in targets(&dashboard) {
        assert!(!target.legend.is_empty(), "{}: {}", target.panel, target.query);
    }
    // The name of an input and of a variable: an import asks for the source, a dashboard that is put
    // in place by a file has it as a choice.
    assert_eq!(dashboard["__inputs"][0]["name"], "DS_PROMETHEUS");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert_eq!(
        (&variables[0]["name"], &variables[0]["type"]),
        (&"DS_PROMETHEUS".into(), &"datasource".into())
    );
    let labels: Vec<_> = self::variables(&dashboard).into_iter().map(|one| one.label).collect();
    assert_eq!(labels, ["instance", "route", "plan"]);
    assert!(dashboard["id"].is_null() && dashboard["schemaVersion"].as_u64() >= Some(39));
}

#[test]
fn kinds_of_panels_are_those_required() {
    let dashboard = dashboard();
    let kinds = panels(&dashboard).map(|panel| text(panel, "type"));
    let kinds: BTreeSet<_> = kinds.filter(|kind| *kind != "row").collect();
    let required = dashboard["__requires"].as_array().unwrap().iter();
    let required = required.filter(|one| one["type"] == "panel").map(|one| text(one, "id"));
    assert_eq!(kinds, required.collect());
}
