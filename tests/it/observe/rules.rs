//! The rules by themselves: that Prometheus takes them, and that each was seen firing and silent.

use super::{assert_promtool_agrees, read};

/// Gives the names of the rules.
pub(super) fn alerts() -> Vec<String> {
    let rules = read("alerts.yml");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(ToOwned::to_owned).collect()
}

#[test]
fn promtool_takes_rules_and_configuration() {
    assert_promtool_agrees(&["check", "rules", "alerts.yml"], "");
    assert_promtool_agrees(&["check", "config", "prometheus.yml"], "");
}

#[test]
fn rules_fire_and_are_silent_as_their_tests_say() {
    assert_promtool_agrees(&["test", "rules", "alerts_test.yml"], "");
}

#[test]
fn every_rule_has_a_test_in_which_it_fires_and_is_silent() {
    let tests = read("alerts_test.yml");
    let scenes: Vec<_> = tests.split("\n  - name: ").skip(1).collect();
    for alert in alerts() {
        let fires = format!("alertname=\"{alert}\"");
        let scene = scenes.iter().find(|scene| scene.contains(&fires));
        let scene = scene.unwrap_or_else(|| panic!("no test of alerts_test.yml has {alert} fire"));
        assert!(scene.contains("exp_samples: []"), "{alert} is never silent in its test");
    }
    let fires = tests.split("alertname=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let gone: Vec<_> = fires.filter(|name| !alerts().iter().any(|alert| alert == name)).collect();
    assert!(gone.is_empty(), "tested, but not in alerts.yml: {gone:?}");
}
