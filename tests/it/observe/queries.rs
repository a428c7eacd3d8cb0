//! Every query of the dashboard and of the rules, asked of a Prometheus that scrapes a gateway to
//! which everything happens.

use std::{collections::BTreeSet, time::Duration};

use faregate::answer::Code;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Scene,
    dashboard::{self, Target},
    monitor::{Monitor, encode},
    names::{self, Selector},
    page::Page,
    read, rules,
};

/// How long everything may take to show.
const PATIENCE: Duration = Duration::from_secs(20);

/// What may give no series here, and why. All else must.
const MAY_BE_EMPTY: [(&str, &str); 2] = [
    (
        "faregate_requests_total{code=\"quota_unavailable\"}",
        "requests are refused so when the journal cannot be written; its disk is not full here",
    ),
    (
        "faregate_requests_total{code=~\"internal_error|overloaded|quota_unavailable\"}",
        "these are the gateway's own faults; it has none here",
    ),
];

/// Labels that Prometheus adds.
const ADDED: [&str; 3] = ["instance", "job", "le"];

/// A rule as Prometheus has read it.
struct Rule(Value);

impl Rule {
    fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    fn query(&self) -> &str {
        self.0["query"].as_str().unwrap()
    }
}

fn rules(monitor: &Monitor) -> Vec<Rule> {
    let groups = monitor.ask("/api/v1/rules")["groups"].clone();
    let of = |group: &Value| group["rules"].as_array().unwrap().clone();
    groups.as_array().unwrap().iter().flat_map(of).map(Rule).collect()
}

#[test]
fn every_query_is_answered_with_series() {
    let scene = Scene::start();
    scene.call_all();
    let dashboard = dashboard::dashboard();
    let targets = dashboard::targets(&dashboard);
    let page = Page::parse(&scene.page("text/plain"));
    for query in targets.iter().map(|target| &target.query) {
        assert_names_exist(&page, query, query);
        assert_grouping_exists(&page, query, query);
    }
    let monitor = Monitor::start(&scene);
    let mut waiting: Vec<&Target> = targets.iter().collect();
    let deadline = Instant::now() + PATIENCE;
    while !waiting.is_empty() {
        // Rates need two looks at numbers that grow.
        scene.call();
        waiting.retain(|target| !shows(&monitor, target));
        let told = waiting.iter().map(|target| format!("{}: {}", target.panel, target.query));
        let told = told.collect::<Vec<_>>().join("\n");
        assert!(Instant::now() < deadline, "no series, or no number, for:\n{told}");
        std::thread::sleep(Duration::from_millis(200));
    }
    for query in dashboard::annotations(&dashboard) {
        monitor.query(&dashboard::substitute(&query));
    }
    for variable in dashboard::variables(&dashboard) {
        let selector = dashboard::substitute(&variable.selector);
        let series = monitor.ask(&format!("/api/v1/series?match%5B%5D={}", encode(&selector)));
        let has = |series: &Value| series[&variable.label].is_string();
        assert!(series.as_array().unwrap().iter().any(has), "{selector} has no {}", variable.label);
    }
    assert_rules_select(&monitor);
    assert_scraped_as_openmetrics(&monitor);
    for rule in rules(&monitor) {
        assert_names_exist(&page, rule.query(), rule.name());
        assert_grouping_exists(&page, rule.query(), rule.name());
        assert_annotated(&page, &rule);
    }
}

/// Tells whether a panel's query gives a number, and labels for its legend.
fn shows(monitor: &Monitor, target: &Target) -> bool {
    let found = monitor.query(&dashboard::substitute(&target.query));
    let numbers: Vec<_> = found.iter().filter(|(_, value)| value.is_finite()).collect();
    for label in target.legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
        let missing = numbers.iter().find(|(labels, _)| !labels[label].is_string());
        // An empty label is as good as none to Prometheus.
        let may_lack = ["code", "ending", "plan", "route"].contains(&label);
        assert!(missing.is_none() || may_lack, "{}: no {label} for the legend", target.panel);
    }
    !numbers.is_empty()
}

