//! The page of metrics, taken apart: names, types and labels.

use std::collections::{BTreeMap, BTreeSet};

use super::{Scene, assert_promtool_agrees};

/// What the page has.
pub(super) struct Page(pub(super) BTreeMap<String, Metric>);

/// One metric of it.
pub(super) struct Metric {
    pub(super) kind: String,
    /// The names of the labels of its series; `None` when it has no series.
    pub(super) labels: Option<BTreeSet<String>>,
}

impl Page {
    /// Takes the Prometheus text format apart.
    pub(super) fn parse(text: &str) -> Self {
        let mut metrics = BTreeMap::new();
        for line in text.lines() {
            if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            {
                let metric = Metric { kind: kind.to_owned(), labels: None };
                metrics.insert(name.to_owned(), metric);
            }
        }
        let mut page = Self(metrics);
        for (name, labels) in text.lines().filter(|line| !line.starts_with('#')).map(series) {
            let metric = page.find_mut(&name).unwrap_or_else(|| panic!("{name} has no type"));
            let known = metric.labels.get_or_insert_default();
            known.extend(labels.into_iter().filter(|label| label != "le"));
        }
        page
    }

    /// Finds the metric that a series of this name belongs to.
    pub(super) fn find(&self, series: &str) -> Option<&Metric> {
        self.0.get(self.name_of(series)?)
    }

    fn find_mut(&mut self, series: &str) -> Option<&mut Metric> {
        let name = self.name_of(series)?.to_owned();
        self.0.get_mut(&name)
    }

    fn name_of<'a>(&self, series: &'a str) -> Option<&'a str> {
        if self.0.contains_key(series) {
            return Some(series);
        }
        let parts = ["_bucket", "_count", "_sum"];
        let name = parts.into_iter().find_map(|part| series.strip_suffix(part))?;
        self.0.get(name).is_some_and(|metric| metric.kind == "histogram").then_some(name)
    }
}

fn series(line: &str) -> (String, Vec<String>) {
    let name = line.split(['{', ' ']).next().unwrap().to_owned();
    let labels = super::names::selectors(line).pop().map(|selector| selector.labels);
    let labels = labels.unwrap_or_default().into_iter().map(|label| label.name);
    (name, labels.collect())
}

#[test]
fn promtool_finds_nothing_wrong_with_the_page() {
    let scene = Scene::start();
    scene.call_all();
    assert_promtool_agrees(&["check", "metrics"], &scene.page("text/plain"));
}

#[test]
fn both_formats_have_the_same_metrics() {
    let scene = Scene::start();
    scene.call_all();
    let older = Page::parse(&scene.page("text/plain"));
    let open = scene.page("application/openmetrics-text");
    let types = open.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let types: Vec<_> = types.filter_map(|rest| rest.split_once(' ')).collect();
    assert_eq!(types.len(), older.0.len());
    for (name, kind) in types {
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        assert!(older.0.contains_key(&format!("{name}{suffix}")), "{name}");
        // A unit is the end of the name, and told of each that has one.
        for unit in ["bytes", "seconds"] {
            let line = format!("# UNIT {name} {unit}");
            assert_eq!(name.ends_with(unit), open.lines().any(|told| told == line), "{line}");
        }
    }
}
