use serde_json::json;

use super::*;
use crate::cli::top::example;

fn between(before: serde_json::Value, after: serde_json::Value) -> Figures {
    Figures::between(&example::read(before), &example::read(after))
}

#[test]
fn rates_are_differences_by_the_time_between() {
    let figures = between(example::first(), example::second());
    assert!(!figures.restarted);
    assert_eq!(figures.seconds, 1.0);
    let all = Rates { requests: 1_285.0, refused: 50.0, failed: 1.0, units: 2_468.0 };
    assert_eq!(figures.rates, all);
    let outcomes: Vec<_> = figures.outcomes.iter().map(|one| (one.status, one.requests)).collect();
    assert_eq!(outcomes, [(200, 1_234.0), (402, 50.0), (502, 1.0)]);
    assert!((figures.cpu.unwrap() - 0.23).abs() < 1e-6);
    let routes: Vec<_> = figures.routes.iter().map(|one| one.rates.requests).collect();
    assert_eq!(routes, [1_000.0, 234.0]);
    let weather = &figures.upstreams[1];
    assert_eq!((weather.requests, weather.failed), (1_235.0, 1.0));
    assert_eq!(figures.upstreams[0].state, EndpointState::Down);
    // Those are counted over ten seconds.
    assert_eq!(figures.customers[0].rates.requests, 800.0);
    assert_eq!((figures.others.units, figures.unknown.refused), (168.0, 1.0));
}

#[test]
fn half_the_time_is_twice_the_rate() {
    let mut after = example::second();
    after["uptime_seconds"] = json!(7_266.0);
    assert_eq!(between(example::first(), after).rates.units, 4_936.0);
}

#[test]
fn after_a_restart_only_what_came_since_counts() {
    let mut after = example::first();
    after["started_at"] = json!("2026-11-20T14:44:24Z");
    after["uptime_seconds"] = json!(4.0);
    after["requests"] = json!([example::outcome(200, None, "completed", 8)]);
    after["units"] = json!(16);
    after["process"]["cpu_seconds"] = json!(0.4);
    let figures = between(example::second(), after.clone());
    assert!(figures.restarted);
    assert_eq!(figures.seconds, 4.0);
    assert_eq!((figures.rates.requests, figures.rates.units), (2.0, 4.0));
    assert!((figures.cpu.unwrap() - 0.1).abs() < 1e-9);
    // It may be quick enough to have run for longer than the one before.
    after["uptime_seconds"] = json!(9_000.0);
    assert!(between(example::second(), after).restarted);
}

#[test]
fn what_falls_without_a_restart_stands_still() {
    let mut after = example::second();
    after["requests"] = json!([example::outcome(200, None, "completed", 3)]);
    after["units"] = json!(7);
    let figures = between(example::first(), after);
    assert_eq!((figures.rates.requests, figures.rates.units), (0.0, 0.0));
}

#[test]
fn two_documents_of_one_moment_give_no_rates() {
    let figures = between(example::second(), example::second());
    assert_eq!(figures.rates, Rates::default());
    assert_eq!((figures.cpu, figures.whole), (Some(0.0), None));
    let text = serde_json::to_string(&figures).unwrap();
    assert!(text.contains("\"requests\":0.0") && !text.contains("-0.0"), "{text}");
}

#[test]
fn figures_as_json() {
    let figures = between(example::first(), example::second());
    insta::assert_json_snapshot!(figures);
}