/// What a rule looks at must be there, or it would be silent for ever.
fn assert_rules_select(monitor: &Monitor) {
    let rules = rules(monitor);
    let names: BTreeSet<_> = rules.iter().map(|rule| rule.name().to_owned()).collect();
    assert_eq!(names, rules::alerts().into_iter().collect());
    let mut empty = BTreeSet::new();
    for rule in &rules {
        assert_ne!(rule.0["health"], "err", "{}: {}", rule.name(), rule.0["lastError"]);
        monitor.query(rule.query());
        for Selector { text, labels, .. } in names::selectors(rule.query()) {
            for label in labels.iter().filter(|label| label.name == "code") {
                let mut codes = label.value.split('|');
                let is_known = |code: &str| {
                    code.is_empty() || code.ends_with(".*") || Code::find(code).is_some()
                };
                assert!(codes.all(is_known), "{}: {text}: no such code", rule.name());
            }
            if monitor.query(&text).is_empty() {
                let is_expected = MAY_BE_EMPTY.iter().any(|(selector, _)| *selector == text);
                assert!(is_expected, "{}: {text} gives no series", rule.name());
                empty.insert(text);
            }
        }
    }
    assert_eq!(empty.len(), MAY_BE_EMPTY.len(), "of those that may be empty only {empty:?} are");
}

fn assert_scraped_as_openmetrics(monitor: &Monitor) {
    let targets = monitor.ask("/api/v1/targets")["activeTargets"].clone();
    assert_eq!(targets[0]["health"], "up", "{targets}");
    let metadata = monitor.ask("/api/v1/metadata?metric=faregate_gateway_duration_seconds");
    let metadata = &metadata["faregate_gateway_duration_seconds"][0];
    // Only that format tells a unit.
    assert_eq!((&metadata["type"], &metadata["unit"]), (&"histogram".into(), &"seconds".into()));
}

/// Every metric that a text names must be on the page, with the labels that are asked for.
fn assert_names_exist(page: &Page, text: &str, of: &str) {
    for Selector { name, labels, .. } in names::selectors(text) {
        let metric = page.find(&name).unwrap_or_else(|| panic!("{of}: there is no metric {name}"));
        let known = metric.labels.clone().unwrap_or_default();
        for label in labels {
            let is_known = known.contains(&label.name) || ADDED.contains(&label.name.as_str());
            assert!(is_known, "{of}: {name} has no label {}", label.name);
        }
    }
}

/// Every label that a query groups or joins by must be that of some metric.
fn assert_grouping_exists(page: &Page, query: &str, of: &str) {
    for label in names::grouping(query) {
        assert!(is_label(page, &label), "{of}: there is no label {label}");
    }
}

fn is_label(page: &Page, label: &str) -> bool {
    let mut labels = page.0.values().filter_map(|metric| metric.labels.as_ref());
    ADDED.contains(&label) || labels.any(|labels| labels.contains(label))
}

fn assert_annotated(page: &Page, rule: &Rule) {
    let severity = rule.0["labels"]["severity"].as_str().unwrap_or_default();
    assert!(["critical", "info", "warning"].contains(&severity), "{}: {severity}", rule.name());
    for name in ["description", "summary"] {
        let text = rule.0["annotations"][name].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{} has no {name}", rule.name());
        for label in text.split("$labels.").skip(1).map(|rest| rest.split(' ').next().unwrap()) {
            assert!(is_label(page, label), "{}: there is no label {label}", rule.name());
        }
    }
}

#[test]
fn metrics_of_the_tests_of_rules_are_on_the_page() {
    let scene = Scene::start();
    scene.call_all();
    let page = Page::parse(&scene.page("text/plain"));
    for name in ["alerts.yml", "alerts_test.yml"] {
        assert_names_exist(&page, &read(name), name);
    }
}
