//! `docs/metrics.md` against the page: who adds a metric describes it.

use std::collections::{BTreeMap, BTreeSet};

use faregate::answer::Ending;

use super::{Scene, page::Page};

const DOCUMENT: &str = include_str!("../../../docs/metrics.md");

/// A row of the tables.
struct Row {
    kind: String,
    labels: BTreeSet<String>,
    unit: String,
}

fn rows() -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for line in DOCUMENT.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split(" |").map(str::trim).collect();
        let [name, kind, labels, unit, meaning] = cells[..] else {
            panic!("not five cells: {line}")
        };
        assert!(!meaning.is_empty(), "no meaning: {line}");
        let labels = labels.split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let row = Row {
            kind: kind.to_owned(),
            labels: labels.filter(|label| !label.is_empty()).collect(),
            unit: unit.to_owned(),
        };
        let name = name.trim_matches('`').to_owned();
        assert!(rows.insert(name.clone(), row).is_none(), "{name} is described twice");
    }
    rows
}

#[test]
fn every_metric_is_described_and_every_description_is_of_one() {
    let scene = Scene::start();
    scene.call_all();
    let (page, rows) = (Page::parse(&scene.page("text/plain")), rows());
    let undescribed: Vec<_> = page.0.keys().filter(|name| !rows.contains_key(*name)).collect();
    assert!(undescribed.is_empty(), "on the page, but not in docs/metrics.md: {undescribed:?}");
    let gone: Vec<_> = rows.keys().filter(|name| !page.0.contains_key(*name)).collect();
    assert!(gone.is_empty(), "in docs/metrics.md, but not on the page: {gone:?}");
    for (name, metric) in &page.0 {
        let row = &rows[name];
        assert_eq!(row.kind, metric.kind, "the type of {name} in docs/metrics.md");
        let labels = metric.labels.as_ref();
        let labels = labels.unwrap_or_else(|| panic!("{name} has no series: let it happen here"));
        assert_eq!(row.labels, *labels, "the labels of {name} in docs/metrics.md");
        for unit in ["bytes", "seconds"] {
            let has = name.trim_end_matches("_total").ends_with(unit);
            assert_eq!(row.unit == unit, has, "the unit of {name} in docs/metrics.md");
        }
    }
}

#[test]
fn every_ending_is_named() {
    for ending in Ending::ALL {
        let name = format!("`{}`", ending.name());
        // What was open at a crash is charged by the next process, which did not serve it.
        let is_counted = ending != Ending::Unknown;
        assert_eq!(DOCUMENT.contains(&name), is_counted, "{name} in docs/metrics.md");
    }
}
